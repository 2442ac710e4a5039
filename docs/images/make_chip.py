"""Draws chip.svg: from the scale-up domain to the tensor engine, and which of it exists.

From the root: ``python -m docs.images.make_chip``.
"""

from mtia import generations

from .drawing import Picture, is_current, write

GENERATION = "mtia450"
TOP, HEIGHT = 92, 436


def draw() -> str:
    """The four levels side by side, each inside the one to its left."""
    picture = Picture(
        1140,
        TOP + HEIGHT + 56,
        title="What the family is, and what of it exists",
        text="A scale-up domain of packages, a package of chiplets, a processing element and the tensor engine. "
        "The tensor engine and the quantiser are built; all else is planned.",
    )
    chip = generations.get(GENERATION)
    domain(picture, chip)
    package(picture, chip)
    element(picture)
    engine(picture, chip)
    y = TOP + HEIGHT + 26
    picture.rect("eng", 24, y, 22, 16, radius=3)
    picture.text("s", 54, y + 13, "built: RTL, golden model and verification")
    picture.rect("plan", 340, y, 22, 16, radius=3)
    picture.text("s", 370, y + 13, "planned: data in mtia/generations.py, no RTL yet")
    return picture.finish()


def domain(picture: Picture, chip: generations.Generation) -> None:
    """Packages around a switch."""
    x, width = 24, 190
    picture.text("h", x, 34, "Scale-up domain")
    picture.text("s", x, 56, f"{chip.structure.network.domain} packages around")
    picture.text("s", x, 73, "a switch")
    picture.rect("plan", x, TOP, width, HEIGHT, radius=10)
    picture.box("plan", x + 20, TOP + 190, width - 40, 56, ["switch", "multicast, reduction"])
    for row in range(4):
        for column in range(4):
            y = TOP + 24 + 38 * row if row < 2 else TOP + 346 + 38 * (row - 2)
            hot = (row, column) == (0, 3)
            picture.rect("soc" if hot else "plan", x + 20 + 40 * column, y, 30, 28, radius=3)
    picture.text("m", x + width / 2, TOP + 120, "...")
    picture.text("m", x + width / 2, TOP + 330, "...")
    picture.line("w", (x + width / 2, TOP + 130), (x + width / 2, TOP + 186))
    picture.line("w", (x + width / 2, TOP + 314), (x + width / 2, TOP + 250))
    zoom(picture, (x + 170, TOP + 24, TOP + 52), 250)


def package(picture: Picture, chip: generations.Generation) -> None:
    """Chiplets and memory of a package."""
    x, width = 250, 300
    part = chip.structure
    picture.text("h", x, 34, f"Package: {chip.title}")
    picture.text("s", x, 56, f"{part.compute_chiplets} compute chiplets of {part.rows} x {part.columns} PEs")
    picture.text("s", x, 73, "and a spare row each")
    picture.rect("plan", x, TOP, width, HEIGHT, radius=10)
    side = part.hbm.stacks // 2
    pitch = (width - 96) / side
    for edge in (TOP + 14, TOP + HEIGHT - 40):
        for index in range(side):
            picture.box("plan", x + 48 + pitch * index, edge, pitch - 6, 26, ["HBM"])
    for place in (x + 10, x + width - 38):
        picture.rect("plan", place, TOP + 14, 28, HEIGHT - 28)
        picture.text("m", place + 17, TOP + HEIGHT / 2, "network chiplet: NICs", turned=True)
    for edge in (TOP + 46, TOP + HEIGHT - 68):
        picture.box("plan", x + 48, edge, width - 102, 22, [])
        picture.text("m", x + width / 2 - 3, edge + 15, "message engines")
    across = (width - 102 - 6 * (part.compute_chiplets - 1)) / part.compute_chiplets
    for index in range(part.compute_chiplets):
        left = x + 48 + (across + 6) * index
        picture.rect("plan", left, TOP + 76, across, 240)
        for row in range(part.rows):
            for column in range(part.columns):
                hot = (index, row, column) == (part.compute_chiplets - 1, 2, part.columns - 1)
                corner = left + 6 + (across - 10) / part.columns * column, TOP + 84 + 224 / part.rows * row
                picture.rect("soc" if hot else "plan", *corner, (across - 10) / part.columns - 3, 18, radius=2)
    picture.box("plan", x + 48, TOP + 322, width - 102, 38, ["SoC chiplet", "host interface"][: 2 * part.soc_chiplets])
    right = x + 48 + width - 102 - 6
    y = TOP + 84 + 224 / part.rows * 2
    zoom(picture, (right, y, y + 18), 586)


def element(picture: Picture) -> None:
    """Units of a processing element."""
    x, width = 586, 220
    picture.text("h", x, 34, "Processing element")
    picture.text("s", x, 56, "command lists in,")
    picture.text("s", x, 73, "tiles out")
    picture.rect("plan", x, TOP, width, HEIGHT, radius=10)
    for top, height, words in (
        (14, 34, ["command processor"]),
        (60, 44, ["local memory", "circular buffers"]),
        (180, 44, ["reduction engine", "adds to the neighbours"]),
        (322, 44, ["layout unit", "transpose, reshape"]),
        (378, 44, ["fabric interface", "DMA, router of the mesh"]),
    ):
        picture.box("plan", x + 14, TOP + top, width - 28, height, words)
    picture.box("eng", x + 14, TOP + 120, width - 28, 44, ["tensor engine", "dot products, accumulators"])
    picture.rect("plan", x + 14, TOP + 240, width - 28, 70)
    picture.text("l", x + width / 2, TOP + 258, "special-function engine")
    picture.box("eng", x + 28, TOP + 268, width - 56, 32, ["quantiser"])
    for begin, end in ((104, 118), (164, 178), (224, 238)):
        picture.line("w", (x + width / 2, TOP + begin), (x + width / 2, TOP + end))
    zoom(picture, (x + width - 14, TOP + 120, TOP + 164), 842)


def engine(picture: Picture, chip: generations.Generation) -> None:
    """Parts of the tensor engine and the quantiser."""
    x, width = 842, 274
    full = chip.engine("full")
    picture.text("h", x, 34, "Tensor engine")
    size = f"{full.units} units, each {32 * full.slices} bytes deep:"
    picture.text("s", x, 56, size)
    picture.text("s", x, 73, f"{full.units} stationary rows, double-buffered")
    picture.rect("eng", x, TOP, width, HEIGHT, radius=10)
    third = (width - 40) / 3
    for index, words in enumerate((["passes", "Sequencer"], ["stationary", "Loader"], ["streamed", "DecodeBeat"])):
        left = x + 12 + (third + 8) * index
        picture.box("lane", left, TOP + 14, third, 48, words)
        picture.line("w", (left + third / 2, TOP + 62), (left + third / 2, TOP + 82))
    picture.rect("lane", x + 12, TOP + 84, width - 24, 250)
    picture.text("b", x + width / 2, TOP + 106, f"Unit, {full.units} times")
    for top, words in (
        (118, ["stationary row", "current and waiting"]),
        (172, ["GroupSum", "exact sums of products, any format"]),
        (226, ["ToFloat32", "both scales, one rounding"]),
        (280, ["AccumulatorBank", f"{full.depth} FP32 for each streamed row"]),
    ):
        picture.box("lane", x + 26, TOP + top, width - 52, 42, words)
        picture.line("w", (x + width / 2, TOP + top + 42), (x + width / 2, TOP + top + (52 if top < 280 else 64)))
    picture.box("lane", x + 12, TOP + 346, width - 24, 34, ["Queue: a result beat a cycle"])
    picture.line("w", (x + width / 2, TOP + 380), (x + width / 2, TOP + 402))
    picture.text("m", x + width / 2, TOP + 418, "FP32, to the reduction engine")


def zoom(picture: Picture, place: tuple[float, float, float], target: float) -> None:
    """Dashed lines from the side of a part (x, upper and lower y) to the panel that shows its inside."""
    x, upper, lower = place
    picture.line("z", (x, upper), (target, TOP + 4))
    picture.line("z", (x, lower), (target, TOP + HEIGHT - 4))


def current() -> bool:
    """Whether the picture on disk is that of the code."""
    return is_current(__file__, draw)


if __name__ == "__main__":
    write(__file__, draw)

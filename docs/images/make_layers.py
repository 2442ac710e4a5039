"""Draws layers.svg: the packages of the repository and which may import which, and what a result is compared with.

From the root: ``python -m docs.images.make_layers``.
"""

from .drawing import Picture, is_current, write

WIDTH = 1000


def draw() -> str:
    """The layers to the left, the two ways to a result to the right."""
    picture = Picture(
        WIDTH,
        500,
        title="Packages of the repository, and how a result is verified",
        text="Left: mtia below hdl and golden, tb above both, the command line, tests and benchmarks on top. "
        "Right: one table of formats, two ways to a result, and independent oracles for the golden way.",
    )
    layers(picture)
    verification(picture)
    return picture.finish()


def layers(picture: Picture) -> None:
    picture.text("h", 24, 34, "Packages: arrows point at what is imported")
    picture.text("s", 24, 56, "every package may import mtia, which imports none")
    for x, y, width, kind, words in (
        (24, 80, 140, "pkg", ["mtia.cli", "commands"]),
        (184, 80, 140, "pkg", ["tests", "pytest"]),
        (344, 80, 140, "pkg", ["bench", "measurements"]),
        (24, 200, 300, "net", ["tb", "Verilator: lanes, cocotb, drivers of the engine"]),
        (344, 200, 140, "plan", ["fpga", "boards, planned"]),
        (24, 320, 120, "eng", ["hdl", "Amaranth"]),
        (204, 320, 120, "hbm", ["golden", "numpy"]),
        (24, 430, 460, "cmp", ["mtia", "formats, generations, engine parameters: data only"]),
    ):
        picture.box(kind, x, y, width, 50, words)
    for x in (84, 264):
        picture.line("w", (x, 130), (x, 196))
        picture.line("w", (x, 250), (x, 316))
        picture.line("w", (x, 370), (x, 426))
    picture.line("w", (414, 130), (414, 196))
    picture.line("w", (364, 130), (306, 196))
    picture.line("w", (364, 250), (364, 300), (134, 300), (134, 316))
    picture.line("w", (414, 250), (414, 426))
    picture.line("no", (146, 345), (202, 345))
    picture.text("m", 174, 338, "never")


def verification(picture: Picture) -> None:
    x = 540
    picture.line("g", (512, 24), (512, 476))
    picture.text("h", x, 34, "Two ways to a result share one table")
    picture.text("s", x, 56, "no line of arithmetic is common to both")
    picture.box("cmp", x + 110, 80, 200, 50, ["rows of mtia.formats", "bits, bias, specials, block"])
    picture.box("eng", x, 190, 190, 60, ["RTL of hdl/", "Verilog under Verilator"])
    picture.box("hbm", x + 236, 190, 200, 60, ["golden model", "numpy, float64 where exact"])
    picture.line("w", (x + 160, 130), (x + 95, 186))
    picture.line("w", (x + 260, 130), (x + 336, 186))
    picture.box("hot", x + 110, 320, 200, 44, ["every bit must be equal"])
    picture.line("w", (x + 95, 250), (x + 160, 316))
    picture.line("w", (x + 336, 250), (x + 260, 316))
    picture.box(
        "blk", x + 236, 406, 200, 70, ["oracles of others", "ml_dtypes, torchao, rationals,", "cases worked by hand"]
    )
    picture.line("w", (x + 386, 406), (x + 386, 254))
    picture.text("m", x + 95, 416, "random pauses on every stream,")
    picture.text("m", x + 95, 432, "every code, every pair, seeds,")
    picture.text("m", x + 95, 448, "all four generations")
    picture.line("w", (x + 40, 404), (x + 40, 254))


def current() -> bool:
    """Whether the picture on disk is that of the code."""
    return is_current(__file__, draw)


if __name__ == "__main__":
    write(__file__, draw)

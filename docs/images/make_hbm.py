"""Draws hbm.svg: the parts of a pseudo-channel's controller and the way of a request through them.

From the root: ``python -m docs.images.make_hbm``.
"""

from hdl.hbm.pseudo_channel import PoolSizes
from hdl.hbm.reduce_lanes import ReduceLanes

from .drawing import Picture, is_current, write

WIDTH, HEIGHT, LEFT = 950, 500, 64


def draw() -> str:
    """The picture, with the sizes that the RTL has by default."""
    sizes = PoolSizes()
    picture = Picture(
        WIDTH,
        HEIGHT,
        title="One pseudo-channel of the HBM controller",
        text="Requests are mapped and handed to the pools or to the near-memory unit; pickers choose commands from the "
        "pools and the bank table; data comes back through ECC to the responses or to the near-memory unit.",
    )
    picture.text("h", 24, 34, "One pseudo-channel of the controller")
    picture.text("s", 24, 54, "every box takes one request, or one command, a cycle")
    boxes = {
        "front": ("cmp", 24, 110, 130, ["Front", "address map", "hazards"]),
        "reads": ("hbm", 220, 90, 150, ["Pool of reads", f"{sizes.entries} entries"]),
        "writes": ("hbm", 220, 170, 150, ["Pool of writes", f"{sizes.entries} entries"]),
        "near": (
            "eng",
            24,
            330,
            180,
            ["Near-memory unit", f"{sizes.lines} lines", f"{ReduceLanes.latency}-cycle lanes"],
        ),
        "banks": ("soc", 430, 170, 150, ["Bank table", "rows, timers", "counts"]),
        "columns": ("cmp", 430, 90, 150, ["Column picker", "read or write mode"]),
        "rows": ("cmp", 640, 170, 150, ["Row picker", "ACT and PRE"]),
        "refresh": ("soc", 430, 260, 150, ["Refresh", "owed, held, RFM"]),
        "returns": ("net", 430, 370, 150, ["Returns", "SECDED, tags"]),
    }
    for kind, x, y, width, words in boxes.values():
        picture.box(kind, LEFT + x, y, width, 62, words)
    picture.rect("pkg", LEFT + 820, 80, 36, 370)
    picture.text("l", LEFT + 843, 265, "device", turned=True)
    arrows = [
        [(-50, 141), (24, 141)],
        [(154, 131), (187, 131), (187, 121), (220, 121)],
        [(154, 151), (187, 151), (187, 201), (220, 201)],
        [(89, 172), (89, 330)],
        [(204, 345), (295, 345), (295, 232)],
        [(370, 121), (430, 121)],
        [(370, 201), (400, 201), (400, 135), (430, 135)],
        [(580, 121), (820, 121)],
        [(580, 201), (640, 201)],
        [(790, 201), (820, 201)],
        [(505, 260), (505, 232)],
        [(820, 401), (580, 401)],
        [(430, 401), (320, 401), (320, 375), (204, 375)],
        [(505, 432), (505, 470), (-50, 470)],
    ]
    for points in arrows:
        picture.line("w", *[(LEFT + x, y) for x, y in points])
    for x, y, caption in (
        (-15, 132, "request"),
        (700, 112, "RD, WR and data"),
        (805, 190, "rows"),
        (700, 392, "data and check bits"),
        (-15, 462, "response"),
        (360, 300, "reads and writes"),
        (155, 250, "RED, part of an atom"),
    ):
        picture.text("m", LEFT + x, y, caption)
    return picture.finish()


def current() -> bool:
    """Whether the picture on disk is that of the code."""
    return is_current(__file__, draw)


if __name__ == "__main__":
    write(__file__, draw)

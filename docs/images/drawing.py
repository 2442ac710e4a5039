"""A few words of SVG in the style of family.svg, for the pictures that are drawn from the code.

A picture is a module with a function `draw` that gives its text. Run as a script, the module writes the file of its
name (`make_X.py` writes `X.svg`); `is_current` says whether the file is what the code gives today.
"""

import pathlib
from collections.abc import Callable, Sequence
from xml.sax.saxutils import escape

FOLDER = pathlib.Path(__file__).parent

STYLE = """\
text{font-family:system-ui,"DejaVu Sans",Helvetica,Arial,sans-serif;fill:#1d2733}
.h{font-size:18px;font-weight:600}.s{font-size:13px;fill:#5b6878}.l{font-size:13px;text-anchor:middle}\
.m{font-size:11px;text-anchor:middle;fill:#3c4856}.b{font-size:15px;font-weight:600;text-anchor:middle}\
.t{font-size:13px}.r{font-size:13px;text-anchor:end;fill:#5b6878}
.bg{fill:#fff}.pkg{fill:#f4f6f9;stroke:#9aa7b6;stroke-width:1.5}.cmp{fill:#dbe8fb;stroke:#3b74c4;stroke-width:1.2}\
.hot{fill:#f5a623;stroke:#b9770e;stroke-width:1}
.hbm{fill:#d9f0e3;stroke:#2f8f5b;stroke-width:1.2}.net{fill:#efe1f7;stroke:#8a4bb0;stroke-width:1.2}\
.soc{fill:#fdebc8;stroke:#b9770e;stroke-width:1.2}
.blk{fill:#fff;stroke:#5b6878;stroke-width:1.2}.eng{fill:#fdf1dc;stroke:#b9770e;stroke-width:1.5}\
.lane{fill:#fff;stroke:#b9770e;stroke-width:1}.plan{fill:#fff;stroke:#9aa7b6;stroke-width:1.2;stroke-dasharray:5 4}
.w{fill:none;stroke:#5b6878;stroke-width:1.6;marker-end:url(#a)}.n{fill:none;stroke:#5b6878;stroke-width:1.4}\
.g{fill:none;stroke:#d5dbe3;stroke-width:1}.z{fill:none;stroke:#b9770e;stroke-width:1.2;stroke-dasharray:5 4}\
.no{fill:none;stroke:#c0392b;stroke-width:1.8;stroke-dasharray:6 4}"""

MARKER = (
    '<marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0L8 4L0 8z" fill="#5b6878"/></marker>'
)


class Picture:
    """The elements of one picture, in the order in which they are drawn."""

    def __init__(self, width: int, height: int, *, title: str, text: str):
        self.width, self.height = width, height
        self.lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            f'aria-labelledby="title text">',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="text">{escape(text)}</desc>',
            f"<style>\n{STYLE}\n</style>",
            MARKER,
            f'<rect class="bg" width="{width}" height="{height}"/>',
        ]

    def rect(self, kind: str, x: float, y: float, width: float, height: float, *, radius: float = 5) -> None:
        self.lines.append(
            f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}"/>'
        )

    def text(self, kind: str, x: float, y: float, words: str, *, turned: bool = False) -> None:
        place = f'transform="translate({x:g} {y:g}) rotate(-90)"' if turned else f'x="{x:g}" y="{y:g}"'
        self.lines.append(f'<text class="{kind}" {place}>{escape(words)}</text>')

    def line(self, kind: str, *points: tuple[float, float]) -> None:
        path = "L".join(f"{x:g} {y:g}" for x, y in points)
        self.lines.append(f'<path class="{kind}" d="M{path}"/>')

    def box(self, kind: str, x: float, y: float, width: float, height: float, words: Sequence[str]) -> None:
        """A rectangle with one centred line of text, or one and smaller ones below it."""
        self.rect(kind, x, y, width, height)
        top = y + height / 2 + 5 - 8 * (len(words) - 1)
        for index, line in enumerate(words):
            self.text("m" if index else "l", x + width / 2, top + 16 * index, line)

    def finish(self) -> str:
        return "\n".join([*self.lines, "</svg>"]) + "\n"


def path_of(script: str) -> pathlib.Path:
    """The picture of a script `make_X.py`."""
    return FOLDER / f"{pathlib.Path(script).stem.removeprefix('make_')}.svg"


def write(script: str, draw: Callable[[], str]) -> None:
    path_of(script).write_text(draw(), encoding="utf-8")


def is_current(script: str, draw: Callable[[], str]) -> bool:
    """Whether the picture on disk is what the code draws."""
    return path_of(script).read_text(encoding="utf-8") == draw()

"""A picture of an HBM channel under load: bandwidth and latency, as SVG."""

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from .run_hbm_measurement import Measurement
from .run_hbm_report import latencies

_WIDTH, _HEIGHT = 720, 640
_LEFT, _RIGHT = 80, 690
#: top and bottom of each panel
_PANELS = ((70, 290), (370, 590))
_STYLE = """\
text{font-family:system-ui,"DejaVu Sans",Helvetica,Arial,sans-serif;fill:#1d2733;font-size:13px}
.h{font-size:18px;font-weight:600}.s{fill:#5b6878}.e{text-anchor:end}.m{text-anchor:middle}
.g{stroke:#d5dbe3;stroke-width:1}.c{fill:none;stroke-width:2.2}.o{fill:none;stroke:#9aa7b6;stroke-dasharray:5 4}"""
_CURVES = {"mean": "#2f8f5b", "p50": "#3b74c4", "p99": "#b9770e"}

Point = tuple[float, float]


def draw(sweep: Sequence[Measurement], *, title: str, unloaded_ns: float) -> str:
    """The SVG of measurements in ascending load: bandwidth above, latency on a logarithmic axis below."""
    picture = _Picture(title)
    loads = [each.load or 1.0 for each in sweep]
    taken = [each.bandwidth_fraction for each in sweep]
    picture.frame(0, "bandwidth, % of the peak", {share / 100: f"{share}" for share in range(0, 101, 20)}, 0.0, 1.0)
    picture.curve(0, [(0, 0), (1, 1)], "o", "")
    picture.curve(0, list(zip(loads, taken, strict=True)), "c", _CURVES["p50"])
    values = {name: [latencies(each.latency_ns)[name] for each in sweep] for name in _CURVES}
    low = math.log10(min(unloaded_ns, *(min(row) for row in values.values())))
    high = math.log10(max(max(row) for row in values.values()))
    bottom, top = math.floor(low), max(math.ceil(high), math.floor(low) + 1)
    marks = {
        exponent + math.log10(step): f"{step * 10.0**exponent:g}"
        for exponent in range(bottom, top + 1)
        for step in (1, 2, 5)
        if exponent + math.log10(step) <= top
    }
    picture.frame(1, "latency, ns", marks, bottom, top)
    picture.curve(1, [(0, math.log10(unloaded_ns)), (1, math.log10(unloaded_ns))], "o", "")
    for index, (name, colour) in enumerate(_CURVES.items()):
        picture.curve(1, list(zip(loads, map(math.log10, values[name]), strict=True)), "c", colour)
        picture.legend(index, name, colour)
    picture.legend(len(_CURVES), "one read, idle channel", "")
    return picture.text()


class _Picture:
    """Two panels with a common axis of loads."""

    def __init__(self, title: str) -> None:
        self._range = [(0.0, 1.0), (0.0, 1.0)]
        self._lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>\n{_STYLE}\n</style>",
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
            f'<text class="h" x="{_LEFT}" y="32">{escape(title)}</text>',
        ]

    def frame(self, panel: int, name: str, marks: dict[float, str], low: float, high: float) -> None:
        """The axes of a panel, with marks on the upright one."""
        self._range[panel] = low, high
        top, bottom = _PANELS[panel]
        self._words("s", _LEFT, top - 12, name)
        for value, words in marks.items():
            y = self._place(panel, (0, value))[1]
            self._lines.append(f'<path class="g" d="M{_LEFT} {y:.1f}H{_RIGHT}"/>')
            self._words("s e", _LEFT - 8, y + 4, words)
        for share in range(0, 101, 10):
            x = self._place(panel, (share / 100, low))[0]
            self._lines.append(f'<path class="g" d="M{x:.1f} {top}V{bottom}"/>')
            self._words("s m", x, bottom + 18, f"{share}")
        self._words("s e", _RIGHT, bottom + 36, "load, % of the peak offered")

    def curve(self, panel: int, points: Sequence[Point], kind: str, colour: str) -> None:
        """A line through points (load, value)."""
        path = "L".join("{:.1f} {:.1f}".format(*self._place(panel, point)) for point in points)
        style = f' stroke="{colour}"' if colour else ""
        self._lines.append(f'<path class="{kind}"{style} d="M{path}"/>')

    def legend(self, index: int, name: str, colour: str) -> None:
        """The name of a curve of the lower panel."""
        x, y = _LEFT + 120 + 90 * index, _PANELS[1][0] - 16
        kind = f'class="c" stroke="{colour}"' if colour else 'class="o"'
        self._lines.append(f'<path {kind} d="M{x} {y}h24"/>')
        self._words("", x + 30, y + 4, name)

    def text(self) -> str:
        """The file."""
        return "\n".join([*self._lines, "</svg>"]) + "\n"

    def _place(self, panel: int, point: Point) -> Point:
        low, high = self._range[panel]
        top, bottom = _PANELS[panel]
        return _LEFT + point[0] * (_RIGHT - _LEFT), bottom - (point[1] - low) / (high - low) * (bottom - top)

    def _words(self, kind: str, x: float, y: float, words: str) -> None:
        self._lines.append(f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>')

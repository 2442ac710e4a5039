"""A picture of collectives of many sizes: cycles against bytes for each algorithm, beside the bound, as SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 760, 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 580, 64, 440
_STYLE = """\
text{font-family:system-ui,"DejaVu Sans",Helvetica,Arial,sans-serif;fill:#1d2733;font-size:13px}
.h{font-size:18px;font-weight:600}.s{fill:#5b6878}.e{text-anchor:end}.m{text-anchor:middle}
.g{stroke:#d5dbe3;stroke-width:1}.c{fill:none;stroke-width:2.2}.o{fill:none;stroke:#9aa7b6;stroke-dasharray:5 4}"""
_COLOURS = ("#3b74c4", "#b9770e", "#2f8f5b", "#a33f6f", "#6a5acd", "#557085")


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Cycles at each size of one algorithm, or of a bound (drawn dashed)."""

    name: str
    points: Sequence[tuple[int, float]]
    bound: bool = False


def draw(curves: Sequence[Curve], *, title: str) -> str:
    """The SVG of curves (bytes, cycles) on logarithmic axes; ValueError where there is no point above 0."""
    points = [point for curve in curves for point in curve.points]
    if not points or any(size <= 0 or cycles <= 0 for size, cycles in points):
        raise ValueError("Points of a picture must be at least one, each of bytes and cycles above 0")
    x_axis = _Axis.over([size for size, _ in points], base=2)
    y_axis = _Axis.over([cycles for _, cycles in points], base=10)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{_STYLE}\n</style>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        _text("h", _LEFT, 32, title),
        _text("s", _LEFT, _TOP - 10, "cycles"),
        _text("s e", _RIGHT, _BOTTOM + 42, "bytes"),
    ]
    for value, words in y_axis.marks():
        y = _BOTTOM - y_axis.share(value) * (_BOTTOM - _TOP)
        lines += [f'<path class="g" d="M{_LEFT} {y:.1f}H{_RIGHT}"/>', _text("s e", _LEFT - 8, y + 4, words)]
    for value, words in x_axis.marks():
        x = _LEFT + x_axis.share(value) * (_RIGHT - _LEFT)
        lines += [f'<path class="g" d="M{x:.1f} {_TOP}V{_BOTTOM}"/>', _text("s m", x, _BOTTOM + 18, words)]
    width, height = _RIGHT - _LEFT, _BOTTOM - _TOP
    colours = iter(_COLOURS * (1 + len(curves) // len(_COLOURS)))
    for index, curve in enumerate(curves):
        kind = 'class="o"' if curve.bound else f'class="c" stroke="{next(colours)}"'
        places = [
            f"{_LEFT + x_axis.share(size) * width:.1f} {_BOTTOM - y_axis.share(cycles) * height:.1f}"
            for size, cycles in sorted(curve.points)
        ]
        y = _TOP + 8 + 22 * index
        lines += [
            f'<path {kind} d="M{"L".join(places)}"/>',
            f'<path {kind} d="M{_RIGHT + 16} {y}h24"/>',
            _text("", _RIGHT + 48, y + 4, curve.name),
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"


@dataclass(frozen=True)
class _Axis:
    """A logarithmic axis from ``base**low`` to ``base**high``."""

    base: int
    low: int
    high: int

    @classmethod
    def over(cls, values: Sequence[float], *, base: int) -> "_Axis":
        low = math.floor(math.log(min(values), base) + 1e-9)
        return cls(base, low, max(math.ceil(math.log(max(values), base) - 1e-9), low + 1))

    def share(self, value: float) -> float:
        """Where a value is between both ends."""
        return (math.log(value, self.base) - self.low) / (self.high - self.low)

    def marks(self) -> list[tuple[float, str]]:
        """Values with a line across, and their names."""
        step = max(1, (self.high - self.low) // 8)
        values = [float(self.base) ** power for power in range(self.low, self.high + 1, step)]
        return [(value, _size(value) if self.base == 2 else f"{value:g}") for value in values]


def _size(value: float) -> str:
    for unit, factor in (("M", 1 << 20), ("K", 1 << 10)):
        if value >= factor:
            return f"{value / factor:g}{unit}"
    return f"{value:g}"


def _text(kind: str, x: float, y: float, words: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'

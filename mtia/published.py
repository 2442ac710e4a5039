"""The published figures of the four generations, each with its source and its rounding.

These are the figures to meet, not to compute with: `mtia.generations` derives them again from the
structure of each chip, and a test compares the two.
"""

import enum
from dataclasses import dataclass


class Mark(enum.Enum):
    """Where a published figure comes from; the value says it in words."""

    P = "the maker's own text"
    N = "press that reproduces the maker's table"
    T = "third-party notes of a paper"
    A = "an analyst only"
    I = "inference from other public figures"
    U = "undisclosed"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One published figure.

    value: a number, a (low, high) pair of numbers, words, or None where nothing is published
    unit:  unit of the value, empty for counts and words
    mark:  kind of source
    step:  what the printed number was rounded to a multiple of (0: exact)
    note:  what else the source says about it, in words
    """

    value: float | str | tuple[float, float] | None
    unit: str
    mark: Mark
    step: float = 0.0
    note: str = ""

    @property
    def source(self) -> str:
        """The source in words."""
        return f"{self.mark.value}; {self.note}" if self.note else self.mark.value

    def agrees(self, derived: float) -> bool:
        """Whether the derived number is printed as this figure: at most half a step away."""
        if not isinstance(self.value, (int, float)):
            raise TypeError(f"Figure to compare must be one number, not {self.value!r}")
        return abs(derived - self.value) <= self.step / 2 + 1e-9


@dataclass(frozen=True, kw_only=True)
class Published:
    """The figures of a generation that reached the public."""

    focus: Figure
    module_power: Figure
    hbm_bandwidth: Figure
    hbm_capacity: Figure
    hbm_stacks: Figure
    mx4: Figure
    mx8: Figure
    bf16: Figure
    compute_chiplets: Figure
    network_chiplets: Figure
    soc_chiplets: Figure
    pe_grid: Figure
    domain: Figure
    scale_up: Figure
    scale_out: Figure


_MULTIPLE = "a whole multiple of the rounded BF16 figure, rounded with it"
_STACKS = "kind and pin rate follow from the published bandwidth and capacity"
_GRID = "rows x columns of a compute chiplet, and a spare row"
_Cell = float | str | tuple[float, float] | None

#: field, unit, step of rounding, note, marks and values of the 300, 400, 450 and 500
_PUBLISHED: tuple[tuple[str, str, float, str, str, tuple[_Cell, _Cell, _Cell, _Cell]], ...] = (
    ("focus", "", 0, "", "NNNN", ("R&R training", "R&R + GenAI", "GenAI inference", "GenAI inference")),
    ("module_power", "W", 0, "", "NNNN", (800, 1200, 1400, 1700)),
    ("hbm_bandwidth", "TB/s", 0.1, "", "NNNN", (6.1, 9.2, 18.4, 27.6)),
    ("hbm_capacity", "GB", 0, "", "NNNN", (216, 288, 288, (384, 512))),
    ("hbm_stacks", "", 0, _STACKS, "TAII", (6, 8, 8, 8)),
    ("mx4", "PFLOPS", 0.4, _MULTIPLE, "NNNN", (None, 12, 21, 30)),
    ("mx8", "PFLOPS", 0.2, _MULTIPLE, "NNNN", (1.2, 6, 7, 10)),
    ("bf16", "PFLOPS", 0.1, "", "NNNN", (0.6, 3, 3.5, 5)),
    ("compute_chiplets", "", 0, "", "NNNN", (1, 2, 2, 4)),
    ("network_chiplets", "", 0, "", "NNNN", (2, 2, 2, 2)),
    ("soc_chiplets", "", 0, "", "NNNN", (0, 1, 1, 1)),
    ("pe_grid", "", 0, _GRID, "PAUU", ("12 x 6 + 6", "8 x 6 + 6", None, None)),
    ("domain", "packages", 0, "", "NNNA", (16, 72, 72, "more than 72")),
    ("scale_up", "TB/s", 0.1, "for each accelerator", "NNNN", (1.0, 1.2, 1.2, 1.2)),
    ("scale_out", "GB/s", 0, "for each accelerator", "NNNN", (200, 100, 100, 100)),
)


def _column(index: int) -> Published:
    return Published(
        **{
            name: Figure(value=values[index], unit=unit, mark=Mark[marks[index]], step=step, note=note)
            for name, unit, step, note, marks, values in _PUBLISHED
        }
    )


#: the figures by name of the generation
PUBLISHED: dict[str, Published] = {
    name: _column(index) for index, name in enumerate(("mtia300", "mtia400", "mtia450", "mtia500"))
}

"""What a tensor engine is built from: sizes and abilities, checked.

The golden models and the RTL take these parameters from a generation and a profile
(`mtia.generations`); anything else that builds an engine may state them directly.
"""

from dataclasses import dataclass

from . import formats as _formats
from .formats import Element, Format

#: fields of `EngineParameters` that are counts, and the range each may take
LIMITS: dict[str, tuple[int, int]] = {
    "units": (1, 64),
    "slices": (1, 16),
    "depth": (2, 4096),
    "dense_rows": (1, 4),
    "window": (24, 64),
}

#: what an engine may be built of: nothing in particular, or carry cells of an ECP5 by name
CELLS = ("generic", "ecp5")


@dataclass(frozen=True, kw_only=True)
class EngineParameters:
    """Size and abilities of one dot-product engine; what `hdl.tensor` is built from.

    units:      dot-product units, each holding one stationary row
    slices:     groups of 32 one-byte elements along K that a unit takes a cycle
    depth:      accumulators of a unit for each row of a beat, which bounds the beats of a pass
    dense_rows: streamed rows a cycle when both operands are 4 bits wide (one otherwise)
    formats:    names of the formats the lanes decode
    mixed:      whether operands of different widths may meet in one pass
    window:     W, bits kept of aligned products of BF16, FP16 and TF32
    exact_e5m2: whether group sums are wide enough for E5M2 with anything wider than E2M1
    deep:       registers in the middle of normalisations and additions too: a few cycles more
                latency, the same bits, and the clock rates of FPGAs
    cells:      of `CELLS`: "ecp5" instantiates carry cells where synthesis would spend more logic, for the
                same bits; "generic" leaves all to synthesis

    Raises TypeError for a field of the wrong kind, ValueError for one out of its range in `LIMITS`
    and for an empty, unknown or repeated format.
    """

    units: int
    slices: int
    depth: int
    dense_rows: int
    formats: tuple[str, ...]
    mixed: bool
    window: int = 40
    exact_e5m2: bool = True
    deep: bool = False
    cells: str = "generic"

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} must be an integer, not {value!r}")
            if not low <= value <= high:
                raise ValueError(f"{name} must be in {low} to {high}, not {value!r}")
        for name in ("mixed", "exact_e5m2", "deep"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be True or False, not {getattr(self, name)!r}")
        if self.cells not in CELLS:
            raise ValueError(f"cells must be one of {', '.join(CELLS)}, not {self.cells!r}")
        if not isinstance(self.formats, tuple):
            raise TypeError(f"formats must be a tuple of names, not {self.formats!r}")
        if not self.formats:
            raise ValueError(f"formats must hold at least one format, not {self.formats!r}")
        for item in self.formats:
            if item not in _formats.FORMATS:
                raise ValueError(_formats.unknown("Format", item, list(_formats.FORMATS)))
        if len(set(self.formats)) != len(self.formats):
            raise ValueError(f"formats must differ from each other, not {self.formats!r}")

    def supports(self, a: Format, b: Format) -> bool:
        """Whether the engine multiplies the pair."""
        known = a.name in self.formats and b.name in self.formats and a.pairs_with(b)
        widths = self.mixed or a.element.width == b.element.width
        return known and widths and (self.exact_e5m2 or not needs_exact_e5m2(a, b))

    def pairs(self) -> list[tuple[Format, Format]]:
        """Every (a, b) that the engine multiplies, both orders, in the order of `formats`."""
        rows = [_formats.get(name) for name in self.formats]
        return [(a, b) for a in rows for b in rows if self.supports(a, b)]

    def mac_lanes(self, a: Format, b: Format) -> int:
        """Multiply-accumulates a cycle of the whole engine for the pair; ValueError if not supported.

        A unit and slice take a group of 32 elements of up to 8 bits or one of 16 wide elements; a
        4-bit pair fills `dense_rows` streamed rows. NVFP4 takes one group of 16 a slice and row: a
        choice of this project, for area (a second scale product a slice is not paid for).
        """
        if not self.supports(a, b):
            raise ValueError(f"Pair of formats must be one that the engine multiplies, not {a.name} x {b.name}")
        rows = self.dense_rows if a.element.name == b.element.name == "E2M1" else 1
        return self.units * self.slices * a.group * rows


def needs_exact_e5m2(a: Format, b: Format) -> bool:
    """Whether a sum of the pair's products needs more bits than that of any pair without E5M2.

    Of the formats here that is E5M2 with anything wider than E2M1. Wide formats have a window instead.
    """
    narrow = not (a.is_wide or b.is_wide)
    return narrow and _span(a.element) + _span(b.element) > 2 * _span(_formats.ELEMENTS["E4M3"])


def _span(element: Element) -> int:
    """Places from the last of the smallest number to the first of the largest."""
    return element.emax - element.emin + element.significand_bits

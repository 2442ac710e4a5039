"""Widths of a tensor engine's data path, derived from its parameters and the number formats."""

from typing import Any

from amaranth.hdl import Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out
from amaranth.utils import bits_for

from mtia.formats import FORMATS, Element, Format, Scale, Specials
from mtia.generations import EngineParameters

from ..formats.element import exponent_range, top_exponent
from ..formats.gated import field_exponent
from .places import LANES, WIDE_LANES

#: bits of the significand of FP16 and TF32, to which BF16 is brought
WIDE_SIGNIFICAND = 11
#: bits that a sum of 32 terms grows by
GROWTH = 5
#: bits from which on a path on carry cells is worth parts
_PLACED = 40
#: bits of the sum of two biased block exponents
EXPONENT = 10


class SliceShape:
    """What one slice (32 lanes) of an engine must carry.

    Everything in `hdl.tensor` has its widths from here, and these follow from the formats alone: a
    new row in `mtia.formats` changes no code of the engine.

    Parameters
    ----------
    parameters : of the engine.

    Attributes
    ----------
    formats : the engine's `mtia.formats.Format` rows.
    narrow, wide : elements of up to 8 bits, and of more.
    even_bits, odd_bits : significand bits of even and odd lanes.
    even_exponent, odd_exponent : exponent bits of even and odd lanes.
    width : bits of the path, in which every product of a narrow pair that the engine supports lies
        exactly.
    near, far : `width` cut in two, so that no adder of the trees is longer than 41 bits.
    placed : whether products are placed and added on carry cells (`carry_sum.PlacedSum`).
    odd_shift : bits of the distance by which the significands of odd lanes are shifted when they
        are decoded: without integers, they leave room for it.
    rows : streamed rows of a beat (1 when no pair is 4 bits wide).
    has_nvfp4, has_inf : whether a scale can have a significand, an element be infinite.

    Raises ValueError if there is no pair of formats that the engine multiplies.
    """

    def __init__(self, parameters: EngineParameters):
        self.parameters = parameters
        self.formats = [FORMATS[name] for name in parameters.formats]
        if not self.pairs:
            raise ValueError(f"Formats must hold a pair that the engine multiplies, not {parameters.formats!r}")
        self.narrow = self._elements(lambda element: element.width <= 8)
        self.wide = self._elements(lambda element: element.width > 8)
        narrow_bits = max((element.significand_bits for element in self.narrow), default=1)
        distance = max((bits_for(self.distance_range(element)) for element in self.narrow), default=1)
        self.even_bits = WIDE_SIGNIFICAND if self.wide else narrow_bits
        self.odd_bits = narrow_bits
        self.even_exponent = 8 if self.wide else distance
        exact = max((self._path_bits(a, b) for a, b in self.pairs if not a.is_wide), default=0)
        self.width = max(exact, parameters.window if self.wide else 0)
        self.placed = parameters.cells != "generic" and self.width >= _PLACED
        room = narrow_bits - max((row.significand_bits for row in self.narrow if not row.is_integer), default=0)
        self.odd_shift = 2 if self.placed and room >= 3 and distance > 2 else 0
        self.odd_exponent = distance - self.odd_shift
        self.near = min(self.width, 36)
        self.far = self.width - self.near
        self.rows = parameters.dense_rows if any(self.is_dense(a, b) for a, b in self.pairs) else 1
        self.has_nvfp4 = any(row.scale is Scale.E4M3 for row in self.formats)
        self.has_inf = any(row.specials is Specials.IEEE for row in self.narrow + self.wide)

    def _elements(self, rule) -> list[Element]:  # type: ignore[no-untyped-def]
        return list({row.element.name: row.element for row in self.formats if rule(row.element)}.values())

    @property
    def pairs(self) -> list[tuple[Format, Format]]:
        """Ordered pairs of formats that the engine multiplies."""
        return [(a, b) for a in self.formats for b in self.formats if self.parameters.supports(a, b)]

    @staticmethod
    def exact_bits(a: Format, b: Format) -> int:
        """Bits that hold every product of a pair, aligned to the largest."""
        return sum(row.element.significand_bits + exponent_range(row.element) for row in (a, b))

    def top_exponent(self, element: Element) -> int:
        """Exponent from which the lanes count an element's distance: on carry cells that of the largest field."""
        return top_exponent(element) if self.parameters.cells == "generic" else field_exponent(element)

    def distance_range(self, element: Element) -> int:
        """How far the exponent of a number may lie below `top_exponent`."""
        return exponent_range(element) + self.top_exponent(element) - top_exponent(element)

    def _path_bits(self, a: Format, b: Format) -> int:
        """Bits of the path that every product of a pair lies in."""
        return sum(row.element.significand_bits + self.distance_range(row.element) for row in (a, b))

    @staticmethod
    def is_dense(a: Format, b: Format) -> bool:
        """Whether a pair runs several streamed rows a cycle: both elements are E2M1."""
        return a.element.name == b.element.name == "E2M1"

    @property
    def sum_width(self) -> int:
        """Bits of the magnitude of a group sum."""
        return self.width + GROWTH

    @property
    def stationary_bits(self) -> int:
        """Bits of a slice of a stationary row as it arrives: a byte a lane, or a wide element an even lane."""
        wide = max((element.width for element in self.wide), default=0) * WIDE_LANES
        return max(8 * LANES if self.narrow else 0, wide)

    @property
    def streamed_bits(self) -> int:
        """Bits of a slice of a beat as it arrives: `stationary_bits`, or four bits a lane and row."""
        return max(self.stationary_bits, 4 * LANES * self.rows if self.rows > 1 else 0)

    @property
    def scale_signature(self) -> wiring.Signature:
        """A block's scale: exponent + 127 + the element's top exponent; significand in eighths (NVFP4)."""
        members = {"exponent": Out(EXPONENT - 1), "nan": Out(1)}
        return wiring.Signature(members | ({"significand": Out(4)} if self.has_nvfp4 else {}))

    @property
    def general_signature(self) -> wiring.Signature:
        """A decoded row of the general lanes; `sign`, `zero` and `inf` have one bit a lane."""
        half = LANES // 2
        return wiring.Signature(
            {
                "sign": Out(LANES),
                "zero": Out(LANES),
                "inf": Out(LANES),
                "even_significand": Out(self.even_bits).array(half),
                "odd_significand": Out(self.odd_bits).array(half),
                "even_exponent": Out(self.even_exponent).array(half),
                "odd_exponent": Out(self.odd_exponent).array(half),
                "scale": Out(self.scale_signature),
            }
        )

    @property
    def dense_signature(self) -> wiring.Signature:
        """A decoded row of E2M1: signs and magnitudes in halves (0, 1, 2, 3, 4, 6, 8, 12)."""
        return wiring.Signature(
            {
                "sign": Out(LANES),
                "magnitude": Out(4).array(LANES),
                "scale": Out(self.scale_signature),
            }
        )

    @property
    def stationary_signature(self) -> wiring.Signature:
        """A decoded stationary slice: for the general lanes and, if there are dense rows, as E2M1."""
        dense = {"dense": Out(self.dense_signature)} if self.rows > 1 else {}
        return wiring.Signature({"general": Out(self.general_signature)} | dense)

    @property
    def streamed_signature(self) -> wiring.Signature:
        """A decoded slice of a beat: row 0 for the general lanes, the others, ``dense_ROW``, as E2M1."""
        dense = {f"dense_{row}": Out(self.dense_signature) for row in range(1, self.rows)}
        return wiring.Signature({"general": Out(self.general_signature)} | dense)


def signals(row: Any) -> list[Any]:
    """The signals of a decoded row, in the order of its signature; a list of them stays what it is.

    The fields of a row are signals of their own rather than one wide vector: simulators handle
    words far better than slices of a thousand bits.
    """
    return row if isinstance(row, list) else [signal for _path, _member, signal in row.signature.flatten(row)]


def assign(target: Any, source: Any) -> list[Any]:
    """Statements that give every signal of the row `target` the value of its namesake in `source`."""
    return [left.eq(right) for left, right in zip(signals(target), signals(source), strict=True)]


def buffer(row: Any, *, name: str) -> list[Signal]:
    """Signals like those of a row, without reset."""
    paths = ("__".join(map(str, path)) for path, _member, _signal in row.signature.flatten(row))
    return [
        Signal(signal.shape(), name=f"{name}__{path}", reset_less=True)
        for path, signal in zip(paths, signals(row), strict=True)
    ]

"""How the lanes of a row get their elements out of its bits: `hdl.formats.element` or, on carry cells, by gates.

Bits that mean nothing in the selected format are ignored by both.
"""

from collections.abc import Sequence

from amaranth import *

from mtia.formats import Element

from ..core.arith import delay
from ..core.carry import Chains
from ..formats.code import FormatCode
from ..formats.element import Choice, DecodedElement, ElementRules
from ..formats.gated import GatedChoice, GatedElement, Gates
from .places import LANES, places
from .shape import SliceShape

#: lanes of an NVFP4 group
NVFP4_LANES = 16


def runs(bits: Sequence[int]) -> list[tuple[int, int]]:
    """First bit and the one after the last of each run of consecutive bits."""
    starts = [at for at, bit in enumerate(bits) if at == 0 or bit != bits[at - 1] + 1]
    return [(bits[start], bits[end - 1] + 1) for start, end in zip(starts, [*starts[1:], len(bits)], strict=True)]


class _Lanes:
    """What both ways have in common.

    format: of the row
    codes:  the row's bits (`places`)

    Latency: 0, deep 1 cycle (`EngineParameters.deep`): what the format selects is a register there.
    """

    def __init__(self, m: Module, *, shape: SliceShape, format: Value, codes: Value):
        self._m, self._shape = m, shape
        self._format, self._codes = format, self._late(codes, "codes")
        self._elements = shape.narrow + shape.wide

    def _late(self, value: Value, name: str) -> Value:
        """The value; deep a cycle later."""
        return delay(self._m, value, int(self._shape.parameters.deep), name=name)

    def _of_lane(self, lane: int) -> list[tuple[int, Element]]:
        """Elements that a lane takes, with their index."""
        return [(index, row) for index, row in enumerate(self._elements) if row.width <= 8 or lane % 2 == 0]

    def _places(self, lane: int, element: Element) -> list[int]:
        return places(element, lane // 2 if element.width > 8 else lane)

    def _select(self) -> Signal:
        """Index of the element, one more for NVFP4, whose upper lanes are not used."""
        elements = self._elements
        selected = Signal(range(len(elements) + 2))
        with self._m.Switch(self._format):
            for row in self._shape.formats:
                with self._m.Case(FormatCode[row.name]):
                    index = len(elements) if row.name == "NVFP4" else elements.index(row.element)
                    self._m.d.comb += selected.eq(index)
            with self._m.Default():
                self._m.d.comb += selected.eq(len(elements) + 1)
        return selected

    def _cases(self, lane: int, index: int) -> list[int]:
        """Values of `_select` with which a lane has the element of an index."""
        nvfp4 = self._shape.has_nvfp4 and self._elements[index].name == "E2M1" and lane < NVFP4_LANES
        return [index, len(self._elements)] if nvfp4 else [index]

    def _bits(self, lane: int) -> int:
        return self._shape.odd_bits if lane % 2 else self._shape.even_bits


class SelectedLanes(_Lanes):
    """`DecodedElement` of each lane: parts of codes are selected, then decoded once.

    The way that leaves the cells to synthesis (`EngineParameters.cells` "generic"). Distances are
    from `top_exponent`.
    """

    def decode(self) -> Sequence[DecodedElement]:
        """One number a lane, in the order of the lanes; zero in lanes that the format does not use. Call it once."""
        m, selected = self._m, self._late(self._select(), "selected")
        rules = ElementRules(m, self._choices(0), selected, name="rules")
        return [
            DecodedElement(m, self._choices(lane), selected, rules=rules, width=self._bits(lane), name=f"lane_{lane}")
            for lane in range(LANES)
        ]

    def _choices(self, lane: int) -> list[Choice]:
        """The elements that a lane takes, with its code and the values of `_select` that mean them."""
        choices = []
        for index, element in self._of_lane(lane):
            code = Cat(self._codes[first:last] for first, last in runs(self._places(lane, element)))
            choices.append(Choice(element=element, code=code, cases=self._cases(lane, index)))
        return choices


class GatedLanes(_Lanes):
    """`GatedElement` of each lane: distances are from the largest exponent field.

    An even lane takes the element of the odd one of up to 8 bits and the other way round, in both operands: a wide
    element has its sign and exponent in the upper of two bytes, as have E5M2 and E4M3 in theirs.
    """

    def decode(self, chains: Chains) -> Sequence[GatedElement]:
        """One number a lane, in the order of the lanes; zero in lanes that the format does not use. Call it once.

        chains : carry cells of the module, for the magnitudes of integers.
        """
        m, gates = self._m, Gates(self._m, self._late(self._select(), "selected"), name="gates")
        return [
            GatedElement(
                m,
                self._choices(lane),
                self._codes,
                gates=gates,
                width=self._bits(lane),
                name=f"lane_{lane}",
                shifted=self._shape.odd_shift if lane % 2 else 0,
                chains=chains,
            )
            for lane in range(LANES)
        ]

    def _choices(self, lane: int) -> list[GatedChoice]:
        """The elements that a lane takes, where it finds their codes and the values of `_select` that mean them."""
        choices = []
        for index, element in self._of_lane(lane):
            where = self._places(lane if element.width > 8 else lane ^ 1, element)
            choices.append(GatedChoice(element=element, places=where, cases=self._cases(lane, index)))
        return choices

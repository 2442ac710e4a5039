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
from .shape import LANES, SliceShape

#: lanes of an NVFP4 group
NVFP4_LANES = 16


class _Lanes:
    """What both ways have in common.

    format: of the row
    dense:  codes are E2M1 in four bits a lane; otherwise elements of up to 8 bits have a byte a lane, wide
            elements an even lane
    codes:  the row's bits, lane 0 lowest

    Latency: 0, deep 1 cycle (`EngineParameters.deep`): what the format selects is a register there.
    """

    def __init__(self, m: Module, *, shape: SliceShape, format: Value, dense: Value, codes: Value):
        self._m, self._shape = m, shape
        self._format, self._dense = format, dense
        self._late_dense, self._codes = self._late(dense, "dense"), self._late(codes, "codes")
        self._elements = shape.narrow + shape.wide

    def _late(self, value: Value, name: str) -> Value:
        """The value; deep a cycle later."""
        return delay(self._m, value, int(self._shape.parameters.deep), name=name)

    def _of_lane(self, lane: int) -> list[tuple[int, Element]]:
        """Elements that a lane takes, with their index."""
        return [(index, row) for index, row in enumerate(self._elements) if row.width <= 8 or lane % 2 == 0]

    def _packs(self, element: Element) -> bool:
        """Whether a beat may have the element in four bits a lane."""
        return element.name == "E2M1" and self._shape.rows > 1

    def _bits(self, lane: int) -> int:
        return self._shape.odd_bits if lane % 2 else self._shape.even_bits


class SelectedLanes(_Lanes):
    """`DecodedElement` of each lane: parts of codes are selected, then decoded once."""

    def decode(self) -> Sequence[DecodedElement]:
        """One number a lane."""
        m, selected = self._m, self._late(self._select(), "selected")
        rules = ElementRules(m, self._choices(0), selected, name="rules")
        return [
            DecodedElement(m, self._choices(lane), selected, rules=rules, width=self._bits(lane), name=f"lane_{lane}")
            for lane in range(LANES)
        ]

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

    def _choices(self, lane: int) -> list[Choice]:
        """The elements that a lane takes, with its code and the values of `_select` that mean them."""
        choices = []
        for index, element in self._of_lane(lane):
            cases = [index]
            if self._shape.has_nvfp4 and element.name == "E2M1" and lane < NVFP4_LANES:
                cases.append(len(self._elements))
            choices.append(Choice(element=element, code=self._code(lane, element), cases=cases))
        return choices

    def _code(self, lane: int, element: Element) -> Value:
        """The lane's code of an element, wherever the row has it."""
        if element.width > 8:
            return self._codes[element.width * (lane // 2) :][: element.width]
        code = self._codes[8 * lane :][: element.width]
        return Mux(self._late_dense, self._codes[4 * lane :][:4], code) if self._packs(element) else code


class GatedLanes(_Lanes):
    """`GatedElement` of each lane: distances are from the largest exponent field."""

    def decode(self, chains: Chains) -> Sequence[GatedElement]:
        """One number a lane."""
        m, gates = self._m, Gates(self._m, self._late(self._select(), "selected"), name="gates")
        return [
            GatedElement(
                m,
                self._choices(lane),
                self._codes,
                gates=gates,
                width=self._bits(lane),
                name=f"lane_{lane}",
                chains=chains,
            )
            for lane in range(LANES)
        ]

    def _select(self) -> Signal:
        """Which element the row has: four times its index, and 1 if it is packed densely, 2 if NVFP4."""
        elements = self._elements
        selected = Signal(range(4 * len(elements) + 4))
        with self._m.Switch(self._format):
            for row in self._shape.formats:
                with self._m.Case(FormatCode[row.name]):
                    case = 4 * elements.index(row.element) + 2 * (row.name == "NVFP4")
                    self._m.d.comb += selected.eq(case + self._dense if self._packs(row.element) else case)
            with self._m.Default():
                self._m.d.comb += selected.eq(4 * len(elements))
        return selected

    def _choices(self, lane: int) -> list[GatedChoice]:
        """The elements that a lane takes, where it finds their codes and the values of `_select` that mean them."""
        choices = []
        for index, element in self._of_lane(lane):
            for dense in range(1 + self._packs(element)):
                step = element.width * (lane // 2) if element.width > 8 else (4 if dense else 8) * lane
                kinds = [0, 2] if element.name == "E2M1" and lane < NVFP4_LANES else [0]
                cases = [4 * index + dense + kind for kind in kinds]
                choices.append(GatedChoice(element=element, places=range(step, step + element.width), cases=cases))
        return choices

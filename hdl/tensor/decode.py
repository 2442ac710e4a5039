"""Decoding of the rows that reach an engine: codes and scales become signs, exponents and significands.

Ref: OCP Microscaling Formats (MX) Specification v1.0, sections 5.1 and 5.3.
"""

from amaranth import *
from amaranth.hdl import ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia.formats import ELEMENTS, Element, Scale

from ..core.arith import delay
from ..formats.code import FormatCode
from ..formats.element import Choice, DecodedElement, ElementRules, top_exponent
from .shape import LANES, SliceShape, assign

#: lanes of an NVFP4 group
NVFP4_LANES = 16


class DecodeScale(wiring.Component):
    """A block's scale code as exponent, significand and NaN (`SliceShape.scale_signature`).

    format: which format the block has; formats without scales count as scale 1
    code:   the scale
    scale:  exponent + 127 + top exponent of the format's elements

    Latency: 0 (combinational).
    """

    def __init__(self, *, shape: SliceShape):
        self.shape = shape
        super().__init__({"format": In(FormatCode), "code": In(8), "scale": Out(shape.scale_signature)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        normal = self.code[3:7].any()
        with m.Switch(self.format):
            for row in self.shape.formats:
                top = top_exponent(row.element)
                with m.Case(FormatCode[row.name]):
                    if row.scale is Scale.E8M0:
                        m.d.comb += self.scale.exponent.eq(self.code + top)
                        m.d.comb += self.scale.nan.eq(self.code.all())
                    elif row.scale is Scale.E4M3:
                        bias = ELEMENTS["E4M3"].bias
                        m.d.comb += self.scale.exponent.eq((self.code[3:7] | ~normal) + (127 - bias + top))
                        m.d.comb += self.scale.nan.eq(self.code[:7].all())
                        m.d.comb += self.scale.significand.eq(Cat(self.code[:3], normal))
                    else:
                        m.d.comb += self.scale.exponent.eq(127 + top)
        return m


class DecodeDense(wiring.Component):
    """A row of E2M1 codes as signs, significands and shifts (`SliceShape.dense_signature`).

    format, code: format and scale of the block
    codes:        four bits a lane
    row:          the decoded row

    Latency: 0 (combinational).
    """

    def __init__(self, *, shape: SliceShape):
        self.shape = shape
        super().__init__(
            {
                "format": In(FormatCode),
                "code": In(8),
                "codes": In(4 * LANES),
                "row": Out(shape.dense_signature),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.scale = scale = DecodeScale(shape=self.shape)
        m.d.comb += [scale.format.eq(self.format), scale.code.eq(self.code)]
        m.d.comb += assign(self.row.scale, scale.scale)
        halved = Signal()
        if self.shape.has_nvfp4:
            m.d.comb += halved.eq(self.format == FormatCode.NVFP4)
        signs = []
        for lane in range(LANES):
            code = self.codes[4 * lane :][:4]
            mantissa, field = code[0], code[1:3]
            unused = halved if lane >= NVFP4_LANES else 0
            signs.append(code[3])
            m.d.comb += self.row.significand[lane].eq(Mux(unused, 0, Cat(mantissa, field.any())))
            m.d.comb += self.row.shift[lane].eq(Cat(field == 2, field == 3))
        m.d.comb += self.row.sign.eq(Cat(signs))
        return m


class DecodeGeneral(wiring.Component):
    """A row of any format of the engine for the general lanes (`SliceShape.general_signature`).

    format, code: format and scale of the block
    dense:        codes are E2M1 in four bits a lane; otherwise elements of up to 8 bits come in a
                  byte a lane, BF16 and FP16 in 16 bits an even lane, TF32 in 19
    codes:        the row's bits, lane 0 lowest
    row:          the decoded row; `scale.nan` is set for a NaN element too
    nan:          what makes the row NaN: its elements, one bit a lane, and on top its scale

    Latency: 0 (combinational); deep 1 (`EngineParameters.deep`): there what the format selects, which
    every lane waits for, comes from a register. Throughput: one row a cycle.
    """

    def __init__(self, *, shape: SliceShape, bits: int):
        self.shape = shape
        self.bits = bits
        super().__init__(
            {
                "format": In(FormatCode),
                "code": In(8),
                "dense": In(1),
                "codes": In(bits),
                "row": Out(shape.general_signature),
                "nan": Out(LANES + 1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.scale = scale = DecodeScale(shape=self.shape)
        late = {name: self._late(m, getattr(self, name), name) for name in ("format", "code", "codes", "dense")}
        m.d.comb += [scale.format.eq(late["format"]), scale.code.eq(late["code"])]
        selected, wide = self._late(m, self._select(m), "selected"), self._is_wide(m)
        rules = ElementRules(m, self._choices(0, late), selected, name="rules")
        flags: dict[str, list[Value]] = {"sign": [], "inf": [], "nan": [], "zero": []}
        for lane in range(LANES):
            half, odd = divmod(lane, 2)
            side = "odd" if odd else "even"
            significand = getattr(self.row, f"{side}_significand")[half]
            exponent = getattr(self.row, f"{side}_exponent")[half]
            choices = self._choices(lane, late)
            number = DecodedElement(m, choices, selected, rules=rules, width=len(significand), name=f"lane_{lane}")
            m.d.comb += significand.eq(number.significand)
            m.d.comb += exponent.eq(
                Mux(wide, number.biased, number.distance) if wide is not None and not odd else number.distance
            )
            zero = Signal(name=f"zero_{lane}")
            m.d.comb += zero.eq(number.significand == 0)
            for name, signal in (("sign", number.sign), ("inf", number.inf), ("nan", number.nan), ("zero", zero)):
                flags[name].append(signal)
        m.d.comb += [getattr(self.row, name).eq(Cat(flags[name])) for name in ("sign", "inf", "zero")]
        m.d.comb += assign(self.row.scale, scale.scale)
        m.d.comb += [self.nan.eq(Cat(flags["nan"], scale.scale.nan)), self.row.scale.nan.eq(self.nan.any())]
        return m

    def _select(self, m: Module) -> Signal:
        """Index of the element, one more for NVFP4, whose upper lanes are not used."""
        elements = self.shape.narrow + self.shape.wide
        selected = Signal(range(len(elements) + 2))
        with m.Switch(self.format):
            for row in self.shape.formats:
                with m.Case(FormatCode[row.name]):
                    m.d.comb += selected.eq(len(elements) if row.name == "NVFP4" else elements.index(row.element))
            with m.Default():
                m.d.comb += selected.eq(len(elements) + 1)
        return selected

    def _is_wide(self, m: Module) -> Value | None:
        """Whether the format has wide elements; None if none of the engine's has."""
        if not self.shape.wide:
            return None
        wide = Signal(name="is_wide")
        with m.Switch(self.format):
            for row in self.shape.formats:
                with m.Case(FormatCode[row.name]):
                    m.d.comb += wide.eq(row.is_wide)
        return self._late(m, wide, "is_wide")

    def _late(self, m: Module, value: ValueLike, name: str) -> Value:
        """The value; deep a cycle later."""
        return delay(m, value, int(self.shape.parameters.deep), name=name)

    def _choices(self, lane: int, late: dict[str, Value]) -> list[Choice]:
        """The elements that a lane takes, with its code and the values of `_select` that mean them."""
        elements = self.shape.narrow + self.shape.wide
        choices = []
        for element in self.shape.narrow + (self.shape.wide if lane % 2 == 0 else []):
            cases = [elements.index(element)]
            if self.shape.has_nvfp4 and element.name == "E2M1" and lane < NVFP4_LANES:
                cases.append(len(elements))
            choices.append(Choice(element=element, code=self._code(lane, element, late), cases=cases))
        return choices

    def _code(self, lane: int, element: Element, late: dict[str, Value]) -> Value:
        """The lane's code of an element, wherever the row has it."""
        if element.width > 8:
            return late["codes"][element.width * (lane // 2) :][: element.width]
        code = late["codes"][8 * lane :][: element.width]
        if element.name == "E2M1" and self.shape.rows > 1:
            return Mux(late["dense"], late["codes"][4 * lane :][:4], code)
        return code

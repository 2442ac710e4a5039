"""Decoding of the rows that reach an engine: codes and scales become signs, exponents and significands.

Ref: OCP Microscaling Formats (MX) Specification v1.0, sections 5.1 and 5.3.
"""

from collections.abc import Sequence
from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia import formats as number_formats
from mtia.formats import ELEMENTS, Scale

from ..core.arith import delay
from ..core.carry import Chains
from ..formats.code import FormatCode
from ..formats.element import DecodedElement
from ..formats.gated import GatedElement
from .lanes import NVFP4_LANES, GatedLanes, SelectedLanes, runs
from .places import places
from .shape import LANES, SliceShape, assign


def dense_codes(codes: Value, *, row: int) -> Value:
    """Those of a row of E2M1 among the codes of a slice, four bits a lane, as `DecodeDense` takes them.

    codes : bits of the slice. row : of the beat, 0 for a stationary row
        (`hdl.tensor.places.places`).
    """
    bits = [bit for lane in range(LANES) for bit in places(ELEMENTS["E2M1"], lane, row=row)]
    return Cat(codes[first:last] for first, last in runs(bits))


class DecodeScale(wiring.Component):
    """A block's scale code as exponent, significand and NaN (`SliceShape.scale_signature`).

    E8M0 is an exponent alone, 0xFF is NaN. Of an E4M3 scale (NVFP4) bit 7 is ignored and 0x7F is
    NaN; its subnormals and zero are told by the significand. docs/numerics.md, "Formats".

    Latency: 0 (combinational).

    Parameters
    ----------
    shape : of the engine.
    formats : those it must know, all of the shape's unless told. Any other gives 0 in all fields,
        and no NaN.

    Members
    -------
    format : which format the block has; formats without scales count as scale 1.
    code : the scale.
    scale : exponent + 127 + `SliceShape.top_exponent` of the format's elements; significand in
        eighths where there is NVFP4, otherwise of no scale but 1; `nan`.
    """

    def __init__(self, *, shape: SliceShape, formats: Sequence[number_formats.Format] | None = None):
        self.shape = shape
        self.formats = shape.formats if formats is None else list(formats)
        super().__init__({"format": In(FormatCode), "code": In(8), "scale": Out(shape.scale_signature)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        base, offset = Signal(8), Signal(len(self.scale.exponent))
        normal = Signal()
        m.d.comb += [normal.eq(self.code[3:7].any()), self.scale.exponent.eq(base + offset)]
        with m.Switch(self.format):
            for row in self.formats:
                top = self.shape.top_exponent(row.element)
                with m.Case(FormatCode[row.name]):
                    if row.scale is Scale.E8M0:
                        m.d.comb += [base.eq(self.code), offset.eq(top), self.scale.nan.eq(self.code.all())]
                    elif row.scale is Scale.E4M3:
                        m.d.comb += [
                            base.eq(self.code[3:7] | ~normal),
                            offset.eq(127 - ELEMENTS["E4M3"].bias + top),
                            self.scale.nan.eq(self.code[:7].all()),
                            self.scale.significand.eq(Cat(self.code[:3], normal)),
                        ]
                    else:
                        m.d.comb += offset.eq(127 + top)
        return m


class DecodeDense(wiring.Component):
    """A row of E2M1 codes as signs, significands and shifts (`SliceShape.dense_signature`).

    Magnitudes are in halves, so that no lane has an exponent. Of NVFP4, whose group is 16, the
    upper 16 lanes are zero.

    Latency: 0 (combinational).

    Parameters
    ----------
    shape : of the engine.

    Members
    -------
    format, code : format and scale of the block. Of a format whose element is not E2M1 the row
        means nothing.
    codes : four bits a lane, lane 0 the lowest.
    row : the decoded row.
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
        e2m1 = [row for row in self.shape.formats if row.element.name == "E2M1"]
        m.submodules.scale = scale = DecodeScale(shape=self.shape, formats=e2m1)
        m.d.comb += [scale.format.eq(self.format), scale.code.eq(self.code)]
        m.d.comb += assign(self.row.scale, scale.scale)
        halved = Signal()
        if self.shape.has_nvfp4:
            m.d.comb += halved.eq(self.format == FormatCode.NVFP4)
        signs = []
        for lane in range(LANES):
            code = self.codes[4 * lane :][:4]
            unused = halved if lane >= NVFP4_LANES else Const(0, 1)
            signs.append(code[3])
            normal = Mux(code[1], Cat(Const(0, 2), code[0], 1), Cat(Const(0, 1), code[0], 1))
            m.d.comb += self.row.magnitude[lane].eq(Mux(unused, 0, Mux(code[2], normal, code[:2])))
        m.d.comb += self.row.sign.eq(Cat(signs))
        return m


class DecodeGeneral(wiring.Component):
    """A row of any format of the engine for the general lanes (`SliceShape.general_signature`).

    Elements of up to 8 bits fill all 32 lanes, wider ones the even lanes only; lanes that a format
    does not use are zeros, as are all lanes of a format that the engine lacks.

    Latency: 0 (combinational); deep 1 (`EngineParameters.deep`): there what the format selects,
    which every lane waits for, comes from a register. Throughput: one row a cycle. No register has
    a reset.

    Parameters
    ----------
    shape : of the engine.
    bits : of `codes`: `SliceShape.stationary_bits` or `streamed_bits`.

    Members
    -------
    format, code : format and scale of the block.
    codes : the row's bits (`places`).
    row : the decoded row; `scale.nan` is set for a NaN element too.
    nan : what makes the row NaN: its elements, one bit a lane, and on top its scale. It is there
        for those who bring it together after a register of their own.
    """

    def __init__(self, *, shape: SliceShape, bits: int):
        self.shape = shape
        self.bits = bits
        super().__init__(
            {
                "format": In(FormatCode),
                "code": In(8),
                "codes": In(bits),
                "row": Out(shape.general_signature),
                "nan": Out(LANES + 1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.scale = scale = DecodeScale(shape=self.shape)
        for name in ("format", "code"):
            late = delay(m, getattr(self, name), int(self.shape.parameters.deep), name=name)
            m.d.comb += getattr(scale, name).eq(late)
        flags: dict[str, list[Value]] = {"sign": [], "inf": [], "nan": [], "zero": []}
        for lane, number in enumerate(self._numbers(m, platform)):
            half, odd = divmod(lane, 2)
            side = "odd" if odd else "even"
            m.d.comb += getattr(self.row, f"{side}_significand")[half].eq(number.significand)
            m.d.comb += getattr(self.row, f"{side}_exponent")[half].eq(number.distance)
            zero = Signal(name=f"zero_{lane}")
            m.d.comb += zero.eq(number.significand == 0)
            for name, signal in (("sign", number.sign), ("inf", number.inf), ("nan", number.nan), ("zero", zero)):
                flags[name].append(signal)
        m.d.comb += [getattr(self.row, name).eq(Cat(flags[name])) for name in ("sign", "inf", "zero")]
        m.d.comb += assign(self.row.scale, scale.scale)
        m.d.comb += [self.nan.eq(Cat(flags["nan"], scale.scale.nan)), self.row.scale.nan.eq(self.nan.any())]
        return m

    def _numbers(self, m: Module, platform: object) -> Sequence[DecodedElement | GatedElement]:
        """The elements of all lanes."""
        row: dict[str, Any] = {"format": self.format, "codes": self.codes}
        if self.shape.parameters.cells == "generic":
            return SelectedLanes(m, shape=self.shape, **row).decode()
        return GatedLanes(m, shape=self.shape, **row).decode(Chains(m, platform))

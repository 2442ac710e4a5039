"""What a lane of the reductions does in FP32, and the rounding of its result to the format in memory.

Ref: IEEE 754-2019, sections 4.3.1 (roundTiesToEven), 7.4 (overflow) and 9.6 (maximum, minimum).
"""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..core.arith import delay, shift_right_sticky
from ..formats.float32 import CANONICAL_NAN, Float32
from ..tensor.add_float32 import AddFloat32
from .reduce_format import ReduceKind

#: biased exponent in FP32 of the least normal number of FP16
_FP16_LEAST = 113


class CombineFloat32(wiring.Component):
    """SUM, MAX or MIN of two FP32 numbers, or the second one (COPY).

    SUM rounds to nearest even; MAX and MIN take -0 as less than +0; of these, a NaN result is
    0x7FC00000.

    Latency: 4 cycles. Throughput: one a cycle. No back-pressure and no valid.

    Members
    -------
    kind : of `ReduceKind`, with the operands.
    a, b : `Float32`; which is which matters to COPY alone.
    result : `Float32`.
    """

    kind: In(ReduceKind)
    a: In(Float32)
    b: In(Float32)
    result: Out(Float32)

    #: cycles from the operands to the result
    latency = AddFloat32.latency_of(deep=False)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.add = add = AddFloat32()
        nan, larger, first = Signal(), Signal(), Signal()
        chosen = Signal(32)
        m.d.comb += [add.a.eq(self.a), add.b.eq(self.b)]
        m.d.comb += [
            nan.eq(self._is_nan(self.a) | self._is_nan(self.b)),
            larger.eq(self._order(m, self.a, "a") > self._order(m, self.b, "b")),
            first.eq(larger ^ (self.kind == ReduceKind.MIN)),
        ]
        with m.If(self.kind == ReduceKind.COPY):
            m.d.comb += chosen.eq(self.b)
        with m.Elif(nan):
            m.d.comb += chosen.eq(CANONICAL_NAN)
        with m.Else():
            m.d.comb += chosen.eq(Mux(first, self.a.as_value(), self.b.as_value()))
        is_sum = delay(m, self.kind == ReduceKind.SUM, self.latency, name="is_sum")
        chosen = delay(m, chosen, self.latency, name="chosen")
        m.d.comb += self.result.eq(Mux(is_sum, add.result.as_value(), chosen))
        return m

    @staticmethod
    def _is_nan(number: Value) -> Value:
        return number.exponent.all() & number.mantissa.any()

    @staticmethod
    def _order(m: Module, number: Value, name: str) -> Signal:
        """An unsigned number in the order of the FP32 numbers, -0 below +0."""
        order = Signal(32, name=f"order_{name}")
        m.d.comb += order.eq(Cat(number.as_value()[:31] ^ number.sign.replicate(31), ~number.sign))
        return order


class Narrow(wiring.Component):
    """RNE of an FP32 number to BF16 or FP16: subnormals kept, overflow to infinity, NaN 0x7FC0 or 0x7E00.

    Latency: 1 cycle; the rounding itself comes after the register. Throughput: one a cycle.

    Members
    -------
    fp16 : 1 for FP16, 0 for BF16.
    number : `Float32`.
    result : the 16 bits.
    """

    fp16: In(1)
    number: In(Float32)
    result: Out(16)

    #: cycles from a number to its rounding
    latency = 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        number, exponent = self.number, self.number.exponent
        below, distance = Signal(), Signal(5)
        fp16, sign, nan, over = (Signal(name=name, reset_less=True) for name in ("fp16_1", "sign", "nan", "over"))
        kept = Signal(32, reset_less=True)
        field = Signal(8, reset_less=True)
        significand = Signal(24)
        m.d.comb += [
            below.eq(exponent < _FP16_LEAST),
            distance.eq(Mux(below, Mux(exponent < _FP16_LEAST - 31, 31, _FP16_LEAST - exponent), 0)),
            significand.eq(Cat(number.mantissa, exponent.any())),
        ]
        shifted = shift_right_sticky(m, significand, distance, name="subnormal")
        m.d.sync += [
            fp16.eq(self.fp16),
            sign.eq(number.sign),
            nan.eq(exponent.all() & number.mantissa.any()),
            over.eq(self.fp16 & (exponent > _FP16_LEAST + 29)),
            # What is kept of either has its last place in bit 16.
            kept.eq(Mux(self.fp16, shifted << 3, number.mantissa)),
            field.eq(Mux(self.fp16, Mux(below, 0, exponent - _FP16_LEAST), exponent)),
        ]
        up, packed, result = Signal(), Signal(16), Signal(15)
        m.d.comb += [
            up.eq(kept[15] & (kept[:15].any() | kept[16])),
            # FP16's hidden bit adds one to the field, a carry out of the mantissa another.
            packed.eq(Mux(fp16, field[:5] << 10, field << 7) + kept[16:] + up),
        ]
        with m.If(nan):
            m.d.comb += result.eq(Mux(fp16, 0x7E00, 0x7FC0))
        with m.Elif(over):
            m.d.comb += result.eq(0x7C00)
        with m.Else():
            m.d.comb += result.eq(packed)
        m.d.comb += self.result.eq(Cat(result, sign & ~nan))
        return m

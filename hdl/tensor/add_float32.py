"""FP32 addition.

Ref: IEEE 754-2019, sections 5.4.1 (addition), 4.3.1 (roundTiesToEven), 6.3 (the sign of a zero sum).
"""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..core.arith import delay, leading_zeros, shift_right_sticky
from ..formats.float32 import CANONICAL_NAN, Float32

#: 24 bits of significand, guard, round and sticky
_BITS = 27


class AddFloat32(wiring.Component):
    """``RNE_fp32(a + b)``: subnormals kept, overflow to infinity, every NaN result is 0x7FC00000.

    NaN comes of a NaN operand and of infinities of both signs; otherwise an infinite operand is the
    result. An exact zero is +0, but for -0 + -0, which is -0. Bit for bit as IEEE 754 but for the
    payload of NaN.

    Latency: `latency` cycles (4, deep 8). Throughput: one addition a cycle. No back-pressure and no
    valid: what goes in comes out so many cycles later. No register has a reset.

    Parameters
    ----------
    deep : registers after the comparison, after the alignment and between the steps of the
        normalization too (`EngineParameters.deep`): the same bits at the clock rates of FPGAs.

    Members
    -------
    a, b : `Float32`, the terms, in any order: the sum does not depend on it.
    result : `Float32`, their sum.
    """

    a: In(Float32)
    b: In(Float32)
    result: Out(Float32)

    def __init__(self, *, deep: bool = False):
        self.deep = deep
        super().__init__()

    @property
    def latency(self) -> int:
        """Cycles from the operands to their sum."""
        return self.latency_of(deep=self.deep)

    @staticmethod
    def latency_of(*, deep: bool) -> int:
        """`latency` with or without `deep`."""
        return 8 if deep else 4

    def elaborate(self, platform: object) -> Module:
        m = Module()
        nan, inf, inf_sign = self._specials(m)
        big, small, sign, subtract, exponent, distance = self._order(m)
        align, registered = (1, (8, 2)) if self.deep else (0, ())
        shifted = delay(m, shift_right_sticky(m, small << 3, distance, name="align"), align, name="aligned")
        big, invert = delay(m, big, align, name="big"), delay(m, subtract, align, name="invert")
        total = Signal(_BITS + 1, reset_less=True)
        m.d.sync += total.eq((big << 3) + (shifted ^ invert.replicate(_BITS + 1)) + invert)
        limit = delay(m, exponent, align + 1, name="limit")
        count, normalized = leading_zeros(m, total, name="zeros", limit=limit, registered=registered)
        late = align + 1 + len(registered)
        kept = Signal(_BITS + 1, reset_less=True)
        field = Signal(8, reset_less=True)
        m.d.sync += kept.eq(normalized)
        m.d.sync += field.eq(Mux(normalized[-1], delay(m, exponent, late, name="exponent") - count, 0))
        zero_sign = delay(m, sign & ~subtract, late + 1, name="zero_sign")
        sign = delay(m, sign, late + 1, name="sign")
        # A deep addition decides on rounding a cycle before, in the last and shortest step of the normalization.
        decided = normalized if self.deep else kept
        up = delay(m, decided[3] & (decided[:3].any() | decided[4]), int(self.deep), name="up")
        packed = Signal(31)
        # The hidden bit adds one to the field, a carry out of the mantissa another.
        m.d.comb += packed.eq(Cat(Const(0, 23), field) + kept[4:] + up)
        negative, overflow = Signal(), Signal()
        m.d.comb += negative.eq(Mux(kept.any(), sign, zero_sign))
        m.d.comb += overflow.eq(packed[23:].all())
        result = Signal(Float32, reset_less=True)
        with m.If(nan):
            m.d.sync += result.eq(CANONICAL_NAN)
        with m.Elif(inf):
            m.d.sync += result.eq(Cat(Const(0, 23), Const(0xFF, 8), inf_sign))
        with m.Else():
            m.d.sync += result.eq(Cat(Mux(overflow, 0, packed[:23]), packed[23:], negative))
        m.d.comb += self.result.eq(result)
        return m

    def _specials(self, m: Module) -> tuple[Value, Value, Value]:
        """Whether the sum is NaN, whether it is infinite and with which sign, before the last register."""
        operands = (self.a, self.b)
        infinite = [Signal(name=f"{name}_inf") for name in "ab"]
        invalid = [Signal(name=f"{name}_nan") for name in "ab"]
        for operand, inf, nan in zip(operands, infinite, invalid, strict=True):
            m.d.comb += inf.eq(operand.exponent.all() & ~operand.mantissa.any())
            m.d.comb += nan.eq(operand.exponent.all() & operand.mantissa.any())
        cancel = infinite[0] & infinite[1] & (self.a.sign ^ self.b.sign)
        found = Cat(
            invalid[0] | invalid[1] | cancel, infinite[0] | infinite[1], Mux(infinite[0], self.a.sign, self.b.sign)
        )
        nan, inf, sign = delay(m, found, self.latency - 1, name="specials")
        return nan, inf, sign

    def _order(self, m: Module) -> tuple[Signal, Signal, Signal, Signal, Signal, Signal]:
        """Significands of the larger and smaller operand, sign, effective subtraction, exponent, distance."""
        compared = int(self.deep)
        larger = Signal()
        m.d.comb += larger.eq(self.b.as_value()[:31] > self.a.as_value()[:31])
        swap = delay(m, larger, compared, name="swap")
        operands = [
            delay(m, operand.as_value(), compared, name=name) for name, operand in (("a", self.a), ("b", self.b))
        ]
        high, low = Signal(Float32), Signal(Float32)
        m.d.comb += [high.eq(Mux(swap, *reversed(operands))), low.eq(Mux(swap, *operands))]
        exponents = []
        significands = []
        for name, operand in (("big", high), ("small", low)):
            normal = Signal(name=f"{name}_normal")
            exponent = Signal(8, name=f"{name}_exponent")
            significand = Signal(24, name=name, reset_less=True)
            m.d.comb += normal.eq(operand.exponent.any())
            m.d.comb += exponent.eq(operand.exponent | ~normal)
            m.d.sync += significand.eq(Cat(operand.mantissa, normal))
            exponents.append(exponent)
            significands.append(significand)
        sign, subtract = Signal(reset_less=True), Signal(reset_less=True)
        exponent, distance = Signal(8, reset_less=True), Signal(5, reset_less=True)
        difference = Signal(8)
        if self.deep:
            # Both differences at once, so that the comparison and the subtraction do not wait for each other.
            a, b = (operand.exponent | ~operand.exponent.any() for operand in (self.a, self.b))
            b_less_a, a_less_b = (
                delay(m, (b - a)[:8], compared, name="b_less_a"),
                delay(m, (a - b)[:8], compared, name="a_less_b"),
            )
            m.d.comb += difference.eq(Mux(swap, b_less_a, a_less_b))
        else:
            m.d.comb += difference.eq(exponents[0] - exponents[1])
        m.d.sync += [
            sign.eq(high.sign),
            subtract.eq(high.sign ^ low.sign),
            exponent.eq(exponents[0]),
            distance.eq(Mux(difference > 31, 31, difference)),
        ]
        return significands[0], significands[1], sign, subtract, exponent, distance

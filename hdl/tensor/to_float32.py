"""A group sum times its scales, rounded once to FP32.

Ref: IEEE 754-2019, section 4.3.1 (roundTiesToEven), section 7.4 (overflow).
"""

from amaranth import *
from amaranth.hdl import ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..core.arith import delay, leading_zeros, shift_right_sticky
from ..formats.float32 import CANONICAL_NAN, Float32
from .shape import EXPONENT

#: kept of a normalized sum before rounding: 24 bits of FP32, a guard bit and a sticky bit
_KEPT = 26
#: bits of the product of two E4M3 significands
_SIGNIFICAND = 8
#: bits of a sum of up to 32 products of E2M1 elements
_SMALL = 13
#: biased FP32 exponent of a sum whose top bit is set, less the sum of the blocks' exponents
_OFFSET = -121


class ToFloat32(wiring.Component):
    """Normalizes, scales and rounds a group sum (docs/numerics.md, "Scale" and "Accumulate").

    width:       bits of the magnitude
    deep:        registers between the steps of the normalization too (`EngineParameters.deep`)
    significand: whether block scales may have significands (NVFP4); these multiply the upper 13
                 bits, where alone a sum of E2M1 products has any

    negative, magnitude, exponent, nan, pos_inf, neg_inf: as `GroupSum` gives them
    scaled:      multiply by `scale`, the product of both significands in 1/64
    result:      FP32, rounded to nearest even, subnormals kept, overflow to infinity; NaN is
                 0x7FC00000

    Latency: `latency` cycles (3, deep 7; with significands one more). Throughput: one sum a cycle.
    """

    def __init__(self, *, width: int, significand: bool, deep: bool = False):
        if width < _SMALL:
            raise ValueError(f"Width must be at least {_SMALL}, not {width!r}")
        self.width = width
        self.significand = significand
        self.deep = deep
        self._width = max(width, _SMALL + _SIGNIFICAND) if significand else width
        ports = {
            "negative": In(1),
            "magnitude": In(width),
            "exponent": In(EXPONENT),
            "nan": In(1),
            "pos_inf": In(1),
            "neg_inf": In(1),
            "result": Out(Float32),
        }
        super().__init__(ports | ({"scaled": In(1), "scale": In(_SIGNIFICAND)} if significand else {}))

    @property
    def latency(self) -> int:
        """Cycles from a sum to its FP32 value."""
        return self.latency_of(significand=self.significand, deep=self.deep)

    @staticmethod
    def latency_of(*, significand: bool, deep: bool = False) -> int:
        """`latency` with or without significands and deep."""
        return 3 + significand + 4 * deep

    def elaborate(self, platform: object) -> Module:
        m = Module()
        magnitude, exponent = self._scale(m) if self.significand else (self.magnitude, self.exponent + _OFFSET)
        coarse = 16 if len(magnitude) > 16 else 8
        registered = (coarse, 4, 1) if self.deep else (8, 1)
        count, normalized = leading_zeros(m, magnitude, name="zeros", registered=registered)
        kept = Signal(_KEPT)
        if len(normalized) >= _KEPT:
            m.d.comb += kept.eq(Cat(normalized[: -_KEPT + 1].any(), normalized[-_KEPT + 1 :]))
        else:
            m.d.comb += kept.eq(normalized << (_KEPT - len(normalized)))
        exponent = delay(m, exponent, len(registered), name="exponent")
        late = len(registered) + self.significand + 3 * self.deep
        sign = delay(m, self.negative, late, name="sign")
        finite = self._round(m, sign, exponent, count, kept)
        nan, pos_inf, neg_inf = (
            delay(m, getattr(self, name), late, name=name) for name in ("nan", "pos_inf", "neg_inf")
        )
        result = Signal(Float32, reset_less=True)
        with m.If(nan):
            m.d.sync += result.eq(CANONICAL_NAN)
        with m.Elif(pos_inf | neg_inf):
            m.d.sync += result.eq(Cat(Const(0, 23), Const(0xFF, 8), neg_inf))
        with m.Else():
            m.d.sync += result.eq(finite)
        m.d.comb += self.result.eq(result)
        return m

    def _scale(self, m: Module) -> tuple[Value, Value]:
        """Multiply by the significands where there are any; a cycle later."""
        spare = self._width - len(self.magnitude)
        magnitude = Signal(self._width, reset_less=True)
        exponent = Signal(signed(EXPONENT + 1), reset_less=True)
        product = Signal(_SMALL + _SIGNIFICAND)
        m.d.comb += product.eq(self.magnitude[-_SMALL:] * self.scale)
        with m.If(self.scaled):
            m.d.sync += magnitude.eq(product << (self._width - len(product)))
        with m.Else():
            m.d.sync += magnitude.eq(self.magnitude << spare)
        m.d.sync += exponent.eq(self.exponent + Mux(self.scaled, _OFFSET + 2, _OFFSET))
        return magnitude, exponent

    def _round(self, m: Module, sign: Value, exponent: Value, count: Value, kept: Value) -> Signal:
        """FP32 bits of the normalized sum `kept`, whose top bit has the biased exponent `exponent - count`."""
        leading, normalized = self._cut(m, exponent - count, "leading"), self._cut(m, kept, "normalized")
        below, is_subnormal, distance = Signal(signed(EXPONENT + 3)), Signal(), Signal(5)
        m.d.comb += [below.eq(1 - leading), is_subnormal.eq(below > 0)]
        m.d.comb += distance.eq(Mux(is_subnormal, Mux(below[5:].any(), 31, below), 0))
        base, kept = self._cut(m, leading, "base"), self._cut(m, normalized, "kept")
        subnormal, amount = self._cut(m, is_subnormal, "subnormal"), self._cut(m, distance, "amount")
        # The hidden bit, still there after the shift, adds one to the field; a carry out of the mantissa another.
        field = self._cut(m, Mux(subnormal, 0, base - 1)[:8], "field")
        overflow, zero = self._cut(m, base > 254, "overflow"), self._cut(m, ~kept[-1], "zero")
        shifted = self._cut(m, shift_right_sticky(m, kept, amount, name="subnormal"), "shifted")
        up, packed, bits = Signal(), Signal(32), Signal(32)
        m.d.comb += up.eq(shifted[1] & (shifted[0] | shifted[2]))
        m.d.comb += packed.eq(Cat(Const(0, 23), field) + shifted[2:] + up)
        with m.If(zero):
            m.d.comb += bits.eq(0)
        with m.Elif(overflow):
            m.d.comb += bits.eq(Cat(Const(0, 23), Const(0xFF, 8), sign))
        with m.Else():
            m.d.comb += bits.eq(Cat(packed[:31], sign))
        return bits

    def _cut(self, m: Module, value: ValueLike, name: str) -> Signal:
        """A signal for `value`; if the conversion is deep, a register."""
        signal = Signal(Value.cast(value).shape(), name=f"{name}_cut", reset_less=True)
        domain = m.d.sync if self.deep else m.d.comb
        domain += signal.eq(value)
        return signal

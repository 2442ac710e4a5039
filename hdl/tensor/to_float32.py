"""A group sum times its scales, rounded once to FP32.

Ref: IEEE 754-2019, section 4.3.1 (roundTiesToEven), section 7.4 (overflow).
"""

from amaranth import *
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
    significand: whether block scales may have significands (NVFP4); these multiply the upper 13
                 bits, where alone a sum of E2M1 products has any

    negative, magnitude, exponent, nan, pos_inf, neg_inf: as `GroupSum` gives them
    scaled:      multiply by `scale`, the product of both significands in 1/64
    result:      FP32, rounded to nearest even, subnormals kept, overflow to infinity; NaN is
                 0x7FC00000

    Latency: `latency` cycles (3; with significands 4). Throughput: one sum a cycle.
    """

    def __init__(self, *, width: int, significand: bool):
        if width < _SMALL:
            raise ValueError(f"Width must be at least {_SMALL}, not {width!r}")
        self._significand = significand
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
        return self.latency_of(significand=self._significand)

    @staticmethod
    def latency_of(*, significand: bool) -> int:
        """`latency` with or without significands."""
        return 4 if significand else 3

    def elaborate(self, platform: object) -> Module:
        m = Module()
        magnitude, exponent = self._scale(m) if self._significand else (self.magnitude, self.exponent + _OFFSET)
        first = 1 if self._significand else 0
        count, normalized = leading_zeros(m, magnitude, name="zeros", registered=(8, 1))
        kept = Signal(_KEPT)
        if len(normalized) >= _KEPT:
            m.d.comb += kept.eq(Cat(normalized[: -_KEPT + 1].any(), normalized[-_KEPT + 1 :]))
        else:
            m.d.comb += kept.eq(normalized << (_KEPT - len(normalized)))
        base = Signal(signed(EXPONENT + 2))
        m.d.comb += base.eq(delay(m, exponent, 2, name="exponent") - count)
        late = first + 2
        sign = delay(m, self.negative, late, name="sign")
        finite = self._round(m, sign, base, kept)
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

    def _round(self, m: Module, sign: Value, base: Signal, kept: Signal) -> Signal:
        """FP32 bits of the normalized sum `kept`, whose top bit has the biased exponent `base`."""
        subnormal = Signal()
        shifted = Signal(_KEPT)
        amount = Signal(5)
        below = Signal(signed(len(base) + 1))
        m.d.comb += [subnormal.eq(base < 1), below.eq(1 - base)]
        m.d.comb += amount.eq(Mux(subnormal, Mux(below > 31, 31, below), 0))
        m.d.comb += shifted.eq(shift_right_sticky(m, kept, amount, name="subnormal"))
        up = Signal()
        field = Signal(8)
        packed = Signal(32)
        m.d.comb += up.eq(shifted[1] & (shifted[0] | shifted[2]))
        # The hidden bit, still there, adds one to the field; a carry out of the mantissa adds another.
        m.d.comb += field.eq(Mux(subnormal, 0, base - 1))
        m.d.comb += packed.eq(Cat(Const(0, 23), field) + shifted[2:] + up)
        bits = Signal(32)
        with m.If(~kept[-1]):
            m.d.comb += bits.eq(0)
        with m.Elif(base > 254):
            m.d.comb += bits.eq(Cat(Const(0, 23), Const(0xFF, 8), sign))
        with m.Else():
            m.d.comb += bits.eq(Cat(packed[:31], sign))
        return bits

"""A group sum times its scales, rounded once to FP32.

Ref: IEEE 754-2019, section 4.3.1 (roundTiesToEven), section 7.4 (overflow).
"""

from amaranth import *
from amaranth.hdl import ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ..core.arith import delay
from ..core.carry import Chains, multiply
from ..formats.float32 import CANONICAL_NAN, Float32
from .shape import EXPONENT

#: kept of a normalized sum before rounding: 24 bits of FP32, a guard bit and a sticky bit
_KEPT = 26
#: places that a sum is shifted right first if its top bit lies below the least exponent of FP32
_RIGHT = 32
#: bits of the product of two E4M3 significands
_SIGNIFICAND = 8
#: bits of a sum of up to 32 products of E2M1 elements
_SMALL = 13
#: biased FP32 exponent of a sum whose top bit is set, less the sum of the blocks' exponents
_OFFSET = -121


class ToFloat32(wiring.Component):
    """Normalizes, scales and rounds a group sum (docs/numerics.md, "Scale" and "Accumulate").

    The sum times both scales is exact until the one rounding at the end.

    Latency: `latency` cycles (3, deep 7; with significands one more). Throughput: one sum a cycle,
    no back-pressure. No register has a reset.

    Parameters
    ----------
    width : bits of the magnitude, at least 13.
    significand : whether block scales may have significands (NVFP4); these multiply the upper 13
        bits, where alone a sum of E2M1 products has any.
    deep : registers between the steps of the normalization too (`EngineParameters.deep`).
    cells : as `EngineParameters.cells`.

    Members
    -------
    negative, magnitude, exponent, nan, pos_inf, neg_inf : as `GroupSum` gives them.
    scaled : multiply by `scale`, the product of both significands in 1/64; both come with the sum
        (only if `significand`).
    scale : that product.
    result : FP32, rounded to nearest even, subnormals kept, overflow to infinity; zero is +0; NaN
        is 0x7FC00000.

    Raises ValueError for a `width` below 13.
    """

    def __init__(self, *, width: int, significand: bool, deep: bool = False, cells: str = "generic"):
        if width < _SMALL:
            raise ValueError(f"Width must be at least {_SMALL}, not {width!r}")
        self.width = width
        self.significand = significand
        self.deep = deep
        self.cells = cells
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
        magnitude, below_top = self._scale(m, platform)
        limit = Signal(self._steps)
        above, low = below_top[self._steps : -1], below_top[: ceil_log2(_RIGHT)]
        is_small = below_top[-1]
        bounded = Mux(above.any(), -1, below_top[: self._steps])
        m.d.comb += limit.eq(Mux(is_small, Mux(below_top >= -_RIGHT, low, 0), bounded))
        below_top = self._cut(m, below_top, "below_top")
        count, kept = self._normalize(
            m, self._cut(m, magnitude, "magnitude"), self._cut(m, limit, "limit"), self._cut(m, is_small, "is_small")
        )
        late = len(self._registered) + self.significand + 3 * self.deep
        exponent = self._cut(m, delay(m, below_top, len(self._registered), name="exponent") + 1 - count, "leading")
        kept = self._cut(m, kept, "normalized")
        finite = self._round(m, exponent, kept, delay(m, self.negative, late, name="sign"))
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

    @property
    def _registered(self) -> tuple[int, ...]:
        """Distances of the normalization whose step ends in a register."""
        return (16, 4, 1) if self.deep else (8, 1)

    @property
    def _steps(self) -> int:
        """Steps of the normalization: of all bits of a sum, and of all after the shift of a small one."""
        return max(ceil_log2(self._width), ceil_log2(_RIGHT) + 1)

    def _scale(self, m: Module, platform: object) -> tuple[Value, Value]:
        """The sum times the significands, a cycle later if there can be any, and its exponent.

        The exponent is the biased one of FP32 for the top bit, less one: how far a sum may be shifted left.
        """
        below_top = Signal(signed(EXPONENT + 2), reset_less=True)
        if not self.significand:
            m.d.comb += below_top.eq(self.exponent + (_OFFSET - 1))
            return self.magnitude, below_top
        upper = self.magnitude[-_SMALL:]
        if self.cells == "generic":
            product = upper * self.scale
        else:
            product = multiply(Chains(m, platform), {"scaled": (upper, self.scale)})[0]
        whole = Cat(Const(0, self._width - len(self.magnitude)), self.magnitude)
        start = self._width - len(product)
        magnitude = Signal(self._width, reset_less=True)
        # below the product's lowest bit a sum that is scaled has nothing
        m.d.sync += magnitude.eq(Cat(whole[:start], Mux(self.scaled, product, whole[start:])))
        m.d.sync += below_top.eq(self.exponent + Mux(self.scaled, _OFFSET + 1, _OFFSET - 1))
        return magnitude, below_top

    def _normalize(self, m: Module, magnitude: Value, limit: Value, is_small: Value) -> tuple[Value, Value]:
        """Shift left by the leading zeros, at most by `limit`, a small sum first right by `_RIGHT`.

        Returns how far, and the upper bits with an OR of those below them. A step keeps what later ones may
        still shift up and adds the rest to that OR.
        """
        current, count, sticky = magnitude, Const(0, 0), Const(0, 1)
        for step in reversed(range(self._steps)):
            distance, size = 1 << step, len(current)
            longer = size + (_RIGHT if distance == _RIGHT else 0)
            length = min(_KEPT - 2 + distance, longer)
            taken = Signal(name=f"taken_{distance}")
            m.d.comb += taken.eq((current[-distance:] == 0) & limit[step] if distance < size else 0)
            here = Cat(Const(0, longer - size), current)
            moved = Mux(taken, Value.cast(here << distance)[:longer], here)
            lost = ~taken & here[: longer - length].any()
            if distance == _RIGHT:
                moved = Mux(is_small, current, moved)
                lost = lost | (is_small & current[: longer - length].any())
            if step:
                # at the limit's bit, and a one among the bits above it: the zeros decide from here on
                rest = limit[:step] | (limit[step] & ~taken).replicate(step)
                limit = self._step(m, rest, f"left_{distance}", distance)
            parts = {"step": moved[longer - length :], "count": Cat(taken, count), "sticky": sticky | lost}
            current, count, sticky = (
                self._step(m, value, f"{name}_{distance}", distance) for name, value in parts.items()
            )
        spare = max(0, _KEPT - 1 - len(current))
        return count, Cat(sticky, Const(0, spare), current)

    def _step(self, m: Module, value: Value, name: str, distance: int) -> Signal:
        """A signal for a result of a step, a register where the step ends in one."""
        signal = Signal(len(value), name=name, reset_less=True)
        domain = m.d.sync if distance in self._registered else m.d.comb
        domain += signal.eq(value)
        return signal

    def _round(self, m: Module, exponent: Value, kept: Value, sign: Value) -> Signal:
        """FP32 bits of `kept`, whose top bit has the biased exponent `exponent`; no top bit: a subnormal or zero."""
        hidden = kept[-1]
        field = self._cut(m, Mux(hidden, exponent[:8], 0), "field")
        overflow = self._cut(m, hidden & (exponent[8:-1].any() | exponent[:8].all()), "overflow")
        zero = self._cut(m, ~kept.any(), "zero")
        up = self._cut(m, kept[1] & (kept[0] | kept[2]), "up")
        mantissa = self._cut(m, kept[2:-1], "mantissa")
        packed, bits = Signal(31), Signal(32)
        m.d.comb += packed.eq(Cat(mantissa, field) + up)
        with m.If(overflow):
            m.d.comb += bits.eq(Cat(Const(0, 23), Const(0xFF, 8), sign))
        with m.Else():
            m.d.comb += bits.eq(Cat(packed, sign & ~zero))
        return bits

    def _cut(self, m: Module, value: ValueLike, name: str) -> Signal:
        """A signal for `value`; if the conversion is deep, a register."""
        signal = Signal(Value.cast(value).shape(), name=f"{name}_cut", reset_less=True)
        domain = m.d.sync if self.deep else m.d.comb
        domain += signal.eq(value)
        return signal

"""One lane of the quantiser: an FP32 value, scaled by a power of two, rounded once to an element's code.

Ref: OCP Microscaling Formats (MX) Specification v1.0, sections 5.3 and 6.3.
"""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from ..core.arith import delay, shift_right_sticky
from ..core.checks import require_int
from ..formats.float32 import Float32
from .quantize_shape import RANDOM_BITS, QuantizerShape


class ElementConverter(wiring.Component):
    """Rounds ``value / scale`` to an element and saturates it (docs/numerics.md, "Elements").

    The body of a code is ``exponent field : mantissa`` read as one number, of which the subnormals
    are the start: a carry out of the mantissa moves the exponent by itself. The hidden bit of a
    normal element stays in the sum, so its exponent field enters one lower. An integer is all
    subnormals.

    Latency: `early` + `QuantizerShape.element_latency` cycles from `value`. Throughput: one value a
    cycle, no back-pressure. No register has a reset.

    Parameters
    ----------
    shape : what the quantiser is built for.
    early : cycles that `value` and `random` come before the block's `control`, more than those that
        normalizing FP32's subnormals takes.

    Members
    -------
    value : FP32, subnormals included; Inf and NaN only where `control` is void.
    random : rounds up where it carries out of the fraction, if `control` asks for that (only if
        `shape.stochastic`).
    control : settings of the block (`QuantizerShape.control_layout`).
    code : right-aligned, upper bits zero.

    Raises TypeError or ValueError for an `early` that is no integer or too small.
    """

    def __init__(self, *, shape: QuantizerShape, early: int):
        self._shape = shape
        self._early = require_int("Early", early, low=shape.normalizing_latency + 1)
        ports = {"value": In(Float32), "control": In(shape.control_layout), "code": Out(8)}
        super().__init__(ports | ({"random": In(RANDOM_BITS)} if shape.stochastic else {}))

    @property
    def shape(self) -> QuantizerShape:
        """What the quantiser is built for."""
        return self._shape

    @property
    def early(self) -> int:
        """Cycles that the value comes before the settings."""
        return self._early

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shape, latency, after_distance = self.shape, self.shape.element_latency, self.shape.distance_latency
        exponent, significand = self._normalize(m)
        amount, field = self._distance(m, exponent)
        shifted = shift_right_sticky(m, significand, amount, name="shifted")

        sign = Signal()
        m.d.comb += sign.eq(delay(m, self.value.sign, self.early, name="sign") & ~self.control.void)
        sign_middle = delay(m, sign, after_distance, name="sign_middle")
        sign_late = delay(m, sign_middle, latency - after_distance, name="sign_late")
        # -(whole + up) is ~whole + ~up
        flip = Signal()
        m.d.comb += flip.eq(sign_middle & self._setting(m, "integer", after_distance))
        whole = Signal(shape.body + 1)
        m.d.comb += whole.eq(Cat(shifted[shape.fraction + 1 :] ^ flip.replicate(shape.mantissa + 1), flip))
        up = self._up(m, shifted, flip)

        total = Signal(shape.body + 2)
        rounded = Signal(shape.body + 1)
        over = Signal()
        code = Signal(shape.body + 1)
        largest, after, integer, sign_bit = (
            self._setting(m, name, latency) for name in ("largest", "after", "integer", "sign")
        )
        m.d.comb += total.eq(Cat(Const(1, 1), delay(m, whole, latency - after_distance, name="whole")) + Cat(up, field))
        m.d.comb += rounded.eq(total[1:])
        # A body is at most one place of the mantissa above the code after the largest; integers never are.
        m.d.comb += over.eq(((rounded | ~after).all() | rounded[-1]) & ~integer)
        m.d.comb += code.eq(Mux(over, largest, rounded) | Mux(sign_late, sign_bit, 0))
        m.d.comb += self.code.eq(code)
        return m

    def _setting(self, m: Module, name: str, cycles: int) -> Value:
        """A setting of the format some cycles later: a field of `control`, or a constant where formats agree."""
        bits, values = self.shape.lane_settings[name]
        if len(set(values)) == 1:
            return Const(values[0], bits)
        return delay(m, self.control[name], cycles, name=name)

    def _normalize(self, m: Module) -> tuple[Value, Value]:
        """The value without its sign, FP32's subnormals made normal.

        Returns the biased exponent when the settings arrive, and with the distance the significand: `kept`
        bits from the leading one down above a bit that stands for all lower ones.
        """
        shape, steps, latency = self.shape, self.shape.normalizing_steps, self.shape.normalizing_latency
        stored = delay(m, self.value.exponent, latency, name="stored")
        bits: Value = Cat(self.value.mantissa, self.value.exponent.any())
        zeros: Value = Const(0, 0)
        # those that may stay: what is kept, and what the steps may shift in
        drop = max(len(bits) - shape.kept - (1 << steps) + 1, 0)
        sticky, bits = bits[:drop].any(), bits[drop:]
        for step in reversed(range(steps)):
            distance = 1 << step
            drop = max(len(bits) - shape.kept - distance + 1, 0)
            empty = Signal(name=f"empty_{distance}")
            lost = Signal(name=f"lost_{distance}")
            moved = Signal(len(bits), name=f"moved_{distance}")
            m.d.comb += empty.eq(~bits[-distance:].any())
            m.d.comb += lost.eq(sticky | (bits[:drop].any() & ~empty))
            m.d.comb += moved.eq(Mux(empty, bits << distance, bits))
            cycles = int(step < latency)
            bits = delay(m, moved[drop:], cycles, name=f"bits_{distance}")
            sticky = delay(m, lost, cycles, name=f"sticky_{distance}")
            zeros = delay(m, Cat(empty, zeros), cycles, name=f"zeros_{distance}")
        several = Signal()
        subnormal = Signal()
        exponent = Signal(signed(9), reset_less=True)
        m.d.comb += [several.eq(zeros > 1), subnormal.eq(zeros.any())]
        m.d.sync += [
            exponent[:steps].eq(Mux(subnormal, 1 - zeros, stored)),
            exponent[steps:].eq(Mux(several, -1, stored[steps:])),
        ]
        rest = self.early - latency
        return (
            delay(m, exponent, rest - 1, name="exponent"),
            delay(m, Cat(sticky, bits), rest + shape.distance_latency, name="significand"),
        )

    def _distance(self, m: Module, exponent: Value) -> tuple[Value, Value]:
        """Right shift of the significand, when that comes, and exponent field less one at its place when that is added.

        Below the element's smallest normal the field is zero and the significand moves right.
        """
        shape = self.shape
        above = Signal(signed(10))
        below = Signal(shape.amount)
        subnormal = Signal()
        near = Signal()
        amount = Signal(shape.amount)
        base = Signal(bits_for(max(element.emax - element.emin for element in shape.elements)))
        field = Signal(shape.body)
        m.d.comb += above.eq(exponent - self.control.origin)
        m.d.comb += below.eq(self.control.limit - exponent)
        m.d.comb += subnormal.eq(above[-1] | self.control.void)
        m.d.comb += near.eq(above[shape.amount :].all() & above[shape.near : shape.amount].any())
        far = subnormal & (~near | self.control.void)
        m.d.comb += amount.eq(Mux(subnormal, below, self._setting(m, "align", 0)) | far.replicate(shape.amount))
        m.d.comb += base.eq(Mux(subnormal, 0, above))
        placing = self._setting(m, "placing", 0)
        for index, mantissa in enumerate(shape.placings):
            with m.If(placing[index]):
                m.d.comb += field.eq(base << mantissa)
        late = delay(m, amount, shape.distance_latency, name="amount")
        return late, delay(m, field, shape.element_latency, name="field")

    def _up(self, m: Module, shifted: Signal, flip: Value) -> Value:
        """Whether the whole part of `shifted` rounds up, inverted by `flip`, when that is added."""
        shape = self.shape
        lower, whole = shifted[: shape.fraction + 1], shifted[shape.fraction + 1 :]
        full = Signal()
        nearest = Signal()
        # An integer would become one more than the largest: it stays, whatever its sign.
        m.d.comb += full.eq(whole.all() & self._setting(m, "integer", shape.distance_latency))
        m.d.comb += nearest.eq((lower[-1] & (lower[:-1].any() | whole[0]) & ~full) ^ flip)
        if not shape.stochastic:
            return delay(m, nearest, 1, name="nearest")
        carried = Signal(RANDOM_BITS + 1)
        up = Signal(reset_less=True)
        carry = shape.carry_latency
        late = shape.distance_latency + carry
        random = delay(m, self.random, self.early + late, name="random")
        chosen = delay(m, self.control.random, late, name="chosen")
        nearest_late, full_late, flip_late = (
            delay(m, value, carry, name=name) for name, value in (("nearest", nearest), ("full", full), ("flip", flip))
        )
        m.d.comb += carried.eq(delay(m, lower[1:], carry, name="fraction") + random)
        m.d.sync += up.eq(Mux(chosen, (carried[-1] & ~full_late) ^ flip_late, nearest_late))
        return up

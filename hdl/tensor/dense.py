"""Exact sum of 32 products of E2M1 elements: the lanes of the further rows of a dense beat."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..core.arith import delay
from .shape import EXPONENT, LANES, SliceShape
from .signed_sum import SignedSum

#: bits of a product of two E2M1 magnitudes in halves (0 to 12 each)
PRODUCT = 8


class DenseSum(wiring.Component):
    """Sum of the products of one group of E2M1 elements.

    stationary, streamed: decoded rows (`SliceShape.dense_signature`)
    negative, magnitude: the sum; its top bit has the weight 2**(exponent - 248), as in `GroupSum`
    exponent:   sum of both blocks' biased exponents
    nan:        a block's scale is NaN

    Latency: `latency` cycles. Throughput: one group a cycle.
    """

    #: cycles from a pair of rows to their sum
    latency = 5

    def __init__(self, *, shape: SliceShape):
        self.shape = shape
        super().__init__(
            {
                "stationary": In(shape.dense_signature),
                "streamed": In(shape.dense_signature),
                "negative": Out(1),
                "magnitude": Out(PRODUCT + 5),
                "exponent": Out(EXPONENT),
                "nan": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.sum = total = SignedSum(near=PRODUCT, far=0)
        sign = Signal(LANES)
        signs = Signal(LANES, reset_less=True)
        exponent = Signal(EXPONENT, reset_less=True)
        nan = Signal(reset_less=True)
        m.d.comb += sign.eq(self.stationary.sign ^ self.streamed.sign)
        for lane in range(LANES):
            significand, shift = Signal(4, name=f"significand_{lane}"), Signal(3, name=f"shift_{lane}")
            product = Signal(PRODUCT, name=f"product_{lane}")
            m.d.comb += [
                significand.eq(self.stationary.significand[lane] * self.streamed.significand[lane]),
                shift.eq(self.stationary.shift[lane] + self.streamed.shift[lane]),
                product.eq(significand << shift),
            ]
            term = delay(m, product ^ sign[lane].replicate(PRODUCT), 1, name=f"term_{lane}")
            m.d.comb += total.terms_near[lane].eq(term)
        m.d.sync += signs.eq(sign)
        m.d.sync += exponent.eq(self.stationary.scale.exponent + self.streamed.scale.exponent)
        m.d.sync += nan.eq(self.stationary.scale.nan | self.streamed.scale.nan)
        m.d.comb += total.sign.eq(signs)
        m.d.comb += [self.negative.eq(total.negative), self.magnitude.eq(total.magnitude)]
        m.d.comb += self.exponent.eq(delay(m, exponent, total.latency, name="exponent"))
        m.d.comb += self.nan.eq(delay(m, nan, total.latency, name="nan"))
        return m

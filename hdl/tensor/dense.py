"""Exact sum of 32 products of E2M1 elements: the lanes of the further rows of a dense beat."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..core.arith import delay
from ..core.carry import Bit, Chains, and_add_and
from .carry_sum import CarryTree, magnitude
from .shape import EXPONENT, LANES, SliceShape
from .signed_sum import SignedSum

#: bits of a product of two E2M1 magnitudes in halves (0 to 12 each)
PRODUCT = 8


def product_bits(x: Value, y: Value) -> list[Bit]:
    """The chain of x * y of two magnitudes in halves.

    Ones in a magnitude stand next to each other. So of the rows of y's bits 0 and 2 one is zero at
    least, of those of 1 and 3 another: an OR makes one row of two, and one addition the product.

    x, y : four bits each, of {0, 1, 2, 3, 4, 6, 8, 12}: of other values the product is wrong.
        Returns `PRODUCT` bits of `Chains.sum`.
    """
    bits = []
    for index in range(PRODUCT):
        rows = [[(x[index - at], y[at]) for at in places if 0 <= index - at < len(x)] for places in ((0, 2), (1, 3))]
        terms: list[tuple[Value, Value]] = []
        for row in rows:
            if len(row) > 1:
                terms.append((Cat(a & b for a, b in row).any(), Const(1, 1)))
            else:
                terms.append(row[0] if row else (Const(0, 1), Const(0, 1)))
        bits.append(and_add_and(*terms[0], *terms[1]))
    return bits


class DenseSum(wiring.Component):
    """Sum of the products of one group of E2M1 elements, exact (docs/numerics.md, "Group sum").

    Latency: 5 cycles. Throughput: one group a cycle, no back-pressure. No register has a reset.

    Parameters
    ----------
    shape : of the engine.

    Members
    -------
    stationary, streamed : decoded rows (`SliceShape.dense_signature`).
    negative, magnitude : the sum; its top bit has the weight 2**(exponent - 248), as in `GroupSum`;
        the sign of a zero means nothing.
    exponent : sum of both blocks' biased exponents.
    nan : a block's scale is NaN; the others then mean nothing.
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
        sign = Signal(LANES)
        m.d.comb += sign.eq(self.stationary.sign ^ self.streamed.sign)
        signs = delay(m, sign, 1, name="signs")
        pairs = list(zip(self.stationary.magnitude, self.streamed.magnitude, strict=True))
        if self.shape.parameters.cells == "generic":
            terms = [
                delay(m, (a * b) ^ sign[lane].replicate(PRODUCT), 1, name=f"term_{lane}")
                for lane, (a, b) in enumerate(pairs)
            ]
            m.submodules.sum = total = SignedSum(near=PRODUCT, far=0)
            m.d.comb += [total.sign.eq(signs), Cat(total.terms_near).eq(Cat(terms))]
            m.d.comb += [self.negative.eq(total.negative), self.magnitude.eq(total.magnitude)]
        else:
            self._on_carry_cells(m, Chains(m, platform), pairs, list(signs))
        exponent = self.stationary.scale.exponent + self.streamed.scale.exponent
        nan = self.stationary.scale.nan | self.streamed.scale.nan
        m.d.comb += self.exponent.eq(delay(m, exponent, self.latency, name="exponent"))
        m.d.comb += self.nan.eq(delay(m, nan, self.latency, name="nan"))
        return m

    def _on_carry_cells(self, m: Module, chains: Chains, pairs: list[tuple[Value, Value]], signs: list[Value]) -> None:
        """Products and sum on the carry cells of an ECP5."""
        products = chains.sums({f"product_{lane}": product_bits(a, b) for lane, (a, b) in enumerate(pairs)})
        terms = [delay(m, product, 1, name=f"term_{lane}") for lane, product in enumerate(products)]
        tree = CarryTree(m, chains, terms, signs, registered=(2, 5), name="sum")
        # of 32 products of two magnitudes up to 12
        total = delay(m, tree.total[: len(self.magnitude) + 1], 1, name="total")
        negative, absolute = magnitude(chains, total, delay(m, tree.left, 1, name="left"), name="absolute")
        m.d.comb += self.negative.eq(delay(m, negative, 1, name="negative"))
        m.d.comb += self.magnitude.eq(delay(m, absolute, 1, name="magnitude"))

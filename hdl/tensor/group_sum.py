"""Exact sum of the 32 (or 16) products of a group, for every format of an engine."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..core.arith import delay
from .align import Align, WindowMaximum
from .carry_sum import PlacedSum
from .products import Products
from .shape import EXPONENT, LANES, SliceShape, assign
from .signed_sum import SignedSum


def _latency_of_sum(shape: SliceShape) -> int:
    if shape.placed:
        return PlacedSum.latency
    return Align.latency + SignedSum.latency_of(far=shape.far, deep=shape.parameters.deep)


class GroupSum(wiring.Component):
    """Sum of the products of one group of the general lanes (docs/numerics.md, "Group sum" and "Wide groups").

    Narrow formats are summed exactly. Wide formats are aligned to the largest product exponent in a
    window of W bits, what lies below it is dropped, and the rest is summed exactly.

    Latency: `latency` cycles. Throughput: one group a cycle, no back-pressure. No register has a
    reset.

    Parameters
    ----------
    shape : of the engine.

    Members
    -------
    stationary, streamed : decoded rows (`SliceShape.general_signature`).
    wide : the formats are wide (BF16, FP16, TF32); comes with the rows.
    negative, magnitude : the sum; its top bit has the weight 2**(exponent - 248); the sign of a
        zero means nothing.
    exponent : biased exponents of both blocks; of wide formats those of their largest numbers, less
        the distance of the largest product.
    nan, pos_inf, neg_inf : specials (`nan` also where both infinities meet); with `nan` the others
        mean nothing.
    """

    def __init__(self, *, shape: SliceShape):
        self.shape = shape
        super().__init__(
            {
                "stationary": In(shape.general_signature),
                "streamed": In(shape.general_signature),
                "wide": In(1),
                "negative": Out(1),
                "magnitude": Out(shape.sum_width),
                "exponent": Out(EXPONENT),
                "nan": Out(1),
                "pos_inf": Out(1),
                "neg_inf": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a pair of rows to their sum."""
        return self.latency_of(self.shape)

    @staticmethod
    def latency_of(shape: SliceShape) -> int:
        """`latency` for a shape; the search for the largest exponent costs a cycle.

        1 for the products, 1 where there are wide formats, and 5 for placing and adding on carry
        cells (`SliceShape.placed`), otherwise 1 + `SignedSum.latency_of(...)`.
        """
        window = 1 if shape.wide else 0
        return Products.latency + window + _latency_of_sum(shape)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.products = products = Products(shape=self.shape)
        place, total = self._sum(m)
        wait = 1 if self.shape.wide else 0
        exponent = Signal(EXPONENT, reset_less=True)
        m.d.comb += assign(products.stationary, self.stationary) + assign(products.streamed, self.streamed)
        m.d.sync += exponent.eq(self.stationary.scale.exponent + self.streamed.scale.exponent)
        for side in ("even", "odd"):
            for lane, product in enumerate(getattr(products, side)):
                m.d.comb += getattr(place, side)[lane].eq(delay(m, product, wait, name=f"{side}_{lane}"))
        m.d.comb += place.sign.eq(delay(m, products.sign, wait, name="sign"))
        wide = delay(m, self.wide, Products.latency, name="wide")
        exponent = self._amounts(m, products, place, wide, exponent)
        m.d.comb += place.wide.eq(delay(m, wide, wait, name="wide_align"))
        rest = _latency_of_sum(self.shape)
        m.d.comb += [self.negative.eq(total.negative), self.magnitude.eq(total.magnitude)]
        m.d.comb += self.exponent.eq(delay(m, exponent, rest, name="exponent"))
        specials = Cat(products.nan | (products.pos_inf & products.neg_inf), products.pos_inf, products.neg_inf)
        m.d.comb += Cat(self.nan, self.pos_inf, self.neg_inf).eq(delay(m, specials, wait + rest, name="specials"))
        return m

    def _sum(self, m: Module) -> tuple[Any, Any]:
        """What takes the products to their places, and what gives their sum."""
        if self.shape.placed:
            m.submodules.sum = placed = PlacedSum(shape=self.shape)
            return placed, placed
        m.submodules.align = align = Align(shape=self.shape)
        m.submodules.sum = total = SignedSum(near=self.shape.near, far=self.shape.far, deep=self.shape.parameters.deep)
        m.d.comb += total.sign.eq(delay(m, align.sign, Align.latency, name="signs"))
        m.d.comb += [term.eq(near) for term, near in zip(total.terms_near, align.near, strict=True)]
        if self.shape.far:
            m.d.comb += [term.eq(far) for term, far in zip(total.terms_far, align.far, strict=True)]
        return align, total

    def _amounts(self, m: Module, products: Products, place: Any, wide: Value, exponent: Value) -> Value:
        """Shift amounts of all lanes at the input of `place`, and the exponent of the sum there."""
        lanes = range(LANES // 2)
        if not self.shape.wide:
            m.d.comb += [place.even_amount[lane].eq(products.even_exponent[lane]) for lane in lanes]
            m.d.comb += [place.odd_amount[lane].eq(products.odd_exponent[lane]) for lane in lanes]
            return exponent
        m.submodules.maximum = window = WindowMaximum(shape=self.shape)
        m.d.comb += [window.zero.eq(products.zero[::2]), window.wide.eq(wide)]
        chosen = Signal(EXPONENT, reset_less=True)
        m.d.sync += chosen.eq(exponent - window.top)
        for lane in lanes:
            m.d.comb += window.distances[lane].eq(products.even_exponent[lane])
            m.d.comb += place.even_amount[lane].eq(delay(m, window.amount[lane], 1, name=f"even_amount_{lane}"))
            m.d.comb += place.odd_amount[lane].eq(delay(m, products.odd_exponent[lane], 1, name=f"odd_amount_{lane}"))
        return chosen

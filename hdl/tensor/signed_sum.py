"""Exact sum of aligned products, as sign and magnitude."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..core.arith import delay, sum_tree
from .shape import GROWTH, LANES


class SignedSum(wiring.Component):
    """Adds 32 terms given as magnitudes, inverted where negative, and their signs. Exact.

    An inverted magnitude u of `near + far` bits stands for u + 1 - 2**(near + far), so the sum is
    that of the u, plus the number of negative terms, minus that number times the weight above the
    top bit. Two trees of plain unsigned adders carry it, each no longer than its part and 5 bits.

    Latency: `latency` cycles (4, or 5 with a lower part; deep one more). Throughput: one sum a
    cycle, no back-pressure. No register has a reset.

    Parameters
    ----------
    near : bits of the upper part, at least 1.
    far : bits of the lower part, 0 for none.
    deep : a register behind the trees too (`EngineParameters.deep`).

    Members
    -------
    terms_near, terms_far : the parts of each term (`terms_far` only if `far` is not 0).
    sign : one bit a term, 1 where it is negative and so inverted.
    negative, magnitude : the sum, in units of the lowest bit of a term; zero is not negative.

    Raises ValueError for a `near` or `far` out of range.
    """

    def __init__(self, *, near: int, far: int, deep: bool = False):
        if near < 1:
            raise ValueError(f"Near width must be at least 1, not {near!r}")
        if far < 0:
            raise ValueError(f"Far width must be at least 0, not {far!r}")
        self.near, self.far, self.deep = near, far, deep
        ports = {
            "terms_near": In(near).array(LANES),
            "sign": In(LANES),
            "negative": Out(1),
            "magnitude": Out(near + far + GROWTH),
        }
        super().__init__(ports | ({"terms_far": In(far).array(LANES)} if far else {}))

    @property
    def latency(self) -> int:
        """Cycles from the terms to their sum."""
        return self.latency_of(far=self.far, deep=self.deep)

    @staticmethod
    def latency_of(*, far: int, deep: bool = False) -> int:
        """`latency` of a sum with a lower part of `far` bits."""
        return (5 if far else 4) + deep

    def elaborate(self, platform: object) -> Module:
        m = Module()
        near, far = self.near, self.far
        registered = (2, GROWTH - 1, GROWTH) if self.deep else (2, GROWTH - 1)
        upper_sum = sum_tree(m, self.terms_near, name="near", registered=registered)
        # The count is there a level before the sums, and what it adds to the upper part is one operand.
        count = sum_tree(m, list(self.sign), name="negatives", registered=(GROWTH - 2, GROWTH))
        count = delay(m, count, int(self.deep), name="negatives")
        weight = Signal(signed(near + GROWTH + 1))
        upper = Signal(signed(near + GROWTH + 1), reset_less=True)
        if far:
            lower_sum = sum_tree(m, self.terms_far, name="far", registered=registered)
            lower = Signal(far + GROWTH + 1, reset_less=True)
            total = Signal(signed(near + far + GROWTH + 1), reset_less=True)
            m.d.comb += weight.eq(-(count << near))
            m.d.sync += lower.eq(lower_sum + count)
            m.d.sync += total[far:].eq(upper + lower[far:])
            m.d.sync += total[:far].eq(lower[:far])
        else:
            total = upper
            m.d.comb += weight.eq(count - (count << near))
        m.d.sync += upper.eq(upper_sum + weight)
        negative = Signal(reset_less=True)
        magnitude = Signal(len(self.magnitude), reset_less=True)
        m.d.sync += negative.eq(total[-1])
        m.d.sync += magnitude.eq((total[:-1] ^ total[-1].replicate(len(magnitude))) + total[-1])
        m.d.comb += [self.negative.eq(negative), self.magnitude.eq(magnitude)]
        return m

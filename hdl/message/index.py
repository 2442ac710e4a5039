"""Affine indices of operands, modulo the number of ranks, without a division."""

from amaranth import *
from amaranth.hdl import ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .jobs import RANK_BITS


def wrapped_sum(m: Module, a: Value, b: Value, ranks: Value, *, name: str) -> Signal:
    """``(a + b) mod ranks`` of two numbers below `ranks`."""
    whole = Signal(RANK_BITS + 1, name=f"{name}_whole")
    less = Signal(RANK_BITS + 2, name=f"{name}_less")
    result = Signal(RANK_BITS, name=f"{name}_sum")
    m.d.comb += [whole.eq(a + b), less.eq(whole - ranks), result.eq(Mux(less[-1], whole, less))]
    return result


def wrapped_product(m: Module, coefficient: Value, number: Value, ranks: Value, *, name: str) -> Signal:
    """``coefficient * number mod ranks``, combinational.

    coefficient : signed, of two bits, -1 to 1. number : below `ranks`.
    """
    result = Signal(RANK_BITS, name=f"{name}_product")
    with m.If(coefficient[0]):  # -1 is 0b11
        m.d.comb += result.eq(Mux(coefficient[1] & (number != 0), ranks - number, number))
    return result


class IndexBase(wiring.Component):
    """The part of an affine index that is the same in all steps: ``(a * rank + c * root + offset) mod ranks``.

    Latency: 1 cycle with `enable`; `base` is combinational from registers, and from `ranks`.

    Members
    -------
    enable : take the numbers.
    ranks : 1 to 72, held until `base` is used.
    rank, root : below `ranks`.
    by_rank : a, -1, 0 or 1 in two bits.
    by_root : c, 0 or 1.
    offset : -8 to 7.
    base : the index at step 0.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "enable": In(1),
                "ranks": In(RANK_BITS),
                "rank": In(RANK_BITS),
                "root": In(RANK_BITS),
                "by_rank": In(2),
                "by_root": In(1),
                "offset": In(4),
                "base": Out(RANK_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        known, rest = Signal(RANK_BITS, reset_less=True), Signal(RANK_BITS, reset_less=True)
        of_rank = wrapped_product(m, self.by_rank, self.rank, self.ranks, name="of_rank")
        of_root = Mux(self.by_root, self.root, 0)
        both = wrapped_sum(m, of_rank, of_root, self.ranks, name="both")
        with m.If(self.enable):
            m.d.sync += [known.eq(both), rest.eq(self._small(m))]
        m.d.comb += self.base.eq(wrapped_sum(m, known, rest, self.ranks, name="base"))
        return m

    def _small(self, m: Module) -> ValueLike:
        """``offset mod ranks``: a table below 8 ranks, one addition from there on."""
        result = Signal(RANK_BITS, name="small")
        offset = self.offset.as_signed()
        with m.Switch(self.ranks):
            for ranks in range(1, 8):
                with m.Case(ranks):
                    with m.Switch(self.offset):
                        for code in range(16):
                            with m.Case(code):
                                m.d.comb += result.eq((code - (code >> 3 << 4)) % ranks)
            with m.Default():
                m.d.comb += result.eq(Mux(self.offset[3], self.ranks + offset, offset))
        return result

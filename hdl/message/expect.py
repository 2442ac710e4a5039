"""Whose arrivals an entry waits for."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia.message import MAX_RANKS, Expect

from .jobs import RANK_BITS


class ExpectMask(wiring.Component):
    """The bits of an event that complete it, as `mtia.message.Expect` says. Latency 0.

    Members
    -------
    expect, expect_self : fields of the entry.
    rank, ranks, root : this rank, how many there are, the root.
    owners : ranks whose chunk is not empty.
    full, last : whether the chunk of an owner, and that of the last owner, has bytes in this piece.
    mask : a bit a rank.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "expect": In(2),
                "expect_self": In(1),
                "rank": In(RANK_BITS),
                "ranks": In(RANK_BITS),
                "root": In(RANK_BITS),
                "owners": In(RANK_BITS),
                "full": In(1),
                "last": In(1),
                "mask": Out(MAX_RANKS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        everyone, own, root, owners = (Signal(MAX_RANKS, name=n) for n in ("everyone", "own", "the_root", "have_bytes"))
        own_has_bytes, named = Signal(), Signal(MAX_RANKS)
        last_owner = Signal(RANK_BITS)
        m.d.comb += last_owner.eq(self.owners - 1)
        for rank in range(MAX_RANKS):
            is_last = (self.owners == rank + 1) & self.last
            m.d.comb += [
                everyone[rank].eq(self.ranks > rank),
                own[rank].eq(self.rank == rank),
                root[rank].eq(self.root == rank),
                owners[rank].eq(((self.owners > rank + 1) & self.full) | is_last),
            ]
        m.d.comb += own_has_bytes.eq(
            ((self.rank < last_owner) & (self.owners != 0) & self.full) | ((self.rank == last_owner) & self.last)
        )
        with m.Switch(self.expect):
            with m.Case(Expect.PEERS):
                m.d.comb += named.eq(Mux(own_has_bytes, everyone, 0))
            with m.Case(Expect.OWNERS):
                m.d.comb += named.eq(owners)
            with m.Case(Expect.ROOT):
                m.d.comb += named.eq(root)
            with m.Default():
                m.d.comb += named.eq(everyone)
        m.d.comb += self.mask.eq(named & (~own | self.expect_self.replicate(MAX_RANKS)))
        return m

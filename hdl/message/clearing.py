"""Clears the tables of the receiver: all of them after reset, a communicator's part when it begins anew."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..core.checks import require_int, stream_in
from .limits import require_communicators
from .ports import Forget


class Clearing(wiring.Component):
    """Walks over a table, or over one communicator's part of it, an entry a cycle.

    After reset it walks over all. `forget` waits until no operation is under way and holds back
    further ones; the walk begins in the cycle after it was taken. A communicator past the table is
    nothing to clear.

    Parameters
    ----------
    communicators : 1 to 16.
    entries : of the table for each of them, a power of two of at least 2.

    Members
    -------
    forget : stream of {communicator}.
    busy : an operation that was begun may still write.
    blocks : no operation may begin.
    active, index : the entry of that index is cleared in this cycle.

    Raises TypeError or ValueError for a parameter that is not so.
    """

    def __init__(self, *, communicators: int, entries: int):
        self._communicators = require_communicators("Clearing communicators", communicators)
        self._entries = require_int("Clearing entries", entries, low=2)
        if entries & (entries - 1):
            raise ValueError(f"Clearing entries must be a power of two, not {entries!r}")
        super().__init__(
            {
                "forget": stream_in(Forget),
                "busy": In(1),
                "blocks": Out(1),
                "active": Out(1),
                "index": Out(range(communicators * entries)),
            }
        )

    @property
    def communicators(self) -> int:
        """Parts of the table."""
        return self._communicators

    @property
    def entries(self) -> int:
        """Entries of each part."""
        return self._entries

    def elaborate(self, platform: object) -> Module:
        m = Module()
        last = Signal.like(self.index, name="last", init=self.communicators * self.entries - 1)
        active = Signal(init=1)
        index = Signal.like(self.index, name="next_index")
        communicator = self.forget.payload.communicator
        m.d.comb += [
            self.active.eq(active),
            self.index.eq(index),
            self.blocks.eq(active | self.forget.valid),
            self.forget.ready.eq(~active & ~self.busy),
        ]
        with m.If(active):
            m.d.sync += [index.eq(index + 1), active.eq(index != last)]
        with m.Elif(self.forget.valid & self.forget.ready & (communicator < self.communicators)):
            m.d.sync += [
                index.eq(communicator * self.entries),
                last.eq(communicator * self.entries + self.entries - 1),
                active.eq(1),
            ]
        return m

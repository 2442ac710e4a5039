"""Changes of the tables of a message engine, to the part that keeps the table."""

from amaranth import *
from amaranth.lib import wiring

from ..core.checks import stream_in, stream_out
from .jobs import Configure
from .ports import Forget, WindowEntry
from .tables import Space


class Spaces(wiring.Component):
    """Sends each change to its table. A changed communicator begins anew: what had arrived for it is forgotten.

    Latency 0, throughput a change a cycle. A change of no table is dropped.

    Members
    -------
    i : stream of `Configure`.
    windows : stream of `WindowEntry`.
    sequencer : stream of `Configure`, of the tables there.
    forget : stream of `Forget`; a change of a communicator is taken by both, or by none.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "i": stream_in(Configure),
                "windows": stream_out(WindowEntry),
                "sequencer": stream_out(Configure),
                "forget": stream_out(Forget),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        change = self.i.payload
        forgotten, passed = Signal(), Signal()
        m.d.comb += [
            self.windows.payload.index.eq(change.index),
            Value.cast(self.windows.payload.window).eq(change.data),
            Value.cast(self.sequencer.payload).eq(change),
            self.forget.payload.communicator.eq(change.index),
        ]
        with m.Switch(change.space):
            with m.Case(Space.WINDOWS):
                m.d.comb += [self.windows.valid.eq(self.i.valid), self.i.ready.eq(self.windows.ready)]
            with m.Case(Space.COMMUNICATORS):
                m.d.comb += [
                    self.forget.valid.eq(self.i.valid & ~forgotten),
                    self.sequencer.valid.eq(self.i.valid & ~passed),
                    self.i.ready.eq((forgotten | self.forget.ready) & (passed | self.sequencer.ready)),
                ]
            with m.Case(Space.ENTRIES, Space.PROGRAMS):
                m.d.comb += [self.sequencer.valid.eq(self.i.valid), self.i.ready.eq(self.sequencer.ready)]
            with m.Default():
                m.d.comb += self.i.ready.eq(1)
        with m.If(self.i.valid & (change.space == Space.COMMUNICATORS)):
            m.d.sync += [
                forgotten.eq(~self.i.ready & (forgotten | self.forget.ready)),
                passed.eq(~self.i.ready & (passed | self.sequencer.ready)),
            ]
        return m

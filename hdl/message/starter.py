"""Starts commands: jobs of PUT and COPY, threads of collectives."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia.message import SUBGRAPHS, DescriptorOp, PacketOp

from ..core.checks import require_int, stream_out
from ..hbm.select import RoundRobin, index_of
from .command_table import ChosenSlot
from .jobs import ENTRY_BITS, SLOT_BITS, Command, MemoryJob, MemoryOp, Place
from .ports import SendJob

#: threads of a send job or of a reducer's job from this one on are those of the command slots
DIRECT = 16


class Starter(wiring.Component):
    """Starts one startable command after the other, in turn.

    A PUT or a COPY is one job, offered the cycle after its slot became startable; a NOOP ends as it
    starts. A collective starts when `SUBGRAPHS` threads are free, a thread a cycle. A PUT is a
    WRITE; with an `event` other than 0 it is a WRITE_IMMEDIATE of slot `root`, and the low half of
    its `immediate` is the event's sequence.

    Parameters
    ----------
    slots : command slots, 2 to 16.

    Members
    -------
    startable, collective : a bit a slot, of the command table.
    room : enough threads are free.
    slot, look : the command to read.
    command : what its slot holds, a cycle later.
    held, start, parts, asks : to the command table, see there.
    send, work : streams of `SendJob` and `MemoryJob`, with thread ``DIRECT + slot``.
    thread : stream of `Place`: a thread to begin there.

    Raises TypeError or ValueError for `slots` that are no such number.
    """

    def __init__(self, *, slots: int):
        self._slots = require_int("Command slots", slots, low=2, high=1 << SLOT_BITS)
        super().__init__(
            {
                "startable": In(slots),
                "collective": In(slots),
                "room": In(1),
                "slot": Out(SLOT_BITS),
                "look": Out(1),
                "command": In(Command),
                "held": Out(ChosenSlot),
                "start": Out(ChosenSlot),
                "parts": Out(3),
                "asks": Out(1),
                "send": stream_out(SendJob),
                "work": stream_out(MemoryJob),
                "thread": stream_out(Place),
            }
        )

    @property
    def slots(self) -> int:
        """Command slots."""
        return self._slots

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.turn = turn = RoundRobin(inputs=self.slots)
        slot, busy, subgraph = Signal(SLOT_BITS), Signal(), Signal(range(SUBGRAPHS))
        done, descriptor = Signal(), self.command.descriptor
        is_last = Signal()
        m.d.comb += [
            turn.requests.eq(self.startable & ~Mux(self.room, 0, self.collective)),
            *(turn.taken.eq(~busy), self.look.eq(~busy & turn.picked.any())),
            self.slot.eq(index_of(m, turn.picked, name="picked")),
            *(self.held.valid.eq(busy), self.held.slot.eq(slot), self.start.slot.eq(slot)),
            is_last.eq(subgraph + 1 == self.command.program.subgraphs),
            self.asks.eq((descriptor.op == DescriptorOp.PUT) & descriptor.acknowledge),
        ]
        with m.If(~busy):
            m.d.sync += [slot.eq(self.slot), busy.eq(self.look), subgraph.eq(0)]
        with m.Else():
            with m.Switch(descriptor.op):
                with m.Case(DescriptorOp.PUT):
                    m.d.comb += [self.send.valid.eq(1), done.eq(self.send.ready), self.parts.eq(1)]
                with m.Case(DescriptorOp.COPY):
                    m.d.comb += [self.work.valid.eq(1), done.eq(self.work.ready), self.parts.eq(1)]
                with m.Case(DescriptorOp.COLLECTIVE):
                    m.d.comb += [self.thread.valid.eq(1), done.eq(self.thread.ready & is_last)]
                    m.d.comb += self.parts.eq(self.command.program.subgraphs)
                    with m.If(self.thread.ready):
                        m.d.sync += subgraph.eq(subgraph + 1)
                with m.Default():
                    m.d.comb += done.eq(1)
            m.d.comb += self.start.valid.eq(done)
            with m.If(done):
                m.d.sync += busy.eq(0)
        self._jobs(m, slot, subgraph)
        return m

    def _jobs(self, m: Module, slot: Signal, subgraph: Signal) -> None:
        """What a command begins with."""
        descriptor, job, work, place = (
            self.command.descriptor,
            *(stream.payload for stream in (self.send, self.work, self.thread)),
        )
        header, entry = job.header, Signal(ENTRY_BITS)
        m.d.comb += [
            *(stream.thread.eq(DIRECT + slot) for stream in (job, work)),
            header.op.eq(Mux(descriptor.event != 0, PacketOp.WRITE_IMMEDIATE, PacketOp.WRITE)),
            *(header.slot.eq(descriptor.root), header.sequence.eq(descriptor.immediate)),
            *(header[name].eq(descriptor[name]) for name in ("acknowledge", "partition", "window", "epoch", "key")),
            *(header[name].eq(descriptor[name]) for name in ("event", "immediate")),
            *(header.destination.eq(descriptor.peer), header.command.eq(self.command.tag)),
            *(header.offset.eq(descriptor.output), job.source.eq(descriptor.input), job.length.eq(descriptor.bytes)),
            *(work.op.eq(MemoryOp.COPY), work.own_address.eq(descriptor.input), work.target.eq(descriptor.output)),
            work.length.eq(descriptor.bytes),
            *(place.slot.eq(slot), place.communicator.eq(descriptor.communicator)),
            *(place.entry.eq(entry), place.begin.eq(entry)),
        ]
        with m.Switch(subgraph):
            for index in range(SUBGRAPHS):
                with m.Case(index):
                    m.d.comb += entry.eq(self.command.program[f"entry_{index}"])

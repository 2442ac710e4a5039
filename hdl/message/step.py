"""One step of an entry: for whom it is, how many bytes it has, what job it is."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia.message import Extent, PacketOp, WorkOp

from .index import wrapped_product, wrapped_sum
from .jobs import PIECE_BITS, RANK_BITS, MemoryOp, Step
from .ports import ADDRESS_BITS
from .visit import INDICES, Visit

_PACKET_OF = {
    WorkOp.WRITE: PacketOp.WRITE,
    WorkOp.WRITE_IMMEDIATE: PacketOp.WRITE_IMMEDIATE,
    WorkOp.SEND: PacketOp.SEND,
    WorkOp.RECEIVE: PacketOp.READY,
    WorkOp.REDUCE: PacketOp.REDUCE,
}
_MEMORY_OF = {WorkOp.SUM: MemoryOp.SUM, WorkOp.COPY: MemoryOp.COPY, WorkOp.SET: MemoryOp.SET}


class StepMaker(wiring.Component):
    """The step of that number of a visit. Latency 0.

    A message goes to `port`; the slot that it fills is the index of the target, as is its
    `immediate`; that of a contribution to the switch is its own rank. A message without bytes goes
    to offset 0. NOOP and WAIT have no job.

    Members
    -------
    visit, number : whose step, which.
    sized_length : the bytes of the step, where the visit is `sized`.
    step : the job, but for index * chunk, which is not yet added to its addresses.
    is_send, is_work : it is a message; a job of the reducer.
    left_out : it has no bytes, or is to the root.
    source_index, chunk_index, port : of the step.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "visit": In(Visit),
                "number": In(RANK_BITS),
                "sized_length": In(PIECE_BITS),
                "step": Out(Step),
                "is_send": Out(1),
                "is_work": Out(1),
                "left_out": Out(1),
                "source_index": Out(RANK_BITS),
                "chunk_index": Out(RANK_BITS),
                "port": Out(8),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        visit, step, header = self.visit, self.step, self.step.header
        indices = {}
        for name in INDICES:
            moved = wrapped_product(m, visit[f"{name}_step"], self.number, visit.ranks, name=f"{name}_moved")
            indices[name] = wrapped_sum(m, visit[f"{name}_base"], moved, visit.ranks, name=name)
        length, is_empty, moves_bytes = self._length(m, indices["chunk"]), Signal(), Signal()
        packet_op, memory_op = Signal(4), Signal(MemoryOp)
        target, target_index = Signal(ADDRESS_BITS), Signal(RANK_BITS)
        with m.Switch(visit.op):
            for op, packet in _PACKET_OF.items():
                with m.Case(op):
                    m.d.comb += [self.is_send.eq(1), packet_op.eq(packet), moves_bytes.eq(op != WorkOp.RECEIVE)]
            for op, memory in _MEMORY_OF.items():
                with m.Case(op):
                    m.d.comb += [self.is_work.eq(1), memory_op.eq(memory), moves_bytes.eq(1)]
        m.d.comb += [
            is_empty.eq(length == 0),
            self.left_out.eq(
                (is_empty & (visit.extent != Extent.EMPTY) & (visit.extent != Extent.EVERY))
                | (visit.spares_root & (indices["peer"] == visit.root))
            ),
            *(self.source_index.eq(indices["source"]), self.chunk_index.eq(indices["chunk"])),
            self.port.eq(visit.first_port + indices["peer"]),
            *(step.is_send.eq(self.is_send), step.thread.eq(visit.thread)),
            *(step.base.eq(visit.slots_base), step.source.eq(visit.source), step.chunk.eq(visit.chunk)),
            step.rank.eq(visit.rank),
            step.source_index.eq(Mux(visit.source_scaled, indices["source"], 0)),
            *(header.op.eq(packet_op), step.op.eq(memory_op), step.length.eq(Mux(moves_bytes, length, 0))),
            *(step.target.eq(target), step.target_index.eq(target_index)),
        ]
        with m.If(~(self.is_send & is_empty)):
            m.d.comb += [
                target.eq(visit.target),
                target_index.eq(Mux(visit.target_scaled, indices["target"], 0)),
            ]
        self._header(m, indices["target"])
        return m

    def _length(self, m: Module, chunk: Signal) -> Signal:
        """Bytes of the step."""
        visit, length, following = self.visit, Signal(PIECE_BITS), Signal(RANK_BITS)
        m.d.comb += following.eq(chunk + 1)
        with m.If(visit.sized):
            m.d.comb += length.eq(self.sized_length)
        with m.Elif(visit.extent == Extent.WHOLE):
            m.d.comb += length.eq(visit.whole_length)
        with m.Elif((visit.extent != Extent.EMPTY) & (following <= visit.owners)):
            m.d.comb += length.eq(Mux(following == visit.owners, visit.last_length, visit.full_length))
        return length

    def _header(self, m: Module, target: Signal) -> None:
        """What the packets of a message have in common; `offset` only once the target is known."""
        visit, header = self.visit, self.step.header
        names = ("acknowledge", "multicast", "partition", "window", "epoch", "key", "kind", "format", "sequence")
        m.d.comb += [
            *(header[name].eq(visit[name]) for name in (*names, "command", "group", "ranks")),
            header.destination.eq(Mux(visit.multicast, visit.group, self.port)),
            header.slot.eq(Mux(visit.op == WorkOp.REDUCE, visit.rank, target)),
            header.immediate.eq(Mux(visit.op == WorkOp.SET, visit.sizes, target)),
            header.event.eq(visit.set_event),
        ]

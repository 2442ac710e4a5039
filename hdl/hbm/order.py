"""Reads of one id answered in the order in which they were accepted."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import Out
from amaranth.utils import ceil_log2

from ..core.arbiter import Arbiter
from ..core.checks import require_int, stream_in, stream_out
from ..core.connect import connect
from ..core.stream import Skid
from .commands import MemoryOp, Status
from .parts import WithPort
from .port import DATA_BITS, MemoryPort
from .select import RoundRobin, index_of, lowest


def ordered(port: MemoryPort, slots: int) -> MemoryPort:
    """The port behind `InOrder`: no ids, and a tag of a slot or of the port, with a bit that tells which."""
    return MemoryPort(address_bits=port.address_bits, tag_bits=1 + max(port.tag_bits, ceil_log2(slots)))


class InOrder(WithPort, wiring.Component):
    """Stands between a memory port with ids and one that answers in any order.

    A read takes a slot when it is accepted, and its slot's number is its tag behind this. Its
    answer waits in the slot until those before it of the same id have left. The slots of an id form
    a chain: each knows the next, so that leaving frees the next in the cycle after. Reads of other
    ids, writes and updates pass by. A write of an id is not held back by its reads.

    Latency: 0 cycles for a request, 3 for the answer of a read, 1 for other answers. Throughput: an
    answer a cycle, also of one id. Cost: a memory of `slots` answers; for each slot 3 bits in
    registers and its tag, id and next slot; a slot's number for each id. Reads wait when all slots
    are taken, and all requests behind them.

    Parameters
    ----------
    port : the port, with ids.
    slots : reads on their way or waiting for their turn, at least 2.

    Members
    -------
    request, response : streams, the port.
    onward, back : streams, requests and answers behind it, of `inner`. Answers of reads are always
        taken.
    idle : no read is on its way.

    Raises ValueError for a port without ids, or for too few `slots`.
    """

    def __init__(self, *, port: MemoryPort, slots: int):
        self._port = port
        self._slots = require_int("In order slots", slots, low=2)
        if not port.id_bits:
            raise ValueError(f"In order port must be one with ids, not {port!r}")
        super().__init__(
            {
                "request": stream_in(port.request()),
                "response": stream_out(port.response()),
                "onward": stream_out(self.inner.request()),
                "back": stream_in(self.inner.response()),
                "idle": Out(1),
            }
        )

    @property
    def slots(self) -> int:
        """Reads on their way or waiting for their turn."""
        return self._slots

    @property
    def inner(self) -> MemoryPort:
        """Widths of the port behind."""
        return ordered(self._port, self._slots)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.responses = responses = Arbiter(shape=self.port.response(), inputs=2)
        m.submodules.skid = skid = Skid(shape=self.port.response())
        connect(m, responses.o, skid.i)
        connect(m, skid.o, wiring.flipped(self.response))
        request, back = self.request.payload, self.back.payload
        used = Signal(self.slots)
        given, is_read = Signal(self.slots), Signal()
        slot = index_of(m, given, name="slot")
        taken, of_read = Signal(), Signal()
        m.d.comb += [
            given.eq(lowest(~used)),
            is_read.eq(request.op == MemoryOp.RD),
            self.onward.valid.eq(self.request.valid & ~(is_read & used.all())),
            self.request.ready.eq(self.onward.ready & ~(is_read & used.all())),
            *(self.onward.payload[name].eq(request[name]) for name in self.inner.request().members if name != "tag"),
            self.onward.payload.tag.eq(Mux(is_read, slot, request.tag)),
            self.onward.payload.tag[-1].eq(is_read),
            taken.eq(self.request.valid & self.request.ready & is_read),
            of_read.eq(back.tag[-1]),
            responses.i[1].valid.eq(self.back.valid & ~of_read),
            responses.i[1].payload.tag.eq(back.tag),
            responses.i[1].payload.status.eq(back.status),
            self.back.ready.eq(of_read | responses.i[1].ready),
            self.idle.eq((used == 0) & ~responses.o.valid & ~skid.o.valid),
        ]
        self._release(m, responses.i[0], used=used, given=given, slot=slot, taken=taken)
        return m

    def _release(
        self, m: Module, out: wiring.PureInterface, *, used: Signal, given: Signal, slot: Signal, taken: Signal
    ) -> None:
        """Keep answers in their slots and let one whose turn it is leave each cycle, through a register."""
        name = data.StructLayout({"id": self.port.id_bits, "tag": self.port.tag_bits})
        answer = data.StructLayout({"status": Status, "data": DATA_BITS})
        m.submodules.names = names = memory.Memory(shape=name, depth=self.slots, init=[])
        m.submodules.answers = answers = memory.Memory(shape=answer, depth=self.slots, init=[])
        m.submodules.turn = turn = RoundRobin(inputs=self.slots)
        done, freed, arrived = Signal(self.slots), Signal(self.slots), Signal(self.slots)
        keep, recall = names.write_port(), names.read_port(domain="comb")
        put, get = answers.write_port(), answers.read_port()
        leaving = index_of(m, turn.picked, name="leaving")
        waits = self._chain(m, slot=slot, taken=taken, freed=freed, leaving=leaving, id=recall.data.id)
        moves, tag = Signal(), Signal(self.port.tag_bits, reset_less=True)
        m.d.comb += [
            moves.eq(~out.valid | out.ready),
            turn.requests.eq(done & ~waits),
            turn.taken.eq(moves),
            freed.eq(Mux(moves, turn.picked, 0)),
            arrived.eq(Mux(self.back.valid & self.back.payload.tag[-1], 1 << self._slot_of_answer(), 0)),
            keep.en.eq(taken),
            keep.addr.eq(slot),
            keep.data.id.eq(self.request.payload.id),
            keep.data.tag.eq(self.request.payload.tag),
            recall.addr.eq(leaving),
            put.en.eq(arrived.any()),
            put.addr.eq(self._slot_of_answer()),
            put.data.status.eq(self.back.payload.status),
            put.data.data.eq(self.back.payload.data),
            get.en.eq(moves),
            get.addr.eq(leaving),
            out.payload.tag.eq(tag),
            out.payload.status.eq(get.data.status),
            out.payload.data.eq(get.data.data),
        ]
        m.d.sync += [used.eq((used | Mux(taken, given, 0)) & ~freed), done.eq((done | arrived) & ~freed)]
        with m.If(moves):
            m.d.sync += [out.valid.eq(freed.any()), tag.eq(recall.data.tag)]

    def _slot_of_answer(self) -> Value:
        return self.back.payload.tag[: ceil_log2(self.slots)]

    def _chain(self, m: Module, *, slot: Signal, taken: Signal, freed: Signal, leaving: Signal, id: Value) -> Signal:
        """Chain the slots of each id; returns those that have one before them."""
        ids, number = 1 << self.port.id_bits, ceil_log2(self.slots)
        m.submodules.lasts = lasts = memory.Memory(shape=number, depth=ids, init=[])
        m.submodules.nexts = nexts = memory.Memory(shape=number, depth=self.slots, init=[])
        last, set_last = lasts.read_port(domain="comb"), lasts.write_port()
        follower, link = nexts.read_port(domain="comb"), nexts.write_port()
        waits, has_next = Signal(self.slots), Signal(self.slots)
        open_ids, opened, closed = Signal(ids), Signal(ids), Signal(ids)
        linked, ends = Signal(), Signal()
        mine = self.request.payload.id
        m.d.comb += [
            last.addr.eq(mine),
            linked.eq(taken & ((open_ids >> mine) & 1) & ~(freed.any() & (last.data == leaving))),
            set_last.en.eq(taken),
            set_last.addr.eq(mine),
            set_last.data.eq(slot),
            link.en.eq(linked),
            link.addr.eq(last.data),
            link.data.eq(slot),
            follower.addr.eq(leaving),
            ends.eq((freed & ~has_next).any()),
            opened.eq(Mux(taken, 1 << mine, 0)),
            closed.eq(Mux(ends, 1 << id, 0)),
        ]
        m.d.sync += [
            waits.eq((waits & ~Mux((freed & has_next).any(), 1 << follower.data, 0)) | Mux(linked, 1 << slot, 0)),
            has_next.eq((has_next & ~freed) | Mux(linked, 1 << last.data, 0)),
            open_ids.eq((open_ids & ~closed) | opened),
        ]
        return waits

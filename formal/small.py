"""Properties of single parts, for all inputs."""

from amaranth.hdl import Assert, Assume, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from hdl.core.arbiter import Arbiter
from hdl.core.fifo import Queue
from hdl.link.credit import Credit
from mtia.link import LinkParameters

from .parts import begin


class CreditProof(wiring.Component):
    """The sender's side of a channel at one end, the receiver's at the other, and between them frames that come late.

    A frame may be lost, come twice, or come after newer ones, as long as it is not behind the newest told by half of
    the numbers. Asserted: never more flits are on their way and in the buffer than it has room for; the sender never
    believes in more room than there is.

    Parameters
    ----------
    parameters : of the link; only `credit_bits` and `buffer` matter.
    """

    def __init__(self, *, parameters: LinkParameters):
        self._parameters = parameters
        ports = {"spend": 1, "free": 1, "told": 1, "behind": parameters.credit_bits, "clk": 1}
        super().__init__({name: In(width) for name, width in ports.items()})

    def elaborate(self, platform: object) -> Module:
        m = begin(self)
        m.submodules.credit = credit = Credit(parameters=self._parameters)
        bits, room = self._parameters.credit_bits, self._parameters.buffer
        there = Signal(bits + 1)  # flits on their way or in the buffer
        known, lead, told_there = Signal(bits), Signal(bits), Signal(bits)
        m.d.comb += [
            credit.spent.eq(self.spend & credit.available),
            credit.freed.eq(self.free & (there != 0)),
            credit.told.eq(self.told),
            credit.told_limit.eq(credit.limit - self.behind),
            known.eq(credit.allowed - credit.sent),
            lead.eq(credit.limit - credit.allowed),
            told_there.eq(credit.sent - (credit.limit - room)),
            Assume(self.behind < lead + (1 << bits - 1)),
            Assert(there <= room),
            Assert(known + there <= room),
            Assert(lead + known + there == room),
            Assert(told_there == there),
            Assert(credit.available == (known != 0)),
        ]
        m.d.sync += there.eq(there + credit.spent - credit.freed)
        return m


class ArbiterProof(wiring.Component):
    """An arbiter of packets from three streams that follow the rules of streams.

    Asserted: at most one stream is taken from, and only what leaves; an offered item stays until taken; within a packet
    the source does not change.
    """

    def __init__(self) -> None:
        ports = {"valid": 3, "payload": 6, "ready": 1, "clk": 1}
        super().__init__({name: In(width) for name, width in ports.items()})

    def elaborate(self, platform: object) -> Module:
        m = begin(self)
        shape = data.StructLayout({"last": 1, "item": 1})
        m.submodules.arbiter = arbiter = Arbiter(shape=shape, inputs=3, last="last")
        taken, waits, kept = Signal(3), Signal(3), Signal(6)
        is_open, source, had, before = Signal(), Signal(2), Signal(), Signal(2)
        out = arbiter.o
        m.d.comb += [out.ready.eq(self.ready)]
        for index, stream in enumerate(arbiter.i):
            place = slice(2 * index, 2 * index + 2)
            m.d.comb += [
                stream.valid.eq(self.valid[index]),
                stream.payload.as_value().eq(self.payload[place]),
                taken[index].eq(stream.valid & stream.ready),
                Assume(~waits[index] | (self.valid[index] & (self.payload[place] == kept[place]))),
                Assert(~taken[index] | (out.ready & (out.payload.as_value() == self.payload[place]))),
            ]
        m.d.sync += [waits.eq(self.valid & ~taken), kept.eq(self.payload)]
        m.d.sync += [had.eq(out.valid & ~out.ready), before.eq(out.payload)]
        m.d.comb += [
            Assert((taken & (taken - 1)) == 0),
            Assert(taken.any() == (out.valid & out.ready)),
            Assert(~had | (out.valid & (out.payload.as_value() == before))),
            Assert(~is_open | ~out.valid | (arbiter.source == source)),
        ]
        with m.If(out.valid & out.ready):
            m.d.sync += [is_open.eq(~out.payload.last), source.eq(arbiter.source)]
        return m


class QueueProof(wiring.Component):
    """A queue of three numbered items between sides that do as they like.

    Asserted: what leaves is what entered, in order; `level` is the items inside, `ready` that there is room (in a
    buffered queue one place is its output), and what is offered stays.

    Parameters
    ----------
    buffered : of the queue.
    """

    def __init__(self, *, buffered: bool):
        self._buffered = buffered
        super().__init__({name: In(1) for name in ("valid", "ready", "clk")})

    def elaborate(self, platform: object) -> Module:
        m = begin(self)
        m.submodules.queue = queue = Queue(shape=3, depth=3, buffered=self._buffered)
        entered, left, had = Signal(3), Signal(3), Signal()
        inside = Signal(3)
        m.d.comb += [
            queue.i.valid.eq(self.valid),
            queue.i.payload.eq(entered),
            queue.o.ready.eq(self.ready),
            inside.eq(entered - left),
            Assert(queue.level == inside),
            Assert(inside <= 3),
            Assert((inside != 3) | ~queue.i.ready),
            Assert(~queue.o.valid | ((queue.o.payload == left) & (inside != 0))),
            Assert(~had | queue.o.valid),
        ]
        if not self._buffered:
            m.d.comb += [Assert(queue.o.valid == (inside != 0)), Assert(queue.i.ready == (inside != 3))]
        m.d.sync += [
            entered.eq(entered + (self.valid & queue.i.ready)),
            left.eq(left + (queue.o.valid & self.ready)),
            had.eq(queue.o.valid & ~self.ready),
        ]
        return m

"""The sending half of a message engine."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from mtia.message import CHANNEL_OF, MAX_PACKET, Channel

from ..core.arbiter import Arbiter
from ..core.checks import require_int, stream_in, stream_out
from ..core.connect import connect
from ..core.fifo import Queue
from ..link.flit import Flit
from .assemble import Assemble
from .layouts import Header
from .limits import require_mtu
from .packetize import Packetize, Plan
from .ports import ReadData, ReadRequest, Reply, SendJob, Sent
from .respond import Announce, Respond

#: bits of a counter
COUNTER_BITS = 32


class Sender(wiring.Component):
    """Sends messages from memory as packets, and answers.

    Messages of the REQUEST channel leave in the order of their jobs, their packets one after the
    other. A job of the RESPONSE channel (READY) is a header alone; it overtakes the messages before
    it that have been taken. It and the replies share that channel in turn, packet by packet.

    Data that was read is always taken: a read is asked for only when there is room. A head flit
    needs the first bytes of its payload, so it waits for memory.

    Latency: from the cycle in which a job is taken to that in which its first flit is offered 3
    cycles and the memory's latency (from request to data); 3 without payload; 1 for a READY; 1 for
    a reply. `sent` 1 cycle after the last flit. Throughput: a flit a cycle without a bubble between
    packets or jobs, if `reads` is at least the memory's latency and 2.

    Parameters
    ----------
    mtu : most payload bytes of a packet, 32 + 64 k.
    reads : flits whose data is asked for or waits, at least 2.

    Members
    -------
    send : stream of `SendJob`.
    sent : stream of {thread}: the last flit of a job has left, its memory is read.
    reply : stream of answers to send.
    read, read_data : streams, requests to memory, and the 64 bytes for each in order.
    tx : array of 2 streams of flits, by channel.
    packets_out, flits_out : left so far on both channels. Counters have 32 bits and wrap.

    Raises TypeError or ValueError for a parameter that is not so.
    """

    def __init__(self, *, mtu: int = MAX_PACKET, reads: int = 72):
        self._mtu = require_mtu("Sender mtu", mtu)
        self._reads = require_int("Sender reads", reads, low=2)
        super().__init__(
            {
                "send": stream_in(SendJob),
                "sent": stream_out(Sent),
                "reply": stream_in(Reply),
                "read": stream_out(ReadRequest),
                "read_data": stream_in(ReadData),
                "tx": stream_out(Flit).array(len(Channel)),
                "packets_out": Out(COUNTER_BITS),
                "flits_out": Out(COUNTER_BITS),
            }
        )

    @property
    def mtu(self) -> int:
        """Most payload bytes of a packet."""
        return self._mtu

    @property
    def reads(self) -> int:
        """Flits whose data is asked for or waits."""
        return self._reads

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.packetize = packetize = Packetize(mtu=self.mtu)
        m.submodules.assemble = assemble = Assemble()
        m.submodules.announce = announce = Announce()
        m.submodules.respond = respond = Respond()
        m.submodules.plans = plans = Queue(shape=Plan, depth=self.reads)
        m.submodules.headers = headers = Queue(shape=Header, depth=self.reads)
        m.submodules.data = payload = Queue(shape=ReadData, depth=self.reads)  # never full: each has its plan
        m.submodules.responses = responses = Arbiter(shape=Flit, inputs=2)
        m.submodules.sents = sents = Arbiter(shape=Sent, inputs=2)
        self._split(m, packetize, announce)
        connect(m, packetize.plan, plans.i)
        connect(m, packetize.header, headers.i)
        connect(m, packetize.read, wiring.flipped(self.read))
        connect(m, wiring.flipped(self.read_data), payload.i)
        connect(m, plans.o, assemble.plan)
        connect(m, headers.o, assemble.header)
        connect(m, payload.o, assemble.data)
        connect(m, assemble.o, wiring.flipped(self.tx[Channel.REQUEST]))
        connect(m, wiring.flipped(self.reply), respond.i)
        connect(m, announce.o, responses.i[0])
        connect(m, respond.o, responses.i[1])
        connect(m, responses.o, wiring.flipped(self.tx[Channel.RESPONSE]))
        connect(m, assemble.sent, sents.i[0])
        connect(m, announce.sent, sents.i[1])
        connect(m, sents.o, wiring.flipped(self.sent))
        self._count(m)
        return m

    def _split(self, m: Module, packetize: Packetize, announce: Announce) -> None:
        """Jobs by channel."""
        is_response = Signal()
        with m.Switch(self.send.payload.header.op):
            for op, channel in CHANNEL_OF.items():
                if channel == Channel.RESPONSE:
                    with m.Case(op):
                        m.d.comb += is_response.eq(1)
        m.d.comb += [
            packetize.i.payload.eq(self.send.payload),
            announce.i.payload.eq(self.send.payload),
            packetize.i.valid.eq(self.send.valid & ~is_response),
            announce.i.valid.eq(self.send.valid & is_response),
            self.send.ready.eq(Mux(is_response, announce.i.ready, packetize.i.ready)),
        ]

    def _count(self, m: Module) -> None:
        """The counters."""
        left, ends = Signal(len(Channel)), Signal(len(Channel))
        for channel, stream in enumerate(self.tx):
            m.d.comb += [
                left[channel].eq(stream.valid & stream.ready),
                ends[channel].eq(left[channel] & stream.payload.last),
            ]
        m.d.sync += [
            self.flits_out.eq(self.flits_out + left[0] + left[1]),
            self.packets_out.eq(self.packets_out + ends[0] + ends[1]),
        ]

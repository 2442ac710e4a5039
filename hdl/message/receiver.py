"""The receiving half of a message engine."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from mtia.message import MAX_PACKET, MAX_RANKS, Channel, Reason

from ..core.arbiter import Arbiter
from ..core.checks import require_int, stream_in, stream_out
from ..core.connect import connect
from ..core.fifo import Queue
from ..core.stream import Fork
from ..link.flit import Flit
from .eager import EagerMessages
from .event_table import EventTable
from .landing import Landing
from .limits import require_communicators, require_mtu, require_ports
from .outcomes import RequestOutcomes, ResponseOutcomes
from .ports import (
    Acknowledged,
    Answer,
    Arrival,
    Eager,
    EagerAnswer,
    Forget,
    Query,
    ReadyAnswer,
    ReadyQuery,
    Reply,
    WindowEntry,
    Write,
)
from .ready import Ready
from .windows import Windows

#: bits of a counter
COUNTER_BITS = 32


class Receiver(wiring.Component):
    """Takes the packets of both channels, checks each against its window, and writes those that pass to memory.

    What a packet brings about (an event, a token, an answer) comes after the memory has taken its last write. Refused
    packets write nothing, are counted by reason and, on REQUEST, answered. The channels share the memory flit by
    flit, in turn.

    RESPONSE is always taken in the end: it waits for the memory and for `acknowledged`, never for REQUEST or for room
    to answer. REQUEST waits besides for `reply`.

    Latency: 2 cycles from a flit to its write; 3 from the last flit to `arrived`, 4 to `reply`, if the memory takes the
    write at once. Throughput: a flit a cycle, of both channels together.

    Parameters
    ----------
    windows : entries of the window table, 2 to 256.
    communicators : whose events and tokens are kept, 1 to 16.
    ports : of the switch, 1 to 72.
    mtu : most payload bytes of a packet, 32 + 64 k.
    replies : answers that wait to be sent, at least 2.

    Members
    -------
    rx : array of 2 streams of flits, by channel.
    windows : stream of {index, window}, changes of the window table. forget : stream of {communicator}.
    write : stream of {address, data, enable} to memory.
    query, answer, arrived, arrived_event : events, see `EventTable`.
    ready_query, ready_answer, ready_arrived : READYs, see `Ready`.
    eager_query, eager_answer, eager_arrived : SENDs, see `EagerMessages`.
    acknowledged : stream of the DONEs and REFUSEDs that came.
    reply : stream of those to send.
    refused : array, packets refused so far by `Reason`; place 0 stays 0.
    packets_in, flits_in : taken so far on both channels. Counters have 32 bits and wrap.
    """

    def __init__(
        self,
        *,
        windows: int = 16,
        communicators: int = 16,
        ports: int = MAX_RANKS,
        mtu: int = MAX_PACKET,
        replies: int = 8,
    ):
        self._parameters = {
            "windows": require_int("Receiver windows", windows, low=2, high=256),
            "communicators": require_communicators("Receiver communicators", communicators),
            "ports": require_ports("Receiver ports", ports),
            "mtu": require_mtu("Receiver mtu", mtu),
            "replies": require_int("Receiver replies", replies, low=2),
        }
        super().__init__(
            {
                "rx": stream_in(Flit).array(len(Channel)),
                "windows": stream_in(WindowEntry),
                "forget": stream_in(Forget),
                "write": stream_out(Write),
                "query": stream_in(Query),
                "answer": stream_out(Answer),
                "arrived": Out(1),
                "arrived_event": Out(16),
                "ready_query": stream_in(ReadyQuery),
                "ready_answer": stream_out(ReadyAnswer),
                "ready_arrived": Out(1),
                "eager_query": stream_in(Eager),
                "eager_answer": stream_out(EagerAnswer),
                "eager_arrived": Out(1),
                "acknowledged": stream_out(Acknowledged),
                "reply": stream_out(Reply),
                "refused": Out(COUNTER_BITS).array(len(Reason)),
                "packets_in": Out(COUNTER_BITS),
                "flits_in": Out(COUNTER_BITS),
            }
        )

    @property
    def parameters(self) -> dict[str, int]:
        """What the receiver was built from, by name."""
        return dict(self._parameters)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        names = ("mtu", "communicators", "ports")
        m.submodules.windows = table = Windows(windows=self._parameters["windows"])
        m.submodules.writes = writes = Arbiter(shape=Write, inputs=2)
        m.submodules.request_outcomes = requests = RequestOutcomes()
        m.submodules.response_outcomes = responses = ResponseOutcomes()
        m.submodules.replies = replies = Queue(shape=Reply, depth=self._parameters["replies"])
        connect(m, wiring.flipped(self.windows), table.configure)
        connect(m, writes.o, wiring.flipped(self.write))
        for channel, outcomes in ((Channel.REQUEST, requests), (Channel.RESPONSE, responses)):
            landing = Landing(channel=channel, **{name: self._parameters[name] for name in names})
            m.submodules[f"landing_{channel.name.lower()}"] = landing
            m.d.comb += [
                table.enable[channel].eq(landing.lookup),
                table.index[channel].eq(landing.index),
                landing.window.eq(table.entry[channel]),
            ]
            connect(m, wiring.flipped(self.rx[channel]), landing.i)
            connect(m, landing.write, writes.i[channel])
            connect(m, landing.outcome, outcomes.i)
        connect(m, responses.acknowledged, wiring.flipped(self.acknowledged))
        connect(m, requests.reply, replies.i)
        connect(m, replies.o, wiring.flipped(self.reply))
        self._tables(m, requests, responses)
        self._count(m, requests.refused, responses.refused)
        return m

    def _tables(self, m: Module, requests: RequestOutcomes, responses: ResponseOutcomes) -> None:
        """The tables of events, READYs and SENDs, and their queries."""
        communicators = self._parameters["communicators"]
        m.submodules.arrivals = arrivals = EventTable(communicators=communicators)
        m.submodules.ready = ready = Ready(communicators=communicators)
        m.submodules.eager = eager = EagerMessages()
        m.submodules.events = events = Arbiter(shape=Arrival, inputs=2)
        m.submodules.forgets = forgets = Fork(shape=Forget, outputs=2)
        connect(m, requests.arrival, events.i[Channel.REQUEST])
        connect(m, responses.arrival, events.i[Channel.RESPONSE])
        connect(m, events.o, arrivals.i)
        connect(m, responses.token, ready.i)
        connect(m, requests.eager, eager.i)
        connect(m, wiring.flipped(self.forget), forgets.i)
        connect(m, forgets.o[0], arrivals.forget)
        connect(m, forgets.o[1], ready.forget)
        for table, query, answer in (
            (arrivals, self.query, self.answer),
            (ready, self.ready_query, self.ready_answer),
            (eager, self.eager_query, self.eager_answer),
        ):
            connect(m, wiring.flipped(query), table.query)
            connect(m, table.answer, wiring.flipped(answer))
        m.d.comb += [
            self.arrived.eq(arrivals.arrived),
            self.arrived_event.eq(arrivals.arrived_event),
            self.ready_arrived.eq(ready.arrived),
            self.eager_arrived.eq(eager.arrived),
        ]

    def _count(self, m: Module, *refused: Value) -> None:
        """The counters."""
        moved = Signal(len(Channel))
        heads = Signal(len(Channel))
        for channel, stream in enumerate(self.rx):
            m.d.comb += [
                moved[channel].eq(stream.valid & stream.ready),
                heads[channel].eq(moved[channel] & stream.payload.head),
            ]
        m.d.sync += [
            self.flits_in.eq(self.flits_in + moved[0] + moved[1]),
            self.packets_in.eq(self.packets_in + heads[0] + heads[1]),
        ]
        for reason in list(Reason)[1:]:
            with m.If((refused[0] == reason) | (refused[1] == reason)):
                both = (refused[0] == reason) & (refused[1] == reason)
                m.d.sync += self.refused[reason].eq(self.refused[reason] + 1 + both)

"""Asks the receiver whether what threads wait for has arrived."""

from amaranth import *
from amaranth.lib import data, enum, memory, wiring
from amaranth.lib.wiring import In, Out

from mtia.message import MAX_RANKS

from ..core.checks import require_int, stream_in, stream_out
from ..hbm.select import RoundRobin, index_of
from .jobs import THREAD_BITS, Chosen
from .layouts import Event
from .ports import Answer, Query, ReadyAnswer, ReadyQuery
from .visit import Wait

_Kept = data.StructLayout({"event": 16, "sequence": 16, "mask": MAX_RANKS, "port": 8})


class _State(enum.Enum, shape=1):
    IDLE = 0
    ANSWER = 1


class Arrivals(wiring.Component):
    """Asks the receiver for what threads wait for: when a thread begins to wait, and when
    something of it arrived.

    One question at a time, threads in turn. Latency: 1 cycle from the beginning of a wait, or from
    an arrival, to the question, where none is under way; an answer wakes its thread in its own
    cycle. After reset nobody waits.

    Parameters
    ----------
    threads : 4 to 16.

    Members
    -------
    wait : what a thread waits for from the next cycle on, a `Wait`.
    waits_event, waits_token : a bit a thread: it does wait, for arrivals or for a READY.
    arrived, arrived_event : a query of the next cycle sees another bit of that event.
    ready_arrived : a ready query of the next cycle may see another READY.
    query, answer : streams of `Query` and `Answer`, to and from the receiver.
    ready_query, ready_answer : streams of `ReadyQuery` and `ReadyAnswer`; each question takes its
        READY.
    wake : {valid, thread}: the answer was yes. Also for one that waits no more.
    asked : {valid, thread}: the thread asked for, from the offer of the question to its answer.

    Raises TypeError or ValueError for `threads` that are no such number.
    """

    def __init__(self, *, threads: int):
        self._threads = require_int("Threads", threads, low=4, high=1 << THREAD_BITS)
        super().__init__(
            {
                "wait": In(Wait),
                "waits_event": In(threads),
                "waits_token": In(threads),
                "arrived": In(1),
                "arrived_event": In(16),
                "ready_arrived": In(1),
                "query": stream_out(Query),
                "answer": stream_in(Answer),
                "ready_query": stream_out(ReadyQuery),
                "ready_answer": stream_in(ReadyAnswer),
                "wake": Out(Chosen),
                "asked": Out(Chosen),
            }
        )

    @property
    def threads(self) -> int:
        """Threads."""
        return self._threads

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.kept = kept = memory.Memory(shape=_Kept, depth=self.threads, init=[])
        m.submodules.turn = turn = RoundRobin(inputs=self.threads)
        write, look = kept.write_port(), kept.read_port(domain="comb")
        state, thread, is_token = Signal(_State), Signal(THREAD_BITS), Signal()
        picked, picks_token, begins, asks = Signal(THREAD_BITS), Signal(), Signal(), Signal()
        unasked = Signal(self.threads)  # whose question is not taken yet
        m.d.sync += unasked.eq(Mux(begins & ~asks, turn.picked, 0))
        query, tokens, is_yes = self.query.payload, self.ready_query.payload, Signal()
        m.d.comb += [
            *(write.en.eq(self.wait.valid), write.addr.eq(self.wait.thread), look.addr.eq(picked)),
            *(write.data[name].eq(self.wait[name]) for name in _Kept.members),
            turn.requests.eq(Mux(unasked.any(), unasked, self._dirty(m, Mux(asks, turn.picked, 0)))),
            *(turn.taken.eq(asks), picked.eq(index_of(m, turn.picked, name="picked"))),
            picks_token.eq((turn.picked & self.waits_token).any()),
            begins.eq((state == _State.IDLE) & turn.picked.any()),
            asks.eq(begins & Mux(picks_token, self.ready_query.ready, self.query.ready)),
            *(query[name].eq(look.data[name]) for name in ("event", "sequence", "mask")),
            *(tokens.communicator.eq(Event(look.data.event).communicator), tokens.port.eq(look.data.port)),
            *(tokens.take.eq(1), self.asked.valid.eq((state != _State.IDLE) | begins)),
            self.asked.thread.eq(Mux(begins, picked, thread)),
            *(self.query.valid.eq(begins & ~picks_token), self.ready_query.valid.eq(begins & picks_token)),
            self.answer.ready.eq((state == _State.ANSWER) & ~is_token),
            self.ready_answer.ready.eq((state == _State.ANSWER) & is_token),
            is_yes.eq(Mux(is_token, self.ready_answer.payload.available, self.answer.payload.complete)),
            self.wake.thread.eq(thread),
        ]
        with m.Switch(state):
            with m.Case(_State.IDLE):
                with m.If(asks):
                    m.d.sync += [thread.eq(picked), is_token.eq(picks_token), state.eq(_State.ANSWER)]
            with m.Default():
                with m.If(Mux(is_token, self.ready_answer.valid, self.answer.valid)):
                    m.d.comb += self.wake.valid.eq(is_yes)
                    m.d.sync += state.eq(_State.IDLE)
        return m

    def _dirty(self, m: Module, picked: Value) -> Value:
        """Threads whose answer may have changed since they were asked for."""
        dirty, waits = Signal(self.threads), Signal(self.threads)
        for index in range(self.threads):
            event, begins, changed = (Signal(16, name=f"event_{index}"), Signal(name=f"begins_{index}"), Signal())
            m.d.comb += [
                begins.eq(self.wait.valid & (self.wait.thread == index)),
                changed.eq(
                    (self.arrived & (event == self.arrived_event)) | (self.ready_arrived & self.waits_token[index])
                ),
            ]
            with m.If(begins):
                m.d.sync += event.eq(self.wait.event)
            with m.If(begins | changed):
                m.d.sync += dirty[index].eq(1)
            with m.Elif(picked[index]):
                m.d.sync += dirty[index].eq(0)
        m.d.comb += waits.eq(dirty & (self.waits_event | self.waits_token))
        return waits

"""The threads of an engine: who is free, who may go on, where each is."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from ..core.checks import require_int, stream_in
from ..hbm.select import RoundRobin, index_of, lowest
from .jobs import SLOT_BITS, THREAD_BITS, Chosen, Leave, Place
from .thread import ThreadStates


class ThreadTable(wiring.Component):
    """`threads` threads and their places.

    The pick among the READY is in turn, so that each gets on. Latency of a pick 0; what changes a
    thread is seen in the next cycle. One may begin, one be taken, one leave each way and one end a
    cycle. All are free after reset.

    Parameters
    ----------
    threads : 4 to 16.
    slots : command slots, 1 to 16.

    Members
    -------
    start : stream of `Place`: a thread begins there. Waits while no thread is free, or a place is
        written by `release` or a `block` that `passes`.
    free : how many threads are free.
    pick : {valid, thread, place, synced} of a READY thread; until it is taken another may be
        picked.
    take : it becomes BUSY.
    block : {valid, thread, to}: a BUSY thread leaves, its place as it was.
    passes, next_place, closes : with `block` for EVENT: for `next_place` instead; with both for its
        end. Not in a cycle with `release`.
    release, place : {valid, thread, to}: a BUSY thread leaves, for that place.
    advance : with `release`: it has to synchronise again.
    begin, begin_work : {valid, thread}: a job is issued for it; it is one of the reducer's.
    sent, worked : {valid, thread}: a message, a job of the reducer is done.
    wake, sized : {valid, thread}: what it waits for is there, arrivals or a READY, a size.
    asked, asked_size : {valid, thread}: it is being asked for, and does not end yet.
    can_send, can_work : room for messages, for jobs of the reducer.
    settled, met, failed : a bit a command slot, see `ThreadStates`.
    waits_event, waits_token, idle, last_idle : a bit a thread, see `ThreadStates`.
    wanted : a bit a command slot: some thread of it waits for the semaphore.
    active : some thread is READY or BUSY.
    ended : {valid, slot}: a thread of that command ended; it is free in the next cycle.

    Raises TypeError or ValueError for a parameter that is no such number.
    """

    def __init__(self, *, threads: int, slots: int):
        self._threads = require_int("Threads", threads, low=4, high=1 << THREAD_BITS)
        self._slots = require_int("Slots", slots, low=1, high=1 << SLOT_BITS)
        pick = {"valid": 1, "thread": THREAD_BITS, "place": Place, "synced": 1}
        super().__init__(
            {
                "start": stream_in(Place),
                "free": Out(range(threads + 1)),
                "pick": Out(data.StructLayout(pick)),
                "take": In(1),
                "block": In(Leave),
                **{name: In(1) for name in ("passes", "closes")},
                "next_place": In(Place),
                "release": In(Leave),
                "place": In(Place),
                "advance": In(1),
                "begin": In(Chosen),
                "begin_work": In(1),
                "sent": In(Chosen),
                "worked": In(Chosen),
                "wake": In(Chosen),
                "asked": In(Chosen),
                "sized": In(Chosen),
                "asked_size": In(Chosen),
                "can_send": In(1),
                "can_work": In(1),
                **{name: In(slots) for name in ("settled", "met", "failed")},
                **{name: Out(threads) for name in ("waits_event", "waits_token", "idle", "last_idle")},
                "wanted": Out(slots),
                "active": Out(1),
                "ended": Out(data.StructLayout({"valid": 1, "slot": SLOT_BITS})),
            }
        )

    @property
    def threads(self) -> int:
        """Threads."""
        return self._threads

    @property
    def slots(self) -> int:
        """Command slots."""
        return self._slots

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.states = states = ThreadStates(threads=self.threads, slots=self.slots)
        m.submodules.places = places = memory.Memory(shape=Place, depth=self.threads, init=[])
        m.submodules.turn = turn = RoundRobin(inputs=self.threads)
        write, read, leaving = places.write_port(), places.read_port(domain="comb"), places.read_port(domain="comb")
        started, freed, taken, passes = Signal(self.threads), Signal(self.threads), Signal(), Signal()
        thread = index_of(m, turn.picked, name="picked")
        same = ("block", "release", "advance", "begin", "begin_work", "sent", "worked", "wake", "asked", "sized")
        more = ("asked_size", "can_send", "can_work", "settled", "met", "failed", "passes", "closes")
        m.d.comb += [
            *(getattr(states, name).eq(getattr(self, name)) for name in (*same, *more)),
            *(getattr(self, name).eq(getattr(states, name)) for name in ("waits_event", "waits_token", "idle")),
            *(self.last_idle.eq(states.last_idle), self.wanted.eq(states.wanted)),
            self.active.eq((states.ready | states.busy).any()),
            *(started.eq(lowest(states.free)), freed.eq(lowest(states.ended))),
            passes.eq(self.block.valid & self.passes),
            self.start.ready.eq(started.any() & ~self.release.valid & ~passes),
            taken.eq(self.start.valid & self.start.ready),
            *(states.start.eq(Mux(taken, started, 0)), states.start_slot.eq(self.start.payload.slot)),
            *(states.take.eq(Mux(self.take, turn.picked, 0)), states.freed.eq(freed)),
            *(turn.requests.eq(states.ready), turn.taken.eq(self.take)),
            *(self.pick.valid.eq(states.ready.any()), self.pick.thread.eq(thread)),
            self.pick.synced.eq((states.synced & turn.picked).any()),
            *(read.addr.eq(thread), Value.cast(self.pick.place).eq(Value.cast(read.data))),
            write.en.eq(self.release.valid | passes | taken),
            write.addr.eq(index_of(m, started, name="first_free")),
            Value.cast(write.data).eq(Value.cast(self.start.payload)),
            *(leaving.addr.eq(index_of(m, freed, name="first_ended")), self.ended.slot.eq(leaving.data.slot)),
            self.ended.valid.eq(freed.any()),
        ]
        for leaves, leave, target in (
            (passes, self.block, self.next_place),
            (self.release.valid, self.release, self.place),
        ):
            with m.If(leaves):
                m.d.comb += [write.addr.eq(leave.thread), Value.cast(write.data).eq(Value.cast(target))]
        free = Signal.like(self.free, name="free_threads", init=self.threads)
        m.d.sync += free.eq(free - taken + freed.any())
        m.d.comb += self.free.eq(free)
        return m

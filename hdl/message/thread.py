"""States of the threads: the subgraphs of programs that run, and what each waits for."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..core.checks import require_int
from .jobs import SLOT_BITS, THREAD_BITS, Chosen, Leave, ThreadState

#: jobs of a thread under way at once; the queues and the sender together hold fewer
JOB_BITS = 9
#: states in which a thread waits, and what for; those after which it is not `synced`
_AWAITS = {
    ThreadState.EVENT: "wake",
    ThreadState.TOKEN: "wake",
    ThreadState.JOBS: "idle",
    ThreadState.LAST: "last_idle",
    ThreadState.FENCE: "settled",
    ThreadState.SEMAPHORE: "met",
    ThreadState.SEND: "can_send",
    ThreadState.MEMORY: "can_work",
    ThreadState.SIZE: "sized",
}
_UNSYNCED = (ThreadState.SEND, ThreadState.MEMORY, ThreadState.SIZE)
_OTHERS = (ThreadState.FREE, ThreadState.READY, ThreadState.BUSY, ThreadState.END)


class ThreadStates(wiring.Component):
    """States of `threads` threads, a bit of each in one vector a state, and their jobs under way.

    A thread that waits does nothing: it becomes READY when what it waits for is there. Where it
    waited before its entry's first step, or before a step, it is `synced` then, and need not wait
    again. A command that fails ends its threads that wait; one that is READY or BUSY is ended by
    who has it. What changes is seen in the next cycle. All are FREE after reset. A thread that is
    not in the state that an input is for must not be named; only what it waits for may come at any
    time.

    Parameters
    ----------
    threads : 4 to 16.
    slots : command slots, 1 to 16.

    Members
    -------
    start, start_slot : bits of FREE threads: READY, for that command.
    take : a bit of a READY thread: BUSY.
    block, release : {valid, thread, to}: a BUSY thread leaves for the state `to`.
    advance : with `release`: it has to synchronise again.
    passes, closes : with `block` for EVENT: it will not be `synced` when that is there; with both
        it will END then.
    wake : {valid, thread}: what EVENT or TOKEN waits for is there.
    sized : {valid, thread}: what SIZE waits for is there.
    asked, asked_size : {valid, thread}: it is being asked for, and has not `ended` yet.
    can_send, can_work : there is room in the queue of messages, of jobs of the reducer.
    settled, met, failed : a bit a command: nothing to be acknowledged, the semaphore's condition
        true, it has failed.
    begin, begin_work : {valid, thread}: a job is issued for it; it is one of the reducer's. At most
        511 of a kind are under way.
    sent, worked : {valid, thread}: a message, a job of the reducer is done.
    freed : bits of threads that have `ended`: FREE.
    free, ready, busy, waits_event, waits_token : a bit a thread: it is FREE, READY, BUSY, waits in
        EVENT, in TOKEN.
    synced : a bit a thread: it has waited already.
    idle, last_idle : a bit a thread: no job under way; none of the kind issued last.
    ended : a bit a thread: it is in END, has no job under way and is not being asked for.
    wanted : a bit a command: some thread of it waits for the semaphore.

    Raises TypeError or ValueError for a parameter that is no such number.
    """

    def __init__(self, *, threads: int, slots: int):
        self._threads = require_int("Threads", threads, low=4, high=1 << THREAD_BITS)
        self._slots = require_int("Slots", slots, low=1, high=1 << SLOT_BITS)
        given = ("free", "ready", "busy", "waits_event", "waits_token", "synced", "idle", "last_idle", "ended")
        super().__init__(
            {
                "start": In(threads),
                "start_slot": In(SLOT_BITS),
                "take": In(threads),
                "block": In(Leave),
                "release": In(Leave),
                **{name: In(1) for name in ("advance", "passes", "closes")},
                **{name: In(Chosen) for name in ("wake", "sized", "asked", "asked_size", "begin", "sent", "worked")},
                **{name: In(1) for name in ("begin_work", "can_send", "can_work")},
                **{name: In(slots) for name in ("settled", "met", "failed")},
                "freed": In(threads),
                **{name: Out(threads) for name in given},
                "wanted": Out(slots),
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
        threads = self.threads
        full = (1 << threads) - 1
        state = {
            item: Signal(threads, name=f"is_{item.name.lower()}", init=full if item == ThreadState.FREE else 0)
            for item in ThreadState
        }
        released, blocked = self._one(m, "release"), self._one(m, "block")
        members = self._members(m)
        self._jobs(m)
        failed = self._of_commands(m, members, "failed")
        there = {
            **{name: self._one(m, name) for name in ("wake", "sized")},
            **{name: self._of_commands(m, members, name) for name in ("settled", "met")},
            **{name: getattr(self, name).replicate(threads) for name in ("can_send", "can_work")},
            **{name: getattr(self, name) for name in ("idle", "last_idle")},
        }
        passing, closing = self._noted(m, "passes", blocked, released), self._noted(m, "closes", blocked, released)
        wakes, marks, ends = [], [], []
        for item, name in _AWAITS.items():
            woken, failing = Signal(threads, name=f"{item.name.lower()}_woken"), Signal(threads)
            m.d.comb += [woken.eq(state[item] & there[name] & ~failed), failing.eq(state[item] & failed)]
            m.d.sync += state[item].eq((state[item] & ~woken & ~failed) | self._entering(item, released, blocked))
            goes_on = woken & ~closing if item == ThreadState.EVENT else woken
            wakes.append(goes_on)
            marks += [] if item in _UNSYNCED else [goes_on & ~passing]
            ends += [failing, woken & closing] if item == ThreadState.EVENT else [failing]
        free, ready, busy, end = (state[item] for item in _OTHERS)
        to_ready, to_end = (self._entering(item, released, blocked) for item in (ThreadState.READY, ThreadState.END))
        m.d.sync += [
            free.eq((free & ~self.start) | self.freed),
            ready.eq((ready & ~self.take) | self.start | _any(wakes) | to_ready),
            busy.eq((busy & ~released & ~blocked) | (self.take & ready)),
            end.eq((end & ~self.freed) | _any(ends) | to_end),
            self.synced.eq((self.synced | _any(marks)) & ~self.start & ~Mux(self.advance, released, 0)),
        ]
        m.d.comb += [
            *(self.free.eq(free), self.ready.eq(ready), self.busy.eq(busy)),
            *(self.waits_event.eq(state[ThreadState.EVENT]), self.waits_token.eq(state[ThreadState.TOKEN])),
            self.ended.eq(end & self.idle & ~self._one(m, "asked") & ~self._one(m, "asked_size")),
            self.wanted.eq(Cat((state[ThreadState.SEMAPHORE] & own).any() for own in members)),
        ]
        return m

    def _one(self, m: Module, name: str) -> Signal:
        """The bit of the thread that a port names."""
        port, bits = getattr(self, name), Signal(self.threads, name=f"{name}_bit")
        m.d.comb += bits.eq(Mux(port.valid, Const(1, self.threads) << port.thread, 0))
        return bits

    def _noted(self, m: Module, name: str, blocked: Signal, released: Signal) -> Signal:
        """Threads whose last `block` had that bit."""
        noted = Signal(self.threads, name=f"noted_{name}")
        m.d.sync += noted.eq((noted & ~blocked & ~released) | Mux(self.passes & getattr(self, name), blocked, 0))
        return noted

    def _entering(self, item: ThreadState, released: Signal, blocked: Signal) -> Value:
        """Threads that leave for that state."""
        return Mux(self.release.to == item, released, 0) | Mux(self.block.to == item, blocked, 0)

    def _members(self, m: Module) -> list[Signal]:
        """For each command slot the threads that run for it, or did so last."""
        members = [Signal(self.threads, name=f"members_{slot}") for slot in range(self.slots)]
        with m.If(self.start.any()):
            for slot, own in enumerate(members):
                m.d.sync += own.eq(Mux(self.start_slot == slot, own | self.start, own & ~self.start))
        return members

    def _of_commands(self, m: Module, members: list[Signal], name: str) -> Signal:
        """Threads of the command slots whose bit is high."""
        bits, given = Signal(self.threads, name=f"{name}_threads"), getattr(self, name)
        m.d.comb += bits.eq(_any([Mux(given[slot], own, 0) for slot, own in enumerate(members)]))
        return bits

    def _jobs(self, m: Module) -> None:
        """Counts of the jobs under way."""
        begun, last_is_work = self._one(m, "begin"), Signal(self.threads)
        m.d.sync += last_is_work.eq(Mux(self.begin_work, last_is_work | begun, last_is_work & ~begun))
        counts: dict[str, Signal] = {}
        for name, begin, done in (
            ("sends", Mux(self.begin_work, 0, begun), self._one(m, "sent")),
            ("works", Mux(self.begin_work, begun, 0), self._one(m, "worked")),
        ):
            none, up, down = (Signal(self.threads, name=f"{name}_{part}") for part in ("none", "up", "down"))
            m.d.comb += [up.eq(begin & ~done), down.eq(done & ~begin)]
            for index in range(self.threads):
                count = Signal(JOB_BITS, name=f"{name}_{index}")
                with m.If(up[index]):
                    m.d.sync += count.eq(count + 1)
                with m.Elif(down[index]):
                    m.d.sync += count.eq(count - 1)
                m.d.comb += none[index].eq(count == 0)
            counts[name] = none
        m.d.comb += [
            self.idle.eq(counts["sends"] & counts["works"]),
            self.last_idle.eq((counts["sends"] & ~last_is_work) | (counts["works"] & last_is_work)),
        ]


def _any(terms: list[Signal] | list[Value]) -> Value:
    """Bits that are high in any of the terms."""
    result: Value = Const(0, len(terms[0]))
    for term in terms:
        result = result | term
    return result

# amaranth: UnusedElaboratable=no
# (a component whose parameters are refused is never elaborated)
"""States of a thread: each leaves for what it waits for and for nothing else."""

import pytest

from hdl.message.arrivals import Arrivals
from hdl.message.fetch import Fetch
from hdl.message.issue import Issue
from hdl.message.jobs import ThreadState
from hdl.message.thread import ThreadStates
from hdl.message.thread_table import ThreadTable
from tests.hdl.pysim import simulate

THREADS, SLOTS, THREAD, SLOT = 4, 3, 2, 1
#: what each state waits for, and whether it is synchronised then
LEAVES = {
    ThreadState.EVENT: ("wake", True),
    ThreadState.TOKEN: ("wake", True),
    ThreadState.FENCE: ("settled", True),
    ThreadState.SEMAPHORE: ("met", True),
    ThreadState.SEND: ("can_send", False),
    ThreadState.MEMORY: ("can_work", False),
    ThreadState.SIZE: ("sized", False),
}
PULSES = {name for name, _ in LEAVES.values()}
BITS = {
    "start": 1 << THREAD,
    "take": 1 << THREAD,
    "freed": 1 << THREAD,
    **dict.fromkeys(("settled", "met", "failed"), 1 << SLOT),
}
OTHER_BITS = {"settled": 0b101, "met": 0b101, "failed": 0b101}
NAMED = ("wake", "sized", "asked", "asked_size", "begin", "sent", "worked", "block", "release")


class Bench:
    """Thread 2, for command slot 1; what is meant for others goes to thread 3 and the other slots."""

    def __init__(self, ctx, dut):
        self.ctx, self.dut = ctx, dut

    def put(self, name, value, *, other=False):
        port = getattr(self.dut, name)
        if name in NAMED:
            fields = {"valid": 1, "thread": THREAD + other} if value is not None else {}
            self.ctx.set(port, fields | ({"to": value} if name in ("block", "release") and value is not None else {}))
        else:
            bits = (OTHER_BITS if other else BITS).get(name, 1)
            self.ctx.set(port, bits if value is not None else 0)

    async def tick(self, *names, other=False, **values):
        """A cycle with these inputs."""
        values |= dict.fromkeys(names, 1)
        for name, value in values.items():
            self.put(name, value, other=other)
        await self.ctx.tick()
        for name in values:
            self.put(name, None)

    def get(self, name):
        return self.ctx.get(getattr(self.dut, name)) >> THREAD & 1

    async def go(self, state):
        """From FREE into a state."""
        self.ctx.set(self.dut.start_slot, SLOT)
        assert self.get("free")
        await self.tick("start")
        assert (self.get("free"), self.get("ready")) == (0, 1)
        await self.tick("take")
        assert (self.get("ready"), self.get("busy")) == (0, 1)
        await self.tick(block=state)
        assert not self.get("busy")


def on_thread(body):
    dut = ThreadStates(threads=THREADS, slots=SLOTS)

    async def bench(ctx):
        await body(Bench(ctx, dut))
        assert ctx.get(dut.free) & ~(1 << THREAD) == 0b1011, "the others have not moved"

    simulate(dut, bench)


@pytest.mark.parametrize("state", LEAVES, ids=lambda item: item.name)
def test_waits_for_its_own(state):
    async def body(bench):
        await bench.go(state)
        awaited, synced = LEAVES[state]
        for _ in range(3):
            await bench.tick(*(PULSES - {awaited}))
            if not awaited.startswith("can"):
                await bench.tick(awaited, other=True)
            assert not bench.get("ready")
        await bench.tick(awaited)
        assert bench.get("ready")
        assert bench.get("synced") == synced

    on_thread(body)


@pytest.mark.parametrize("state", [*LEAVES, ThreadState.JOBS, ThreadState.LAST], ids=lambda item: item.name)
def test_failure_ends_who_waits(state):
    async def body(bench):
        await bench.tick("begin")
        await bench.go(state)
        await bench.tick("failed", other=True)
        await bench.tick("sent", "failed")
        await bench.tick(*PULSES)
        assert bench.get("ended")
        assert not bench.get("ready")

    on_thread(body)


@pytest.mark.parametrize("closes", [False, True])
def test_passes_what_it_waited_for(closes):
    """It has to synchronise again where it goes on, or ends; the next time that it waits is as if it never had."""

    async def body(bench):
        for _ in range(2):
            await bench.tick("start")
            await bench.tick("take")
            await bench.tick("passes", *(["closes"] if closes else []), block=ThreadState.EVENT)
            await bench.tick(other=True, wake=1)
            assert [bench.get(name) for name in ("ready", "ended")] == [0, 0]
            await bench.tick("wake")
            assert [bench.get(name) for name in ("ready", "synced", "ended")] == [not closes, 0, closes]
            if not closes:
                await bench.tick("take")
                await bench.tick(block=ThreadState.EVENT)
                await bench.tick("wake")
                assert (bench.get("ready"), bench.get("synced")) == (1, 1)
                await bench.tick("take")
                await bench.tick(release=ThreadState.END)
            await bench.tick("freed")
            assert bench.get("free")

    on_thread(body)


def test_jobs():
    """JOBS waits for all, LAST for those of the kind that was issued last."""

    async def body(bench):
        await bench.tick("begin")
        await bench.tick("begin", "begin_work")
        await bench.go(ThreadState.LAST)
        await bench.tick("begin", "sent")
        await bench.tick()
        assert not bench.get("ready")
        assert not bench.get("idle")
        await bench.tick("sent")
        await bench.tick()
        assert (bench.get("ready"), bench.get("idle"), bench.get("last_idle")) == (1, 0, 1)
        await bench.tick("take")
        await bench.tick(block=ThreadState.JOBS)
        await bench.tick()
        assert not bench.get("ready")
        await bench.tick("worked")
        await bench.tick()
        assert (bench.get("ready"), bench.get("idle"), bench.get("synced")) == (1, 1, 1)

    on_thread(body)


def test_end():
    """It has ended when its jobs have and nobody asks for it; it is free when it is told so."""

    async def body(bench):
        await bench.tick("begin", "begin_work")
        await bench.go(ThreadState.END)
        await bench.tick(*PULSES)
        assert not bench.get("ended")
        await bench.tick("worked")
        for name in ("asked", "asked_size"):
            bench.put(name, 1)
            assert not bench.get("ended")
            bench.put(name, None)
        assert bench.get("ended")
        await bench.tick("freed")
        assert (bench.get("free"), bench.get("ended")) == (1, 0)

    on_thread(body)


def test_advance():
    """It has to synchronise again after `advance`, and after a new start."""

    async def body(bench):
        await bench.go(ThreadState.FENCE)
        await bench.tick("settled")
        await bench.tick("take")
        await bench.tick(release=ThreadState.READY)
        assert bench.get("synced")
        await bench.tick("take")
        await bench.tick("advance", release=ThreadState.READY)
        assert not bench.get("synced")

    on_thread(body)


def test_one_who_is_ready_does_not_fail_unseen():
    """Whoever has taken it finds out; else it could be free and started again meanwhile."""

    async def body(bench):
        await bench.tick("start")
        await bench.tick("failed", "take")
        assert bench.get("busy")

    on_thread(body)


def test_wanted():
    """The slots whose threads wait for the semaphore."""

    async def body(bench):
        await bench.go(ThreadState.SEMAPHORE)
        assert bench.ctx.get(bench.dut.wanted) == 1 << SLOT
        await bench.tick("met")
        assert bench.ctx.get(bench.dut.wanted) == 0

    on_thread(body)


@pytest.mark.parametrize(
    ("build", "parameters", "words"),
    [
        (ThreadStates, {"threads": 3, "slots": 4}, r"^Threads must be in 4 to 16, not 3$"),
        (ThreadStates, {"threads": 4, "slots": 17}, r"^Slots must be in 1 to 16, not 17$"),
        (ThreadTable, {"threads": 3, "slots": 4}, r"^Threads must be in 4 to 16, not 3$"),
        (ThreadTable, {"threads": 4, "slots": 17}, r"^Slots must be in 1 to 16, not 17$"),
        (Fetch, {"threads": 17, "slots": 4}, r"^Threads must be in 4 to 16, not 17$"),
        (Fetch, {"threads": 4, "slots": 0}, r"^Slots must be in 1 to 16, not 0$"),
        (Issue, {"slots": 0, "sends": 2, "works": 2}, r"^Slots must be in 1 to 16, not 0$"),
        (Issue, {"slots": 1, "sends": 1, "works": 2}, r"^Sends must be at least 2, not 1$"),
        (Issue, {"slots": 1, "sends": 2, "works": 1}, r"^Works must be at least 2, not 1$"),
        (Arrivals, {"threads": 1}, r"^Threads must be in 4 to 16, not 1$"),
    ],
)
def test_wrong_parameters(build, parameters, words):
    with pytest.raises(ValueError, match=words):
        build(**parameters)

# amaranth: UnusedElaboratable=no
# (a component whose parameters are refused is never elaborated)
"""When a beat may be issued: at the edge of each rule, and at random against a plain model."""

import random
from typing import Any

import pytest

from hdl.formats.code import FormatCode
from hdl.tensor.sequencer import Sequencer
from hdl.tensor.shape import SliceShape
from mtia.generations import EngineParameters
from tests.hdl.pysim import simulate

DEPTH = 8
SHAPE = SliceShape(
    EngineParameters(units=1, slices=1, depth=DEPTH, dense_rows=1, formats=("MXFP8_E4M3", "MXFP4"), mixed=True)
)
OUTPUTS = ("issue", "ready", "swap", "starts", "ends", "address")


def a_pass(beats, *, address=0, first=1, last=0, streamed="MXFP4"):
    return {"streamed": FormatCode[streamed], "address": address, "beats": beats, "first": first, "last": last}


def play(passes, *, interval=3, credits=4, cycles=60, valid=None, loaded=None, release=None, offered=None):
    """The outputs in each cycle; inputs are functions of the cycle, by default valid, loaded and nothing released."""
    dut = Sequencer(shape=SHAPE, interval=interval, credits=credits)
    trace = []

    async def bench(ctx):
        queue = list(passes)
        for cycle in range(cycles):
            ctx.set(dut.valid, valid(cycle) if valid else 1)
            ctx.set(dut.loaded, loaded(cycle) if loaded else 1)
            ctx.set(dut.release, release(cycle) if release else 0)
            ctx.set(dut.passes.valid, bool(queue) and (offered(cycle) if offered else True))
            if queue:
                ctx.set(dut.passes.payload, queue[0])
            row = {name: ctx.get(getattr(dut, name)) for name in OUTPUTS}
            row |= {"current": ctx.get(dut.current.last), "taken": ctx.get(dut.passes.ready & dut.passes.valid)}
            trace.append(row)
            if row["taken"]:
                queue.pop(0)
            await ctx.tick()

    simulate(dut, bench)
    return trace


def issues(trace):
    """Cycles in which a beat was issued."""
    return [cycle for cycle, row in enumerate(trace) if row["issue"]]


def test_no_beat_before_its_block():
    """Blocked while the block is not complete, issued in the very cycle in which it is; the rest need it no more."""
    trace = play([a_pass(3)], loaded=lambda cycle: cycle == 20)
    assert issues(trace) == [20, 21, 22]
    assert [row["swap"] for row in trace[19:24]] == [0, 1, 0, 0, 0]
    assert not any(row["ready"] for row in trace[:20])


def test_no_beat_without_one_offered():
    """Ready says so, and stays."""
    trace = play([a_pass(2)], valid=lambda cycle: cycle in (10, 15), cycles=20)
    assert issues(trace) == [10, 15]
    assert all(row["ready"] for row in trace[1:16])
    assert not trace[16]["ready"]


@pytest.mark.parametrize("interval", [1, 2, 3, 6, 9])
def test_an_accumulator_again_after_its_interval(interval):
    """Blocked a cycle before, legal at it."""
    trace = play([a_pass(1), a_pass(1, first=0)], interval=interval, cycles=30)
    start = issues(trace)[0]
    assert issues(trace) == [start, start + interval]
    assert [row["ready"] for row in trace[start + 1 : start + interval + 1]] == [0] * (interval - 1) + [1]


@pytest.mark.parametrize("interval", [1, 2, 5, 9])
@pytest.mark.parametrize("beats", [1, 2, 4, 5, 8])
def test_a_pass_over_the_same_accumulators(interval, beats):
    """A pass that is shorter than the interval makes the next one wait for the rest of it; the others do not wait."""
    trace = play([a_pass(beats), *[a_pass(beats, first=0)] * 2], interval=interval)
    start = issues(trace)[0]
    period = max(interval, beats)
    assert issues(trace) == [start + period * index + beat for index in range(3) for beat in range(beats)]


def test_a_first_pass_and_other_accumulators_do_not_wait():
    """What starts from zero reads nothing; another accumulator has no one before it."""
    for second in (a_pass(1, first=1), a_pass(1, first=0, address=1)):
        trace = play([a_pass(1), second], interval=9, cycles=20)
        start = issues(trace)[0]
        assert issues(trace) == [start, start + 1]


@pytest.mark.parametrize("offset", range(4))
def test_the_hazard_is_that_of_the_address(offset):
    """A second pass begins `offset` accumulators further and waits only where it meets a beat in flight."""
    interval, beats = 6, 4
    trace = play([a_pass(beats), a_pass(beats, first=0, address=offset)], interval=interval, cycles=40)
    start = issues(trace)[0]
    second = issues(trace)[beats]
    assert second == start + offset + interval if offset < beats else start + beats
    assert [trace[cycle]["address"] for cycle in issues(trace)] == [0, 1, 2, 3, *range(offset, offset + beats)]


@pytest.mark.parametrize("credits", [1, 2, 5])
def test_credits(credits):
    """No more beats of last passes than places; each place that becomes free lets one more through, a cycle later."""
    trace = play(
        [a_pass(8, last=1)], credits=credits, interval=1, release=lambda cycle: cycle in (20, 30, 31), cycles=40
    )
    start = issues(trace)[0]
    more = [21, 31, 32][: 8 - credits]
    assert issues(trace) == [*range(start, start + credits), *more]
    assert not any(trace[cycle]["ready"] for cycle in (start + credits, 20, 22, 30))


def test_a_pass_without_results_needs_no_credit():
    trace = play([a_pass(3, last=1), a_pass(5)], credits=3, interval=1, cycles=20)
    start = issues(trace)[0]
    assert issues(trace) == list(range(start, start + 8))


def test_releases_keep_up_with_issues():
    """One credit each cycle: nothing waits."""
    start = 1
    trace = play(
        [a_pass(8, last=1)] * 4,
        credits=4,
        interval=1,
        release=lambda cycle: start + 4 <= cycle < start + 36,
        cycles=45,
    )
    assert issues(trace) == list(range(start, start + 4)) + list(range(start + 5, start + 33))


@pytest.mark.parametrize("lengths", [[1, 1, 1, 1], [8, 1, 3, 2, 1, 8]], ids=str)
def test_passes_follow_each_other_without_a_gap(lengths):
    """And each takes one block, with its first beat."""
    trace = play([a_pass(beats) for beats in lengths], interval=9)
    count = sum(lengths)
    assert issues(trace) == list(range(1, 1 + count))
    firsts = [1 + sum(lengths[:index]) for index in range(len(lengths))]
    assert [cycle for cycle, row in enumerate(trace) if row["swap"]] == firsts
    assert [cycle for cycle, row in enumerate(trace) if row["issue"] and row["ends"]] == [
        first + beats - 1 for first, beats in zip(firsts, lengths, strict=True)
    ]


def test_a_pass_of_no_beats_is_passed_over():
    """It takes no block, issues nothing and costs one cycle."""
    trace = play([a_pass(2), a_pass(0), a_pass(0), a_pass(2)], interval=1, cycles=12)
    assert issues(trace) == [1, 2, 5, 6]
    assert [cycle for cycle, row in enumerate(trace) if row["swap"]] == [1, 5]


def test_the_pass_of_a_beat_is_shown_with_it():
    dut = Sequencer(shape=SHAPE, interval=1, credits=2)
    wanted = [a_pass(1, address=3, streamed="MXFP8_E4M3"), a_pass(2, address=5, first=0, last=1)]
    seen = []

    async def bench(ctx):
        queue = list(wanted)
        ctx.set(dut.valid, 1)
        ctx.set(dut.loaded, 1)
        for _ in range(6):
            ctx.set(dut.passes.valid, bool(queue))
            if queue:
                ctx.set(dut.passes.payload, queue[0])
            if ctx.get(dut.issue):
                current = ctx.get(dut.current)
                seen.append({name: current[name] for name in wanted[0]} | {"at": ctx.get(dut.address)})
            if ctx.get(dut.passes.ready) and queue:
                queue.pop(0)
            await ctx.tick()

    simulate(dut, bench)
    assert seen == [wanted[0] | {"at": 3}, wanted[1] | {"at": 5}, wanted[1] | {"at": 6}]


class Model:
    """The rules in plain Python; `step` gives what the sequencer must say in a cycle."""

    def __init__(self, interval, credits):
        self.interval, self.free = interval, credits
        self.work: dict[str, Any] | None = None
        self.left, self.address, self.starts = 0, 0, 0
        self.used: dict[int, int] = {}
        self.cycle = 0

    def step(self, valid, loaded, release, offered):
        work = self.work
        waits = work is not None and not work["first"] and self.cycle - self.used.get(self.address, -99) < self.interval
        ready = work is not None and (loaded or not self.starts) and (self.free > 0 or not work["last"]) and not waits
        issue = bool(ready and valid)
        ends = issue and self.left == 1
        taken = bool(offered is not None and (work is None or ends))
        result = (issue, bool(ready), bool(issue and self.starts), taken, self.address if issue else None)
        self.free += release
        if issue:
            assert work is not None
            self.free -= work["last"]
            self.used[self.address] = self.cycle
            self.left, self.address, self.starts = self.left - 1, self.address + 1, 0
            self.work = None if ends else work
        if taken:
            self.work = offered if offered["beats"] else None
            self.left, self.address, self.starts = offered["beats"], offered["address"], 1
        self.cycle += 1
        return result


@pytest.mark.parametrize(("interval", "credits"), [(1, 1), (4, 3), (9, 20)])
def test_against_a_model(interval, credits, seed):
    """Random passes and random waits on every side."""
    generator = random.Random(seed)
    dut = Sequencer(shape=SHAPE, interval=interval, credits=credits)
    model = Model(interval, credits)
    issued = 0

    async def bench(ctx):
        nonlocal issued
        work, outstanding = None, 0
        for cycle in range(2000):
            if work is None and generator.random() < 0.7:
                address = generator.randrange(DEPTH)
                beats = generator.randint(0, DEPTH - address)
                work = a_pass(beats, address=address, first=generator.getrandbits(1), last=generator.getrandbits(1))
            slow = cycle // 200 % 3
            valid, loaded = (generator.random() < (0.9, 0.3, 1.0)[slow] for _ in range(2))
            release = int(outstanding > 0 and generator.random() < (0.8, 0.1, 0.5)[slow])
            ctx.set(dut.valid, valid)
            ctx.set(dut.loaded, loaded)
            ctx.set(dut.release, release)
            ctx.set(dut.passes.valid, work is not None)
            if work is not None:
                ctx.set(dut.passes.payload, work)
            issue, ready, swap, taken, address = model.step(valid, loaded, release, work)
            got = tuple(bool(ctx.get(getattr(dut, name))) for name in ("issue", "ready", "swap"))
            assert got == (issue, ready, swap), cycle
            assert bool(ctx.get(dut.passes.ready & dut.passes.valid)) == taken, cycle
            if issue:
                assert ctx.get(dut.address) == address
                outstanding += ctx.get(dut.current.last)
                issued += 1
            outstanding -= release
            assert 0 <= outstanding <= credits
            work = None if taken else work
            await ctx.tick()

    simulate(dut, bench)
    assert issued > 150


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"interval": 0, "credits": 1}, r"^Interval must be at least 1, not 0$"),
        ({"interval": 1, "credits": 0}, r"^Credits must be at least 1, not 0$"),
    ],
)
def test_parameters_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        Sequencer(shape=SHAPE, **arguments)

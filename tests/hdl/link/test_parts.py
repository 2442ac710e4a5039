# amaranth: UnusedElaboratable=no
"""Parts of a link, each alone, beside a model of a few lines."""

import random

import pytest

from golden import link
from hdl.link.bring_up import BringUp, hello_word
from hdl.link.buffer import ReceiveBuffer
from hdl.link.counters import Count
from hdl.link.credit import Credit
from hdl.link.frame import flit
from hdl.link.gate import Gate
from hdl.link.receive import Receive
from hdl.link.replay import Replay
from hdl.link.take import Take
from hdl.link.transmit import Transmit
from hdl.link.watch import Timeouts
from mtia.link import COUNTERS, HELLO_INTERVAL, DownCause, FrameKind, LinkParameters, LinkState

from ..pysim import simulate

SMALL = LinkParameters(flit_bits=32, sequence_bits=4, credit_bits=3, replay=4, buffer=4, wire=2, retries=2)


@pytest.mark.parametrize("willing", [1.0, 0.5, 0.1])
def test_buffer(willing, seed):
    """Flits that are committed come out in order, the others never; 2 cycles through an empty buffer."""
    rng = random.Random(seed)
    dut = ReceiveBuffer(parameters=SMALL)
    wanted: list[int] = []
    got: list[int] = []

    async def bench(ctx):
        pending: int | None = None
        room = SMALL.buffer  # flits written without room are lost: credit keeps the link from it
        for _ in range(800):
            writes = rng.random() < 0.8
            word = rng.getrandbits(32)
            ctx.set(dut.write, writes)
            ctx.set(dut.flit, {"data": word, "head": 0, "last": word & 1})
            commits = rng.random() < 0.7
            ctx.set(dut.commit, commits and pending is not None)
            ctx.set(dut.last, pending is not None and pending & 1)
            ctx.set(dut.o.ready, rng.random() < willing)
            if commits and pending is not None:
                wanted.append(pending)
                room -= 1
            fits = room > 0
            if ctx.get(dut.o.valid) and ctx.get(dut.o.ready):
                out = ctx.get(dut.o.payload)
                assert (out.last, out.head) == (out.data & 1, 0)
                got.append(out.data)
                assert ctx.get(dut.freed)
                room += 1
            elif not ctx.get(dut.o.valid):
                assert not ctx.get(dut.freed)
            pending = word if writes and fits else None
            await ctx.tick()
        ctx.set(dut.commit, 0)
        ctx.set(dut.o.ready, 1)
        for _ in range(10):
            if ctx.get(dut.o.valid):
                got.append(ctx.get(dut.o.payload).data)
            await ctx.tick()

    simulate(dut, bench)
    assert len(wanted) > 50
    assert got == wanted


def test_buffer_latency_and_closing():
    dut = ReceiveBuffer(parameters=SMALL)

    async def bench(ctx):
        assert ctx.get(dut.empty)
        for index in range(4):
            ctx.set(dut.write, 1)
            ctx.set(dut.flit, {"data": 10 + index, "head": index == 0, "last": 0})
            ctx.set(dut.commit, index > 0)
            assert ctx.get(dut.o.valid) == (index >= 2)
            await ctx.tick()
        ctx.set(dut.write, 0)
        await ctx.tick()
        ctx.set(dut.commit, 0)
        ctx.set(dut.closes, 1)
        await ctx.tick().repeat(5)
        assert not ctx.get(dut.empty)  # full: the flit that ends the packet waits for room
        ctx.set(dut.o.ready, 1)
        got = []
        for _ in range(10):
            if ctx.get(dut.o.valid):
                out = ctx.get(dut.o.payload)
                got.append((out.data, out.head, out.last))
            await ctx.tick()
        assert got == [(10, 1, 0), (11, 0, 0), (12, 0, 0), (13, 0, 0), (0, 0, 1)]
        assert ctx.get(dut.empty)

    simulate(dut, bench)


def test_credit(seed):
    """Against totals that do not wrap; frames come late, lost, twice."""
    rng = random.Random(seed)
    dut = Credit(parameters=SMALL)

    async def bench(ctx):
        sent, freed, allowed, told = 0, 0, 0, []
        for _ in range(2000):
            available = ctx.get(dut.available)
            assert available == (sent < allowed)
            assert ctx.get(dut.limit) == (freed + SMALL.buffer) % 8
            spends, frees = available and rng.random() < 0.7, sent > freed and rng.random() < 0.4
            told.append(freed + SMALL.buffer)
            value = rng.choice(told[-4:])
            tells = value > allowed - 4 and rng.random() < 0.5
            ctx.set(dut.spent, spends)
            ctx.set(dut.freed, frees)
            ctx.set(dut.told, tells)
            ctx.set(dut.told_limit, value % 8)
            sent, freed = sent + bool(spends), freed + frees
            if tells:
                allowed = max(allowed, value)
            assert sent - freed <= SMALL.buffer
            await ctx.tick()
        assert sent > 200
        ctx.set(dut.clear, 1)
        ctx.set(dut.told, 0)
        await ctx.tick()
        assert (ctx.get(dut.limit), ctx.get(dut.available), ctx.get(dut.owed)) == (SMALL.buffer, 0, 1)

    simulate(dut, bench)


def test_credit_is_owed_until_told():
    dut = Credit(parameters=SMALL)

    async def bench(ctx):
        for freed, tells, owed in [(0, 1, 0), (0, 0, 0), (1, 0, 1), (0, 0, 1), (1, 1, 1), (0, 1, 0)]:
            ctx.set(dut.freed, freed)
            ctx.set(dut.tells, tells)
            await ctx.tick()
            assert ctx.get(dut.owed) == owed

    simulate(dut, bench)


def test_timeouts():
    """`timeout` cycles after the last cycle with progress, then again; the second time in a row is a failure."""
    dut = Timeouts(parameters=SMALL)
    events: list[tuple[int, int]] = []

    async def bench(ctx):
        ctx.set(dut.waits, 1)
        for cycle in range(5 * SMALL.timeout):
            ctx.set(dut.progress, cycle in (10, 20 + 3 * SMALL.timeout))
            if ctx.get(dut.expired):
                events.append((cycle, ctx.get(dut.failed)))
            await ctx.tick()

    simulate(dut, bench)
    first = 10 + SMALL.timeout
    again = 20 + 4 * SMALL.timeout
    assert events == [(first, 0), (first + SMALL.timeout, 1), (first + 2 * SMALL.timeout, 0), (again, 0)]


def test_timeouts_only_of_what_waits():
    dut = Timeouts(parameters=SMALL)

    async def bench(ctx):
        for cycle in range(3 * SMALL.timeout):
            ctx.set(dut.waits, cycle % SMALL.timeout != 0)
            assert not ctx.get(dut.expired)
            await ctx.tick()

    simulate(dut, bench)


def test_gate(seed):
    """Every packet passes whole, or is dropped from some flit on; what was cut does not go on."""
    rng = random.Random(seed)
    dut = Gate(shape=flit(SMALL))
    met = set()

    async def bench(ctx):
        is_open, skips = False, False
        state = "passes"
        for _ in range(6000):
            if rng.random() < 0.1:
                state = rng.choice(["passes", "drops", "cuts", "waits"])
            for name in ("passes", "drops", "cuts"):
                ctx.set(getattr(dut, name), state == name)
            valid, last = rng.random() < 0.8, rng.random() < 0.2
            ctx.set(dut.i.valid, valid)
            ctx.set(dut.i.payload.last, last)
            ctx.set(dut.o.ready, rng.random() < 0.7)
            drops = state == "drops" or skips
            assert ctx.get(dut.o.valid) == (valid and state == "passes" and not skips)
            assert ctx.get(dut.i.ready) == (drops or (state == "passes" and ctx.get(dut.o.ready)))
            assert ctx.get(dut.dropped) == (valid and drops)
            met.add((state, skips, bool(is_open)))
            if valid and ctx.get(dut.i.ready):
                is_open = not last
            skips = (skips or state == "cuts") and is_open
            await ctx.tick()

    simulate(dut, bench)
    cut = {(state, True, True) for state in ("passes", "drops", "cuts", "waits")}
    assert met >= cut | {("passes", False, False), ("passes", False, True), ("drops", False, True)}


def test_gate_wrong():
    with pytest.raises(TypeError, match="Gate shape must be a shape, not 'x'"):
        Gate(shape="x")


def test_take(seed):
    """In turn where both may; only with credit; never without room."""
    rng = random.Random(seed)
    dut = Take(parameters=SMALL)

    async def bench(ctx):
        turn = 0
        for _ in range(500):
            valid, available, room = (rng.getrandbits(2), rng.getrandbits(2), rng.random() < 0.8)
            for vc in range(2):
                ctx.set(dut.i[vc].valid, valid >> vc & 1)
                ctx.set(dut.i[vc].payload.data, 100 + vc)
            ctx.set(dut.available, available)
            ctx.set(dut.room, room)
            asking = valid & available
            chosen = turn if asking == 3 else asking >> 1
            wanted = 1 << chosen if asking and room else 0
            assert ctx.get(dut.spent) == wanted
            assert ctx.get(dut.put) == bool(wanted)
            assert [ctx.get(dut.i[vc].ready) for vc in range(2)] == [wanted & 1, wanted >> 1]
            if wanted:
                assert ctx.get(dut.entry.vc) == chosen
                assert ctx.get(dut.entry.flit.data) == 100 + chosen
                turn = 1 - chosen
            await ctx.tick()

    simulate(dut, bench)


def test_receive(seed):
    """Numbers in order are accepted, once; ahead or damaged makes one NAK wanted; behind an acknowledgement owed."""
    rng = random.Random(seed)
    dut = Receive(parameters=SMALL)
    naks = 0

    async def bench(ctx):
        nonlocal naks
        expected, left, wants, owed = 0, 0, False, False
        ctx.set(dut.up, 1)
        for _ in range(3000):
            valid, good = rng.random() < 0.7, rng.random() < 0.9
            distance = rng.choice([0, 0, 0, 1, 2, -1, -2, 7, -8])
            kind = rng.choice([FrameKind.DATA, FrameKind.DATA, FrameKind.CONTROL])
            ctx.set(dut.valid, valid)
            ctx.set(dut.good, good)
            ctx.set(dut.control, {"kind": kind, "sequence": (expected + distance) % 16})
            tells = rng.random() < 0.3
            asks = tells and wants and rng.random() < 0.8
            ctx.set(dut.tells, tells)
            ctx.set(dut.asks, asks)
            counts = valid and good and kind == FrameKind.DATA
            accepts = counts and distance == 0
            faulty = (valid and not good) or (counts and distance > 0)
            assert ctx.get(dut.accepts) == accepts
            assert (ctx.get(dut.expected), ctx.get(dut.wants), ctx.get(dut.owed)) == (expected % 16, wants, owed)
            owed = accepts or (counts and distance < 0) or (owed and not tells)
            naks += asks
            if accepts:
                expected, left, wants = expected + 1, 0, False
            elif faulty and left == 0:
                left, wants = SMALL.round_trip, True
            else:
                left, wants = max(0, left - 1), wants and not asks
            await ctx.tick()

    simulate(dut, bench)
    assert naks > 20


def test_replay_keeps_and_repeats(seed):
    """A model of the window: what is sent when, after acknowledgements, NAKs and timeouts, and stale ones of these."""
    rng = random.Random(seed)
    dut = Replay(parameters=SMALL)
    repeated = 0

    async def bench(ctx):
        nonlocal repeated
        words: list[int] = []
        first, place = 0, None  # numbers do not wrap here
        due = None  # number sent in this cycle
        for _ in range(4000):
            assert ctx.get(dut.sends) == (due is not None)
            if due is not None:
                sent = ctx.get(dut.sent)
                assert (ctx.get(dut.sequence), sent.flit.data, sent.vc) == (
                    due[0] % 16,
                    words[due[0]],
                    words[due[0]] & 1,
                )
                assert ctx.get(dut.again) == due[1]
            hold = rng.random() < 0.1
            ctx.set(dut.hold, hold)
            room = place is None and not hold and len(words) - first < SMALL.replay
            assert ctx.get(dut.room) == room
            assert ctx.get(dut.outstanding) == (len(words) > first)
            puts = room and rng.random() < 0.8
            word = rng.getrandbits(32)
            ctx.set(dut.put, puts)
            ctx.set(dut.entry, {"flit": {"data": word}, "vc": word & 1})
            comes, nak, expired = rng.random() < 0.3, rng.random() < 0.3, rng.random() < 0.03
            number = rng.randrange(max(0, first - 3), len(words) + 2)
            ctx.set(dut.acknowledged, comes)
            ctx.set(dut.acknowledge, number % 16)
            ctx.set(dut.nak, nak)
            ctx.set(dut.expired, expired)
            sane = comes and first <= number <= len(words)
            assert ctx.get(dut.progress) == (sane and number > first)
            due = None
            if place is not None and not hold:
                due, place = (place, True), place + 1
                repeated += 1
            total = len(words)
            if puts:
                due = (len(words), False)
                words.append(word)
            if sane:
                first = number
            if (sane and nak) or expired:
                place = first
            elif place is not None:
                place = max(place, first)
            if place is not None and place >= total:
                place = None
            await ctx.tick()

    simulate(dut, bench)
    assert repeated > 100


def bring_up_bench(frames, *, cycles, drained=None, restart=(), fails=()):
    """States and causes of each cycle; `frames`: cycle -> kind, head, last, word."""
    dut = BringUp(parameters=SMALL)
    states, greetings = [], []

    async def bench(ctx):
        for cycle in range(cycles):
            kind, head, last, word = frames.get(cycle, (None, 0, 0, 0))
            ctx.set(dut.valid, kind is not None)
            ctx.set(dut.kind, kind or 0)
            ctx.set(dut.head, head)
            ctx.set(dut.last, last)
            ctx.set(dut.agreed, word & 0xFFFF)
            ctx.set(dut.drained, drained is None or cycle >= drained)
            ctx.set(dut.restart, cycle in restart)
            ctx.set(dut.no_progress, ("progress", cycle) in fails)
            ctx.set(dut.silence, ("silence", cycle) in fails)
            ctx.set(dut.greeted, ctx.get(dut.greets))
            states.append((LinkState(ctx.get(dut.state)), DownCause(ctx.get(dut.cause))))
            if ctx.get(dut.greets):
                greetings.append((cycle, ctx.get(dut.heard)))
            await ctx.tick()

    simulate(dut, bench)
    return states, greetings


HELLO = hello_word(SMALL)
QUIET = SMALL.timeout


def test_bring_up_says_hello():
    states, greetings = bring_up_bench({5: (FrameKind.HELLO, 1, 0, HELLO)}, cycles=QUIET + 60)
    assert [state for state, _ in states].count(LinkState.RESET) == QUIET
    assert states[-1] == (LinkState.HELLO, DownCause.NONE)
    assert [heard for _, heard in greetings] == [0] * 4
    assert greetings[0][0] == QUIET
    assert greetings[2][0] - greetings[1][0] == HELLO_INTERVAL


def test_bring_up_needs_both_to_have_heard():
    frames = {QUIET + 3: (FrameKind.HELLO, 0, 0, HELLO), QUIET + 9: (FrameKind.HELLO, 1, 0, HELLO)}
    states, greetings = bring_up_bench(frames, cycles=QUIET + 14)
    assert states[QUIET + 9][0] == LinkState.HELLO
    assert states[QUIET + 10][0] == LinkState.UP
    assert greetings == [(QUIET, 0), (QUIET + 4, 1), (QUIET + 10, 1)]


def test_other_frames_do_not_lead_up():
    states, _ = bring_up_bench({QUIET + 3: (FrameKind.DATA, 1, 1, HELLO)}, cycles=QUIET + 10)
    assert states[-1][0] == LinkState.HELLO


def test_reset_waits_for_buffers():
    states, _ = bring_up_bench({}, cycles=QUIET + 30, drained=QUIET + 20)
    assert [state for state, _ in states].index(LinkState.HELLO) == QUIET + 21


def test_mismatch():
    states, _ = bring_up_bench({QUIET + 3: (FrameKind.HELLO, 1, 0, HELLO ^ 1)}, cycles=QUIET + 9)
    assert states[-1] == (LinkState.DOWN, DownCause.MISMATCH)


UP = {QUIET + 3: (FrameKind.HELLO, 1, 0, HELLO), QUIET + 8: (FrameKind.CONTROL, 0, 0, 0)}


@pytest.mark.parametrize(
    ("more", "end"),
    [
        ({20: FrameKind.HELLO}, (LinkState.UP, DownCause.NONE)),
        ({20: FrameKind.HELLO, 25: FrameKind.CONTROL, 30: FrameKind.HELLO}, (LinkState.UP, DownCause.NONE)),
        ({20: FrameKind.HELLO, 30: FrameKind.HELLO}, (LinkState.DOWN, DownCause.PEER)),
    ],
    ids=["repeated", "between others", "anew"],
)
def test_hello_of_a_peer_that_began_anew(more, end):
    frames = UP | {QUIET + cycle: (kind, 0, 0, HELLO) for cycle, kind in more.items()}
    states, _ = bring_up_bench(frames, cycles=QUIET + 40)
    assert states[-1] == end


def test_up_answers_until_confirmed():
    """A HELLO that asks is answered; one that says the other end is UP is not."""
    frames = {QUIET + 3: (FrameKind.HELLO, 1, 0, HELLO), QUIET + 20: (FrameKind.HELLO, 1, 0, HELLO)}
    _, greetings = bring_up_bench(frames, cycles=QUIET + 40)
    assert (QUIET + 21, 1) in greetings
    frames[QUIET + 20] = (FrameKind.HELLO, 1, 1, HELLO)
    _, greetings = bring_up_bench(frames, cycles=QUIET + 40)
    assert (QUIET + 21, 1) not in greetings


@pytest.mark.parametrize(("name", "cause"), [("progress", DownCause.TIMEOUT), ("silence", DownCause.SILENCE)])
def test_failures_and_restart(name, cause):
    states, _ = bring_up_bench(UP, cycles=2 * QUIET + 60, fails={(name, QUIET + 20)}, restart={QUIET + 40})
    assert states[QUIET + 20] == (LinkState.UP, DownCause.NONE)
    assert states[QUIET + 21] == states[QUIET + 40] == (LinkState.DOWN, cause)
    assert states[QUIET + 41] == (LinkState.RESET, DownCause.NONE)
    assert [state for state, _ in states[QUIET + 41 :]].index(LinkState.HELLO) == QUIET


def test_counters(seed):
    rng = random.Random(seed)
    dut = Count(channels=2)
    counts = dict.fromkeys(COUNTERS, 0)

    async def bench(ctx):
        for _ in range(100):
            assert {name: ctx.get(dut.counters[name]) for name in COUNTERS} == counts
            for name in COUNTERS:
                pulses = rng.getrandbits(2) if name == "dropped" else rng.getrandbits(1)
                ctx.set(getattr(dut, name), pulses)
                counts[name] += pulses.bit_count()
            await ctx.tick()

    simulate(dut, bench)


def test_counters_wrong():
    with pytest.raises(ValueError, match="Count channels must be at least 1, not 0"):
        Count(channels=0)


def test_parameters_are_readable():
    for kind in (BringUp, Credit, ReceiveBuffer, Receive, Replay, Take, Timeouts):
        assert kind(parameters=SMALL).parameters == SMALL
    assert Gate(shape=flit(SMALL)).shape == flit(SMALL)
    assert Count(channels=2).channels == 2


@pytest.mark.parametrize("kind", list(FrameKind))
def test_frames_pass_their_check(kind, seed):
    """Whatever a frame is made of, its CRC is golden's; its data is the flit's, HELLO's or 0."""
    rng = random.Random(seed)
    dut = Transmit(parameters=SMALL)
    idle = {FrameKind.HELLO: hello_word(SMALL)}
    found: list[FrameKind] = []

    async def bench(ctx):
        for _ in range(60):
            word, head, last = rng.getrandbits(SMALL.flit_bits), rng.randrange(2), rng.randrange(2)
            ctx.set(dut.sent.flit, {"data": word, "head": head, "last": last})
            ctx.set(dut.sends, kind == FrameKind.DATA)
            ctx.set(dut.greets, kind == FrameKind.HELLO)
            ctx.set(dut.wants, kind == FrameKind.NAK)
            ctx.set(dut.owed, 1)
            ctx.set(dut.state, LinkState.UP)
            ctx.set(dut.sequence, rng.randrange(1 << SMALL.sequence_bits))
            ctx.set(dut.expected, rng.randrange(1 << SMALL.sequence_bits))
            for limit in dut.limits:
                ctx.set(limit, rng.randrange(1 << SMALL.credit_bits))
            await ctx.tick()
            if not ctx.get(dut.line_out.valid):
                continue
            fields, good = link.decode(SMALL, ctx.get(dut.line_out.frame.as_value()))
            assert good
            assert fields["data"] == (word if kind == FrameKind.DATA else idle.get(kind, 0))
            found.append(FrameKind(fields["kind"]))

    simulate(dut, bench)
    assert len(found) > 5
    assert set(found) == {kind}

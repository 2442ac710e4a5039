"""Two links over wires that fail: everything once, in order, fast enough, and a word when it is over."""

import dataclasses

import numpy as np
import pytest

from golden import link as golden
from mtia.link import RECEIVE_CYCLES, SEND_CYCLES, DownCause, FrameKind, LinkParameters, LinkState
from tb.link.__main__ import main
from tb.link.bench import ENDS, LinkBench, all_streams, packets

from .benches import FULL, SMALL, bench

pytestmark = pytest.mark.sim


@pytest.fixture
def full() -> LinkBench:
    return bench(FULL)


@pytest.fixture
def small() -> LinkBench:
    return bench(SMALL)


def sent_frames(bench: LinkBench, direction: int) -> list[tuple[int, dict[str, int]]]:
    """Cycle and fields of the frames recorded on a wire, each with a right CRC."""
    result = []
    for frame in bench.wire.frames(direction):
        word = int.from_bytes(frame["words"].tobytes(), "little")
        fields, is_right = golden.decode(bench.parameters, word)
        assert is_right
        result.append((int(frame["cycle"]), fields))
    return result


# Without errors


def test_latency_and_rate(full, seed):
    """2 cycles to the wire, 3 from it; then a flit in every cycle, both ways."""
    full.start(latency=10)
    first = full.lane.cycles
    full.wire.record(0)
    cycles = full.exchange(np.random.default_rng(seed), all_streams(2000))
    assert cycles <= 4000 + SEND_CYCLES + 10 + RECEIVE_CYCLES + 1
    sent = [cycle for cycle, fields in sent_frames(full, 0) if fields["kind"] == FrameKind.DATA]
    assert sent[0] == first + SEND_CYCLES
    assert full.counters("a")["retransmitted"] == full.counters("b")["timeouts"] == 0


def test_latency_to_rx(full, seed):
    full.start(latency=10)
    first = full.lane.cycles
    full.lane.push("a_tx__1", packets(np.random.default_rng(seed), FULL, 1))
    assert full.lane.run({"b_rx__1": 1}) == SEND_CYCLES + 10 + RECEIVE_CYCLES + 1
    assert full.lane.cycles == first + 16


def test_frames_are_as_written(full, seed):
    """Every frame on the wire, field by field: numbers, kinds, zeros where nothing is said."""
    rng = np.random.default_rng(seed)
    full.wire.record(0)
    full.start()
    beats = packets(rng, FULL, 40)
    full.lane.push("a_tx__0", beats)
    full.lane.run({"b_rx__0": 40})
    data = [fields for _, fields in sent_frames(full, 0) if fields["kind"] == FrameKind.DATA]
    assert [fields["sequence"] for fields in data] == list(range(40))
    for fields, beat in zip(data, beats, strict=True):
        word = fields["data"] | fields["head"] << 512 | fields["last"] << 513
        assert word == int.from_bytes(beat.tobytes(), "little")
        assert fields["vc"] == 0


def test_idle_wire_is_silent(full):
    """Nothing owed: a frame a timeout, so that a lost credit is told again."""
    full.start()
    full.lane.run(cycles=2 * FULL.timeout)
    full.wire.record(0)
    full.wire.frames(0)
    full.lane.run(cycles=10 * FULL.timeout)
    frames = sent_frames(full, 0)
    assert {fields["kind"] for _, fields in frames} == {FrameKind.CONTROL}
    assert {fields["credit_vc"] for _, fields in frames} == {0, 1}
    assert {fields["data"] for _, fields in frames} == {0}
    assert np.diff([cycle for cycle, _ in frames]).tolist() == [FULL.timeout] * (len(frames) - 1)
    assert len(frames) == 10


# With errors

FAULTS = {
    "none": {},
    "damage 1e-4": {"damage": 1e-4},
    "damage 1e-3": {"damage": 1e-3},
    "damage 1e-2": {"damage": 1e-2},
    "lost": {"lose": 1e-2},
    "repeated": {"repeat": 5e-2},
    "bursts": {"burst": 2e-3, "burst_length": 60},
    "acknowledgements lost": {"lose_control": 0.7},
    "everything": {"damage": 1e-2, "lose": 1e-2, "repeat": 1e-2, "burst": 1e-3, "lose_control": 0.3},
}


@pytest.mark.parametrize("paused", [False, True], ids=["", "paused"])
@pytest.mark.parametrize("faults", FAULTS)
def test_nothing_lost_doubled_or_reordered(full, faults, paused, seed):
    rng = np.random.default_rng(seed)
    full.start(latency=int(rng.integers(1, FULL.wire + 1)), seed=seed, **FAULTS[faults])
    streams = [f"{end}_{way}__{channel}" for end in ENDS for way in ("tx", "rx") for channel in range(2)]
    pauses = {stream: float(rng.choice([0.0, 0.2, 0.7])) for stream in streams} if paused else {}
    full.exchange(rng, all_streams(2000), pauses=pauses)
    assert full.states() == (LinkState.UP, LinkState.UP)
    counts = full.wire.counts(0)
    for effect, names in (("damaged", ("damage", "burst")), ("lost", ("lose", "burst")), ("repeated", ("repeat",))):
        if any(FAULTS[faults].get(name, 0) > 1e-3 for name in names):
            assert counts[effect] > 0


@pytest.mark.parametrize("faults", ["damage 1e-2", "everything"])
@pytest.mark.parametrize("round", range(5))
def test_small_link(small, faults, round, seed):
    """Numbers that wrap every 32 flits, and buffers that fill: every pause pattern meets every fault."""
    rng = np.random.default_rng([seed, round])
    small.start(latency=int(rng.integers(1, SMALL.wire + 1)), seed=seed + round, **FAULTS[faults])
    streams = [f"{end}_{way}__{channel}" for end in ENDS for way in ("tx", "rx") for channel in range(2)]
    small.exchange(rng, all_streams(3000), pauses={stream: float(rng.choice([0, 0.3, 0.8])) for stream in streams})


def test_unequal_ends(seed):
    """Each end has buffers of its own; neither overflows the other's."""
    link = bench(SMALL, dataclasses.replace(SMALL, replay=16, buffer=2, coalesce=0))
    link.start(damage=1e-2, lose=1e-2, seed=seed)
    link.exchange(np.random.default_rng(seed), all_streams(1500), pauses={"a_rx__0": 0.5, "b_rx__1": 0.5})


def test_table(capsys):
    """The command that prints the rates."""
    assert main(["300"], parameters=SMALL) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [float(line.split()[0]) for line in lines[1:]] == [0, 1e-4, 1e-3, 1e-2]
    assert all(float(line.split()[2]) > 0.3 for line in lines[1:])


def test_one_way(full, seed):
    """The other end has nothing to send: frames without a flit acknowledge."""
    full.start(damage=1e-3, seed=seed)
    full.exchange(np.random.default_rng(seed), {"a_tx__0": 5000})
    assert full.counters("b")["sent"] == 0
    assert full.counters("b")["control"] > 100


def test_channel_passes_the_other(small, seed):
    """REQUEST is not taken from at the far end: it stops when buffers are full, and RESPONSE goes on."""
    small.start()
    rng = np.random.default_rng(seed)
    closed = {"b_rx__0": 1 - 2**-32}
    small.lane.push("a_tx__0", packets(rng, SMALL, 100))
    small.lane.run(cycles=300, pauses=closed)
    assert small.lane.waiting("a_tx__0") == 100 - SMALL.buffer
    beats = packets(rng, SMALL, 500)
    small.lane.push("a_tx__1", beats)
    small.lane.run({"b_rx__1": 500}, pauses=closed, stall_cycles=300)
    np.testing.assert_array_equal(small.lane.pull("b_rx__1"), beats)
    assert small.lane.transfers("b_rx__0") == 0
    small.lane.run({"b_rx__0": 100})


# Rate and recovery


@pytest.mark.parametrize("error_rate", [0, 1e-4, 1e-3, 1e-2])
def test_rate(full, error_rate, seed):
    """At least 0.9 of go-back-N with the same number of errors, both directions at once, each error where it falls."""
    flits = 30000
    full.start(damage=error_rate, seed=seed)
    cycles = full.exchange(np.random.default_rng(seed), all_streams(flits))
    for direction in range(2):
        counts = full.wire.counts(direction)
        frames = sum(counts.values())
        assert 2 * flits / cycles >= 0.9 * FULL.rate(counts["damaged"] / frames)
    assert error_rate < 1e-3 or full.wire.counts(0)["damaged"] > error_rate * 2 * flits / 2


@pytest.mark.parametrize("busy", [False, True], ids=["one way", "both ways"])
def test_one_error_costs_the_gap(full, busy, seed):
    """A flit again is on the wire `replay_gap` cycles after it was damaged, one less if the NAK need not wait."""
    full.wire.record(0)
    full.start()
    full.wire.frames(0)
    before = sum(full.wire.counts(0).values())
    full.wire.hit(0, before + 80, "damaged")
    full.exchange(np.random.default_rng(seed), {"a_tx__0": 300} | ({"b_tx__0": 300} if busy else {}))
    sent = [(cycle, fields["sequence"]) for cycle, fields in sent_frames(full, 0) if fields["kind"] == FrameKind.DATA]
    numbers = [sequence for _, sequence in sent]
    again = min(number for number in numbers if numbers.count(number) > 1)
    times = [cycle for cycle, sequence in sent if sequence == again]
    assert times[1] - times[0] == FULL.replay_gap - (not busy)
    assert full.counters("b")["naks"] == 1
    assert full.counters("b")["crc_errors"] == 1


@pytest.mark.parametrize("effect", ["lost", "damaged"])
@pytest.mark.parametrize("flits", [1, 3, 20])
def test_last_frame_lost(full, flits, effect, seed):
    """Nothing comes after it: the replay timer, or a NAK where it was damaged, brings it within the bound."""
    rng = np.random.default_rng(seed)
    full.start()
    full.lane.run(cycles=int(rng.integers(FULL.timeout)))
    beats = packets(rng, FULL, flits)
    full.wire.record(0)
    full.wire.frames(0)
    before = sum(full.wire.counts(0).values())
    for frame in range(before, before + 2 * flits):
        full.wire.hit(0, frame, effect if frame == before + flits - 1 else "none")
    full.lane.push("a_tx__1", beats)
    full.lane.run({"b_rx__1": flits}, record=True, stall_cycles=2 * FULL.recovery_bound)
    lost = next(cycle for cycle, fields in sent_frames(full, 0) if fields["sequence"] == flits - 1)
    arrived = int(full.lane.transfer_cycles("b_rx__1")[-1])
    np.testing.assert_array_equal(full.lane.pull("b_rx__1"), beats)
    assert arrived - lost <= FULL.recovery_bound
    assert full.counters("a")["timeouts"] == (effect == "lost")


def test_acknowledgement_lost_at_the_end(full, seed):
    """The flits are there, nobody says so: they are sent again, are not taken twice, and then acknowledged."""
    full.start()
    full.wire.configure(1, latency=FULL.wire, stuck=True)
    rng = np.random.default_rng(seed)
    full.exchange(rng, {"a_tx__0": 20})
    full.lane.run(cycles=FULL.round_trip)
    full.wire.configure(1, latency=FULL.wire)
    full.lane.run(cycles=FULL.recovery_bound)
    assert full.counters("a")["timeouts"] == 1
    assert full.counters("a")["retransmitted"] == 20
    assert full.counters("b")["received"] == 20
    full.lane.run(cycles=3 * FULL.timeout)
    assert full.counters("a")["timeouts"] == 1
    full.exchange(rng, all_streams(100))


def test_credit_lost(small, seed):
    """All credit is spent and the frames that give it are lost: a timeout later it is told again."""
    rng = np.random.default_rng(seed)
    small.start()
    small.lane.push("a_tx__0", beats := packets(rng, SMALL, 40))
    small.lane.run(cycles=100, pauses={"b_rx__0": 1 - 2**-32})
    small.lane.run({"b_rx__0": 3})
    small.lane.run(cycles=1)
    small.wire.configure(1, latency=SMALL.wire, stuck=True)
    small.lane.run(cycles=SMALL.timeout - 10)
    small.wire.configure(1, latency=SMALL.wire)
    small.lane.run({"b_rx__0": 40}, stall_cycles=3 * SMALL.timeout)
    np.testing.assert_array_equal(small.lane.pull("b_rx__0"), beats)


def test_naks_are_one_a_gap(full, seed):
    """A burst of damaged frames and all that come behind it make one NAK."""
    full.start()
    before = sum(full.wire.counts(0).values())
    for frame in range(before + 100, before + 110):
        full.wire.hit(0, frame, "damaged")
    full.exchange(np.random.default_rng(seed), {"a_tx__0": 300, "a_tx__1": 300})
    assert full.counters("b")["crc_errors"] == 10
    assert full.counters("b")["naks"] == 1


# Down and up


@pytest.mark.parametrize("directions", [(0,), (1,), (0, 1)])
def test_stuck_wire_is_seen(full, directions, seed):
    """With traffic: DOWN within the bound of the last frame that came through; flits are taken and dropped."""
    rng = np.random.default_rng(seed)
    full.start()
    full.exchange(rng, all_streams(50))
    for direction in directions:
        full.wire.configure(direction, latency=FULL.wire, stuck=True)
    for end in ENDS:
        full.lane.push(f"{end}_tx__0", packets(rng, FULL, 3000))
    full.lane.run(cycles=FULL.down_bound + FULL.round_trip)
    full.lane.run(stall_cycles=100)
    causes = {DownCause(full.lane.get(f"{end}_cause")) for end in ENDS}
    assert full.states() == (LinkState.DOWN, LinkState.DOWN) or len(directions) == 1
    assert LinkState.DOWN in full.states()
    assert causes <= {DownCause.TIMEOUT, DownCause.SILENCE, DownCause.NONE}
    dropped = sum(full.counters(end)["dropped"] for end in ENDS)
    assert dropped > 0
    assert full.lane.get("a_down") == (full.states()[0] == LinkState.DOWN)


@pytest.mark.parametrize("bench_of", [FULL, SMALL], ids=["full", "small"])
def test_silence_is_seen(bench_of):
    """Without traffic too, at exactly the bound after the last frame."""
    link = bench(bench_of)
    p = link.parameters
    link.wire.record(0)
    link.start()
    link.lane.run(cycles=3 * p.timeout)
    link.wire.frames(0)
    link.lane.run(cycles=p.timeout)
    (last,) = [cycle for cycle, _ in sent_frames(link, 0)]
    link.wire.configure(0, latency=max(1, p.wire), stuck=True)
    link.lane.run(cycles=last + p.down_bound - link.lane.cycles - 1)
    assert link.states() == (LinkState.UP, LinkState.UP)
    link.lane.run(cycles=2)
    assert LinkState(link.lane.get("b_state")) == LinkState.DOWN
    assert DownCause(link.lane.get("b_cause")) == DownCause.SILENCE


def test_down_stays_until_restart(small, seed):
    rng = np.random.default_rng(seed)
    small.start()
    small.faults(stuck=True)
    small.lane.run(cycles=2 * small.parameters.down_bound)
    small.faults()
    small.lane.run(cycles=5 * small.parameters.down_bound)
    assert small.states() == (LinkState.DOWN, LinkState.DOWN)
    restart(small, "ab")
    small.exchange(rng, all_streams(300))


def restart(link: LinkBench, ends: str) -> None:
    """Restart ends and wait until both could be UP again."""
    for value in (1, 0):
        for end in ends:
            link.lane.set(f"{end}_restart", value)
        link.lane.run(cycles=1)
    link.lane.run(cycles=3 * link.parameters.timeout + 100)


def test_restart_of_one_end_takes_the_other_down(small, seed):
    small.start()
    small.exchange(np.random.default_rng(seed), all_streams(50))
    restart(small, "a")
    assert small.states() == (LinkState.HELLO, LinkState.DOWN)
    assert DownCause(small.lane.get("b_cause")) == DownCause.PEER
    restart(small, "b")
    assert small.states() == (LinkState.UP, LinkState.UP)
    small.exchange(np.random.default_rng(seed), all_streams(50))


@pytest.mark.parametrize("apart", [0, 1, 7, 40, 200])
def test_restart_of_both_ends(small, apart, seed):
    """Whenever each is restarted: UP again, with nothing of before."""
    rng = np.random.default_rng(seed)
    small.start()
    for end in ENDS:
        small.lane.push(f"{end}_tx__0", packets(rng, SMALL, 500))
    small.lane.run(cycles=150)
    small.lane.set("a_restart", 1)
    small.lane.run(cycles=1)
    small.lane.set("a_restart", 0)
    small.lane.run(cycles=apart)
    restart(small, "b")
    if LinkState.DOWN in small.states():
        restart(small, "ab")
    assert small.states() == (LinkState.UP, LinkState.UP)
    small.lane.run(stall_cycles=2000)
    small.lane.run(cycles=500)
    for end in ENDS:
        small.lane.pull(f"{end}_rx__0")
    small.exchange(rng, all_streams(200))


def marks(beats: np.ndarray, parameters: LinkParameters) -> tuple[np.ndarray, np.ndarray]:
    """Head and last of beats."""
    word, bit = divmod(parameters.flit_bits, 32)
    return beats[:, word] >> bit & 1, beats[:, word] >> bit + 1 & 1


def test_cut_packet_is_ended(small, seed):
    """A link that fails within a packet: `rx` ends it with zeros, `tx` drops its rest, then packets are whole again."""
    rng = np.random.default_rng(seed)
    small.start()
    whole = np.zeros((16, 2), np.uint32)
    whole[:, 0] = np.arange(1, 17)
    whole[0, 1], whole[-1, 1] = 1, 2
    small.lane.push("a_tx__0", whole[:10])
    small.lane.run({"b_rx__0": 10})
    restart(small, "ab")
    got = small.lane.pull("b_rx__0")
    np.testing.assert_array_equal(got[:10], whole[:10])
    np.testing.assert_array_equal(got[10:], [[0, 2]])
    small.lane.push("a_tx__0", whole[10:])
    small.lane.push("a_tx__0", beats := packets(rng, SMALL, 200))
    small.lane.run({"b_rx__0": 200})
    np.testing.assert_array_equal(small.lane.pull("b_rx__0"), beats)
    assert small.counters("a")["dropped"] == 6


def test_restart_waits_for_rx(small, seed):
    """What arrived before leaves `rx` before the link begins anew."""
    rng = np.random.default_rng(seed)
    small.start()
    beats = packets(rng, SMALL, 6)
    small.lane.push("a_tx__0", beats)
    closed = {"b_rx__0": 1 - 2**-32}
    small.lane.run(cycles=50, pauses=closed)
    for value in (1, 0):
        small.lane.set("b_restart", value)
        small.lane.run(cycles=1, pauses=closed)
    small.lane.run(cycles=5 * SMALL.timeout, pauses=closed)
    assert LinkState(small.lane.get("b_state")) == LinkState.RESET
    small.lane.run({"b_rx__0": 6})
    np.testing.assert_array_equal(small.lane.pull("b_rx__0"), beats)
    small.lane.run(cycles=2)
    assert LinkState(small.lane.get("b_state")) == LinkState.HELLO


@pytest.mark.parametrize("faults", [{"lose": 0.5}, {"damage": 0.4, "repeat": 0.3}], ids=["lost", "damaged"])
@pytest.mark.parametrize("round", range(4))
def test_up_over_a_bad_wire(small, faults, round, seed):
    rng = np.random.default_rng([seed, round])
    small.start(up=False)
    small.faults(seed=seed + round, **faults)
    small.lane.run(cycles=1500)
    small.faults()
    small.lane.run(cycles=200)
    if LinkState.DOWN in small.states():
        restart(small, "ab")
    assert small.states() == (LinkState.UP, LinkState.UP)
    small.exchange(rng, all_streams(100))


def test_one_end_late(small, seed):
    """The wire is cut while the other end waits: HELLO goes on for as long as it takes."""
    small.start(up=False)
    small.faults(stuck=True)
    small.lane.run(cycles=20 * small.parameters.down_bound)
    assert small.states() == (LinkState.HELLO, LinkState.HELLO)
    small.faults()
    small.lane.run(cycles=100)
    assert small.states() == (LinkState.UP, LinkState.UP)
    small.exchange(np.random.default_rng(seed), all_streams(50))

"""The lane against numpy: every payload width, with and without pauses, and every way a run can fail."""

import numpy as np
import pytest

from tb import verilator
from tb.beats import pack, unpack
from tb.lane import Lane, SimulationError

from .designs import LANES, WIDTHS, Adder, Asserting, Fault, Pair, Sum, TwoClocks, Widths, Wires

pytestmark = pytest.mark.sim


@pytest.fixture
def adder():
    return Lane(Adder(), name="adder")


def pairs(seed, count):
    random = np.random.default_rng(seed)
    return {name: random.integers(0, 256, (count, LANES), np.uint8) for name in "ab"}


def sums(operands, bias=0):
    return operands["a"].astype(np.uint16) + operands["b"] + np.uint16(bias)


def test_one_item_a_cycle(adder, seed):
    operands = pairs(seed, 1000)
    adder.push("i", operands)
    assert adder.run({"o": 1000}, record=True) == 1002
    np.testing.assert_array_equal(adder.pull_fields("o")["sum"], sums(operands))
    np.testing.assert_array_equal(adder.transfer_cycles("i"), np.arange(1000))
    np.testing.assert_array_equal(adder.transfer_cycles("o"), np.arange(2, 1002))
    assert adder.transfers("i") == adder.transfers("o") == adder.get("taken") == 1000


@pytest.mark.parametrize("pauses", [{"i": 0.5}, {"o": 0.5}, {"i": 0.3, "o": 0.4}, {"i": 0.95, "o": 0.95}])
def test_pauses(adder, seed, pauses):
    operands = pairs(seed, 1000)
    adder.set("bias", 200)
    adder.push("i", operands)
    cycles = adder.run({"o": 1000}, pauses=pauses, seed=seed)
    assert cycles > 1000 / (1 - max(pauses.values())) * 0.8
    np.testing.assert_array_equal(adder.pull_fields("o")["sum"], sums(operands, 200))


def test_seed_decides_pauses(adder):
    def cycles(seed):
        adder.reset()
        adder.push("i", pairs(1, 200))
        adder.run({"o": 200}, pauses={"i": 0.5, "o": 0.5}, seed=seed, record=True)
        return adder.transfer_cycles("o").tolist()

    first = cycles(1)
    assert first == cycles(1)
    assert first != cycles(2)


def test_runs_continue(adder, seed):
    operands = pairs(seed, 300)
    beats = pack(Pair, operands)
    results = []
    for index in range(3):
        adder.push("i", beats[100 * index : 100 * index + 100])
        adder.run({"o": 50}, pauses={"o": 0.2} if index == 1 else None)
        results.append(adder.pull("o", 50))
    assert adder.waiting("i") > 0
    adder.run()
    assert adder.waiting("i") == 0
    adder.run({"o": 150})
    results.append(adder.pull("o"))
    np.testing.assert_array_equal(unpack(Sum, np.concatenate(results))["sum"], sums(operands))


def test_run_for_cycles(adder):
    assert adder.run(cycles=7) == 7
    assert adder.cycles == 7
    assert adder.run(cycles=0) == 0
    adder.reset()
    assert adder.cycles == 0


def test_watch(adder, seed):
    """It is called after every so many cycles, and at the end, and the run is the same as without."""
    operands, seen = pairs(seed, 300), []
    adder.push("i", operands)
    adder.run({"o": 300}, watch=lambda: seen.append((adder.cycles, adder.waiting("o"))), every=100)
    cycles = adder.cycles
    assert [cycle for cycle, _ in seen] == [*range(100, cycles, 100), cycles]
    assert [done for _, done in seen] == sorted(done for _, done in seen)
    assert seen[-1][1] == 300
    np.testing.assert_array_equal(adder.pull_fields("o")["sum"], sums(operands))


def test_reset_drops_beats(adder):
    adder.push("i", pairs(1, 10))
    adder.run(cycles=5)
    adder.reset()
    assert (adder.waiting("i"), adder.waiting("o"), adder.get("taken")) == (0, 0, 0)
    with pytest.raises(SimulationError, match="stalled"):
        adder.run({"o": 1}, stall_cycles=20)


def test_instances_are_independent(adder):
    other = Lane(Adder())
    other.push("i", pairs(1, 5))
    other.run()
    assert (other.get("taken"), adder.get("taken")) == (5, 0)
    other.close()
    adder.push("i", pairs(1, 3))
    adder.run()
    assert adder.get("taken") == 3


def test_drop_is_seen(adder, seed):
    operands = pairs(seed, 200)
    adder.set("fault", Fault.DROP.value)
    adder.push("i", operands)
    with pytest.raises(SimulationError, match="stalled") as error:
        adder.run({"o": 200}, pauses={"o": 0.5}, seed=seed, stall_cycles=100)
    assert "  i: valid=0 ready=1, 0 to send, 200 transferred" in str(error.value)


@pytest.mark.parametrize(
    "fault, message",
    [(Fault.UNSTABLE, "changed the payload of 'o'"), (Fault.WITHDRAWN, "withdrew valid of 'o'")],
)
def test_broken_rule_is_seen(adder, seed, fault, message):
    adder.set("fault", fault.value)
    adder.push("i", pairs(seed, 200))
    with pytest.raises(SimulationError, match=message):
        adder.run({"o": 200}, pauses={"o": 0.5}, seed=seed)


def test_faults_hide_without_pauses(adder, seed):
    for fault in Fault:
        operands = pairs(seed, 50)
        adder.reset()
        adder.set("fault", fault.value)
        adder.push("i", operands)
        adder.run({"o": 50})
        np.testing.assert_array_equal(adder.pull_fields("o")["sum"], sums(operands))


def test_every_width(seed):
    lane = Lane(Widths())
    random = np.random.default_rng(seed)
    sent = {}
    for width in WIDTHS:
        words = random.integers(0, 1 << 32, (100, -(-width // 32)), np.uint32)
        if width % 32:
            words[:, -1] &= np.uint32((1 << width % 32) - 1)
        words[0] = np.uint32(0)
        sent[width] = words
        octets = np.ascontiguousarray(words).view(np.uint8)[:, : -(-width // 8)]
        lane.push(f"i{width}", octets if width % 16 == 0 else words)
    names = [f"{side}{width}" for width in WIDTHS for side in "io"]
    lane.run({f"o{width}": 100 for width in WIDTHS}, pauses=dict.fromkeys(names, 0.25), seed=seed)
    for width, words in sent.items():
        np.testing.assert_array_equal(lane.pull(f"o{width}"), words)


@pytest.mark.parametrize("value", [0, 1, -1, (1 << 39) - 1, -(1 << 39)])
def test_plain_ports(value):
    lane = Lane(Widths())
    lane.set("offset", value)
    assert lane.get("offset_out") == value % (1 << 40)


def test_without_clock():
    lane = Lane(Wires())
    lane.push("i", np.arange(10, dtype=np.uint32)[:, None])
    lane.set("p", 9)
    lane.run()
    np.testing.assert_array_equal(lane.pull("o")[:, 0], np.arange(10) + 1)
    assert lane.get("q") == 10


def test_assertion_reaches_python():
    lane = Lane(Asserting(), name="guard")
    lane.push("i", np.arange(5, 10, dtype=np.uint32)[:, None])
    with pytest.raises(SimulationError, match=r"guard .*[Aa]ssert"):
        lane.run(cycles=10)


def test_max_cycles(adder):
    with pytest.raises(SimulationError, match="adder took more than its 10 cycles"):
        adder.run({"o": 1}, max_cycles=10)


def test_component_wrong():
    with pytest.raises(TypeError, match=r"Component must be .*, not 3"):
        Lane(3)


def test_two_clocks_wrong():
    with pytest.raises(ValueError, match="at most one clock domain, not"):
        Lane(TwoClocks())


def test_names_wrong(adder):
    beats = np.zeros((1, 25), np.uint32)
    with pytest.raises(KeyError, match=r"Stream must be one of \['i', 'o'\], not 'x'"):
        adder.push("x", beats)
    with pytest.raises(ValueError, match="Stream must be an input of the design, not 'o'"):
        adder.push("o", beats)
    with pytest.raises(ValueError, match="Stream must be an output of the design, not 'i'"):
        adder.pull("i")
    with pytest.raises(KeyError, match=r"Port must be one of \['bias', 'fault', 'taken'\], not 'x'"):
        adder.get("x")
    with pytest.raises(ValueError, match="Port must be an input of the design, not 'taken'"):
        adder.set("taken", 1)


def test_beats_wrong(adder):
    with pytest.raises(TypeError, match="Beats of 'i' must be uint32 or uint8, not"):
        adder.push("i", np.zeros((1, 25)))
    with pytest.raises(ValueError, match=r"words of shape \(n, 25\), not \(1, 24\)"):
        adder.push("i", np.zeros((1, 24), np.uint32))
    with pytest.raises(ValueError, match=r"bytes of shape \(n, 100\), not \(1, 99\)"):
        adder.push("i", np.zeros((1, 99), np.uint8))
    with pytest.raises(ValueError, match="Beats of 'i9' must fit 9 bits"):
        Lane(Widths()).push("i9", np.full((1, 1), 512, np.uint32))
    with pytest.raises(ValueError, match="Count must be at most the 0 beats waiting on 'o', not 1"):
        adder.pull("o", 1)


def test_run_wrong(adder):
    with pytest.raises(ValueError, match="Pause of 'i' must be a chance from 0 to below 1, not 1"):
        adder.run(pauses={"i": 1.0})
    with pytest.raises(ValueError, match="Beats to wait for on 'o' must be at least 0, not -1"):
        adder.run({"o": -1})
    with pytest.raises(ValueError, match="Stream must be an output of the design, not 'i'"):
        adder.run({"i": 1})


def test_value_wrong(adder):
    with pytest.raises(ValueError, match="Value of 'bias' must fit 8 bits, not 256"):
        adder.set("bias", 256)


def test_trace_wrong(adder):
    with pytest.raises(ValueError, match="Lane must be built with trace=True"):
        adder.trace("waves.fst")


def test_trace_not_writable(tmp_path):
    with pytest.raises(FileNotFoundError):
        Lane(Adder(), trace=True).trace(tmp_path / "missing" / "waves.fst")


@pytest.mark.parametrize("kind", ["fst", "vcd"])
def test_trace(tmp_path, monkeypatch, seed, kind):
    pywellen = pytest.importorskip("pywellen")
    if kind == "fst" and verilator.trace_format() != "fst":
        pytest.skip("the headers for FST are missing")
    monkeypatch.setattr(verilator, "trace_format", lambda: kind)
    lane = Lane(Adder(), trace=True)
    operands = pairs(seed, 3)
    path = tmp_path / "waves"
    lane.trace(path)
    lane.push("i", operands)
    lane.run({"o": 3})
    lane.trace(None)
    wave = pywellen.Waveform(str(path))
    assert {"top.o__valid", "top.skid.front_valid"} <= {variable.full_name for variable in wave.all_vars()}
    size = path.stat().st_size
    lane.push("i", operands)
    lane.run({"o": 6})
    assert path.stat().st_size == size


def test_trace_ends_in_a_run(tmp_path, seed):
    """A `watch` may end it; the run goes on."""
    lane = Lane(Adder(), trace=True)

    def stop():
        if lane.cycles >= 40:
            lane.trace(None)

    lane.trace(tmp_path / "short")
    lane.push("i", pairs(seed, 900))
    lane.run({"o": 900}, watch=stop, every=20)
    assert lane.waiting("o") == 900
    lane.reset()
    lane.trace(tmp_path / "long")
    lane.push("i", pairs(seed, 900))
    lane.run({"o": 900})
    lane.trace(None)
    assert 0 < (tmp_path / "short").stat().st_size < (tmp_path / "long").stat().st_size / 2

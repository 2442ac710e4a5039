"""The wires of the bench: what they are told happens to frames, and bad settings are refused."""

import numpy as np
import pytest

from mtia.link import LinkState
from tb.link.bench import all_streams, packets, peer_stream
from tb.models.link_wire import EFFECTS, LinkWire

from .benches import SMALL, bench


@pytest.fixture
def wire() -> LinkWire:
    return LinkWire(frame_bits=64)


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"latency": 0}, "Latency of a wire must be in 1 to 511, not 0"),
        ({"latency": 512}, "Latency of a wire must be in 1 to 511, not 512"),
        ({"burst_length": 0}, "Burst length of a wire must be at least 1, not 0"),
        ({"damage": 1.5}, "Chance damage of a wire must be from 0 to 1, not 1.5"),
        ({"lose_control": -1}, "Chance lose_control of a wire must be from 0 to 1, not -1"),
    ],
)
def test_settings_wrong(wire, setting, text):
    with pytest.raises(ValueError, match=text):
        wire.configure(0, **setting)


def test_names_wrong(wire):
    with pytest.raises(ValueError, match="Direction of a wire must be 0 or 1, not 2"):
        wire.configure(2)
    with pytest.raises(ValueError, match="Effect on a frame must be one of none, damaged, lost, repeated, not 'gone'"):
        wire.hit(0, 3, "gone")


def test_peer_stream():
    assert peer_stream("a_tx__0") == "b_rx__0"
    assert [peer_stream(name) for name in all_streams(1)] == ["b_rx__0", "b_rx__1", "a_rx__0", "a_rx__1"]


def test_packets_are_whole(seed):
    beats = packets(np.random.default_rng(seed), SMALL, 500)
    head, last = beats[:, 1] & 1, beats[:, 1] >> 1
    assert last[-1] == 1
    assert head[0] == 1
    np.testing.assert_array_equal(head[1:], last[:-1])
    assert 1 < last.sum() < 500


@pytest.mark.sim
def test_effects(seed):
    """Each effect is counted and seen: damaged frames by the CRC, lost and repeated ones by their numbers."""
    link = bench(SMALL)
    link.start()
    before = link.counters("b")["crc_errors"]
    first = sum(link.wire.counts(0).values())
    for offset, effect in ((5, "damaged"), (60, "lost"), (110, "repeated")):
        link.wire.hit(0, first + offset, effect)
    link.exchange(np.random.default_rng(seed), {"a_tx__0": 200})
    counts = link.wire.counts(0)
    assert [counts[effect] for effect in EFFECTS[1:]] == [1, 1, 1]
    assert link.counters("b")["crc_errors"] == before + 1
    assert link.states() == (LinkState.UP, LinkState.UP)


@pytest.mark.sim
def test_same_seed_same_cycles(seed):
    link = bench(SMALL)
    cycles = []
    for wire_seed in (seed, seed, seed + 1):
        link.start(damage=0.05, lose=0.05, repeat=0.05, seed=wire_seed)
        cycles.append(link.exchange(np.random.default_rng(seed), all_streams(500)))
    assert cycles[0] == cycles[1] != cycles[2]

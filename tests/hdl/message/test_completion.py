# amaranth: UnusedElaboratable=no
# (a component whose parameters are refused is never elaborated)
"""Records of the completion queue: fields, phase, cycles."""

import numpy as np
import pytest

from hdl.message.completion import Completions
from tb.lane import Lane


@pytest.mark.sim
@pytest.mark.parametrize("depth", [1, 3, 8])
@pytest.mark.parametrize("pauses", [{}, {"i": 0.4, "completion": 0.5}])
def test_records(depth, pauses, seed):
    """The phase is 1 the first time round, and flips each time the queue wraps; nothing is lost or doubled."""
    draw = np.random.default_rng(seed)
    lane = Lane(Completions(depth=depth), name=f"completions_{depth}")
    lane.set("now", 1_000_000)
    count = 50
    fields = {"command": 16, "status": 4, "detail": 4, "partition": 8, "bytes": 32}
    values = {name: draw.integers(0, 1 << bits, count, dtype=np.uint64) for name, bits in fields.items()}
    born = draw.integers(0, 1_000_000, count)
    lane.push("i", {**values, "born": born})
    lane.run({"completion": count}, pauses=pauses, seed=seed)
    found = lane.pull_fields("completion")
    for name, expected in values.items():
        np.testing.assert_array_equal(found[name], expected)
    np.testing.assert_array_equal(found["cycles"], 1_000_001 - born)
    np.testing.assert_array_equal(found["phase"], 1 - np.arange(count) // depth % 2)
    assert not found["reserved"].any()


@pytest.mark.sim
def test_cycles_wrap():
    """A command that runs over the counter's end."""
    lane = Lane(Completions(depth=3), name="completions_3")
    lane.set("now", 5)
    lane.push("i", {"born": np.array([0xFFFF_FFFE])})
    lane.run({"completion": 1})
    assert lane.pull_fields("completion")["cycles"].tolist() == [8]


@pytest.mark.parametrize(
    ("depth", "error", "words"),
    [
        (0, ValueError, r"^Completion depth must be at least 1, not 0$"),
        (None, TypeError, r"^Completion depth must be an integer, not None$"),
    ],
)
def test_wrong_parameters(depth, error, words):
    with pytest.raises(error, match=words):
        Completions(depth=depth)

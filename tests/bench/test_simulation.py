"""The timed simulations give right results on a small engine; their times are not judged here."""

import numpy as np
import pytest

from bench import emission, simulation
from tb.runner import CocotbFailure

from .support import TINY

pytestmark = pytest.mark.sim
NAME = "MXFP8_E4M3"
SHAPE = (4, 6, 128)


@pytest.fixture(scope="module")
def recording():
    return simulation.record(TINY, NAME, SHAPE)


def wrong(recording):
    """The recording with one bit of one result turned."""
    results = recording.streams["results"].copy()
    results[0, 0] ^= np.uint32(1)
    return simulation.Recording(streams=recording.streams | {"results": results}, cycles=recording.cycles)


def test_lane_and_plain_harness(recording):
    assert simulation.lane_seconds(TINY, NAME, SHAPE) > 0
    assert simulation.plain_seconds(TINY, recording) >= 0
    with pytest.raises(RuntimeError, match="Plain harness must give the lane's results"):
        simulation.plain_seconds(TINY, wrong(recording))


def test_cocotb_plays_a_product_over_and_over(recording):
    assert simulation.played_seconds(TINY, recording, 3) > 0
    with pytest.raises(CocotbFailure):
        simulation.played_seconds(TINY, wrong(recording), 3)


def test_cocotb_drives_every_beat(recording):
    assert simulation.driven_seconds(TINY, recording) > 0


def test_emission_in_a_process_of_its_own():
    seconds, memory, size = emission.alone(emission.emission, "mtia300", "fpga")
    assert seconds > 0
    assert memory > 10_000_000
    assert size > 10_000


def test_the_environment_is_given_back(monkeypatch):
    monkeypatch.setenv("MTIA_ONE", "before")
    monkeypatch.delenv("MTIA_OTHER", raising=False)
    with emission.environment(MTIA_ONE="within", MTIA_OTHER="too"):
        assert (emission.os.environ["MTIA_ONE"], emission.os.environ["MTIA_OTHER"]) == ("within", "too")
    assert emission.os.environ["MTIA_ONE"] == "before"
    assert "MTIA_OTHER" not in emission.os.environ

# amaranth: UnusedElaboratable=no
# (a component whose parameters are refused is never elaborated)
"""Rings of descriptors: order, turns, and who holds whom back."""

import numpy as np
import pytest

from hdl.message.ring import Rings
from tb.lane import Lane

DEPTH = 4


@pytest.fixture(scope="module")
def lane():
    return Lane(Rings(partitions=3, depth=DEPTH), name="rings")


def push(lane, partition, count):
    commands = np.arange(count) + 1000 * partition
    lane.push(f"doorbell__{partition}", {"command": commands, "key": commands * 7})


@pytest.mark.sim
@pytest.mark.parametrize("pauses", [{}, {"o": 0.6}, {"doorbell__0": 0.5, "doorbell__2": 0.8, "o": 0.2}])
def test_order_of_each_ring(lane, pauses, seed):
    lane.reset()
    lane.set("room", 0b111)
    for partition in range(3):
        push(lane, partition, 40)
    lane.run({"o": 120}, pauses=pauses, seed=seed)
    found = lane.pull_fields("o")
    commands = found["descriptor"]["command"].astype(int)
    for partition in range(3):
        own = commands[found["partition"] == partition]
        assert own.tolist() == [1000 * partition + n for n in range(40)]
    assert (found["descriptor"]["key"] == 7 * commands).all()


@pytest.mark.sim
def test_full_ring_holds_back_its_own_alone(lane):
    """Partition 1 has no room: its ring fills and stops; the others are not touched."""
    lane.reset()
    lane.set("room", 0b101)
    for partition in range(3):
        push(lane, partition, 20)
    lane.run(cycles=60)
    assert lane.waiting("doorbell__1") == 20 - DEPTH
    assert lane.waiting("doorbell__0") == lane.waiting("doorbell__2") == 0
    assert lane.transfers("o") == 40
    lane.set("room", 0b010)
    lane.run({"o": 60})
    assert lane.pull_fields("o")["descriptor"]["command"][40:].tolist() == list(range(1000, 1020))


@pytest.mark.sim
def test_cycle_of_the_doorbell(lane):
    """`born` is what `now` was when the descriptor was taken; it leaves a cycle later."""
    lane.reset()
    lane.set("room", 0b111)
    lane.set("now", 77)
    push(lane, 2, 1)
    lane.run(cycles=3, record=True)
    found = lane.pull_fields("o")
    assert (found["born"].tolist(), found["partition"].tolist()) == ([77], [2])
    assert lane.transfer_cycles("o")[0] - lane.transfer_cycles("doorbell__2")[0] == 1


@pytest.mark.sim
def test_one_ring(seed):
    lane = Lane(Rings(partitions=1, depth=2), name="ring")
    lane.set("room", 1)
    push(lane, 0, 30)
    lane.run({"o": 30}, pauses={"o": 0.5}, seed=seed)
    assert lane.pull_fields("o")["descriptor"]["command"].tolist() == list(range(30))


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        ({"partitions": 0, "depth": 2}, ValueError, r"^Partitions must be in 1 to 16, not 0$"),
        ({"partitions": 1, "depth": 1}, ValueError, r"^Ring depth must be at least 2, not 1$"),
        ({"partitions": "1", "depth": 2}, TypeError, r"^Partitions must be an integer, not '1'$"),
    ],
)
def test_wrong_parameters(parameters, error, words):
    with pytest.raises(error, match=words):
        Rings(**parameters)

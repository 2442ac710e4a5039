"""Bounds of collectives, what algorithms can reach, and the choice between them."""

import itertools
import math
from typing import Any

import pytest

from mtia.collectives import PROGRAMS, Algorithm, Collective
from mtia.collectives_bounds import bound, choose, crossover, expected
from mtia.collectives_geometry import split
from mtia.message import MAX_RANKS
from mtia.near_memory import ReduceFormat

C, A = Collective, Algorithm
NAMES = list(PROGRAMS)
#: 64 payload bytes a cycle, 50 cycles to the first
LINK: dict[str, Any] = {"latency": 50, "bytes_per_cycle": 64}


def test_bounds_by_hand() -> None:
    """p = 8, 65,536 bytes: f n / B = 896 cycles, n / B = 1,024."""
    figures: dict[str, Any] = {"ranks": 8, "bytes": 65536, **LINK}
    assert bound(C.ALLREDUCE, **figures) == 50 + 2 * 896
    assert bound(C.ALLREDUCE, switch_reduces=True, **figures) == 50 + 1024
    for collective in (C.ALLGATHER, C.REDUCESCATTER, C.ALLTOALL, C.ALLTOALLV):
        assert bound(collective, **figures) == 50 + 896
    for collective in (C.BROADCAST, C.REDUCE, C.SENDRECV):
        assert bound(collective, **figures) == 50 + 1024
    assert bound(C.BARRIER, **figures) == 50
    hand = {
        (C.ALLREDUCE, A.ONE_SHOT): 50 + 7 * 1024,
        (C.ALLREDUCE, A.TWO_SHOT): 100 + 2 * 896,
        (C.ALLREDUCE, A.RING): 7 * (50 + 1024),
        (C.ALLREDUCE, A.IN_SWITCH): 50 + 1024,
        (C.BROADCAST, A.LINEAR): 50 + 7 * 1024,
        (C.BROADCAST, A.SCATTER): 100 + 1024,
        (C.BROADCAST, A.MULTICAST): 50 + 1024,
        (C.BROADCAST, A.RENDEZVOUS): 100 + 7 * 1024,
        (C.REDUCE, A.TWO_SHOT): 100 + 2 * 896,
        (C.ALLGATHER, A.LINEAR): 50 + 896,
        (C.ALLGATHER, A.RENDEZVOUS): 100 + 896,
        (C.ALLGATHER, A.RING): 7 * (50 + 128),
        (C.BARRIER, A.LINEAR): 57,
    }
    for name, cycles in hand.items():
        assert expected(*name, **figures) == cycles


@pytest.mark.parametrize("name", NAMES, ids="-".join)
def test_no_algorithm_is_expected_below_the_bound(name: tuple[Collective, Algorithm]) -> None:
    for ranks, count in itertools.product((2, 3, 16, 72), (256, 4096, 1 << 20)):
        if ranks <= (PROGRAMS[name].most_ranks or MAX_RANKS):
            figures: dict[str, Any] = {"ranks": ranks, "bytes": count, **LINK}
            least = bound(name[0], switch_reduces=name[1] is A.IN_SWITCH, **figures)
            assert expected(*name, **figures) >= least - 1e-9


def test_crossover_is_where_two_shot_becomes_quicker() -> None:
    for ranks in (3, 8, 72):
        size = crossover(ranks=ranks, **LINK)
        assert math.isclose(size, 50 * 64 / ((ranks - 1) * (1 - 2 / ranks)))
        for count, best in ((int(size) - 4, A.ONE_SHOT), (int(size) + 4, A.TWO_SHOT)):
            assert choose(C.ALLREDUCE, ranks=ranks, bytes=count, **LINK) is best
    assert crossover(ranks=2, **LINK) == math.inf
    assert choose(C.ALLREDUCE, ranks=2, bytes=1 << 20, **LINK) is A.ONE_SHOT


def test_choice() -> None:
    figures: dict[str, Any] = {"ranks": 16, "bytes": 65536, **LINK}
    plain = [ReduceFormat.FP32, ReduceFormat.BF16]
    assert choose(C.ALLREDUCE, switch_formats=plain, **figures) is A.IN_SWITCH
    assert choose(C.ALLREDUCE, switch_formats=plain, format=ReduceFormat.FP16, **figures) is A.TWO_SHOT
    assert choose(C.ALLREDUCE, switch_formats=plain, degraded=True, **figures) is A.RING
    assert choose(C.ALLGATHER, degraded=True, **figures) is A.RING
    assert choose(C.ALLTOALL, degraded=True, **figures) is A.LINEAR
    assert choose(C.ALLGATHER, **figures) is A.LINEAR
    assert choose(C.BROADCAST, multicast=True, **figures) is A.MULTICAST
    assert choose(C.BROADCAST, **figures) is A.SCATTER
    assert choose(C.BROADCAST, **(figures | {"bytes": 32})) is A.LINEAR
    assert choose(C.REDUCE, **figures) is A.TWO_SHOT
    assert choose(C.REDUCESCATTER, **figures) is A.LINEAR
    assert choose(C.BARRIER, **(figures | {"bytes": 0})) is A.LINEAR
    assert choose(C.SENDRECV, ranks=2, bytes=4096, landing=1 << 20, **LINK) is A.EAGER
    assert choose(C.SENDRECV, ranks=2, bytes=4096, landing=4096, **LINK) is A.RENDEZVOUS
    small = figures | {"bytes": 64}
    assert choose(C.ALLREDUCE, landing=16 * 64, **small) is A.ONE_SHOT
    assert choose(C.ALLREDUCE, landing=16 * 32, **small) is A.TWO_SHOT


def test_a_long_reduction_stays_in_the_switch() -> None:
    figures: dict[str, Any] = {"ranks": 2, "bytes": 1 << 20, "switch_formats": [ReduceFormat.FP32], **LINK}
    assert choose(C.ALLREDUCE, **figures) is A.IN_SWITCH
    assert len(split(C.ALLREDUCE, A.IN_SWITCH, ranks=2, bytes=1 << 20)) == 5


FIGURES: dict[str, Any] = {"ranks": 8, "bytes": 4096, **LINK}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ranks": 1}, "ranks must be from 2 to 72, not 1"),
        ({"ranks": 73}, "ranks must be from 2 to 72, not 73"),
        ({"bytes": -1}, "bytes must be at least 0, not -1"),
        ({"latency": -1}, "latency must be at least 0, not -1"),
        ({"bytes_per_cycle": 0}, "bytes_per_cycle must be above 0, not 0"),
    ],
)
def test_bounds_wrong(change: dict[str, int], message: str) -> None:
    figures = FIGURES | change
    with pytest.raises(ValueError, match=message):
        bound(C.ALLREDUCE, **figures)
    with pytest.raises(ValueError, match=message):
        expected(C.ALLREDUCE, A.RING, **figures)
    with pytest.raises(ValueError, match=message):
        choose(C.ALLREDUCE, **figures)
    if "bytes" not in change:
        with pytest.raises(ValueError, match=message):
            crossover(**{name: value for name, value in figures.items() if name != "bytes"})


def test_choice_wrong() -> None:
    with pytest.raises(ValueError, match="bytes of allreduce must fit 32 bytes of landing slots, not 4096"):
        choose(C.ALLREDUCE, landing=32, **FIGURES)
    with pytest.raises(ValueError, match="Algorithm of barrier must be one of linear, multicast, not 'ring'"):
        expected(C.BARRIER, A.RING, **FIGURES)

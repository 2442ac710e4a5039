"""Length of pieces: cycles by hand, and the best of all."""

from typing import Any

import pytest

from mtia.collectives import PROGRAMS, Algorithm, Collective
from mtia.collectives_geometry import MAX_PIECE, geometry
from mtia.collectives_pieces import best_piece, send_cycles
from mtia.message import MAX_RANKS

C, A = Collective, Algorithm


@pytest.mark.parametrize(
    ("name", "bytes", "cycles"),
    [
        ((C.ALLREDUCE, A.TWO_SHOT), 8 * 1056, 2 * 7 * 17),  # a packet of 17 flits to each of 7, twice
        ((C.ALLREDUCE, A.ONE_SHOT), 1056, 7 * 17),
        ((C.ALLREDUCE, A.IN_SWITCH), 8 * 1056, 8 * 17),
        ((C.ALLGATHER, A.MULTICAST), 8 * 1056, 17),
        ((C.ALLGATHER, A.LINEAR), 8 * 32, 7 * 6),  # one flit, but a step takes 6 cycles
        ((C.ALLGATHER, A.LINEAR), 8 * 2 * 1056, 7 * 2 * 17),
        ((C.REDUCESCATTER, A.LINEAR), 8 * (1056 + 480), 7 * (17 + 8)),
    ],
)
def test_send_cycles_by_hand(name: tuple[Collective, Algorithm], bytes: int, cycles: int) -> None:
    cut = geometry(*name, ranks=8, bytes=bytes, piece_limit=1056)
    assert send_cycles(*name, cut, ranks=8, mtu=1056) == cycles


def test_a_piece_of_many_packets() -> None:
    """4,096 bytes in one piece and packets of 1,056: 3 of 17 flits and one of 928 bytes, 15 flits."""
    cut = geometry(C.ALLREDUCE, A.ONE_SHOT, ranks=2, bytes=4096, piece_limit=4096)
    assert send_cycles(C.ALLREDUCE, A.ONE_SHOT, cut, ranks=2, mtu=1056) == 3 * 17 + 15


@pytest.mark.parametrize("name", list(PROGRAMS), ids="-".join)
def test_best_piece_is_allowed(name: tuple[Collective, Algorithm]) -> None:
    for ranks in (2, 8, 72):
        if ranks > (PROGRAMS[name].most_ranks or MAX_RANKS):
            continue
        for count in (4, 256, 65536, 1 << 18):
            piece = best_piece(*name, ranks=ranks, bytes=count, mtu=1056)
            assert piece == MAX_PIECE if name[1] is A.RING else (32 <= piece <= 1056 and piece % 64 == 32)
            geometry(*name, ranks=ranks, bytes=min(count, ranks * 32 * piece), piece_limit=piece)


def test_short_pieces_where_adding_is_slow() -> None:
    """The more ranks add and the slower, the shorter; where nothing is added, whole packets."""
    figures: dict[str, Any] = {"bytes": 1 << 20, "mtu": 4064}
    by_ranks = [best_piece(C.ALLREDUCE, A.TWO_SHOT, ranks=ranks, **figures) for ranks in (8, 16, 72)]
    assert by_ranks == sorted(by_ranks, reverse=True)
    assert by_ranks[0] > by_ranks[-1]
    slow = best_piece(C.ALLREDUCE, A.TWO_SHOT, ranks=72, lines=1, **figures)
    assert slow < best_piece(C.ALLREDUCE, A.TWO_SHOT, ranks=72, lines=2, **figures)
    assert best_piece(C.ALLTOALL, A.LINEAR, ranks=72, **figures) == 4064


def test_long_pieces_where_sums_are_many() -> None:
    """Two ranks: a sum takes longer to begin than to add, so there are few of them."""
    figures: dict[str, Any] = {"ranks": 2, "bytes": 65536, "mtu": 4064, "lines": 2}
    assert best_piece(C.ALLREDUCE, A.TWO_SHOT, **figures) > best_piece(C.ALLREDUCE, A.TWO_SHOT, sum_cycles=0, **figures)


def test_short_pieces_where_sums_hide_each_other() -> None:
    """Sums of a reduce-scatter follow each other, so its pieces are short where few bytes are added, long else."""
    figures: dict[str, Any] = {"bytes": 4096, "mtu": 4064, "lines": 2}
    assert [best_piece(C.REDUCESCATTER, A.LINEAR, ranks=ranks, **figures) for ranks in (2, 8, 16)] == [736, 288, 160]
    largest: dict[str, Any] = {"bytes": 1 << 20, "mtu": 4064, "lines": 2}
    assert best_piece(C.REDUCESCATTER, A.LINEAR, ranks=72, **largest) > best_piece(
        C.ALLREDUCE, A.TWO_SHOT, ranks=72, **largest
    )


def test_pieces_for_the_switch() -> None:
    """Long where ranks wait for results, short where the last piece's results are most of the time."""
    figures: dict[str, Any] = {"mtu": 1056}
    few = best_piece(C.ALLREDUCE, A.IN_SWITCH, ranks=2, bytes=65536, **figures)
    assert few == 1056
    assert best_piece(C.ALLREDUCE, A.IN_SWITCH, ranks=72, bytes=66816, **figures) == 160
    assert best_piece(C.ALLREDUCE, A.IN_SWITCH, ranks=8, bytes=65536, trip_cycles=0, **figures) < few


def test_wrong() -> None:
    with pytest.raises(ValueError, match="ranks must be from 2 to 72, not 1"):
        best_piece(C.ALLREDUCE, A.TWO_SHOT, ranks=1, bytes=64)

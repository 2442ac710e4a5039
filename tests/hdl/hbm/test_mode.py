# amaranth: UnusedElaboratable=no
# (components whose parameters are refused are never elaborated)
"""Reads and writes in batches: when the mode changes, and that neither kind waits for ever."""

import random

import pytest

from hdl.hbm.mode import Batching, Mode

from ..pysim import run

BATCHING = Batching(high=6, low=1, prepare=2, idle=5, patience=40)
ENTRIES = 8


def modes(rows, batching=BATCHING):
    """(writing, prepare, turned) of a mode that sees (reads, writes) in each cycle."""
    dut = Mode(entries=ENTRIES, batching=batching)
    return run(dut, [dut.reads, dut.writes], [dut.writing, dut.prepare, dut.turned], rows)


def first_write(rows, batching=BATCHING):
    """First cycle in which the mode is writing, None if there is none."""
    return next((cycle for cycle, found in enumerate(modes(rows, batching)) if found[0]), None)


def test_begins_with_reads():
    assert modes([(0, 0)] * 30) == [(0, 0, 0)] * 30
    assert first_write([(3, 0)] * 30) is None


def test_enough_writes():
    """The mode changes at the end of the cycle in which there are `high` writes, not one fewer."""
    assert first_write([(4, 5)] * 20) is None
    assert first_write([(4, 5)] * 3 + [(4, 6)] * 2) == 4


def test_no_read_for_some_cycles():
    found = first_write([(0, 0)] * 20 + [(0, 1)] * 3)
    assert found == 21  # no read has come for long: at once
    rows = [(1, 1)] * 3 + [(0, 1)] * 20
    assert 3 + BATCHING.idle <= first_write(rows) <= 3 + BATCHING.idle + 2


def test_writes_go_on_down_to_low():
    rows = [(2, 6)] * 2 + [(2, writes) for writes in (6, 5, 4, 3, 2, 1, 1)]
    writing = [found[0] for found in modes(rows)]
    assert writing == [0, 1, 1, 1, 1, 1, 1, 1, 0]


def test_writes_go_on_to_the_last_without_reads():
    rows = [(0, 6)] * 8 + [(0, 3)] * 10 + [(0, 1)] * 10 + [(0, 0)] * 3
    writing = [found[0] for found in modes(rows)]
    assert writing[8:29] == [1] * 21
    assert writing[-1] == 0


@pytest.mark.parametrize("writing", [False, True])
def test_patience(writing):
    """A batch that goes on for ever is ended when the other kind has waited for `patience` cycles."""
    if writing:
        rows = [(0, 6)] * 10 + [(1, 6)] * (BATCHING.patience + 5)
    else:
        rows = [(6, 0)] * 10 + [(6, 1)] * (BATCHING.patience + 5)
    found = [each[0] for each in modes(rows)]
    ended = next(cycle for cycle in range(10, len(rows)) if found[cycle] != writing)
    assert BATCHING.patience <= ended - 10 <= BATCHING.patience + 2


def test_prepare():
    """Near the end of a batch rows for the other kind may be opened, not in the middle of one."""
    reading = modes([(5, writes) for writes in range(6)])
    assert [found[1] for found in reading] == [0, 0, 0, 0, 1, 1]
    assert modes([(0, 1)])[0][1] == 1
    writing = modes([(2, 6)] * 2 + [(2, writes) for writes in (5, 4, 3, 2)])[2:]
    assert [found[1] for found in writing] == [0, 0, 1, 1]
    alone = modes([(0, 6)] * 9 + [(0, 1)] * 3)[9:]
    assert [found[1] for found in alone] == [0, 0, 0]  # nothing of the other kind waits


def test_random(seed):
    """`turned` is told in the last cycle of a mode, and no kind waits longer than `patience` and a turn."""
    rng = random.Random(seed)
    rows, reads, writes, chances = [], 0, 0, [0.5] * 4
    for cycle in range(4000):
        if cycle % 300 == 0:
            chances = [rng.choice((0.0, 0.3, 0.9)) for _ in range(4)]
        reads = min(ENTRIES, max(0, reads + (rng.random() < chances[0]) - (rng.random() < chances[1])))
        writes = min(ENTRIES, max(0, writes + (rng.random() < chances[2]) - (rng.random() < chances[3])))
        rows.append((reads, writes))
    found = modes(rows)
    waited = 0
    for before, after, (reads, writes) in zip(found, found[1:], rows, strict=False):
        assert (before[0] != after[0]) == bool(before[2])
        waited = waited + 1 if (reads if before[0] else writes) and not before[2] else 0
        assert waited <= BATCHING.patience + 1
        assert not (before[2] and not (reads if before[0] else writes)) or (before[0] and not writes)
    assert len({each[0] for each in found}) == 2


def test_properties():
    dut = Mode(entries=ENTRIES, batching=BATCHING)
    assert (dut.entries, dut.batching) == (ENTRIES, BATCHING)
    assert modes([(0, 0)]) == [(0, 0, 0)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"high": 0}, "Batching high must be at least 1, not 0"),
        ({"high": 4, "low": 4}, "Batching high must be at least 5, not 4"),
        ({"high": 4, "low": -1}, "Batching low must be at least 0, not -1"),
        ({"high": 4, "prepare": -1}, "Batching prepare must be at least 0, not -1"),
        ({"high": 4, "idle": 0}, "Batching idle must be at least 1, not 0"),
        ({"high": 4, "patience": 0}, "Batching patience must be at least 1, not 0"),
    ],
)
def test_batching_wrong(values, message):
    with pytest.raises(ValueError, match=message):
        Batching(**values)


@pytest.mark.parametrize("name", ["high", "low", "prepare", "idle", "patience"])
def test_batching_of_wrong_kind(name):
    with pytest.raises(TypeError, match=f"Batching {name} must be an integer, not 2.5"):
        Batching(**{"high": 8, name: 2.5})  # type: ignore[arg-type]  # what the test is about


def test_mode_wrong():
    with pytest.raises(ValueError, match="Mode entries must be at least 2, not 1"):
        Mode(entries=1, batching=Batching(high=1))
    with pytest.raises(TypeError, match="Mode entries must be an integer, not '8'"):
        Mode(entries="8", batching=BATCHING)  # type: ignore[arg-type]  # what the test is about
    with pytest.raises(ValueError, match="Batching high must be at most the pool's 4 entries, not 6"):
        Mode(entries=4, batching=BATCHING)

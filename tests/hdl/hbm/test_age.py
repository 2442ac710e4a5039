# amaranth: UnusedElaboratable=no
# (components whose parameters are refused are never elaborated)
"""Age order: the oldest of any choice, whatever leaves when and comes into whose place."""

import random

import pytest

from hdl.hbm.age import AgeOrder

from ..pysim import run


def history(seed, entries, picks, cycles, *, coming, leaving):
    """Rows of (placed, occupied, choice, ...), and what is the oldest of each choice."""
    rng = random.Random(seed)
    order: list[int] = []
    rows, expected = [], []
    for _ in range(cycles):
        free = [place for place in range(entries) if place not in order]
        placed = rng.choice(free) if free and rng.random() < coming else None
        occupied = sum(1 << place for place in order)
        choices = [[place for place in order if rng.random() < 0.5] for _ in range(picks)]
        rows.append(
            (0 if placed is None else 1 << placed, occupied, *(sum(1 << place for place in each) for each in choices))
        )
        expected.append(tuple(1 << each[0] if each else 0 for each in choices))
        order = [place for place in order if rng.random() >= leaving]
        if placed is not None:
            order.append(placed)
    return rows, expected


@pytest.mark.parametrize(("coming", "leaving"), [(0.9, 0.05), (1.0, 0.3), (0.5, 0.5)])
@pytest.mark.parametrize(("entries", "picks"), [(2, 1), (5, 2), (8, 3)])
def test_oldest(entries, picks, coming, leaving, seed):
    dut = AgeOrder(entries=entries, picks=picks)
    rows, expected = history(seed, entries, picks, 600, coming=coming, leaving=leaving)
    assert run(dut, [dut.placed, dut.occupied, *dut.choice], list(dut.oldest), rows) == expected


def test_place_used_again_at_once():
    """The oldest leaves and another takes its place in the same cycle: it is now the youngest."""
    dut = AgeOrder(entries=3)
    rows = [(0b001, 0b000, 0), (0b010, 0b001, 0b001), (0b100, 0b011, 0b011), (0b001, 0b110, 0b110), (0, 0b111, 0b111)]
    found = run(dut, [dut.placed, dut.occupied, dut.choice[0]], [dut.oldest[0]], rows)
    assert [each for (each,) in found] == [0, 0b001, 0b001, 0b010, 0b010]


def test_parameters():
    dut = AgeOrder(entries=4, picks=2)
    assert (dut.entries, dut.picks) == (4, 2)
    assert AgeOrder(entries=2).picks == 1


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"entries": 1}, ValueError, "Age order entries must be at least 2, not 1"),
        ({"entries": 2.0}, TypeError, r"Age order entries must be an integer, not 2\.0"),
        ({"entries": 2, "picks": 0}, ValueError, "Age order picks must be at least 1, not 0"),
        ({"entries": 2, "picks": "1"}, TypeError, "Age order picks must be an integer, not '1'"),
    ],
)
def test_parameters_wrong(parameters, error, message):
    with pytest.raises(error, match=message):
        AgeOrder(**parameters)

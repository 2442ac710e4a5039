"""The bounds of each set as published beside the sets, and the errors."""

import itertools

import pytest

from mtia import hbm, hbm_bounds as bounds
from mtia.hbm import TimingSet

NAMES = ("HBM2-2.0", "HBM3-6.4", "HBM4-8.0", "HBM3E-9.0", "HBM4-9.0", "HBM4E-13.5")
SETS = [hbm.get(name) for name in NAMES]
HBM3 = hbm.get("HBM3-6.4")


def percent(values: list[float]) -> list[int]:
    return [round(100 * value) for value in values]


@pytest.mark.parametrize(
    "size, expected",
    [(32, [50, 33, 27, 24, 24, 16]), (64, [100, 67, 53, 47, 47, 31]), (128, [100, 100, 100, 94, 94, 63])],
)
def test_random(size: int, expected: list[int]) -> None:
    assert percent([bounds.random_fraction(timing, size) for timing in SETS]) == expected


def test_part_of_an_atom_costs_a_whole_one() -> None:
    assert bounds.random_fraction(HBM3, 33) == bounds.random_fraction(HBM3, 64)
    assert bounds.random_fraction(HBM3, 1) == bounds.random_fraction(HBM3, 32) == pytest.approx(2 * 4 / 24)


def test_window_of_a_sid() -> None:
    one = hbm.get("HBM4E-13.5")
    assert bounds.random_fraction(one.with_options(faw_scope="sid"), 32) == pytest.approx(2 / 9)  # RRDS decides
    wide = HBM3.with_parameters(FAW=100)
    two_sids = bounds.random_fraction(wide.with_options(faw_scope="sid"), 32)
    assert two_sids == pytest.approx(2 * bounds.random_fraction(wide, 32))


def least_time(timing: TimingSet, gaps: int, refreshes: int) -> int:
    """CK that so many gaps between ACTs take with so many REFPBs in them, over all ways to place those."""
    found = []
    for placed in itertools.combinations_with_replacement(range(gaps), refreshes):
        times = [0]
        for gap in range(gaps):
            soonest = times[-1] + timing["RRDS"] + placed.count(gap) * timing["RREFD"]
            times.append(max(soonest, times[-4] + timing["FAW"] if gap >= 3 else 0))
        found.append(times[-1])
    return min(found)


@pytest.mark.parametrize("timing", SETS, ids=NAMES)
@pytest.mark.parametrize("refreshes", [1, 2, 3])
def test_refresh_between_activations(timing: TimingSet, refreshes: int) -> None:
    """The gap is the least of all ways to place refreshes, each command as soon as the distances allow."""
    gaps = 12
    time = least_time(timing, gaps, refreshes)
    whole = timing.with_parameters(REFI=time * timing.organization.banks // refreshes)
    exact = time * timing.organization.banks % refreshes == 0
    assert gaps * bounds.activation_gap(whole, refresh="per-bank") == pytest.approx(time, rel=1e-9 if exact else 1e-3)
    assert bounds.activation_gap(timing) == least_time(timing, gaps, 0) / gaps


def test_more_refreshes_than_waits() -> None:
    """Never less than all ways allow, where refreshes crowd."""
    for gaps, refreshes in ((4, 2), (4, 3), (8, 5)):
        time = least_time(HBM3, gaps, refreshes)
        crowded = HBM3.with_parameters(REFI=time * HBM3.organization.banks // refreshes + 1)
        assert gaps * bounds.activation_gap(crowded, refresh="per-bank") <= time


def test_random_under_refresh() -> None:
    share = [bounds.random_fraction(timing, 32, refresh="per-bank") for timing in SETS]
    assert percent(share) == [48, 32, 26, 22, 22, 15]
    loss = [1 - bounds.activation_gap(t) / bounds.activation_gap(t, refresh="all-bank") for t in SETS]
    assert loss == pytest.approx([bounds.all_bank_loss(timing) for timing in SETS], rel=0.04)
    own = HBM3.with_options(faw_scope="sid")
    assert bounds.activation_gap(own, refresh="per-bank") > bounds.activation_gap(own) == HBM3["RRDS"]


def test_refresh_wrong() -> None:
    with pytest.raises(ValueError, match=r"^refresh must be one of off, per-bank, all-bank, not 'per_bank'"):
        bounds.activation_gap(HBM3, refresh="per_bank")


def test_row_bus() -> None:
    assert percent([bounds.row_bus_fraction(timing, 32) for timing in SETS]) == [33, 50, 50, 50, 50, 50]
    assert bounds.row_bus_fraction(HBM3, 64) == 1


def test_refresh() -> None:
    loss = [round(100 * bounds.all_bank_loss(timing), 1) for timing in SETS]
    assert loss == [9.8, 10.0, 12.6, 10.1, 12.6, 12.6]
    share = [round(100 * bounds.per_bank_share(timing), 1) for timing in SETS]
    assert share == [4.1, 5.1, 7.2, 5.1, 7.2, 7.2]


def test_turnaround() -> None:
    ranges = [(bounds.turnaround_idle(t), bounds.turnaround_idle(t, same_group=True)) for t in SETS]
    assert ranges == [(22, 24), (35, 38), (42, 46), (52, 57), (50, 54), (74, 80)]


def test_batches() -> None:
    batches = [bounds.batch_for(timing, 0.9, same_group=True) for timing in SETS]
    assert batches == [108, 171, 207, 257, 243, 360]
    for timing, batch in zip(SETS, batches, strict=True):
        assert bounds.batch_efficiency(timing, batch, same_group=True) >= 0.9
        assert bounds.batch_efficiency(timing, batch - 1, same_group=True) < 0.9
        assert bounds.batch_efficiency(timing, batch) > bounds.batch_efficiency(timing, batch, same_group=True)


@pytest.mark.parametrize(
    "bank, expected",
    [
        ("hit", [16, 13.8, 11, 13.8, 11, 11]),
        ("closed", [30, 33, 30, 33, 31, 30]),
        ("conflict", [44, 49, 47, 50, 48, 47]),
    ],
)
def test_latency(bank: str, expected: list[float]) -> None:
    measured = [bounds.read_latency_ns(timing, bank) for timing in SETS]
    assert measured == pytest.approx(expected, abs=0.51)
    digits = [1 if value % 1 else 0 for value in expected]
    assert [round(value, places) for value, places in zip(measured, digits, strict=True)] == expected


@pytest.mark.parametrize("size", [0, -1, 1025, 32.0])
def test_size_wrong(size: object) -> None:
    with pytest.raises(ValueError, match=rf"^size must be in 1 to 1024 bytes, not {size!r}$"):
        bounds.random_fraction(HBM3, size)  # type: ignore[arg-type]


@pytest.mark.parametrize("accesses", [0, 1.5])
def test_accesses_wrong(accesses: object) -> None:
    with pytest.raises(ValueError, match=rf"^accesses must be at least 1, not {accesses!r}$"):
        bounds.batch_efficiency(HBM3, accesses)  # type: ignore[arg-type]


@pytest.mark.parametrize("efficiency", [0, 1, -0.5, 1.5])
def test_efficiency_wrong(efficiency: float) -> None:
    with pytest.raises(ValueError, match=rf"^efficiency must be between 0 and 1, not {efficiency!r}$"):
        bounds.batch_for(HBM3, efficiency)


def test_bank_wrong() -> None:
    with pytest.raises(
        ValueError, match=r"^bank must be one of hit, closed, conflict, not 'close'; did you mean closed"
    ):
        bounds.read_latency_ns(HBM3, "close")

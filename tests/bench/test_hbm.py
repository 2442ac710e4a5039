"""The benchmark of the HBM channel: its bounds, its figures, and the clients that sum by themselves."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from bench import hbm as bench
from bench.hbm_bound import openings, read_bound
from golden.hbm_map import encode
from mtia import hbm
from mtia.cli import run_hbm_session
from mtia.hbm_bounds import activation_gap, random_fraction
from mtia.hbm_map import AddressMap
from mtia.hbm_patterns import Pattern
from mtia.hbm_requests import Accesses
from tests.hdl.hbm.channels import TINY, tiny_design
from tests.mtia.fake_channel import FakeChannel

HBM3 = hbm.get("HBM3-6.4")
CAPACITY = 2 * HBM3.organization.pseudo_channel_bytes


def reads(addresses: ArrayLike) -> Accesses:
    address = np.asarray(addresses, np.int64)
    return Accesses(op=np.zeros(len(address), np.uint8), address=address)


def of(word: str, count: int) -> Accesses:
    return Pattern.parse(word).accesses(count, capacity=CAPACITY)


class TestBound:
    def test_stream_is_bound_by_the_bus(self) -> None:
        assert read_bound(of("stream", 4096), HBM3) == 1

    @pytest.mark.parametrize("size, share", [(32, 1 / 3), (64, 2 / 3), (128, 1)])
    def test_pieces_are_bound_by_the_rows(self, size: int, share: float) -> None:
        found = read_bound(of(f"gather:{size}", 20_000), HBM3, refresh="off")
        assert found == pytest.approx(min(1, random_fraction(HBM3, size)), rel=0.03)
        assert found == pytest.approx(share, rel=0.03)

    def test_one_pseudo_channel_is_half(self) -> None:
        everything = of("stream", 4096)
        half = everything.address[everything.atom // 4 % 2 == 0]
        assert read_bound(reads(half[:1024]), HBM3) <= 1
        assert read_bound(reads([0] * 100), HBM3) == 2 / (2 * 4)  # one atom: CCDL apart, on one of two

    def test_rows_of_one_bank_are_bound_by_rc(self) -> None:
        """Two rows of a bank in turn, further apart than the window: found by their place."""
        layout = AddressMap.of(HBM3.organization, level="channel")
        rows = np.arange(400)
        zeros = np.zeros_like(rows)
        atoms = encode(
            {"row": rows, "sid": zeros, "bank": zeros, "bank_group": zeros, "pc": zeros, "column": zeros}, layout
        )
        found = read_bound(reads(atoms * 32), HBM3)
        assert found == pytest.approx(2 / HBM3["RC"] / 2, rel=0.01)

    def test_window_decides_what_is_opened_again(self) -> None:
        address = np.tile(np.arange(100) * (CAPACITY // 128), 40)
        near, far = (read_bound(reads(address), HBM3, window=window) for window in (1000, 1))
        assert near > 2 * far

    def test_refresh_takes_its_share(self) -> None:
        alone, refreshed = (read_bound(of("gather:32", 4_000), HBM3, refresh=each) for each in ("off", "per-bank"))
        assert refreshed / alone == pytest.approx(activation_gap(HBM3) / activation_gap(HBM3, refresh="per-bank"))


def all_ways(place: Sequence[int], row: Sequence[int], window: int) -> int:
    """Openings of a bank, by trying every row that may be opened after every request, request by request."""
    fewest = len(row)

    def go_on(index: int, is_open: int, waiting: list[tuple[int, int]], cost: int) -> None:
        nonlocal fewest
        if index == len(row):
            fewest = min(fewest, cost + len({each for _, each in waiting}))
            return
        if cost >= fewest or any(at <= place[index] - window for at, _ in waiting):
            return
        waiting = [each for each in [*waiting, (place[index], row[index])] if each[1] != is_open]
        go_on(index + 1, is_open, waiting, cost)
        for chosen in {each for _, each in waiting}:
            # opened now, and perhaps another one after it, before the next request comes
            left = [each for each in waiting if each[1] != chosen]
            go_on(index + 1, chosen, left, cost + 1)
            for second in {each for _, each in left}:
                go_on(index + 1, second, [each for each in left if each[1] != second], cost + 2)

    go_on(0, -1, [], 0)
    return fewest


def test_openings_are_the_fewest_of_all_ways(seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(400):
        count, window = int(random.integers(1, 8)), int(random.integers(1, 10))
        place = np.sort(random.choice(14, count, replace=False)).tolist()
        row = random.integers(0, 3, count).tolist()
        assert openings(place, row, window) == all_ways(place, row, window), (place, row, window)


def test_openings_of_rows_in_turn() -> None:
    """Two rows in turn, a request of one every 32: who may wait for the next one of its row opens a third."""
    place, row = [32 * index for index in range(40)], [index % 2 for index in range(40)]
    assert [openings(place, row, window) for window in (1, 32, 33, 10_000)] == [40, 40, 14, 2]
    assert openings(place, [0] * 40, 1) == 1
    assert openings(place, list(range(40)), 10_000) == 40


def test_rate_between_parts_of_the_answers() -> None:
    found: Any = SimpleNamespace(answered=np.r_[np.arange(0, 400, 4), np.arange(400, 600, 2), 599 + np.arange(1, 2)])
    assert bench.rate_between(found, 0.1, 0.4) == pytest.approx(1 / 8)
    assert bench.rate_between(found, 0.6, 0.9) == pytest.approx(1 / 4)


def test_every_power_of_two() -> None:
    assert list(bench.strides(256)) == [32, 64, 128]


def test_targets_are_those_of_the_first_set_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    accesses = of("stream", 4096)
    measured = SimpleNamespace(steady_fraction=0.9, bandwidth_fraction=0.8, match=True, violation_count=0)
    for name, target in (("HBM3-6.4", 95.0), ("HBM4-9.0", None)):
        session: Any = SimpleNamespace(timing=hbm.get(name), capacity=CAPACITY, measure=lambda *_, **__: measured)
        figure = bench.bandwidth(session, "stream", len(accesses))
        assert (figure.value, figure.target) == (90.0, target)
        assert figure.note.startswith("whole 80.0, bound 100.0")


@pytest.mark.parametrize("wrong", [{"match": False, "mismatches": 1}, {"violation_count": 3}])
def test_wrong_data_is_no_figure(wrong: dict) -> None:
    found = SimpleNamespace(**{"match": True, "violation_count": 0, "mismatches": 0, **wrong})
    session: Any = SimpleNamespace(measure=lambda *_, **__: found)
    with pytest.raises(RuntimeError, match="Channel must be right before it is fast"):
        bench.checked(session, of("stream", 8))


def test_all_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """With golden memories as the channel: every row is there, named by the set."""
    monkeypatch.setattr(run_hbm_session, "HbmRun", FakeChannel)
    monkeypatch.setattr(bench, "sums", lambda _: [bench.Figure(what="sum", value=1)])
    design: Any = "design"
    session = run_hbm_session.Session(HBM3, controller=design)
    figures = bench.of_session(session, requests=200, strides=64, intervals=1)
    assert all(figure.what.startswith("HBM3-6.4 ") for figure in figures)
    words = " ".join(figure.what for figure in figures)
    for what in (*bench.TARGETS, "worst stride", "per-bank", "all-bank", "p50", "p99", "sum", "beyond the device"):
        assert what in words
    assert sum(figure.target is not None for figure in figures) == len(bench.TARGETS) + 5


@pytest.mark.sim
def test_ways_of_summing() -> None:
    """On the small channel: each leaves the golden memory's numbers, or it raises."""
    session = run_hbm_session.Session(TINY, controller=tiny_design())
    run = bench.SumRun(session.run, TINY, 300)
    for client, commands in ((run.receiver, 4), (run.holder, 2)):
        narrow, wide = client(1), client(16)
        assert 0 < narrow < wide < 1 / commands
    assert 0 < run.near_memory() < 0.5


@pytest.mark.sim
def test_commands_of_each_way() -> None:
    """Four column commands an atom for a client that receives, two for the others."""
    session = run_hbm_session.Session(TINY, controller=tiny_design())
    run = bench.SumRun(session.run, TINY, 100)
    for way, reads in ((run.near_memory, 1), (lambda: run.receiver(16), 2), (lambda: run.holder(16), 1)):
        way()
        counts = session.run.device.counts()[0]  # since the reset that each way begins with
        assert (counts["RD"], counts["WR"]) == (100 * reads, 100 * reads)


@pytest.mark.sim
def test_more_atoms_than_tags() -> None:
    session = run_hbm_session.Session(TINY, controller=tiny_design())
    with pytest.raises(ValueError, match="Atoms must be a quarter of the port's tags at most, not 20000"):
        bench.SumRun(session.run, TINY, 20_000)


@pytest.mark.sim
def test_sums_that_differ_are_no_figure() -> None:
    session = run_hbm_session.Session(TINY, controller=tiny_design())
    run = bench.SumRun(session.run, TINY, 20)
    run._expected = run._expected ^ np.uint32(1)
    with pytest.raises(RuntimeError, match="Sums in the memory must be those of the golden memory"):
        run.near_memory()

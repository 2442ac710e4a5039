"""The benchmark of the HBM channel: its bounds, its figures, and the client that sums by itself."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from bench import hbm as bench
from bench.hbm_bound import read_bound
from golden.hbm_map import encode
from mtia import hbm
from mtia.cli import run_hbm_session
from mtia.hbm_bounds import random_fraction
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
        found = read_bound(of(f"gather:{size}", 20_000), HBM3)
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
def test_both_ways_of_summing() -> None:
    """On the small channel: each leaves the golden memory's numbers, or it raises."""
    session = run_hbm_session.Session(TINY, controller=tiny_design())
    run = bench.SumRun(session.run, TINY, 300)
    near, narrow, wide = run.near_memory(), run.client(1), run.client(16)
    assert 0 < narrow < wide < 0.5
    assert 0 < near < 0.5


@pytest.mark.sim
def test_sums_that_differ_are_no_figure() -> None:
    session = run_hbm_session.Session(TINY, controller=tiny_design())
    run = bench.SumRun(session.run, TINY, 20)
    run._expected = run._expected ^ np.uint32(1)
    with pytest.raises(RuntimeError, match="Sums in the memory must be those of the golden memory"):
        run.near_memory()

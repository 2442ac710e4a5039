"""`mtia run hbm` on the RTL under Verilator: a small channel, of which one model serves all tests."""

import csv
import gzip
import json
import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from golden import hbm as checker
from mtia import hbm
from mtia.cli import run_hbm_session
from tests.hdl.hbm.channels import TINY, tiny_design

Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.sim

#: fields of TINY's organization that are not those of its base
FIELDS = ("sids", "bank_groups", "banks_per_group", "rows")

#: TINY as a file
TOML = "\n".join(
    [
        'name = "tiny"\nbase = "HBM3-6.4"',
        *(f"{name} = {getattr(TINY, name)}" for name in ("raaimt", "raammt")),
        "[organization]",
        *(f"{name} = {getattr(TINY.organization, name)}" for name in FIELDS),
        "[parameters]",
        *(f"{name} = {TINY[name]}" for name in TINY.parameters),
    ]
)

CAPACITY = 2 * TINY.organization.pseudo_channel_bytes


@pytest.fixture
def measured(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Callable[..., dict]:
    """Runs requests through the small channel: the object that --json prints."""
    monkeypatch.setattr(run_hbm_session, "Channel", lambda **_: tiny_design())
    (tmp_path / "tiny.toml").write_text(TOML)

    def runner(*words: str) -> dict:
        status, out, _ = run("run", "hbm", "--timing", str(tmp_path / "tiny.toml"), "--json", *words)
        found: dict = json.loads(out)
        assert (status, found["match"], found["violations"]) == (0, True, 0), found["first_mismatch"]
        return found

    return runner


def test_file_is_the_small_set(tmp_path: pathlib.Path) -> None:
    (tmp_path / "tiny.toml").write_text(TOML)
    loaded = hbm.load(tmp_path / "tiny.toml")
    assert loaded.organization.pseudo_channel_bytes == TINY.organization.pseudo_channel_bytes
    assert (loaded.raaimt, loaded.raammt) == (TINY.raaimt, TINY.raammt)
    assert {name: loaded[name] for name in loaded.parameters} == {name: TINY[name] for name in TINY.parameters}


@pytest.mark.parametrize(
    "pattern", ["stream", "stream-write", "triad", "random", "stride:1024", "gather:128", "scatter-reduce"]
)
def test_every_pattern(measured: Callable[..., dict], pattern: str, seed: int, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "commands.csv"
    words = ("--pattern", pattern, "--requests", "600", "--seed", str(seed), "--commands", str(path))
    found = measured(*words)
    assert found["requests"] == 600
    assert 0.02 < found["bandwidth_fraction"] < 1
    report = checker.check(path, TINY, channels=[0])
    columns = 1200 if pattern == "scatter-reduce" else 600
    assert report.violations == []
    assert columns * 0.9 <= report.commands["RD"] + report.commands["WR"] <= columns
    assert found["hits"] == max(0, report.commands["RD"] + report.commands["WR"] - report.commands["ACT"])


@pytest.mark.parametrize("refresh, command", [("per-bank", "REFPB"), ("all-bank", "REFAB"), ("off", None)])
def test_refresh(measured: Callable[..., dict], refresh: str, command: str | None) -> None:
    found = measured("--load", "0.1", "--requests", "2000", "--refresh", refresh)
    others = {"REFPB", "REFAB"} - {command}
    assert all(found["command_counts"][name] == 0 for name in others)
    assert command is None or found["command_counts"][command] > 0
    assert (found["refresh"]["bank_time_fraction"] > 0) == (refresh != "off")


@pytest.mark.parametrize("slots", [1, 11, 128])
def test_ordered_sums(measured: Callable[..., dict], slots: int) -> None:
    """Each slot is read once, each sum written once beside the writes."""
    found = measured("--pattern", f"tree:{32 * slots}", "--requests", "1000", "--refresh", "off")
    commands, operations = found["command_counts"], found["operations"]
    assert found["tree_slots"] == slots * operations["TREE"] > 0
    assert commands["RD"] == found["tree_slots"]
    assert commands["WR"] == operations["W"] + operations["TREE"] == found["requests"] == 1000


def test_load_decides_bandwidth_and_latency(measured: Callable[..., dict]) -> None:
    low, high = (measured("--pattern", "stream", "--requests", "1500", "--load", load) for load in ("0.1", "0.3"))
    assert low["steady_fraction"] == pytest.approx(0.1, rel=0.05)
    assert high["steady_fraction"] == pytest.approx(0.3, rel=0.05)
    assert low["latency_ns"]["p50"] <= high["latency_ns"]["p50"]
    assert low["unloaded_ns"] > 33.1


def test_trace(measured: Callable[..., dict], seed: int, tmp_path: pathlib.Path) -> None:
    """Reads, writes and sums of few atoms, whose order shows in the data; ordered sums of their neighbours."""
    rng = np.random.default_rng(seed)
    atoms = np.r_[rng.integers(0, CAPACITY // 64, 4), rng.integers(0, 64, 8)] * 32
    ops = rng.choice(["R", "W", "RED", "TREE"], 500, p=[0.4, 0.25, 0.25, 0.1])
    slots = [f" {count}" if op == "TREE" else "" for op, count in zip(ops, rng.integers(1, 40, 500), strict=True)]
    lines = [
        f"{op} {address:#x}{count} {cycle}"
        for op, address, count, cycle in zip(
            ops, rng.choice(atoms, 500), slots, np.cumsum(rng.integers(0, 9, 500)), strict=True
        )
    ]
    (tmp_path / "t.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    found = measured("--trace", str(tmp_path / "t.gz"), "--out", str(tmp_path / "o.csv"))
    rows = list(csv.DictReader((tmp_path / "o.csv").read_text().splitlines()))
    assert found["requests"] == len(rows) == 500
    for row in rows:
        assert int(row["issued"]) <= int(row["accepted"]) < int(row["answered"])


def test_refresh_cost(measured: Callable[..., dict]) -> None:
    found = measured("--pattern", "random", "--requests", "1500", "--refresh-cost")
    assert -0.02 < found["refresh"]["cost"] < 0.2

"""The benchmark of the HBM channel's area: what is built, and what is told of it."""

from typing import Any

import pytest

from bench import hbm_area
from bench.place import Placement
from bench.synthesis import Cells, Netlist
from hdl.hbm.pseudo_channel import PoolSizes
from mtia.hbm_profiles import memory


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts are the parameters that they would be built from."""
    for name in ("Channel", "Pool", "Refresh", "Decode"):
        monkeypatch.setattr(hbm_area, name, lambda name=name, **parameters: {"what": name, **parameters})


def test_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the whole channel, a clock for each part, and the modules by area."""
    cells = Cells(counts={"LUT4": 100, "CCU2C": 10, "TRELLIS_FF": 7, "TRELLIS_DPR16X4": 2, "DP16KD": 3})
    built: list[Any] = []

    def synthesize(component: object, *, script: str) -> Netlist:
        built.append(component)
        assert script == "ecp5-parts"
        return Netlist(cells=cells, modules={"pool": (cells, 1)})

    def place(component: object, *, seed: int) -> Placement:
        built.append(component)
        used = {"TRELLIS_COMB": (10 * len(built), 99), "TRELLIS_FF": (5, 99)}
        return Placement(seed=seed, mhz=30.0 + len(built), path=(), utilization=used)

    monkeypatch.setattr(hbm_area, "synthesize", synthesize)
    monkeypatch.setattr(hbm_area, "place", place)
    report = hbm_area.measure()
    first, *clocks = report.figures
    assert (first.value, first.unit) == (120, "LUT4-eq")
    assert first.note == "7 flip-flops, 8 LUT4 as memory, 3 DP16KD"
    assert [figure.value for figure in clocks] == [32.0, 33.0, 34.0]
    assert [figure.unit for figure in clocks] == ["MHz"] * 3
    assert [part["what"] for part in built] == ["Channel", "Pool", "Refresh", "Decode"]
    assert "pool" in report.details[0]
    assert [line.split()[-2:] for line in report.details[1].splitlines()[2:]] == [["20", "5"], ["30", "5"], ["40", "5"]]


def test_channel_is_of_the_profile() -> None:
    shape = memory("mtia300", "fpga")
    parameters: Any = hbm_area.channel(shape)
    of = shape.profile
    assert (parameters["timing"], parameters["tag_bits"]) == (shape.timing, of.tag_bits)
    assert parameters["sizes"] == PoolSizes(
        entries=of.entries,
        lines=of.lines,
        responses=of.responses,
        tree_slots=of.entries + of.responses,
    )

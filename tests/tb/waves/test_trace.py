"""Waves by cycle: the right value in every cycle, and files that are none."""

import itertools
from pathlib import Path

import pytest

from tb.waves.trace import Run, Trace

from .small import CYCLES, SIGNALS, write


def values(trace: Trace, name: str, first: int, end: int) -> list[int | None]:
    """The value in each cycle of a window."""
    runs = trace.runs(name, first, end)
    assert runs[0].first == first
    assert runs[-1].end == end
    assert all(before.end == after.first for before, after in itertools.pairwise(runs))
    assert all(before.value != after.value for before, after in itertools.pairwise(runs))
    return [run.value for run in runs for _ in range(run.first, run.end)]


@pytest.mark.parametrize("name", [name for name in SIGNALS if "$" not in name])
def test_every_value_of_every_window(trace: Trace, name: str) -> None:
    assert trace.cycles == CYCLES
    assert trace.width(name) == SIGNALS[name][0]
    for first in range(CYCLES):
        for end in range(first + 1, CYCLES + 1):
            assert values(trace, name, first, end) == SIGNALS[name][1][first:end]


def test_names(trace: Trace) -> None:
    assert set(trace.names) == {name for name in SIGNALS if "$" not in name} | {"top.clk"}
    assert "top.count" in trace
    assert "top.$1" not in trace
    assert trace.scopes >= {"top", "top.sequencer", "top.unit_0", "top.unit_0.deep.er"}
    assert trace.structs == {"top.unit_0.total", "top.unit_0.pair"}


def test_edges(trace: Trace) -> None:
    assert [trace.edge(cycle) for cycle in range(3)] == [10, 20, 30]


def test_value_that_is_not_known_yet(tmp_path: Path) -> None:
    path = write(tmp_path / "x.vcd")
    text = path.read_text()
    (code,) = [line.split()[3] for line in text.splitlines() if line.startswith("$var") and " count " in line]
    lines = [line for line in text.splitlines() if line.startswith("$") or not line.endswith(f" {code}")]
    lines.insert(lines.index("#55") + 1, f"b111 {code}")
    path.write_text("\n".join(lines) + "\n")
    assert Trace(path).runs("top.count", 0, CYCLES) == [Run(0, 5, None), Run(5, 6, 7)]


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Trace(tmp_path / "none.fst")


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x00" * 64])
def test_no_waves(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "waves.fst").write_bytes(content)
    with pytest.raises(ValueError, match="Waves must"):
        Trace(tmp_path / "waves.fst")


def test_no_clock(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Waves must hold the clock top\.clk, not only \d+ other signals"):
        Trace(write(tmp_path / "x.vcd", clock="tick"))

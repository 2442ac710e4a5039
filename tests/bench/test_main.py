"""The command that runs benchmarks."""

import importlib
import json

import pytest

import bench.__main__ as command
from bench.report import Figure, Report


def fake(name):
    value = {"fmax": 80.0, "area": 120.0}[name]
    return lambda: Report(question=f"How {name}?", figures=[Figure(what="it", value=value, target=100.0)])


def test_every_name_is_a_module_that_measures():
    for name in command.NAMES:
        assert callable(importlib.import_module(f"bench.{name}").measure)


def test_figures_are_kept_and_a_miss_is_told(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(command, "measure_of", fake)
    assert command.main(["area", "fmax", "--json", str(tmp_path / "figures.json")]) == 1
    kept = json.loads((tmp_path / "figures.json").read_text())
    assert [kept["benchmarks"][name]["figures"][0]["passed"] for name in ("area", "fmax")] == [True, False]
    assert kept["machine"]["CPU"]
    text = capsys.readouterr().out
    assert "== area: How area?" in text
    assert text.endswith("1 targets missed\n  fmax: it\n")


def test_meeting_every_target_succeeds(monkeypatch, capsys):
    monkeypatch.setattr(command, "measure_of", fake)
    assert command.main(["area"]) == 0
    assert capsys.readouterr().out.endswith("0 targets missed\n")


def test_unknown_name_wrong(capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(["speed"])
    assert ended.value.code == 2
    assert "benchmark must be one of utilization, " in capsys.readouterr().err


def test_all_run_by_default(monkeypatch, capsys):
    ran = []

    def noted(name):
        ran.append(name)
        return lambda: Report(question=name)

    monkeypatch.setattr(command, "measure_of", noted)
    assert command.main([]) == 0
    assert ran == list(command.NAMES)
    capsys.readouterr()


def test_tables_go_into_a_page(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(command, "measure_of", fake)
    page = tmp_path / "page.md"
    page.write_text("".join(f"<!-- {name} -->\n\n```text\nold\n```\n" for name in ("machine", "area", "fmax")))
    assert command.main(["area", "--page", str(page)]) == 0
    text = page.read_text()
    assert "```text\nCPU: " in text
    assert "```text\nHow area?\n" in text
    assert text.endswith("<!-- fmax -->\n\n```text\nold\n```\n")
    capsys.readouterr()

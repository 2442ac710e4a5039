"""Figures, tables and the machine."""

import json
import os
import platform

import pytest

from bench import report
from bench.report import Figure, Report


@pytest.mark.parametrize(
    "value, target, at_most, passed",
    [
        (1.0, None, False, None),
        (99.0, 99.0, False, True),
        (98.9, 99.0, False, False),
        (305.0, 305.0, True, True),
        (305.1, 305.0, True, False),
        (0.0, 0.0, True, True),
    ],
)
def test_target_is_a_bound_that_may_be_met_exactly(value, target, at_most, passed):
    assert Figure(what="x", value=value, target=target, at_most=at_most).passed is passed


def test_row_of_the_table():
    met = Figure(what="a", value=7999.5, unit="LUT", target=8000, at_most=True, note="n")
    missed = Figure(what="b", value=12.0, unit="MHz", target=100.0)
    assert met.row() == ["a", "8000 LUT", "<= 8000 LUT", "pass", "n"]
    assert missed.row() == ["b", "12 MHz", ">= 100 MHz", "MISS", ""]
    assert Figure(what="c", value=3).row() == ["c", "3", "", "", ""]


def test_report_prints_figures_notes_and_details():
    item = Report(question="Why?", figures=[Figure(what="one", value=1)], notes=["how"], details=["more"])
    item.load, item.seconds = (1.25, 2.5), 3.0
    lines = item.text().splitlines()
    assert lines[0] == "Why?"
    assert "- how" in lines
    assert "- took 3 s of CPU; load average 1.2 before, 2.5 after" in lines
    assert lines[-1] == "more"


def test_missed_are_those_below_target():
    good, bad = Figure(what="g", value=2, target=1), Figure(what="b", value=0, target=1)
    assert Report(question="", figures=[good, bad, Figure(what="n", value=0)]).missed == [bad]


def test_plain_values_survive_json():
    item = Report(question="q", figures=[Figure(what="w", value=1.5, unit="s", target=2, at_most=True)])
    plain = json.loads(json.dumps(item.plain()))
    assert plain["figures"][0] == {
        "what": "w",
        "value": 1.5,
        "unit": "s",
        "target": 2,
        "at_most": True,
        "passed": True,
        "note": "",
    }
    assert plain["load_average"] == [0.0, 0.0]


def test_run_adds_load_and_time():
    def measure():
        sum(range(3_000_000))
        return Report(question="q")

    item = report.run(measure)
    assert item.seconds > 0
    assert item.load[0] == pytest.approx(os.getloadavg()[0], abs=1.0)


def test_machine_names_what_decides_figures():
    found = report.machine()
    assert "cores for this process" in found["CPU"]
    assert found["amaranth"] == "0.5.10"
    text = report.machine_text(found)
    assert f"amaranth {found['amaranth']}" in text.splitlines()[-1]
    assert text.startswith(f"machine: {platform.node()}\nCPU: {found['CPU']}\nsystem: ")
    assert report.machine_text(found, named=False) == text.partition("\n")[2]

"""The page: what its data say in every cycle, and that it needs nothing else."""

import json
import re
from typing import Any

import pytest

from tb.waves.html import Heading, page
from tb.waves.trace import Trace
from tb.waves.view import Contents, groups_of

from .small import CYCLES, PORTS

HEADING = Heading(title="a < b & c", badge="PASS", facts="facts </script>")


def data_of(text: str) -> dict[str, Any]:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


def drawn(trace: Trace, group: str, label: str, first: int = 0, end: int = CYCLES) -> list[str]:
    """Text of a row in each cycle of a window."""
    groups = groups_of(trace, PORTS, Contents(formats={"streamed": "MXFP8_E4M3"}))
    data = data_of(page(trace, groups, first=first, end=end, heading=HEADING))
    (rows,) = [item["rows"] for item in data["groups"] if item["name"] == group]
    (row,) = [row for row in rows if row["label"] == label]
    texts = [data["texts"][run[2]] if run[2] >= 0 else "" for run in row["runs"] for _ in range(run[0], run[1])]
    assert row["runs"][0][0] == 0
    assert len(texts) == end - first
    return texts


STREAM = "stream streamed (→ in)"


@pytest.mark.parametrize(
    ("group", "label", "texts"),
    [
        (STREAM, "transfers", ["", "0", "wait", "wait", "1", ""]),
        (STREAM, "valid", ["0", "1", "1", "1", "1", "0"]),
        (STREAM, "codes[0]", ["", "-2 1 …", "1 1 …", "1 1 …", "1 1 …", ""]),
        (STREAM, "scales[0][0]", ["", "2^0", "2^-1", "2^-1", "2^-1", ""]),
        ("sequencer", "mode", ["IDLE", "BUSY", "BUSY", "BUSY", "1", "IDLE"]),
        ("unit_0", "total", ["0", "1.5", "1.5", "-2.25", "NaN", "-Inf"]),
        ("unit_0", "pair.high", ["0", "0", "0", "0", "1", "1"]),
        ("small", "count", ["0", "1", "2", "3", "4", "5"]),
    ],
)
def test_every_window(trace: Trace, group: str, label: str, texts: list[str]) -> None:
    for first in range(CYCLES):
        for end in range(first + 1, CYCLES + 1):
            assert drawn(trace, group, label, first, end) == texts[first:end]


def test_needs_nothing_else(trace: Trace) -> None:
    text = page(trace, groups_of(trace, PORTS, Contents()), first=0, end=CYCLES, heading=HEADING)
    without_names = text.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|//[a-z]|@import|url\([^#]|src=|href=", without_names)


def test_texts_are_escaped(trace: Trace) -> None:
    text = page(trace, groups_of(trace, PORTS, Contents()), first=0, end=CYCLES, heading=HEADING)
    assert "<title>a &lt; b &amp; c</title>" in text
    assert text.count("</script>") == 2
    assert data_of(text)["facts"] == HEADING.facts


@pytest.mark.parametrize(("first", "end"), [(-1, 2), (2, 2), (0, CYCLES + 1), (3, 1)])
def test_wrong_window(trace: Trace, first: int, end: int) -> None:
    with pytest.raises(ValueError, match=f"Window must be cycles within 0 to 6, not {first} to {end}"):
        page(trace, [], first=first, end=end, heading=HEADING)

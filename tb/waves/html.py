"""A window of recorded waves as one page that needs nothing else: its data, its drawing, its looks."""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .trace import Run, Trace
from .view import Group, Row

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Heading:
    """What stands above the waves: a title, a word about the outcome (or none), a line of facts."""

    title: str
    badge: str
    facts: str


class _Pool:
    """Texts, each kept once."""

    def __init__(self) -> None:
        self.texts: dict[str, int] = {}

    def place(self, text: str) -> int:
        """Index of a text; -1 for an empty one."""
        return self.texts.setdefault(text, len(self.texts)) if text else -1


def page(trace: Trace, groups: Sequence[Group], *, first: int, end: int, heading: Heading) -> str:
    """HTML of the groups from cycle `first` to before `end`; ValueError for a window that holds no cycle."""
    if not 0 <= first < end <= trace.cycles:
        raise ValueError(f"Window must be cycles within 0 to {trace.cycles}, not {first} to {end}")
    pool = _Pool()
    drawn = [
        {
            "name": group.name,
            "open": group.is_open,
            "rows": [_row(trace, row, first, end, pool) for row in group.rows],
        }
        for group in groups
    ]
    data = {
        "title": heading.title,
        "badge": heading.badge,
        "facts": heading.facts,
        "first": first,
        "end": end,
        "texts": list(pool.texts),
        "groups": drawn,
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    filled = {"title": html.escape(heading.title), "data": text, "script": (_FOLDER / "page.js").read_text("utf-8")}
    before, *parts = (_FOLDER / "page.html").read_text("utf-8").split("{{")
    return before + "".join(filled[name] + rest for name, rest in (part.split("}}", 1) for part in parts))


def _row(trace: Trace, row: Row, first: int, end: int, pool: _Pool) -> dict[str, Any]:
    if row.ready is not None:
        kind, cells = "beats", _beats(trace, row, first, end)
    else:
        kind = "bus" if row.decoder else "bit"
        cells = _cells(trace, row, first, end)
    runs = [[start - first, stop - first, pool.place(text), pool.place(detail)] for start, stop, text, detail in cells]
    return {"label": row.label, "signal": row.signal, "kind": kind, "runs": runs}


_Cell = tuple[int, int, str, str]


def _cells(trace: Trace, row: Row, first: int, end: int) -> list[_Cell]:
    """Runs of equal bits of a row, with their text and detail; no text where the bits mean nothing."""
    runs = trace.runs(row.signal, first, end)
    if row.valid and row.signal != row.valid and row.label not in ("valid", "ready"):
        runs = _masked(runs, trace.runs(row.valid, first, end))
    merged: list[Run] = []
    for run in runs:
        bits = None if run.value is None else row.bits(run.value)
        if merged and merged[-1].value == bits:
            merged[-1] = merged[-1]._replace(end=run.end)
        else:
            merged.append(Run(run.first, run.end, bits))
    return [(run.first, run.end, *_texts(row, run.value)) for run in merged]


def _texts(row: Row, value: int | None) -> tuple[str, str]:
    if value is None:
        return "", ""
    if row.decoder is None:
        return str(value), ""
    return row.decoder.label(value), row.decoder.detail(value)


def _masked(runs: Sequence[Run], valid: Sequence[Run]) -> list[Run]:
    """The runs where the other signal is 1, and nothing in between."""
    result = []
    index = 0
    for window in valid:
        while index < len(runs) and runs[index].first < window.end:
            run = runs[index]
            start, stop = max(run.first, window.first), min(run.end, window.end)
            result.append(Run(start, stop, run.value if window.value == 1 else None))
            if run.end > window.end:
                break
            index += 1
    return result


def _beats(trace: Trace, row: Row, first: int, end: int) -> list[_Cell]:
    """Each transfer of a stream with its number since the start, and the cycles in which it waits."""
    assert row.valid is not None
    ready = trace.runs(row.ready, 0, end) if row.ready else [Run(0, end, 1)]
    cells: list[_Cell] = []
    beat = 0
    for run in _masked(ready, trace.runs(row.valid, 0, end)):
        if run.value == 1:
            numbers = range(beat, beat + run.end - run.first)
            cells += [
                (run.first + place, run.first + place + 1, str(n), f"beat {n}") for place, n in enumerate(numbers)
            ]
            beat = numbers.stop
        elif run.value == 0:
            cells.append((run.first, run.end, "wait", f"beat {beat} is offered and not yet taken"))
        else:
            cells.append((run.first, run.end, "", ""))
    return [(max(start, first), stop, text, detail) for start, stop, text, detail in cells if stop > first]

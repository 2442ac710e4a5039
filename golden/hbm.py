"""Checks a trace of HBM commands against a timing set, from the trace and the set alone.

Where the rules are: `golden.hbm_rules` (a table of distances), `golden.hbm_state` (open rows, row bus,
data bus, FAW), `golden.hbm_refresh` (refresh and RFM). The format of a trace: `golden.hbm_trace`.

Rules that are not in the table: "field" (a number beyond the organization; the command is then left
out of every other rule), "order" (a ck below an earlier one; commands are then taken in order of ck),
"row open", "bank closed", "row bus", "data bus", "FAW", "refresh late", "refresh early", "RAAMMT".
"""

import os
from collections.abc import Iterable

import numpy as np

from mtia import hbm
from mtia.formats import unknown
from mtia.hbm_timing import TimingSet

from .hbm_refresh import check_refresh, check_rfm
from .hbm_report import Closest, Findings, Report, Violation
from .hbm_rules import RULES, Commands, measure
from .hbm_state import check_data_bus, check_faw, check_row_bus, check_rows
from .hbm_trace import NAMES, Mask, Row, Trace, read

__all__ = ["REFRESH", "Closest", "Report", "Violation", "check"]

#: what refreshes a trace must have: one for each bank, one for each pseudo-channel, none
REFRESH = ("per-bank", "all-bank", "off")


def check(
    path_or_rows: str | os.PathLike[str] | Iterable[Row],
    timing: TimingSet | str,
    *,
    refresh: str = "per-bank",
    channels: Iterable[int] | None = None,
    end: int | None = None,
) -> Report:
    """What a trace of commands, a CSV file or rows, is worth under a timing set.

    refresh:  of `REFRESH`: which refreshes the banks are owed. The distances between refreshes and other
              commands hold in any mode.
    channels: those that the trace is of, all banks of which are owed refreshes; by default those that
              it names.
    end:      CK up to which refreshes are owed; by default that of the last command.

    Raises ValueError for a trace that cannot be read (with line and reason), an unknown set or mode,
    channels that the organization lacks, and an end before the last command.
    """
    timing = hbm.get(timing)
    if refresh not in REFRESH:
        raise ValueError(unknown("refresh", refresh, list(REFRESH)))
    trace = read(path_or_rows)
    limit = timing.organization.channels
    covered = np.unique(trace.channel[trace.channel < limit]).tolist() if channels is None else sorted(set(channels))
    if covered and not 0 <= covered[0] <= covered[-1] < limit:
        raise ValueError(f"channels must be below {limit}, not {covered!r}")
    last = int(trace.ck.max(initial=0))
    if end is not None and end < last:
        raise ValueError(f"end must be at least the last command's {last}, not {end!r}")
    whole = Findings(trace)
    known = _check_fields(whole, timing, covered)
    _check_order(whole)
    kept = np.flatnonzero(known)
    kept = kept[np.argsort(trace.ck[kept], kind="stable")]
    commands = Commands(trace.take(kept), timing.organization)
    found = Findings(commands.trace, whole.violations)
    return _check_commands(commands, timing, found, trace, refresh, covered, last if end is None else end)


def _check_commands(
    commands: Commands, timing: TimingSet, found: Findings, trace: Trace, refresh: str, channels: list[int], end: int
) -> Report:
    """The report on commands whose fields are right, with what was found before."""
    for rule in RULES:
        minimum = rule.ck(timing)
        found.pairs(rule.name, *measure(commands, rule, timing), minimum, rule.minimum)
    idle = check_rows(commands, found)
    check_faw(commands, timing, found)
    check_row_bus(commands, found)
    used = check_data_bus(commands, timing, found, end)
    owed = {}
    if refresh != "off":
        owed = check_refresh(commands, timing, found, mode=refresh, channels=channels, end=end)
    check_rfm(commands, timing, found)
    counts = np.bincount(trace.kind, minlength=len(NAMES)).tolist()
    return Report(
        violations=sorted(found.violations, key=lambda item: (item.ck, item.line)),
        commands=dict(zip(NAMES, counts, strict=True)),
        closest=found.closest,
        refresh=owed,
        data_bus=used,
        idle_precharges=idle,
        end=end,
    )


def _check_fields(found: Findings, timing: TimingSet, channels: list[int]) -> Mask:
    """Which commands name places of the organization; the others are reported, once each."""
    trace, of = found.trace, timing.organization
    known = np.isin(trace.channel, channels)
    found.blame("field", np.flatnonzero(~known), lambda i: f"is on channel {trace.channel[i]}, not one of {channels}")
    counts = {"pc": of.pseudo_channels, "sid": of.sids, "bank_group": of.bank_groups, "bank": of.banks_per_group}
    for name, count in (counts | {"row": of.rows, "column": of.columns}).items():
        known &= _check_field(found, known, name, count)
    return known


def _check_field(found: Findings, known: Mask, name: str, count: int) -> Mask:
    """Which commands, where they are known, have a field in its range."""
    values = getattr(found.trace, name)
    found.blame(
        "field", np.flatnonzero(known & (values >= count)), lambda i: f"has {name} {values[i]}, not below {count}"
    )
    inside: Mask = values < count
    return inside


def _check_order(found: Findings) -> None:
    """Every ck is at least the largest before it."""
    ck = found.trace.ck
    before = np.maximum.accumulate(ck)
    found.blame("order", np.flatnonzero(ck < before), lambda index: f"stands after a command at {before[index]}")

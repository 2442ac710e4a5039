"""What HBM commands ask of the state before them: rows that are open, buses that are free, few enough ACTs.

Row bus: a command starts in the CK of its line. One that holds the bus for half a CK may start in the
second half, every other at the beginning; each waits for those before it in the channel.
Data bus: of a pseudo-channel; RD at t holds it from t + CL for BL CK, WR from t + CWL.
"""

import numpy as np

from mtia.hbm_timing import TimingSet

from .hbm_report import Findings, PseudoChannel
from .hbm_rules import Commands
from .hbm_trace import Mask, Numbers

_LONG_AGO = -(1 << 40)


def check_rows(commands: Commands, found: Findings) -> int:
    """RD and WR find their row open, ACT and refreshes the bank closed; PREs of closed banks, counted."""
    trace = commands.trace
    opened = _latest(commands, "bank", trace.any_of("ACT"))
    closed = np.maximum(_latest(commands, "bank", trace.any_of("PRE")), _latest(commands, "pc", trace.any_of("PREA")))
    is_open = opened > closed

    def open_row(index: int) -> str:
        return f"row {trace.row[opened[index]]} is open since {trace.ck[opened[index]]}"

    column = trace.any_of("RD", "WR")
    found.blame("row open", np.flatnonzero(column & ~is_open), lambda index: "finds no row open")
    other = column & is_open & (trace.row >= 0) & (trace.row != trace.row[opened])
    found.blame("row open", np.flatnonzero(other), lambda index: f"asks for row {trace.row[index]}, {open_row(index)}")
    needs_closed = trace.any_of("ACT", "REFPB", "RFMPB")
    found.blame(
        "bank closed",
        np.flatnonzero(needs_closed & is_open),
        lambda index: f"needs the bank closed, {open_row(index)}",
    )
    _check_all_closed(commands, is_open, found)
    return int((trace.any_of("PRE") & ~is_open).sum())


def _check_all_closed(commands: Commands, is_open: Mask, found: Findings) -> None:
    """REFAB finds all banks of its pseudo-channel closed."""
    trace, order = commands.trace, commands.orders["pc"]
    change = (trace.any_of("ACT") & ~is_open).astype(np.int64) - (trace.any_of("PRE") & is_open)
    total = np.concatenate([[0], np.cumsum(change[order])])
    position = np.empty(len(trace), np.int64)
    position[order] = np.arange(len(trace))
    refreshes = np.flatnonzero(trace.any_of("REFAB"))
    pc = commands.numbers["pc"]
    last = _latest(commands, "pc", trace.any_of("PREA"))[refreshes]
    start = np.where(last >= 0, position[last] + 1, np.searchsorted(pc[order], pc[refreshes]))
    count = dict(zip(refreshes.tolist(), (total[position[refreshes]] - total[start]).tolist(), strict=True))
    broken = np.array([index for index, banks in count.items() if banks], np.int64)
    found.blame("bank closed", broken, lambda index: f"needs all banks closed, {count[index]} are open")


def _latest(commands: Commands, scope_name: str, wanted: Mask) -> Numbers:
    """For every command the latest wanted one before it in its scope, -1 where there is none."""
    order = commands.orders[scope_name]
    scope, at = commands.numbers[scope_name][order], np.arange(len(order))
    first = np.maximum.accumulate(np.where(np.diff(scope, prepend=_LONG_AGO) != 0, at, 0))
    latest = np.concatenate([[-1], np.maximum.accumulate(np.where(wanted[order], at, -1))])[:-1]
    result = np.full(len(order), -1, np.int64)
    known = latest >= first
    result[order[known]] = order[latest[known]]
    return result


def check_row_bus(commands: Commands, found: Findings) -> None:
    """Commands of both pseudo-channels on the row bus one after the other."""
    trace, of = commands.trace, commands.organization
    order = commands.orders["channel"]
    chosen = order[~trace.any_of("RD", "WR")[order]]
    length = np.where(trace.any_of("ACT"), 2 * of.act_bus_ck, 2 * of.row_bus_ck).astype(np.int64)
    slack = np.zeros(len(chosen), np.int64)
    columns = (trace.channel[chosen].tolist(), trace.ck[chosen].tolist(), length[chosen].tolist())
    channel_before, free = -1, _LONG_AGO  # the latter in halves of a CK
    for position, (channel, ck, halves) in enumerate(zip(*columns, strict=True)):
        if channel != channel_before:
            channel_before, free = channel, _LONG_AGO
        earliest = free // 2 if halves == 1 else (free + 1) // 2
        slack[position] = ck - earliest
        free = max(2 * ck, free) + halves if ck >= earliest else max(2 * ck + halves, free)
    real = slack < -_LONG_AGO // 4
    found.measured("row bus", slack[real])
    before = dict(zip(chosen[1:].tolist(), chosen[:-1].tolist(), strict=True))
    found.blame(
        "row bus", chosen[slack < 0], lambda index: f"finds the row bus held by {trace.describe(before[index])}"
    )


def check_faw(commands: Commands, timing: TimingSet, found: Findings) -> None:
    """At most four ACTs in any FAW CK of a pseudo-channel, or of a SID."""
    trace, scope = commands.trace, "sid" if timing.faw_scope == "sid" else "pc"
    order = commands.orders[scope]
    acts = order[trace.any_of("ACT")[order]]
    first, fifth = acts[:-4], acts[4:]
    alike = commands.numbers[scope][first] == commands.numbers[scope][fifth]
    first, fifth = first[alike], fifth[alike]
    minimum = timing["FAW"]
    found.pairs("FAW", first, fifth, trace.ck[fifth] - trace.ck[first] - minimum, minimum, "FAW, with three between")


def check_data_bus(commands: Commands, timing: TimingSet, found: Findings, end: int) -> dict[PseudoChannel, float]:
    """Bursts of a pseudo-channel do not overlap; the part of the time to `end` that they take."""
    trace, pc = commands.trace, commands.numbers["pc"]
    columns = np.flatnonzero(trace.any_of("RD", "WR"))
    start = trace.ck + np.where(trace.any_of("RD"), timing["CL"], timing["CWL"])
    bursts = columns[np.lexsort((start[columns], pc[columns]))]
    before, after = bursts[:-1], bursts[1:]
    alike = pc[before] == pc[after]
    before, after = before[alike], after[alike]
    slack = start[after] - start[before] - timing["BL"]
    found.measured("data bus", slack)
    if (slack < 0).any():
        _blame_overlaps(commands, start, timing["BL"], found)
    used = {}
    for number, count in zip(*np.unique(pc[columns], return_counts=True), strict=True):
        busy = int(count) * timing["BL"]
        span = max(end + 1, int(start[columns][pc[columns] == number].max()) + timing["BL"])
        used[divmod(int(number), commands.organization.pseudo_channels)] = busy / span
    return used


def _blame_overlaps(commands: Commands, start: Numbers, length: int, found: Findings) -> None:
    """In every CK of the data bus all bursts but that of the earliest command are one too many."""
    trace = commands.trace
    columns = np.repeat(np.flatnonzero(trace.any_of("RD", "WR")), length)
    ck = start[columns] + np.arange(len(columns)) % length
    pc = commands.numbers["pc"][columns]
    order = np.lexsort((columns, ck, pc))
    columns, ck, pc = columns[order], ck[order], pc[order]
    twice = np.flatnonzero((np.diff(ck) == 0) & (np.diff(pc) == 0))
    partner = dict(zip(columns[twice + 1].tolist(), columns[twice].tolist(), strict=True))

    def text(index: int) -> str:
        before = partner[index]
        return f"puts data on the bus at {start[index]}, {trace.describe(before)} at {start[before]}"

    found.blame("data bus", np.array(sorted(partner), np.int64), text)

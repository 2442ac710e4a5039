"""What ``mtia run hbm`` prints of a measurement: a verdict, a table, or one JSON object."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtia.hbm_bounds import read_latency_ns
from mtia.hbm_requests import OPS

from .common import number, table
from .run_hbm_measurement import Measurement
from .run_report import Row, percent

#: violations of each kind that are printed
_SHOWN = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Extra:
    """What was measured beside the run itself: the latency of an idle channel, refresh's cost, a sweep of loads.

    refresh_cost: fraction of the peak by which the same requests go faster without refresh, where it was asked for
    """

    unloaded_ns: float
    refresh_cost: float | None = None
    sweep: Sequence[Measurement] = ()


def latencies(values: NDArray[np.float64]) -> dict[str, float]:
    """Mean, p50, p99 and largest."""
    p50, p99 = np.percentile(values, [50, 99])
    return {"mean": float(values.mean()), "p50": float(p50), "p99": float(p99), "max": float(values.max())}


def verdict(found: Measurement) -> str:
    """PASS, or FAIL with the first atom that differs and the first violations."""
    lines = []
    if first := found.first_mismatch:
        place = "in the end" if first.request is None else f"request {first.request}"
        lines += [
            f"FAIL  {found.mismatches} atoms differ from the golden memory",
            f"      first: {place}, address {first.address:#x}:",
            f"      channel {first.channel}",
            f"      golden  {first.golden}",
        ]
    if found.violation_count:
        lines.append(f"FAIL  {found.violation_count} violations of {found.timing.name}")
        lines += [f"      checker: {each.text}" for each in found.report.violations[:_SHOWN]]
        for each in found.violations[:_SHOWN]:
            lines.append(
                f"      device:  {each.rule} at {each.ck} CK: {each.command} (pc {each.pc}), "
                f"{each.distance} where {each.minimum} is the limit"
            )
    if lines:
        return "\n".join(lines)
    return (
        f"PASS  all {len(found.accesses)} answers and the contents equal the golden memory; "
        f"{sum(found.report.commands.values())} commands, no violation"
    )


def rows(found: Measurement, extra: Extra, source: str) -> list[Row]:
    """Rows of the table."""
    accesses, timing, banks = found.accesses, found.timing, found.banks
    kinds = ", ".join(f"{count} {name}" for name, code in OPS.items() if (count := int((accesses.op == code).sum())))
    peak = 2 * timing.pseudo_channel_gbs
    times = latencies(found.latency_ns)
    since = "issue" if found.issued is not None else "acceptance"
    what = f"{'of reads, ' if found.reads_only else ''}from {since} to answer; mean"
    alone = f"of one read in an idle channel (device alone: {read_latency_ns(timing, 'closed'):.1f} ns)"
    each = "banks" if found.refresh == "per-bank" else "pseudo-channels"
    listed: list[Row] = [
        ["requests", f"{len(accesses)}", f"{kinds}: {source}"],
        *([["  slots", f"{accesses.slot_count}", "read by the memory for TREE"]] if accesses.slot_count else []),
        ["bandwidth", percent(found.bandwidth_fraction, 4), f"of the channel's peak, {number(peak)} GB/s"],
        ["  steady", percent(found.steady_fraction, 4), "between the first and the last tenth of the answers"],
        ["latency", f"{times['mean']:.1f} ns", what],
        *([f"  {name}", f"{times[name]:.1f} ns", ""] for name in ("p50", "p99", "max")),
        ["  unloaded", f"{extra.unloaded_ns:.1f} ns", alone],
        ["hits", f"{banks.hits}", f"of {banks.columns} column commands, in rows that were open"],
        ["conflicts", f"{banks.conflicts}", f"of {banks.activates} rows opened, after another one was closed"],
    ]
    if found.refresh != "off":
        span = 2 * found.result.cycles / timing["REFI"]
        share = (
            f"of {each} in {span:.1f} REFI, at most {_owed(found)} owed; "
            f"a bank was busy with them {percent(banks.refresh_share)} of the time"
        )
        listed.append(["refreshes", f"{banks.refreshes}", share])
    if extra.refresh_cost is not None:
        points = f"{100 * extra.refresh_cost:.2f} points"
        listed.append(["  cost", points, "of bandwidth, against the same requests without refresh"])
    listed.append(["cycles", f"{found.result.cycles}", f"of {2 * timing.tck_ns:.4g} ns"])
    return listed


def _owed(found: Measurement) -> int:
    """Most refreshes that a bank was owed at once."""
    return max((int(owed.max()) for owed in found.report.refresh.values()), default=0)


def sweep_rows(sweep: Sequence[Measurement]) -> list[list[object]]:
    """A row for each load: load, bandwidth, latencies."""
    made: list[list[object]] = []
    for each in sweep:
        times = latencies(each.latency_ns)
        shares = [f"{100 * share:.1f}" for share in (each.load or 1.0, each.bandwidth_fraction)]
        made.append([*shares, *(f"{times[name]:.1f}" for name in ("mean", "p50", "p99", "max"))])
    return made


def text(title: str, found: Measurement, extra: Extra, source: str, notes: Sequence[str]) -> str:
    """All that a person reads."""
    parts = [title, verdict(found), table(["Run", "value", "what it is"], rows(found, extra, source))]
    if extra.sweep:
        header = ["load %", "bandwidth %", "mean ns", "p50", "p99", "max"]
        parts.append(table(header, sweep_rows(extra.sweep)))
        parts += [verdict(each) for each in extra.sweep if each.mismatches or each.violation_count]
    return "\n\n".join([*parts, *(["\n".join(notes)] if notes else [])])


def as_json(found: Measurement, extra: Extra) -> dict[str, Any]:
    """The measurement as plain data."""
    banks = found.banks
    return {
        "timing": found.timing.name,
        "requests": len(found.accesses),
        "operations": {name: int((found.accesses.op == code).sum()) for name, code in OPS.items()},
        "tree_slots": found.accesses.slot_count,
        "load": found.load,
        "match": found.match,
        "mismatches": found.mismatches,
        "first_mismatch": dataclasses.asdict(found.first_mismatch) if found.first_mismatch else None,
        "violations": found.violation_count,
        "violations_checker": len(found.report.violations),
        "violations_device": len(found.violations),
        "bandwidth_fraction": found.bandwidth_fraction,
        "steady_fraction": found.steady_fraction,
        "peak_gbs": 2 * found.timing.pseudo_channel_gbs,
        "cycles": found.result.cycles,
        "cycle_ns": 2 * found.timing.tck_ns,
        "latency_ns": latencies(found.latency_ns),
        "latency_of": "reads" if found.reads_only else "requests",
        "latency_from": "issue" if found.issued is not None else "acceptance",
        "unloaded_ns": extra.unloaded_ns,
        "hits": banks.hits,
        "conflicts": banks.conflicts,
        "activates": banks.activates,
        "command_counts": dict(found.report.commands),
        "refresh": {
            "mode": found.refresh,
            "commands": banks.refreshes,
            "bank_time_fraction": banks.refresh_share,
            "owed": _owed(found),
            "cost": extra.refresh_cost,
        },
        "sweep": [
            {
                "load": each.load,
                "bandwidth_fraction": each.bandwidth_fraction,
                "latency_ns": latencies(each.latency_ns),
                "violations": each.violation_count,
                "match": each.match,
            }
            for each in extra.sweep
        ],
    }


def request_lines(found: Measurement) -> str:
    """CSV of all requests: what was asked, where it went and when, in controller cycles."""
    issued = found.accepted if found.issued is None else found.issued
    names = {code: name for name, code in OPS.items()}
    columns = (found.accesses.op, found.accesses.address, found.pc, issued, found.accepted, found.answered)
    lines = ["operation,address,pc,issued,accepted,answered"]
    for op, address, *others in zip(*(column.tolist() for column in columns), strict=True):
        lines.append(",".join([names[op], hex(address), *map(str, others)]))
    return "\n".join(lines) + "\n"


def notes(**places: Path | None) -> list[str]:
    """Lines that say where files were written."""
    return [f"{name}: {path}" for name, path in places.items() if path is not None]

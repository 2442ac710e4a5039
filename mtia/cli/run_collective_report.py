"""What ``mtia run collective`` prints, as text and as plain data."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from mtia.collectives import Algorithm
from mtia.link import LinkParameters
from mtia.message import FLIT_BYTES, HEADER_BYTES, width

from .common import number, table
from .run_collective_plot import Curve
from .run_collective_session import Measured

#: measurements of an algorithm at several sizes
Sweep = Mapping[Algorithm, Sequence[Measured]]


def curves(sweep: Sweep) -> list[Curve]:
    """A curve an algorithm, and that of the bound for endpoints."""
    drawn = [
        Curve(name=str(algorithm), points=[(each.request.bytes, each.cycles) for each in row])
        for algorithm, row in sweep.items()
    ]
    bounds: dict[int, float] = {}
    for row in sweep.values():
        for each in row:
            bounds[each.request.bytes] = max(each.bound, bounds.get(each.request.bytes, 0.0))
    return [*drawn, Curve(name="bound", points=sorted(bounds.items()), bound=True)]


def title(args: argparse.Namespace, found: Measured) -> str:
    """What was run, where."""
    return f"{found.request.collective} over {found.request.ranks} ranks of the {args.gen.title}, {args.dtype}"


def summary(args: argparse.Namespace, found: Measured, sweep: Sweep) -> dict[str, Any]:
    """The measurement as plain data."""
    request = found.request
    return {
        "work": "collective",
        "generation": args.gen.name,
        "op": str(request.collective),
        "algorithm": str(request.algorithm),
        "ranks": request.ranks,
        "rtl_nodes": request.rtl_nodes,
        "golden_nodes": request.ranks - request.rtl_nodes,
        "bytes": request.bytes,
        "dtype": args.dtype,
        "reduce": args.reduce,
        "seed": request.seed,
        "skew": request.skew,
        "flit_error_rate": request.error_rate,
        "match": found.match,
        "mismatches": sum(job.mismatches for job in found.jobs),
        "cycles": found.cycles,
        "bound_cycles": found.bound,
        "ratio": found.ratio,
        "first_byte_cycles": found.latency,
        "retransmissions": found.retransmissions,
        "errors": found.errors,
        "flits": found.flits,
        "commands": len(found.jobs),
        "sha256": found.sha256,
        "cycles_per_second": found.cycles_per_second,
        "sweep": [
            {
                "algorithm": str(algorithm),
                "bytes": each.request.bytes,
                "cycles": each.cycles,
                "bound_cycles": each.bound,
                "match": each.match,
                "sha256": each.sha256,
            }
            for algorithm, row in sweep.items()
            for each in row
        ],
    }


def verdict(found: Measured) -> str:
    """Whether all is right, or the first that is not."""
    failed = [each for job in found.jobs for each in job.failures]
    if failed:
        first = failed[0]
        return f"FAIL: {len(failed)} commands ended badly, the first at rank {first.node}: {first.status.name}"
    wrong = sum(job.mismatches for job in found.jobs)
    if not wrong:
        return "PASS: every byte of every rank is that of the golden model"
    rank, place, got, golden = next(job.first_mismatch for job in found.jobs if job.first_mismatch)
    return f"FAIL: {wrong} bytes differ, the first at rank {rank}, byte {place}: 0x{got:02x}, golden 0x{golden:02x}"


def text(args: argparse.Namespace, found: Measured, sweep: Sweep, notes: Sequence[str]) -> str:
    """All that a person reads."""
    request = found.request
    framing = FLIT_BYTES / (width(LinkParameters().frame) // 8)
    chosen = "chosen by size and switch" if args.algorithm == "auto" else "as asked for"
    head = f"of {FLIT_BYTES} bytes, into the switch; {HEADER_BYTES} bytes of each packet are its header"
    golden = request.ranks - request.rtl_nodes
    rows: list[list[object]] = [
        ["algorithm", str(request.algorithm), chosen],
        ["cycles", str(found.cycles), "from the first doorbell to the last completion"],
        ["bound", f"{found.bound:.0f}", f"a first byte takes {found.latency} cycles, then {FLIT_BYTES} bytes a cycle"],
        ["ratio", f"{found.ratio:.3f}", "cycles in units of the bound"],
        ["flits", str(found.flits), head],
        ["framing", f"{100 * framing:.1f} %", "of a frame on the wire is its flit: not part of the bound"],
        ["retransmissions", str(found.retransmissions), f"frames sent again, after {found.errors} errors on the wires"],
        ["sha256", found.sha256[:16] + "...", "of all outputs: the same for every algorithm, error rate and skew"],
        ["simulation", number(found.cycles_per_second, 3), "cycles of the whole domain a CPU-second"],
    ]
    if golden:
        rows.insert(1, ["RTL nodes", str(request.rtl_nodes), f"and {golden} golden, whose cycles are approximate"])
    parts = [
        f"{title(args, found)}, {request.bytes} bytes",
        verdict(found),
        table(["Run", "value", "what it is"], rows),
    ]
    if sweep:
        body: list[list[object]] = [
            [str(name), each.request.bytes, each.cycles, f"{each.bound:.0f}", f"{each.ratio:.2f}", each.match]
            for name, row in sweep.items()
            for each in row
        ]
        parts.append(table(["algorithm", "bytes", "cycles", "bound", "ratio", "equal to golden"], body))
        parts += [verdict(each) for row in sweep.values() for each in row if not each.match]
    return "\n\n".join([*parts, *(["\n".join(notes)] if notes else [])])

"""What ``mtia run`` prints of a product: a verdict, a table, or one JSON object."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .common import table
from .run_product import PROFILE, Product
from .run_waves import WaveRecorder

#: a row of the table: name, value, what it is
Row = Sequence[str]


def verdict(product: Product) -> str:
    """PASS, or FAIL with the first result that differs."""
    total = product.engine.size
    first = product.first_mismatch
    if first is None:
        return f"PASS  all {total} results equal the golden model, bit for bit"
    return (
        f"FAIL  {int(product.differing.sum())} of {total} results differ from the golden model\n"
        f"      first: row {first.row}, column {first.column}: "
        f"engine 0x{first.engine_bits:08X} ({np.float32(first.engine)}), "
        f"golden 0x{first.golden_bits:08X} ({np.float32(first.golden)})"
    )


def operand_rows(product: Product, a: str, b: str) -> list[Row]:
    """Rows about both operands; `a` and `b` say what they are."""
    shapes = (product.x.shape, product.y.shape)
    rows = zip(("A", "B"), shapes, (product.a.format, product.b.format), (a, b), strict=True)
    return [[name, f"{shape[0]} x {shape[1]}", f"{row.name}: {text}"] for name, shape, row, text in rows]


def engine_rows(product: Product) -> list[Row]:
    """Rows about the run of the engine."""
    part = product.parameters
    size = f"{part.units} units x {product.mac_lanes // part.units} lanes for this pair ({PROFILE} size)"
    return [
        ["engine", f"{product.mac_lanes} MAC/cycle", size],
        ["cycles", f"{product.cycles}", f"for {product.macs} multiply-accumulates"],
        ["utilisation", percent(product.utilization, 4), "of the lanes' cycles did one of them"],
        ["simulated", f"{product.macs_per_second / 1e6:.1f} M MAC/s", "a second of CPU time, building excluded"],
    ]


def error_rows(product: Product) -> list[Row]:
    """Rows about the distance from float64."""
    errors = product.errors
    return [
        ["error", percent(errors.relative), "against float64 of the operands before quantising (Frobenius norm)"],
        ["  of formats", percent(errors.quantization), "what quantising A and B explains"],
        ["  of sums", percent(errors.accumulation), "what FP32 accumulation adds, against exact sums"],
        ["largest error", f"{errors.max_abs:.3g}", "of one result"],
    ]


def percent(share: float, digits: int = 3) -> str:
    """A share of one as percent, in so many digits."""
    return f"{share * 100:.{digits}g} %"


def text(title: str, product: Product, rows: Sequence[Row], notes: Sequence[str]) -> str:
    """All that a person reads."""
    parts = [title, verdict(product), table(["Run", "value", "what it is"], rows), *notes]
    return "\n\n".join(part for part in parts if part)


def notes(out: Path | None, recorder: WaveRecorder | None) -> list[str]:
    """Lines that say where files were written."""
    lines = [f"result: {out}"] if out else []
    if recorder:
        place = recorder.folder.final
        lines += [f"waves: {recorder.cycles} cycles in {place}", f"to see them: mtia waves {place}"]
    return ["\n".join(lines)]


def places(out: Path | None, recorder: WaveRecorder | None) -> dict[str, Any]:
    """The same as plain data."""
    return {"out": str(out) if out else None, "waves": str(recorder.folder.final) if recorder else None}


def as_json(product: Product, *, seed: int | None, scale_rule: str | None) -> dict[str, Any]:
    """The product as plain data."""
    m, n, k = product.shape
    first = product.first_mismatch
    mismatch = dataclasses.asdict(first) if first else None
    if mismatch:
        mismatch |= {key: f"0x{mismatch[key]:08X}" for key in ("engine_bits", "golden_bits")}
    return {
        "generation": product.generation.name,
        "profile": PROFILE,
        "format_a": product.a.format.name,
        "format_b": product.b.format.name,
        "scale_rule": scale_rule or "floor",
        "m": m,
        "n": n,
        "k": k,
        "seed": seed,
        "match": product.match,
        "mismatches": int(product.differing.sum()),
        "first_mismatch": mismatch,
        "cycles": product.cycles,
        "mac_lanes": product.mac_lanes,
        "utilization": product.utilization,
        "macs": product.macs,
        "cpu_seconds": product.seconds,
        "macs_per_second": product.macs_per_second,
        "error": dataclasses.asdict(product.errors),
    }

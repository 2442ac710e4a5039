"""How fast is the golden model?"""

import time

import numpy as np

from golden import tensor
from golden.mx import MXArray
from mtia import formats
from tb import verilator

from .engine_run import operand
from .report import Figure, Report, cpu_seconds

#: rows, columns and depth of the product
SIZE = 1024

#: seconds on two cores to stay within, for the format that has one
TARGETS = {"MXFP8_E4M3": 10.0, "MXFP8_E5M2": None, "MXFP4": None, "BF16": None}

#: rows and columns of the results that are computed again, exactly
_SAMPLED = 4


def measure() -> Report:
    """Time of a product of 1024^3 in each format of TARGETS."""
    report = Report(question=str(__doc__))
    for name, target in TARGETS.items():
        report.figures.append(of_format(name, SIZE, target))
    report.notes = [
        f"elapsed time with {verilator.jobs()} cores for this process; matrices of normal numbers, quantised before",
        f"{_SAMPLED} x {_SAMPLED} results of each product are compared with the reference in exact rationals",
    ]
    return report


def of_format(name: str, size: int, target: float | None = None) -> Figure:
    """Time of one product; RuntimeError if a bit differs from the reference in exact rationals."""
    rng = np.random.default_rng(1)
    a, b = (operand(rng, formats.get(name), size, size) for _ in range(2))
    start, used = time.perf_counter(), cpu_seconds()
    result = tensor.matmul(a, b)
    elapsed, used = time.perf_counter() - start, cpu_seconds() - used
    chosen = [np.sort(rng.choice(size, _SAMPLED, replace=False)) for _ in range(2)]
    exact = tensor.matmul_reference(_rows(a, chosen[0]), _rows(b, chosen[1]))
    if not np.array_equal(result[np.ix_(*chosen)].view(np.uint32), exact.view(np.uint32)):
        raise RuntimeError(f"Product of {name} must have the reference's bits")
    note = f"{used:.1f} s of CPU, {size**3 / used / 1e6:.0f} M MACs a CPU-second"
    return Figure(what=f"{name} {size}^3", value=elapsed, unit="s", target=target, at_most=True, note=note)


def _rows(array: MXArray, rows: np.ndarray) -> MXArray:
    scales = None if array.scales is None else array.scales[rows]
    return MXArray.from_codes(array.codes[rows], scales, array.format)

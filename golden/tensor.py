"""Matrix product of two quantised tensors, bit for bit what the tensor engine gives.

Ref: OCP Microscaling Formats (MX) Specification v1.0, sections 6.1 and 6.2.
Ref: docs/numerics.md, "Dot product".
"""

import numpy as np
from numpy.typing import NDArray

from .groups import group_summer
from .mx import MXArray
from .reference import matmul_reference
from .rounding import canonical

__all__ = ["MAX_WINDOW", "MIN_WINDOW", "check_operands", "matmul", "matmul_reference"]

#: limits of the alignment window of BF16, FP16 and TF32
MIN_WINDOW, MAX_WINDOW = 24, 64
#: rows of a tile: its FP32 accumulators and float64 sums stay in the caches
_TILE = 512


def matmul(a: MXArray, b: MXArray, *, window: int = 40, epilogue: bool = True) -> NDArray[np.float32]:
    """``a @ b.T`` of a (M, K) and b (N, K), both blocked along K, as FP32 (M, N).

    K is cut in groups of ``format.group``, the last padded with zeros. For each result the products of
    a group are summed (exactly; for BF16, FP16 and TF32 aligned in `window` bits), multiplied by both
    block scales, rounded once to FP32 (RNE) and added to the FP32 accumulator (RNE), which starts at
    +0, in increasing k. NaN is 0x7FC00000.

    window:   24 to 64; other formats do not use it.
    epilogue: multiply the result by ``float32(a.tensor_scale * b.tensor_scale)`` (RNE) when either is
              not 1. It is done outside the engine; False gives what the engine itself gives.

    TypeError for operands that are not `MXArray` or a window that is not an integer; ValueError for
    formats that may not meet, shapes that do not fit, blocks along another axis, or the window's range.
    """
    window = check_operands(a, b, window)
    rows, columns = len(a.codes), len(b.codes)
    result = np.zeros((rows, columns), dtype=np.float32)
    for j in range(0, columns, _TILE):
        for i in range(0, rows, _TILE):
            tile = result[i : i + _TILE, j : j + _TILE]
            _accumulate(_rows(a, i), _rows(b, j), window, tile)
    if epilogue and (a.tensor_scale != 1 or b.tensor_scale != 1):
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            result *= a.tensor_scale * b.tensor_scale
    return canonical(result)


def _accumulate(a: MXArray, b: MXArray, window: int, accumulator: NDArray[np.float32]) -> None:
    sums = group_summer(a, b, window)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for k in range(-(-a.shape[1] // a.format.group)):
            accumulator += sums(k).astype(np.float32)


def _rows(array: MXArray, start: int) -> MXArray:
    part = slice(start, start + _TILE)
    return MXArray(
        codes=array.codes[part],
        scales=None if array.scales is None else array.scales[part],
        format=array.format,
        tensor_scale=array.tensor_scale,
        axis=array.axis,
    )


def check_operands(a: object, b: object, window: object) -> int:
    """The window, once both operands and it are what `matmul` asks for; errors as there."""
    for name, operand in (("A", a), ("B", b)):
        if not isinstance(operand, MXArray):
            raise TypeError(f"Operand {name} must be an MXArray, not {type(operand).__name__!r}")
        if len(operand.shape) != 2:
            raise ValueError(f"Operand {name} must have two axes (rows, K), not shape {operand.shape!r}")
        if operand.axis != 1:
            raise ValueError(f"Operand {name} must be blocked along its last axis, not {operand.axis!r}")
    assert isinstance(a, MXArray)
    assert isinstance(b, MXArray)
    if not a.format.pairs_with(b.format):
        raise ValueError(f"Operand B must have a format that may meet {a.format.name}, not {b.format.name!r}")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"Operand B must have the K of operand A, {a.shape[1]}, not {b.shape[1]!r}")
    if isinstance(window, bool) or not isinstance(window, int | np.integer):
        raise TypeError(f"Window must be an integer, not {window!r}")
    if not MIN_WINDOW <= window <= MAX_WINDOW:
        raise ValueError(f"Window must be in {MIN_WINDOW} to {MAX_WINDOW}, not {window!r}")
    return int(window)

"""Operands of single groups and of products, what golden says of them, and engines that multiply them."""

import dataclasses
import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.formats import code_dtype
from golden.mx import MXArray
from golden.tensor import matmul
from mtia import formats, generations
from mtia.engine import CELLS
from mtia.formats import Format, Scale
from mtia.generations import EngineParameters
from tb.tensor.gemm import GemmLane
from tests.golden.support import finite_codes

#: every format there is, mixed operands, three dense rows: the engine of the 450 and the 500
PARAMETERS = generations.get("mtia450").engine("sim")
#: the same engine of each kind of cells
BUILDS = {cells: dataclasses.replace(PARAMETERS, cells=cells) for cells in CELLS}
#: scale code of 1
UNIT_SCALE = {Scale.E8M0: 127, Scale.E4M3: 0x38, Scale.NONE: 0}
_BLOCK = 32


def operand(codes: Any, fmt: Format | str, scales: Any = None) -> MXArray:
    """Rows of one group, (n, K); by default all under a scale of 1."""
    row = formats.get(fmt)
    array = np.asarray(codes).astype(code_dtype(row.element))
    if not row.is_scaled:
        return MXArray.from_codes(array, None, row)
    if scales is None:
        scales = np.full(len(array), UNIT_SCALE[row.scale])
    return MXArray.from_codes(array, np.asarray(scales).reshape(len(array), 1).astype(np.uint8), row)


def single(codes: Any, lanes: Any, fmt: Format | str, scales: Any = None) -> MXArray:
    """Rows of one group with a single code each, in the lane given for it; the others are zero."""
    row = formats.get(fmt)
    array = np.zeros((len(codes), row.group), code_dtype(row.element))
    array[np.arange(len(codes)), lanes] = codes
    return operand(array, row, scales)


def taken(array: MXArray, index: Any) -> MXArray:
    """Some of the rows of an array."""
    return MXArray(
        codes=array.codes[index],
        scales=None if array.scales is None else array.scales[index],
        format=array.format,
        tensor_scale=array.tensor_scale,
        axis=array.axis,
    )


def joined(arrays: list[MXArray]) -> MXArray:
    """Rows of several arrays of one format, one after the other."""
    first = arrays[0]
    return MXArray(
        codes=np.concatenate([array.codes for array in arrays]),
        scales=None if first.scales is None else np.concatenate([array.scales for array in arrays]),
        format=first.format,
        tensor_scale=first.tensor_scale,
        axis=first.axis,
    )


def golden_sums(stationary: MXArray, streamed: MXArray, *, window: int = 40) -> NDArray[np.float32]:
    """What `tb.tensor.blocks.GroupLane.sums` must give, once added to +0: (n, rows of a beat)."""
    count = len(stationary.codes)
    rows = len(streamed.codes) // count
    result = np.empty((count, rows), np.float32)
    for start in range(0, count, _BLOCK):
        part = np.arange(start, min(start + _BLOCK, count))
        left, right = taken(stationary, part), taken(streamed, slice(start * rows, (int(part[-1]) + 1) * rows))
        product = matmul(left, right, window=window, epilogue=False).reshape(len(part), len(part), rows)
        result[part] = product[np.arange(len(part)), np.arange(len(part))]
    return result


def gemm_operand(
    generator: np.random.Generator, fmt: Format | str, rows: int, depth: int, *, specials: int = 0
) -> MXArray:
    """Finite numbers, some of them zero, whose products stay in the range of FP32; neighbouring scales differ.

    Every block counts: their scales are within 2**8 of each other. `specials` elements in the last row become
    the last code of the format, which is a NaN where it has any.
    """
    row = formats.get(fmt)
    codes = generator.choice(finite_codes(row.element), (rows, depth)).astype(np.int64)
    if row.element.exponent_bits == 8:
        near = generator.integers(-6, 7, codes.shape) + row.element.bias << row.element.mantissa_bits
        codes = codes & ~(0xFF << row.element.mantissa_bits) | near
    codes *= generator.random(codes.shape) < 0.9
    codes[-1, generator.permutation(depth)[:specials]] = (1 << row.element.width) - 1
    array = codes.astype(code_dtype(row.element))
    if row.block is None:
        return MXArray.from_codes(array, None, row)
    count = rows * -(-depth // row.block)
    low, high = (123, 132) if row.scale is Scale.E8M0 else (0x20, 0x58)
    scales = low + (generator.integers(high) + np.arange(count)) % (high - low)
    return MXArray.from_codes(array, scales.reshape(rows, -1).astype(np.uint8), row)


@functools.cache
def gemm_lane(parameters: EngineParameters) -> GemmLane:
    """A `GemmLane` for these parameters, made once in a process."""
    return GemmLane(parameters)

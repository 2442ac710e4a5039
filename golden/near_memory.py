"""Reductions done by the memory on 32-byte atoms, and the tree that adds the slots of many ranks.

A number of the memory and a number of the operand are widened to FP32 (exact, but for an MX number
past FP32's range, which becomes infinite), combined in FP32, and the result is rounded once to the
format of the memory. All roundings are to nearest even; subnormals are kept and overflow gives
infinity.

SUM:      ``RNE_memory(RNE_fp32(a + b))``: for BF16 and FP16 memories the same bits as one rounding of
          the exact sum, because FP32 has enough places, whatever the operand.
MAX, MIN: IEEE 754-2019 maximum and minimum: a NaN wins, -0 is below +0.
COPY:     the bits of the operand, byte by byte; of an MX operand its value.

A NaN that SUM, MAX, MIN or a COPY of an MX operand gives is the positive quiet one: 0x7FC00000, 0x7FC0,
0x7E00. SUM, MAX and MIN change a number only where the byte enables of all its bytes are set.

Ref: IEEE 754-2019, sections 4.3.1 (roundTiesToEven), 5.4.1 (addition), 9.6 (maximum, minimum).
Ref: OCP Microscaling Formats (MX) Specification v1.0, sections 5.1 and 5.3.
"""

import numpy as np
from numpy.typing import NDArray

from mtia.formats import Scale, unknown
from mtia.near_memory import ATOM_BYTES, SCALE_BYTE, ReduceFormat, ReduceKind

from . import formats
from .rounding import canonical, to_fp32


def apply(
    kind: ReduceKind, format: ReduceFormat, memory: object, operand: object, mask: object = None
) -> NDArray[np.uint8]:
    """Atoms (n, 32) after each has been combined with its operand.

    memory, operand: uint8 (n, 32), laid out as `mtia.near_memory` says
    mask:            byte enables, bool (n, 32); None enables all

    ValueError for an unknown kind or format or another shape, TypeError for another dtype.
    """
    kind, format = _kind(kind), _format(format)
    atoms = _check_atoms("Memory", memory)
    operands = _check_atoms("Operand", operand)
    if operands.shape != atoms.shape:
        raise ValueError(f"Operand must be of shape {atoms.shape}, as the memory, not {operands.shape!r}")
    enabled = _check_mask(mask, atoms.shape)
    if kind is ReduceKind.COPY:
        result = operands if format.operand is None else narrow(format, widen(format, operands))
    else:
        stored = ReduceFormat[format.memory.name]
        result = narrow(format, combine(kind, widen(stored, atoms), widen(format, operands)))
        by_lane = enabled.reshape(len(atoms), format.lanes, -1).all(axis=2)
        enabled = np.repeat(by_lane, ATOM_BYTES // format.lanes, axis=1)
    return np.where(enabled, result, atoms)


def tree(kind: ReduceKind, format: ReduceFormat, slots: object) -> NDArray[np.uint8]:
    """Atoms (n, 32) that p slots of each give in ordered mode; slots: uint8 (p, n, 32), p at least 1.

    Slots are operands of the format: widened to FP32, then combined along one tree over the slot
    index. At each level neighbours are paired from index 0 on, the lower index on the left, and an
    odd one at the end passes up unchanged; so a tree of p slots is that of the largest power of two
    below p on the left and that of the rest on the right. The last result is rounded once to the
    format of the memory.

    ValueError for COPY, an unknown kind or format, another shape or no slot; TypeError for another dtype.
    """
    kind, format = _kind(kind), _format(format)
    if kind is ReduceKind.COPY:
        raise ValueError(f"Kind of a tree must be SUM, MAX or MIN, not {kind.name!r}")
    array = np.asarray(slots)
    if array.dtype != np.uint8:
        raise TypeError(f"Slots must be of dtype uint8, not {str(array.dtype)!r}")
    if array.ndim != 3 or array.shape[2] != ATOM_BYTES or not len(array):
        raise ValueError(f"Slots must be of shape (p, n, {ATOM_BYTES}) with p at least 1, not {array.shape!r}")
    level = widen(format, array.reshape(-1, ATOM_BYTES)).reshape(*array.shape[:2], format.lanes)
    while len(level) > 1:
        paired = len(level) // 2 * 2
        level = np.concatenate([combine(kind, level[0:paired:2], level[1:paired:2]), level[paired:]])
    return narrow(format, level[0])


def tree_sum(slots: object, format: ReduceFormat) -> NDArray[np.uint8]:
    """`tree` of SUM."""
    return tree(ReduceKind.SUM, format, slots)


def widen(format: ReduceFormat, operand: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Numbers (n, lanes) of operands (n, 32) of the format, in FP32; a NaN is 0x7FC00000."""
    element, lanes = format.memory, format.lanes
    if format.operand is None:
        codes = np.ascontiguousarray(operand).view(formats.code_dtype(element).newbyteorder("<"))
        return to_fp32(formats.decode(codes, element))
    element = format.operand.element
    codes = operand[:, :lanes] & np.uint8((1 << element.width) - 1)
    scales = formats.decode_scale(operand[:, SCALE_BYTE:], Scale.E8M0)
    return to_fp32(formats.decode(codes, element) * scales)


def narrow(format: ReduceFormat, numbers: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Atoms (n, 32) of FP32 numbers (n, lanes), each rounded to the format of the memory."""
    codes = formats.encode(numbers, format.memory, saturate=False)
    return np.ascontiguousarray(codes, codes.dtype.newbyteorder("<")).view(np.uint8)


def combine(kind: ReduceKind, a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """SUM, MAX or MIN of FP32 numbers of the same shape; a NaN is 0x7FC00000."""
    if kind is ReduceKind.SUM:
        with np.errstate(over="ignore", invalid="ignore"):
            return canonical(a + b)
    first = _order(a) > _order(b)
    chosen = np.where(first == (kind is ReduceKind.MAX), a, b)
    return canonical(np.where(np.isnan(a) | np.isnan(b), np.float32(np.nan), chosen))


def _order(x: NDArray[np.float32]) -> NDArray[np.int32]:
    """Integers in the order of the numbers, -0 below +0."""
    bits = x.view(np.int32)
    return np.where(bits < 0, bits ^ 0x7FFFFFFF, bits)


def _kind(kind: int) -> ReduceKind:
    if kind not in list(ReduceKind):
        raise ValueError(unknown("Kind", kind, [item.name for item in ReduceKind]))
    return ReduceKind(kind)


def _format(format: int) -> ReduceFormat:
    if format not in list(ReduceFormat):
        raise ValueError(unknown("Format", format, [item.name for item in ReduceFormat]))
    return ReduceFormat(format)


def _check_atoms(subject: str, atoms: object) -> NDArray[np.uint8]:
    array = np.asarray(atoms)
    if array.dtype != np.uint8:
        raise TypeError(f"{subject} must be of dtype uint8, not {str(array.dtype)!r}")
    if array.ndim != 2 or array.shape[1] != ATOM_BYTES:
        raise ValueError(f"{subject} must be of shape (n, {ATOM_BYTES}), not {array.shape!r}")
    return array


def _check_mask(mask: object, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    if mask is None:
        return np.ones(shape, np.bool_)
    array = np.asarray(mask)
    if array.dtype != np.bool_:
        raise TypeError(f"Mask must be of dtype bool, not {str(array.dtype)!r}")
    if array.shape != shape:
        raise ValueError(f"Mask must be of shape {shape}, as the memory, not {array.shape!r}")
    return array

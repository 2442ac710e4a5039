"""SECDED with poison over the 32-byte atoms of HBM.

Ref: M. Y. Hsiao, "A Class of Optimal Minimum Odd-weight-column SEC-DED Codes", IBM Journal of
Research and Development 14 (1970), pp. 395-401.
"""

import enum
import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mtia.hbm_ecc import CHECK_BITS, COLUMNS, DATA_BITS, POISON

ATOM_BYTES = DATA_BITS // 8


class Status(enum.IntEnum):
    """What a word was found to be."""

    OK = 0  #: a codeword
    CORRECTED = 1  #: one bit was wrong, of the data or of the check bits
    POISON = 2  #: marked as lost when it was written
    UNCORRECTABLE = 3  #: two wrong bits, or more


class Decoded(NamedTuple):
    """Words read: what was meant, how they were found, and where a corrected bit is."""

    data: NDArray[np.uint8]  #: (n, 32), as stored where nothing was corrected
    status: NDArray[np.uint8]  #: (n,) of `Status`
    position: NDArray[np.int16]  #: (n,) corrected bit: 0 to 255 in data, 256 to 265 in check; otherwise -1


@functools.cache
def _byte_table() -> NDArray[np.uint16]:
    """Check bits that each value of each byte adds: (32, 256)."""
    columns = np.array(COLUMNS[:DATA_BITS], np.uint16).reshape(ATOM_BYTES, 8)
    table = np.zeros((ATOM_BYTES, 256), np.uint16)
    for bit in range(8):
        has_bit = np.arange(256) >> bit & 1 == 1
        table[:, has_bit] ^= columns[:, bit, None]
    table.flags.writeable = False
    return table


@functools.cache
def _meanings() -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    """Status and position of each of the 1024 syndromes."""
    status = np.full(1 << CHECK_BITS, Status.UNCORRECTABLE, np.uint8)
    position = np.full(1 << CHECK_BITS, -1, np.int16)
    status[list(COLUMNS)] = Status.CORRECTED
    position[list(COLUMNS)] = np.arange(len(COLUMNS))
    status[0], status[POISON] = Status.OK, Status.POISON
    for table in (status, position):
        table.flags.writeable = False
    return status, position


def _check_data(data: object) -> NDArray[np.uint8]:
    array = np.asarray(data)
    if array.dtype != np.uint8:
        raise TypeError(f"Data must be of dtype uint8, not {str(array.dtype)!r}")
    if array.ndim != 2 or array.shape[1] != ATOM_BYTES:
        raise ValueError(f"Data must be of shape (n, {ATOM_BYTES}), not {array.shape!r}")
    return array


def encode(data: object, *, poison: bool | NDArray[np.bool_] = False) -> NDArray[np.uint16]:
    """Check bits (n,) of atoms (n, 32) of uint8; those of poisoned words where `poison` (bool, or (n,)) is set.

    TypeError unless uint8, ValueError for another shape.
    """
    array = _check_data(data)
    check = np.bitwise_xor.reduce(_byte_table()[np.arange(ATOM_BYTES), array], axis=1)
    return check ^ np.where(poison, POISON, 0).astype(np.uint16)


def decode(data: object, check: object) -> Decoded:
    """Atoms (n, 32) of uint8 read with their check bits (n,) of uint16.

    TypeError for other dtypes, ValueError for other shapes or check bits of `CHECK_BITS` bits and more.
    """
    array, bits = _check_data(data), np.asarray(check)
    if bits.dtype != np.uint16:
        raise TypeError(f"Check bits must be of dtype uint16, not {str(bits.dtype)!r}")
    if bits.shape != array.shape[:1]:
        raise ValueError(f"Check bits must be of shape {array.shape[:1]}, not {bits.shape!r}")
    if bits.size and int(bits.max()) >> CHECK_BITS:
        raise ValueError(f"Check bits must be below {1 << CHECK_BITS}, not {int(bits.max())!r}")
    meaning, place = _meanings()
    syndrome = encode(array) ^ bits
    status, position = meaning[syndrome], place[syndrome]
    fixed = array.copy()
    rows = np.nonzero((position >= 0) & (position < DATA_BITS))[0]
    fixed[rows, position[rows] >> 3] ^= np.left_shift(1, position[rows] & 7).astype(np.uint8)
    return Decoded(fixed, status, position)

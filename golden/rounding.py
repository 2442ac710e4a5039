"""Rounding of exact sums to FP32, once.

Ref: IEEE 754-2019, section 4.3.1 (round to nearest, ties to even) and 6.2 (NaN).

A sum of more than 53 bits is first rounded to odd in float64: where bits are lost, the last place
is made odd. Two places of FP32's 24 and one more would do; float64 keeps 53, so the second rounding
sees on which side of a tie the exact sum lies and the pair rounds once.
"""

import numpy as np
from numpy.typing import NDArray

#: the only NaN that is produced
NAN_BITS = 0x7FC00000
CANONICAL_NAN = np.uint32(NAN_BITS).view(np.float32)


def canonical(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The array, changed in place, with every NaN replaced by 0x7FC00000."""
    x[np.isnan(x)] = CANONICAL_NAN
    return x


def to_fp32(x: NDArray[np.float64]) -> NDArray[np.float32]:
    """RNE of exact float64 values to FP32: subnormals kept, overflow to Inf, NaN to 0x7FC00000."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return canonical(np.asarray(x).astype(np.float32))


def add_to_odd(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The exact sum a + b of finite values, rounded to odd in float64.

    `to_fp32` of the result, times any power of two that keeps it a normal float64, is the RNE of the
    exact sum.
    """
    total = a + b
    # the error of the addition, exact whichever operand is larger
    b_part = total - a
    error = (a - (total - b_part)) + (b - b_part)
    lost = np.nonzero(error)
    near = total[lost]
    odd = near.view(np.int64) & 1 == 1
    total[lost] = np.where(odd, near, np.nextafter(near, np.copysign(np.inf, error[lost])))
    return total

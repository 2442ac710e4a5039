"""Group sums of tiles of rows, as float64 that rounds to FP32 as the exact sum would.

Narrow formats (up to 8 bits) are summed exactly. Block scales are folded into the operands: both are
powers of two, or for NVFP4 numbers of four bits, so float64 holds every product. A BLAS product is
exact whatever its order when no partial sum needs more than 53 bits; pairs that may need more (E5M2
with E5M2 or E4M3) are split by magnitude into two such products.

Wide formats (BF16, FP16, TF32) lose the bits below their window. Where the exponents of two rows are
so near that nothing can fall below it, the exact sum is the answer and BLAS gives it; the other
elements of a tile are aligned one by one.
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mtia.formats import ELEMENTS, Element, Scale

from . import formats
from .mx import MXArray
from .rounding import add_to_odd

_FLOAT64_BITS = 53
#: E5M2 elements below this magnitude go to the low part of a split
_SPLIT = 2.0**-2
#: fraction bits of a wide element once brought to 11 significand bits, and of a product of two
_WIDE_FRACTION = 10
_PRODUCT_BITS = 2 * (_WIDE_FRACTION + 1)
_NO_EXPONENT = -(1 << 20)
_CHUNK = 1 << 15
_LIMB = 32


class Summer(Protocol):
    """Group sums of one tile."""

    def __call__(self, k: int) -> NDArray[np.float64]:
        """The sums of group k, (rows of a, rows of b), to be rounded to FP32 (see `add_to_odd`)."""


def group_summer(a: MXArray, b: MXArray, window: int) -> Summer:
    """What sums the groups of a tile: a (M, K) and b (N, K) in formats that may meet, blocked along K."""
    if a.format.is_wide:
        return _WideSums(_WideRows.of(a), _WideRows.of(b), window)
    return _NarrowSums(_NarrowRows.of(a), _NarrowRows.of(b))


def _grouped(array: NDArray[Any], group: int) -> NDArray[Any]:
    """(M, K) as (groups, M, group), the tail padded with zeros."""
    padded = np.pad(array, [(0, 0), (0, -array.shape[1] % group)])
    return np.ascontiguousarray(padded.reshape(len(array), padded.shape[1] // group, group).swapaxes(0, 1))


@dataclass(frozen=True, kw_only=True)
class _NarrowRows:
    """Rows of a narrow tensor as (groups, rows, group): finite values, and the Inf and NaN they replace."""

    element: Element
    scale: Scale
    values: NDArray[np.float64]
    large: NDArray[np.bool_]
    raw: NDArray[np.float64]
    special: NDArray[np.bool_]

    @classmethod
    def of(cls, array: MXArray) -> "_NarrowRows":
        row = array.format
        raw = _grouped(array.scaled(), row.group)
        finite = np.isfinite(raw)
        return cls(
            element=row.element,
            scale=row.scale,
            values=np.where(finite, raw, 0.0),
            large=_grouped(np.abs(formats.decode(array.codes, row.element)) >= _SPLIT, row.group),
            raw=raw,
            special=~finite.all(axis=(1, 2)),
        )


class _NarrowSums:
    def __init__(self, a: _NarrowRows, b: _NarrowRows) -> None:
        self.a, self.b = a, b
        group = a.values.shape[2]
        self.split = sum_bits(a.element, b.element, group, a.scale) > _FLOAT64_BITS
        if self.split and (bits := split_bits(a.element, b.element, group, a.scale)) > _FLOAT64_BITS:
            raise ValueError(
                f"Group sums of {a.element.name} and {b.element.name} must be two parts of at most {_FLOAT64_BITS} bits"
                f" (E5M2 with E5M2 are), not of {bits!r}"
            )

    def __call__(self, k: int) -> NDArray[np.float64]:
        a, b = self.a, self.b
        sums = self._split(k) if self.split else a.values[k] @ b.values[k].T
        if a.special[k] or b.special[k]:
            sums = _with_specials(sums, a.raw[k], b.raw[k])
        return sums

    def _split(self, k: int) -> NDArray[np.float64]:
        a, b = self.a.values[k], self.b.values[k]
        a_high, b_high = np.where(self.a.large[k], a, 0.0), np.where(self.b.large[k], b, 0.0)
        low = np.hstack([a_high, a - a_high]) @ np.hstack([b - b_high, b]).T
        return add_to_odd(a_high @ b_high.T, low)


def _largest(element: Element) -> float:
    return 2.0**element.significand_bits * element.min_subnormal / 2 if element.is_integer else element.max_value


def _bits(units: float) -> int:
    return math.floor(math.log2(units)) + 2


def sum_bits(a: Element, b: Element, group: int, scale: Scale = Scale.NONE) -> int:
    """Bits, the sign included, that the exact sum of `group` products needs.

    E4M3 block scales add the bits of their significands; power-of-two scales add none.
    """
    units = group * _largest(a) * _largest(b) / (a.min_subnormal * b.min_subnormal)
    return _bits(units) + _scale_bits(scale)


def split_bits(a: Element, b: Element, group: int, scale: Scale = Scale.NONE) -> int:
    """As `sum_bits`, of the larger of the two parts in which a sum is computed that needs too many."""
    # twice the products, one factor below the split
    low = 2 * group * max(_largest(a), _largest(b)) * _SPLIT / (a.min_subnormal * b.min_subnormal)
    steps = [max(_SPLIT * 2.0**-element.mantissa_bits, element.min_subnormal) for element in (a, b)]
    high = group * _largest(a) * _largest(b) / (steps[0] * steps[1])
    return max(_bits(low), _bits(high)) + _scale_bits(scale)


def _scale_bits(scale: Scale) -> int:
    return 2 * ELEMENTS["E4M3"].significand_bits if scale is Scale.E4M3 else 0


@dataclass(frozen=True, kw_only=True)
class _WideRows:
    """Rows of a wide tensor as (groups, rows, group): finite values, and the Inf and NaN they replace.

    exponent: of the weight of the top significand bit; far below all others for zeros
    spread: (groups, rows) largest minus smallest exponent of the group's elements that are not zero
    """

    element: Element
    values: NDArray[np.float64]
    exponent: NDArray[np.int32]
    spread: NDArray[np.int32]
    raw: NDArray[np.float64]
    special: NDArray[np.bool_]

    @classmethod
    def of(cls, array: MXArray) -> "_WideRows":
        row = array.format
        raw = _grouped(array.scaled(), row.group)
        values = np.where(np.isfinite(raw), raw, 0.0)
        exponent = _grouped(formats.fields(array.codes, row.element)[2].astype(np.int32), row.group)
        some = values != 0
        high = np.where(some, exponent, row.element.emin).max(axis=2)
        low = np.where(some, exponent, high[..., None]).min(axis=2)
        return cls(
            element=row.element,
            values=values,
            exponent=np.where(some, exponent, np.int32(_NO_EXPONENT)),
            spread=high - low,
            raw=raw,
            special=~np.isfinite(raw).all(axis=(1, 2)),
        )


class _WideSums:
    def __init__(self, a: _WideRows, b: _WideRows, window: int) -> None:
        self.a, self.b, self.window = a, b, window
        self.carry = (a.values.shape[2] - 1).bit_length()
        zeros = 2 * _WIDE_FRACTION - a.element.mantissa_bits - b.element.mantissa_bits
        # the exponents may differ by that much: no bit falls below the window, and BLAS stays exact
        self.reach = zeros + min(window - _PRODUCT_BITS, _FLOAT64_BITS - _PRODUCT_BITS - self.carry)

    def __call__(self, k: int) -> NDArray[np.float64]:
        a, b = self.a, self.b
        sums = a.values[k] @ b.values[k].T
        rows, columns = np.nonzero(a.spread[k][:, None] + b.spread[k] > self.reach)
        for start in range(0, len(rows), _CHUNK):
            i, j = rows[start : start + _CHUNK], columns[start : start + _CHUNK]
            sums[i, j] = self._aligned(k, i, j)
        if a.special[k] or b.special[k]:
            sums = _with_specials(sums, a.raw[k], b.raw[k])
        return sums

    def _aligned(self, k: int, i: NDArray[np.intp], j: NDArray[np.intp]) -> NDArray[np.float64]:
        a, b = self.a, self.b
        top = (a.exponent[k][i] + b.exponent[k][j]).max(axis=1)
        # in units of the window's last place: products keep their 22 bits, so this and the cut are exact
        place = np.maximum(top, a.element.emin + b.element.emin) + (2 - self.window)
        aligned = np.trunc(a.values[k][i] * b.values[k][j] * np.ldexp(1.0, -place)[:, None])
        if self.window + self.carry <= _FLOAT64_BITS:
            total = aligned.sum(axis=1)
        else:
            high = np.trunc(aligned * 2.0**-_LIMB) * 2.0**_LIMB
            total = add_to_odd(high.sum(axis=1), (aligned - high).sum(axis=1))
        return np.asarray(np.ldexp(total, place))


def _with_specials(sums: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sums of finite products with the Inf and NaN of the operands put in.

    NaN where a factor is NaN, where Inf meets 0 and where both infinities come; Inf where one comes.
    Counted in finite numbers, so it does not depend on how a BLAS treats Inf and NaN.
    """
    a_inf, b_inf = np.where(np.isinf(a), np.sign(a), 0.0), np.where(np.isinf(b), np.sign(b), 0.0)
    a_sign, b_sign = np.where(np.isnan(a), 0.0, np.sign(a)), np.where(np.isnan(b), 0.0, np.sign(b))
    a_rest = a_sign - a_inf
    count = np.abs(a_inf) @ np.abs(b_sign).T + np.abs(a_rest) @ np.abs(b_inf).T
    balance = a_inf @ b_sign.T + a_rest @ b_inf.T
    invalid = np.logical_or.outer(np.isnan(a).any(axis=1), np.isnan(b).any(axis=1))
    invalid |= np.abs(a_inf) @ (b == 0).T.astype(np.float64) + (a == 0).astype(np.float64) @ np.abs(b_inf).T > 0
    invalid |= np.abs(balance) < count
    sums = np.where(count > 0, np.copysign(np.inf, balance), sums)
    return np.where(invalid, np.nan, sums)

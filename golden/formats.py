"""Codes of one element and the exact values they stand for.

Ref: OCP Microscaling Formats (MX) Specification v1.0, sections 5.3, 5.4 and 6.3.
Ref: OCP 8-bit Floating Point Specification (OFP8) v1.0, section 5.
Ref: IEEE 754-2019, sections 3.4 and 4.3.1.

Values travel as float64, which holds every element, every FP32 number and every product of either
with a power of two of the range met here without rounding. So there is one rounding in `encode`,
and none in `decode`.
"""

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtia.formats import ELEMENTS, Element, Scale, Specials, unknown

#: the roundings that `encode` and `golden.mx.quantize` know
ROUNDINGS: tuple[str, ...] = ("rne", "stochastic")
#: random bits that stochastic rounding adds to the fraction of an element
RANDOM_BITS = 16
_E8M0_BIAS = 127
_E8M0_NAN = 0xFF


def code_dtype(element: Element) -> np.dtype[Any]:
    """Type of the codes of an element: uint8 up to 8 bits, uint16 up to 16, uint32 above."""
    return np.dtype(np.uint8 if element.width <= 8 else np.uint16 if element.width <= 16 else np.uint32)


def nan_code(element: Element) -> int:
    """The only NaN code that is produced: quiet and positive. ValueError when the element has none."""
    if element.specials is Specials.NONE:
        raise ValueError(f"Element must have a NaN, not {element.name!r}")
    if element.specials is Specials.NAN_ONLY:
        return (1 << (element.width - 1)) - 1
    return inf_code(element) | 1 << (element.mantissa_bits - 1)


def inf_code(element: Element) -> int:
    """Code of plus infinity. ValueError when the element has none."""
    if element.specials is not Specials.IEEE:
        raise ValueError(f"Element must have an infinity, not {element.name!r}")
    return element.max_code + 1


def check_codes(codes: object, element: Element, *, subject: str = "Codes") -> NDArray[np.unsignedinteger]:
    """The codes as an array; TypeError unless of `code_dtype`, ValueError when one has too many bits."""
    array = np.asarray(codes)
    if array.dtype != code_dtype(element):
        kind = f"{code_dtype(element)} for {element.name}"
        raise TypeError(f"{subject} must be of dtype {kind}, not {str(array.dtype)!r}")
    if array.size and int(array.max()) >> element.width:
        raise ValueError(f"{subject} must be below {1 << element.width} for {element.name}, not {int(array.max())!r}")
    return array


def fields(
    codes: NDArray[np.unsignedinteger], element: Element
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """Sign, significand f and exponent e of finite codes: ``(-1)**sign * f * 2**(e - mantissa_bits)``.

    Subnormals keep the smallest exponent and are not normalised. Codes that are Inf or NaN give the
    significand and exponent that their bits spell.
    """
    bits = np.asarray(codes).astype(np.int64)
    sign = (bits >> (element.width - 1)).astype(bool)
    if element.is_integer:
        return sign, np.where(sign, (1 << element.width) - bits, bits), np.zeros_like(bits)
    fraction = bits & ((1 << element.mantissa_bits) - 1)
    field = (bits >> element.mantissa_bits) & ((1 << element.exponent_bits) - 1)
    significand = fraction | (field > 0).astype(np.int64) << element.mantissa_bits
    return sign, significand, np.maximum(field, 1) - element.bias


def decode(codes: object, element: Element) -> NDArray[np.float64]:
    """Exact values of the codes, any shape, as float64; NaN and Inf included, -0 kept.

    TypeError and ValueError as `check_codes`.
    """
    array = check_codes(codes, element)
    if element.width <= 8:
        return np.asarray(_table(element)[array])
    return _decode(array, element)


@functools.cache
def _table(element: Element) -> NDArray[np.float64]:
    table = _decode(np.arange(1 << element.width, dtype=code_dtype(element)), element)
    table.flags.writeable = False
    return table


def _decode(codes: NDArray[np.unsignedinteger], element: Element) -> NDArray[np.float64]:
    sign, significand, exponent = fields(codes, element)
    magnitude = np.ldexp(significand.astype(np.float64), (exponent - element.mantissa_bits).astype(np.int32))
    if element.specials is not Specials.NONE:
        body = codes.astype(np.int64) & ((1 << (element.width - 1)) - 1)
        magnitude = np.where(body > element.max_code, np.nan, magnitude)
        if element.specials is Specials.IEEE:
            magnitude = np.where(body == inf_code(element), np.inf, magnitude)
    value = np.where(sign & (not element.is_integer or significand > 0), -magnitude, magnitude)
    return np.where(np.isnan(value), np.nan, value)


def decode_scale(scales: object, scale: Scale) -> NDArray[np.float64]:
    """Exact values of block scale codes: E8M0 is 2**(code - 127), 0xFF NaN; E4M3 is unsigned, 0x7F NaN.

    TypeError unless the codes are uint8; ValueError for an E4M3 code above 0x7F or a format without scale.
    """
    if scale is Scale.NONE:
        raise ValueError(f"Scale must be a type of scale, not {scale.value!r}")
    array = np.asarray(scales)
    if array.dtype != np.uint8:
        raise TypeError(f"Scales must be of dtype uint8, not {str(array.dtype)!r}")
    if scale is Scale.E4M3:
        if array.size and int(array.max()) > 0x7F:
            raise ValueError(f"Scales must be below 128 for unsigned E4M3, not {int(array.max())!r}")
        return decode(array, ELEMENTS["E4M3"])
    value = np.ldexp(1.0, array.astype(np.int32) - _E8M0_BIAS)
    return np.where(array == _E8M0_NAN, np.nan, value)


def check_rounding(rounding: object, random_bits: object, shape: tuple[int, ...]) -> NDArray[np.uint16] | None:
    """The random bits that go with a rounding: uint16 of the given shape for "stochastic", None for "rne".

    ValueError for an unknown rounding, a missing or superfluous array or another shape; TypeError for
    another dtype.
    """
    if rounding not in ROUNDINGS:
        raise ValueError(unknown("Rounding", rounding, list(ROUNDINGS)))
    if rounding == "rne":
        if random_bits is not None:
            raise ValueError(f"Random bits must be None for rounding 'rne', not {type(random_bits).__name__!r}")
        return None
    if random_bits is None:
        raise ValueError("Random bits must be an array for rounding 'stochastic', not None")
    bits = np.asarray(random_bits)
    if bits.dtype != np.uint16:
        raise TypeError(f"Random bits must be of dtype uint16, not {str(bits.dtype)!r}")
    if bits.shape != shape:
        raise ValueError(f"Random bits must be of shape {shape}, not {bits.shape!r}")
    return bits


def encode(
    x: object, element: Element, *, rounding: str = "rne", random_bits: object = None, saturate: bool = True
) -> NDArray[np.unsignedinteger]:
    """Codes of the values x (any shape, taken as exact float64), one rounding each.

    rounding:    "rne", or "stochastic": the fraction below the element's last place is truncated to
                 16 bits and the magnitude rounds up where it carries out of ``fraction + random_bits``.
    random_bits: uint16 array of the shape of x, for "stochastic" only.
    saturate:    overflow and Inf give the largest finite number; otherwise Inf, or NaN for E4M3.

    The sign survives underflow to zero (INT8 has one zero). INT8 clamps to [-127, 127]. NaN gives
    `nan_code`. ValueError for NaN in, or saturate=False with, an element that has neither Inf nor NaN;
    otherwise as `check_rounding`.
    """
    with np.errstate(invalid="ignore"):  # a signalling NaN is no error
        values = np.asarray(x, dtype=np.float64)
    bits = check_rounding(rounding, random_bits, values.shape)
    if element.specials is Specials.NONE and not saturate:
        raise ValueError(f"Saturate must be True for {element.name}, which has neither Inf nor NaN, not {saturate!r}")
    nan = np.isnan(values)
    magnitude = np.where(np.isfinite(values), np.abs(values), 0.0)
    exponent = np.full(values.shape, element.emin, dtype=np.int64)
    if not element.is_integer:
        exponent = np.where(magnitude > 0, np.frexp(magnitude)[1].astype(np.int64) - 1, element.emin)
        exponent = np.maximum(exponent, element.emin)
    # in units of the last place: exact, since it only moves the exponent (past float64's end: saturates all the same)
    with np.errstate(over="ignore"):
        units = np.ldexp(magnitude, (element.mantissa_bits - exponent).astype(np.int32))
    if bits is None:
        rounded = np.rint(units)
    else:
        whole = np.floor(units)
        fraction = np.floor((units - whole) * (1 << RANDOM_BITS))
        rounded = whole + (fraction + bits >= 1 << RANDOM_BITS)
    rounded = np.minimum(rounded, 2.0 ** (element.width + 1))
    body = ((exponent - element.emin) << element.mantissa_bits) + rounded.astype(np.int64)
    if saturate:
        top = element.max_code
    else:
        top = inf_code(element) if element.specials is Specials.IEEE else nan_code(element)
    body = np.where(np.isinf(values), top, np.minimum(body, top))
    code = _with_sign(body, np.signbit(values), element)
    if nan.any():
        code = np.where(nan, nan_code(element), code)
    return code.astype(code_dtype(element))


def _with_sign(body: NDArray[np.int64], sign: NDArray[np.bool_], element: Element) -> NDArray[np.int64]:
    if element.is_integer:
        return np.where(sign, -body, body) & ((1 << element.width) - 1)
    return body | sign.astype(np.int64) << (element.width - 1)

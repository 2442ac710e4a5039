"""The matrix product said once more, slowly, in Python integers and fractions.

It shares nothing with the fast path but the rows of `mtia.formats` and the tensors it is given: own
decoding, own group sums, own rounding. For tests, and for readers who want the rules without numpy.
"""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from mtia.formats import ELEMENTS, Element, Scale, Specials

from .mx import MXArray

_NAN = 0x7FC00000
_INF = 0x7F800000
_SIGN = 0x80000000

#: a finite number, or one of the floats inf, -inf and nan
Value = Fraction | float


def element_value(code: int, element: Element) -> Value:
    """Value of one code."""
    if element.is_integer:
        negative = code >> (element.width - 1)
        return Fraction(code - (negative << element.width), 1 << element.mantissa_bits)
    sign, exponent, mantissa = _unpack(code, element)
    if element.specials is Specials.IEEE and exponent == (1 << element.exponent_bits) - 1:
        return math.nan if mantissa else sign * math.inf
    if element.specials is Specials.NAN_ONLY and code & ((1 << (element.width - 1)) - 1) == element.max_code + 1:
        return math.nan
    return sign * _significand(exponent, mantissa, element) * _power(max(exponent, 1) - element.bias)


def scale_value(code: int, scale: Scale) -> Value:
    """Value of one block scale."""
    if scale is Scale.E4M3:
        return element_value(code, ELEMENTS["E4M3"])
    return math.nan if code == 0xFF else _power(code - 127)


def fp32_bits(value: Value) -> int:
    """Bits of the FP32 number nearest to the value, ties to even; overflow gives Inf."""
    if isinstance(value, float):
        return _NAN if math.isnan(value) else _INF | (_SIGN if value < 0 else 0)
    if value == 0:
        return 0
    magnitude = abs(value)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    if magnitude < _power(exponent):
        exponent -= 1
    exponent = max(exponent, -126)
    significand = round(magnitude / _power(exponent - 23))  # of a fraction: exact, ties to even
    bits = min((exponent + 126) * (1 << 23) + significand, _INF)
    return bits | (_SIGN if value < 0 else 0)


def fp32_value(bits: int) -> Value:
    """Value of FP32 bits."""
    return element_value(bits, ELEMENTS["FP32"])


def add(x: Value, y: Value) -> Value:
    """Sum of two values: exact, or what IEEE 754 says of Inf and NaN."""
    if isinstance(x, Fraction) and isinstance(y, Fraction):
        return x + y
    return (x if isinstance(x, float) else 0.0) + (y if isinstance(y, float) else 0.0)


def multiply(x: Value, y: Value) -> Value:
    """Product of two values: exact, or what IEEE 754 says of Inf and NaN."""
    if isinstance(x, Fraction) and isinstance(y, Fraction):
        return x * y
    return _sign_or_special(x) * _sign_or_special(y)


def window_sum(a: list[int], b: list[int], a_element: Element, b_element: Element, window: int) -> Value:
    """Sum of the products of two groups of wide codes, aligned in a window of that many bits."""
    products = [multiply(element_value(x, a_element), element_value(y, b_element)) for x, y in zip(a, b, strict=True)]
    if any(isinstance(product, float) for product in products):
        total: Value = Fraction(0)
        for product in products:
            total = add(total, product)
        return total
    exponents = [_exponent(x, a_element) + _exponent(y, b_element) for x, y in zip(a, b, strict=True)]
    present = [exponent for exponent, product in zip(exponents, products, strict=True) if product]
    if not present:
        return Fraction(0)
    unit = _power(max(present) + 2 - window)
    return sum((math.trunc(Fraction(product) / unit) * unit for product in products), Fraction(0))


def group_sum(a: list[int], b: list[int], a_element: Element, b_element: Element) -> Value:
    """Exact sum of the products of two groups of narrow codes."""
    total: Value = Fraction(0)
    for x, y in zip(a, b, strict=True):
        total = add(total, multiply(element_value(x, a_element), element_value(y, b_element)))
    return total


def matmul_reference(a: MXArray, b: MXArray, *, window: int = 40, epilogue: bool = True) -> NDArray[np.float32]:
    """What `golden.tensor.matmul` gives for the same operands, one result at a time."""
    group = a.format.group
    result = np.zeros((a.shape[0], b.shape[0]), dtype=np.uint32)
    for m in range(a.shape[0]):
        for n in range(b.shape[0]):
            accumulator: Value = Fraction(0)
            for k, start in enumerate(range(0, a.shape[1], group)):
                x, y = a.codes[m, start : start + group].tolist(), b.codes[n, start : start + group].tolist()
                if a.format.is_wide:
                    total = window_sum(x, y, a.format.element, b.format.element, window)
                else:
                    total = group_sum(x, y, a.format.element, b.format.element)
                for array, row in ((a, m), (b, n)):
                    if array.scales is not None:
                        total = _scaled(total, scale_value(int(array.scales[row, k]), array.format.scale))
                accumulator = fp32_value(fp32_bits(add(accumulator, fp32_value(fp32_bits(total)))))
            if epilogue and (a.tensor_scale != 1 or b.tensor_scale != 1):
                factors = Fraction(float(a.tensor_scale)), Fraction(float(b.tensor_scale))
                accumulator = multiply(accumulator, fp32_value(fp32_bits(factors[0] * factors[1])))
            result[m, n] = fp32_bits(accumulator)
    return result.view(np.float32)


def _power(exponent: int) -> Fraction:
    return Fraction(1 << exponent) if exponent >= 0 else Fraction(1, 1 << -exponent)


def _unpack(code: int, element: Element) -> tuple[int, int, int]:
    sign = -1 if code >> (element.width - 1) else 1
    exponent = (code >> element.mantissa_bits) & ((1 << element.exponent_bits) - 1)
    return sign, exponent, code & ((1 << element.mantissa_bits) - 1)


def _significand(exponent: int, mantissa: int, element: Element) -> Fraction:
    return Fraction(mantissa, 1 << element.mantissa_bits) + (1 if exponent else 0)


def _exponent(code: int, element: Element) -> int:
    return max(_unpack(code, element)[1], 1) - element.bias


def _sign_or_special(x: Value) -> float:
    return x if isinstance(x, float) else float((x > 0) - (x < 0))


def _scaled(total: Value, scale: Value) -> Value:
    # a NaN scale wins over everything; an E4M3 scale of zero meets finite sums only
    if isinstance(scale, float):
        return math.nan
    return multiply(total, scale)

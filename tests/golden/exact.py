"""The quantiser's rules in exact rationals, read off docs/numerics.md by search rather than by formula."""

from fractions import Fraction

import numpy as np

from golden.formats import code_dtype, decode
from mtia.formats import Element


def power(exponent: int) -> Fraction:
    """2**exponent."""
    return Fraction(2) ** exponent


def floor_log2(x: Fraction) -> int:
    """The largest exponent whose power of two is not above x."""
    exponent = x.numerator.bit_length() - x.denominator.bit_length()
    return exponent if power(exponent) <= x else exponent - 1


def exact_scale_code(amax: Fraction, element: Element, rule: str) -> int:
    """Scale code of a block with that largest magnitude."""
    if amax == 0:
        return 0
    if rule == "even":
        ulp = power(floor_log2(amax) - element.mantissa_bits)
        amax = ulp * int(amax / ulp + Fraction(1, 2))
    exponent = -400
    if rule in ("floor", "even"):
        while power(exponent + 1 + element.emax) <= amax:
            exponent += 1
    elif rule == "ceil":
        while power(exponent + element.emax) < amax:
            exponent += 1
    else:
        while Fraction(element.max_value) * power(exponent) < amax:
            exponent += 1
    return min(max(exponent + 127, 0), 254)


def significand(code: int, element: Element) -> int:
    """Of a number's code, in units of its last place."""
    exponent, mantissa = divmod(code, 1 << element.mantissa_bits)
    hidden = exponent > 0 and not element.is_integer
    return mantissa + (hidden << element.mantissa_bits)


def exact_element(x: Fraction, element: Element) -> Fraction:
    """Nearest value of the element, saturating, found among all of its values.

    Ties go to the even significand, or to the larger magnitude where both are odd.
    """
    codes = np.arange(element.max_code + 1, dtype=code_dtype(element))
    magnitudes = [Fraction(value) for value in decode(codes, element).tolist()]
    below = max(i for i, value in enumerate(magnitudes) if value <= abs(x))
    if below < element.max_code:
        low, high = abs(x) - magnitudes[below], magnitudes[below + 1] - abs(x)
        above = high < low or (high == low and significand(below, element) % 2 == 1)
        below += above
    return magnitudes[below] * (-1 if x < 0 else 1)

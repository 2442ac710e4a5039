"""What the tests of the golden models share: random operands, comparison of bits, rounding in plain integers."""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.formats import code_dtype, decode
from golden.mx import MXArray
from mtia.formats import FORMATS, Element, Format, Scale

#: every pair of formats that may meet, names in both orders
PAIRS = [(a.name, b.name) for a in FORMATS.values() for b in FORMATS.values() if a.pairs_with(b)]
NARROW_PAIRS = [pair for pair in PAIRS if not FORMATS[pair[0]].is_wide]
WIDE_PAIRS = [pair for pair in PAIRS if FORMATS[pair[0]].is_wide]


def all_codes(element: Element) -> NDArray[Any]:
    """Every code of an element."""
    return np.arange(1 << element.width, dtype=code_dtype(element))


def finite_codes(element: Element) -> NDArray[Any]:
    """Every code that is neither Inf nor NaN."""
    codes = all_codes(element)
    return codes[np.isfinite(decode(codes, element))]


def random_operand(
    generator: np.random.Generator,
    fmt: Format,
    rows: int,
    depth: int,
    *,
    finite: bool = False,
    scales: tuple[int, int] | None = None,
) -> MXArray:
    """Uniform codes, and scale codes from the given range (by default where most results are finite)."""
    choice = finite_codes(fmt.element) if finite else all_codes(fmt.element)
    codes = generator.choice(choice, (rows, depth))
    if not fmt.is_scaled:
        return MXArray.from_codes(codes, None, fmt)
    assert fmt.block is not None
    low, high = scales or ((100, 155) if fmt.scale is Scale.E8M0 else (0, 0x7F))
    shape = (rows, -(-depth // fmt.block))
    factor = np.float32(generator.uniform(0.1, 3)) if fmt.scale is Scale.E4M3 else 1.0
    return MXArray.from_codes(codes, generator.integers(low, high, shape).astype(np.uint8), fmt, factor)


def scales_of(array: MXArray) -> NDArray[np.uint8]:
    """Scales of an array whose format has them."""
    assert array.scales is not None
    return array.scales


def bits(x: Any) -> NDArray[np.uint32]:
    """Bits of an FP32 array; comparing them also tells -0 from +0 and one NaN from another."""
    array = np.asarray(x)
    assert array.dtype == np.float32
    return array.view(np.uint32)


def assert_same_bits(actual: NDArray[np.float32], expected: NDArray[np.float32], note: object = "") -> None:
    """Every bit of two FP32 arrays is the same."""
    assert actual.shape == expected.shape
    wrong = np.argwhere(bits(actual) != bits(expected))
    if len(wrong):
        at = tuple(wrong[0])
        words = f"{int(bits(actual)[at]):#010x}, not {int(bits(expected)[at]):#010x}"
        raise AssertionError(f"{note} {len(wrong)} of {actual.size} differ, first at {at}: {words}")


def round_fp32(total: int, exponent: int) -> int:
    """Bits of the FP32 number nearest to ``total * 2**exponent``, ties to even, in integers alone."""
    if total == 0:
        return 0
    magnitude = abs(total)
    place = max(magnitude.bit_length() - 1 + exponent, -126) - 23
    drop = place - exponent
    if drop <= 0:
        significand = magnitude << -drop
    else:
        significand, rest = magnitude >> drop, magnitude & ((1 << drop) - 1)
        half = 1 << (drop - 1)
        significand += rest > half or (rest == half and significand & 1)
    body = min(((place + 149) << 23) + significand, 0x7F800000)
    return body | (0x80000000 if total < 0 else 0)


def units(codes: NDArray[Any], element: Element) -> NDArray[Any]:
    """Values of finite codes as Python integers, in units of the element's smallest positive number."""
    from golden.reference import element_value

    unit = Fraction(element.min_subnormal)
    table = {int(code): element_value(int(code), element) for code in np.unique(codes)}
    whole = {code: int(Fraction(value) / unit) for code, value in table.items()}
    return np.array([whole[code] for code in codes.ravel().tolist()], dtype=object).reshape(codes.shape)

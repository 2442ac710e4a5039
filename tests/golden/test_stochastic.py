"""Stochastic rounding of elements against exact rationals."""

from fractions import Fraction

import numpy as np
import pytest

from golden.formats import decode, encode
from golden.reference import element_value
from mtia.formats import ELEMENTS
from tests.golden.support import finite_codes

SMALL = [name for name, element in ELEMENTS.items() if element.width <= 16]


@pytest.mark.parametrize("name", [*SMALL, "TF32"])
def test_stochastic_agrees_with_rationals(name: str, seed: int) -> None:
    element = ELEMENTS[name]
    generator = np.random.default_rng(seed)
    exponents = generator.uniform(np.log2(element.min_subnormal) - 2, min(element.emax + 1.5, 128), 2000)
    x = (generator.choice([-1, 1], 2000) * 2.0**exponents).astype(np.float32)
    random_bits = generator.integers(0, 1 << 16, 2000).astype(np.uint16)
    codes = encode(x, element, rounding="stochastic", random_bits=random_bits)
    for value, r, code in zip(x.tolist(), random_bits.tolist(), codes.tolist(), strict=True):
        magnitude = abs(Fraction(value))
        unit = Fraction(element.min_subnormal)
        while not element.is_integer and magnitude >= unit * 2 ** (element.mantissa_bits + 1):
            unit *= 2
        whole, rest = divmod(magnitude / unit, 1)
        rounded = unit * (int(whole) + (int(rest * 65536) + r >= 65536))
        expected = min(rounded, Fraction(element.max_value)) * (-1 if value < 0 else 1)
        assert element_value(code, element) == expected, (value, r)


def test_stochastic_rounds_up_as_often_as_the_fraction_says() -> None:
    random_bits = np.arange(1 << 16).astype(np.uint16)
    x = np.full(1 << 16, 1 + 0.125 * 0.3, np.float32)
    codes = encode(x, ELEMENTS["E4M3"], rounding="stochastic", random_bits=random_bits)
    assert set(codes.tolist()) == {0x38, 0x39}
    assert int((codes == 0x39).sum()) == int(0.3 * 65536)


def test_stochastic_never_moves_an_exact_value() -> None:
    codes = finite_codes(ELEMENTS["E4M3"])
    for r in (0, 65535):
        random_bits = np.full(codes.shape, r, np.uint16)
        x = decode(codes, ELEMENTS["E4M3"])
        np.testing.assert_array_equal(
            encode(x, ELEMENTS["E4M3"], rounding="stochastic", random_bits=random_bits), codes
        )


def test_stochastic_overflow() -> None:
    everything = np.full(2, 0xFFFF, np.uint16)
    codes = encode([460.0, -6e9], ELEMENTS["E4M3"], rounding="stochastic", random_bits=everything)
    assert codes.tolist() == [0x7E, 0xFE]
    top = np.float32(3.4e38)
    codes = encode([top, -top], ELEMENTS["BF16"], rounding="stochastic", random_bits=everything, saturate=False)
    assert codes.tolist() == [0x7F80, 0xFF80]

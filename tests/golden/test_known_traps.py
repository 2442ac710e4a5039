"""The cases that caught real engines: the list at the end of docs/numerics.md, each by name."""

from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from golden.formats import decode, encode
from golden.mx import MXArray, quantize
from golden.reference import fp32_bits
from golden.tensor import matmul, matmul_reference
from mtia.formats import ELEMENTS, FORMATS, MX_FORMATS, get
from tests.golden.support import assert_same_bits, bits, random_operand, scales_of


def fp32(*words: int) -> np.ndarray:
    return np.array(words, np.uint32).view(np.float32)


def test_near_tie_of_a_subnormal_element_keeps_the_sticky_bit() -> None:
    """0x3A800001 lies one ulp above half of E4M3's smallest number."""
    assert quantize(fp32(0x3A800001, 0x3A800000, 0xBA800001), "FP8_E4M3").codes.tolist() == [0x01, 0x00, 0x81]


@pytest.mark.parametrize("name", ["E5M2", "E4M3", "E3M2", "E2M3", "E2M1", "INT8"])
def test_every_near_tie_looks_at_the_last_bit(name: str) -> None:
    element = ELEMENTS[name]
    values = decode(np.arange(element.max_code + 1, dtype=np.uint8), element)
    ties = ((values[:-1] + values[1:]) / 2).astype(np.float32)
    below, above = np.nextafter(ties, np.float32(0)), np.nextafter(ties, np.float32(np.inf))
    codes = np.arange(element.max_code)
    assert encode(below, element).tolist() == codes.tolist()
    assert encode(above, element).tolist() == (codes + 1).tolist()
    assert encode(ties, element).tolist() == (codes + codes % 2).tolist()


@pytest.mark.parametrize("name", MX_FORMATS)
def test_subnormal_fp32_near_ties_in_a_block(name: str) -> None:
    """Under scale code 0 an FP32 subnormal is still rounded on all of its bits."""
    element = get(name).element
    unit = int(element.min_subnormal * 2**22)  # the smallest element in units of 2**-149
    assert unit >= 2
    x = np.zeros(32, np.float32)
    x[:4] = fp32(unit // 2, unit // 2 + 1, unit + unit // 2 - 1, unit + unit // 2)
    array = quantize(x, name)
    assert scales_of(array).tolist() == [0]
    assert array.codes[:4].tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize("exponent", [-100, -1, 0, 1, 23, 100])
@pytest.mark.parametrize("name", MX_FORMATS)
def test_block_maximum_one_ulp_below_a_power_of_two(name: str, exponent: int) -> None:
    """The exponent comes from the bits: a logarithm in floating point is one too high here."""
    power = np.float32(2.0**exponent)
    below = np.nextafter(power, np.float32(0))
    if abs(exponent) > 2:
        assert np.float32(np.log2(np.float64(below))) == exponent
    expected = exponent - get(name).element.emax + 127
    for rule, at_power, just_below in (("floor", 0, -1), ("ceil", 0, 0), ("even", 0, 0)):
        assert int(scales_of(quantize(np.array([power]), name, scale_rule=rule))[0]) == expected + at_power
        assert int(scales_of(quantize(np.array([below]), name, scale_rule=rule))[0]) == expected + just_below


@pytest.mark.parametrize("scale_a", [0, 254])
@pytest.mark.parametrize("scale_b", [0, 127, 254])
@pytest.mark.parametrize("name", MX_FORMATS)
def test_scale_codes_0_and_254(name: str, scale_a: int, scale_b: int) -> None:
    one = encode([1.0], get(name).element)
    a, b = (MXArray.from_codes(one[None], np.array([[scale]], np.uint8), name) for scale in (scale_a, scale_b))
    expected = fp32_bits(Fraction(2) ** (scale_a + scale_b - 254))
    assert int(bits(matmul(a, b))[0, 0]) == expected
    assert int(bits(a.dequantize())[0, 0]) == fp32_bits(Fraction(2) ** (scale_a - 127))


def test_distinct_scales_per_row_and_block(seed: int) -> None:
    """Each row and block has a scale of its own; a mixed-up index changes the result."""
    generator = np.random.default_rng(seed)
    ones = encode(np.ones((4, 96)), get("MXFP8_E4M3").element)
    a = MXArray.from_codes(ones, generator.permutation(12).reshape(4, 3).astype(np.uint8) + 122, "MXFP8_E4M3")
    b = MXArray.from_codes(ones, generator.permutation(12).reshape(4, 3).astype(np.uint8) + 122, "MXFP8_E4M3")
    left, right = (2.0 ** (scales_of(t).astype(float) - 127) for t in (a, b))
    np.testing.assert_array_equal(matmul(a, b), 32 * left @ right.T)


@pytest.mark.parametrize("name", MX_FORMATS)
def test_zero_group_sum_under_huge_scales(name: str) -> None:
    element = get(name).element
    codes = encode([[1.0, -1.0, 0.0, -0.0]], element)
    huge = np.array([[254]], np.uint8)
    a = MXArray.from_codes(codes, huge, name)
    b = MXArray.from_codes(encode([[1.0, 1.0, -1.0, 1.0]], element), huge, name)
    assert int(bits(matmul(a, b))[0, 0]) == 0


@pytest.mark.parametrize("ulps", [1, 2, 3])
@pytest.mark.parametrize("sign", [1, -1])
def test_cancellation_within_3_ulp(ulps: int, sign: int) -> None:
    """The accumulator holds 1 and the next group is 1 to 3 ulp short of -1: what is left is exact."""
    element = ELEMENTS["E4M3"]
    a_codes = encode([[sign] + [0] * 31 + [-sign * 8, sign * ulps * 2.0**-9]], element)
    b_codes = encode([[1] + [0] * 31 + [8, 2.0**-9]], element)
    a = MXArray.from_codes(a_codes, np.array([[127, 127 - 6]], np.uint8), "MXFP8_E4M3")
    b = MXArray.from_codes(b_codes, np.array([[127, 127]], np.uint8), "MXFP8_E4M3")
    result = matmul(a, b)
    assert_same_bits(result, matmul_reference(a, b))
    assert float(result[0, 0]) == sign * ulps * 2.0**-24


@pytest.mark.parametrize("ulps", [0, 1, 2, 3])
@pytest.mark.parametrize(("name", "one", "small"), [("BF16", 0x3F80, 103), ("TF32", 0x1FC00, 103)])
def test_cancellation_within_3_ulp_in_a_wide_group(name: str, one: int, small: int, ulps: int) -> None:
    """Inside a group, 1 - 1 leaves what the window keeps, here 0 to 3 times 2**-24."""
    dtype = np.uint16 if name == "BF16" else np.uint32
    unit = small << get(name).element.mantissa_bits
    a = MXArray.from_codes(np.array([[one] * 5], dtype), None, name)
    b_codes = [one, one | 1 << (get(name).element.width - 1)] + [unit] * ulps + [0] * (3 - ulps)
    b = MXArray.from_codes(np.array([b_codes], dtype), None, name)
    assert float(matmul(a, b)[0, 0]) == ulps * 2.0**-24


def test_casting_through_float64_rounds_twice() -> None:
    """1 + 2**-4 + 2**-40 is above a tie of E4M3 that its FP32 neighbour meets; E5M2 sums need more than 53 bits."""
    x = 1 + 2.0**-4 + 2.0**-40
    assert encode([x], ELEMENTS["E4M3"]).tolist() == [0x39]
    assert encode([np.float32(x)], ELEMENTS["E4M3"]).tolist() == [0x38]
    a = MXArray.from_codes(np.array([[0x78, 0x78, 0x48, 0x01]], np.uint8), None, "FP8_E5M2")
    b = MXArray.from_codes(np.array([[0x78, 0x78, 0x4C, 0x01]], np.uint8), None, "FP8_E5M2")
    twice = (decode(a.codes, a.format.element) @ decode(b.codes, b.format.element).T).astype(np.float32)
    assert (int(bits(twice)[0, 0]), int(bits(matmul(a, b))[0, 0])) == (0x4F000000, 0x4F000001)


@pytest.mark.parametrize(("name", "oracle"), [("E4M3", ml_dtypes.float8_e4m3fn), ("E5M2", ml_dtypes.float8_e5m2)])
def test_overflow_of_ml_dtypes_is_not_ours(name: str, oracle: Any) -> None:
    x = np.array([1e6, -1e6], np.float32)
    assert not np.isfinite(x.astype(oracle).astype(np.float32)).any()
    top = ELEMENTS[name].max_value
    assert decode(encode(x, ELEMENTS[name]), ELEMENTS[name]).tolist() == [top, -top]


@pytest.mark.parametrize("name", MX_FORMATS)
def test_nan_is_not_minus_zero(name: str) -> None:
    """ml_dtypes turns NaN into -0 in FP6 and FP4; here it makes the scale of its block NaN."""
    if name == "MXFP4":
        with np.errstate(invalid="ignore"):
            assert np.array([np.nan], np.float32).astype(ml_dtypes.float4_e2m1fn).view(np.uint8).tolist() == [8]
    array = quantize(np.array([np.nan, 1.0], np.float32), name)
    assert (scales_of(array).tolist(), array.codes.tolist()) == ([0xFF], [0, 0])


def test_scale_is_floored_and_not_rounded_to_nearest() -> None:
    """ml_dtypes casts 1.75 to the E8M0 of 2; the floor rule takes 1."""
    assert np.array([1.75], np.float32).astype(ml_dtypes.float8_e8m0fnu).view(np.uint8).tolist() == [128]
    assert scales_of(quantize(np.array([1.75], np.float32), "MXINT8")).tolist() == [127]


@pytest.mark.parametrize("name", FORMATS)
def test_an_all_zeros_engine_is_caught(name: str, seed: int) -> None:
    """Comparing bits finds what a tolerance passes."""
    generator = np.random.default_rng(seed)
    x, y = (random_operand(generator, get(name), 8, 64, finite=True) for _ in range(2))
    result = matmul(x, y)
    with pytest.raises(AssertionError, match="differ, first at"):
        assert_same_bits(np.zeros_like(result), result)


def test_comparison_tells_zeros_and_nans_apart() -> None:
    for a, b in ((0x00000000, 0x80000000), (0x7FC00000, 0xFFC00000), (0x3F800000, 0x3F800001)):
        with pytest.raises(AssertionError, match="1 of 1 differ"):
            assert_same_bits(fp32(a), fp32(b))
        assert_same_bits(fp32(a), fp32(a))


def test_a_negative_sum_that_underflows_leaves_plus_zero() -> None:
    one = np.array([[0xB8]], np.uint8)
    a = MXArray.from_codes(one, np.array([[0]], np.uint8), "MXFP8_E4M3")
    b = MXArray.from_codes(one ^ 0x80, np.array([[0]], np.uint8), "MXFP8_E4M3")
    assert int(bits(matmul(a, b))[0, 0]) == 0

"""The quantiser against exact rationals and ml_dtypes, its layout, and what it refuses."""

from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from golden.formats import decode, decode_scale, encode, nan_code
from golden.mx import SCALE_RULES, MXArray, quantize
from golden.reference import element_value, fp32_bits
from mtia.formats import FORMATS, MX_FORMATS, Element, Format, Scale, get
from tests.golden.exact import exact_element, exact_scale_code, power
from tests.golden.support import bits, random_operand, scales_of
from tests.oracles import ORACLES

SCALED = [name for name, fmt in FORMATS.items() if fmt.is_scaled]
UNSCALED = [name for name, fmt in FORMATS.items() if not fmt.is_scaled]


def fp32(*words: int) -> np.ndarray:
    return np.array(words, np.uint32).view(np.float32)


def random_blocks(generator: np.random.Generator, rows: int, depth: int = 32) -> np.ndarray:
    """Rows of FP32 over all exponents, with coarse values that tie and largest values near powers of two."""
    x = generator.standard_normal((rows, depth)) * 2.0 ** generator.integers(-8, 1, (rows, depth))
    x[::3] = np.rint(x[::3] * 16) / 16
    x[1::5, 0] = 2.0 ** generator.integers(1, 4, len(x[1::5])) * (1 - generator.integers(0, 3, len(x[1::5])) * 2.0**-24)
    x *= 2.0 ** generator.integers(-140, 120, (rows, 1))
    return x.astype(np.float32)


@pytest.mark.parametrize("rule", SCALE_RULES)
@pytest.mark.parametrize("name", MX_FORMATS)
def test_scales_and_elements_agree_with_rationals(name: str, rule: str, seed: int) -> None:
    element = get(name).element
    x = random_blocks(np.random.default_rng(seed), 60)
    array = quantize(x, name, scale_rule=rule)
    for row, scale, codes in zip(x, scales_of(array)[:, 0].tolist(), array.codes, strict=True):
        values = [Fraction(value) for value in row.tolist()]
        assert scale == exact_scale_code(max(map(abs, values)), element, rule)
        for value, code in list(zip(values, codes.tolist(), strict=True))[:8]:
            assert element_value(code, element) == exact_element(value / power(scale - 127), element)


@pytest.mark.parametrize("name", [name for name in MX_FORMATS if name != "MXINT8"])
def test_elements_agree_with_ml_dtypes(name: str, seed: int) -> None:
    element = get(name).element
    x = random_blocks(np.random.default_rng(seed), 2000)
    array = quantize(x, name)
    # a float32 quotient: exact where it is no float32 subnormal, and those are zero in every element
    scaled = x.astype(np.float64) / decode_scale(scales_of(array), Scale.E8M0)
    clamped = np.clip(scaled, -element.max_value, element.max_value).astype(np.float32)
    np.testing.assert_array_equal(array.codes, clamped.astype(ORACLES[element.name]).view(np.uint8))


@pytest.mark.parametrize("name", MX_FORMATS)
def test_rceil_never_clips(name: str, seed: int) -> None:
    element = get(name).element
    x = random_blocks(np.random.default_rng(seed), 1000)
    scale = decode_scale(scales_of(quantize(x, name, scale_rule="rceil")), Scale.E8M0)[:, 0]
    amax = np.abs(x).max(axis=1).astype(np.float64)
    assert (amax <= scale * element.max_value).all()
    above = scale > 2.0**-127
    assert (amax[above] > scale[above] / 2 * element.max_value).all()


@pytest.mark.parametrize("name", SCALED)
def test_ragged_block_is_as_if_padded_with_zeros(name: str, seed: int) -> None:
    x = random_blocks(np.random.default_rng(seed), 5, 40)
    padded = np.pad(x, [(0, 0), (0, 24)])
    ragged, whole = quantize(x, name), quantize(padded, name)
    assert ragged.codes.shape == (5, 40)
    np.testing.assert_array_equal(ragged.codes, whole.codes[:, :40])
    blocks = -(-40 // (get(name).block or 1))
    np.testing.assert_array_equal(scales_of(ragged), scales_of(whole)[:, :blocks])
    np.testing.assert_array_equal(ragged.dequantize(), whole.dequantize()[:, :40])


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_axis_is_the_blocked_one(name: str, axis: int, seed: int) -> None:
    x = random_blocks(np.random.default_rng(seed), 3 * 50, 7).reshape(3, 50, 7).astype(np.float32)
    x = np.clip(x, -1e30, 1e30)
    array = quantize(x, name, axis=axis)
    moved = quantize(np.ascontiguousarray(np.moveaxis(x, axis, -1)), name)
    assert array.shape == x.shape
    np.testing.assert_array_equal(array.codes, np.moveaxis(moved.codes, -1, axis))
    assert array.tensor_scale == moved.tensor_scale
    np.testing.assert_array_equal(array.dequantize(), np.moveaxis(moved.dequantize(), -1, axis))
    if get(name).is_scaled:
        assert array.axis == axis % 3
        np.testing.assert_array_equal(scales_of(array), np.moveaxis(scales_of(moved), -1, axis))


@pytest.mark.parametrize("name", MX_FORMATS)
@pytest.mark.parametrize("word", [0x7F800000, 0xFF800000, 0x7FC00000, 0xFFFFFFFF, 0x7F800001])
def test_nan_or_inf_spoils_its_block_only(name: str, word: int) -> None:
    x = np.ones((2, 64), np.float32)
    x[1, 3:4] = fp32(word)
    array = quantize(x, name)
    one = quantize(np.ones((1, 32), np.float32), name)
    good = int(scales_of(one)[0, 0])
    assert scales_of(array).tolist() == [[good, good], [0xFF, good]]
    assert not array.codes[1, :32].any()
    assert (array.codes[1, 32:] == one.codes[0, 0]).all()
    assert (bits(array.dequantize()[1, :32]) == 0x7FC00000).all()


def test_stochastic_replays_its_random_bits(seed: int) -> None:
    generator = np.random.default_rng(seed)
    x = random_blocks(generator, 20, 50)
    random_bits = generator.integers(0, 1 << 16, x.shape).astype(np.uint16)
    for name in FORMATS:
        array = quantize(x, name, rounding="stochastic", random_bits=random_bits)
        again = quantize(x, name, rounding="stochastic", random_bits=random_bits.copy())
        np.testing.assert_array_equal(array.codes, again.codes)
        other = quantize(x, name, rounding="stochastic", random_bits=~random_bits)
        assert (array.codes != other.codes).any()
        if array.scales is not None:
            np.testing.assert_array_equal(array.scales, scales_of(quantize(x, name)))
        zero = quantize(x, name, rounding="stochastic", random_bits=np.zeros_like(random_bits)).dequantize()
        assert (np.abs(zero) <= np.abs(x))[np.isfinite(zero)].all()  # FP16 overflows


@pytest.mark.parametrize("name", ["MXFP8_E4M3", "MXFP4", "NVFP4"])
def test_stochastic_bits_follow_the_axis(name: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((40, 6)).astype(np.float32)
    random_bits = generator.integers(0, 1 << 16, x.shape).astype(np.uint16)
    along = quantize(x, name, axis=0, rounding="stochastic", random_bits=random_bits)
    turned = quantize(x.T, name, rounding="stochastic", random_bits=random_bits.T)
    np.testing.assert_array_equal(along.codes, turned.codes.T)


def exact_nvfp4(row: np.ndarray, factor: Fraction) -> tuple[Fraction, list[Fraction]]:
    """Block scale and elements in rationals: one rounding each."""
    values = [Fraction(value) for value in row.tolist()]
    e4m3, e2m1 = FORMATS["FP8_E4M3"].element, FORMATS["NVFP4"].element
    scale = exact_element(max(map(abs, values)) / 6 / factor, e4m3)
    if scale == 0:
        return scale, [Fraction(0)] * len(values)
    return scale, [exact_element(value / (scale * factor), e2m1) for value in values]


@pytest.mark.parametrize("tensor_scale", [None, 1.0, 0.1, 1e-30, 3e30])
def test_nvfp4_agrees_with_rationals(tensor_scale: float | None, seed: int) -> None:
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((40, 16)) * 2.0 ** generator.integers(-14, 2, (40, 1))
    x[::3] = np.rint(x[::3] * 8) / 8 * 2.0 ** generator.integers(-2, 3)
    x = (x * (tensor_scale or 1.0) * 100).astype(np.float32)
    array = quantize(x, "NVFP4", tensor_scale=tensor_scale)
    amax = Fraction(float(np.abs(x).max()))
    expected = np.float32(tensor_scale) if tensor_scale else np.uint32(fp32_bits(amax / 2688)).view(np.float32)
    assert array.tensor_scale == expected
    for row, scale, codes in zip(x, scales_of(array)[:, 0].tolist(), array.codes, strict=True):
        block, elements = exact_nvfp4(row, Fraction(float(array.tensor_scale)))
        assert element_value(scale, FORMATS["FP8_E4M3"].element) == block
        assert [element_value(code, FORMATS["NVFP4"].element) for code in codes.tolist()] == elements


def test_nvfp4_of_zeros_and_of_the_smallest() -> None:
    zero = quantize(np.array([[0.0, -0.0]], np.float32), "NVFP4")
    assert (float(zero.tensor_scale), scales_of(zero).tolist(), zero.codes.tolist()) == (1, [[0]], [[0, 8]])
    tiny = quantize(fp32(1, 0x80000001), "NVFP4")
    assert tiny.tensor_scale == 2.0**-149
    assert scales_of(tiny).tolist() == [0x23]
    assert tiny.codes.tolist() == [7, 15]


def test_nvfp4_scale_that_underflows_leaves_signed_zeros() -> None:
    array = quantize(np.array([1e-6, -1e-6], np.float32), "NVFP4", tensor_scale=1.0)
    assert (scales_of(array).tolist(), array.codes.tolist()) == ([0], [0, 8])


def test_nvfp4_nan_block_does_not_count_in_the_tensor() -> None:
    x = np.ones((2, 16), np.float32)
    x[0, :2] = np.nan, 1e30
    array = quantize(x, "NVFP4")
    assert array.tensor_scale == np.float32(1) / np.float32(2688)
    assert scales_of(array).tolist() == [[0x7F], [0x7E]]
    assert not array.codes[0].any()
    assert (bits(array.dequantize()[0]) == 0x7FC00000).all()


@pytest.mark.parametrize("name", UNSCALED)
def test_unscaled_formats_are_plain_conversions(name: str) -> None:
    fmt = get(name)
    x = np.array([1.0, -1.0, np.inf, -np.inf, np.nan, 3e38], np.float32)
    array = quantize(x, name)
    assert array.scales is None
    values = array.dequantize()
    assert values[:2].tolist() == [1, -1]
    top = fmt.element.max_value if fmt.element.width == 8 else np.inf
    assert values[2:4].tolist() == [top, -top]
    assert array.codes[4] == nan_code(fmt.element)
    assert values[5] == (top if name not in ("BF16", "TF32") else pytest.approx(3e38, rel=2**-8))


@pytest.mark.parametrize("name", FORMATS)
def test_dequantize_agrees_with_rationals(name: str, seed: int) -> None:
    fmt = get(name)
    array = random_operand(np.random.default_rng(seed), fmt, 12, 70, finite=True, scales=(0, 127))
    for (i, j), value in np.ndenumerate(array.dequantize()):
        exact = element_value(int(array.codes[i, j]), fmt.element)
        assert isinstance(exact, Fraction)
        if array.scales is not None:
            assert fmt.block is not None
            exact *= Fraction(float(decode_scale(scales_of(array), fmt.scale)[i, j // fmt.block]))
        exact *= Fraction(float(array.tensor_scale))
        assert int(bits(value)) & 0x7FFFFFFF == fp32_bits(abs(exact)), (i, j)
        assert exact == 0 or (value < 0) == (exact < 0) or value == 0


def test_dequantize_overflows_to_inf_and_keeps_subnormals() -> None:
    array = MXArray.from_codes(np.array([0x7E, 0xFE, 0x00, 0x80], np.uint8), np.array([254], np.uint8), "MXFP8_E4M3")
    assert bits(array.dequantize()).tolist() == [0x7F800000, 0xFF800000, 0, 0x80000000]
    array = MXArray.from_codes(np.array([0x38, 0x01], np.uint8), np.array([0], np.uint8), "MXFP8_E4M3")
    assert array.dequantize().tolist() == [2.0**-127, 2.0**-136]


@pytest.mark.parametrize("name", FORMATS)
def test_requantising_changes_nothing(name: str, seed: int) -> None:
    x = (np.random.default_rng(seed).standard_normal((6, 64)) * 3).astype(np.float32)
    first = quantize(x, name)
    again = quantize(first.dequantize(), name, tensor_scale=first.tensor_scale if name == "NVFP4" else None)
    np.testing.assert_array_equal(first.dequantize(), again.dequantize())


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_float_inputs_are_converted_to_fp32(dtype: Any, seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((2, 32)).astype(dtype)
    np.testing.assert_array_equal(quantize(x, "MXFP8_E4M3").codes, quantize(x.astype(np.float32), "MXFP8_E4M3").codes)


def test_format_by_name_or_row() -> None:
    x = np.ones(32, np.float32)
    by_row: Format = get("MXFP4")
    assert quantize(x, by_row).format is quantize(x, "mxfp4").format is by_row


def test_from_codes_takes_what_quantize_gives(seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((3, 40, 5)).astype(np.float32)
    for name in FORMATS:
        array = quantize(x, name, axis=1)
        again = MXArray.from_codes(array.codes, array.scales, name, array.tensor_scale, axis=1)
        assert (again.format, again.tensor_scale, again.shape) == (array.format, array.tensor_scale, (3, 40, 5))
        np.testing.assert_array_equal(again.dequantize(), array.dequantize())


def test_ties_where_there_is_no_mantissa() -> None:
    """Zero is even and the smallest number odd; of two powers of two both are odd, and the larger is taken."""
    element = Element(name="E3M0", exponent_bits=3, mantissa_bits=0, bias=3)
    ties = [(0.125, 0.0), (0.375, 0.5), (0.75, 1.0), (1.5, 2.0), (3.0, 4.0), (6.0, 8.0), (12.0, 16.0)]
    x = np.array([sign * tie for tie, _ in ties for sign in (1, -1)])
    assert decode(encode(x, element), element).tolist() == [sign * value for _, value in ties for sign in (1, -1)]
    assert [exact_element(Fraction(tie), element) for tie, _ in ties] == [value for _, value in ties]

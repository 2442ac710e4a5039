"""Element codes against ml_dtypes, numpy's own binary16 and exact rationals."""

import ml_dtypes
import numpy as np
import pytest

from golden.formats import (
    check_codes,
    code_dtype,
    decode,
    decode_scale,
    encode,
    fields,
    inf_code,
    nan_code,
)
from golden.reference import element_value, scale_value
from mtia.formats import ELEMENTS, Scale, Specials
from tests import oracles
from tests.golden.support import all_codes, finite_codes

#: the type of somebody else's library for each float element; TF32 has none
ORACLES = oracles.ORACLES | {"FP32": np.float32}
SMALL = [name for name, element in ELEMENTS.items() if element.width <= 16]
FLOATS = [name for name, element in ELEMENTS.items() if not element.is_integer]


def fp32(*words: int) -> np.ndarray:
    return np.array(words, np.uint32).view(np.float32)


def oracle_codes(x: np.ndarray, name: str) -> np.ndarray:
    """Codes that the other library gives; for MX elements, whose overflow saturates, of the clamped input."""
    element = ELEMENTS[name]
    if element.width <= 8:
        x = np.clip(x, np.float32(-element.max_value), np.float32(element.max_value))
    with np.errstate(over="ignore", under="ignore"):
        return x.astype(ORACLES[name]).view(code_dtype(element))


def tf32_codes(x: np.ndarray) -> np.ndarray:
    """RNE to 10 mantissa bits on the FP32 bits, finite inputs."""
    word = x.view(np.uint32).astype(np.int64)
    return ((word + 0xFFF + ((word >> 13) & 1)) >> 13).astype(np.uint32)


def hard_inputs(name: str, generator: np.random.Generator) -> np.ndarray:
    """Finite FP32 inputs: every code (of 16 bits: every one), every tie, the neighbours of both, random bits."""
    element = ELEMENTS[name]
    codes = finite_codes(element) if element.width <= 16 else generator.choice(finite_codes(ELEMENTS["TF32"]), 1 << 16)
    values = np.unique(np.abs(decode(codes, element if element.width <= 16 else ELEMENTS["TF32"])))
    ties = (values[:-1] + values[1:]) / 2
    above = values[-1] + (values[-1] - values[-2]) / 2
    with np.errstate(over="ignore", under="ignore"):
        points = np.concatenate([values, ties, [above]]).astype(np.float32)
        points = np.concatenate([points, np.nextafter(points, np.float32(0)), np.nextafter(points, np.float32(np.inf))])
    low, high = np.float32(element.min_subnormal / 8).view(np.uint32), np.float32(element.max_value).view(np.uint32)
    inside = generator.integers(low, int(high) + 1, 1 << 18).astype(np.uint32)
    words = generator.integers(0, 1 << 31, 1 << 18).astype(np.uint32)
    x = np.concatenate([points, inside.view(np.float32), words.view(np.float32)])
    x = x[np.isfinite(x)]
    return np.concatenate([x, -x])


@pytest.mark.parametrize("name", sorted(ORACLES))
def test_decode_agrees_with_other_libraries(name: str, seed: int) -> None:
    element = ELEMENTS[name]
    codes = (
        all_codes(element)
        if element.width <= 16
        else np.random.default_rng(seed).integers(0, 1 << 32, 1 << 20).astype(np.uint32)
    )
    with np.errstate(invalid="ignore"):
        expected = codes.view(ORACLES[name]).astype(np.float64)
    actual = decode(codes, element)
    np.testing.assert_array_equal(actual, expected)
    real = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(actual[real]), np.signbit(expected[real]))
    assert not np.signbit(actual[~real]).any()


def test_decode_int8_agrees_with_numpy() -> None:
    codes = all_codes(ELEMENTS["INT8"])
    np.testing.assert_array_equal(decode(codes, ELEMENTS["INT8"]), codes.view(np.int8) / 64)


def test_decode_tf32_is_the_top_of_fp32() -> None:
    codes = all_codes(ELEMENTS["TF32"])
    with np.errstate(invalid="ignore"):
        expected = (codes << 13).view(np.float32).astype(np.float64)
    np.testing.assert_array_equal(decode(codes, ELEMENTS["TF32"]), expected)


@pytest.mark.parametrize("name", SMALL)
def test_decode_agrees_with_rationals(name: str, seed: int) -> None:
    element = ELEMENTS[name]
    codes = all_codes(element)
    if element.width > 8:
        codes = np.random.default_rng(seed).choice(codes, 4096)
    for code, value in zip(codes.tolist(), decode(codes, element).tolist(), strict=True):
        exact = element_value(code, element)
        assert value == exact or (np.isnan(value) and exact != exact), (code, value, exact)


@pytest.mark.parametrize("name", list(ELEMENTS))
def test_fields_give_the_value(name: str) -> None:
    element = ELEMENTS[name]
    codes = (
        finite_codes(element) if element.width <= 19 else fp32(1, 0x007FFFFF, 0x00800000, 0xFF7FFFFF).view(np.uint32)
    )
    sign, significand, exponent = fields(codes, element)
    value = np.where(sign, -1.0, 1.0) * np.ldexp(significand.astype(float), exponent - element.mantissa_bits)
    np.testing.assert_array_equal(value, decode(codes, element))
    assert int(significand.max()) < 1 << element.significand_bits
    assert int(exponent.min()) == element.emin


def test_decode_e8m0_agrees_with_ml_dtypes() -> None:
    codes = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(
        decode_scale(codes, Scale.E8M0), codes.view(ml_dtypes.float8_e8m0fnu).astype(np.float64)
    )


@pytest.mark.parametrize("scale", [Scale.E8M0, Scale.E4M3])
def test_decode_scale_agrees_with_rationals(scale: Scale) -> None:
    codes = np.arange(256 if scale is Scale.E8M0 else 128, dtype=np.uint8)
    for code, value in zip(codes.tolist(), decode_scale(codes, scale).tolist(), strict=True):
        exact = scale_value(code, scale)
        assert value == exact or (np.isnan(value) and exact != exact)


@pytest.mark.parametrize("name", sorted(set(ORACLES) - {"FP32"}))
def test_encode_agrees_with_other_libraries(name: str, seed: int) -> None:
    x = hard_inputs(name, np.random.default_rng(seed))
    codes = encode(x, ELEMENTS[name], saturate=ELEMENTS[name].width <= 8)
    expected = oracle_codes(x, name)
    wrong = np.nonzero(codes != expected)[0]
    assert not len(wrong), [(hex(x[i : i + 1].view(np.uint32)[0]), codes[i], expected[i]) for i in wrong[:5]]


def test_encode_tf32_agrees_with_integers(seed: int) -> None:
    x = hard_inputs("TF32", np.random.default_rng(seed))
    np.testing.assert_array_equal(encode(x, ELEMENTS["TF32"], saturate=False), tf32_codes(x))


def test_encode_fp32_is_the_identity(seed: int) -> None:
    x = hard_inputs("FP32", np.random.default_rng(seed))
    np.testing.assert_array_equal(encode(x, ELEMENTS["FP32"], saturate=False), x.view(np.uint32))


def test_encode_fp32_rounds_float64_once(seed: int) -> None:
    generator = np.random.default_rng(seed)
    x = generator.standard_normal(1 << 16) * 2.0 ** generator.integers(-160, 130, 1 << 16)
    with np.errstate(over="ignore", under="ignore"):
        expected = x.astype(np.float32).view(np.uint32)
    np.testing.assert_array_equal(encode(x, ELEMENTS["FP32"], saturate=False), expected)


def test_encode_int8_agrees_with_numpy(seed: int) -> None:
    x = np.concatenate([np.arange(-600, 601) / 256, np.random.default_rng(seed).uniform(-3, 3, 1 << 16)])
    expected = np.clip(np.rint(x * 64), -127, 127).astype(np.int8).view(np.uint8)
    np.testing.assert_array_equal(encode(x, ELEMENTS["INT8"]), expected)


@pytest.mark.parametrize("name", [*SMALL, "TF32"])
def test_encode_gives_back_every_finite_code(name: str) -> None:
    codes = finite_codes(ELEMENTS[name])
    if ELEMENTS[name].is_integer:
        codes = codes[codes != 0x80]  # -128 is decoded but never made
    np.testing.assert_array_equal(encode(decode(codes, ELEMENTS[name]), ELEMENTS[name]), codes)


@pytest.mark.parametrize("name", FLOATS)
def test_underflow_keeps_the_sign(name: str) -> None:
    element = ELEMENTS[name]
    tiny = element.min_subnormal / 4
    assert encode([tiny, -tiny, 0.0, -0.0], element).tolist() == [0, 1 << (element.width - 1)] * 2


@pytest.mark.parametrize(
    ("name", "saturate", "expected"),
    [
        ("E5M2", True, [0x7B, 0xFB, 0x7B, 0x7E]),
        ("E5M2", False, [0x7C, 0xFC, 0x7C, 0x7E]),
        ("E4M3", True, [0x7E, 0xFE, 0x7E, 0x7F]),
        ("E4M3", False, [0x7F, 0xFF, 0x7F, 0x7F]),
        ("BF16", False, [0x7F80, 0xFF80, 0x7F80, 0x7FC0]),
        ("FP16", False, [0x7C00, 0xFC00, 0x7C00, 0x7E00]),
        ("TF32", False, [0x3FC00, 0x7FC00, 0x3FC00, 0x3FE00]),
        ("FP32", False, [0x7F800000, 0xFF800000, 0x7F800000, 0x7FC00000]),
    ],
)
def test_overflow_and_nan(name: str, saturate: bool, expected: list[int]) -> None:
    assert encode([np.inf, -np.inf, 1e300, -np.nan], ELEMENTS[name], saturate=saturate).tolist() == expected


@pytest.mark.parametrize("name", ["E3M2", "E2M3", "E2M1", "INT8"])
def test_small_elements_saturate(name: str) -> None:
    element = ELEMENTS[name]
    low = (-element.max_code & 0xFF) if element.is_integer else element.max_code | 1 << (element.width - 1)
    assert encode([np.inf, -np.inf, 1e300, -1e300], element).tolist() == [element.max_code, low] * 2


@pytest.mark.parametrize("name", ["E5M2", "E4M3", "BF16", "FP16", "TF32", "FP32"])
def test_special_codes_decode_to_specials(name: str) -> None:
    element = ELEMENTS[name]
    assert np.isnan(decode(np.array([nan_code(element)], code_dtype(element)), element))
    if element.specials is Specials.IEEE:
        assert decode(np.array([inf_code(element)], code_dtype(element)), element) == np.inf


def test_wrong_special() -> None:
    with pytest.raises(ValueError, match="Element must have a NaN, not 'E2M1'"):
        nan_code(ELEMENTS["E2M1"])
    with pytest.raises(ValueError, match="Element must have an infinity, not 'E4M3'"):
        inf_code(ELEMENTS["E4M3"])
    with pytest.raises(ValueError, match="Element must have a NaN, not 'INT8'"):
        encode([np.nan], ELEMENTS["INT8"])
    with pytest.raises(ValueError, match="Saturate must be True for E3M2"):
        encode([1.0], ELEMENTS["E3M2"], saturate=False)


def test_wrong_codes() -> None:
    with pytest.raises(TypeError, match="Codes must be of dtype uint8 for E4M3, not 'int64'"):
        decode(np.array([1], np.int64), ELEMENTS["E4M3"])
    with pytest.raises(ValueError, match="Codes must be below 64 for E3M2, not 64"):
        check_codes(np.array([0, 64], np.uint8), ELEMENTS["E3M2"])
    with pytest.raises(ValueError, match="Codes must be below 524288 for TF32, not 524288"):
        decode(np.array([1 << 19], np.uint32), ELEMENTS["TF32"])


def test_wrong_scales() -> None:
    with pytest.raises(ValueError, match="Scale must be a type of scale, not 'none'"):
        decode_scale(np.zeros(1, np.uint8), Scale.NONE)
    with pytest.raises(TypeError, match="Scales must be of dtype uint8, not 'float32'"):
        decode_scale(np.zeros(1, np.float32), Scale.E8M0)
    with pytest.raises(ValueError, match="Scales must be below 128 for unsigned E4M3, not 128"):
        decode_scale(np.array([128], np.uint8), Scale.E4M3)


def test_wrong_rounding() -> None:
    with pytest.raises(ValueError, match="Rounding must be one of rne, stochastic, not 'rn'; did you mean rne"):
        encode([1.0], ELEMENTS["E4M3"], rounding="rn")
    with pytest.raises(ValueError, match="Random bits must be None for rounding 'rne', not 'ndarray'"):
        encode([1.0], ELEMENTS["E4M3"], random_bits=np.zeros(1, np.uint16))
    with pytest.raises(ValueError, match="Random bits must be an array for rounding 'stochastic', not None"):
        encode([1.0], ELEMENTS["E4M3"], rounding="stochastic")
    with pytest.raises(TypeError, match="Random bits must be of dtype uint16, not 'int64'"):
        encode([1.0], ELEMENTS["E4M3"], rounding="stochastic", random_bits=np.zeros(1, np.int64))
    with pytest.raises(ValueError, match=r"Random bits must be of shape \(1,\), not \(2,\)"):
        encode([1.0], ELEMENTS["E4M3"], rounding="stochastic", random_bits=np.zeros(2, np.uint16))

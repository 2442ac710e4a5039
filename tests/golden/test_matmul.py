"""The fast matrix product against the slow one, at its tiles' edges, in time, and what it refuses."""

import time
from typing import Any

import numpy as np
import pytest

from golden.formats import fields
from golden.groups import sum_bits
from golden.mx import MXArray, quantize
from golden.tensor import MAX_WINDOW, MIN_WINDOW, matmul, matmul_reference
from mtia.formats import FORMATS, MX_FORMATS, get
from tests.golden.support import (
    NARROW_PAIRS,
    PAIRS,
    WIDE_PAIRS,
    assert_same_bits,
    bits,
    random_operand,
    round_fp32,
    scales_of,
    units,
)

NAN, INF, NEGATIVE_INF = 0x7FC00000, 0x7F800000, 0xFF800000


def operand(name: str, codes: list[int], scale: int = 127, **keywords: Any) -> MXArray:
    """One row, one scale for all of its blocks."""
    fmt = get(name)
    array = np.array(
        [codes], np.uint16 if fmt.element.width == 16 else np.uint32 if fmt.element.width > 16 else np.uint8
    )
    blocks = -(-len(codes) // fmt.block) if fmt.block else 0
    return MXArray.from_codes(array, np.full((1, blocks), scale, np.uint8) if blocks else None, fmt, **keywords)


def result_bits(a: MXArray, b: MXArray, **keywords: Any) -> int:
    """Bits of a one by one product, from both models."""
    fast, slow = matmul(a, b, **keywords), matmul_reference(a, b, **keywords)
    assert_same_bits(fast, slow)
    return int(bits(fast)[0, 0])


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_agrees_with_the_reference(a: str, b: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    for depth, finite in ((75, False), (96, True), (7, True)):
        x = random_operand(generator, get(a), 5, depth, finite=finite)
        y = random_operand(generator, get(b), 6, depth, finite=finite)
        for window in (24, 40, 64) if get(a).is_wide else (40,):
            note = (depth, finite, window)
            assert_same_bits(matmul(x, y, window=window), matmul_reference(x, y, window=window), note)


@pytest.mark.parametrize(("a", "b"), NARROW_PAIRS)
def test_agrees_with_the_reference_at_extreme_scales(a: str, b: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    for low, high in ((0, 40), (215, 256), (0, 256)):
        scales = (low, high) if get(a).name != "NVFP4" else (low // 2, high // 2)
        x = random_operand(generator, get(a), 5, 96, finite=True, scales=scales)
        y = random_operand(generator, get(b), 5, 96, finite=True, scales=scales)
        assert_same_bits(matmul(x, y), matmul_reference(x, y), (low, high))


@pytest.mark.parametrize(("a", "b"), WIDE_PAIRS)
@pytest.mark.parametrize("window", [24, 25, 40, 59, 60, 63, 64])
def test_windows_agree_with_the_reference(a: str, b: str, window: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    exponents = generator.integers(-9, 10, (2, 6, 48)) + generator.integers(-20, 20, (2, 6, 1))
    x, y = (generator.standard_normal((2, 6, 48)) * 2.0 ** np.clip(exponents, -14, 12)).astype(np.float32)
    x[0, ::3] = 0
    p, q = quantize(x, a), quantize(y, b)
    assert_same_bits(matmul(p, q, window=window), matmul_reference(p, q, window=window))


@pytest.mark.parametrize(
    ("a", "b"), [("MXFP8_E4M3", "MXFP4"), ("FP8_E5M2", "FP8_E5M2"), ("NVFP4", "NVFP4"), ("TF32", "BF16")]
)
def test_tiles_do_not_show(a: str, b: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    x = random_operand(generator, get(a), 1030, 50)
    y = random_operand(generator, get(b), 515, 50)
    whole = matmul(x, y)
    assert whole.shape == (1030, 515)
    for rows, columns in (
        (slice(0, 3), slice(510, 515)),
        (slice(510, 514), slice(0, 2)),
        (slice(1022, 1030), slice(511, 513)),
    ):
        part = [
            MXArray.from_codes(t.codes[s], None if t.scales is None else t.scales[s], t.format, t.tensor_scale)
            for t, s in ((x, rows), (y, columns))
        ]
        assert_same_bits(whole[rows, columns], matmul(*part))
        assert_same_bits(whole[rows, columns], matmul_reference(*part))


def test_no_rows() -> None:
    x, y = quantize(np.ones((2, 32), np.float32), "MXFP4"), quantize(np.ones((0, 32), np.float32), "MXFP4")
    assert matmul(x, y).shape == (2, 0)
    assert matmul(y, x).shape == (0, 2)


def test_1024_cubed_within_ten_seconds(seed: int) -> None:
    generator = np.random.default_rng(seed)
    x, y = generator.standard_normal((2, 1024, 1024)).astype(np.float32)
    a, b = quantize(x, "MXFP8_E4M3"), quantize(y, "MXFP8_E4M3")
    wall, processor = time.perf_counter(), time.process_time()
    result = matmul(a, b)
    # the processor's time too, so that a busy machine does not fail it
    assert min(time.perf_counter() - wall, time.process_time() - processor) < 10
    # bit-exact on rows and columns that meet every tile, in integers
    rows, columns = generator.choice(1024, 24, replace=False), generator.choice(1024, 24, replace=False)
    values = [units(t.codes[index], t.format.element) for t, index in ((a, rows), (b, columns))]
    exponents = [scales_of(t)[index].astype(int) - 127 - 9 for t, index in ((a, rows), (b, columns))]
    accumulator = np.zeros((24, 24), np.float32)
    for k in range(32):
        group = slice(32 * k, 32 * k + 32)
        sums = values[0][:, group] @ values[1][:, group].T
        places = exponents[0][:, k][:, None] + exponents[1][:, k]
        words = [round_fp32(total, place) for total, place in zip(sums.ravel(), places.ravel().tolist(), strict=True)]
        accumulator += np.array(words, np.uint32).view(np.float32).reshape(24, 24)
    assert_same_bits(result[np.ix_(rows, columns)], accumulator)


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_operands_commute(a: str, b: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    x, y = random_operand(generator, get(a), 9, 64), random_operand(generator, get(b), 7, 64)
    assert_same_bits(matmul(x, y), matmul(y, x).T)


@pytest.mark.parametrize(("a", "b"), [pair for pair in NARROW_PAIRS if pair[0] != "NVFP4"])
def test_order_within_a_group_does_not_matter(a: str, b: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    order = generator.permutation(32)
    x, y = random_operand(generator, get(a), 9, 32), random_operand(generator, get(b), 7, 32)
    p, q = (MXArray.from_codes(t.codes[:, order], t.scales, t.format) for t in (x, y))
    assert_same_bits(matmul(x, y), matmul(p, q))


def test_signed_bits_of_a_group_sum() -> None:
    def pair(a: str, b: str) -> int:
        return sum_bits(get(a).element, get(b).element, 32)

    same = [pair(name, name) for name in ("MXFP4", "MXFP6_E2M3", "MXINT8", "MXFP6_E3M2", "MXFP8_E4M3", "MXFP8_E5M2")]
    assert same == [14, 18, 21, 24, 42, 70]
    assert pair("MXFP8_E4M3", "MXFP8_E5M2") == 56
    others = [pair(a, b) for a in MX_FORMATS for b in MX_FORMATS if "MXFP8_E5M2" not in (a, b)]
    assert max([*others, pair("MXFP8_E5M2", "MXFP4")]) <= 42


SPECIALS = [
    ("NaN meets zero", [0x7E], [0x00], NAN),
    ("Inf meets zero", [0x7C], [0x00], NAN),
    ("Inf meets minus zero", [0xFC], [0x80], NAN),
    ("Inf minus Inf", [0x7C, 0x7C], [0x3C, 0xBC], NAN),
    ("Inf plus Inf", [0x7C, 0xFC], [0x3C, 0xBC], INF),
    ("Inf meets Inf", [0x7C], [0xFC], NEGATIVE_INF),
    ("Inf wins over finite", [0x7C, 0x7B], [0x3C, 0xFB], INF),
    ("Inf meets the smallest", [0x7C], [0x81], NEGATIVE_INF),
    ("NaN wins over Inf", [0x7C, 0x7D], [0x3C, 0x3C], NAN),
]


@pytest.mark.parametrize(("a", "b", "expected"), [row[1:] for row in SPECIALS], ids=[row[0] for row in SPECIALS])
@pytest.mark.parametrize("name", ["FP8_E5M2", "MXFP8_E5M2"])
def test_specials_in_a_group(name: str, a: list[int], b: list[int], expected: int) -> None:
    assert result_bits(operand(name, a), operand(name, b)) == expected
    assert result_bits(operand(name, b), operand(name, a)) == expected


@pytest.mark.parametrize(("a", "b", "expected"), [row[1:] for row in SPECIALS], ids=[row[0] for row in SPECIALS])
@pytest.mark.parametrize(("name", "shift"), [("FP16", 8), ("BF16", None), ("TF32", None)])
def test_specials_in_a_wide_group(name: str, shift: int | None, a: list[int], b: list[int], expected: int) -> None:
    def widened(codes: list[int]) -> MXArray:
        if shift is not None:
            return operand(name, [code << shift for code in codes])
        values = MXArray.from_codes(np.array([codes], np.uint8), None, "FP8_E5M2").dequantize()
        return quantize(values, name)

    assert result_bits(widened(a), widened(b)) == expected


def test_inf_minus_inf_across_groups() -> None:
    a = operand("FP8_E5M2", [0x7C] + [0] * 31 + [0x7C])
    b = operand("FP8_E5M2", [0x3C] * 32 + [0xBC])
    assert result_bits(a, b) == NAN


def test_overflowed_groups_cancel_to_nan() -> None:
    a = operand("MXFP8_E4M3", [0x38] + [0] * 31 + [0xB8], scale=254)
    b = operand("MXFP8_E4M3", [0x38] * 33, scale=254)
    assert result_bits(a, b) == NAN


@pytest.mark.parametrize("name", FORMATS)
def test_all_subnormals(name: str, seed: int) -> None:
    fmt = get(name)
    generator = np.random.default_rng(seed)
    top = 1 << fmt.element.mantissa_bits
    for rows in (1, 4):
        x, y = (random_operand(generator, fmt, rows, 64, finite=True) for _ in range(2))
        for t in (x, y):
            t.codes[...] = generator.integers(1, top, t.codes.shape) | generator.integers(0, 2, t.codes.shape) << (
                fmt.element.width - 1
            )
            assert fmt.element.is_integer or fields(t.codes, fmt.element)[1].max() < top
        assert_same_bits(matmul(x, y), matmul_reference(x, y))
        if not fmt.is_wide or name == "FP16":
            assert matmul(x, y).any()


@pytest.mark.parametrize("scale", [0, 1, 127, 253, 254])
@pytest.mark.parametrize("name", MX_FORMATS)
def test_largest_group_sum(name: str, scale: int) -> None:
    top = get(name).element.max_code
    a, b = operand(name, [top] * 32, scale), operand(name, [top] * 32, 127)
    largest = round_fp32(32 * round(get(name).element.max_value ** 2 * 4096), scale - 127 - 12)
    assert result_bits(a, b) == largest


def test_epilogue_multiplies_once_at_the_end(seed: int) -> None:
    generator = np.random.default_rng(seed)
    a, b = (random_operand(generator, get("NVFP4"), 9, 64) for _ in range(2))
    engine = matmul(a, b, epilogue=False)
    plain = [MXArray.from_codes(t.codes, t.scales, "NVFP4") for t in (a, b)]
    assert_same_bits(engine, matmul(*plain))
    assert_same_bits(matmul(a, b), engine * (a.tensor_scale * b.tensor_scale))
    assert_same_bits(matmul(a, plain[1]), engine * a.tensor_scale)
    for flag in (True, False):
        assert_same_bits(matmul(a, b, epilogue=flag), matmul_reference(a, b, epilogue=flag))


def test_epilogue_out_of_range_gives_inf_and_nan() -> None:
    a = operand("NVFP4", [7], 0x7E, tensor_scale=1e30)
    assert result_bits(a, a) == INF
    tiny = operand("NVFP4", [7], 0x7F, tensor_scale=1e-30)
    assert result_bits(tiny, tiny) == NAN


def ones(*shape: int, fmt: str = "MXFP8_E4M3", axis: int = -1) -> MXArray:
    return quantize(np.ones(shape, np.float32), fmt, axis=axis)


ONE = ones(1, 32)
WRONG: list[tuple[str, type[Exception], str, Any, Any, dict[str, Any]]] = [
    ("a", TypeError, "Operand A must be an MXArray, not 'ndarray'", np.ones((1, 32)), ONE, {}),
    ("b", TypeError, "Operand B must be an MXArray, not 'NoneType'", ONE, None, {}),
    ("axes", ValueError, r"Operand B must have two axes \(rows, K\), not shape \(32,\)", ONE, ones(32), {}),
    ("blocked axis", ValueError, "A must be blocked along its last axis, not 0", ones(32, 32, axis=0), ONE, {}),
    ("format", ValueError, "may meet MXFP8_E4M3, not 'NVFP4'", ONE, ones(1, 32, fmt="NVFP4"), {}),
    ("depth", ValueError, "Operand B must have the K of operand A, 32, not 33", ONE, ones(1, 33), {}),
    ("window kind", TypeError, "Window must be an integer, not 40.0", ONE, ONE, {"window": 40.0}),
    ("window bool", TypeError, "Window must be an integer, not True", ONE, ONE, {"window": True}),
    ("window low", ValueError, "Window must be in 24 to 64, not 23", ONE, ONE, {"window": MIN_WINDOW - 1}),
    ("window high", ValueError, "Window must be in 24 to 64, not 65", ONE, ONE, {"window": MAX_WINDOW + 1}),
]


@pytest.mark.parametrize(
    ("error", "words", "a", "b", "keywords"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG]
)
def test_matmul_wrong(error: type[Exception], words: str, a: Any, b: Any, keywords: dict[str, Any]) -> None:
    with pytest.raises(error, match=words):
        matmul(a, b, **keywords)


@pytest.mark.parametrize("a", FORMATS)
@pytest.mark.parametrize("b", FORMATS)
def test_formats_meet_or_are_refused(a: str, b: str) -> None:
    x, y = (quantize(np.ones((1, 32), np.float32), name) for name in (a, b))
    if (a, b) in PAIRS:
        assert matmul(x, y)[0, 0] == pytest.approx(32)
    else:
        with pytest.raises(ValueError, match=f"may meet {a}, not '{b}'"):
            matmul(x, y)

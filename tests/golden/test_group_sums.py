"""A million random group sums and their scaling and rounding against Python integers, and the window's bound."""

import dataclasses
import itertools
import re

import numpy as np
import pytest

from golden.formats import decode, decode_scale
from golden.groups import split_bits
from golden.mx import MXArray, quantize
from golden.tensor import matmul
from mtia.formats import Element, Scale, Specials, get
from tests.golden.support import (
    NARROW_PAIRS,
    WIDE_PAIRS,
    assert_same_bits,
    random_operand,
    round_fp32,
    scales_of,
    units,
)

ROWS = 206  # times itself and the pairs of narrow formats taken once: a million
ONCE = [(a, b) for a, b in NARROW_PAIRS if NARROW_PAIRS.index((a, b)) <= NARROW_PAIRS.index((b, a))]


def test_there_are_a_million() -> None:
    assert ROWS**2 * len(ONCE) >= 10**6


@pytest.mark.parametrize(("a", "b"), ONCE)
def test_random_group_sums(a: str, b: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    x, y = (one_group(generator, name) for name in (a, b))
    sums = units(x.codes, x.format.element) @ units(y.codes, y.format.element).T
    place = int(np.log2(x.format.element.min_subnormal) + np.log2(y.format.element.min_subnormal))
    places = np.full(sums.shape, place)
    if x.format.scale is Scale.E8M0:
        places = places + (scales_of(x).astype(int) - 127) + (scales_of(y).astype(int) - 127).T
    elif x.format.scale is Scale.E4M3:
        whole = [(decode_scale(scales_of(t), Scale.E4M3) * 512).astype(int).astype(object) for t in (x, y)]
        sums, places = sums * whole[0] * whole[1].T, places - 18
    words = [round_fp32(total, at) for total, at in zip(sums.ravel(), places.ravel().tolist(), strict=True)]
    expected = np.array(words, np.uint32).view(np.float32).reshape(sums.shape)
    actual = matmul(x, y, epilogue=False)
    assert_same_bits(actual, np.where(expected == 0, np.float32(0), expected))
    assert (actual != 0).mean() > 0.7


def one_group(generator: np.random.Generator, name: str) -> MXArray:
    """Rows of finite codes: uniform, of few terms, or of pairs that nearly cancel; scales over the whole range."""
    fmt = get(name)
    array = random_operand(generator, fmt, ROWS, fmt.group, finite=True, scales=(1, 127))
    array.codes[: ROWS // 4] *= generator.random((ROWS // 4, fmt.group)) < 0.15
    if array.scales is not None and fmt.scale is Scale.E8M0:
        near, far = generator.integers(107, 148, array.scales.shape), generator.integers(0, 255, array.scales.shape)
        array.scales[...] = np.where(generator.random(array.scales.shape) < 0.85, near, far)
    return array


@pytest.mark.parametrize(("a", "b"), ONCE)
def test_cancellation_to_one_unit(a: str, b: str, seed: int) -> None:
    """Large terms come with their negatives, and what is left is the smallest product there is, or nothing."""
    generator = np.random.default_rng(seed)
    x, y = get(a), get(b)
    depth = x.group
    half = depth // 2 - 1
    for rest in (0, 1):
        left = random_operand(
            generator, x, 40, depth, finite=True, scales=(127, 128) if x.name != "NVFP4" else (56, 57)
        )
        right = random_operand(
            generator, y, 40, depth, finite=True, scales=(127, 128) if y.name != "NVFP4" else (56, 57)
        )
        right.codes[:, half : 2 * half] = right.codes[:, :half]
        opposite = (
            256 - left.codes[:, :half].astype(int)
            if x.element.is_integer
            else left.codes[:, :half] ^ (1 << (x.element.width - 1))
        )
        left.codes[:, half : 2 * half] = opposite
        if x.element.is_integer:
            left.codes[:, : 2 * half][left.codes[:, : 2 * half] == 0x80] = 0  # -128 has no opposite
            left.codes[:, half : 2 * half][left.codes[:, :half] == 0] = 0
        left.codes[:, 2 * half :], right.codes[:, 2 * half :] = [rest, 0], [1, 0]
        diagonal = np.diag(matmul(left, right, epilogue=False))
        np.testing.assert_array_equal(diagonal, np.full(40, rest * x.element.min_subnormal * y.element.min_subnormal))


@pytest.mark.parametrize("window", [24, 32, 40, 64])
@pytest.mark.parametrize(("a", "b"), WIDE_PAIRS)
def test_window_error_is_within_its_bound(a: str, b: str, window: int, seed: int) -> None:
    """The sum differs from the exact one by less than 16 * 2**(emax + 2 - W), before its rounding to FP32."""
    generator = np.random.default_rng(seed)
    spread = generator.integers(-12, 1, (2, 64, 16))
    x, y = (generator.standard_normal((2, 64, 16)) * 2.0**spread).astype(np.float32)
    p, q = quantize(x, a), quantize(y, b)
    result = matmul(p, q, window=window).astype(np.float64)
    left, right = decode(p.codes, p.format.element), decode(q.codes, q.format.element)
    exact = left @ right.T  # 53 bits hold what matters beside the bound
    top = np.max([np.frexp(left)[1][:, None, k] - 1 + np.frexp(right)[1][None, :, k] - 1 for k in range(16)], axis=0)
    bound = 16 * 2.0 ** (top + 2 - window)
    rounding = 2.0**-24 * np.abs(exact) + 2.0**-50 * (np.abs(left) @ np.abs(right).T)
    assert (np.abs(result - exact) <= bound + rounding * (1 + 2.0**-20)).all()
    if window == 24 and not (p.format.name == q.format.name == "BF16"):
        assert (np.abs(result - exact) > bound / 64).any(), "the bound is not idle"


@pytest.mark.parametrize("window", [24, 40, 49, 50, 64])
@pytest.mark.parametrize(("a", "b"), WIDE_PAIRS)
def test_window_edge(a: str, b: str, window: int) -> None:
    """Large products cancel around one that lies d below them: what is left is that product, cut at the window."""
    x, y = get(a).element, get(b).element
    top, other = 2 - 2.0**-x.mantissa_bits, 2 - 2.0**-y.mantissa_bits
    for d, at in itertools.product(range(25 if "FP16" in (a, b) else window + 2), (0, 7, 14)):
        down = (d // 2, d - d // 2)
        left = np.insert(np.full(14, top), at, top * 2.0 ** -down[0])
        right = np.insert(np.repeat([other, -other], 7), at, other * 2.0 ** -down[1])
        rows = (quantize(values[None].astype(np.float32), name) for values, name in ((left, a), (right, b)))
        result = float(matmul(*rows, window=window)[0, 0])
        unit = 2.0 ** (2 - window)
        assert result == np.float32(top * other * 2.0**-d // unit * unit), (d, at)
        assert result != 0 or d > window - 4


@pytest.mark.parametrize(("a", "b"), WIDE_PAIRS)
def test_every_window_from_where_nothing_is_lost_gives_the_same(a: str, b: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    x, y = generator.uniform(1, 4, (2, 20, 48)).astype(np.float32)
    p, q = quantize(x, a), quantize(y, b)
    for window in range(26, 65, 2):
        assert_same_bits(matmul(p, q, window=window), matmul(p, q, window=64))


def test_parts_of_a_sum_that_is_split() -> None:
    e5m2 = get("MXFP8_E5M2").element
    assert split_bits(e5m2, e5m2, 32) == split_bits(e5m2, e5m2, 32, Scale.E8M0) == 53
    assert split_bits(e5m2, e5m2, 16, Scale.E4M3) == 60


@pytest.mark.parametrize(
    ("exponent_bits", "mantissa_bits", "bias", "needed"),
    [(6, 1, 31, 99), (5, 2, 11, 54)],  # the part of the small products is too wide, that of the large ones
)
def test_elements_of_more_range_than_e5m2_wrong(
    exponent_bits: int, mantissa_bits: int, bias: int, needed: int, seed: int
) -> None:
    element = Element(
        name="wider", exponent_bits=exponent_bits, mantissa_bits=mantissa_bits, bias=bias, specials=Specials.IEEE
    )
    fmt = dataclasses.replace(get("FP8_E5M2"), name="wider", element=element)
    array = random_operand(np.random.default_rng(seed), fmt, 2, 32)
    message = (
        f"Group sums of wider and wider must be two parts of at most 53 bits (E5M2 with E5M2 are), not of {needed}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        matmul(array, array)

"""Corners of the group sum, its scale and its rounding, in RTL: each against golden, and where it is plain by value."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from golden.formats import encode
from golden.reference import fp32_bits
from mtia.formats import FORMATS, Scale
from tb.tensor.blocks import group_lane, group_rows
from tests.golden.support import NARROW_PAIRS, PAIRS, assert_same_bits, bits, finite_codes, random_operand
from tests.hdl.formats.support import values_of

from .support import BUILDS, UNIT_SCALE, golden_sums, operand, single

pytestmark = pytest.mark.sim

EXTREME = {Scale.E8M0: (0, 1, 64, 126, 127, 128, 190, 253, 254, 255), Scale.E4M3: (0, 1, 7, 8, 0x38, 0x77, 0x7E, 0x7F)}
SCALED = [(a, b) for a, b in PAIRS if FORMATS[a].is_scaled]


@pytest.fixture(scope="module", params=BUILDS)
def lane(request):
    return group_lane(BUILDS[request.param])


def check(lane, stationary, streamed):
    """Sums of pairs of rows, `streamed` given once for each beat, equal golden's; gives them."""
    rows = group_rows(lane.shape, stationary.format, streamed.format)
    if rows > 1:
        scales = None if streamed.scales is None else np.repeat(streamed.scales, rows)
        streamed = operand(np.repeat(streamed.codes, rows, axis=0), streamed.format, scales)
    result = lane.sums(stationary, streamed)
    note = (stationary.format.name, streamed.format.name)
    assert_same_bits(result + np.float32(0), golden_sums(stationary, streamed), note)
    assert (bits(result) == bits(result[:, :1])).all()
    return result[:, 0]


def special_codes(fmt):
    """Codes of -NaN to NaN, both infinities, zeros, ones, the largest and the smallest numbers."""
    codes = np.arange(1 << fmt.element.width)
    values = values_of(codes, fmt.element)
    sign = 1 << (fmt.element.width - 1)
    chosen = [0, 1, fmt.element.max_code, int(codes[values == 1.0][0])]
    if not fmt.element.is_integer:
        chosen += [code | sign for code in chosen]
    else:
        chosen += [0x80, 0xFF, 0xC0]
    chosen += codes[np.isinf(values)].tolist()
    nans = codes[np.isnan(values)].tolist()
    return chosen + [nans[index] for index in sorted({0, len(nans) // 2 - 1, len(nans) - 1}) if nans]


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_all_specials(lane, a, b, seed):
    """Two lanes with every special of A times every special of B in each: NaN, Inf x 0, Inf - Inf, Inf + x."""
    x, y = FORMATS[a], FORMATS[b]
    generator = np.random.default_rng(seed)
    products = list(itertools.product(special_codes(x), special_codes(y)))
    cases = np.array(list(itertools.product(products, products)))  # (n, lane, operand)
    if len(cases) > 20_000:
        cases = generator.permutation(cases)[:20_000]
    places = np.argsort(generator.random((len(cases), x.group)), axis=1)[:, :2]
    codes = np.zeros((2, len(cases), x.group), np.int64)
    for lane_index, side in itertools.product(range(2), range(2)):
        codes[side, np.arange(len(cases)), places[:, lane_index]] = cases[:, lane_index, side]
    result = check(lane, operand(codes[0], x), operand(codes[1], y))
    left, right = (values_of(side, row.element) for side, row in zip(codes, (x, y), strict=True))
    with np.errstate(invalid="ignore"):  # that is what the test is about
        product = left * right
    plus, minus = (product == np.inf).any(axis=1), (product == -np.inf).any(axis=1)
    nan = np.isnan(product).any(axis=1) | (plus & minus)
    assert np.array_equal(np.isnan(result), nan)
    assert (result[plus & ~nan] == np.inf).all()
    assert (result[minus & ~nan] == -np.inf).all()


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_all_subnormals(lane, a, b, seed):
    """Nothing but subnormal elements, and as they are on their own, under scales that make the sum subnormal too."""
    generator = np.random.default_rng(seed)
    sides = []
    for name in (a, b):
        fmt = FORMATS[name]
        top = 1 << max(fmt.element.mantissa_bits, 1)
        codes = generator.integers(0, top, (400, fmt.group))
        codes |= generator.integers(0, 2, codes.shape) * (1 << (fmt.element.width - 1)) * (not fmt.element.is_integer)
        scales = generator.integers(40, 90, 400) if fmt.scale is Scale.E8M0 else generator.integers(0, 9, 400)
        sides.append(operand(codes, fmt, scales))
    result = check(lane, *sides)
    if FORMATS[a].scale is Scale.E8M0:
        assert ((np.abs(result) < 2.0**-126) & (result != 0)).mean() > 0.2
    if FORMATS[a].is_wide and "FP16" not in (a, b):
        assert not result.any(), "below the smallest FP32 number"


@pytest.mark.parametrize(("a", "b"), NARROW_PAIRS)
def test_cancellation_to_one_unit(lane, a, b, seed):
    """Large terms come with their negatives in other lanes; what is left is the smallest product, or nothing."""
    x, y = FORMATS[a], FORMATS[b]
    generator = np.random.default_rng(seed)
    count, half = 300, x.group // 2 - 1
    unit = x.element.min_subnormal * y.element.min_subnormal
    left = np.zeros((count, x.group), np.int64)
    right = np.zeros((count, x.group), np.int64)
    choice = finite_codes(x.element).astype(np.int64)
    if x.element.is_integer:
        choice = choice[choice != 0x80]  # -128 has no opposite
    left[:, :half] = generator.choice(choice, (count, half))
    size = 1 << x.element.width
    left[:, half : 2 * half] = -left[:, :half] % size if x.element.is_integer else left[:, :half] ^ size // 2
    right[:, :half] = generator.choice(finite_codes(y.element), (count, half))
    right[:, half : 2 * half] = right[:, :half]
    rest = np.arange(count) % 3 - 1
    left[:, -1] = np.abs(rest)
    right[:, -1] = np.where(
        rest < 0, (1 << y.element.width) - 1 if y.element.is_integer else 1 << y.element.width - 1, 0
    )
    right[:, -1] |= rest != 0
    order = np.argsort(generator.random(left.shape), axis=1)
    left, right = (np.take_along_axis(side, order, axis=1) for side in (left, right))
    result = check(lane, operand(left, x), operand(right, y))
    np.testing.assert_array_equal(result, (rest * unit).astype(np.float32))


@pytest.mark.parametrize(("a", "b"), SCALED)
def test_extreme_and_nan_scales(lane, a, b, seed):
    """Both scales from the ends of their range, over sums of one, the largest, the smallest and random products."""
    x, y = FORMATS[a], FORMATS[b]
    generator = np.random.default_rng(seed)
    scales = np.array(list(itertools.product(EXTREME[x.scale], EXTREME[y.scale])))
    ones = [int(encode([1.0], row.element)[0]) for row in (x, y)]
    for left, right in (ones, (x.element.max_code, y.element.max_code), (1, 1)):
        codes = np.zeros((len(scales), x.group), np.int64)
        codes[:, 5] = left
        other = np.zeros((len(scales), y.group), np.int64)
        other[:, 5] = right
        check(lane, operand(codes, x, scales[:, 0]), operand(other, y, scales[:, 1]))
    scales = np.repeat(scales, 8, axis=0)
    sides = [random_operand(generator, row, len(scales), row.group, finite=True) for row in (x, y)]
    result = check(lane, *(operand(side.codes, side.format, scales[:, at]) for at, side in enumerate(sides)))
    nan = EXTREME[x.scale][-1]
    assert np.array_equal(np.isnan(result), (scales == nan).any(axis=1))


@pytest.mark.parametrize("name", [name for name, row in FORMATS.items() if row.scale is Scale.E8M0])
def test_every_sum_of_scales(lane, name):
    """1 x 1 under scales whose exponents add up to anything from -254 to 254."""
    codes = np.array(list(itertools.product(range(0, 255, 2), range(0, 255, 11))))
    one = np.full(len(codes), encode([1.0], FORMATS[name].element)[0])
    lanes = np.arange(len(codes)) % 32
    result = check(lane, single(one, lanes, name, codes[:, 0]), single(one, lanes, name, codes[:, 1]))
    expected = [fp32_bits(Fraction(2) ** (total - 254)) for total in codes.sum(axis=1).tolist()]
    assert bits(result).tolist() == expected


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_zero_group_sum_is_plus_zero(lane, a, b):
    """Zeros of either sign, or terms that cancel, under small, huge and zero scales: +0 before the accumulator."""
    x, y = FORMATS[a], FORMATS[b]
    minus = [1 << (row.element.width - 1) if not row.element.is_integer else 0 for row in (x, y)]
    ones = [int(encode([1.0], row.element)[0]) for row in (x, y)]
    left = np.array(
        [[0, 0], [minus[0], minus[0]], [minus[0], 0], [ones[0], ones[0]], [ones[0], int(encode([-1.0], x.element)[0])]]
    )
    right = np.array(
        [
            [0, 0],
            [minus[1], minus[1]],
            [ones[1], minus[1]],
            [ones[1], int(encode([-1.0], y.element)[0])],
            [ones[1], ones[1]],
        ]
    )
    ends = (EXTREME[x.scale][0], UNIT_SCALE[x.scale], EXTREME[x.scale][-2]) if x.is_scaled else (0,)
    scales = np.repeat(np.array(list(itertools.product(ends, ends))), len(left), axis=0)
    times = len(scales) // len(left)
    stationary, streamed = (
        operand(np.tile(left, (times, 1)), x, scales[:, 0]),
        operand(np.tile(right, (times, 1)), y, scales[:, 1]),
    )
    assert not bits(check(lane, stationary, streamed)).any()


def whole_numbers(numbers, scale):
    """MXFP8_E4M3 rows whose sums are the numbers (32 bits and a sign), a bit a lane, times 2**(scale - 18)."""
    powers = encode(2.0 ** np.arange(-9, 9), FORMATS["MXFP8_E4M3"].element).astype(np.int64)
    magnitude, lanes = np.abs(numbers)[:, None], np.arange(32)
    left = powers[lanes // 2] | np.where(numbers < 0, 0x80, 0)[:, None]
    right = np.where(magnitude >> lanes & 1, powers[(lanes + 1) // 2], 0)
    halves = scale // 2, scale - scale // 2
    return tuple(
        operand(codes, "MXFP8_E4M3", np.full(len(numbers), 127 + half))
        for codes, half in zip((left, right), halves, strict=True)
    )


def near_ties(generator):
    """Whole numbers of 24 to 32 bits around the ties of 24 bits, of either sign."""
    numbers = []
    for spare in range(9):
        for kept in (1 << 23, (1 << 24) - 1, *generator.integers(1 << 23, 1 << 24, 6).tolist()):
            tie = (kept << spare) + (1 << spare >> 1)
            numbers += [tie - 1, tie, tie + 1]
    return np.array([sign * number for number in numbers for sign in (1, -1) if number < 1 << 32])


@pytest.mark.parametrize(
    "scale", [-254, -190, -160, -152, -151, -150, -149, -148, -140, -130, 0, 112, 113, 114, 121, 254]
)
def test_rounding_and_range_of_fp32(lane, scale, seed):
    """Around every tie, from sums below half of the smallest FP32 number to sums beyond the largest."""
    numbers = np.concatenate([near_ties(np.random.default_rng(seed)), np.arange(-260, 261), [2**25 - 2, 2**25 - 1]])
    result = check(lane, *whole_numbers(numbers, scale))
    assert bits(result).tolist() == [fp32_bits(Fraction(int(n)) * Fraction(2) ** (scale - 18)) for n in numbers]
    if scale == 121:
        assert result[-2:].tolist() == [float(np.finfo(np.float32).max), np.inf], "the tie at the end of the range"


@pytest.mark.parametrize("ulps", [1, 2, 3])
@pytest.mark.parametrize("sign", [1, -1])
def test_cancellation_within_3_ulp(lane, sign, ulps):
    """Inside a group: 256 - 256 leaves 1 to 3 units of 2**-18, far below the ulp of either."""
    a = encode([[sign * 256, -sign * 256, *([sign * 2.0**-9] * 3)]], FORMATS["FP8_E4M3"].element)
    b = encode([[1, 1, *([2.0**-9] * ulps), *([0] * (3 - ulps))]], FORMATS["FP8_E4M3"].element)
    assert check(lane, operand(a, "FP8_E4M3"), operand(b, "FP8_E4M3"))[0] == sign * ulps * 2.0**-18

"""The alignment window of BF16, FP16 and TF32: what its last bit keeps, what is cut, and which product places it."""

import dataclasses
import itertools
from fractions import Fraction

import numpy as np
import pytest

from golden.reference import fp32_bits
from mtia.formats import FORMATS
from tb.tensor.blocks import Groups, group_beats, group_lane
from tests.golden.support import WIDE_PAIRS, assert_same_bits, bits, random_operand
from tests.hdl.formats.support import values_of
from tests.hdl.pysim import run

from .support import BUILDS, PARAMETERS, golden_sums, operand

WIDE = ("BF16", "FP16", "TF32")
LANES = 16
#: bits of the product of two significands of 11 bits
PRODUCT = 22


def code_of(fmt, exponent, fraction=0, sign=0):
    """Code of a normal number with that exponent and mantissa."""
    element = fmt.element
    assert element.emin <= exponent <= element.emax
    return sign << (element.width - 1) | (exponent + element.bias) << element.mantissa_bits | fraction


def split(fmt_a, fmt_b, exponent):
    """Two exponents of normal numbers with that sum, or nothing."""
    for left in range(fmt_a.element.emin, fmt_a.element.emax + 1):
        if fmt_b.element.emin <= exponent - left <= fmt_b.element.emax:
            return left, exponent - left
    return None


def edge_cases(fmt_a, fmt_b, window, generator):
    """Rows of codes of A and B, and their sums as fractions by the rule of docs/numerics.md.

    A large product and its negative cancel; between them stands a small one, whose lowest set bit lies around
    the window's last: 2 above to 2 below, and far below.
    """
    rows: list[tuple[list[int], list[int], Fraction]] = []
    top = min(fmt_a.element.emax + fmt_b.element.emax, 60)
    big = split(fmt_a, fmt_b, top)
    assert big is not None
    for case in range(60):
        fractions = [
            int(generator.integers(0, 1 << row.element.mantissa_bits)) if case % 4 else 0 for row in (fmt_a, fmt_b)
        ]
        product = 1
        for row, fraction in zip((fmt_a, fmt_b), fractions, strict=True):
            product *= (1 << 10) + (fraction << (10 - row.element.mantissa_bits))
        lowest = (product & -product).bit_length() - 1
        for below in (-2, -1, 0, 1, 2, PRODUCT, PRODUCT + 3):
            distance = lowest + window - PRODUCT + below
            small = split(fmt_a, fmt_b, top - distance)
            if small is None or distance < 0:
                continue
            sign = case & 1
            a = [code_of(fmt_a, big[0]), code_of(fmt_a, small[0], fractions[0], sign), code_of(fmt_a, big[0], 0, 1)]
            b = [code_of(fmt_b, big[1]), code_of(fmt_b, small[1], fractions[1]), code_of(fmt_b, big[1])]
            aligned = (product << (window - PRODUCT)) >> distance
            rows.append((a, b, (-1) ** sign * aligned * Fraction(2) ** (top + 2 - window)))
            assert (aligned != 0) == (distance < window - PRODUCT + product.bit_length())
    return rows


def placed(rows, fmt_a, fmt_b, generator):
    """The cases as operands, each in lanes of its own choice."""
    codes = np.zeros((2, len(rows), LANES), np.int64)
    for index, (a, b, _) in enumerate(rows):
        lanes = generator.permutation(LANES)[: len(a)]
        codes[0, index, lanes], codes[1, index, lanes] = a, b
    return operand(codes[0], fmt_a), operand(codes[1], fmt_b)


def spread_operands(generator, fmt_a, fmt_b, count):
    """Random codes whose exponents differ by what makes a window matter, some of them zero or subnormal.

    In half of the rows the largest products cancel, so that the sum shows what the window kept.
    """
    sides = []
    for fmt in (fmt_a, fmt_b):
        fields = (1 << fmt.element.exponent_bits) - 1
        codes = random_operand(generator, fmt, count, LANES, finite=True).codes.astype(np.int64)
        span = generator.choice([1, 4, 12, 20, 250], count)[:, None]
        middle = generator.integers(1, fields, count)[:, None]
        field = middle + generator.integers(-span, span + 1, codes.shape)
        field[:, :2] = middle + span
        codes &= ~(fields << fmt.element.mantissa_bits)
        codes |= np.clip(field, 0, fields - 1) << fmt.element.mantissa_bits
        codes *= generator.random(codes.shape) < generator.choice([0.2, 0.9, 1.0], count)[:, None]
        sides.append(codes)
    sign = 1 << (fmt_a.element.width - 1)
    sides[0][::2, 1], sides[1][::2, 1] = sides[0][::2, 0] ^ sign, sides[1][::2, 0]
    order = np.argsort(generator.random((count, LANES)), axis=1)
    left, right = (np.take_along_axis(side, order, axis=1) for side in sides)
    return operand(left, fmt_a), operand(right, fmt_b)


@pytest.fixture(scope="module", params=BUILDS)
def lane(request):
    return group_lane(BUILDS[request.param])


@pytest.mark.sim
@pytest.mark.parametrize(("a", "b"), WIDE_PAIRS)
def test_last_bit_of_the_window(lane, a, b, seed):
    x, y = FORMATS[a], FORMATS[b]
    generator = np.random.default_rng(seed)
    rows = edge_cases(x, y, 40, generator)
    stationary, streamed = placed(rows, x, y, generator)
    result = lane.sums(stationary, streamed)
    assert_same_bits(result + np.float32(0), golden_sums(stationary, streamed))
    assert bits(result[:, 0]).tolist() == [fp32_bits(total) for *_, total in rows]
    assert len(rows) > 200


@pytest.mark.sim
@pytest.mark.parametrize(("a", "b"), WIDE_PAIRS)
def test_a_product_of_zero_does_not_place_the_window(lane, a, b):
    """The largest exponent times zero, of either sign, in another lane leaves a small sum exact."""
    x, y = FORMATS[a], FORMATS[b]
    rows = []
    for sign, (zero_a, zero_b) in itertools.product((0, 1), ((True, False), (False, True))):
        minus = [sign << (row.element.width - 1) for row in (x, y)]
        huge = [
            minus[0] if zero_a else x.element.max_code,
            minus[1] if zero_b else y.element.max_code,
        ]
        small = code_of(x, -6, 1), code_of(y, -7, 3)
        total = Fraction(float(values_of(np.array(small[:1]), x.element)[0]))
        total *= Fraction(float(values_of(np.array(small[1:]), y.element)[0]))
        rows.append(([huge[0], small[0]], [huge[1], small[1]], total))
    generator = np.random.default_rng(1)
    stationary, streamed = placed(rows * 8, x, y, generator)
    assert bits(lane.sums(stationary, streamed)[:, 0]).tolist() == [fp32_bits(total) for *_, total in rows] * 8


@pytest.mark.sim
@pytest.mark.parametrize(("a", "b"), WIDE_PAIRS)
def test_random_spreads(lane, a, b, seed):
    generator = np.random.default_rng(seed)
    stationary, streamed = spread_operands(generator, FORMATS[a], FORMATS[b], 2000)
    expected = golden_sums(stationary, streamed)
    assert_same_bits(lane.sums(stationary, streamed) + np.float32(0), expected)
    for window in (39, 41):
        assert (expected != golden_sums(stationary, streamed, window=window)).any(), "the window is not idle"


@pytest.mark.parametrize("window", [24, 25, 33, 64])
def test_other_windows(window, seed):
    """Engines with other windows, without the sums of narrow formats, in Amaranth's simulator."""
    generator = np.random.default_rng(seed)
    dut = Groups(parameters=dataclasses.replace(PARAMETERS, formats=WIDE, window=window, slices=1))
    latency = 1 + 2 + 1 + (5 if window > 36 else 4) + 3
    for a, b in (("TF32", "TF32"), ("BF16", "FP16")):
        x, y = FORMATS[a], FORMATS[b]
        rows = edge_cases(x, y, window, generator)
        rows = [rows[index] for index in generator.permutation(len(rows))[:60]]
        stationary, streamed = placed(rows, x, y, generator)
        expected = [fp32_bits(total) for *_, total in rows]
        left, right = spread_operands(generator, x, y, 40)
        assert expected == [word & 0xFFFFFFFF for word in simulate(dut, stationary, streamed, generator, latency)]
        sums = np.array(simulate(dut, left, right, generator, latency), np.uint32)[:, None].view(np.float32)
        assert_same_bits(sums + np.float32(0), golden_sums(left, right, window=window), (a, b))


def simulate(dut, stationary, streamed, generator, latency):
    beats = group_beats(dut.shape, stationary, streamed, generator)
    payloads = [[int.from_bytes(beat.tobytes(), "little"), 1] for beat in beats]
    results = run(dut, [dut.i.payload, dut.i.valid], [dut.o.valid, dut.o.payload], payloads, latency=latency)
    assert all(valid for valid, _ in results)
    return [word for _, word in results]

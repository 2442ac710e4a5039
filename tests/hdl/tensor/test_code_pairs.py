"""Every code of every format, and every pair of codes of equally wide formats, through decode, products and sum."""

import numpy as np
import pytest

from golden.tensor import matmul
from mtia.formats import FORMATS
from tb.tensor.blocks import group_lane, group_rows
from tests.golden.support import assert_same_bits
from tests.hdl.formats.support import values_of

from .support import BUILDS, golden_sums, operand, single

pytestmark = pytest.mark.sim

_CHUNK = 1 << 16
_NAN = np.uint32(0x7FC00000).view(np.float32)
#: (stationary, streamed) whose elements have the same width, up to 8 bits
EQUAL = [
    (a.name, b.name)
    for a in FORMATS.values()
    for b in FORMATS.values()
    if a.pairs_with(b) and a.element.width == b.element.width <= 8
]


@pytest.fixture(scope="module", params=BUILDS)
def lane(request):
    return group_lane(BUILDS[request.param])


def as_result(values):
    """Values as an engine gives them: FP32, one NaN, and no sign of zero (values are exact in FP32)."""
    with np.errstate(invalid="ignore"):
        result = values.astype(np.float32)
    assert np.array_equal(result, values, equal_nan=True)
    return np.where(np.isnan(result), _NAN, np.where(result == 0, np.float32(0), result)).astype(np.float32)


def one_of(fmt):
    """Code of 1."""
    codes = np.arange(1 << fmt.element.width)
    return int(codes[values_of(codes, fmt.element) == 1.0][0])


@pytest.mark.parametrize("streams", [False, True], ids=["stationary", "streamed"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_code_times_one(lane, name, streams):
    """In every lane up to 8 bits; each code of a wider format in one lane. The oracle is ml_dtypes or numpy."""
    fmt = FORMATS[name]
    lanes = np.arange(fmt.group)
    codes = np.arange(1 << fmt.element.width)
    if fmt.element.width <= 8:
        codes, lanes = (grid.ravel() for grid in np.meshgrid(codes, lanes))
    else:
        lanes = codes % fmt.group
    rows = group_rows(lane.shape, fmt, fmt)
    for start in range(0, len(codes), _CHUNK):
        part = slice(start, start + _CHUNK)
        expected = as_result(values_of(codes[part], fmt.element))
        ones = np.full(len(expected), one_of(fmt))
        stationary, streamed = (ones, codes[part]) if streams else (codes[part], ones)
        result = lane.sums(
            single(stationary, lanes[part], fmt),
            single(np.repeat(streamed, rows), np.repeat(lanes[part], rows), fmt),
        )
        assert_same_bits(result + np.float32(0), np.repeat(expected[:, None], rows, axis=1), name)


def with_rows(lane, a, b, pairs):
    """Pairs of codes (n, 2) so arranged that each second code stands in every row of a beat."""
    rows = group_rows(lane.shape, a, b)
    size = 1 << b.element.width
    return pairs[:, 0], np.stack([(pairs[:, 1] + row) % size for row in range(rows)], axis=1)


@pytest.mark.parametrize(("a", "b"), EQUAL)
def test_every_pair_in_one_lane(lane, a, b):
    """The product alone, against the exact product of the oracle's values and against golden."""
    x, y = FORMATS[a], FORMATS[b]
    sizes = 1 << x.element.width, 1 << y.element.width
    pairs = np.stack([grid.ravel() for grid in np.meshgrid(np.arange(sizes[0]), np.arange(sizes[1]))], axis=1)
    left, right = with_rows(lane, x, y, pairs)
    lanes = pairs.sum(axis=1) % x.group
    rows = right.shape[1]
    result = lane.sums(single(left, lanes, x), single(right.ravel(), np.repeat(lanes, rows), y)) + np.float32(0)
    with np.errstate(invalid="ignore"):  # infinity times zero
        exact = values_of(left, x.element)[:, None] * values_of(right, y.element)
    assert_same_bits(result, as_result(exact), (a, b))
    golden = matmul(operand(np.arange(sizes[0])[:, None], x), operand(np.arange(sizes[1])[:, None], y), epilogue=False)
    assert_same_bits(result, golden[left[:, None], right], (a, b))


@pytest.mark.parametrize(("a", "b"), EQUAL)
def test_every_pair_in_full_lanes(lane, a, b, seed):
    """Every pair once in each of two random arrangements of as many groups as they fill, the finite ones first."""
    x, y = FORMATS[a], FORMATS[b]
    generator = np.random.default_rng(seed)
    sizes = 1 << x.element.width, 1 << y.element.width
    values = values_of(np.arange(sizes[0]), x.element), values_of(np.arange(sizes[1]), y.element)
    finite = np.isfinite(values[0])[:, None] & np.isfinite(values[1])
    rows = group_rows(lane.shape, x, y)
    for _ in range(2):
        pairs = np.concatenate([generator.permutation(np.argwhere(kind)) for kind in (finite, ~finite)])
        pairs = pairs.reshape(-1, x.group, 2)
        right = np.stack([(pairs[:, :, 1] + row) % sizes[1] for row in range(rows)], axis=1)
        stationary, streamed = operand(pairs[:, :, 0], x), operand(right.reshape(-1, x.group), y)
        result = lane.sums(stationary, streamed) + np.float32(0)
        assert_same_bits(result, golden_sums(stationary, streamed), (a, b))
        assert np.isfinite(result).mean() > 0.7

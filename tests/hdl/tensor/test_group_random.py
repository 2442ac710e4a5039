# amaranth: UnusedElaboratable=no
# (a component whose parameters are refused is never elaborated)
"""A hundred thousand random group sums in RTL, over every pair of formats, against golden."""

import dataclasses

import numpy as np
import pytest

from mtia.formats import FORMATS, Scale
from tb.tensor.blocks import Groups, group_beats, group_lane, group_rows
from tests.golden.support import PAIRS, assert_same_bits, bits, finite_codes, random_operand

from .support import BUILDS, PARAMETERS, golden_sums, operand

EACH = 2000


def test_there_are_enough():
    assert EACH * len(PAIRS) >= 10**5


def mixture(generator, fmt, count):
    """Rows of uniform codes, of finite ones, of few terms, and of terms that nearly cancel; scales near and far."""
    array = random_operand(generator, fmt, count, fmt.group)
    codes = generator.choice(finite_codes(fmt.element), array.codes.shape).astype(np.int64)
    part = count // 4
    codes[:part] = array.codes[:part]
    codes[part : 2 * part] *= generator.random((part, fmt.group)) < 0.15
    scales = None
    if fmt.element.exponent_bits == 8:  # most of the products in the range of FP32
        near = generator.integers(-30, 31, codes.shape) + fmt.element.bias << fmt.element.mantissa_bits
        mask = 0xFF << fmt.element.mantissa_bits
        codes = np.where(np.arange(count)[:, None] % 5 > 0, codes & ~mask | near * (codes != 0), codes)
    if fmt.scale is Scale.E8M0:
        near, far = generator.integers(107, 148, count), generator.integers(0, 256, count)
        scales = np.where(generator.random(count) < 0.8, near, far)
    elif fmt.scale is Scale.E4M3:
        scales = generator.integers(0, 128, count)
    return operand(codes, fmt, scales)


@pytest.mark.sim
@pytest.mark.parametrize("cells", BUILDS)
@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_random_group_sums(a, b, cells, seed):
    lane = group_lane(BUILDS[cells])
    generator = np.random.default_rng(seed)
    x, y = FORMATS[a], FORMATS[b]
    rows = group_rows(lane.shape, x, y)
    count = -(-EACH // rows)
    stationary, streamed = mixture(generator, x, count), mixture(generator, y, count * rows)
    half = x.group // 2
    start = count * 3 // 4  # the second half of these rows takes back the first but for one lane
    sign = 1 << (x.element.width - 1)
    left = stationary.codes[start:, : half - 1]
    stationary.codes[start:, half:-1] = ~left if x.element.is_integer else left ^ sign
    streamed.codes[start * rows :, half:-1] = streamed.codes[start * rows :, : half - 1]
    result = lane.sums(stationary, streamed)
    assert_same_bits(result + np.float32(0), golden_sums(stationary, streamed), (a, b))
    assert (np.isfinite(result) & (result != 0)).mean() > 0.5


@pytest.mark.sim
def test_operands_of_other_numbers_of_rows_are_wrong():
    lane = group_lane(PARAMETERS)
    with pytest.raises(ValueError, match=r"^Streamed rows must be 6, not 2$"):
        lane.sums(operand([[1], [1]], "MXFP4"), operand([[1], [1]], "MXFP4"))
    with pytest.raises(ValueError, match=r"^Streamed rows must be 2, not 3$"):
        group_beats(lane.shape, operand([[1], [1]], "BF16"), operand([[1]] * 3, "BF16"), np.random.default_rng(1))


def test_groups_of_several_slices_are_wrong():
    with pytest.raises(ValueError, match=r"^Slices must be 1, not 2$"):
        Groups(parameters=dataclasses.replace(PARAMETERS, slices=2))


@pytest.mark.sim
@pytest.mark.parametrize("a", FORMATS)
def test_formats_that_may_not_meet_give_nan(a, seed):
    """In every row of a beat, whatever the codes and scales are."""
    lane = group_lane(PARAMETERS)
    generator = np.random.default_rng(seed)
    for b in FORMATS:
        if not FORMATS[a].pairs_with(FORMATS[b]):
            stationary, streamed = (random_operand(generator, FORMATS[name], 20, 16) for name in (a, b))
            assert (bits(lane.sums(stationary, streamed)) == 0x7FC00000).all()

"""Products placed and added on carry cells, against Python integers; whole groups are in the tests of group sums."""

import random

import pytest

from hdl.tensor.carry_sum import PlacedSum
from hdl.tensor.shape import LANES, SliceShape
from mtia.generations import EngineParameters
from tests.hdl.pysim import run

from .support import BUILDS

HALF = LANES // 2


def lane_values(generator, shape, pair):
    """Product and amount of one lane of each kind for a pair of elements, or for wide formats if there is none."""
    for lane in range(LANES):
        width = shape.odd_bits if lane % 2 else shape.even_bits
        if pair is None:
            if lane % 2:
                yield 0, 0
                continue
            edge = shape.parameters.window - 1 + generator.randrange(-22, 3)
            amount = generator.choice([generator.randrange(50), max(0, edge), generator.randrange(512)])
            yield generator.choice([(1 << 2 * width) - 1, generator.getrandbits(2 * width)]), amount
            continue
        product = 1
        for element in pair:
            product *= generator.getrandbits(element.significand_bits) << width - element.significand_bits
        yield product, generator.randrange(sum(map(shape.distance_range, pair)) + 1)


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param(BUILDS["ecp5"], id="450"),
        pytest.param(
            EngineParameters(
                units=1,
                slices=1,
                depth=2,
                dense_rows=1,
                formats=("FP8_E5M2", "BF16"),
                mixed=True,
                window=53,
                cells="ecp5",
            ),
            id="window 53",
        ),
    ],
)
def test_against_integers(parameters, seed):
    """Every product is exact where it lies; of wide formats, what lies below the window is lost by magnitude."""
    generator = random.Random(seed)
    shape = SliceShape(parameters)
    dut = PlacedSum(shape=shape)
    pairs = [None, *((a.element, b.element) for a, b in shape.pairs if not a.is_wide)]
    vectors, wanted = [], []
    for case in range(10):
        pair = generator.choice(pairs) if case % 2 else None
        sign = generator.getrandbits(LANES) if case % 5 else (1 << LANES) - 1
        sign &= ~0 if pair else 0x55555555
        lanes = list(lane_values(generator, shape, pair))
        total = 0
        for lane, (product, amount) in enumerate(lanes):
            bits = 2 * (shape.odd_bits if lane % 2 else shape.even_bits)
            value = product << shape.width >> bits >> amount
            below = shape.width - parameters.window if pair is None else 0
            total += (value >> below << below) * (-1) ** (sign >> lane & 1)
        products, amounts = ([*of[::2], *of[1::2]] for of in zip(*lanes, strict=True))
        vectors.append([*products, *amounts, sign, pair is None])
        wanted.append(total)
    inputs = [*dut.even, *dut.odd, *dut.even_amount, *dut.odd_amount, dut.sign, dut.wide]
    outputs = [dut.negative, dut.magnitude]
    for total, found in zip(wanted, run(dut, inputs, outputs, vectors, latency=dut.latency), strict=True):
        assert found[1] == abs(total)
        assert total == 0 or found[0] == (total < 0)

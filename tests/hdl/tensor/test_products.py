"""Products of decoded rows, their alignment, and the sums of dense rows, against Python integers."""

import dataclasses
import itertools
import random

import pytest

from hdl.core.carry import Chains
from hdl.tensor.align import Align, WindowMaximum
from hdl.tensor.dense import DenseSum, product_bits
from hdl.tensor.products import Products
from hdl.tensor.shape import LANES, SliceShape, signals
from mtia.engine import CELLS
from mtia.generations import EngineParameters
from tests.hdl.pysim import logic, run

HALF = LANES // 2
#: magnitudes of E2M1 in halves
HALVES = (0, 1, 2, 3, 4, 6, 8, 12)


def shape_of(*formats, **changes):
    return SliceShape(
        EngineParameters(units=1, slices=1, depth=2, dense_rows=3, formats=formats, mixed=True, **changes)
    )


SHAPES = [
    ("MXFP4",),
    ("MXFP8_E4M3", "MXFP4"),
    ("MXFP8_E5M2",),
    ("TF32", "BF16"),
    ("MXFP8_E5M2", "TF32", "NVFP4"),
]


@pytest.fixture(params=SHAPES, ids="-".join)
def shape(request):
    return shape_of(*request.param)


def random_row(generator, row):
    """Values for the signals of a decoded row; few flags are set, so that each one counts."""
    few = generator.random() < 0.7
    return {
        ".".join(map(str, path)): generator.getrandbits(len(signal))
        & (generator.getrandbits(len(signal)) if few and path[0] in ("inf", "zero") else -1)
        & (generator.getrandbits(4) == 0 or path[-1] != "nan" or -2)
        & (0 if few and path[0] == "inf" and generator.random() < 0.6 else -1)
        for path, _member, signal in row.signature.flatten(row)
    }


class TestProducts:
    @pytest.mark.parametrize("cells", CELLS)
    def test_against_integers(self, shape, cells, seed):
        generator = random.Random(seed)
        dut = Products(shape=SliceShape(dataclasses.replace(shape.parameters, cells=cells)))
        count = 80 if cells == "generic" else 20
        rows = [(random_row(generator, dut.stationary), random_row(generator, dut.streamed)) for _ in range(count)]
        outputs = [*dut.even, *dut.odd, *dut.even_exponent, *dut.odd_exponent]
        flags = [dut.sign, dut.zero, dut.nan, dut.pos_inf, dut.neg_inf]
        inputs = [*signals(dut.stationary), *signals(dut.streamed)]
        vectors = [[*a.values(), *b.values()] for a, b in rows]
        for (a, b), result in zip(rows, run(dut, inputs, [*outputs, *flags], vectors, latency=1), strict=True):
            wanted = [a[f"{side}_significand.{lane}"] * b[f"{side}_significand.{lane}"] for side, lane in self.lanes]
            wanted += [a[f"{side}_exponent.{lane}"] + b[f"{side}_exponent.{lane}"] for side, lane in self.lanes]
            assert list(result[: len(wanted)]) == wanted
            assert list(result[len(wanted) :]) == self.flags(a, b)

    lanes = [(side, lane) for side in ("even", "odd") for lane in range(HALF)]

    @staticmethod
    def flags(a, b):
        """Sign, zero, NaN and both infinities, lane by lane."""
        bit = {name: [(row[name] >> lane & 1) for lane in range(LANES) for row in (a, b)] for name in ("inf", "zero")}
        sign = a["sign"] ^ b["sign"]
        nan = a["scale.nan"] or b["scale.nan"]
        found = [False, False]
        for lane in range(LANES):
            inf, zero = bit["inf"][2 * lane : 2 * lane + 2], bit["zero"][2 * lane : 2 * lane + 2]
            nan = nan or (inf[0] and zero[1]) or (inf[1] and zero[0])
            if any(inf):
                found[sign >> lane & 1] = True
        return [sign, a["zero"] | b["zero"], int(bool(nan)), *map(int, found)]

    def test_each_lane_alone(self):
        """Infinity, or infinity times zero, of one lane and one operand is seen; zero alone is nothing."""
        dut = Products(shape=shape_of("MXFP8_E5M2"))
        inputs = [dut.stationary.inf, dut.streamed.inf, dut.stationary.zero, dut.streamed.zero, dut.streamed.sign]
        vectors, expected = [], []
        for lane in range(LANES):
            one = 1 << lane
            vectors += [[one, 0, 0, 0, 0], [0, one, 0, 0, one], [one, 0, 0, one, 0], [0, one, one, 0, 0]]
            vectors += [[0, 0, one, one, 0], [one, 0, one, 0, 0]]
            expected += [(0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 1, 0), (0, 0, 0), (0, 1, 0)]
        assert run(dut, inputs, [dut.nan, dut.pos_inf, dut.neg_inf], vectors, latency=1) == expected


class TestWindowMaximum:
    def test_against_integers(self, seed):
        """Zeros never place the window; amounts wrap only where the product is a zero."""
        generator = random.Random(seed)
        dut = WindowMaximum(shape=shape_of("TF32"))
        vectors = []
        for case in range(300):
            distances = [generator.randrange(512) for _ in range(HALF)]
            if case % 3 == 0:
                distances = [generator.randrange(200, 204) for _ in range(HALF)]
            zero = [0, (1 << HALF) - 1, generator.getrandbits(HALF), (1 << HALF) - 1 ^ 1 << case % HALF][case % 4]
            vectors.append([*distances, zero, 1])
            vectors.append([*(distance % 64 for distance in distances), zero, 0])
        for vector, (top, *amounts) in zip(
            vectors, run(dut, [*dut.distances, dut.zero, dut.wide], [dut.top, *dut.amount], vectors), strict=True
        ):
            *distances, zero, wide = vector
            there = [distance for lane, distance in enumerate(distances) if not zero >> lane & 1]
            if not wide:
                assert top == 0
            elif there:
                assert top == min(there)
            for lane, distance in enumerate(distances):
                if not zero >> lane & 1:
                    assert amounts[lane] == distance - top


class TestAlign:
    @pytest.mark.parametrize(
        ("formats", "wide"),
        [(names, wide) for names in SHAPES for wide in (0, 1) if not wide or "TF32" in names],
    )
    def test_against_integers(self, formats, wide, seed):
        """Shifted, cut to the window in wide formats, inverted where negative."""
        generator = random.Random(seed)
        shape = shape_of(*formats)
        dut = Align(shape=shape)
        amount_bits = {"even": shape.even_exponent + 1, "odd": shape.odd_exponent + 1}
        vectors = []
        for _ in range(60):
            products = [
                generator.getrandbits(2 * bits) for bits in (shape.even_bits, shape.odd_bits) for _ in range(HALF)
            ]
            amounts = [
                self.amount(generator, shape, amount_bits[side]) for side in ("even", "odd") for _ in range(HALF)
            ]
            vectors.append([*products, *amounts, generator.getrandbits(LANES), wide])
        inputs = [*dut.even, *dut.odd, *dut.even_amount, *dut.odd_amount, dut.sign, dut.wide]
        outputs = [*dut.near, *(dut.far if shape.far else [])]
        for vector, result in zip(vectors, run(dut, inputs, outputs, vectors, latency=1), strict=True):
            far = result[LANES:] if shape.far else [0] * LANES
            for lane in range(LANES):
                place = lane // 2 + HALF * (lane % 2)
                bits = 2 * (shape.odd_bits if lane % 2 else shape.even_bits)
                want = self.aligned(shape, vector[place], bits, vector[LANES + place], wide and lane % 2 == 0)
                want ^= ((1 << shape.width) - 1) * (vector[2 * LANES] >> lane & 1)
                assert result[lane] << shape.far | far[lane] == want

    @staticmethod
    def amount(generator, shape, bits):
        """Mostly around the ends of the path and the window; narrow amounts never leave the path."""
        near = generator.choice([0, shape.width - 1, shape.parameters.window - 1]) + generator.randrange(-2, 3)
        value = near if generator.random() < 0.5 else generator.getrandbits(bits)
        return min(max(value, 0), (1 << bits) - 1 if shape.wide and bits == 9 else shape.width - 1, (1 << bits) - 1)

    @staticmethod
    def aligned(shape, product, bits, amount, cut):
        """As a fraction of the path: `product` has its top bit at the top, and what lies below the path is lost."""
        value = (
            product << shape.width >> bits >> amount if shape.width < bits else product << shape.width - bits >> amount
        )
        if cut:
            below = max(0, shape.width - shape.parameters.window)
            value = value >> below << below
        return value


def test_every_product_of_two_magnitudes():
    """On the carry cells of dense rows: all pairs of the magnitudes that E2M1 has."""

    def build(m, x, y):
        return [Chains(m, None).sum(product_bits(x, y), name="product")]

    m, inputs, outputs = logic(build, 4, 4)
    pairs = list(itertools.product(HALVES, repeat=2))
    assert run(m, inputs, outputs, pairs) == [(a * b,) for a, b in pairs]


class TestDenseSum:
    @pytest.mark.parametrize("cells", CELLS)
    def test_against_integers(self, cells, seed):
        generator = random.Random(seed)
        dut = DenseSum(shape=shape_of("MXFP4", "NVFP4", cells=cells))
        rows = []
        for case in range(40):
            pair = []
            for _ in range(2):
                lanes = [generator.choice(HALVES) if case % 4 else 12 for _ in range(LANES)]
                sign = 0 if case % 8 == 0 else generator.getrandbits(LANES)
                pair.append((sign, lanes, generator.getrandbits(9), generator.random() < 0.2))
            rows.append(pair)
        inputs = [
            signal
            for row in (dut.stationary, dut.streamed)
            for signal in (row.sign, *row.magnitude, row.scale.exponent, row.scale.nan)
        ]
        vectors = [[item for sign, lanes, *scale in pair for item in (sign, *lanes, *scale)] for pair in rows]
        outputs = [dut.negative, dut.magnitude, dut.exponent, dut.nan]
        for (a, b), result in zip(rows, run(dut, inputs, outputs, vectors, latency=dut.latency), strict=True):
            total = sum(
                x * y * (-1) ** ((a[0] ^ b[0]) >> lane & 1) for lane, (x, y) in enumerate(zip(a[1], b[1], strict=True))
            )
            assert result[1:] == (abs(total), a[2] + b[2], a[3] or b[3])
            assert total == 0 or result[0] == (total < 0)

# amaranth: UnusedElaboratable=no
# (an engine whose parameters are refused is never elaborated)
"""One product has one answer: the same bits from every generation, tiling, role of the operands and back-pressure."""

import dataclasses
import itertools

import numpy as np
import pytest

from golden.mx import MXArray
from golden.tensor import matmul
from hdl.tensor.engine import Engine
from hdl.tensor.shape import SliceShape
from mtia import generations
from mtia.formats import FORMATS
from mtia.generations import EngineParameters
from tb.tensor import gemm
from tb.tensor.gemm import GemmLane
from tb.tensor.plan import Planner
from tests.golden.support import assert_same_bits, bits
from tests.hdl.formats.support import values_of

from .support import PARAMETERS, gemm_lane, gemm_operand, operand

pytestmark = pytest.mark.sim

_PLAIN = ("MXFP8_E4M3", "MXFP4")
_STREAMS = ("passes", "stationary", "streamed", "results")

#: engines of other sizes than the generations', each with something that the others lack
TILINGS = {
    "one unit": EngineParameters(units=1, slices=1, depth=8, dense_rows=1, formats=_PLAIN, mixed=False),
    "two slices": EngineParameters(units=2, slices=2, depth=8, dense_rows=2, formats=(*_PLAIN, "NVFP4"), mixed=True),
    "deep": EngineParameters(units=1, slices=2, depth=16, dense_rows=3, formats=_PLAIN, mixed=True, deep=True),
    "three units": EngineParameters(units=3, slices=1, depth=16, dense_rows=3, formats=_PLAIN, mixed=True, deep=True),
    "without E5M2": EngineParameters(
        units=4, slices=1, depth=16, dense_rows=1, formats=("MXFP8_E5M2", *_PLAIN), mixed=True, exact_e5m2=False
    ),
}
#: (M, N, K): single rows and columns, K of one, below a group, of whole groups, of a last pass not full
SHAPES = [(1, 1, 1), (1, 9, 33), (9, 1, 64), (2, 3, 31), (5, 7, 96), (23, 11, 100), (3, 41, 160)]
CASES = [(name, a.name, b.name) for name, engine in TILINGS.items() for a, b in engine.pairs()]
GENERATIONS = {name: generations.get(name).engine("sim") for name in ("mtia300", "mtia400", "mtia450")}


@pytest.fixture
def in_role(monkeypatch):
    """Multiplies with A streamed, or with A held stationary, whatever takes longer."""
    return planned(monkeypatch, Planner.one_role)


@pytest.fixture
def in_roles(monkeypatch):
    """Multiplies with the roles exchanged in parts of the result."""
    return planned(monkeypatch, Planner.both_roles)


def planned(monkeypatch, method):
    """Multiplies as this method of the planner says."""

    def multiply(lane, a, b, swapped, **options):
        with monkeypatch.context() as patch:
            patch.setattr(gemm, "plan", lambda *arguments: method(Planner(*arguments), swapped=swapped))
            return lane.multiply(a, b, **options)[0]

    return multiply


def test_the_450_and_the_500_are_one_engine():
    """So what is shown of the 450's engine holds for the 500's."""
    for profile in generations.PROFILES:
        assert generations.get("mtia500").engine(profile) == generations.get("mtia450").engine(profile)


@pytest.mark.parametrize(("a", "b"), [(a.name, b.name) for a, b in PARAMETERS.pairs()])
def test_every_generation_gives_the_same_bits(a, b, seed):
    """Golden's, on each generation that has the pair."""
    generator = np.random.default_rng(seed)
    k = 2 * FORMATS[a].group + 7
    left, right = gemm_operand(generator, a, 9, k, specials=1), gemm_operand(generator, b, 21, k)
    able = {name: row for name, row in GENERATIONS.items() if row.supports(FORMATS[a], FORMATS[b])}
    expected = matmul(left, right, epilogue=False)
    for name, parameters in able.items():
        assert_same_bits(gemm_lane(parameters).multiply(left, right)[0], expected, (name, a, b))
    assert "mtia450" in able
    assert (np.isfinite(expected) & (expected != 0)).mean() > 0.8


def test_what_the_generations_share():
    """The comparison above is one: plain formats run on all three, block formats of one width on two."""
    pairs = {name: set(row.pairs()) for name, row in GENERATIONS.items()}
    assert pairs["mtia300"] < pairs["mtia400"] < pairs["mtia450"]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("tiling", "a", "b"), CASES)
def test_every_tiling_gives_the_same_bits(tiling, a, b, shape, in_role, seed):
    """Golden's, whichever operand streams; with the operands exchanged, the same bits transposed."""
    generator = np.random.default_rng([seed, *shape])
    m, n, k = shape
    lane = gemm_lane(TILINGS[tiling])
    left, right = gemm_operand(generator, a, m, k), gemm_operand(generator, b, n, k)
    expected = matmul(left, right, epilogue=False)
    for swapped in (False, True):
        assert_same_bits(in_role(lane, left, right, swapped), expected, (tiling, a, b, swapped))
        assert_same_bits(in_role(lane, right, left, swapped), expected.T, (tiling, b, a, swapped))


@pytest.mark.parametrize("pauses", [None, dict.fromkeys(_STREAMS, 0.4)], ids=["never", "always"])
@pytest.mark.parametrize(("tiling", "name"), [(case[0], case[1]) for case in CASES if case[1] == case[2]])
def test_roles_may_change_within_a_product(tiling, name, pauses, in_roles, seed):
    """Parts with A streamed and parts with B streamed, and passes that wait for the end of the product."""
    generator = np.random.default_rng(seed)
    lane = gemm_lane(TILINGS[tiling])
    for m, n, k in ((23, 11, 100), (40, 37, 64), (3, 41, 33)):
        left, right = gemm_operand(generator, name, m, k), gemm_operand(generator, name, n, k)
        expected = matmul(left, right, epilogue=False)
        for swapped in (False, True):
            assert_same_bits(in_roles(lane, left, right, swapped, pauses=pauses), expected, (m, n, k, swapped))


@pytest.mark.parametrize("pauses", [dict.fromkeys(_STREAMS, 0.5), *({stream: 0.9} for stream in _STREAMS)], ids=str)
@pytest.mark.parametrize("tiling", TILINGS)
def test_back_pressure_does_not_change_a_bit(tiling, pauses, in_role, seed):
    """On every stream, alone and together, with several seeds each."""
    generator = np.random.default_rng(seed)
    lane = gemm_lane(TILINGS[tiling])
    for a, b in (("MXFP8_E4M3", "MXFP8_E4M3"), ("MXFP4", "MXFP4")):
        left, right = gemm_operand(generator, a, 26, 130), gemm_operand(generator, b, 5, 130)
        expected = matmul(left, right, epilogue=False)
        for swapped, offset in itertools.product((False, True), range(3)):
            result = in_role(lane, left, right, swapped, pauses=pauses, seed=seed + offset)
            assert_same_bits(result, expected, (tiling, a, swapped, offset))


@pytest.mark.parametrize("name", GENERATIONS)
def test_back_pressure_on_a_generation(name, seed):
    """Several formats one after the other on one engine, all streams pausing."""
    generator = np.random.default_rng(seed)
    lane = gemm_lane(GENERATIONS[name])
    for a, b in lane.parameters.pairs()[::5]:
        left, right = gemm_operand(generator, a, 70, 70), gemm_operand(generator, b, 10, 70)
        result, _ = lane.multiply(left, right, pauses=dict.fromkeys(_STREAMS, 0.4), seed=seed)
        assert_same_bits(result, matmul(left, right, epilogue=False), (a.name, b.name))


@pytest.mark.parametrize("rows", [(7, 5), (20, 3)], ids=str)
@pytest.mark.parametrize("k", [1, 15, 16, 17, 48, 80])
def test_nvfp4_fills_the_last_pass(rows, k, in_role, seed):
    """An odd number of groups of 16 in an engine of two slices: the second slice of the last pass adds nothing."""
    generator = np.random.default_rng(seed)
    left, right = (gemm_operand(generator, "NVFP4", count, k) for count in rows)
    expected = matmul(left, right, epilogue=False)
    for swapped in (False, True):
        assert_same_bits(in_role(gemm_lane(TILINGS["two slices"]), left, right, swapped), expected)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    ("tiling", "a", "b"), [case for case in CASES if case[1] == case[2]] + [("two slices", "MXFP4", "MXFP8_E4M3")]
)
def test_every_row_and_block_has_its_own_scale(tiling, a, b, swapped, in_role, seed):
    """All elements are 1: the result is the product of the matrices of scales times the block, by float64 alone."""
    generator = np.random.default_rng(seed)
    sides = []
    for name, rows in ((a, 11), (b, 13)):
        fmt = FORMATS[name]
        assert fmt.block is not None
        one = np.flatnonzero(values_of(np.arange(1 << fmt.element.width), fmt.element) == 1)[0]
        codes = np.full((rows, 5 * fmt.block), one, np.uint8)
        low, high = (0x30, 0x50) if name == "NVFP4" else (124, 131)
        scales = np.stack([generator.permutation(np.arange(low, high))[:5] for _ in range(rows)]).astype(np.uint8)
        values = values_of(scales, FORMATS["FP8_E4M3"].element) if name == "NVFP4" else 2.0 ** (scales - 127.0)
        sides.append((MXArray.from_codes(codes, scales, fmt), values))
    (left, x), (right, y) = sides
    exact = x @ y.T * left.format.group
    assert (exact.astype(np.float32) == exact).all()
    assert_same_bits(in_role(gemm_lane(TILINGS[tiling]), left, right, swapped), exact.astype(np.float32))


class _Unchecked(GemmLane):
    """Sends any pair."""

    def _check(self, a: MXArray, b: MXArray) -> None:
        pass


@pytest.mark.parametrize(
    ("tiling", "a", "b"),
    [
        ("one unit", "MXFP8_E4M3", "MXFP4"),
        ("one unit", "BF16", "BF16"),
        ("without E5M2", "MXFP8_E5M2", "MXFP8_E5M2"),
        ("without E5M2", "MXFP8_E5M2", "MXFP8_E4M3"),
        ("two slices", "FP8_E4M3", "FP8_E4M3"),
    ],
)
def test_a_pair_that_the_engine_lacks_gives_nan(tiling, a, b, seed):
    """Never a truncated sum; zeros and one product after the other are refused too, and the next pair is not."""
    generator = np.random.default_rng(seed)
    lane = _Unchecked(TILINGS[tiling])
    assert not lane.parameters.supports(FORMATS[a], FORMATS[b])
    for left, right in ((a, b), (b, a)):
        result, _ = lane.multiply(gemm_operand(generator, left, 9, 40), gemm_operand(generator, right, 5, 40))
        assert (bits(result) == 0x7FC00000).all()
        result, _ = lane.multiply(operand(np.zeros((3, 32)), left), operand(np.zeros((2, 32)), right))
        assert (bits(result) == 0x7FC00000).all()
        x, y = gemm_operand(generator, "MXFP4", 9, 40), gemm_operand(generator, "MXFP4", 5, 40)
        assert_same_bits(lane.multiply(x, y)[0], matmul(x, y))


def test_e5m2_without_the_wide_sum_still_meets_e2m1(seed):
    """The one partner for which its products fit."""
    generator = np.random.default_rng(seed)
    lane = gemm_lane(TILINGS["without E5M2"])
    assert SliceShape(lane.parameters).width < 42
    for a, b in (("MXFP8_E5M2", "MXFP4"), ("MXFP4", "MXFP8_E5M2")):
        left, right = gemm_operand(generator, a, 9, 70, specials=1), gemm_operand(generator, b, 5, 70)
        assert_same_bits(lane.multiply(left, right)[0], matmul(left, right), (a, b))


@pytest.mark.parametrize("name", ["MXFP8_E5M2", "FP8_E5M2"])
def test_an_engine_without_a_pair_is_wrong(name):
    parameters = dataclasses.replace(TILINGS["without E5M2"], formats=(name,))
    with pytest.raises(ValueError, match=rf"^Formats must hold a pair that the engine multiplies, not \('{name}',\)$"):
        Engine(parameters=parameters)

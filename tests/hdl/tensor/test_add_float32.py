"""FP32 addition against numpy's: specials, subnormals, ties, cancellation, overflow."""

import itertools

import numpy as np
import pytest

from hdl.formats.float32 import CANONICAL_NAN
from hdl.tensor.add_float32 import AddFloat32
from tests.hdl.pysim import run

#: zeros, the ends of the subnormal and normal ranges, ones with neighbours, where an ulp is one half, 1, 2; Inf, NaN
EDGES = (
    *(0x00000000, 0x00000001, 0x00000002, 0x00400000, 0x007FFFFF, 0x00800000, 0x00800001, 0x00FFFFFF, 0x01000000),
    *(0x3F7FFFFF, 0x3F800000, 0x3F800001, 0x33800000, 0x33800001, 0x34000000, 0x4B000000, 0x4B800000, 0x4B800001),
    *(0x73000000, 0x73800000, 0x7E7FFFFF, 0x7EFFFFFF, 0x7F000000, 0x7F7FFFFE, 0x7F7FFFFF, 0x7F800000),
    *(0x7F800001, 0x7FBFFFFF, 0x7FC00000, 0x7FC00001, 0x7FFFFFFF),
)
SIGN = 0x80000000


@pytest.fixture(params=[False, True], ids=["short", "deep"])
def dut(request):
    return AddFloat32(deep=request.param)


def check(dut, pairs):
    """The RTL's sums of pairs of bits are numpy's, any NaN the canonical one."""
    pairs = np.asarray(pairs, np.uint32).reshape(-1, 2)
    with np.errstate(all="ignore"):
        sums = pairs[:, 0].view(np.float32) + pairs[:, 1].view(np.float32)
    expected = np.where(np.isnan(sums), np.uint32(CANONICAL_NAN), sums.view(np.uint32))
    result = run(dut, [dut.a, dut.b], [dut.result], pairs.tolist(), latency=dut.latency)
    wrong = [
        f"{a:#010x} + {b:#010x}: {got:#010x}, not {want:#010x}"
        for (a, b), (got,), want in zip(pairs.tolist(), result, expected.tolist(), strict=True)
        if got != want
    ]
    assert not wrong, f"{len(wrong)} of {len(pairs)}: {wrong[:5]}"


def words(generator, exponents):
    """Random numbers with these exponent fields."""
    mantissa, sign = generator.integers(0, 1 << 23, len(exponents)), generator.integers(0, 2, len(exponents))
    return (sign << 31 | exponents << 23 | mantissa).astype(np.uint32)


def test_every_pair_of_edges(dut):
    signed = [word | sign for word in EDGES for sign in (0, SIGN)]
    check(dut, list(itertools.product(signed, signed)))


def test_every_distance_of_exponents(dut, seed):
    """The smaller operand on either side, from the same binade to beyond the sticky bit."""
    generator = np.random.default_rng(seed)
    distances = np.repeat(np.arange(-40, 41), 24)
    high = generator.integers(41, 214, len(distances))
    check(dut, np.stack([words(generator, high), words(generator, high + distances)], axis=1))


@pytest.mark.parametrize("subtract", [0, SIGN])
def test_ties_and_their_neighbours(dut, subtract, seed):
    """The smaller operand is half an ulp of the larger, or next to that, for even and odd mantissas."""
    generator = np.random.default_rng(seed)
    large = words(generator, generator.integers(30, 255, 600))
    half = ((large >> 23 & 0xFF) - 24 << 23).astype(np.uint32) | (large & SIGN) ^ np.uint32(subtract)
    check(dut, np.stack([np.repeat(large, 3), (half[:, None] + np.array([-1, 0, 1])).ravel()], axis=1))


def test_cancellation(dut, seed):
    """Operands of opposite sign within a few ulp, and around a power of two."""
    generator = np.random.default_rng(seed)
    a = words(generator, generator.integers(0, 255, 1500))
    a[::3] = a[::3] & 0xFF800000
    b = (a ^ SIGN).astype(np.int64) + generator.integers(-4, 5, len(a))
    check(dut, np.stack([a, (b & 0xFFFFFFFF).astype(np.uint32)], axis=1))


def test_subnormals(dut, seed):
    generator = np.random.default_rng(seed)
    pair = [words(generator, generator.integers(0, 4, 1500)) >> generator.integers(0, 2, 1500) * 4 for _ in range(2)]
    check(dut, np.stack(pair, axis=1) | generator.integers(0, 2, (1500, 2)) * SIGN)


def test_random_bits(dut, seed):
    check(dut, np.random.default_rng(seed).integers(0, 1 << 32, (3000, 2)))

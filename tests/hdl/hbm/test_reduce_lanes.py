# amaranth: UnusedElaboratable=no
# (a component whose parameters are refused is never elaborated)
"""Reductions of the RTL against golden, bit for bit: every kind and format, specials, masks, every two-byte code."""

import itertools

import numpy as np
import pytest

from golden import near_memory as golden
from golden.formats import code_dtype, inf_code
from hdl.hbm.reduce_format import ReduceFormat as Shape
from hdl.hbm.reduce_lanes import ReduceLanes
from hdl.hbm.reduce_widen import Widen
from mtia.near_memory import ATOM_BYTES, SCALE_BYTE, ReduceFormat, ReduceKind
from tb.lane import Lane

from .timed import Timed

TOKEN_BITS = 20
MX = [item for item in ReduceFormat if item.operand is not None]
PLAIN = [item for item in ReduceFormat if item.operand is None]
ALL = list(itertools.product(ReduceKind, ReduceFormat))


@pytest.fixture(scope="module")
def lanes():
    return Lane(Timed(inner=ReduceLanes(token_bits=TOKEN_BITS)), name="reduce_lanes")


def words(data):
    return np.ascontiguousarray(data).view("<u4")


def run(lanes, kind, format, memory, operand, mask=None):
    """New atoms that the RTL gives, one a cycle, their tokens checked; a kind and a format for all, or for each."""
    count = len(memory)
    mask = np.ones((count, ATOM_BYTES), bool) if mask is None else mask
    token = np.arange(count) * 7 % (1 << TOKEN_BITS)
    fields = {
        "kind": np.broadcast_to(np.asarray(kind, np.uint8), count),
        "format": np.broadcast_to(np.asarray(format, np.uint8), count),
        "memory": words(memory),
        "operand": words(operand),
        "mask": np.packbits(mask, axis=1, bitorder="little").view("<u4")[:, 0],
        "token": token,
    }
    lanes.reset()
    lanes.push("i", {"i": fields})
    assert lanes.run({"o": count}) == count + ReduceLanes.latency
    found = lanes.pull_fields("o")["o"]
    np.testing.assert_array_equal(found["token"], token)
    return np.ascontiguousarray(found["result"], "<u4").view(np.uint8)


def assert_same(got, want, describe):
    wrong = np.nonzero((got != want).any(axis=1))[0]
    assert not len(wrong), f"{len(wrong)} of {len(got)} differ: {describe(wrong[0])}"


def check(lanes, kind, format, memory, operand, mask=None):
    want = golden.apply(kind, format, memory, operand, mask)
    got = run(lanes, kind, format, memory, operand, mask)
    assert_same(
        got,
        want,
        lambda i: (kind, format, *(bytes(side[i]).hex(" ", 2) for side in (memory, operand, got, want))),
    )


def atoms(generator, count):
    return generator.integers(0, 256, (count, ATOM_BYTES), np.uint8)


def operands(generator, format, count):
    data = atoms(generator, count)
    if format.operand is not None:
        near = generator.integers(100, 150, count)
        data[:, SCALE_BYTE] = np.where(generator.random(count) < 0.7, near, data[:, SCALE_BYTE])
    return data


def specials(element):
    """Zeros, ends of subnormals and normals, one and its neighbours, infinity, NaN of several kinds, both signs."""
    least, one, inf = 1 << element.mantissa_bits, element.bias << element.mantissa_bits, inf_code(element)
    bodies = [0, 1, 2, 3, least // 2, least - 1, least, least + 1, least * 2, one - 1, one, one + 1, one + least // 2]
    bodies += [inf - 2, inf - 1, inf, inf + 1, inf + least // 2, 2 * inf - 1 & (1 << element.width - 1) - 1]
    bodies += [inf + least - 1, one - 24 * least, one - 9 * least, one - 8 * least]
    return np.array(
        [body | sign << element.width - 1 for body in bodies if body >= 0 for sign in (0, 1)], code_dtype(element)
    )


def packed(codes, format):
    """Atoms of codes, the last one filled up by repeating."""
    count = -(-codes.size // format.lanes) * format.lanes
    return np.resize(codes, count).reshape(-1, format.lanes).view(np.uint8)


@pytest.mark.sim
@pytest.mark.parametrize(("kind", "format"), ALL)
def test_random_bits(lanes, kind, format, seed):
    """Over all kinds and formats 1.5 million numbers."""
    generator = np.random.default_rng(seed)
    check(lanes, kind, format, atoms(generator, 1500), operands(generator, format, 1500))


@pytest.mark.sim
@pytest.mark.parametrize(("kind", "format"), ALL)
def test_masks(lanes, kind, format, seed):
    generator = np.random.default_rng(seed)
    mask = generator.random((400, ATOM_BYTES)) < generator.choice([0, 0.5, 0.9, 1], (400, 1))
    check(lanes, kind, format, atoms(generator, 400), operands(generator, format, 400), mask)


@pytest.mark.sim
@pytest.mark.parametrize(("kind", "format"), list(itertools.product(ReduceKind, PLAIN)))
def test_every_pair_of_specials(lanes, kind, format):
    codes = specials(format.memory)
    first, second = (grid.ravel() for grid in np.meshgrid(codes, codes))
    check(lanes, kind, format, packed(first, format), packed(second, format))


@pytest.mark.sim
@pytest.mark.parametrize("kind", ReduceKind)
@pytest.mark.parametrize("format", [ReduceFormat.BF16, ReduceFormat.FP16])
def test_every_code_of_two_bytes(lanes, kind, format, seed):
    """All 65,536 codes on either side, with random ones, with their negatives, and with codes a few steps away."""
    generator = np.random.default_rng(seed)
    codes = np.arange(1 << 16, dtype=np.uint16)
    for other in (generator.permutation(codes), codes ^ 0x8000, codes ^ 0x8000 ^ generator.integers(0, 8, 1 << 16)):
        partner = packed(other.astype(np.uint16), format)
        check(lanes, kind, format, packed(codes, format), partner)
        check(lanes, kind, format, partner, packed(codes, format))


@pytest.mark.sim
@pytest.mark.parametrize("format", MX, ids=lambda item: item.name)
def test_every_element_under_every_scale(lanes, format):
    """COPY, so that each value is seen rounded to the memory; and MAX against specials of the memory."""
    size = 1 << format.operand.element.width
    codes = np.arange(size, dtype=np.uint8).reshape(-1, min(format.lanes, size))
    blocks = np.zeros((256, len(codes), ATOM_BYTES), np.uint8)
    blocks[:, :, : format.lanes] = np.resize(codes, (len(codes), format.lanes))
    blocks[:, :, SCALE_BYTE] = np.arange(256)[:, None]
    operand = blocks.reshape(-1, ATOM_BYTES)
    check(lanes, ReduceKind.COPY, format, np.zeros_like(operand), operand)
    memory = packed(np.resize(specials(format.memory), len(operand) * format.lanes), format)
    check(lanes, ReduceKind.MAX, format, memory, operand)


@pytest.mark.sim
@pytest.mark.parametrize("format", ReduceFormat)
def test_near_ties(lanes, format, seed):
    """Sums of numbers whose exponents are close, where cancellation, ties and carries are many."""
    generator = np.random.default_rng(seed)
    element = format.memory
    low, high = (1, 31) if element.exponent_bits == 5 else (110, 145)
    field = generator.integers(low, high, (3000, format.lanes))
    mantissa = generator.integers(0, 1 << element.mantissa_bits, field.shape)
    mantissa = np.where(generator.random(field.shape) < 0.5, mantissa & generator.choice([0, 1, 3]), mantissa)
    sign = generator.integers(0, 2, field.shape)
    memory = (sign << element.width - 1 | field << element.mantissa_bits | mantissa).astype(code_dtype(element))
    operand = operands(generator, format, 3000)
    if format.operand is None:
        operand = packed(
            (memory ^ generator.integers(0, 1 << element.mantissa_bits + 4, field.shape)).astype(memory.dtype), format
        )
    check(lanes, ReduceKind.SUM, format, packed(memory, format), operand)


@pytest.mark.sim
def test_kinds_and_formats_in_turn(lanes, seed):
    """A hundred thousand atoms, kind, format and mask changing from cycle to cycle."""
    generator = np.random.default_rng(seed)
    count = 100_000
    kind, format = generator.choice(list(ReduceKind), count), generator.choice(list(ReduceFormat), count)
    memory, operand = atoms(generator, count), atoms(generator, count)
    operand[:, SCALE_BYTE] = generator.integers(90, 160, count)
    mask = generator.random((count, ATOM_BYTES)) < generator.choice([0.9, 1], (count, 1))
    want = np.empty_like(memory)
    for pair in ALL:
        rows = (kind == pair[0]) & (format == pair[1])
        want[rows] = golden.apply(*pair, memory[rows], operand[rows], mask[rows])
    got = run(lanes, kind, format, memory, operand, mask)
    assert_same(got, want, lambda i: (kind[i], format[i], bytes(memory[i]).hex(), bytes(operand[i]).hex()))


@pytest.mark.sim
@pytest.mark.parametrize("kind", ReduceKind)
@pytest.mark.parametrize("format", sorted(set(range(32)) - set(ReduceFormat)))
def test_a_format_that_is_none_changes_nothing(lanes, kind, format, seed):
    generator = np.random.default_rng(seed)
    memory = atoms(generator, 50)
    np.testing.assert_array_equal(run(lanes, kind, format, memory, atoms(generator, 50)), memory)


def test_enumerations_are_the_data():
    assert {item.name: item.value for item in Shape} == {item.name: item.value for item in ReduceFormat}


@pytest.mark.parametrize(("bits", "error"), [(0, ValueError), ("4", TypeError)])
def test_token_bits_wrong(bits, error):
    with pytest.raises(error, match=r"^Token bits must be (at least 1|an integer), not "):
        ReduceLanes(token_bits=bits)


@pytest.mark.parametrize("mx", [1, None])
def test_widen_mx_wrong(mx):
    with pytest.raises(TypeError, match=r"^Widen mx must be a bool, not "):
        Widen(mx=mx)

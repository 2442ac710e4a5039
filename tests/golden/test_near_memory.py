"""Reductions in memory against other libraries' casts, exact rationals and a tree said by recursion."""

import math
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from golden.formats import code_dtype, inf_code, nan_code
from golden.near_memory import apply, tree, tree_sum
from golden.reference import element_value, scale_value
from mtia.formats import Element, Scale
from mtia.near_memory import ATOM_BYTES, SCALE_BYTE, ReduceFormat, ReduceKind
from tests.oracles import ORACLES

#: numpy's type of each element of an operand or of memory that another library casts
TYPES = ORACLES | {"FP32": np.float32}
PLAIN = [ReduceFormat.FP32, ReduceFormat.BF16, ReduceFormat.FP16]
ARITHMETIC = [ReduceKind.SUM, ReduceKind.MAX, ReduceKind.MIN]


def atoms(generator: np.random.Generator, count: int) -> np.ndarray:
    return generator.integers(0, 256, (count, ATOM_BYTES), np.uint8)


def operands(generator: np.random.Generator, format: ReduceFormat, count: int) -> np.ndarray:
    """Random operands whose scales mostly give numbers in the memory's range, and a few from anywhere."""
    data = atoms(generator, count)
    if format.operand is not None:
        near = generator.integers(100, 150, count)
        data[:, SCALE_BYTE] = np.where(generator.random(count) < 0.8, near, data[:, SCALE_BYTE])
    return data


def lanes(format: ReduceFormat, data: np.ndarray) -> np.ndarray:
    """Codes of the numbers in atoms."""
    return np.ascontiguousarray(data).view(code_dtype(format.memory))


def packed(codes: np.ndarray) -> np.ndarray:
    """Atoms of codes (n, lanes)."""
    return np.ascontiguousarray(codes).view(np.uint8)


def oracle_widen(format: ReduceFormat, data: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        if format.operand is None:
            return lanes(format, data).view(TYPES[format.memory.name]).astype(np.float32)
        element = format.operand.element
        codes = np.ascontiguousarray(data[:, : format.lanes] & (2**element.width - 1))
        value = codes.view(np.int8) / 64 if element.is_integer else codes.view(TYPES[element.name]).astype(np.float64)
        scale = data[:, SCALE_BYTE:].view(ml_dtypes.float8_e8m0fnu).astype(np.float64)
        return (value * scale).astype(np.float32)


def oracle_combine(kind: ReduceKind, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        if kind is ReduceKind.SUM:
            return a + b
        best = np.fmax(a, b) if kind is ReduceKind.MAX else np.fmin(a, b)
        zero = (a == 0) & (b == 0)
        negative = np.signbit(a) & np.signbit(b) if kind is ReduceKind.MAX else np.signbit(a) | np.signbit(b)
        best = np.where(zero, np.where(negative, np.float32(-0.0), np.float32(0.0)), best)
        return np.where(np.isnan(a) | np.isnan(b), np.float32(np.nan), best)


def oracle_narrow(format: ReduceFormat, x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        codes = x.astype(TYPES[format.memory.name]).view(code_dtype(format.memory))
    return np.where(np.isnan(x), codes.dtype.type(nan_code(format.memory)), codes)


def assert_same(format: ReduceFormat, actual: np.ndarray, expected: np.ndarray, note: object = "") -> None:
    """Codes of two sets of atoms are equal bit for bit."""
    got, want = lanes(format, actual), lanes(format, expected)
    wrong = np.argwhere(got != want)
    assert not len(wrong), f"{note}: {len(wrong)} differ, first at {wrong[0]}: {got[*wrong[0]]:#x} {want[*wrong[0]]:#x}"


def specials(element: Element) -> np.ndarray:
    """Codes of zeros, ends of subnormals and normals, one with neighbours, infinity and NaN, of both signs."""
    least, one = 1 << element.mantissa_bits, element.bias << element.mantissa_bits
    half = 1 << (element.mantissa_bits - 1)
    bodies = [0, 1, 2, half, least - 1, least, least + 1, one - 1, one, one + 1, one + half, element.max_code - 1]
    bodies += [element.max_code, inf_code(element), inf_code(element) + 1, nan_code(element), inf_code(element) * 2 - 1]
    bodies[-1] = (1 << (element.width - 1)) - 1
    return np.array([body | sign << (element.width - 1) for body in bodies for sign in (0, 1)], code_dtype(element))


def special_pairs(format: ReduceFormat) -> tuple[np.ndarray, np.ndarray]:
    """Every special of a plain format with every other, as atoms."""
    codes = specials(format.memory)
    a, b = (grid.ravel() for grid in np.meshgrid(codes, codes))
    count = len(a) // format.lanes * format.lanes + format.lanes
    return tuple(packed(np.resize(side, count).reshape(-1, format.lanes)) for side in (a, b))  # type: ignore[return-value]


@pytest.mark.parametrize("kind", ARITHMETIC)
@pytest.mark.parametrize("format", ReduceFormat)
def test_random_bits_agree_with_other_libraries(kind: ReduceKind, format: ReduceFormat, seed: int) -> None:
    generator = np.random.default_rng(seed)
    memory, operand = atoms(generator, 4000), operands(generator, format, 4000)
    a = oracle_widen(ReduceFormat[format.memory.name], memory)
    expected = packed(oracle_narrow(format, oracle_combine(kind, a, oracle_widen(format, operand))))
    assert_same(format, apply(kind, format, memory, operand), expected)


@pytest.mark.parametrize("kind", ARITHMETIC)
@pytest.mark.parametrize("format", PLAIN)
def test_specials_agree_with_other_libraries(kind: ReduceKind, format: ReduceFormat) -> None:
    memory, operand = special_pairs(format)
    wide = oracle_combine(kind, oracle_widen(format, memory), oracle_widen(format, operand))
    assert_same(format, apply(kind, format, memory, operand), packed(oracle_narrow(format, wide)))


@pytest.mark.parametrize("kind", ARITHMETIC)
@pytest.mark.parametrize("format", [ReduceFormat.BF16, ReduceFormat.FP16])
def test_every_code_of_two_bytes(kind: ReduceKind, format: ReduceFormat, seed: int) -> None:
    codes = np.arange(1 << 16, dtype=np.uint16)
    memory = packed(codes.reshape(-1, 16))
    operand = packed(np.random.default_rng(seed).permutation(codes).reshape(-1, 16))
    for first, second in ((memory, operand), (operand, memory), (memory, memory)):
        wide = oracle_combine(kind, oracle_widen(format, first), oracle_widen(format, second))
        assert_same(format, apply(kind, format, first, second), packed(oracle_narrow(format, wide)))


@pytest.mark.parametrize("format", [item for item in ReduceFormat if item.operand is not None])
def test_every_code_under_every_scale_copies(format: ReduceFormat) -> None:
    """COPY of an MX operand: its value, once rounded; every code of the element under every scale."""
    assert format.operand is not None
    width = format.operand.element.width
    codes = np.arange(1 << width, dtype=np.uint8).reshape(-1, min(format.lanes, 1 << width))
    data = np.zeros((256, len(codes), ATOM_BYTES), np.uint8)
    data[:, :, : format.lanes] = np.resize(codes, (len(codes), format.lanes))
    data[:, :, SCALE_BYTE] = np.arange(256)[:, None]
    operand = data.reshape(-1, ATOM_BYTES)
    actual = apply(ReduceKind.COPY, format, np.zeros_like(operand), operand)
    assert_same(format, actual, packed(oracle_narrow(format, oracle_widen(format, operand))))


def nearest(value: Fraction, element: Element) -> int:
    """Code of the number nearest to a value that is not 0, ties to even, overflow to infinity."""
    exponent = abs(value).numerator.bit_length() - abs(value).denominator.bit_length()
    exponent -= abs(value) < Fraction(2) ** exponent
    exponent = max(exponent, element.emin)
    significand = round(abs(value) / Fraction(2) ** (exponent - element.mantissa_bits))
    body = min((exponent - element.emin << element.mantissa_bits) + significand, inf_code(element))
    return body | (value < 0) << (element.width - 1)


@pytest.mark.parametrize("format", ReduceFormat)
def test_a_sum_is_the_exact_sum_rounded_once(format: ReduceFormat, seed: int) -> None:
    """In plain rationals, with operands whose exponent is near the memory's, so that roundings and ties abound."""
    generator = np.random.default_rng(seed)
    count = 3000 // format.lanes
    memory, operand = atoms(generator, count), operands(generator, format, count)
    codes = lanes(format, memory)
    if format.memory.exponent_bits == 8:  # exponents that the operands' scales reach
        close = generator.integers(110, 145, codes.shape).astype(codes.dtype) << format.memory.mantissa_bits
        sign_and_mantissa = ~np.array(0xFF << format.memory.mantissa_bits, codes.dtype)
        codes = np.where(generator.random(codes.shape) < 0.7, codes & sign_and_mantissa | close, codes)
        memory = packed(codes)
    if format.operand is None:
        near = (codes & ~np.array(0x1F)) ^ generator.integers(0, 1 << (format.memory.width - 4), codes.shape)
        operand = packed(
            np.where(generator.random(codes.shape) < 0.7, near, lanes(format, operand)).astype(codes.dtype)
        )
    result = lanes(format, apply(ReduceKind.SUM, format, memory, operand))
    checked = 0
    for row in range(count):
        for lane in range(format.lanes):
            a = element_value(int(codes[row, lane]), format.memory)
            if format.operand is None:
                b = element_value(int(lanes(format, operand)[row, lane]), format.memory)
            else:
                element, scale = format.operand.element, scale_value(int(operand[row, SCALE_BYTE]), Scale.E8M0)
                b = element_value(int(operand[row, lane]) & (2**element.width - 1), element)
                b = b * scale if isinstance(b, Fraction) and isinstance(scale, Fraction) else math.nan
            if isinstance(a, float) or isinstance(b, float) or not a + b or abs(b) >= 2**128:
                continue  # the other tests have these
            assert int(result[row, lane]) == nearest(a + b, format.memory), (row, lane, a, b)
            checked += 1
    assert checked > count * format.lanes / 3


def fp32(*words: int) -> np.ndarray:
    """An atom of FP32 bits, zeros behind them."""
    return packed(np.array([[*words, *[0] * (8 - len(words))]], np.uint32))


@pytest.mark.parametrize(
    ("kind", "a", "b", "expected"),
    [
        (ReduceKind.SUM, 0x80000000, 0x80000000, 0x80000000),
        (ReduceKind.SUM, 0x00000000, 0x80000000, 0x00000000),
        (ReduceKind.SUM, 0x3F800000, 0xBF800000, 0x00000000),
        (ReduceKind.SUM, 0x7F7FFFFF, 0x7F7FFFFF, 0x7F800000),
        (ReduceKind.SUM, 0x7F800000, 0xFF800000, 0x7FC00000),
        (ReduceKind.SUM, 0xFFC12345, 0x3F800000, 0x7FC00000),
        (ReduceKind.SUM, 0x00000001, 0x00000001, 0x00000002),
        (ReduceKind.MAX, 0x80000000, 0x00000000, 0x00000000),
        (ReduceKind.MAX, 0x00000000, 0x80000000, 0x00000000),
        (ReduceKind.MIN, 0x80000000, 0x00000000, 0x80000000),
        (ReduceKind.MIN, 0x00000000, 0x80000000, 0x80000000),
        (ReduceKind.MAX, 0xFF800000, 0x7FA00000, 0x7FC00000),
        (ReduceKind.MIN, 0xFFC12345, 0xFF800000, 0x7FC00000),
        (ReduceKind.MAX, 0xFF800000, 0x80000001, 0x80000001),
        (ReduceKind.MIN, 0x80000002, 0x80000001, 0x80000002),
        (ReduceKind.COPY, 0x3F800000, 0xFFA00001, 0xFFA00001),
    ],
)
def test_specials_by_hand(kind: ReduceKind, a: int, b: int, expected: int) -> None:
    result = apply(kind, ReduceFormat.FP32, fp32(a), fp32(b))
    assert lanes(ReduceFormat.FP32, result)[0, 0] == expected


def test_an_operand_past_fp32_is_infinite() -> None:
    """2**128 less the largest FP32 number would be finite, if the operand were not FP32 first."""
    operand = np.zeros((1, ATOM_BYTES), np.uint8)
    operand[0, 0], operand[0, SCALE_BYTE] = 0x40, 254  # 2 * 2**127
    result = apply(ReduceKind.SUM, ReduceFormat.FP32_MXFP8_E5M2, fp32(0xFF7FFFFF), operand)
    assert lanes(ReduceFormat.FP32, result)[0, 0] == 0x7F800000


def test_bits_above_an_element_are_ignored(seed: int) -> None:
    generator = np.random.default_rng(seed)
    memory, operand = atoms(generator, 50), atoms(generator, 50)
    for format in (ReduceFormat.BF16_MXFP4, ReduceFormat.FP32_MXFP6_E2M3):
        assert format.operand is not None
        clean = operand.copy()
        clean[:, :SCALE_BYTE] &= (1 << format.operand.element.width) - 1
        clean[:, format.lanes : SCALE_BYTE] = 0
        np.testing.assert_array_equal(
            apply(ReduceKind.SUM, format, memory, operand), apply(ReduceKind.SUM, format, memory, clean)
        )


@pytest.mark.parametrize("format", ReduceFormat)
@pytest.mark.parametrize("kind", ReduceKind)
def test_mask(kind: ReduceKind, format: ReduceFormat, seed: int) -> None:
    """Byte by byte for COPY; otherwise a number whose bytes are not all enabled stays as it is."""
    generator = np.random.default_rng(seed)
    memory, operand = atoms(generator, 300), operands(generator, format, 300)
    mask = generator.random((300, ATOM_BYTES)) < generator.choice([0.5, 0.9], (300, 1))
    full = apply(kind, format, memory, operand)
    expected = memory.copy()
    size = ATOM_BYTES // format.lanes
    for row in range(300):
        for byte in range(ATOM_BYTES):
            first = byte // size * size
            if mask[row, byte] if kind is ReduceKind.COPY else mask[row, first : first + size].all():
                expected[row, byte] = full[row, byte]
    np.testing.assert_array_equal(apply(kind, format, memory, operand, mask), expected)


def recursive(kind: ReduceKind, numbers: list[np.ndarray]) -> np.ndarray:
    """The tree said from the root: the largest power of two below p on the left, the rest on the right."""
    if len(numbers) == 1:
        return numbers[0]
    split = 1 << (len(numbers) - 1).bit_length() - 1
    return oracle_combine(kind, recursive(kind, numbers[:split]), recursive(kind, numbers[split:]))


@pytest.mark.parametrize("kind", ARITHMETIC)
@pytest.mark.parametrize("format", ReduceFormat)
def test_tree_of_every_size(kind: ReduceKind, format: ReduceFormat, seed: int) -> None:
    generator = np.random.default_rng(seed)
    for p in [*range(1, 20), 31, 32, 33, 63, 64, 65, 72, 127, 128]:
        slots = operands(generator, format, p * 6).reshape(p, 6, ATOM_BYTES)
        if format is ReduceFormat.FP32:
            slots = packed(generator.standard_normal((p, 6, 8)).astype(np.float32))
        wide = recursive(kind, [oracle_widen(format, slot) for slot in slots])
        assert_same(format, tree(kind, format, slots), packed(oracle_narrow(format, wide)), p)


def test_the_order_of_slots_matters() -> None:
    """So a tree over another order would be noticed: 1, 2**-24, 2**-24 give 1; 2**-24, 2**-24, 1 give more."""
    one, tiny = fp32(0x3F800000), fp32(0x33800000)
    assert lanes(ReduceFormat.FP32, tree_sum(np.stack([one, tiny, tiny]), ReduceFormat.FP32))[0, 0] == 0x3F800000
    assert lanes(ReduceFormat.FP32, tree_sum(np.stack([tiny, tiny, one]), ReduceFormat.FP32))[0, 0] == 0x3F800001


def test_a_tree_rounds_once() -> None:
    """128 + 0.5 + 0.5 in BF16: neither 0.5 alone moves 128, and both together do where they meet in FP32."""
    codes = np.array([0x4300, 0x3F00, 0x3F00], np.uint16)
    slots = np.repeat(codes, 16).view(np.uint8).reshape(3, 1, ATOM_BYTES)
    assert (lanes(ReduceFormat.BF16, tree_sum(slots, ReduceFormat.BF16)) == 0x4301).all()
    memory = slots[0]
    for slot in slots[1:]:
        memory = apply(ReduceKind.SUM, ReduceFormat.BF16, memory, slot)
    assert (lanes(ReduceFormat.BF16, memory) == 0x4300).all()


GOOD = np.zeros((2, ATOM_BYTES), np.uint8)


def call(**changes: Any) -> np.ndarray:
    arguments: dict[str, Any] = {"kind": ReduceKind.SUM, "format": ReduceFormat.FP32, "memory": GOOD, "operand": GOOD}
    return apply(**arguments | changes)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"kind": 4}, ValueError, r"^Kind must be one of COPY, SUM, MAX, MIN, not 4$"),
        ({"format": 3}, ValueError, r"^Format must be one of FP32, BF16, .*, not 3$"),
        ({"memory": GOOD.astype(int)}, TypeError, r"^Memory must be of dtype uint8, not 'int64'$"),
        ({"operand": GOOD[:, :31]}, ValueError, r"^Operand must be of shape \(n, 32\), not \(2, 31\)$"),
        ({"operand": GOOD[:1]}, ValueError, r"^Operand must be of shape \(2, 32\), as the memory, not \(1, 32\)$"),
        ({"mask": GOOD}, TypeError, r"^Mask must be of dtype bool, not 'uint8'$"),
        ({"mask": GOOD[0] == 0}, ValueError, r"^Mask must be of shape \(2, 32\), as the memory, not \(32,\)$"),
    ],
)
def test_wrong_arguments(changes: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call(**changes)


@pytest.mark.parametrize(
    ("kind", "slots", "error", "words"),
    [
        (ReduceKind.COPY, GOOD[None], ValueError, r"^Kind of a tree must be SUM, MAX or MIN, not 'COPY'$"),
        (ReduceKind.SUM, GOOD, ValueError, r"^Slots must be of shape \(p, n, 32\) with p at least 1, not \(2, 32\)$"),
        (ReduceKind.SUM, GOOD[None][:0], ValueError, r"^Slots must be of shape .* not \(0, 2, 32\)$"),
        (ReduceKind.SUM, GOOD[None].astype(int), TypeError, r"^Slots must be of dtype uint8, not 'int64'$"),
    ],
)
def test_wrong_slots(kind: ReduceKind, slots: np.ndarray, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        tree(kind, ReduceFormat.FP32, slots)

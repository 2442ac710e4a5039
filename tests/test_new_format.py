"""A new number format is a new row: golden and RTL follow, bit for bit, without any other edit.

The rows of docs/how-to/add-a-format.md are put into the text of mtia/formats.py and everything that derives from
it is imported anew; what is imported so is put back when the tests of this file end.
"""

import importlib
import itertools
import pathlib
import sys
import types
from collections.abc import Iterator

import ml_dtypes
import numpy as np
import pytest

from tests.hdl.pysim import logic, run

ROOT = pathlib.Path(__file__).parents[1]
#: the packages that derive from the table
PACKAGES = ("mtia", "hdl", "golden", "tb")
#: what is typed into mtia/formats.py: an element without a mantissa, and one that ml_dtypes has too
ROWS = {
    "ELEMENTS": """\
    ("E3M0", 3, 0, 3, Specials.NONE),
    ("E3M4", 3, 4, 3, Specials.IEEE),
""",
    "FORMATS": """\
    ("MXFP4_E3M0", "E3M0", 32, Scale.E8M0, 32, "4-bit powers of two"),
    ("MXFP8_E3M4", "E3M4", 32, Scale.E8M0, 32, "8-bit float with a long mantissa"),
    ("FP8_E3M4", "E3M4", None, Scale.NONE, 32, "8-bit float with a long mantissa, without a scale"),
""",
}
NEW = ("MXFP4_E3M0", "MXFP8_E3M4", "FP8_E3M4")
NEW_MX = NEW[:2]
ELEMENTS = ("E3M0", "E3M4")
ROUNDED = list(itertools.product(NEW_MX, ("floor", "ceil", "rceil", "even"), ("rne", "stochastic")))
#: pairs that the new rows make with each other and with old ones, of one width and of two
PAIRS = [
    ("MXFP4_E3M0", "MXFP4_E3M0"),
    ("MXFP8_E3M4", "MXFP8_E3M4"),
    ("MXFP4_E3M0", "MXFP8_E3M4"),
    ("MXFP4", "MXFP4_E3M0"),
    ("MXFP8_E3M4", "MXFP8_E4M3"),
    ("FP8_E3M4", "FP8_E3M4"),
]
#: values of E3M0 by code, by hand: a zero, then powers of two from the smallest normal number on
E3M0 = [0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0]


def with_rows(source: str) -> str:
    """The table's source with the new rows at the end of their tables."""
    for table, rows in ROWS.items():
        head, begin, rest = source.partition(f"\n{table}: dict")
        body, end, tail = rest.partition("\n)\n")
        source = f"{head}{begin}{body}\n{rows.rstrip()}{end}{tail}"
    return source


def loaded() -> dict[str, types.ModuleType]:
    """The modules that derive from the table and are imported."""
    return {name: module for name, module in sys.modules.items() if name.split(".")[0] in PACKAGES}


@pytest.fixture(scope="module", autouse=True)
def before() -> Iterator[types.ModuleType]:
    """While it lasts, imports of the project see the new rows; the value is the hdl.formats.code of before."""
    old = importlib.import_module("hdl.formats.code")
    kept = loaded()
    for name in kept:
        del sys.modules[name]
    try:
        path = ROOT / "mtia" / "formats.py"
        table = types.ModuleType("mtia.formats")
        package = importlib.import_module("mtia")
        sys.modules["mtia.formats"] = package.formats = table  # type: ignore[attr-defined]
        exec(compile(with_rows(path.read_text()), str(path), "exec"), vars(table))
        yield old
    finally:
        for name in loaded():
            del sys.modules[name]
        sys.modules.update(kept)


def values_of(name: str) -> np.ndarray:
    """Values of all codes of a new element, in the order of the codes, by hand or from ml_dtypes."""
    if name == "E3M0":
        return np.array(E3M0 + [-value for value in E3M0])
    return np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e3m4).astype(np.float64)


def nearest(x: np.ndarray, name: str) -> np.ndarray:
    """Codes of finite numbers: the nearest value, of two the one with the even significand, the largest at most.

    Where both significands are odd, as between two powers of two of E3M0, it is the larger (IEEE 754, 4.3.1).
    """
    values = values_of(name)
    positive = values[: len(values) // 2]
    positive = positive[np.isfinite(positive)]
    even = np.arange(len(positive)) % 2 == 0 if name == "E3M4" else np.array(E3M0) == 0
    codes = np.empty(x.shape, np.uint8)
    for place, value in np.ndenumerate(np.abs(x)):
        distance = np.abs(positive - value)
        near = np.flatnonzero(distance == distance.min())
        codes[place] = next((code for code in near if even[code]), near[-1])
    return codes | np.signbit(x).astype(np.uint8) * np.uint8(len(values) // 2)


def test_the_table_has_the_rows():
    from mtia.formats import ELEMENTS as elements, FORMATS, MX_FORMATS

    assert list(FORMATS)[-3:] == list(NEW)
    assert MX_FORMATS[-2:] == NEW_MX
    assert (elements["E3M0"].width, elements["E3M4"].width) == (4, 8)
    assert (elements["E3M0"].max_value, elements["E3M4"].max_value) == (16, 15.5)
    assert (elements["E3M0"].min_subnormal, elements["E3M4"].min_subnormal) == (0.25, 2.0**-6)


def test_codes_of_the_formats_before_stay(before):
    from hdl.formats.code import FormatCode

    old = {member.name: member.value for member in before.FormatCode}
    assert {member.name: member.value for member in FormatCode} == old | {
        name: len(old) + index for index, name in enumerate(NEW)
    }


def test_the_generations_with_block_scales_multiply_them():
    from mtia import formats, generations

    for name, able in (("mtia300", False), ("mtia400", True), ("mtia450", True), ("mtia500", True)):
        engine = generations.get(name).engine("sim")
        for row in NEW_MX:
            assert engine.supports(formats.get(row), formats.get(row)) is able
    mixed = generations.get("mtia450").engine("sim")
    assert mixed.supports(formats.get("MXFP4_E3M0"), formats.get("MXFP8_E4M3"))
    assert not mixed.supports(formats.get("MXFP4_E3M0"), formats.get("FP8_E3M4"))


def test_the_command_line_shows_them():
    from mtia.cli.formats import as_json, describe, listing
    from mtia.formats import FORMATS

    rows = [FORMATS[name] for name in NEW]
    assert all(name in listing(rows) for name in NEW)
    assert as_json(rows[0])["max"] == 16
    assert "MXFP8_E4M3" in as_json(rows[0])["multiplies"]["mtia450"]
    assert "3 to" not in describe(rows[0])
    assert "-2 to 4" in describe(rows[0])


@pytest.mark.parametrize("name", ELEMENTS)
def test_golden_decodes_every_code(name):
    from golden.formats import decode
    from golden.reference import element_value
    from mtia.formats import ELEMENTS as elements

    values = values_of(name)
    decoded = decode(np.arange(len(values), dtype=np.uint8), elements[name])
    assert np.array_equal(decoded, values, equal_nan=True)
    assert np.array_equal(np.signbit(decoded), np.signbit(values) & ~np.isnan(values))
    exact = [float(element_value(code, elements[name])) for code in range(len(values))]
    assert np.array_equal(exact, values, equal_nan=True)


@pytest.mark.parametrize("name", ELEMENTS)
def test_golden_encodes_to_the_nearest(name, seed):
    from golden.formats import encode
    from mtia.formats import ELEMENTS as elements

    values = values_of(name)
    finite = np.unique(np.abs(values[np.isfinite(values)]))
    ties = (finite[1:] + finite[:-1]) / 2
    points = np.concatenate([finite, ties, np.nextafter(ties, 0), np.nextafter(ties, np.inf), [17, 1e9, 1e-9]])
    x = np.concatenate([points, -points, np.random.default_rng(seed).normal(0, 6, 1000)])
    assert np.array_equal(encode(x, elements[name]), nearest(x, name))


def test_golden_encodes_as_ml_dtypes(seed):
    from golden.formats import encode
    from mtia.formats import ELEMENTS as elements

    x = np.concatenate([np.random.default_rng(seed).normal(0, 6, 5000), [0.0, -0.0, np.inf, -np.inf, 15.74, 15.76]])
    x = x.astype(np.float32)
    theirs = x.astype(ml_dtypes.float8_e3m4).view(np.uint8)
    assert np.array_equal(encode(x, elements["E3M4"], saturate=False), theirs)


@pytest.mark.parametrize("name", NEW_MX)
def test_golden_quantises(name, seed):
    """Scales by logarithm of a maximum that is exact, elements by search."""
    from golden.mx import quantize
    from mtia.formats import FORMATS

    generator = np.random.default_rng(seed)
    x = (generator.normal(size=(40, 64)) * np.exp2(generator.integers(-20, 20, (40, 1)))).astype(np.float32)
    x[0] = 0
    array = quantize(x, name)
    largest = np.abs(x).reshape(40, 2, 32).max(axis=2)
    element = FORMATS[name].element
    exponent = np.frexp(largest)[1] - 1 - element.emax
    assert array.scales is not None
    assert np.array_equal(array.scales, np.where(largest > 0, exponent + 127, 0))
    scaled = x.astype(np.float64) / np.exp2(array.scales.astype(np.float64) - 127).repeat(32, axis=1)
    assert np.array_equal(array.codes, nearest(scaled, element.name))
    error = np.abs(array.dequantize() - x).reshape(40, 2, 32).max(axis=2)
    # the largest of a block is cut to the largest element: a power of two, or 31/16 of one
    assert (error <= largest * (1 / 2 if name == "MXFP4_E3M0" else 1 / 31)).all()


def operand(generator, name, rows, k, *, finite=False):
    """Any codes under scales near 1; `finite`: none of them Inf or NaN."""
    from golden.mx import MXArray
    from mtia.formats import FORMATS

    row = FORMATS[name]
    codes = generator.integers(0, 1 << row.element.width, (rows, k)).astype(np.uint8)
    if finite:
        from golden.formats import decode

        codes[~np.isfinite(decode(codes, row.element))] = 0
    scales = generator.integers(117, 137, (rows, -(-k // 32))).astype(np.uint8) if row.is_scaled else None
    return MXArray.from_codes(codes, scales, row)


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_golden_multiplies_as_exact_rationals(a, b, seed):
    from golden.tensor import matmul, matmul_reference

    generator = np.random.default_rng(seed)
    for finite in (True, False):
        left, right = operand(generator, a, 6, 80, finite=finite), operand(generator, b, 5, 80, finite=finite)
        result = matmul(left, right)
        assert np.array_equal(result.view(np.uint32), matmul_reference(left, right).view(np.uint32))
        assert np.isfinite(result).all() or not finite


@pytest.mark.parametrize("name", ELEMENTS)
def test_rtl_decodes_every_code(name):
    """By a decoder of both new elements and one old, whose signals are as wide as any of them needs."""
    from amaranth.hdl import Const

    from hdl.formats.element import Choice, DecodedElement, ElementRules, top_exponent
    from mtia.formats import ELEMENTS as elements

    width = max(elements[other].significand_bits for other in ELEMENTS)
    values = values_of(name)

    def build(m, code):
        both = [*ELEMENTS, "E2M1"]
        choices = [Choice(element=elements[other], code=code, cases=(at,)) for at, other in enumerate(both)]
        selected = Const(both.index(name), 2)
        rules = ElementRules(m, choices, selected, name="rules")
        number = DecodedElement(m, choices, selected, rules=rules, width=width, name="x")
        return [number.sign, number.significand, number.biased, number.distance, number.inf, number.nan]

    m, inputs, outputs = logic(build, 8)
    results = run(m, inputs, outputs, [[code] for code in range(len(values))])
    for value, (sign, significand, biased, distance, inf, nan) in zip(values, results, strict=True):
        assert (inf, nan) == (np.isinf(value), np.isnan(value))
        if not nan:
            assert sign == np.signbit(value)
        if np.isfinite(value):
            assert np.ldexp(significand, biased - 127 - (width - 1)) == abs(value)
            assert biased - 127 == top_exponent(elements[name]) - distance


@pytest.fixture(scope="module")
def engine():
    """A small simulated engine with the new formats between old ones."""
    from mtia.generations import EngineParameters
    from tb.tensor.gemm import GemmLane

    formats = ("MXFP4", "MXFP8_E4M3", *NEW)
    return GemmLane(EngineParameters(units=2, slices=1, depth=32, dense_rows=2, formats=formats, mixed=True))


def single_codes(name):
    """A row for each code, alone in lane 0 under a scale of 1."""
    from golden.mx import MXArray
    from mtia.formats import FORMATS

    row = FORMATS[name]
    codes = np.zeros((1 << row.element.width, 32), np.uint8)
    codes[:, 0] = np.arange(len(codes))
    return MXArray.from_codes(codes, np.full((len(codes), 1), 127, np.uint8) if row.is_scaled else None, row)


@pytest.mark.sim
@pytest.mark.parametrize("name", NEW)
def test_rtl_multiplies_every_pair_of_codes(engine, name):
    from mtia.formats import FORMATS

    values = values_of(FORMATS[name].element.name)
    with np.errstate(invalid="ignore"):  # infinity times zero
        exact = np.outer(values, values).astype(np.float32) + np.float32(0)
    exact[np.isnan(exact)] = np.uint32(0x7FC00000).view(np.float32)
    result, _ = engine.multiply(single_codes(name), single_codes(name))
    assert np.array_equal(result.view(np.uint32), exact.view(np.uint32))


@pytest.mark.sim
@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_rtl_multiplies_as_golden(engine, a, b, seed):
    from golden.tensor import matmul

    generator = np.random.default_rng(seed)
    for finite in (True, False):
        left, right = operand(generator, a, 37, 130, finite=finite), operand(generator, b, 9, 130, finite=finite)
        result, _ = engine.multiply(left, right)
        expected = matmul(left, right, epilogue=False)
        assert np.array_equal(result.view(np.uint32), expected.view(np.uint32))
        assert np.isfinite(result).all() or not finite


@pytest.mark.sim
@pytest.mark.parametrize("formats", [NEW_MX[:1], (*NEW_MX, "MXFP8_E4M3", "MXINT8")], ids=["alone", "among others"])
def test_rtl_quantises_as_golden(formats, seed):
    """Every rule and rounding, blocks of all magnitudes, ties, subnormals and specials."""
    from hdl.formats.code import FormatCode
    from hdl.tensor.quantize import Quantizer
    from tb.lane import Lane
    from tb.tensor.quantize_tb import Blocks, random_values

    quantizer = Quantizer(formats=formats)
    generator = np.random.default_rng(seed)
    blocks = Blocks.mixed(random_values(generator, 6000, 32), quantizer.shape, generator)
    assert {*zip(blocks.formats, blocks.rules, blocks.roundings, strict=True)} >= {
        case for case in ROUNDED if case[0] in formats
    }
    lane = Lane(quantizer, name="quantizer")
    lane.push("i", blocks.beats(quantizer.shape))
    lane.run({"o": len(blocks.bits)})
    fields = lane.pull_fields("o")
    scales, codes = blocks.expected(quantizer.shape)
    assert fields["format"].tolist() == [FormatCode[name].value for name in blocks.formats]
    wrong = (fields["scale"] != scales) | (fields["codes"] != codes).any(axis=1)
    assert not wrong.any(), [blocks.formats[wrong.argmax()], blocks.rules[wrong.argmax()], int(wrong.sum())]


def test_the_guide_names_the_rows():
    """docs/how-to/add-a-format.md shows the very rows that are tested here."""
    text = (ROOT / "docs" / "how-to" / "add-a-format.md").read_text()
    for row in "".join(ROWS.values()).splitlines():
        assert row.strip() in text

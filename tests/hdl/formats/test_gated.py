# amaranth: UnusedElaboratable=no
# (a module whose logic is refused is never elaborated)
"""Decoding by gates of every code of every element against ml_dtypes, numpy and two's complement."""

import numpy as np
import pytest
from amaranth.hdl import Const, Module, Signal

from hdl.core.carry import Chains
from hdl.formats.gated import GatedChoice, GatedElement, Gates, field_exponent
from mtia.formats import ELEMENTS, Element
from tests.hdl.pysim import logic, run

from .support import sample_codes, values_of

FIELDS = ("sign", "significand", "distance", "inf", "nan")
ENGINE = [name for name in ELEMENTS if name != "FP32"]


def chosen(elements):
    """Each element from bit 0 of the word; the selector's value is its place in the list."""
    return [
        GatedChoice(element=element, places=range(element.width), cases=(at,)) for at, element in enumerate(elements)
    ]


def decoder(elements, width, *, cells=False):
    """What builds the fields of a decoder; with `cells`, on carry cells."""

    def build(m, code, selected=None):
        gates = Gates(m, Const(0) if selected is None else selected, name="gates")
        chains = Chains(m, None) if cells else None
        number = GatedElement(m, chosen(elements), code, gates=gates, width=width, name="x", chains=chains)
        return [getattr(number, field) for field in FIELDS]

    return build


def check(element, code, fields, width):
    """The fields are those of the code's value by an oracle."""
    value = values_of(np.array([code]), element)[0]
    sign, significand, distance, inf, nan = fields
    assert (inf, nan) == (np.isinf(value), np.isnan(value)), hex(code)
    if not nan:
        assert sign == np.signbit(value), hex(code)
    if np.isfinite(value):
        assert np.ldexp(significand, field_exponent(element) - distance - (width - 1)) == abs(value), hex(code)


@pytest.mark.parametrize("cells", [False, True])
@pytest.mark.parametrize("spare", [0, 3])
@pytest.mark.parametrize("name", ENGINE)
def test_one_element(name, spare, cells, seed):
    element = ELEMENTS[name]
    width = element.significand_bits + spare
    codes = sample_codes(element, np.random.default_rng(seed), 1000).tolist()
    m, inputs, outputs = logic(decoder([element], width, cells=cells), element.width)
    for code, fields in zip(codes, run(m, inputs, outputs, [[code] for code in codes]), strict=True):
        check(element, code, fields, width)


@pytest.mark.parametrize(
    "names",
    [ENGINE, ENGINE[::-1], ["E2M1", "E5M2"], ["INT8", "E3M2"], ["INT8", "FP16"], ["E4M3", "TF32", "E2M3"]],
    ids="-".join,
)
@pytest.mark.parametrize("cells", [False, True])
def test_the_selected_element_of_several(names, cells, seed):
    """Whatever the others are, one after the other in random order."""
    elements = [ELEMENTS[name] for name in names]
    width = max(element.significand_bits for element in elements)
    generator = np.random.default_rng(seed)
    rows = [
        (int(code), at)
        for at, element in enumerate(elements)
        for code in generator.permutation(sample_codes(element, generator, 200))[:400]
    ]
    rows = [rows[index] for index in generator.permutation(len(rows))]
    select = (len(elements)).bit_length()
    m, inputs, outputs = logic(
        decoder(elements, width, cells=cells), max(element.width for element in elements), select
    )
    for (code, at), fields in zip(rows, run(m, inputs, outputs, rows), strict=True):
        check(elements[at], code, fields, width)


def test_no_element_selected_is_zero():
    """Neither infinity nor NaN, whatever the code is."""
    elements = [ELEMENTS["E5M2"], ELEMENTS["E4M3"], ELEMENTS["INT8"]]
    m, inputs, outputs = logic(decoder(elements, 8), 8, 2)
    for fields in run(m, inputs, outputs, [(code, 3) for code in range(256)]):
        found = dict(zip(FIELDS, fields, strict=True))
        assert (found["significand"], found["inf"], found["nan"]) == (0, 0, 0)


def test_a_lane_may_take_fewer_elements_than_the_rules_know():
    """The odd lanes of an engine: narrower than the widest mantissa, zero where the element is not theirs."""
    elements = [ELEMENTS["E4M3"], ELEMENTS["TF32"]]

    def build(m, code, selected):
        gates = Gates(m, selected, name="gates")
        numbers = [
            GatedElement(m, chosen(elements)[:count], code, gates=gates, width=width, name=f"x{count}")
            for count, width in ((1, 4), (0, 1))
        ]
        return [getattr(number, field) for number in numbers for field in FIELDS]

    m, inputs, outputs = logic(build, 8, 1)
    for at in range(2):
        for code, fields in enumerate(run(m, inputs, outputs, [(code, at) for code in range(256)])):
            if at == 0:
                check(elements[0], code, fields[: len(FIELDS)], 4)
            else:
                assert (fields[1], *fields[3:5]) == (0, 0, 0)
            assert (fields[6], *fields[8:]) == (0, 0, 0)


@pytest.mark.parametrize("name", ENGINE)
def test_the_top_is_the_largest_field(name):
    """The largest number lies there, or one below where infinities do."""
    element = ELEMENTS[name]
    values = values_of(np.arange(1 << element.width), element)
    largest = np.abs(values[np.isfinite(values)]).max()
    assert np.frexp(largest)[1] - 1 == field_exponent(element) - np.isinf(values).any()


def test_bits_above_the_code_are_ignored():
    m, inputs, outputs = logic(decoder([ELEMENTS["E2M1"]], 2), 8)
    results = run(m, inputs, outputs, [[code] for code in range(256)])
    assert results == results[:16] * 16


@pytest.mark.parametrize(("name", "exponent", "mantissa", "bias"), [("E3M0", 3, 0, 3), ("E1M2", 1, 2, 1)])
def test_an_element_that_the_table_lacks(name, exponent, mantissa, bias):
    """Widths and bias come from the row: E3M0 has no mantissa, E1M2 no other normal exponent than one."""
    element = Element(name=name, exponent_bits=exponent, mantissa_bits=mantissa, bias=bias)
    m, inputs, outputs = logic(decoder([element], element.significand_bits), element.width)
    for code, (sign, significand, distance, *_) in enumerate(run(m, inputs, outputs, [[code] for code in range(16)])):
        field, fraction = (code & 7) >> mantissa, code & (1 << mantissa) - 1
        assert sign == code >> 3
        assert significand == fraction + ((1 << mantissa) if field else 0)
        assert field_exponent(element) - distance == max(field, 1) - bias


def test_significand_width_wrong():
    m = Module()
    gates = Gates(m, Const(0), name="gates")
    with pytest.raises(ValueError, match=r"^Significand width must be at least 4, not 3$"):
        GatedElement(m, chosen([ELEMENTS["E4M3"]]), Signal(8), gates=gates, width=3, name="x")

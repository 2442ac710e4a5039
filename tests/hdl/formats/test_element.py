# amaranth: UnusedElaboratable=no
# (a module whose logic is refused is never elaborated)
"""Decoding of every code of every element against ml_dtypes, numpy and two's complement."""

import numpy as np
import pytest
from amaranth.hdl import Const, Module, Signal

from hdl.formats.element import Choice, DecodedElement, ElementRules, exponent_range, top_exponent
from mtia.formats import ELEMENTS, Element
from tests.hdl.pysim import logic, run

from .support import sample_codes, values_of

FIELDS = ("sign", "significand", "distance", "biased", "inf", "nan")


def decoded(m: Module, code: Signal, element: Element, *, width: int) -> DecodedElement:
    """The decoder of one element alone."""
    choices = [Choice(element=element, code=code)]
    rules = ElementRules(m, choices, Const(0), name="rules")
    return DecodedElement(m, choices, Const(0), rules=rules, width=width, name="x")


ENGINE = [name for name in ELEMENTS if name != "FP32"]


@pytest.mark.parametrize("spare", [0, 3])
@pytest.mark.parametrize("name", ENGINE)
def test_decoded_element(name, spare, seed):
    element = ELEMENTS[name]
    width = element.significand_bits + spare
    codes = sample_codes(element, np.random.default_rng(seed), 1000)

    def build(m, code):
        number = decoded(m, code, element, width=width)
        return [getattr(number, field) for field in FIELDS]

    m, inputs, outputs = logic(build, element.width)
    results = run(m, inputs, outputs, [[code] for code in codes.tolist()])
    for value, code, fields in zip(values_of(codes, element), codes.tolist(), results, strict=True):
        sign, significand, distance, biased, inf, nan = fields
        assert (inf, nan) == (np.isinf(value), np.isnan(value)), hex(code)
        if not nan:
            assert sign == np.signbit(value), hex(code)
        if np.isfinite(value):
            assert np.ldexp(significand, biased - 127 - (width - 1)) == abs(value), hex(code)
            assert biased - 127 == top_exponent(element) - distance, hex(code)


@pytest.mark.parametrize("name", ENGINE)
def test_the_largest_number_lies_at_the_top(name):
    """Its exponent is `top_exponent`, and no number lies further below than `exponent_range`."""
    element = ELEMENTS[name]
    values = values_of(np.arange(1 << element.width), element)
    largest = np.abs(values[np.isfinite(values)]).max()
    assert np.frexp(largest)[1] - 1 == top_exponent(element)
    smallest_normal = largest if element.is_integer else values[1 << element.mantissa_bits]
    assert exponent_range(element) == np.frexp(largest)[1] - np.frexp(smallest_normal)[1]


def test_bits_above_the_code_are_ignored():
    element = ELEMENTS["E2M1"]

    def build(m, code):
        number = decoded(m, code, element, width=2)
        return [getattr(number, field) for field in FIELDS]

    m, inputs, outputs = logic(build, 8)
    results = run(m, inputs, outputs, [[code] for code in range(256)])
    assert results == results[:16] * 16


def test_an_element_that_the_table_lacks():
    """Widths and bias come from the row: E3M0 has no mantissa, E1M2 no other normal exponent than one."""
    for row in (("E3M0", 3, 0, 3), ("E1M2", 1, 2, 1)):
        element = Element(name=row[0], exponent_bits=row[1], mantissa_bits=row[2], bias=row[3])

        def build(m, code, element=element):
            number = decoded(m, code, element, width=element.significand_bits)
            return [number.sign, number.significand, number.biased]

        m, inputs, outputs = logic(build, element.width)
        for code, (sign, significand, biased) in enumerate(run(m, inputs, outputs, [[code] for code in range(16)])):
            field, fraction = (code & 7) >> row[2], code & (1 << row[2]) - 1
            assert sign == code >> 3
            assert significand == fraction + ((1 << row[2]) if field else 0)
            assert biased - 127 == max(field, 1) - row[3]


def test_significand_width_wrong():
    with pytest.raises(ValueError, match=r"^Significand width must be at least 4, not 3$"):
        decoded(Module(), Signal(8), ELEMENTS["E4M3"], width=3)

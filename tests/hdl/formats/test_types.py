"""The named types of ports: format codes and FP32."""

import numpy as np
from amaranth.hdl import Shape

from hdl.formats.code import FormatCode
from hdl.formats.float32 import CANONICAL_NAN, Float32
from mtia.formats import FORMATS


def test_a_code_for_every_format_in_the_order_of_the_table():
    assert {member.name: member.value for member in FormatCode} == {name: at for at, name in enumerate(FORMATS)}
    assert Shape.cast(FormatCode) == Shape(5, signed=False)


def test_fields_of_float32():
    for value in (0.0, -0.0, 1.0, -1.5, 2.0**-149, 3.4e38, np.inf, -np.inf):
        word = int(np.float32(value).view(np.uint32))
        fields = Float32.from_bits(word)
        assert fields.sign == np.signbit(value)
        assert (fields.exponent, fields.mantissa) == (word >> 23 & 0xFF, word & 0x7FFFFF)
        assert Float32.const({name: fields[name] for name, _ in fields.shape()}).as_bits() == word


def test_the_canonical_nan_is_quiet_positive_and_without_payload():
    fields = Float32.from_bits(CANONICAL_NAN)
    assert (fields.sign, fields.exponent, fields.mantissa) == (0, 0xFF, 1 << 22)

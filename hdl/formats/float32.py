"""IEEE 754 binary32 as a named type.

Ref: IEEE 754-2019, section 3.4.
"""

from amaranth.hdl import unsigned
from amaranth.lib import data

#: the only NaN that the engines produce
CANONICAL_NAN = 0x7FC00000


class Float32(data.Struct):
    """binary32: `mantissa` without the hidden bit, `exponent` biased by 127."""

    mantissa: unsigned(23)
    exponent: unsigned(8)
    sign: unsigned(1)

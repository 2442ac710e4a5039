"""IEEE 754 binary32 as a named type.

Ref: IEEE 754-2019, section 3.4.
"""

from amaranth.hdl import unsigned
from amaranth.lib import data

#: the only NaN that the engines produce
CANONICAL_NAN = 0x7FC00000


class Float32(data.Struct):
    """binary32: ``(-1)**sign * 1.mantissa * 2**(exponent - 127)``.

    The bits stand as IEEE 754 interchanges them, the sign on top. Exponent 0: zero, or a subnormal
    without the hidden bit; exponent 255: infinity, or NaN if the mantissa is not 0.

    Attributes
    ----------
    mantissa : 23 bits, without the hidden one.
    exponent : biased by 127.
    sign : 1 for negative numbers.
    """

    mantissa: unsigned(23)
    exponent: unsigned(8)
    sign: unsigned(1)

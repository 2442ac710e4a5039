"""Decoding of an element's code into sign, exponent and significand.

Ref: OCP Microscaling Formats (MX) Specification v1.0, section 5.3.
"""

from amaranth import *
from amaranth.hdl import ValueLike

from mtia.formats import Element, Specials


def top_exponent(element: Element) -> int:
    """Exponent of the top significand bit of the largest numbers (INT8 reaches 2**1 with -128)."""
    return element.significand_bits - 1 - element.mantissa_bits if element.is_integer else element.emax


def exponent_range(element: Element) -> int:
    """How far the exponent of a number may lie below `top_exponent`."""
    return 0 if element.is_integer else element.emax - element.emin


class DecodedElement:
    """Signals of one decoded code.

    sign:        1 for negative numbers
    distance:    `top_exponent` minus the number's exponent (subnormals have the least exponent)
    biased:      the exponent plus 127
    significand: magnitude with its hidden bit, the top bit of the format at the top of `width` bits
    inf, nan:    1 for a code that is not a number; the other signals then mean nothing
    """

    def __init__(self, m: Module, code: ValueLike, element: Element, *, width: int, name: str):
        if width < element.significand_bits:
            raise ValueError(f"Significand width must be at least {element.significand_bits}, not {width!r}")
        code = Value.cast(code)[: element.width]
        self.sign = Signal(name=f"{name}_sign")
        self.significand = Signal(width, name=f"{name}_significand")
        self.distance = Signal(range(exponent_range(element) + 2), name=f"{name}_distance")
        self.biased = Signal(8, name=f"{name}_biased")
        self.inf = Signal(name=f"{name}_inf")
        self.nan = Signal(name=f"{name}_nan")
        m.d.comb += self.sign.eq(code[-1])
        align = width - element.significand_bits
        if element.is_integer:
            magnitude = Signal(element.width, name=f"{name}_magnitude")
            m.d.comb += magnitude.eq(Mux(code[-1], -code, code))
            m.d.comb += self.significand.eq(magnitude << align)
            m.d.comb += self.biased.eq(top_exponent(element) + 127)
            return
        self._decode_float(m, code, element, align, name)

    def _decode_float(self, m: Module, code: Value, element: Element, align: int, name: str) -> None:
        mantissa = code[: element.mantissa_bits]
        field = code[element.mantissa_bits : -1]
        normal = Signal(name=f"{name}_normal")
        exponent = Signal(element.exponent_bits, name=f"{name}_exponent")
        m.d.comb += normal.eq(field.any())
        m.d.comb += exponent.eq(field | ~normal)
        m.d.comb += self.significand.eq(Cat(mantissa, normal) << align)
        m.d.comb += self.distance.eq(element.emax + element.bias - exponent)
        m.d.comb += self.biased.eq(exponent + (127 - element.bias))
        if element.specials is Specials.IEEE:
            special = Signal(name=f"{name}_special")
            m.d.comb += special.eq(field.all())
            m.d.comb += self.nan.eq(special & mantissa.any())
            m.d.comb += self.inf.eq(special & ~mantissa.any())
        elif element.specials is Specials.NAN_ONLY:
            m.d.comb += self.nan.eq(code[:-1].all())

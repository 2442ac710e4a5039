"""Decoding of elements' codes into sign, exponent and significand.

Ref: OCP Microscaling Formats (MX) Specification v1.0, section 5.3.

A decoder is built for a list of elements (:class:`Choice`) and decodes the one that a selector names. What depends on
the element alone is computed once for all lanes of a row (:class:`ElementRules`), what depends on the code in each lane
(:class:`DecodedElement`). Widths and constants come from the rows of `mtia.formats.ELEMENTS`, so a new element is
decoded without a change here. All is combinational.

A number is ``significand * 2**(exponent - (width - 1))`` with the exponent of the top significand bit. Exponents are
told as their distance below `top_exponent`, which is never negative and needs no bias: the products of a group are
aligned by the sum of two distances, and the top exponents are added to the block's scale instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth import *
from amaranth.hdl import ValueLike

from mtia.formats import Element, Specials


def top_exponent(element: Element) -> int:
    """Exponent of the top significand bit of the largest numbers (INT8 reaches 2**1 with -128)."""
    return element.significand_bits - 1 - element.mantissa_bits if element.is_integer else element.emax


def exponent_range(element: Element) -> int:
    """How far the exponent of a number may lie below `top_exponent`."""
    return 0 if element.is_integer else element.emax - element.emin


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One of the elements that a decoder takes.

    Parameters
    ----------
    element : its row of `mtia.formats.ELEMENTS`.
    code : the code, of at least the element's width; bits above it are ignored.
    cases : values of the selector that mean it; the cases of a decoder's choices must not overlap.
    """

    element: Element
    code: ValueLike
    cases: Sequence[int] = (0,)


class ElementRules:
    """What the decoding of the selected element depends on, as signals: the same for all lanes of a row.

    All are zero where no choice is selected. Combinational.

    Parameters
    ----------
    m : module that the logic is added to.
    choices : the elements; of their codes nothing is read here.
    selected : the selector that `Choice.cases` are values of.
    name : begins the names of the signals.

    Attributes
    ----------
    mask : the exponent field of all ones (for an integer: one).
    offset : from an exponent field to the exponent + 127.
    fraction : the mantissa of all ones, its top bit the top one.
    ieee, nan_only, integer : the kind of element, at most one of them 1.
    """

    def __init__(self, m: Module, choices: Sequence[Choice], selected: ValueLike, *, name: str):
        elements = [choice.element for choice in choices]
        fraction_bits = max(1, *(element.mantissa_bits for element in elements))
        self.mask = Signal(max(1, *(element.exponent_bits for element in elements)), name=f"{name}_mask")
        self.offset = Signal(8, name=f"{name}_offset")
        self.fraction = Signal(fraction_bits, name=f"{name}_fraction")
        self.ieee = Signal(name=f"{name}_ieee")
        self.nan_only = Signal(name=f"{name}_nan_only")
        self.integer = Signal(name=f"{name}_integer")
        with m.Switch(selected):
            for choice in choices:
                element = choice.element
                field = 1 if element.is_integer else (1 << element.exponent_bits) - 1
                offset = 126 + top_exponent(element) if element.is_integer else 127 - element.bias
                fraction = ((1 << element.mantissa_bits) - 1) << (fraction_bits - element.mantissa_bits)
                with m.Case(*choice.cases):
                    m.d.comb += [
                        self.mask.eq(field),
                        self.offset.eq(offset),
                        self.fraction.eq(fraction),
                        self.ieee.eq(element.specials is Specials.IEEE),
                        self.nan_only.eq(element.specials is Specials.NAN_ONLY),
                        self.integer.eq(element.is_integer),
                    ]


class DecodedElement:
    """Signals of one decoded code, of whichever element is selected.

    The parts of the code are selected first and decoded once, so that a decoder of many elements
    costs little more than their multiplexers. With no choice selected the number is a zero.
    Combinational.

    The number is ``significand * 2**(exponent - (width - 1))``, subnormals included;
    docs/numerics.md, "Formats".

    Parameters
    ----------
    m : module that the logic is added to.
    choices : the elements and where their codes come from.
    selected : the selector that `Choice.cases` are values of.
    rules : of the same selector and at least these choices.
    width : bits of the significand, at least those of the longest element's.
    name : begins the names of the signals.

    Attributes
    ----------
    sign : 1 for negative numbers, and for the zero and NaN codes whose sign bit is set.
    distance : `top_exponent` minus the number's exponent (subnormals have the least exponent).
    biased : the exponent plus 127.
    significand : magnitude with its hidden bit, the top bit of the element at the top of `width`
        bits.
    inf, nan : 1 for a code that is not a number; the other signals then mean nothing.

    Raises ValueError for a `width` that is too small.
    """

    def __init__(
        self,
        m: Module,
        choices: Sequence[Choice],
        selected: ValueLike,
        *,
        rules: ElementRules,
        width: int,
        name: str,
    ):
        least = max((choice.element.significand_bits for choice in choices), default=1)
        if width < least:
            raise ValueError(f"Significand width must be at least {least}, not {width!r}")
        self.sign = Signal(name=f"{name}_sign")
        self.significand = Signal(width, name=f"{name}_significand")
        self.distance = Signal(len(rules.mask), name=f"{name}_distance")
        self.biased = Signal(8, name=f"{name}_biased")
        self.inf = Signal(name=f"{name}_inf")
        self.nan = Signal(name=f"{name}_nan")
        field = Signal(len(rules.mask), name=f"{name}_field")
        mantissa = Signal(len(rules.fraction), name=f"{name}_mantissa")
        magnitude = Signal(width, name=f"{name}_magnitude")
        with m.Switch(selected):
            for choice in choices:
                with m.Case(*choice.cases):
                    self._split(m, choice, field, mantissa, magnitude)
        normal = Signal(name=f"{name}_normal")
        exponent = Signal(len(field), name=f"{name}_exponent")
        special = Signal(name=f"{name}_special")
        fraction = Signal(width - 1, name=f"{name}_fraction")
        spare = width - 1 - len(mantissa)
        m.d.comb += [
            normal.eq(field.any()),
            exponent.eq(field | ~normal),
            special.eq(field == rules.mask),
            fraction.eq(mantissa << spare if spare >= 0 else mantissa >> -spare),
            self.significand.eq(Mux(rules.integer, magnitude, Cat(fraction, normal))),
            self.distance.eq((rules.mask ^ exponent) - rules.ieee),
            self.biased.eq(exponent + rules.offset),
            self.inf.eq(rules.ieee & special & ~mantissa.any()),
            self.nan.eq(special & ((rules.ieee & mantissa.any()) | (rules.nan_only & (mantissa == rules.fraction)))),
        ]

    def _split(self, m: Module, choice: Choice, field: Signal, mantissa: Signal, magnitude: Signal) -> None:
        """The parts of a code, the mantissa and the magnitude of an integer with their top bit at the top."""
        element = choice.element
        code = Value.cast(choice.code)[: element.width]
        m.d.comb += self.sign.eq(code[-1])
        if element.is_integer:
            number = Mux(code[-1], -code, code)[: element.width]
            m.d.comb += magnitude.eq(number << (len(magnitude) - element.significand_bits))
        else:
            m.d.comb += mantissa.eq(code[: element.mantissa_bits] << (len(mantissa) - element.mantissa_bits))
            m.d.comb += field.eq(code[element.mantissa_bits : -1])

"""Exact division by a small constant, without a multiplier."""

from collections.abc import Callable

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ..core.checks import require_int


class DivideByConstant(wiring.Component):
    """Quotient and remainder of a number by a constant.

    Combinational. The number is taken in digits of two bits. The remainder of each number that its
    first digits form comes from a tree of tables, log2(digits) deep; a further table makes a digit
    of the quotient from the remainder before it. For a divisor of 3 every table is a function of 4
    bits.

    Parameters
    ----------
    width : bits of the dividend, at least 1.
    divisor : 2 to 16.

    Members
    -------
    dividend : any number of `width` bits.
    quotient, remainder : of it, each as wide as its largest value, at least 1 bit.

    Raises TypeError for a parameter that is no integer, ValueError for one out of range.
    """

    def __init__(self, *, width: int, divisor: int):
        self._width = require_int("Width of the dividend", width, low=1)
        self._divisor = require_int("Divisor", divisor, low=2, high=16)
        largest = ((1 << width) - 1) // divisor
        super().__init__(
            {
                "dividend": In(width),
                "quotient": Out(max(1, largest.bit_length())),
                "remainder": Out(ceil_log2(divisor)),
            }
        )

    @property
    def width(self) -> int:
        """Bits of the dividend."""
        return self._width

    @property
    def divisor(self) -> int:
        """What is divided by."""
        return self._divisor

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits, divisor = len(self.remainder), self.divisor
        starts = range(-(-self.width // 2) * 2 - 2, -1, -2)
        digits = [self.dividend[low : low + 2] for low in starts]  # the highest first
        # remainder of the digits from the start of a block of `size` up to each; in the end, from the first digit
        parts = [
            _table(m, digit, lambda value: value % divisor, bits, f"digit_{place}")
            for place, digit in enumerate(digits)
        ]
        size = 1
        while size < len(parts):
            for place in range(len(parts)):
                start = place - place % size
                if place & size:
                    parts[place] = self._join(
                        m, parts[start - 1], parts[place], place - start + 1, f"join_{size}_{place}"
                    )
            size *= 2
        quotient = []
        before: Value = Const(0, bits)
        for place, (digit, part) in enumerate(zip(digits, parts, strict=True)):
            index = Cat(digit, Const(0, 2 - len(digit)), before)
            quotient.append(_table(m, index, lambda value: value // divisor, 2, f"quotient_{place}"))
            before = part
        m.d.comb += [self.quotient.eq(Cat(reversed(quotient))), self.remainder.eq(before)]
        return m

    def _join(self, m: Module, left: Value, right: Value, digits: int, name: str) -> Signal:
        """Remainder of digits of remainder `left` with so many digits of remainder `right` after them."""
        bits, divisor, scale = len(right), self.divisor, 4**digits

        def remainder(index: int) -> int:
            return ((index >> bits) * scale + index % (1 << bits)) % divisor

        return _table(m, Cat(right, left), remainder, bits, name)


def _table(m: Module, index: Value, function: Callable[[int], int], width: int, name: str) -> Signal:
    """A function of an index, as a constant of which a word is chosen."""
    result = Signal(width, name=name)
    mask = (1 << width) - 1
    words = [function(value) & mask for value in range(1 << len(index))]
    content = sum(word << (place * width) for place, word in enumerate(words))
    m.d.comb += result.eq(Const(content, width * len(words)) >> (index * width))
    return result

"""Decoding of elements' codes on the cells of an FPGA: gates for what `hdl.formats.element` selects.

A decoder is built for a list of elements (:class:`GatedChoice`) and decodes the one that a selector names. Each bit is
an OR of those bits of the codes that mean it in one element or another, each behind the gate of its elements
(:class:`Gates`, once for all lanes of a row): a look-up table takes two of them, and nothing is selected twice.

Exponents are told as their distance below `field_exponent`: that is the exponent field inverted, without a subtraction.
Where a format has infinities that lies one above its largest numbers.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from amaranth import *
from amaranth.hdl import ValueLike

from mtia.formats import Element, Specials

from ..core.carry import Bit, Chains, table
from .element import top_exponent

#: the lowest and the further bits of (a xor b) + b where c is set, with b only where c is; d where it is not
_NEGATE_FIRST = table(lambda a, b, c, d: (a & c) | d if c | d else b)
_NEGATE = table(lambda a, b, c, d: ((a ^ b) & c) | d)


def field_exponent(element: Element) -> int:
    """Exponent of the top significand bit of what has the largest exponent field, be it infinity."""
    return top_exponent(element) + (element.specials is Specials.IEEE)


@dataclass(frozen=True, kw_only=True)
class GatedChoice:
    """One of the elements that a decoder takes.

    Parameters
    ----------
    element : its row of `mtia.formats.ELEMENTS`.
    places : where in the decoder's word the bits of its code are, the lowest first.
    cases : values of the selector that mean it; the cases of a decoder's choices must not overlap.
    """

    element: Element
    places: Sequence[int]
    cases: Sequence[int] = (0,)


class Gates:
    """What the decoding of a row depends on beside the codes: signals that are the same for all its lanes.

    Parameters
    ----------
    m : module that the gates are added to.
    selected : which element the row has, as `GatedChoice.cases` number them.
    name : begins the names of the signals.
    """

    def __init__(self, m: Module, selected: ValueLike, *, name: str):
        self._m = m
        self._name = name
        self._selected = Value.cast(selected)
        self._gates: dict[tuple[int, ...], Signal] = {}

    def gate(self, choices: Iterable[GatedChoice]) -> Signal:
        """Whether one of these is selected; 0 of none. Choices of the same cases share one signal."""
        cases = tuple(sorted({case for choice in choices for case in choice.cases}))
        if cases not in self._gates:
            gate = Signal(name=f"{self._name}_gate_{len(self._gates)}")
            if cases:
                with self._m.Switch(self._selected):
                    with self._m.Case(*cases):
                        self._m.d.comb += gate.eq(1)
            self._gates[cases] = gate
        return self._gates[cases]


class GatedElement:
    """Signals of one decoded code, of whichever element is selected.

    Each bit is an OR of those bits of the word that mean it in one element or another, so that a
    decoder of many elements costs little more than the choice between their places. With no choice
    selected the number is a zero. Combinational.

    The numbers are those of `hdl.formats.element.DecodedElement`, told from another exponent.

    Parameters
    ----------
    m : module that the logic is added to.
    choices : the elements and their places.
    word : holds the codes.
    gates : of the row, and of the selector of the choices.
    width : bits of the significand, at least those of the longest element's, and of a float's
        shifted.
    name : begins the names of the signals.
    shifted : how many of the lowest bits of the distance are taken off it: by so much the
        significand is shifted right, in which there must be room.
    chains : carry cells for the magnitudes of integers; without, they are left to synthesis.

    Attributes
    ----------
    sign : 1 for negative numbers.
    distance : `field_exponent` minus the number's exponent (subnormals have the least exponent),
        less what `shifted` takes off.
    significand : magnitude with its hidden bit, the top bit of the element at the top of `width`
        bits.
    inf, nan : 1 for a code that is not a number; the other signals then mean nothing.

    Raises ValueError for a `width` that is too small.
    """

    def __init__(
        self,
        m: Module,
        choices: Sequence[GatedChoice],
        word: Value,
        *,
        gates: Gates,
        width: int,
        name: str,
        shifted: int = 0,
        chains: Chains | None = None,
    ):
        floats = [choice for choice in choices if not choice.element.is_integer]
        least = max(
            [choice.element.significand_bits for choice in choices]
            + [choice.element.significand_bits + (1 << shifted) - 1 for choice in floats],
            default=1,
        )
        if width < least:
            raise ValueError(f"Significand width must be at least {least}, not {width!r}")
        self._m, self._word, self._shared, self._name = m, word, gates, name
        self._choices = choices
        bits = max((choice.element.exponent_bits for choice in floats), default=1)
        self.sign = self._signal("sign", 1)
        self.significand = self._signal("significand", width)
        self.distance = self._signal("distance", bits)
        self.inf, self.nan = self._signal("inf", 1), self._signal("nan", 1)
        normal, fraction = self._signal("normal", 1), self._signal("fraction", max(1, width - 1))
        m.d.comb += self.sign.eq(self._pick((choice, choice.places[-1]) for choice in choices))
        m.d.comb += normal.eq(self._pick((choice, place) for choice in floats for place in self._field(choice)))
        for index in range(bits):
            sources = [
                (choice, self._field(choice)[index]) for choice in floats if index < choice.element.exponent_bits
            ]
            inverted = self._pick(sources, inverted=True)
            m.d.comb += self.distance[index].eq(inverted if index else inverted & normal)
        for index in range(width - 1):
            below = width - 1 - index  # of the top bit
            sources = [
                (choice, choice.places[choice.element.mantissa_bits - below])
                for choice in floats
                if below <= choice.element.mantissa_bits
            ]
            m.d.comb += fraction[index].eq(self._pick(sources))
        self._specials(floats, fraction)
        number: Value = Cat(fraction[: width - 1], normal)
        for step in range(min(shifted, bits)):
            moved = self._signal(f"shifted_{step}", width)
            m.d.comb += moved.eq(Mux(self.distance[step], number >> (1 << step), number))
            number = moved
        self.distance = self.distance[shifted:]
        self._magnitude(number, chains)

    def _signal(self, name: str, width: int) -> Signal:
        return Signal(width, name=f"{self._name}_{name}")

    @staticmethod
    def _field(choice: GatedChoice) -> Sequence[int]:
        """Places of the exponent field."""
        return choice.places[choice.element.mantissa_bits : choice.element.width - 1]

    def _pick(self, sources: Iterable[tuple[GatedChoice, int]], *, inverted: bool = False) -> Value:
        """The bit of the word, inverted if asked for, that belongs to the selected choice; 0 if there is none."""
        choices: dict[int, list[GatedChoice]] = {}
        for choice, place in sources:
            choices.setdefault(place, []).append(choice)
        behind: dict[str, tuple[Signal, list[Value]]] = {}
        for place, several in choices.items():
            gate = self._shared.gate(several)
            behind.setdefault(gate.name, (gate, []))[1].append(self._word[place] ^ inverted)
        terms = [Cat(bits).any() & gate for gate, bits in behind.values()]
        return Cat(terms).any() if terms else Const(0, 1)

    def _specials(self, floats: Collection[GatedChoice], fraction: Signal) -> None:
        """Infinities and NaNs, by the largest exponent field and the mantissa."""
        ieee = [choice for choice in floats if choice.element.specials is Specials.IEEE]
        nan_only = [choice for choice in floats if choice.element.specials is Specials.NAN_ONLY]
        special, ones = self._signal("special", 1), self._signal("ones", 1)
        any_fraction, is_ieee = self._signal("any_fraction", 1), self._shared.gate(ieee)
        self._m.d.comb += [
            special.eq(self.distance == 0),
            any_fraction.eq(fraction.any()),
            ones.eq(
                Cat(
                    self._shared.gate([choice]) & fraction[len(fraction) - choice.element.mantissa_bits :].all()
                    for choice in nan_only
                ).any()
                if nan_only
                else 0
            ),
            self.inf.eq(special & is_ieee & ~any_fraction),
            self.nan.eq(special & ((is_ieee & any_fraction) | ones)),
        ]

    def _magnitude(self, number: Value, chains: Chains | None) -> None:
        """The significand: `number` of a float, the magnitude of an integer."""
        integers = [choice for choice in self._choices if choice.element.is_integer]
        if not integers:
            self._m.d.comb += self.significand.eq(number)
            return
        bits = max(choice.element.significand_bits for choice in integers)
        is_integer = self._shared.gate(integers)
        negative = self._signal("negative", 1)
        self._m.d.comb += negative.eq(self.sign & is_integer)
        low = len(number) - bits
        code = (
            [
                self._pick(
                    (choice, choice.places[index - bits + choice.element.significand_bits])
                    for choice in integers
                    if index >= bits - choice.element.significand_bits
                )
                for index in range(bits)
            ]
            if len(integers) > 1
            else [self._word[place] for place in integers[0].places]
        )
        if chains is None:
            magnitude = self._signal("magnitude", bits)
            self._m.d.comb += magnitude.eq((Cat(code) ^ negative.replicate(bits)) + negative)
            upper: Value = Mux(is_integer, magnitude, number[low:])
        else:
            upper = chains.sum(
                [
                    Bit(
                        table=_NEGATE if index else _NEGATE_FIRST,
                        inputs=(bit, negative, is_integer, number[low + index]),
                    )
                    for index, bit in enumerate(code)
                ],
                name=f"{self._name}_magnitude",
            )
        self._m.d.comb += self.significand.eq(Cat(number[:low], upper))

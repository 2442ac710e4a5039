"""What an MX quantiser is built for, and the widths of its data path, derived from the number formats.

Ref: OCP Microscaling Formats (MX) Specification v1.0, sections 5.3 and 6.3.
"""

from dataclasses import dataclass

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, enum
from amaranth.utils import bits_for, ceil_log2

from mtia.formats import FORMATS, Element, Format, Scale, unknown

from ..core.arith import tree_levels
from ..core.checks import require_bool, require_int
from ..formats.code import FormatCode
from ..formats.float32 import Float32

#: bits of a random number, which is also how many bits of a fraction stochastic rounding looks at
RANDOM_BITS = 16


class ScaleRule(enum.Enum, shape=unsigned(2)):
    """How the scale of a block follows from its largest magnitude (docs/numerics.md, "Quantiser")."""

    FLOOR = 0
    CEIL = 1
    RCEIL = 2
    EVEN = 3


class Rounding(enum.Enum, shape=unsigned(1)):
    """How an element is rounded: to nearest even, or up with the probability of its fraction."""

    RNE = 0
    STOCHASTIC = 1


#: names of the rules, as the golden model has them
SCALE_RULES: tuple[str, ...] = tuple(rule.name.lower() for rule in ScaleRule)


@dataclass(frozen=True, kw_only=True)
class QuantizerShape:
    """Abilities of a quantiser, checked, and the figures of its data path.

    Parameters
    ----------
    formats : names of MX formats (`mtia.formats`), all of `lanes` elements a block.
    scale_rules : names out of `SCALE_RULES`.
    stochastic : whether elements can be rounded stochastically, and not only to nearest even.
    deep : registers in the middle of the steps too, for the clock rates of FPGAs.
    lanes : elements of a block, at least 2.

    Raises TypeError for a parameter of the wrong kind; ValueError for names that are unknown,
    repeated or none at all, a format without E8M0 scales, and `lanes` that are not the block of
    every format.
    """

    formats: tuple[str, ...]
    scale_rules: tuple[str, ...]
    stochastic: bool
    deep: bool
    lanes: int

    def __post_init__(self) -> None:
        require_int("Quantizer lanes", self.lanes, low=2)
        require_bool("Quantizer stochastic", self.stochastic)
        require_bool("Quantizer deep", self.deep)
        _check_names("Quantizer format", self.formats, list(FORMATS))
        _check_names("Quantizer scale rule", self.scale_rules, list(SCALE_RULES))
        for row in self.rows:
            if row.scale is not Scale.E8M0:
                raise ValueError(f"Quantizer format must have an E8M0 scale, not {row.name!r}")
            if row.block != self.lanes:
                raise ValueError(f"Quantizer lanes must be {row.block}, the block of {row.name}, not {self.lanes!r}")

    @property
    def rows(self) -> list[Format]:
        """Rows of the formats."""
        return [FORMATS[name] for name in self.formats]

    @property
    def elements(self) -> list[Element]:
        """Elements of the formats."""
        return [row.element for row in self.rows]

    @property
    def rules(self) -> list[ScaleRule]:
        """Members of the scale rules."""
        return [ScaleRule[name.upper()] for name in self.scale_rules]

    @property
    def mantissa(self) -> int:
        """Most mantissa bits of an element; elements with fewer are shifted right by the difference."""
        return max(element.mantissa_bits for element in self.elements)

    @property
    def placings(self) -> list[int]:
        """Mantissa bits that elements with an exponent have: where their exponent field may begin."""
        return sorted({element.mantissa_bits for element in self.elements if not element.is_integer})

    @property
    def body(self) -> int:
        """Bits of the largest code without its sign."""
        return max(element.width for element in self.elements) - 1

    @property
    def fraction(self) -> int:
        """Bits kept below an element's last place; what is below them is one sticky bit."""
        return RANDOM_BITS if self.stochastic else 1

    @property
    def kept(self) -> int:
        """Significand bits that a lane keeps, from the hidden one down."""
        return self.mantissa + 1 + self.fraction

    @property
    def normalizing_steps(self) -> int:
        """Steps (powers of two) of the left shift that makes FP32's subnormals normal.

        Where the scale is small they become normal elements; those that such a shift leaves with leading
        zeros are subnormals of every element.
        """
        return bits_for(1 - min(element.emin for element in self.elements))

    @property
    def normalizing_latency(self) -> int:
        """Cycles of those steps: a step a cycle if deep, all in one otherwise."""
        return self.normalizing_steps if self.deep else 1

    @property
    def align(self) -> int:
        """Largest difference of mantissa bits between formats."""
        return self.mantissa - min(element.mantissa_bits for element in self.elements)

    @property
    def near(self) -> int:
        """Lowest bit of the distance above the smallest normal that tells whether it is too far below.

        With `amount` bits, distances below down to ``2**near - 2**amount`` count as near.
        """
        return bits_for(self.align) if self.align else 0

    @property
    def amount(self) -> int:
        """Bits of the right shift: of the near distances with `align`, and enough to leave no kept bit."""
        return ceil_log2(self.kept + (1 << self.near))

    @property
    def key_fraction(self) -> int:
        """Fraction bits, from the top, of which the scale rules need each."""
        bits = {ScaleRule.RCEIL: self.mantissa, ScaleRule.EVEN: self.mantissa + 1}
        return max(bits.get(rule, 0) for rule in self.rules)

    @property
    def key_sticky(self) -> bool:
        """Whether a rule asks if anything is below those bits."""
        return ScaleRule.CEIL in self.rules or ScaleRule.RCEIL in self.rules

    @property
    def key_subnormal(self) -> bool:
        """Whether a subnormal maximum can have another scale code than 0: one more fraction bit is needed."""
        return self.rules != [ScaleRule.FLOOR] and min(element.emax for element in self.elements) == 0

    @property
    def maximum_levels(self) -> list[int]:
        """Levels of the tree of the maximum that end in a register: the last, if deep all but the last but one.

        Those two are short enough for one cycle, as they join few nodes.
        """
        levels = tree_levels(self.lanes)
        return [level for level in range(1, levels + 1) if level != levels - 1] if self.deep else [levels]

    @property
    def scale_latency(self) -> int:
        """Cycles from a block to its scale code and the settings of its lanes."""
        return len(self.maximum_levels) + 1 + self.deep

    @property
    def distance_latency(self) -> int:
        """Cycles from the settings of the lanes to the distance by which each significand is shifted."""
        return int(self.deep)

    @property
    def carry_latency(self) -> int:
        """Cycles from a shifted significand to the addition of its random number."""
        return int(self.deep and self.stochastic)

    @property
    def element_latency(self) -> int:
        """Cycles from the settings of the lanes to their codes."""
        return self.distance_latency + self.carry_latency + 1

    @property
    def input_layout(self) -> data.StructLayout:
        """A block to quantise: see `hdl.tensor.quantize.Quantizer`."""
        random = {"rounding": Rounding, "random": data.ArrayLayout(RANDOM_BITS, self.lanes)}
        return data.StructLayout(
            {"format": FormatCode, "scale_rule": ScaleRule}
            | (random if self.stochastic else {})
            | {"values": data.ArrayLayout(Float32, self.lanes)}
        )

    @property
    def output_layout(self) -> data.StructLayout:
        """A quantised block: see `hdl.tensor.quantize.Quantizer`."""
        return data.StructLayout({"format": FormatCode, "scale": 8, "codes": data.ArrayLayout(8, self.lanes)})

    @property
    def lane_settings(self) -> dict[str, tuple[int, list[int]]]:
        """What a lane must know of the format: for each setting its bits and its value for each of `rows`.

        align:   how far the element's mantissa is shorter than `mantissa`
        placing: one bit for each of `placings`
        largest: code of the largest element
        after:   one more
        sign:    bit of a code that is its sign
        integer: two's complement instead of sign and magnitude
        """
        elements, placings = self.elements, self.placings
        signs = [0 if element.is_integer else 1 << (element.width - 1) for element in elements]
        placing = [0 if element.is_integer else 1 << placings.index(element.mantissa_bits) for element in elements]
        return {
            "align": (bits_for(self.align), [self.mantissa - element.mantissa_bits for element in elements]),
            "placing": (max(1, len(placings)), placing),
            "largest": (self.body, [element.max_code for element in elements]),
            "after": (self.body + 1, [element.max_code + 1 for element in elements]),
            "sign": (self.body + 1, signs),
            "integer": (1, [int(element.is_integer) for element in elements]),
        }

    @property
    def control_layout(self) -> data.StructLayout:
        """What all lanes of a block are told: those `lane_settings` in which formats differ, and

        origin: biased FP32 exponent of the element's smallest normal under the block's scale
        limit:  lowest bits of `origin` plus the format's `align`
        void:   all codes are zero
        random: round stochastically
        """
        settings = {name: bits for name, (bits, values) in self.lane_settings.items() if len(set(values)) > 1}
        random = {"random": 1} if self.stochastic else {}
        return data.StructLayout({"origin": signed(10), "limit": self.amount, "void": 1} | random | settings)


def _check_names(subject: str, names: object, allowed: list[str]) -> None:
    if not isinstance(names, tuple):
        raise TypeError(f"{subject}s must be a tuple of names, not {names!r}")
    if not names or len(set(names)) != len(names):
        raise ValueError(f"{subject}s must be one or more different names, not {names!r}")
    for name in names:
        if name not in allowed:
            raise ValueError(unknown(subject, name, allowed))

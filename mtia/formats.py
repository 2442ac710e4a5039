"""Number formats of the family, one row each.

Ref: OCP Microscaling Formats (MX) Specification v1.0, sections 5.1 to 5.3 and 6.
Ref: OCP 8-bit Floating Point Specification (OFP8) v1.0, section 5.
Ref: IEEE 754-2019, binary16 and binary32.

The golden models and the RTL derive every width, bias and limit from these rows and from nothing
else; this module imports the standard library only. A new format is a new row.
"""

import difflib
import enum
from dataclasses import dataclass


class Specials(enum.Enum):
    """Which codes of an element are not finite numbers."""

    NONE = "none"  #: every code is finite (FP6, FP4, INT8)
    NAN_ONLY = "nan"  #: only S.1111.111 is not finite, and it is NaN (E4M3)
    IEEE = "ieee"  #: the top exponent holds infinity and NaN (E5M2, BF16, FP16, TF32, FP32)


class Scale(enum.Enum):
    """Type of the scale that the elements of a block share."""

    NONE = "none"
    E8M0 = "E8M0"  #: 2**(code - 127); 0xFF is NaN
    E4M3 = "E4M3"  #: unsigned E4M3: bit 7 is not used; 0x7F is NaN


@dataclass(frozen=True, kw_only=True)
class Element:
    """Bit layout of one number: sign, exponent, mantissa from the most significant bit down.

    An element without exponent bits is a two's complement integer times ``2**-mantissa_bits``.
    """

    name: str
    exponent_bits: int
    mantissa_bits: int
    bias: int
    specials: Specials = Specials.NONE

    @property
    def width(self) -> int:
        """Bits of a code."""
        return (1 + self.exponent_bits + self.mantissa_bits) if self.exponent_bits else self.mantissa_bits + 2

    @property
    def is_integer(self) -> bool:
        """Whether the element is a two's complement integer."""
        return self.exponent_bits == 0

    @property
    def emax(self) -> int:
        """Exponent of the largest finite number."""
        if self.is_integer:
            return 0
        top = (1 << self.exponent_bits) - 1
        return top - self.bias - (1 if self.specials is Specials.IEEE else 0)

    @property
    def emin(self) -> int:
        """Exponent of the smallest normal number, shared by the subnormals (integers: 0)."""
        return 0 if self.is_integer else 1 - self.bias

    @property
    def significand_bits(self) -> int:
        """Bits of the significand magnitude, the hidden one included (INT8: 8, for -128)."""
        return self.mantissa_bits + (2 if self.is_integer else 1)

    @property
    def max_code(self) -> int:
        """Code of the largest finite positive number."""
        if self.is_integer:
            return (1 << (self.width - 1)) - 1
        top = (1 << (self.width - 1)) - 1
        if self.specials is Specials.IEEE:
            return top - (1 << self.mantissa_bits)
        return top - (1 if self.specials is Specials.NAN_ONLY else 0)

    @property
    def max_value(self) -> float:
        """The largest finite positive number."""
        if self.is_integer:
            return self.max_code * 2.0**-self.mantissa_bits
        fraction = self.max_code & ((1 << self.mantissa_bits) - 1)
        return (1 + fraction * 2.0**-self.mantissa_bits) * 2.0**self.emax

    @property
    def min_subnormal(self) -> float:
        """The smallest positive number, which is also the spacing below ``2**(emin + 1)``."""
        return 2.0 ** (self.emin - self.mantissa_bits)


@dataclass(frozen=True, kw_only=True)
class Format:
    """What a tensor is stored in: an element, its block and the scale of a block.

    ``group`` is the number of consecutive elements along K whose products are summed before the
    first rounding (see docs/numerics.md).
    """

    name: str
    element: Element
    block: int | None
    scale: Scale
    group: int
    summary: str = ""

    @property
    def is_scaled(self) -> bool:
        """Whether blocks carry a scale."""
        return self.scale is not Scale.NONE

    @property
    def is_wide(self) -> bool:
        """Whether group sums use the alignment window (elements of more than 8 bits)."""
        return self.element.width > 8

    @property
    def bits_per_element(self) -> float:
        """Storage with the scale shared out."""
        return self.element.width + (8 / self.block if self.block else 0)

    def pairs_with(self, other: "Format") -> bool:
        """Whether the two may meet in one product: same group, block and kind of scale."""
        return (self.group, self.block, self.scale, self.is_wide) == (
            other.group,
            other.block,
            other.scale,
            other.is_wide,
        )


def _elements(*rows: tuple[str, int, int, int, Specials]) -> dict[str, Element]:
    return {
        row[0]: Element(name=row[0], exponent_bits=row[1], mantissa_bits=row[2], bias=row[3], specials=row[4])
        for row in rows
    }


#: name, exponent bits, mantissa bits, bias, specials
ELEMENTS: dict[str, Element] = _elements(
    ("E5M2", 5, 2, 15, Specials.IEEE),
    ("E4M3", 4, 3, 7, Specials.NAN_ONLY),
    ("E3M2", 3, 2, 3, Specials.NONE),
    ("E2M3", 2, 3, 1, Specials.NONE),
    ("E2M1", 2, 1, 1, Specials.NONE),
    ("INT8", 0, 6, 0, Specials.NONE),
    ("BF16", 8, 7, 127, Specials.IEEE),
    ("FP16", 5, 10, 15, Specials.IEEE),
    ("TF32", 8, 10, 127, Specials.IEEE),
    ("FP32", 8, 23, 127, Specials.IEEE),
)


def _formats(*rows: tuple[str, str, int | None, Scale, int, str]) -> dict[str, Format]:
    return {
        row[0]: Format(name=row[0], element=ELEMENTS[row[1]], block=row[2], scale=row[3], group=row[4], summary=row[5])
        for row in rows
    }


#: name, element, block, scale, group, summary
FORMATS: dict[str, Format] = _formats(
    ("MXFP8_E5M2", "E5M2", 32, Scale.E8M0, 32, "OCP MX, 8-bit float with the wide range"),
    ("MXFP8_E4M3", "E4M3", 32, Scale.E8M0, 32, "OCP MX, 8-bit float"),
    ("MXFP6_E3M2", "E3M2", 32, Scale.E8M0, 32, "OCP MX, 6-bit float with the wide range"),
    ("MXFP6_E2M3", "E2M3", 32, Scale.E8M0, 32, "OCP MX, 6-bit float"),
    ("MXFP4", "E2M1", 32, Scale.E8M0, 32, "OCP MX, 4-bit float"),
    ("MXINT8", "INT8", 32, Scale.E8M0, 32, "OCP MX, 8-bit integer"),
    ("NVFP4", "E2M1", 16, Scale.E4M3, 16, "4-bit float, E4M3 scale per 16, FP32 scale per tensor"),
    ("FP8_E5M2", "E5M2", None, Scale.NONE, 32, "8-bit float without a scale, wide range"),
    ("FP8_E4M3", "E4M3", None, Scale.NONE, 32, "8-bit float without a scale"),
    ("BF16", "BF16", None, Scale.NONE, 16, "bfloat16"),
    ("FP16", "FP16", None, Scale.NONE, 16, "IEEE 754 binary16"),
    ("TF32", "TF32", None, Scale.NONE, 16, "19-bit float: range of FP32, precision of FP16"),
)

#: the six elements that the MX specification puts under an E8M0 scale
MX_FORMATS: tuple[str, ...] = tuple(name for name, row in FORMATS.items() if row.scale is Scale.E8M0)


def unknown(kind: str, name: object, allowed: list[str]) -> str:
    """One line that says what was wrong with a name and which names are near it or allowed."""
    near = difflib.get_close_matches(str(name).upper(), [item.upper() for item in allowed], n=3, cutoff=0.5)
    back = {item.upper(): item for item in allowed}
    hint = f"; did you mean {' or '.join(back[item] for item in near)}?" if near else ""
    return f"{kind} must be one of {', '.join(allowed)}, not {name!r}{hint}"


def get(name: "str | Format") -> Format:
    """The format of that name (any case); ValueError with the nearest names otherwise."""
    if isinstance(name, Format):
        return name
    by_upper = {key.upper(): row for key, row in FORMATS.items()}
    row = by_upper.get(str(name).upper())
    if row is None:
        raise ValueError(unknown("Format", name, list(FORMATS)))
    return row

"""What the bits of a signal mean, as text for a person."""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from golden import formats as golden_formats
from hdl.tensor.places import places
from mtia import formats
from mtia.formats import Format, Scale

#: bits up to which a number without a type is shown in decimal
_DECIMAL_BITS = 16
#: hexadecimal digits of a label before it is cut; the detail has them all
_LABEL_DIGITS = 8


class Decoder(Protocol):
    """Turns the bits of a signal into text."""

    def label(self, value: int) -> str:
        """Short text, to stand in the wave."""
        ...

    def detail(self, value: int) -> str:
        """All there is to say, to show on demand; empty where the label says it all."""
        ...


@dataclass(frozen=True)
class Number:
    """An unsigned number of `width` bits: decimal, hexadecimal from 17 bits on."""

    width: int

    @property
    def is_decimal(self) -> bool:
        """Whether the label is decimal."""
        return self.width <= _DECIMAL_BITS

    def label(self, value: int) -> str:
        """Decimal, or hexadecimal digits, cut where they are many."""
        if self.is_decimal:
            return str(value)
        digits = f"{value:0{-(-self.width // 4)}X}"
        return digits if len(digits) <= _LABEL_DIGITS else f"{digits[: _LABEL_DIGITS - 1]}…"

    def detail(self, value: int) -> str:
        """Hexadecimal."""
        return f"0x{value:0{-(-self.width // 4)}X}" if self.width > 4 else ""


@dataclass(frozen=True)
class Enumeration:
    """A value with a name, of the enumeration called `name`."""

    name: str
    values: tuple[tuple[int, str], ...]

    @classmethod
    def of(cls, name: str, values: Mapping[str, int]) -> "Enumeration":
        """From a map of names to values."""
        return cls(name, tuple((value, item) for item, value in values.items()))

    def label(self, value: int) -> str:
        """The name, or the number where it has none."""
        return dict(self.values).get(value, str(value))

    def detail(self, value: int) -> str:
        """The number."""
        return f"= {value}"


@dataclass(frozen=True)
class Float32:
    """IEEE 754 binary32."""

    def label(self, value: int) -> str:
        """The number in five digits."""
        return number_text(float32(value), 5)

    def detail(self, value: int) -> str:
        """The number in nine digits, which tell it exactly, and its bits."""
        return f"{number_text(float32(value), 9)} = 0x{value:08X}"


@dataclass(frozen=True)
class ScaleCode:
    """The scale of a block."""

    scale: Scale

    def label(self, value: int) -> str:
        """A power of two, or a number."""
        if self.scale is Scale.E8M0:
            return "NaN" if value == 0xFF else f"2^{value - 127}"
        found = golden_formats.decode_scale(np.array([value], np.uint8), self.scale)[0]
        return number_text(float(found), 4)

    def detail(self, value: int) -> str:
        """The code."""
        return f"scale code 0x{value:02X} ({self.scale.value})"


@dataclass(frozen=True)
class Elements:
    """Codes of the first `lanes` elements of a row in a format, where `hdl.tensor.places` has them in a slice."""

    format: Format
    lanes: int
    row: int = 0

    def label(self, value: int) -> str:
        """The first elements."""
        return " ".join(number_text(number, 3) for number in self.values(value)[:3]) + " …"

    def detail(self, value: int) -> str:
        """All elements, eight a line."""
        texts = [number_text(number, 4) for number in self.values(value)]
        lines = [f"{start:3}: " + " ".join(texts[start : start + 8]) for start in range(0, len(texts), 8)]
        return f"{self.format.name}\n" + "\n".join(lines)

    def values(self, value: int) -> list[float]:
        """The elements as numbers."""
        element = self.format.element
        codes = [
            sum((value >> place & 1) << bit for bit, place in enumerate(places(element, lane, row=self.row)))
            for lane in range(self.lanes)
        ]
        kind = golden_formats.code_dtype(element)
        return [float(number) for number in golden_formats.decode(np.array(codes, kind), element)]


def float32(bits: int) -> float:
    """The number that 32 bits hold."""
    return float(struct.unpack("<f", struct.pack("<I", bits & 0xFFFFFFFF))[0])


def number_text(value: float, digits: int) -> str:
    """A number in so many significant digits; NaN and infinities by name."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    return f"{value:.{digits}g}"


def elements_of(fmt: str, bits: int, row: int = 0) -> Elements:
    """Decoder of one of the rows of a format that share the codes of a slice, of so many bits."""
    found = formats.get(fmt)
    lanes = [lane for lane in range(found.group) if max(places(found.element, lane, row=row)) < bits]
    return Elements(found, len(lanes), row)

"""Reductions that the memory does itself: their codes, the formats they know, where an atom keeps its numbers.

An atom is 32 bytes, byte 0 in the low bits of its 256. In memory it holds 8 FP32 numbers, or 16 of
BF16 or FP16, number i in the bytes from ``i * width``. The operand of a request has the same layout;
or it is part of an MX block, one element for each number of the atom: element i is the low bits of
byte i, the block's E8M0 scale is byte 31, and all other bits are ignored.
"""

import enum

from .formats import ELEMENTS, FORMATS, Element, Format

ATOM_BYTES = 32
#: byte of an MX operand that holds the scale
SCALE_BYTE = 31

#: most slots of an ordered reduction
TREE_SLOTS = 128
#: fields of the operand of an ordered reduction, little-endian from byte 0 on: name -> bytes. `first` is the address
#: of slot 0 and `stride` the distance from a slot to the next, both in atoms of the pseudo-channel.
TREE_FIELDS = {"first": 8, "stride": 8, "slots": 2}


class ReduceKind(enum.IntEnum):
    """What happens to a number in memory."""

    COPY = 0  #: the operand replaces it
    SUM = 1  #: the operand is added
    MAX = 2  #: the larger of the two
    MIN = 3  #: the smaller of the two


class ReduceFormat(enum.IntEnum):
    """Format in memory, and after an underscore that of the operand where it is another.

    The two low bits are the format in memory (FP32, BF16, FP16; 3 is no format), the bits above it
    the operand: 0 for the same as in memory, or an MX format.
    """

    FP32 = 0
    BF16 = 1
    FP16 = 2
    FP32_MXFP8_E5M2 = 4
    BF16_MXFP8_E5M2 = 5
    FP16_MXFP8_E5M2 = 6
    FP32_MXFP8_E4M3 = 8
    BF16_MXFP8_E4M3 = 9
    FP16_MXFP8_E4M3 = 10
    FP32_MXFP6_E3M2 = 12
    BF16_MXFP6_E3M2 = 13
    FP16_MXFP6_E3M2 = 14
    FP32_MXFP6_E2M3 = 16
    BF16_MXFP6_E2M3 = 17
    FP16_MXFP6_E2M3 = 18
    FP32_MXFP4 = 20
    BF16_MXFP4 = 21
    FP16_MXFP4 = 22
    FP32_MXINT8 = 24
    BF16_MXINT8 = 25
    FP16_MXINT8 = 26

    @property
    def memory(self) -> Element:
        """Format of the numbers in memory."""
        return ELEMENTS[self.name.split("_")[0]]

    @property
    def operand(self) -> Format | None:
        """MX format of the operand; None where it is that of the memory."""
        _, _, name = self.name.partition("_")
        return FORMATS[name] if name else None

    @property
    def lanes(self) -> int:
        """Numbers in an atom."""
        return 8 * ATOM_BYTES // self.memory.width


def tree_operand(*, first: int, stride: int, slots: int) -> bytes:
    """Operand of an ordered reduction: 32 bytes, those behind `TREE_FIELDS` 0.

    ValueError for a number below 0, and for one that its field does not hold.
    """
    values = {"first": first, "stride": stride, "slots": slots}
    for name, size in TREE_FIELDS.items():
        if not 0 <= values[name] < 1 << 8 * size:
            raise ValueError(f"{name} must fit {size} bytes, not {values[name]!r}")
    fields = (values[name].to_bytes(size, "little") for name, size in TREE_FIELDS.items())
    return b"".join(fields).ljust(ATOM_BYTES, b"\0")

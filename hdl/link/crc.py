"""CRC of a whole word at once."""

from collections.abc import Sequence

from amaranth import *

from mtia.link import CrcParameters


def masks(parameters: CrcParameters, width: int) -> tuple[list[int], int]:
    """The CRC of a word of `width` bits, bit 0 first, as linear algebra.

    Returns for each bit of the CRC the mask of the word's bits that it is the parity of, and the
    CRC of a word of zeros, which is XORed to these.

    Parameters
    ----------
    parameters : of the CRC: reflected, of all ones at the beginning and inverted at the end.
    width : of the word; any number of bits, not only whole bytes.
    """
    bits = parameters.bits
    polynomial = int(f"{parameters.polynomial:0{bits}b}"[::-1], 2)  # reflected: the lowest bit leaves first
    rows = [0] * bits
    residue = polynomial  # of a one at the word's last bit, then of those before it
    for place in reversed(range(width)):
        for bit in range(bits):
            rows[bit] |= (residue >> bit & 1) << place
        residue = residue >> 1 ^ (polynomial if residue & 1 else 0)
    zeros = (1 << bits) - 1
    for _ in range(width):
        zeros = zeros >> 1 ^ (polynomial if zeros & 1 else 0)
    return rows, zeros ^ (1 << bits) - 1


def crc_bits(parameters: CrcParameters, word: Value) -> Sequence[Value]:
    """Each bit of the CRC of `word`.

    Combinational; in hardware a tree of XORs over about half of the word a bit.
    """
    _rows, zeros = masks(parameters, len(word))
    parities = crc_part(parameters, word, at=0, width=len(word))
    return [parity ^ Const(zeros >> bit & 1, 1) for bit, parity in enumerate(parities)]


def crc_part(parameters: CrcParameters, part: Value, *, at: int, width: int) -> Sequence[Value]:
    """What `part`, the bits from `at` on, adds to each bit of the CRC of a word of `width` bits.

    The CRC is the XOR of all parts and of the CRC of zeros. Each bit is the parity of the part with zeros in the places
    that do not count: written in this form, and with `part` a register or a choice of registers, Verilator makes it
    masks of machine words and one parity; of a word that is composed of many signals it makes hundreds of parities.
    """
    rows, _zeros = masks(parameters, width)
    places = range(len(part))
    return [Cat(part[place] if row >> at + place & 1 else Const(0, 1) for place in places).xor() for row in rows]

"""Frames of a link, bit for bit, and the rate that go-back-N reaches, slot by slot."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mtia.link import CRC32C, CrcParameters, LinkParameters
from mtia.message import pack, unpack


def crc(data: bytes | int, *, bits: int | None = None, parameters: CrcParameters = CRC32C) -> int:
    """The CRC of bytes, or of the low `bits` bits of an integer, bit 0 first: one step of the register a bit.

    Ref: the bitwise algorithm of ITU-T and IETF texts (RFC 3720 12.1 for CRC-32C), reflected.
    TypeError for an integer without `bits`; ValueError for one that has more.
    """
    if isinstance(data, int):
        if bits is None:
            raise TypeError("Bits must be given with an integer, not None")
        if not 0 <= data < 1 << bits:
            raise ValueError(f"Data must fit {bits} bits, not {data!r}")
        word = data
    else:
        word, bits = int.from_bytes(data, "little"), 8 * len(data)
    ones = (1 << parameters.bits) - 1
    reflected = int(f"{parameters.polynomial:0{parameters.bits}b}"[::-1], 2)
    register = ones
    for place in range(bits):
        out = (register ^ word >> place) & 1
        register = register >> 1 ^ (reflected if out else 0)
    return register ^ ones


def encode(parameters: LinkParameters, fields: Mapping[str, int]) -> int:
    """A frame of these fields, 0 where absent, with its CRC. ValueError as `mtia.message.pack`."""
    body = pack((("data", parameters.flit_bits), *parameters.control), **fields)
    bits = parameters.flit_bits + sum(width for _, width in parameters.control)
    return body | crc(body, bits=bits, parameters=parameters.crc) << bits


def decode(parameters: LinkParameters, frame: int) -> tuple[dict[str, int], bool]:
    """Fields of a frame, and whether its CRC is right."""
    fields = unpack(parameters.frame, frame)
    del fields["crc"]
    return fields, encode(parameters, fields) == frame


def go_back_n(failures: NDArray[np.bool_], *, gap: int) -> int:
    """Flits that get through in as many cycles as there are `failures`, one sending in each that is used.

    A failure in a cycle costs it and all until `gap` cycles later, when the same flit is sent again. ValueError for a
    gap below 1.
    """
    if gap < 1:
        raise ValueError(f"Gap must be at least 1, not {gap!r}")
    cycle, through = 0, 0
    while cycle < len(failures):
        through += not failures[cycle]
        cycle += gap if failures[cycle] else 1
    return through

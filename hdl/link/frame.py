"""Types of a link: frames, the wire, states and counters, as shapes of ports and waveforms."""

import enum as python_enum
from typing import Any

from amaranth.hdl import unsigned
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import Out

from mtia import link
from mtia.link import LinkParameters


def enumeration(members: type[python_enum.IntEnum]) -> Any:
    """An enumeration of `mtia` as one with a shape, of the same name and codes.

    It has as many bits as its largest code needs.
    """
    # Written with the metaclass because the members are data here.
    shape = unsigned(max(members).bit_length())
    body = enum.EnumType.__prepare__(members.__name__, (enum.IntEnum,), shape=shape)
    for item in members:
        body[item.name] = item.value
    return enum.EnumType(members.__name__, (enum.IntEnum,), body, shape=shape)


#: `mtia.link.FrameKind`, `LinkState` and `DownCause`
FrameKind = enumeration(link.FrameKind)
LinkState = enumeration(link.LinkState)
DownCause = enumeration(link.DownCause)

#: `mtia.link.COUNTERS`, 32 bits each
Counters = data.StructLayout(dict.fromkeys(link.COUNTERS, 32))


def flit(parameters: LinkParameters) -> data.StructLayout:
    """A flit of the link's width; with 64 bytes it is `hdl.link.flit.Flit`.

    data : the bytes, byte 0 in the low bits.
    head, last : it is the first of its packet, the last.
    """
    return data.StructLayout({"data": parameters.flit_bits, "head": 1, "last": 1})


def control(parameters: LinkParameters) -> data.StructLayout:
    """What stands behind the data of a frame, without the CRC: `mtia.link.LinkParameters.control`,
    with `kind` an enumeration.
    """
    return data.StructLayout({**dict(parameters.control), "kind": FrameKind})


def frame(parameters: LinkParameters) -> data.StructLayout:
    """A frame, as `mtia.link.LinkParameters.frame` lists its fields."""
    return data.StructLayout({**dict(parameters.frame), "kind": FrameKind})


def line(parameters: LinkParameters) -> wiring.Signature:
    """One direction of the wire: a frame in each cycle in which `valid` is 1; nobody can hold it back."""
    return wiring.Signature({"valid": Out(1), "frame": Out(frame(parameters))})

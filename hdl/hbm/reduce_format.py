"""Kinds and formats of the reductions in memory as enumerations for ports, streams and waveforms."""

import enum as python_enum
from typing import Any

from amaranth.hdl import unsigned
from amaranth.lib import enum

from mtia.near_memory import ReduceFormat as _Format, ReduceKind as _Kind


def _shape_of(members: type[python_enum.IntEnum]) -> Any:
    # Written with the metaclass because the members are data here.
    shape = unsigned(max(members).bit_length())
    body = enum.EnumType.__prepare__(members.__name__, (enum.IntEnum,), shape=shape)
    for item in members:
        body[item.name] = item.value
    return enum.EnumType(members.__name__, (enum.IntEnum,), body, shape=shape)


#: `mtia.near_memory.ReduceKind`, 2 bits
ReduceKind = _shape_of(_Kind)
#: `mtia.near_memory.ReduceFormat`, 5 bits: the format in memory in the low two, the operand's above
ReduceFormat = _shape_of(_Format)

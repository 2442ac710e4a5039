"""Names of the number formats as an enumeration for ports, streams and waveforms."""

from typing import Any

from amaranth.hdl import unsigned
from amaranth.lib import enum

from mtia.formats import FORMATS

_SHAPE = unsigned(5)


def _format_code() -> Any:
    # One member a row of the table, in the table's order; written with the metaclass because the
    # members are data here.
    members = enum.EnumType.__prepare__("FormatCode", (enum.Enum,), shape=_SHAPE)
    for index, name in enumerate(FORMATS):
        members[name] = index
    return enum.EnumType("FormatCode", (enum.Enum,), members, shape=_SHAPE)


#: every format of `mtia.formats.FORMATS`, numbered in the table's order
FormatCode = _format_code()

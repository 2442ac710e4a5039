"""Names of the number formats as an enumeration for ports, streams and waveforms.

``FormatCode["MXFP4"]`` is a member and ``FormatCode["MXFP4"].value`` its number, which is what goes into a port; every
emitted port map lists them all. Ports have five bits whatever a build decodes, so a code can name a format that the
build lacks: each component says what it answers then (the engine NaN, the quantiser scale 0xFF), never another format.

A new row at the end of `mtia.formats.FORMATS` leaves the numbers of the others as they are; the shape allows 32 rows.
"""

from typing import Any

from amaranth.hdl import unsigned
from amaranth.lib import enum

from mtia.formats import FORMATS

_SHAPE = unsigned(5)


def _format_code() -> Any:
    """The enumeration, a member a row of the table."""
    # Written with the metaclass because the members are data here.
    members = enum.EnumType.__prepare__("FormatCode", (enum.Enum,), shape=_SHAPE)
    for index, name in enumerate(FORMATS):
        members[name] = index
    return enum.EnumType("FormatCode", (enum.Enum,), members, shape=_SHAPE)


#: every format of `mtia.formats.FORMATS`, numbered in the table's order
FormatCode = _format_code()

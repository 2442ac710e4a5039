"""The type of what links, switches and message engines pass on."""

from amaranth.lib import data

from mtia.message import FLIT_BYTES

#: A flit: 64 bytes, byte 0 in the low bits; whether it is the head of its packet, and whether its last flit. Each
#: virtual channel is a stream of flits of its own, on which packets follow each other whole.
Flit = data.StructLayout({"data": 8 * FLIT_BYTES, "head": 1, "last": 1})

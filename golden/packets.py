"""Packets as bytes: header and payload to flits and back, messages cut into packets, and why a receiver refuses one.

The codes and layouts are those of `mtia.message`; nothing here is shared with the RTL but those tables.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mtia.message import (
    ATOM_BYTES,
    CHANNEL_OF,
    EVENT,
    FLIT_BYTES,
    HEADER,
    HEADER_BYTES,
    MAX_PACKET,
    MAX_RANKS,
    Channel,
    PacketOp,
    Reason,
    Right,
    flits,
    pack,
    unpack,
)

ADDRESS_BITS = 48
#: source of what the switch itself sends
SWITCH_SOURCE = 255
#: operations that write through a window, and the rights that each needs, all of them
NEEDS: dict[PacketOp, Right] = {
    PacketOp.WRITE: Right.WRITE,
    PacketOp.WRITE_IMMEDIATE: Right.WRITE | Right.EVENT,
    PacketOp.SEND: Right.SEND,
    PacketOp.RESULT: Right.WRITE | Right.EVENT,
}


def encode(fields: Mapping[str, int], payload: bytes) -> NDArray[np.uint8]:
    """Flits, uint8 (n, 64), of a packet; `fields` are those of `HEADER`, 0 where absent, `length` that of the payload.

    ValueError for a field that the header lacks, a value that does not fit (negative ones do not), a `length` that is
    not the payload's, and a payload longer than `MAX_PACKET`.
    """
    if len(payload) > MAX_PACKET:
        raise ValueError(f"Payload must be at most {MAX_PACKET} bytes, not {len(payload)!r}")
    if fields.get("length", len(payload)) != len(payload):
        raise ValueError(f"length must be {len(payload)}, as the payload, not {fields['length']!r}")
    for name, value in fields.items():
        if value < 0:
            raise ValueError(f"{name} must be at least 0, not {value!r}")
    header = pack(HEADER, **{**fields, "length": len(payload)}).to_bytes(HEADER_BYTES, "little")
    data = (header + payload).ljust(flits(len(payload)) * FLIT_BYTES, b"\0")
    return np.frombuffer(data, np.uint8).reshape(-1, FLIT_BYTES).copy()


def decode(packet: object) -> tuple[dict[str, int], bytes]:
    """Fields and payload of a packet of flits, uint8 (n, 64).

    TypeError for another dtype; ValueError for another shape, for a number of flits that is not that of the header's
    length, and for a byte past the payload that is not zero.
    """
    array = np.asarray(packet)
    if array.dtype != np.uint8:
        raise TypeError(f"Packet must be of dtype uint8, not {str(array.dtype)!r}")
    if array.ndim != 2 or array.shape[1] != FLIT_BYTES or not len(array):
        raise ValueError(f"Packet must be of shape (n, {FLIT_BYTES}) with n at least 1, not {array.shape!r}")
    data = array.tobytes()
    fields = unpack(HEADER, int.from_bytes(data[:HEADER_BYTES], "little"))
    if len(array) != flits(fields["length"]):
        raise ValueError(
            f"Packet of {fields['length']} bytes must be {flits(fields['length'])} flits, not {len(array)!r}"
        )
    end = HEADER_BYTES + fields["length"]
    if any(data[end:]):
        raise ValueError(f"Bytes past the payload must be 0, not {data[end:].hex()!r}")
    return fields, data[HEADER_BYTES:end]


def cut(fields: Mapping[str, int], payload: bytes, mtu: int = MAX_PACKET) -> list[NDArray[np.uint8]]:
    """The packets of a message, in order, at most `mtu` payload bytes in each.

    `fields` are the header's but `length`; `offset` is where the message begins, and only the last packet has `end`.
    A message of no bytes is one head flit. ValueError for an `mtu` that is not 32 + 64 k or longer than `MAX_PACKET`,
    and as `encode`.
    """
    if not HEADER_BYTES <= mtu <= MAX_PACKET or (mtu - HEADER_BYTES) % FLIT_BYTES:
        raise ValueError(f"mtu must be 32 + 64 k bytes, at most {MAX_PACKET}, not {mtu!r}")
    packets = []
    for begin in range(0, max(1, len(payload)), mtu):
        part = payload[begin : begin + mtu]
        place = {
            "offset": fields.get("offset", 0) + begin,
            "end": int(begin + mtu >= len(payload)),
            "length": len(part),
        }
        packets.append(encode({**fields, **place}, part))
    return packets


def refusal(
    fields: Mapping[str, int],
    window: Mapping[str, int] | None,
    mtu: int = MAX_PACKET,
    *,
    channel: Channel | None = None,
    communicators: int = 16,
    ports: int = MAX_RANKS,
) -> Reason:
    """Why a receiver refuses a packet with these header fields: the first reason that holds.

    window:        fields of the window that the header names; None where the table has no such entry
    mtu:           most payload bytes of a packet there
    channel:       on which the packet came: an operation of the other one is none; None for either
    communicators: whose events the receiver keeps
    ports:         of the switch

    READY, DONE and REFUSED name no window; of these, only READY can be refused. Sums are exact: nothing wraps around 48
    bits. The offset of a SEND counts from the part of its source in the window, where its bytes end, too.
    """
    op = fields.get("op", 0)
    if op not in list(PacketOp) or (channel is not None and CHANNEL_OF[PacketOp(op)] is not channel):
        return Reason.OPERATION
    if op == PacketOp.READY:
        known = _has_event(fields, communicators) and fields.get("source", 0) < ports
        return Reason.NONE if known else Reason.RANGE
    if op in (PacketOp.DONE, PacketOp.REFUSED):
        return Reason.NONE
    if op not in NEEDS:
        return Reason.OPERATION
    needs = NEEDS[PacketOp(op)]
    if window is None or not window.get("valid", 0):
        return Reason.WINDOW
    if fields.get("partition", 0) != window.get("partition", 0):
        return Reason.PARTITION
    if not _open_to(fields.get("source", 0), op == PacketOp.RESULT, window):
        return Reason.SOURCE
    if fields.get("key", 0) != window.get("key", 0):
        return Reason.KEY
    if fields.get("epoch", 0) != window.get("epoch", 0):
        return Reason.EPOCH
    if window.get("rights", 0) & needs != needs:
        return Reason.RIGHTS
    if not _fits(fields, window, mtu):
        return Reason.RANGE
    if Right.EVENT in needs and not (_has_event(fields, communicators) and not _event(fields)["reserved"]):
        return Reason.RANGE
    if Right.EVENT in needs and fields.get("slot", 0) >= MAX_RANKS:
        return Reason.RANGE
    return Reason.NONE


def place(fields: Mapping[str, int], window: Mapping[str, int]) -> int:
    """Address to which a packet that is not refused writes."""
    part = fields.get("source", 0) * _part_bytes(window) if fields.get("op", 0) == PacketOp.SEND else 0
    return window.get("base", 0) + part + fields.get("offset", 0)


def _part_bytes(window: Mapping[str, int]) -> int:
    """Bytes of a source's part in a window for SEND."""
    return ATOM_BYTES << window.get("part_log", 0)


def _fits(fields: Mapping[str, int], window: Mapping[str, int], mtu: int) -> bool:
    """Whether the bytes lie in the window and in memory, in a source's part for a SEND, and begin at an atom."""
    offset, length, size = fields.get("offset", 0), fields.get("length", 0), window.get("size", 0)
    end = offset + length
    if fields.get("op", 0) == PacketOp.SEND:
        part = _part_bytes(window)
        inside = end <= part and (fields.get("source", 0) + 1) * part <= size
    else:
        inside = end <= size
    aligned = offset % ATOM_BYTES == 0 and window.get("base", 0) % ATOM_BYTES == 0
    return inside and aligned and length <= mtu and place(fields, window) + length <= 1 << ADDRESS_BITS


def _event(fields: Mapping[str, int]) -> dict[str, int]:
    """Fields of the header's event."""
    return unpack(EVENT, fields.get("event", 0))


def _has_event(fields: Mapping[str, int], communicators: int) -> bool:
    """Whether the receiver keeps events of the header's communicator."""
    return _event(fields)["communicator"] < communicators


def _open_to(source: int, result: bool, window: Mapping[str, int]) -> bool:
    """Whether a window takes packets of a source; RESULTs of the switch itself wherever it takes events."""
    if result and source == SWITCH_SOURCE:
        return bool(window.get("rights", 0) & Right.EVENT)
    return source < MAX_RANKS and bool(window.get("sources", 0) >> source & 1)

"""Packets: bytes there and back, messages cut, each reason of a refusal by name and in its order."""

import numpy as np
import pytest

from golden import packets
from mtia import message
from mtia.message import HEADER, PacketOp, Reason, Right

OPEN = {
    "valid": 1,
    "rights": Right.WRITE | Right.EVENT | Right.SEND,
    "partition": 3,
    "epoch": 9,
    "key": 0x1234_5678,
    "base": 1 << 20,
    "size": 72 << 16,
    "part_log": 11,
    "sources": 1 << 5 | 1 << 71,
}
GOOD = {"op": PacketOp.WRITE, "source": 5, "partition": 3, "epoch": 9, "key": 0x1234_5678, "offset": 64, "length": 100}


def random_fields(generator: np.random.Generator) -> dict[str, int]:
    return {name: int.from_bytes(generator.bytes(8), "little") % (1 << bits) for name, bits in HEADER}


def test_encode_and_decode_are_inverse(seed: int) -> None:
    generator = np.random.default_rng(seed)
    for length in [*range(200), 1055, 1056, 1057, message.MAX_PACKET - 1, message.MAX_PACKET]:
        payload = generator.bytes(length)
        fields = random_fields(generator) | {"length": length}
        packet = packets.encode(fields, payload)
        assert packet.dtype == np.uint8
        assert packet.shape == (message.flits(length), 64)
        assert packets.decode(packet) == (fields, payload)


def test_bytes_of_a_packet_by_hand() -> None:
    packet = packets.encode({"op": 5, "end": 1, "multicast": 1, "source": 7, "destination": 8, "offset": 0x60}, b"abc")
    data = packet.tobytes()
    assert data[:3] == bytes([0b0101_0101, 7, 8])
    word = int.from_bytes(data[:32], "little")
    names = [name for name, _ in HEADER]
    at = sum(bits for _, bits in HEADER[: names.index("offset")])
    assert word >> at & 0xFFFF_FFFF_FFFF == 0x60
    assert data[32:35] == b"abc"
    assert not any(data[35:])


def test_one_more_flit_where_the_payload_passes_one() -> None:
    assert [len(packets.encode({}, bytes(length))) for length in (0, 1, 32, 33, 96, 97, 4064)] == [1, 1, 1, 2, 2, 3, 64]


@pytest.mark.parametrize("mtu", [32, 96, 1056, 4064])
def test_cut_gives_the_message_back(mtu: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    for length in (0, 1, mtu - 1, mtu, mtu + 1, 3 * mtu, 3 * mtu + 17):
        payload = generator.bytes(length)
        cut = [packets.decode(item) for item in packets.cut({"op": 1, "offset": 96, "slot": 3}, payload, mtu)]
        assert len(cut) == max(1, -(-length // mtu))
        assert b"".join(part for _, part in cut) == payload
        assert [fields["offset"] for fields, _ in cut] == [96 + mtu * index for index in range(len(cut))]
        assert [fields["end"] for fields, _ in cut] == [0] * (len(cut) - 1) + [1]
        assert {fields["slot"] for fields, _ in cut} == {3}


@pytest.mark.parametrize("op", [PacketOp.WRITE, PacketOp.WRITE_IMMEDIATE, PacketOp.SEND, PacketOp.RESULT])
def test_good_packets_pass(op: PacketOp) -> None:
    assert packets.refusal(GOOD | {"op": op}, OPEN) is Reason.NONE
    assert packets.refusal(GOOD | {"op": op, "source": 71}, OPEN) is Reason.NONE
    part = {"source": 71} if op == PacketOp.SEND else {"offset": 71 << 16}
    assert packets.refusal(GOOD | {"op": op, "length": 0} | part, OPEN) is Reason.NONE
    assert packets.refusal(GOOD | {"op": op, "offset": 64 * 1023, "length": 64, "source": 71}, OPEN) is Reason.NONE
    part |= {"offset": part.get("offset", 0) + (1 << 16)}
    assert packets.refusal(GOOD | {"op": op, "length": 0} | part, OPEN) is Reason.NONE


@pytest.mark.parametrize("op", [PacketOp.READY, PacketOp.DONE, PacketOp.REFUSED])
def test_answers_name_no_window(op: PacketOp) -> None:
    assert packets.refusal({"op": op, "source": 71}, None) is Reason.NONE


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"source": 15, "event": message.pack(message.EVENT, communicator=3)}, Reason.NONE),
        ({"source": 16, "event": message.pack(message.EVENT, communicator=3)}, Reason.RANGE),
        ({"source": 15, "event": message.pack(message.EVENT, communicator=4)}, Reason.RANGE),
    ],
)
def test_ready_of_those_who_are_not_there(fields: dict[str, int], reason: Reason) -> None:
    ready = {"op": PacketOp.READY, **fields}
    assert packets.refusal(ready, None, communicators=4, ports=16) is reason


@pytest.mark.parametrize("op", PacketOp)
def test_operations_of_the_other_channel_are_none(op: PacketOp) -> None:
    for channel in message.Channel:
        reason = packets.refusal(GOOD | {"op": op}, OPEN, channel=channel)
        there = op != PacketOp.REDUCE and message.CHANNEL_OF[op] == channel
        assert reason is (Reason.NONE if there else Reason.OPERATION)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"slot": 71, "event": message.pack(message.EVENT, communicator=3, piece=31)}, Reason.NONE),
        ({"slot": 72}, Reason.RANGE),
        ({"event": message.pack(message.EVENT, communicator=4)}, Reason.RANGE),
        ({"event": message.pack(message.EVENT, reserved=1)}, Reason.RANGE),
    ],
)
@pytest.mark.parametrize("op", [PacketOp.WRITE_IMMEDIATE, PacketOp.RESULT])
def test_events_and_slots_that_are_not_there(op: PacketOp, changes: dict[str, int], reason: Reason) -> None:
    assert packets.refusal(GOOD | {"op": op} | changes, OPEN, communicators=4) is reason
    assert packets.refusal(GOOD | {"op": PacketOp.WRITE} | changes, OPEN, communicators=4) is Reason.NONE


PARTS = OPEN | {"part_log": 2, "size": 6 * 128}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"offset": 0, "length": 128}, Reason.NONE),
        ({"offset": 96, "length": 32}, Reason.NONE),
        ({"offset": 0, "length": 129}, Reason.RANGE),
        ({"offset": 96, "length": 33}, Reason.RANGE),
        ({"offset": 128, "length": 0}, Reason.NONE),
        ({"offset": 0, "length": 1, "source": 71}, Reason.RANGE),
    ],
)
def test_a_send_stays_in_the_part_of_its_source(changes: dict[str, int], reason: Reason) -> None:
    fields = GOOD | {"op": PacketOp.SEND} | changes
    assert packets.refusal(fields, PARTS) is reason
    assert packets.place(fields, PARTS) == PARTS["base"] + 128 * fields["source"] + fields["offset"]


#: a fault of each kind, in the order in which they are looked for: changes to the header and to the window
FAULTS: list[tuple[Reason, dict[str, int], dict[str, int]]] = [
    (Reason.OPERATION, {"op": 8}, {}),
    (Reason.WINDOW, {}, {"valid": 0}),
    (Reason.PARTITION, {"partition": 2}, {}),
    (Reason.SOURCE, {"source": 4}, {}),
    (Reason.KEY, {"key": 0x1234_5679}, {}),
    (Reason.EPOCH, {"epoch": 8}, {}),
    (Reason.RIGHTS, {}, {"rights": Right.EVENT | Right.SEND}),
    (Reason.RANGE, {"offset": 72 << 16}, {}),
]


@pytest.mark.parametrize("first", range(len(FAULTS)))
def test_the_first_reason_wins(first: int) -> None:
    """A packet with a fault and all later ones is refused for the first."""
    fields, window = dict(GOOD), dict(OPEN)
    for _, header_change, window_change in FAULTS[first:]:
        fields |= header_change
        window |= window_change
    assert packets.refusal(fields, window) is FAULTS[first][0]
    fields, window = GOOD | FAULTS[first][1], OPEN | FAULTS[first][2]
    assert packets.refusal(fields, window) is FAULTS[first][0]


@pytest.mark.parametrize("op", [PacketOp.REDUCE, 8, 15])
def test_operations_that_no_endpoint_knows(op: int) -> None:
    assert packets.refusal(GOOD | {"op": op}, OPEN) is Reason.OPERATION


def test_no_entry_is_no_window() -> None:
    assert packets.refusal(GOOD, None) is Reason.WINDOW


@pytest.mark.parametrize("source", [4, 6, 72, 127, 254, 255])
def test_sources_past_the_bitmap_are_closed(source: int) -> None:
    window = OPEN | {"sources": OPEN["sources"] & ~(1 << 4) & ~(1 << 6)}
    assert packets.refusal(GOOD | {"source": source}, window) is Reason.SOURCE


def test_results_of_the_switch_itself() -> None:
    """Source 255 passes for a RESULT alone, and where the window takes events."""
    result = GOOD | {"op": PacketOp.RESULT, "source": packets.SWITCH_SOURCE}
    assert packets.refusal(result, OPEN) is Reason.NONE
    assert packets.refusal(result, OPEN | {"rights": Right.WRITE}) is Reason.SOURCE
    assert packets.refusal(result | {"op": PacketOp.WRITE_IMMEDIATE}, OPEN) is Reason.SOURCE


@pytest.mark.parametrize(
    ("op", "rights", "passes"),
    [
        (PacketOp.WRITE, Right.WRITE, True),
        (PacketOp.WRITE, Right.EVENT | Right.SEND, False),
        (PacketOp.WRITE_IMMEDIATE, Right.WRITE | Right.EVENT, True),
        (PacketOp.WRITE_IMMEDIATE, Right.WRITE | Right.SEND, False),
        (PacketOp.WRITE_IMMEDIATE, Right.EVENT | Right.SEND, False),
        (PacketOp.RESULT, Right.WRITE | Right.EVENT, True),
        (PacketOp.RESULT, Right.WRITE, False),
        (PacketOp.SEND, Right.SEND, True),
        (PacketOp.SEND, Right.WRITE | Right.EVENT, False),
    ],
)
def test_rights(op: PacketOp, rights: Right, passes: bool) -> None:
    expected = Reason.NONE if passes else Reason.RIGHTS
    assert packets.refusal(GOOD | {"op": op}, OPEN | {"rights": rights}) is expected


@pytest.mark.parametrize(
    ("offset", "length", "size"),
    [
        (0, 101, 100),
        (32, 69, 100),
        (128, 0, 100),
        (1 << 47, 1, 1 << 16),
        ((1 << 48) - 32, 32, (1 << 48) - 1),
        ((1 << 48) - 32, 33, 64),  # wraps around 48 bits to 1
        ((1 << 48) - 32, 4064, (1 << 48) - 32),
        (1, 0, 1 << 16),
        (31, 1, 1 << 16),
        (16, 1, 1 << 16),
        (0, 4065, 1 << 16),
        (0, 65535, 1 << 20),
    ],
)
def test_range(offset: int, length: int, size: int) -> None:
    assert packets.refusal(GOOD | {"offset": offset, "length": length}, OPEN | {"size": size}) is Reason.RANGE


@pytest.mark.parametrize(
    ("base", "offset", "length", "reason"),
    [
        ((1 << 48) - 64, 32, 32, Reason.NONE),
        ((1 << 48) - 64, 32, 33, Reason.RANGE),
        ((1 << 48) - 32, (1 << 48) - 32, 32, Reason.RANGE),
        (16, 0, 0, Reason.RANGE),
    ],
)
def test_range_of_memory(base: int, offset: int, length: int, reason: Reason) -> None:
    window = OPEN | {"base": base, "size": (1 << 48) - 1}
    assert packets.refusal(GOOD | {"offset": offset, "length": length}, window) is reason


def test_range_of_a_receiver_of_shorter_packets() -> None:
    assert packets.refusal(GOOD | {"length": 1056}, OPEN, mtu=1056) is Reason.NONE
    assert packets.refusal(GOOD | {"length": 1057}, OPEN, mtu=1056) is Reason.RANGE


def test_encode_wrong() -> None:
    with pytest.raises(ValueError, match=r"Payload must be at most 4064 bytes, not 4065"):
        packets.encode({}, bytes(4065))
    with pytest.raises(ValueError, match=r"length must be 3, as the payload, not 4"):
        packets.encode({"length": 4}, bytes(3))
    with pytest.raises(ValueError, match=r"slot must be at least 0, not -1"):
        packets.encode({"slot": -1}, b"")
    with pytest.raises(ValueError, match=r"slot must fit 8 bits, not 256"):
        packets.encode({"slot": 256}, b"")
    with pytest.raises(ValueError, match=r"Field must be one of"):
        packets.encode({"colour": 1}, b"")


def test_decode_wrong() -> None:
    packet = packets.encode({}, bytes(33))
    with pytest.raises(TypeError, match=r"dtype uint8, not 'int64'"):
        packets.decode(packet.astype(np.int64))
    for shape in (packet[:0], packet.ravel(), packet[:, :32]):
        with pytest.raises(ValueError, match=r"Packet must be of shape"):
            packets.decode(shape)
    with pytest.raises(ValueError, match=r"Packet of 33 bytes must be 2 flits, not 1"):
        packets.decode(packet[:1])
    packet[1, 40] = 1
    with pytest.raises(ValueError, match=r"Bytes past the payload must be 0"):
        packets.decode(packet)


@pytest.mark.parametrize("mtu", [0, 64, 100, 4065, 4128])
def test_cut_wrong(mtu: int) -> None:
    with pytest.raises(ValueError, match=rf"mtu must be 32 \+ 64 k bytes, at most 4064, not {mtu}"):
        packets.cut({}, b"", mtu)

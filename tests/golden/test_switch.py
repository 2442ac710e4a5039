"""The golden switch by hand-made cases: who gets what, sums in any order, what is refused."""

import itertools

import numpy as np
import pytest

from golden.near_memory import tree_sum
from golden.packets import decode, encode
from golden.switch import Switch, flow, result, with_fields
from mtia.message import Channel, PacketOp, Reason
from mtia.near_memory import ReduceFormat
from mtia.switch import SWITCH_SOURCE, SwitchParameters

REQUEST, RESPONSE = Channel.REQUEST, Channel.RESPONSE
EIGHT = SwitchParameters(ports=8, groups=4, pieces=2, slot_bytes=96)


def left(model: Switch, port: int, channel: Channel) -> list[tuple[dict[str, int], bytes]]:
    """All packets of an output, decoded."""
    return [decode(packet) for packets in model.outputs[port, channel].values() for packet in packets]


def contribution(slot: int, numbers: np.ndarray, **fields: int) -> np.ndarray:
    """A REDUCE of FP32 numbers."""
    same = {"op": PacketOp.REDUCE, "destination": 6, "group": 1, "ranks": 3, "kind": 1, "immediate": 0x702}
    return encode({**same, "slot": slot, "command": slot, **fields}, numbers.astype("<f4").tobytes())


def test_unicast_stamps_the_source_and_keeps_the_order():
    model = Switch(EIGHT)
    for number in range(3):
        model.take(5, REQUEST, encode({"destination": 2, "source": 77, "command": number}, bytes([number] * 40)))
    found = left(model, 2, REQUEST)
    assert [(fields["source"], fields["command"]) for fields, _ in found] == [(5, 0), (5, 1), (5, 2)]
    assert [payload[0] for _, payload in found] == [0, 1, 2]
    assert set(model.outputs) == {(2, REQUEST)}


def test_multicast_leaves_out_its_source_and_links_that_are_down():
    model = Switch(EIGHT)
    model.groups[2] = 0b11000011
    model.up &= ~(1 << 6)
    model.take(1, REQUEST, encode({"op": PacketOp.WRITE_IMMEDIATE, "destination": 2, "multicast": 1}, b"x"))
    assert sorted(model.outputs) == [(0, REQUEST), (7, REQUEST)]
    model.take(1, RESPONSE, encode({"op": PacketOp.RESULT, "destination": 2, "multicast": 1}, b"x"))
    assert sorted(port for port, channel in model.outputs if channel is RESPONSE) == [0, 1, 7]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_sum_in_any_order(order, seed):
    numbers = np.random.default_rng(seed).normal(size=(3, 24)).astype(np.float32)
    model = Switch(EIGHT)
    model.groups[1] = 0b01110000
    for rank in order:
        model.take(4 + rank, REQUEST, contribution(rank, numbers[rank], event=9, sequence=3, window=5, offset=64))
    want = tree_sum(numbers.astype("<f4").view(np.uint8).reshape(3, 3, 32), ReduceFormat.FP32).tobytes()
    for port in (4, 5, 6):
        ((fields, payload),) = left(model, port, RESPONSE)
        assert payload == want
        assert (fields["op"], fields["source"], fields["slot"]) == (PacketOp.RESULT, SWITCH_SOURCE, 2)
        assert (fields["event"], fields["sequence"], fields["window"], fields["offset"]) == (9, 3, 5, 64)
        assert (fields["multicast"], fields["destination"], fields["end"]) == (1, 1, 1)
    assert not model.outputs[7, RESPONSE]


def test_result_does_not_depend_on_who_sent_what():
    numbers = np.ones((2, 8), np.float32)
    packets = [contribution(rank, numbers[rank], ranks=2) for rank in range(2)]
    other = [with_fields(packet, source=9, command=99) for packet in packets]
    np.testing.assert_array_equal(result(packets), result(other))
    assert flow(result(packets))[0] == SWITCH_SOURCE  # type: ignore[index]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"destination": 8}, Reason.RANGE),
        ({"destination": 255}, Reason.RANGE),
        ({"destination": 3}, Reason.RANGE),
        ({"destination": 4, "multicast": 1}, Reason.RANGE),
        ({"destination": 0, "multicast": 1}, Reason.SOURCE),
        ({"op": PacketOp.REDUCE, "multicast": 1, "destination": 1}, Reason.OPERATION),
        ({"op": PacketOp.REDUCE, "kind": 0}, Reason.OPERATION),
        ({"op": PacketOp.REDUCE, "format": 3}, Reason.OPERATION),
        ({"op": PacketOp.REDUCE, "group": 0}, Reason.SOURCE),
        ({"op": PacketOp.REDUCE, "group": 4}, Reason.RANGE),
        ({"op": PacketOp.REDUCE, "ranks": 0}, Reason.RANGE),
        ({"op": PacketOp.REDUCE, "ranks": 9}, Reason.RANGE),
        ({"op": PacketOp.REDUCE, "slot": 3}, Reason.RANGE),
        ({"op": PacketOp.REDUCE, "length": 97}, Reason.RANGE),
    ],
    ids=str,
)
def test_refused(fields, reason):
    """Nothing leaves but the answer, at the port that sent it."""
    model = Switch(EIGHT)
    model.groups[1] = 0xFF
    model.up &= ~(1 << 3)
    same = {"destination": 1, "group": 1, "ranks": 3, "kind": 1, "command": 1234, "window": 6, "offset": 96}
    model.take(5, REQUEST, with_fields(encode({}, bytes(96)), **{**same, **fields}))
    assert model.refused[5] == [reason]
    assert set(model.outputs) == {(5, RESPONSE)}
    ((answer, _),) = left(model, 5, RESPONSE)
    assert (answer["op"], answer["immediate"], answer["command"]) == (PacketOp.REFUSED, reason, 1234)
    assert (answer["window"], answer["offset"], answer["destination"]) == (6, 96, 5)


def test_answers_are_not_answered():
    model = Switch(EIGHT)
    for op, channel in itertools.product(PacketOp, Channel):
        model.take(0, channel, encode({"op": op, "destination": 99}, b""))
    assert len(model.refused[0]) == 16
    assert set(model.outputs) == {(0, RESPONSE)}
    assert len(left(model, 0, RESPONSE)) == 4  # the operations of channel REQUEST, on that channel


def test_a_unit_refuses_what_does_not_fit():
    """A slot twice, another window, another number of flits, a third piece; then the sum comes as if nothing was."""
    model = Switch(EIGHT)
    model.groups[1] = 0xFF
    ones = np.ones(16)
    model.take(0, REQUEST, contribution(0, ones))
    for packet in (
        contribution(0, ones),
        contribution(1, ones, window=1),
        contribution(1, ones)[:1],
        np.concatenate([contribution(1, ones), contribution(1, ones)[1:]]),
    ):
        model.take(0, REQUEST, packet)
    assert model.refused_contributions[6] == 4
    model.take(0, REQUEST, contribution(0, ones, event=1))
    model.take(0, REQUEST, contribution(0, ones, event=2))
    assert model.refused_contributions[6] == 5
    model.take(0, REQUEST, contribution(0, ones, event=2, destination=7))
    assert model.refused_contributions[7] == 0
    for slot in (2, 1):
        model.take(0, REQUEST, contribution(slot, ones))
    results = [payload for fields, payload in left(model, 3, RESPONSE) if fields["op"] == PacketOp.RESULT]
    assert results == [np.full(16, 3, "<f4").tobytes()]


def test_a_plain_switch_has_no_multicast():
    model = Switch(SwitchParameters(ports=16, buses=0, pieces=0))
    for fields in ({"multicast": 1}, {"op": PacketOp.REDUCE, "kind": 1, "ranks": 1}):
        model.take(2, REQUEST, encode(fields, b""))
    assert model.refused[2] == [Reason.OPERATION] * 2

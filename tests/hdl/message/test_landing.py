# amaranth: UnusedElaboratable=no
# (components whose parameters are refused are never elaborated)
"""Landing: bytes and cycles of every length, the outcome after the last write, packets and messages with holes."""

import numpy as np
import pytest

from golden.packets import cut, encode
from hdl.message.landing import Landing
from mtia.message import MAX_RANKS, WINDOW, Channel, PacketOp, Reason, flits, pack
from tb.lane import Lane
from tb.ports import design_of

from .parts import beats

MTU, SIZE = 1056, 1 << 15
OPEN = {
    "valid": 1,
    "rights": 7,
    "partition": 3,
    "key": 77,
    "base": 0x1000,
    "size": SIZE,
    "sources": 0xFF,
    "part_log": 5,
}
PACKET = {"op": PacketOp.WRITE, "source": 5, "partition": 3, "key": 77, "window": 1, "command": 9}


@pytest.fixture(scope="module")
def designs():
    return {channel: design_of(Landing(channel=channel, mtu=MTU), name="landing") for channel in Channel}


@pytest.fixture
def make(designs):
    """A function that gives the landing of a channel, with an open window."""

    def new(channel=Channel.REQUEST):
        lane = Lane(designs[channel])
        lane.set("window", pack(WINDOW, **OPEN))
        return lane

    return new


def write_of(beat):
    """Address, data and number of bytes of a write."""
    number = int.from_bytes(beat.astype("<u4").tobytes(), "little")
    enable = number >> 560
    assert enable == (1 << enable.bit_length()) - 1
    return number & (1 << 48) - 1, (number >> 48 & (1 << 512) - 1).to_bytes(64, "little"), enable.bit_length()


def writes(lane):
    """Memory after all writes that have been taken: only bytes that were written."""
    memory: dict[int, int] = {}
    for beat in lane.pull("write"):
        address, data, count = write_of(beat)
        memory |= {address + k: data[k] for k in range(count)}
    return memory


def reasons(lane):
    """Reasons of the outcomes that have been taken."""
    return [Reason(int(beat[0]) & 15) for beat in lane.pull("outcome")]


@pytest.mark.sim
def test_every_length(make):
    """0 to 130 bytes and the lengths around a packet's end, one after the other: bytes, addresses, cycles."""
    random, lane = np.random.default_rng(1), make()
    lengths = [*range(131), *range(MTU - 70, MTU + 1)]
    payloads = [random.bytes(length) for length in lengths]
    offsets = [int(random.integers(0, (SIZE - MTU) // 32)) * 32 for _ in lengths]
    sent = [
        encode(PACKET | {"offset": offset, "end": 1, "acknowledge": 1}, payload)
        for offset, payload in zip(offsets, payloads, strict=True)
    ]
    lane.push("i", beats(sent))
    lane.run({"outcome": len(sent)}, record=True)
    taken = lane.transfer_cycles("i")
    np.testing.assert_array_equal(np.diff(taken), 1)
    # each flit with payload is a write 2 cycles later, each last flit an outcome 3 cycles later
    carries = np.concatenate([[length > 0] * flits(length) for length in lengths])
    np.testing.assert_array_equal(lane.transfer_cycles("write"), taken[carries] + 2)
    ends = np.cumsum([flits(length) for length in lengths]) - 1
    np.testing.assert_array_equal(lane.transfer_cycles("outcome"), taken[ends] + 3)
    beat = iter(lane.pull("write"))
    for offset, payload in zip(offsets, payloads, strict=True):
        begin = 0
        while begin < len(payload):
            address, data, count = write_of(next(beat))
            size = min(64 if begin else 32, len(payload) - begin)
            assert (address, data[:count], count) == (0x1000 + offset + begin, payload[begin : begin + size], size)
            begin += size
    assert reasons(lane) == [Reason.NONE] * len(sent)


@pytest.mark.sim
@pytest.mark.parametrize("pause", [0.3, 0.8])
def test_outcome_after_the_last_write(make, pause, seed):
    """Whatever waits: an outcome is never offered before the memory has taken all of its packet."""
    random, lane = np.random.default_rng(seed), make()
    lengths = random.integers(0, 300, 200)
    sent = [encode(PACKET | {"end": 1, "acknowledge": 1}, random.bytes(int(length))) for length in lengths]
    lane.push("i", beats(sent))
    lane.run({"outcome": len(sent)}, pauses={"i": pause / 2, "write": pause, "outcome": pause}, seed=seed, record=True)
    count = np.cumsum([flits(int(length)) if length else 0 for length in lengths])
    assert lane.transfers("write") == count[-1]
    last = lane.transfer_cycles("write")[np.maximum(count, 1) - 1]
    told = lane.transfer_cycles("outcome")
    assert (told[count > 0] > last[count > 0]).all()


@pytest.mark.sim
def test_each_write_once(make):
    """With no room for a packet's outcome its last write waits; none is done twice."""
    lane = make()
    lane.push("i", beats([encode(PACKET | {"end": 1, "acknowledge": 1}, bytes(32))] * 10))
    lane.run(cycles=40, pauses={"outcome": 1 - 2**-32})
    assert lane.transfers("write") == 2
    lane.run({"outcome": 10})
    assert lane.transfers("write") == 10


@pytest.mark.sim
def test_what_is_told(make):
    """No outcome where nothing follows: a WRITE without answer, a message that goes on, RESULTs on RESPONSE."""
    for channel, op, end, acknowledge, told in [
        (Channel.REQUEST, PacketOp.WRITE, 1, 0, False),
        (Channel.REQUEST, PacketOp.WRITE, 1, 1, True),
        (Channel.REQUEST, PacketOp.WRITE, 0, 1, False),
        (Channel.REQUEST, PacketOp.WRITE_IMMEDIATE, 1, 0, True),
        (Channel.REQUEST, PacketOp.WRITE_IMMEDIATE, 0, 1, False),
        (Channel.REQUEST, PacketOp.SEND, 1, 0, True),
        (Channel.REQUEST, PacketOp.SEND, 0, 0, False),
        (Channel.RESPONSE, PacketOp.RESULT, 1, 0, True),
        (Channel.RESPONSE, PacketOp.RESULT, 0, 1, False),
        (Channel.RESPONSE, PacketOp.READY, 0, 0, True),
        (Channel.RESPONSE, PacketOp.DONE, 0, 0, True),
        (Channel.RESPONSE, PacketOp.REFUSED, 0, 0, True),
    ]:
        lane = make(channel)
        lane.push("i", beats([encode(PACKET | {"op": op, "end": end, "acknowledge": acknowledge}, b"")]))
        lane.run(cycles=10)
        assert lane.waiting("outcome") == told, (op, end, acknowledge)


@pytest.mark.sim
@pytest.mark.parametrize("flits_sent", [1, 2, 3, 5])
def test_length_and_flits_differ(make, flits_sent):
    """A packet of 4 flits that ends earlier or later: refused, nothing past its length, the next one is right."""
    random, lane = np.random.default_rng(1), make()
    payload, after = random.bytes(32 + 3 * 64 - 5), random.bytes(100)
    packet = encode(PACKET | {"op": PacketOp.WRITE_IMMEDIATE, "end": 1}, payload)
    packet = np.concatenate([packet, packet])[:flits_sent]
    packet[4:] = 255
    lane.push("i", beats([packet, encode(PACKET | {"offset": 1024, "end": 1, "acknowledge": 1}, after)]))
    lane.run({"outcome": 2})
    written = payload[: 32 + 64 * (flits_sent - 1)]
    expected = {0x1000 + k: byte for k, byte in enumerate(written)}
    assert writes(lane) == expected | {0x1400 + k: byte for k, byte in enumerate(after)}
    assert reasons(lane) == [Reason.RANGE, Reason.NONE]


@pytest.mark.sim
def test_answers_with_payload_write_nothing(make):
    """READY, DONE and REFUSED have no payload; one that claims some does not reach memory."""
    lane = make(Channel.RESPONSE)
    lane.push("i", beats([encode(PACKET | {"op": op}, bytes(200)) for op in (3, 6, 7)]))
    lane.run({"outcome": 3})
    lane.run(cycles=5)
    assert lane.waiting("write") == 0
    assert reasons(lane) == [Reason.NONE] * 3


@pytest.mark.sim
def test_flits_between_packets(make):
    """Flits before a head are dropped; a head begins a packet even if the one before it has not ended."""
    lane = make()
    packet = beats([encode(PACKET | {"end": 1, "acknowledge": 1}, bytes(range(200)))])
    lane.push("i", np.concatenate([packet[1:], packet[:2], packet, packet[1:]]))
    lane.run({"outcome": 1})
    lane.run(cycles=20)
    assert reasons(lane) == [Reason.NONE]
    assert writes(lane) == {0x1000 + k: k for k in range(200)}


@pytest.mark.sim
def test_messages_with_a_hole(make):
    """Once a packet of a message was refused its end is refused, too; other sources and later messages are not."""
    lane = make()
    fields = {"op": PacketOp.WRITE_IMMEDIATE, "acknowledge": 1}
    hole = cut(PACKET | fields | {"end": 1}, bytes(3 * MTU), MTU)
    wrong = encode(PACKET | fields | {"key": 78}, bytes(MTU))
    other = encode(PACKET | fields | {"source": 6, "end": 1}, bytes(10))
    short = encode(PACKET | fields | {"offset": MTU}, bytes(MTU))[:-1]
    for message, expected in [
        ([hole[0], wrong, other, hole[2], hole[2]], [Reason.KEY, Reason.NONE, Reason.RANGE, Reason.NONE]),
        ([short, hole[1], hole[2], other], [Reason.RANGE, Reason.RANGE, Reason.NONE]),
        ([wrong, wrong, hole[2], hole[2]], [Reason.KEY, Reason.KEY, Reason.RANGE, Reason.NONE]),
        (
            [encode(PACKET | fields | {"source": 200}, b""), hole[2]],
            [Reason.SOURCE, Reason.NONE],
        ),
    ]:
        lane.push("i", beats(message))
        lane.run({"outcome": len(expected)})
        assert reasons(lane) == expected


@pytest.mark.sim
def test_single_flits_one_a_cycle(make):
    """Packets of a head alone, each with an outcome: none waits for another."""
    lane = make()
    lane.push("i", beats([encode(PACKET | {"end": 1, "acknowledge": 1}, bytes(32))] * 50))
    lane.run({"outcome": 50}, record=True)
    np.testing.assert_array_equal(np.diff(lane.transfer_cycles("outcome")), 1)
    np.testing.assert_array_equal(lane.transfer_cycles("outcome"), lane.transfer_cycles("i") + 3)


def test_parameters():
    with pytest.raises(TypeError, match="Landing channel must be a Channel, not 1"):
        Landing(channel=1)  # type: ignore[arg-type]  # what the test is about
    with pytest.raises(ValueError, match=r"Landing mtu must be 32 \+ 64 k, not 100"):
        Landing(channel=Channel.REQUEST, mtu=100)
    with pytest.raises(ValueError, match="Landing communicators must be in 1 to 16, not 0"):
        Landing(channel=Channel.REQUEST, communicators=0)
    with pytest.raises(ValueError, match=f"Landing ports must be in 1 to {MAX_RANKS}, not 0"):
        Landing(channel=Channel.REQUEST, ports=0)
    landing = Landing(channel=Channel.RESPONSE, mtu=96, communicators=2, ports=8)
    assert (landing.channel, landing.mtu, landing.communicators, landing.ports) == (Channel.RESPONSE, 96, 2, 8)

# amaranth: UnusedElaboratable=no
# (components whose parameters are refused are never elaborated)
"""Sender: packets and their bytes, one flit a cycle whatever the sizes, latencies, and what waits for what."""

import numpy as np
import pytest

from golden.packets import cut, decode, encode
from hdl.message.sender import Sender
from mtia.message import HEADER, PacketOp, Reason, flits, pack
from tb.lane import Lane
from tb.ports import design_of

from .parts import BEATS, WithMemory, contents, packets

MTU = 1056
LATENCIES = (1, 7, 64)


@pytest.fixture(scope="module")
def designs():
    return {
        latency: design_of(WithMemory(Sender(mtu=MTU, reads=latency + 2), latency=latency), name="sender")
        for latency in LATENCIES
    }


@pytest.fixture
def make(designs):
    """A function that gives a sender behind a memory of that latency."""

    def new(latency=7):
        lane = Lane(designs[latency])
        for name in ("gate", "pace"):
            lane.push(name, np.zeros((BEATS, 1), np.uint32))
        return lane

    return new


def draw(random, op, thread, length=None):
    """A job: random fields of the header, where its bytes come from and how many they are."""
    fields = {name: int(random.integers(0, 1 << bits, dtype=np.uint64)) for name, bits in HEADER}
    offset = int(random.integers(0, 1 << 40)) * 32
    fields |= {"op": op, "offset": offset, "reserved": 0}
    if length is None:
        most = random.choice([0, 64, 3 * MTU])
        length = int(random.integers(0, most + 1))
    return {"thread": thread, "header": fields, "source": int(random.integers(0, 1 << 43)) * 32, "length": length}


def words(jobs):
    """Jobs as beats of `send`."""
    numbers = []
    for job in jobs:
        header = pack(HEADER, **job["header"])
        number = job["thread"] | header << 5 | job["source"] << 261 | job["length"] << 309
        numbers.append(np.frombuffer(number.to_bytes(44, "little"), "<u4"))
    return np.array(numbers)


def message(job):
    """The packets that a job must become."""
    fields = {name: value for name, value in job["header"].items() if name != "length"}
    if fields["op"] == PacketOp.READY:
        return [encode({**fields, "end": 1}, b"")]
    return cut(fields, contents(job["source"], job["length"]), MTU)


def compare(got, expected):
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        assert decode(one) == decode(other)
        np.testing.assert_array_equal(one, other)


REQUESTS = (PacketOp.WRITE, PacketOp.WRITE_IMMEDIATE, PacketOp.SEND, PacketOp.REDUCE)


@pytest.mark.sim
@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize("pause", [0.0, 0.3, 0.8])
def test_random_messages(make, latency, pause, seed):
    """Bytes, headers and order of random messages, READYs and replies between them; every stream paused."""
    random, lane = np.random.default_rng(seed), make(latency)
    ops = random.choice([*REQUESTS, PacketOp.READY], 300)
    jobs = [draw(random, int(op), 2 * (k % 16) + int(op == PacketOp.READY)) for k, op in enumerate(ops)]
    replies = random.integers(0, 1 << 32, (40, 4), np.uint32)
    replies[:, 3] &= (1 << 12) - 1  # 108 bits
    replies[:10, 0] &= ~np.uint32(15)  # DONE
    lane.push("send", words(jobs))
    lane.push("reply", replies)
    requests = [each for job in jobs if job["header"]["op"] != PacketOp.READY for each in message(job)]
    readies = [each for job in jobs if job["header"]["op"] == PacketOp.READY for each in message(job)]
    names = ("send", "sent", "reply", "tx__0", "tx__1", "gate", "pace")
    until = {"tx__0": sum(map(len, requests)), "tx__1": len(readies) + 40, "sent": len(jobs)}
    lane.run(until, pauses=dict.fromkeys(names, pause), seed=seed)
    compare(packets(lane.pull("tx__0")), requests)
    responses = packets(lane.pull("tx__1"))
    is_reply = [decode(each)[0]["op"] in (PacketOp.DONE, PacketOp.REFUSED) for each in responses]
    compare([each for each, other in zip(responses, is_reply, strict=True) if not other], readies)
    compare([each for each, other in zip(responses, is_reply, strict=True) if other], map_replies(replies))
    sent = lane.pull("sent")[:, 0].tolist()
    for is_ready in (False, True):  # even threads are REQUESTs, odd ones READYs: each kind in its own order
        threads = [job["thread"] for job in jobs if (job["header"]["op"] == PacketOp.READY) == is_ready]
        assert [thread for thread in sent if thread % 2 == is_ready] == threads
    assert lane.get("full") == 0
    assert lane.get("packets_out") == len(requests) + len(responses)
    assert lane.get("flits_out") == sum(map(len, requests)) + len(responses)


def map_replies(replies):
    """The packets of replies, given as words."""
    result = []
    for row in replies:
        number = int.from_bytes(row.astype("<u4").tobytes(), "little")
        fields, offset = {}, 0
        widths = (4, 8, 8, 8, 16, 16, 48)
        names = ("reason", "destination", "partition", "window", "sequence", "command", "offset")
        for name, width in zip(names, widths, strict=True):
            fields[name] = number >> offset & (1 << width) - 1
            offset += width
        reason = fields.pop("reason")
        op = PacketOp.DONE if reason == Reason.NONE else PacketOp.REFUSED
        result.append(encode({**fields, "op": op, "end": 1, "immediate": reason}, b""))
    return result


@pytest.mark.sim
@pytest.mark.parametrize("latency", LATENCIES)
def test_every_length(make, latency):
    """Messages of 0 to 130 bytes, and around the bounds of packets; a flit a cycle from the first to the last."""
    random, lane = np.random.default_rng(1), make(latency)
    lengths = [*range(131), *(k * MTU + d for k in (1, 2, 3) for d in (-65, -64, -1, 0, 1, 32, 33))]
    jobs = [draw(random, PacketOp.WRITE, length % 32, length) for length in lengths]
    expected = [each for job in jobs for each in message(job)]
    count = sum(map(len, expected))
    lane.push("send", words(jobs))
    lane.run({"tx__0": count, "sent": len(jobs)}, record=True)
    compare(packets(lane.pull("tx__0")), expected)
    cycles = lane.transfer_cycles("tx__0")
    # the first three jobs: 0, 1 and 2 bytes; the first flit has no payload and overtakes memory's latency
    np.testing.assert_array_equal(np.diff(cycles[1:]), 1)
    assert cycles[0] == lane.transfer_cycles("send")[0] + 3
    assert cycles[1] == lane.transfer_cycles("send")[1] + 3 + latency
    lasts = cycles[np.cumsum([sum(map(flits, split(job["length"]))) for job in jobs]) - 1]
    np.testing.assert_array_equal(lane.transfer_cycles("sent"), lasts + 1)


def split(length):
    """Bytes of each packet of a message."""
    return [min(MTU, length - begin) for begin in range(0, max(1, length), MTU)]


@pytest.mark.sim
@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize("length", [1, 32, 96, MTU, 4 * MTU])
def test_throughput(make, latency, length):
    """Messages of one size: not one cycle without a flit once the first has left."""
    random, lane = np.random.default_rng(1), make(latency)
    jobs = [draw(random, PacketOp.WRITE, 0, length) for _ in range(max(3, 400 // length))]
    count = len(jobs) * sum(map(flits, split(length)))
    lane.push("send", words(jobs))
    lane.run({"tx__0": count}, record=True)
    cycles = lane.transfer_cycles("tx__0")
    assert cycles[0] == lane.transfer_cycles("send")[0] + 3 + latency
    assert cycles[-1] - cycles[0] == count - 1
    compare(packets(lane.pull("tx__0")), [each for job in jobs for each in message(job)])


@pytest.mark.sim
def test_data_is_taken_while_the_network_waits(make):
    """Nothing leaves on REQUEST: all that was asked for is taken, no more is asked for, and a READY overtakes."""
    random, lane = np.random.default_rng(1), make(7)
    lane.push("send", words([draw(random, PacketOp.WRITE, 1, 2 * MTU), draw(random, PacketOp.READY, 2)]))
    lane.push("reply", np.zeros((1, 4), np.uint32))
    lane.run(cycles=100, pauses={"tx__0": 1 - 2**-32})
    assert (lane.transfers("gate"), lane.transfers("pace")) == (10, 10)
    assert lane.waiting("tx__0") == 0
    assert lane.waiting("tx__1") == 2
    lane.run({"tx__0": 34, "sent": 2})
    assert lane.pull("sent")[:, 0].tolist() == [2, 1]


@pytest.mark.sim
def test_sent_is_not_taken(make):
    """Two messages' `sent` may wait; the last flit of a third does not leave before one is taken."""
    random, lane = np.random.default_rng(1), make(7)
    jobs = [draw(random, PacketOp.WRITE, thread, 40) for thread in range(5)]
    lane.push("send", words(jobs))
    lane.run(cycles=60, pauses={"sent": 1 - 2**-32})
    assert lane.waiting("tx__0") == 2 * 2 + 1
    lane.run({"sent": 5})
    assert lane.pull("sent")[:, 0].tolist() == list(range(5))
    compare(packets(lane.pull("tx__0")), [each for job in jobs for each in message(job)])


@pytest.mark.sim
def test_latency_of_responses(make):
    random, lane = np.random.default_rng(1), make(7)
    lane.push("send", words([draw(random, PacketOp.READY, 3)]))
    lane.run({"tx__1": 1, "sent": 1}, record=True)
    assert lane.transfer_cycles("tx__1")[0] == lane.transfer_cycles("send")[0] + 1
    assert lane.transfer_cycles("sent")[0] == lane.transfer_cycles("tx__1")[0] + 1
    lane.push("reply", np.zeros((1, 4), np.uint32))
    lane.run({"tx__1": 2}, record=True)
    assert lane.transfer_cycles("tx__1")[1] == lane.transfer_cycles("reply")[0] + 1


@pytest.mark.parametrize("mtu", [31, 33, 64, 4065, 4096])
def test_mtu_wrong(mtu):
    with pytest.raises(ValueError, match=rf"Sender mtu must be (in 32 to 4064|32 \+ 64 k), not {mtu}"):
        Sender(mtu=mtu)


def test_parameters_of_wrong_kind():
    with pytest.raises(TypeError, match="Sender mtu must be an integer, not '96'"):
        Sender(mtu="96")  # type: ignore[arg-type]  # what the test is about
    with pytest.raises(ValueError, match="Sender reads must be at least 2, not 1"):
        Sender(reads=1)
    assert (Sender(mtu=96, reads=5).mtu, Sender(mtu=96, reads=5).reads) == (96, 5)

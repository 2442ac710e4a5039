"""A receiver in a lane, packets for it, and the model of what they do."""

import dataclasses
from collections import Counter

import numpy as np

from golden.packets import encode, place, refusal
from hdl.message.receiver import Receiver
from mtia.message import EVENT, HEADER, MAX_RANKS, WINDOW, Channel, PacketOp, Reason, pack
from tb.lane import Lane
from tb.ports import design_of

from .parts import beats

MTU, WINDOWS, COMMUNICATORS = 1056, 8, 3
#: bytes of the memory that the tests look at; windows lie in it
MEMORY = 1 << 16
#: cycles in which the tables are cleared after reset
CLEARED = 256 * COMMUNICATORS
OUTPUTS = ("write", "answer", "ready_answer", "eager_answer", "acknowledged", "reply")
INPUTS = ("rx__0", "rx__1", "query", "ready_query", "eager_query")


def design():
    """The receiver of the tests as Verilog."""
    receiver = Receiver(windows=WINDOWS, communicators=COMMUNICATORS, mtu=MTU, replies=4)
    return design_of(receiver, name="receiver")


def words_of(number, width):
    """A number as a beat."""
    return np.frombuffer(number.to_bytes(-(-width // 32) * 4, "little"), "<u4")


def number_of(beat):
    """A beat as a number."""
    return int.from_bytes(beat.astype("<u4").tobytes(), "little")


@dataclasses.dataclass
class Expected:
    """What the receiver must have done."""

    memory: np.ndarray
    arrivals: list
    replies: list
    acknowledged: list
    tokens: Counter
    refused: Counter


class Bench:
    """A receiver with its windows, and the model of what packets do."""

    def __init__(self, design, random, windows=None):
        self.lane, self.random = Lane(design), random
        self.windows = draw_windows(random) if windows is None else windows
        for index, window in self.windows.items():
            self.lane.push("windows", words_of(index | pack(WINDOW, **window) << 8, 264)[None])
        self.lane.run(cycles=CLEARED + 16)
        self.memory = random.integers(0, 256, MEMORY, np.uint8)
        self.expected = Expected(self.memory.copy(), [], [], [], Counter(), Counter())

    def take(self, fields, payload, channel):
        """What a packet must do."""
        e, op = self.expected, fields["op"]
        window = self.windows.get(fields["window"])
        reason = refusal(fields, window, MTU, channel=channel, communicators=COMMUNICATORS)
        if reason != Reason.NONE:
            e.refused[reason] += 1
            if channel == Channel.REQUEST:
                e.replies.append(reply(fields, reason))
            return reason
        if op == PacketOp.READY:
            e.tokens[fields["event"] >> 8 & 15, fields["source"]] += 1
        elif op in (PacketOp.DONE, PacketOp.REFUSED):
            refused = op == PacketOp.REFUSED
            why = fields["immediate"] & 15 if refused else 0
            e.acknowledged.append((fields["command"], int(refused), why, fields["source"]))
        else:
            begin = place(fields, window)
            e.memory[begin : begin + len(payload)] = np.frombuffer(payload, np.uint8)
            if fields["end"] and op in (PacketOp.WRITE_IMMEDIATE, PacketOp.RESULT):
                e.arrivals.append((fields["event"], fields["sequence"], fields["slot"]))
            if fields["end"] and fields["acknowledge"] and channel == Channel.REQUEST:
                e.replies.append(reply(fields, Reason.NONE))
        return reason

    def send(self, channel, fields, payload=b""):
        """Queue a packet and what it must do."""
        packet = encode(fields, payload)
        self.take({name: 0 for name, _ in HEADER} | fields | {"length": len(payload)}, payload, channel)
        self.lane.push(f"rx__{int(channel)}", beats([packet]))

    def run(self, **options):
        """Let everything be taken, and what follows leave."""
        self.lane.run(**options)
        for _ in range(400):
            before = [self.lane.transfers(name) for name in OUTPUTS]
            self.lane.run(cycles=24)
            if before == [self.lane.transfers(name) for name in OUTPUTS]:
                return
        raise AssertionError("the receiver never comes to rest")

    def apply(self):
        """Do the writes; gives for each its address and the bytes that it writes."""
        done = []
        for beat in self.lane.pull("write"):
            number = number_of(beat)
            address, enable = number & (1 << 48) - 1, number >> 560
            data = np.frombuffer((number >> 48 & (1 << 512) - 1).to_bytes(64, "little"), np.uint8)
            count = enable.bit_length()
            assert enable == (1 << count) - 1
            assert count
            assert address % 32 == 0
            assert address + count <= MEMORY
            self.memory[address : address + count] = data[:count]
            done.append((address, count))
        return done

    def check(self):
        """Memory, answers since the last call and counters against what must be."""
        self.apply()
        np.testing.assert_array_equal(self.memory, self.expected.memory)
        assert [split_reply(number_of(each)) for each in self.lane.pull("reply")] == self.expected.replies
        got = [number_of(each) for each in self.lane.pull("acknowledged")]
        assert [(n & 0xFFFF, n >> 16 & 1, n >> 17 & 15, n >> 21) for n in got] == self.expected.acknowledged
        self.expected.replies.clear()
        self.expected.acknowledged.clear()
        for reason in Reason:
            assert self.lane.get(f"refused__{int(reason)}") == self.expected.refused[reason]

    def ask(self, queries):
        """Answers to queries of {event, sequence, mask}."""
        numbers = [event | sequence << 16 | mask << 32 for event, sequence, mask in queries]
        self.lane.push("query", np.array([words_of(number, 104) for number in numbers]))
        self.lane.run({"answer": len(numbers)})
        return self.lane.pull("answer")[:, 0].tolist()

    def ask_ready(self, queries):
        """Answers to queries of {communicator, port, take}: (available, offset)."""
        beat = [communicator | port << 4 | take << 12 for communicator, port, take in queries]
        self.lane.push("ready_query", np.array(beat, np.uint32)[:, None])
        self.lane.run({"ready_answer": len(beat)})
        return [(number & 1, number >> 1) for number in map(number_of, self.lane.pull("ready_answer"))]


def reply(fields, reason):
    """The answer to a packet."""
    names = ("partition", "window", "sequence", "command", "offset")
    return {"reason": int(reason), "destination": fields["source"]} | {name: fields[name] for name in names}


def split_reply(number):
    """A reply's fields."""
    layout = {"reason": 4, "destination": 8, "partition": 8, "window": 8, "sequence": 16, "command": 16, "offset": 48}
    fields = {}
    for name, width in layout.items():
        fields[name], number = number & (1 << width) - 1, number >> width
    return fields


def draw_windows(random):
    """Windows that do not touch, most of them open to most sources."""
    windows, begin = {}, 64
    for index in range(WINDOWS - 1):
        size = int(random.integers(0, 200)) * 32 + int(random.integers(0, 32))
        windows[index] = {
            "valid": int(random.random() < 0.9),
            "rights": int(random.choice([1, 3, 7, 7, 7])),
            "partition": int(random.integers(0, 3)),
            "epoch": int(random.integers(0, 3)),
            "key": int(random.integers(0, 1 << 32)),
            "base": begin,
            "size": size,
            "sources": int.from_bytes(random.bytes(9), "little") | int.from_bytes(random.bytes(9), "little"),
        }
        begin += -(-size // 32) * 32 + 32
    return windows


def flat_windows():
    """Windows 0 and 1, wide open, each of half the memory but for a margin that nobody may write."""
    half, common = MEMORY // 2, {"valid": 1, "rights": 7, "sources": (1 << MAX_RANKS) - 1, "part_log": 5}
    return {index: common | {"base": index * half + 1024, "size": half - 2048, "key": index} for index in range(2)}


def fits(random, window, op, source=None):
    """Header fields that the window takes, and a payload."""
    allowed = [port for port in range(MAX_RANKS) if window["sources"] >> port & 1]
    most = min(window["size"], MTU)
    length = int(random.integers(0, most + 1))
    room = (window["size"] - length) // 32
    fields = {name: int(random.integers(0, 1 << bits, dtype=np.uint64)) for name, bits in HEADER if bits < 48}
    fields |= {
        "op": int(op),
        "source": int(random.choice(allowed)) if source is None else source,
        "partition": window["partition"],
        "epoch": window["epoch"],
        "key": window["key"],
        "offset": int(random.integers(0, room + 1)) * 32,
        "slot": int(random.integers(0, MAX_RANKS)),
        "event": pack(EVENT, piece=int(random.integers(0, 4)), communicator=int(random.integers(0, COMMUNICATORS))),
        "sequence": int(random.integers(0, 4)),
    }
    fields.pop("length")
    return fields, random.bytes(length)


def draw(random, windows, channel):
    """A packet: most are allowed, others differ in a field."""
    ops = {
        Channel.REQUEST: [PacketOp.WRITE, PacketOp.WRITE_IMMEDIATE],
        Channel.RESPONSE: [PacketOp.RESULT, PacketOp.RESULT, PacketOp.READY, PacketOp.DONE, PacketOp.REFUSED],
    }
    index = int(random.integers(0, len(windows)))
    fields, payload = fits(random, windows[index], random.choice(ops[channel]))
    fields["window"] = index
    if fields["op"] not in (PacketOp.WRITE, PacketOp.WRITE_IMMEDIATE, PacketOp.RESULT):
        payload = b""
    wrong = random.random()
    if wrong < 0.3:
        name = str(random.choice(["op", "window", "partition", "source", "key", "epoch", "offset", "slot", "event"]))
        fields[name] = int(random.integers(0, 1 << dict(HEADER)[name], dtype=np.uint64))
    fields["end"] |= int(random.random() < 0.5)
    return fields, payload


def messages(window, op, count, length, **fields):
    """Packets of that many bytes to a window of `flat_windows`, as beats."""
    fields = {"op": op, "window": window, "key": window, "end": 1, **fields}
    return beats([encode(fields, bytes([index & 255]) * length) for index in range(count)])

"""What the tests of receiver and sender share: a memory without contents, packets as beats, random fields."""

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from hdl.core.arith import delay
from hdl.core.checks import stream_in, stream_out
from hdl.core.connect import connect
from hdl.core.fifo import Queue
from hdl.message.ports import ADDRESS_BITS, ReadData, ReadRequest
from mtia.message import FLIT_BYTES

#: 64-bit word number n of the memory is n times this, modulo 2^64
FACTOR = 0x9E3779B97F4A7C15
#: beats of a stream that holds something back while it pauses
BEATS = 1 << 20


class PatternMemory(wiring.Component):
    """Answers reads after `latency` cycles: the eight 64-bit words from an address, word n being `FACTOR` * n.

    A read is taken with a beat of `gate`, its data is given with one of `pace`. `full` stays 1 once data was refused.
    """

    def __init__(self, *, latency):
        self.latency = latency
        super().__init__(
            {
                "read": stream_in(ReadRequest),
                "read_data": stream_out(ReadData),
                "gate": stream_in(1),
                "pace": stream_in(1),
                "full": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        taken = Signal()
        m.d.comb += [
            self.read.ready.eq(self.gate.valid),
            taken.eq(self.read.valid & self.read.ready),
            self.gate.ready.eq(taken),
        ]
        # the queue is the last cycle of the latency
        valid = delay(m, taken, self.latency - 1, name="valid", reset_less=False)
        address = delay(m, self.read.payload.address, self.latency - 1, name="address")
        m.submodules.found = found = Queue(shape=ADDRESS_BITS, depth=256)
        m.d.comb += [
            found.i.valid.eq(valid),
            found.i.payload.eq(address),
            self.read_data.valid.eq(found.o.valid & self.pace.valid),
            found.o.ready.eq(self.read_data.ready & self.pace.valid),
            self.pace.ready.eq(found.o.valid & self.read_data.ready),
        ]
        for word in range(8):
            number = Signal(64, name=f"number_{word}")
            m.d.comb += number.eq((found.o.payload >> 3) + word)
            m.d.comb += self.read_data.payload.data.word_select(word, 64).eq(number * FACTOR)
        with m.If(self.read_data.valid & ~self.read_data.ready):
            m.d.sync += self.full.eq(1)
        return m


class WithMemory(wiring.Component):
    """A component whose `read` and `read_data` go to a `PatternMemory`; the other ports of both are those of this."""

    def __init__(self, inner, *, latency):
        self.inner, self.latency, self.memory = inner, latency, PatternMemory(latency=latency)
        members = {name: each for name, each in inner.signature.members.items() if name not in ("read", "read_data")}
        mine = {name: self.memory.signature.members[name] for name in ("gate", "pace", "full")}
        super().__init__({**members, **mine})

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner, m.submodules.memory = inner, memory = self.inner, self.memory
        connect(m, inner.read, memory.read)
        connect(m, memory.read_data, inner.read_data)
        for part, names in ((memory, ("gate", "pace", "full")), (inner, inner.signature.members)):
            for name in names:
                if name in ("read", "read_data"):
                    continue
                member = part.signature.members[name]
                pairs = [(getattr(part, name), getattr(self, name))]
                if member.dimensions:
                    pairs = list(zip(getattr(part, name), getattr(self, name), strict=True))
                for inside, outside in pairs:
                    if member.is_port:
                        m.d.comb += outside.eq(inside)
                    else:
                        wiring.connect(m, inside, wiring.flipped(outside))
        return m


def contents(address, length):
    """Bytes of the memory, which wraps at 2^48."""
    first = address // 8
    words = np.arange(first, (address + length + 7) // 8 + 1, dtype=np.uint64) % (1 << 45)
    with np.errstate(over="ignore"):
        data = (words * np.uint64(FACTOR)).astype("<u8").tobytes()
    return data[address % 8 :][:length]


def beats(packets):
    """Flits of packets as words of a stream: the data, then head and last."""
    rows = []
    for packet in packets:
        words = np.zeros((len(packet), 17), np.uint32)
        words[:, :16] = np.ascontiguousarray(packet).view("<u4")
        words[0, 16] |= 1
        words[-1, 16] |= 2
        rows.append(words)
    return np.concatenate(rows) if rows else np.zeros((0, 17), np.uint32)


def packets(words):
    """Packets of a stream's words, as uint8 (n, 64): the inverse of `beats`. Heads must follow lasts."""
    head, last = words[:, 16] & 1, words[:, 16] >> 1
    assert (head[1:] == last[:-1]).all()
    assert not len(words) or head[0]
    flits = np.ascontiguousarray(words[:, :16]).view(np.uint8).reshape(-1, FLIT_BYTES)
    ends = np.flatnonzero(last) + 1
    assert not len(words) or ends[-1] == len(words)
    return np.split(flits, ends[:-1]) if len(words) else []

"""cocotb tests of the message receiver at its streams, run by tests/hdl/message/test_protocols.py.

All streams are watched for their rules, whatever is sent, taken or reset when; memory, answers and events are compared
with what the packets must have done.
"""

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from golden.packets import encode, place, refusal
from hdl.link.flit import Flit
from hdl.message import ports
from mtia.message import EVENT, MAX_RANKS, Channel, PacketOp, Reason, pack

from ..runner import parameters
from ..streams import StreamMonitor, StreamSink, StreamSource, _Stream, bursts, chance, never, start

#: cycles in which the tables are cleared after reset, with some to spare
CLEARED = 600
#: cycles without a transfer after which a test fails
STALL = 3000
INPUTS = {
    "rx__0": Flit,
    "rx__1": Flit,
    "windows": ports.WindowEntry,
    "forget": ports.Forget,
    "query": ports.Query,
    "ready_query": ports.ReadyQuery,
    "eager_query": ports.Eager,
}
OUTPUTS = {
    "write": ports.Write,
    "answer": ports.Answer,
    "ready_answer": ports.ReadyAnswer,
    "eager_answer": ports.EagerAnswer,
    "acknowledged": ports.Acknowledged,
    "reply": ports.Reply,
}
WINDOW = {"valid": 1, "rights": 7, "partition": 2, "key": 5, "size": 4096, "sources": (1 << MAX_RANKS) - 1}


def flits(fields: dict[str, int], payload: bytes) -> list[dict[str, int]]:
    """A packet as values of a stream of flits."""
    rows = encode(fields, payload)
    data = [int.from_bytes(row.tobytes(), "little") for row in rows]
    return [{"data": word, "head": int(k == 0), "last": int(k == len(rows) - 1)} for k, word in enumerate(data)]


class _Bit(_Stream):
    """A stream whose payload is one bit."""

    def bits(self) -> int:
        return int(self.payload.value)


class Bench:
    """Sources, sinks and monitors of all streams, and what must have happened.

    pauses : for each stream its pauses; none where it has none. sink : how outputs are taken.
    """

    def __init__(self, dut: Any, *, pauses: dict[str, Iterator[bool]] | None = None, **sink: Any) -> None:
        pauses = pauses or {}
        self.dut, self.mtu = dut, parameters()["mtu"]
        self.sources = {name: StreamSource(dut, name, shape=INPUTS[name], pause=pauses.get(name)) for name in INPUTS}
        self.sinks = {
            name: StreamSink(dut, name, shape=OUTPUTS[name], pause=pauses.get(name), **sink) for name in OUTPUTS
        }
        for name in ("answer", "eager_answer"):  # a payload of one bit is a `Logic`, which has no `to_unsigned`
            self.sinks[name]._stream = _Bit(dut, name, OUTPUTS[name])
        self.monitors = {name: StreamMonitor(dut, name, shape=shape) for name, shape in (INPUTS | OUTPUTS).items()}
        self.windows = [WINDOW | {"base": 8192 * index} for index in range(2)]
        self.memory: dict[int, int] = {}
        self.replies: list[dict[str, int]] = []
        self.events: dict[int, int] = {}
        self.acknowledged = 0
        self.refused: Counter[Reason] = Counter()

    async def open(self) -> None:
        """Open the windows and wait until the tables are cleared."""
        entries = [{"index": index, "window": window} for index, window in enumerate(self.windows)]
        self.sources["windows"].send(entries)
        await self.sources["windows"].drain(stall_cycles=STALL)
        await ClockCycles(self.dut.clk, CLEARED)

    def send(self, channel: Channel, fields: dict[str, int], payload: bytes) -> None:
        """Queue a packet, and expect what it does."""
        self.sources[f"rx__{int(channel)}"].send(flits(fields, payload))
        index, op = fields["window"], fields["op"]
        window = self.windows[index] if index < len(self.windows) else None
        reason = refusal(
            fields | {"length": len(payload)},
            window,
            self.mtu,
            channel=channel,
            communicators=parameters()["communicators"],
        )
        self.refused[reason] += reason != Reason.NONE
        if channel == Channel.REQUEST:
            names = ("partition", "window", "sequence", "command", "offset")
            answer = {name: fields.get(name, 0) for name in names}
            self.replies.append(answer | {"reason": int(reason), "destination": fields["source"]})
        if reason != Reason.NONE:
            return
        if op in (PacketOp.DONE, PacketOp.REFUSED):
            self.acknowledged += 1
        elif op != PacketOp.READY and window is not None:
            begin = place(fields, window)
            self.memory |= {begin + k: byte for k, byte in enumerate(payload)}
            if op in (PacketOp.WRITE_IMMEDIATE, PacketOp.RESULT):
                self.events[fields["event"]] = self.events.get(fields["event"], 0) | 1 << fields["slot"]

    def draw(self, channel: Channel) -> tuple[dict[str, int], bytes]:
        """A packet with `end` and `acknowledge`; one in five is wrong in something."""
        window = int(channel)
        ops = {
            Channel.REQUEST: [PacketOp.WRITE, PacketOp.WRITE_IMMEDIATE],
            Channel.RESPONSE: [PacketOp.RESULT, PacketOp.RESULT, PacketOp.READY, PacketOp.DONE, PacketOp.REFUSED],
        }
        op = random.choice(ops[channel])
        writes = op in (PacketOp.WRITE, PacketOp.WRITE_IMMEDIATE, PacketOp.RESULT)
        payload = random.randbytes(random.choice([0, 1, 31, 32, 33, 96, 97, self.mtu])) if writes else b""
        fields = {"op": int(op), "end": 1, "acknowledge": 1, "source": random.randrange(8), "partition": 2, "key": 5}
        fields |= {"window": window, "offset": 32 * random.randrange(90), "command": random.getrandbits(16)}
        fields |= {
            "slot": random.randrange(MAX_RANKS),
            "event": pack(EVENT, communicator=window, piece=random.randrange(3)),
        }
        if random.random() < 0.2:
            name = random.choice(("op", "window", "partition", "key", "epoch", "slot"))
            fields[name] = random.choice((8, 15)) if name == "op" else 255 if name == "window" else 77
        return fields, payload

    async def check(self) -> None:
        """Take all that must come, and compare it."""
        for channel in Channel:
            await self.sources[f"rx__{int(channel)}"].drain(stall_cycles=STALL)
        answers = await self.sinks["reply"].receive(len(self.replies), stall_cycles=STALL)
        assert [{name: int(each[name]) for name, _ in ports.Reply} for each in answers] == self.replies
        await self.sinks["acknowledged"].receive(self.acknowledged, stall_cycles=STALL)
        await ClockCycles(self.dut.clk, 100)
        written: dict[int, int] = {}
        for each in await self.sinks["write"].receive(len(self.sinks["write"])):
            data = int(each["data"]).to_bytes(64, "little")
            written |= {each["address"] + k: data[k] for k in range(64) if each["enable"] >> k & 1}
        assert written == self.memory
        assert not any(map(len, self.sinks.values()))
        for reason in Reason:
            assert int(getattr(self.dut, f"refused__{int(reason)}").value) == self.refused[reason]
        queries = [{"event": event, "sequence": 0, "mask": bits} for event, bits in self.events.items()]
        queries += [query | {"mask": query["mask"] | 1 << 70} for query in queries]
        self.sources["query"].send(queries)
        answers = await self.sinks["answer"].receive(len(queries), stall_cycles=STALL)
        assert [int(each["complete"]) for each in answers] == [
            int(self.events[query["event"]] & query["mask"] == query["mask"]) for query in queries
        ]

    async def run(self, count: int) -> None:
        """So many packets on each channel, from reset to the last comparison."""
        await start(self.dut)
        await self.open()
        for _ in range(count):
            for channel in Channel:
                self.send(channel, *self.draw(channel))
        await self.check()


PAUSES = {"never": never, "chance": lambda: chance(random.choice((0.2, 0.7))), "bursts": lambda: bursts(5, 20)}


@cocotb.test()
@cocotb.parametrize(pause=list(PAUSES), slow=["none", "write", "reply"])
async def random_packets(dut: Any, pause: str, slow: str) -> None:
    """Both channels at once, all streams paused alike but for one that hardly moves."""
    pauses = {name: bursts(2, 20) if name == slow else PAUSES[pause]() for name in (*INPUTS, *OUTPUTS)}
    await Bench(dut, pauses=pauses).run(40)


@cocotb.test()
@cocotb.parametrize(sink=[{"probe": 0.5}, {"patient": True}])
async def outputs_taken_oddly(dut: Any, sink: dict[str, Any]) -> None:
    """Ready is flipped between edges, or comes only after valid."""
    await Bench(dut, **sink).run(60)


@cocotb.test()
async def reset_in_the_middle(dut: Any) -> None:
    """Reset whatever goes on: windows are closed and events gone after it; opened again, all works."""
    bench = Bench(dut)
    await start(dut)
    for _ in range(4):
        await bench.open()
        for _ in range(6):
            for channel in Channel:
                bench.sources[f"rx__{int(channel)}"].send(flits(*bench.draw(channel)))
        for channel in Channel:
            await bench.sources[f"rx__{int(channel)}"].drain(stall_cycles=STALL)
        await ClockCycles(dut.clk, random.randrange(8))
        dut.rst.value = 1
        await ClockCycles(dut.clk, random.randint(1, 3))
        dut.rst.value = 0
        await RisingEdge(dut.clk)
        for sink in bench.sinks.values():
            await sink.receive(len(sink))
    packet, payload = bench.draw(Channel.REQUEST)
    packet |= {"op": int(PacketOp.WRITE), "window": 0, "partition": 2, "key": 5, "epoch": 0, "slot": 0}
    bench.sources["rx__0"].send(flits(packet, payload))
    [answer] = await bench.sinks["reply"].receive(1, stall_cycles=STALL)
    assert int(answer["reason"]) == Reason.WINDOW
    bench.refused[Reason.WINDOW] += 1
    await bench.open()
    for _ in range(20):
        for channel in Channel:
            bench.send(channel, *bench.draw(channel))
    await bench.check()

"""cocotb tests of the message sender at its streams, run by tests/hdl/message/test_protocols.py.

All streams are watched for their rules; what leaves is compared with packets cut by the golden model. The memory is a
function of the address that answers in order after any number of cycles.
"""

import random
from collections import deque
from collections.abc import Iterator
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, RisingEdge

from golden.packets import cut, decode, encode
from hdl.link.flit import Flit
from hdl.message import ports
from mtia.message import HEADER, PacketOp

from ..runner import parameters
from ..streams import StreamMonitor, StreamSink, StreamSource, bursts, chance, never, start

#: cycles without a transfer after which a test fails
STALL = 3000
INPUTS = {"send": ports.SendJob, "reply": ports.Reply, "read_data": ports.ReadData}
OUTPUTS = {"sent": ports.Sent, "read": ports.ReadRequest, "tx__0": Flit, "tx__1": Flit}


def contents(address: int, length: int) -> bytes:
    """Bytes of the memory."""
    words = range(address // 32, -(-(address + length) // 32))
    return b"".join(random.Random(word).randbytes(32) for word in words)[address % 32 :][:length]


class Bench:
    """Sources, sinks and monitors of all streams, and a memory behind `read`.

    pauses : for each stream its pauses; none where it has none. sink : how outputs are taken.
    """

    def __init__(self, dut: Any, *, pauses: dict[str, Iterator[bool]] | None = None, **sink: Any) -> None:
        pauses = pauses or {}
        self.dut, self.mtu = dut, parameters()["mtu"]
        self.sources = {name: StreamSource(dut, name, shape=INPUTS[name], pause=pauses.get(name)) for name in INPUTS}
        self.sinks = {
            name: StreamSink(dut, name, shape=OUTPUTS[name], pause=pauses.get(name), **sink) for name in OUTPUTS
        }
        self.monitors = {name: StreamMonitor(dut, name, shape=shape) for name, shape in (INPUTS | OUTPUTS).items()}
        self.requests: list[Any] = []
        self.threads: deque[int] = deque()
        self.readies: list[dict[str, int]] = []
        self.replies: list[dict[str, int]] = []
        cocotb.start_soon(self._memory())

    async def _memory(self) -> None:
        while True:
            await RisingEdge(self.dut.clk)
            for each in await self.sinks["read"].receive(len(self.sinks["read"])):
                data = int.from_bytes(contents(each["address"], 64), "little")
                self.sources["read_data"].send([{"data": data}])

    def draw(self, thread: int) -> None:
        """Queue a random job, and expect its packets; a reply now and then."""
        header = {name: random.getrandbits(width) for name, width in HEADER}
        op = random.choice((PacketOp.WRITE, PacketOp.WRITE_IMMEDIATE, PacketOp.SEND, PacketOp.REDUCE, PacketOp.READY))
        header |= {"op": int(op), "offset": 32 * random.getrandbits(40)}
        source = 32 * random.getrandbits(40)
        length = random.choice((0, 1, 31, 32, 33, 96, 97, self.mtu, self.mtu + 1, 2 * self.mtu + random.randrange(99)))
        self.sources["send"].send([{"thread": thread, "header": header, "source": source, "length": length}])
        if op == PacketOp.READY:
            self.readies.append({**header, "end": 1, "length": 0})
        else:
            fields = {name: value for name, value in header.items() if name != "length"}
            self.requests += cut(fields, contents(source, length), self.mtu)
        self.threads.append(thread)
        if random.random() < 0.3:
            reply = {name: random.getrandbits(shape.width) for name, shape in ports.Reply}
            self.sources["reply"].send([reply])
            reason = reply.pop("reason")
            op = PacketOp.REFUSED if reason else PacketOp.DONE
            self.replies.append(decode(encode(reply | {"op": op, "end": 1, "immediate": reason}, b""))[0])

    async def check(self) -> None:
        """Take all that must come, and compare it."""
        count = sum(map(len, self.requests))
        flits = await self.sinks["tx__0"].receive(count, stall_cycles=STALL)
        for packet in self.requests:
            for k, row in enumerate(packet):
                flit, flits = flits[0], flits[1:]
                assert int(flit["data"]) == int.from_bytes(row.tobytes(), "little")
                assert (int(flit["head"]), int(flit["last"])) == (int(k == 0), int(k == len(packet) - 1))
        answers = []
        for flit in await self.sinks["tx__1"].receive(len(self.readies) + len(self.replies), stall_cycles=STALL):
            assert (int(flit["head"]), int(flit["last"])) == (1, 1)
            data = np.frombuffer(int(flit["data"]).to_bytes(64, "little"), np.uint8)[None]
            answers.append(decode(data)[0])
        assert [each for each in answers if each["op"] == PacketOp.READY] == self.readies
        assert [each for each in answers if each["op"] != PacketOp.READY] == self.replies
        sent = await self.sinks["sent"].receive(len(self.threads), stall_cycles=STALL)
        assert sorted(int(each["thread"]) for each in sent) == sorted(self.threads)
        await ClockCycles(self.dut.clk, 50)
        assert not any(map(len, self.sinks.values()))
        for name in ("requests", "threads", "readies", "replies"):
            getattr(self, name).clear()

    async def run(self, count: int) -> None:
        """So many jobs, from reset to the last comparison."""
        await start(self.dut)
        for thread in range(count):
            self.draw(thread % 32)
        await self.check()


PAUSES = {"never": never, "chance": lambda: chance(random.choice((0.2, 0.7))), "bursts": lambda: bursts(5, 20)}


@cocotb.test()
@cocotb.parametrize(pause=list(PAUSES), slow=["none", "read", "read_data", "tx__0", "tx__1", "sent"])
async def random_jobs(dut: Any, pause: str, slow: str) -> None:
    """All kinds of jobs and replies, all streams paused alike but for one that hardly moves."""
    pauses = {name: bursts(2, 20) if name == slow else PAUSES[pause]() for name in (*INPUTS, *OUTPUTS)}
    await Bench(dut, pauses=pauses).run(30)


@cocotb.test()
@cocotb.parametrize(sink=[{"probe": 0.5}, {"patient": True}])
async def outputs_taken_oddly(dut: Any, sink: dict[str, Any]) -> None:
    """Ready is flipped between edges, or comes only after valid."""
    await Bench(dut, **sink).run(40)


@cocotb.test()
async def data_is_always_taken(dut: Any) -> None:
    """Nothing leaves: what was read is taken all the same, and no more is asked for than there is room."""
    bench = Bench(dut, pauses={"tx__0": iter(lambda: True, False)})
    await start(dut)
    bench.sources["send"].send([{"thread": 1, "header": {"op": int(PacketOp.WRITE)}, "length": 64 * 200}])
    await ClockCycles(dut.clk, 400)
    # one flit is put together already, and one job's worth of room follows it
    asked = bench.monitors["read"].transfers
    assert parameters()["reads"] <= asked <= parameters()["reads"] + 1
    assert bench.monitors["read_data"].transfers == asked
    assert bench.monitors["read_data"].pauses == 0


@cocotb.test()
async def reset_in_the_middle(dut: Any) -> None:
    """Reset whatever goes on: nothing of before leaves after it, and all works again."""
    bench = Bench(dut)
    await start(dut)
    for _ in range(5):
        for thread in range(4):
            bench.draw(thread)
        await bench.sources["send"].drain(stall_cycles=STALL)
        await bench.sources["reply"].drain(stall_cycles=STALL)
        await ClockCycles(dut.clk, random.randrange(20))
        dut.rst.value = 1
        await ClockCycles(dut.clk, 40)  # the memory gives what was asked for
        dut.rst.value = 0
        await RisingEdge(dut.clk)
        for name in ("sent", "tx__0", "tx__1"):
            await bench.sinks[name].receive(len(bench.sinks[name]))
        for name in ("requests", "threads", "readies", "replies"):
            getattr(bench, name).clear()
        for thread in range(5, 9):
            bench.draw(thread)
        await bench.check()

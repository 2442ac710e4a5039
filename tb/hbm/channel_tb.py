"""cocotb tests of the HBM channel at its streams, run by tests/hdl/hbm/test_channel_protocol.py.

Every test watches the four streams for their rules and compares every answer with the golden memory. The device is
a stand-in of a page: it keeps open rows and data and returns reads in time, but checks no timing.
The parameter of a run is `timing`, a file of a timing set.
"""

import itertools
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, RisingEdge

from golden import ecc
from golden.hbm_memory import Memory, Op, Request, Response, Status, atom_number, default_words
from hdl.hbm.commands import ColumnOp, Geometry, RefreshMode
from hdl.hbm.port import MemoryPort
from mtia import hbm
from mtia.hbm import TimingSet
from mtia.hbm_map import AddressMap
from mtia.near_memory import ReduceFormat, ReduceKind

from ..payload import decode
from ..runner import parameters
from ..streams import StreamMonitor, StreamSink, StreamSource, bursts, chance, never, start

PAUSES: dict[str, Callable[[], Iterator[bool]]] = {
    "never": never,
    "chance": lambda: chance(random.choice((0.2, 0.7))),
    "bursts": lambda: bursts(random.choice((3, 12)), random.choice((5, 40))),
}
#: cycles without a transfer after which a test fails
STALL = 6000
Bank = tuple[int, ...]


class Device:
    """Open rows and atoms of a channel; an RD's data comes after the fixed latency, junk otherwise."""

    def __init__(self, dut: Any, timing: TimingSet):
        self.dut, self.organization = dut, timing.organization
        self.geometry = Geometry.of(timing.organization)
        self.latency = -(-(timing["CL"] + timing["BL"]) // 2)
        self.rows: dict[Bank, int] = {}
        self.atoms: dict[Bank, tuple[int, int]] = {}
        self.flying: list[deque[tuple[int, tuple[int, int]]]] = [deque(), deque()]
        self.cycle = self.reads = self.writes = 0
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        for pc in range(2):
            getattr(self.dut, f"read_valid_{pc}").value = 0
        while True:
            await RisingEdge(self.dut.clk)
            if self.dut.rst.value:
                self.flying = [deque(), deque()]
                for pc in range(2):
                    getattr(self.dut, f"read_valid_{pc}").value = 0
                continue
            act = decode(self.geometry.activate(), self.dut.activate.value.to_unsigned())
            if act.valid:
                self.rows[act.pc, act.sid, act.bank_group, act.bank] = act.row
            for pc in range(2):
                self._column(pc)
                self._give(pc)
            self.cycle += 1

    def _column(self, pc: int) -> None:
        """The column command of this cycle."""
        command = decode(self.geometry.column(), getattr(self.dut, f"column_{pc}").value.to_unsigned())
        if command.op == ColumnOp.NOP:
            return
        bank = (pc, command.sid, command.bank_group, command.bank)
        place = (*bank, self.rows[bank], command.column)
        if command.op == ColumnOp.WR:
            words = (getattr(self.dut, f"write_{name}_{pc}").value.to_unsigned() for name in ("data", "check"))
            self.atoms[place] = (next(words), next(words))
            self.writes += 1
        else:
            self.flying[pc].append((self.cycle + self.latency, self.atoms.get(place) or self._fresh(place)))
            self.reads += 1

    def _give(self, pc: int) -> None:
        """What is there in the next cycle."""
        due = bool(self.flying[pc]) and self.flying[pc][0][0] == self.cycle + 1
        word = self.flying[pc].popleft()[1] if due else (random.getrandbits(256), random.getrandbits(10))
        getattr(self.dut, f"read_valid_{pc}").value = int(due)
        getattr(self.dut, f"read_data_{pc}").value = word[0]
        getattr(self.dut, f"read_check_{pc}").value = word[1]

    def _fresh(self, place: Bank) -> tuple[int, int]:
        """Data and check bits of an atom that was never written."""
        names = ("pc", "sid", "bank_group", "bank", "row", "column")
        fields = {name: np.array([value]) for name, value in zip(names, place, strict=True)}
        data = default_words(atom_number(fields, self.organization)).astype("<u4").view(np.uint8)
        return int.from_bytes(data.tobytes(), "little"), int(ecc.encode(data)[0])


class Bench:
    """Sources, sinks, monitors, device and golden memory around a channel.

    pauses: for each stream its pauses; "never" where it has none
    sink:   how responses are taken (`tb.streams.StreamSink`)
    """

    def __init__(self, dut: Any, *, pauses: dict[str, Iterator[bool]] | None = None, **sink: Any):
        timing = hbm.load(parameters()["timing"])
        geometry, pauses = Geometry.of(timing.organization), pauses or {}
        port = MemoryPort.of(geometry, tag_bits=8)
        self.dut, self.timing, self.device = dut, timing, Device(dut, timing)
        self.map = AddressMap.of(timing.organization, level="pseudo_channel")
        self.memories = [Memory(self.map, pc=pc) for pc in range(2)]
        self.sources: list[StreamSource] = []
        self.sinks: list[StreamSink] = []
        self.monitors: dict[str, StreamMonitor] = {}
        for pc in range(2):
            names = f"request_{pc}", f"response_{pc}"
            shapes = port.request(), port.response()
            self.sources.append(StreamSource(dut, names[0], shape=shapes[0], pause=pauses.get(names[0])))
            self.sinks.append(StreamSink(dut, names[1], shape=shapes[1], pause=pauses.get(names[1]), **sink))
            self.monitors |= {
                name: StreamMonitor(dut, name, shape=shape) for name, shape in zip(names, shapes, strict=True)
            }
        dut.refresh_mode.value = RefreshMode.PER_BANK.value
        for name in ("register_address", "registers_clear"):
            getattr(dut, name).value = 0
        self.expected: list[dict[int, Response]] = [{}, {}]

    def draw(self, count: int, *, atoms: int = 12, reads: float = 0.5) -> list[Request]:
        """Random requests, most of them to a few atoms, tags 0 and up; a few are past the memory's end."""
        chosen = [random.randrange(self.map.atoms) for _ in range(atoms)]
        requests = []
        for tag in range(count):
            op = Op.RD if random.random() < reads else random.choice((Op.WR, Op.RED))
            address = random.choice(chosen) if random.random() < 0.97 else (1 << self.map.address_bits) - 1
            mask = random.choice((0xFFFFFFFF, 0xFFFFFFFF, random.getrandbits(32)))
            kind, format = random.choice(list(ReduceKind)), random.choice(list(ReduceFormat))
            requests.append(Request(op, address, tag, random.randbytes(32), mask, kind, format))
        return requests

    def send(self, pc: int, requests: Sequence[Request]) -> None:
        """Queue requests, and expect their answers."""
        fields = ("op", "address", "tag", "mask", "kind", "format")
        self.sources[pc].send(
            {name: int(getattr(each, name)) for name in fields} | {"data": int.from_bytes(each.data, "little")}
            for each in requests
        )
        self.expected[pc] |= {each.tag: each for each in self.memories[pc].replay(requests)}

    async def check(self) -> None:
        """Take all answers that are due, in whatever order, and compare them; nothing else may come."""
        for pc, expected in enumerate(self.expected):
            for _ in range(len(expected)):
                (answer,) = await self.sinks[pc].receive(1, stall_cycles=STALL)
                wanted = expected.pop(answer["tag"])
                assert answer["status"].value == wanted.status, (answer["tag"], answer["status"])
                if wanted.data is not None:
                    assert answer["data"] == int.from_bytes(wanted.data, "little"), f"data of tag {answer['tag']}"
        await ClockCycles(self.dut.clk, 40)
        assert [len(sink) for sink in self.sinks] == [0, 0]

    async def run(self, requests: Sequence[Sequence[Request]]) -> None:
        """From reset, requests of both ports with their answers."""
        await start(self.dut)
        for pc, each in enumerate(requests):
            self.send(pc, each)
        await self.check()


@cocotb.test()
@cocotb.parametrize(pause=list(PAUSES), behind=["none", "requests", "responses"])
async def random_requests(dut: Any, pause: str, behind: str) -> None:
    """All kinds of requests to few atoms, the streams paused alike but for those that hardly move."""
    slow = {"none": (), "requests": ("request",), "responses": ("response",)}[behind]
    names = [f"{stream}_{pc}" for stream in ("request", "response") for pc in range(2)]
    pauses = {name: bursts(2, 20) if name.startswith(tuple(slow)) and slow else PAUSES[pause]() for name in names}
    bench = Bench(dut, pauses=pauses)
    await bench.run([bench.draw(60), bench.draw(60, atoms=3)])


@cocotb.test()
@cocotb.parametrize(sink=[{"probe": 0.5}, {"patient": True}])
async def responses_taken_oddly(dut: Any, sink: dict[str, Any]) -> None:
    """Ready of the responses is flipped between edges, or comes only after valid."""
    bench = Bench(dut, **sink)
    await bench.run([bench.draw(120), bench.draw(120)])


@cocotb.test()
async def responses_not_taken(dut: Any) -> None:
    """No response is taken for long: the channel fills up and stops, then gives everything."""
    bench = Bench(dut, pauses={f"response_{pc}": itertools.repeat(True) for pc in range(2)})
    await start(dut)
    for pc in range(2):
        bench.send(pc, bench.draw(120, atoms=50, reads=0.8))
    await ClockCycles(dut.clk, 1500)
    for pc in range(2):
        assert bench.monitors[f"request_{pc}"].transfers < 120
        assert bench.monitors[f"response_{pc}"].transfers == 0
    reads = bench.device.reads
    await ClockCycles(dut.clk, 100)
    assert bench.device.reads == reads
    for sink in bench.sinks:
        sink.pause = never()
    await bench.check()
    assert bench.device.writes > 0


@cocotb.test()
async def reads_one_a_cycle(dut: Any) -> None:
    """A row's atoms, again and again: no cycle is lost once the row is open."""
    bench = Bench(dut)
    row = [Request(Op.RD, address, tag) for tag, address in enumerate(list(range(4)) * 30)]
    await start(dut)
    bench.send(0, row)
    await bench.sinks[0].receive(0)
    while bench.monitors["response_0"].transfers < 20:
        await RisingEdge(dut.clk)
    before = bench.device.cycle
    while bench.monitors["response_0"].transfers < 100:
        await RisingEdge(dut.clk)
    assert bench.device.cycle - before <= 2 * 80
    await bench.check()


@cocotb.test()
async def reset_in_the_middle(dut: Any) -> None:
    """Reset whatever goes on: nothing of before is answered after it, and all works again."""
    bench = Bench(dut)
    await start(dut)
    for _ in range(6):
        for pc in range(2):
            bench.sources[pc].send([])
            bench.send(pc, [Request(Op.RD, random.randrange(bench.map.atoms), tag) for tag in range(10)])
        for source in bench.sources:
            await source.drain(stall_cycles=STALL)
        await ClockCycles(dut.clk, random.randrange(60))
        dut.rst.value = 1
        await ClockCycles(dut.clk, random.randint(1, 3))
        dut.rst.value = 0
        await RisingEdge(dut.clk)  # a response may have been taken at the very edge that reset
        for pc, sink in enumerate(bench.sinks):
            await sink.receive(len(sink))
            bench.expected[pc].clear()
        for pc in range(2):
            bench.send(pc, [Request(Op.RD, random.randrange(bench.map.atoms), tag) for tag in range(100, 105)])
        await bench.check()


@cocotb.test()
async def poison_and_wrong_bits(dut: Any) -> None:
    """Bits that the device turns are corrected or reported; a changed word that was lost is poison."""
    bench = Bench(dut)
    writes = [Request(Op.WR, address, address, random.randbytes(32)) for address in range(4)]
    await bench.run([writes, []])
    while bench.device.writes < len(writes):
        await RisingEdge(dut.clk)
    for flips, (place, (data, check)) in enumerate(list(bench.device.atoms.items())[:3]):
        bench.device.atoms[place] = data ^ ((1 << flips) - 1) << 7, check
    bench.sources[0].send({"op": 0, "address": each.address, "tag": each.address} for each in writes)
    found = {}
    for answer in await bench.sinks[0].receive(4, stall_cycles=STALL):
        found[answer["tag"]] = answer["status"].value, answer["data"]
    statuses = sorted(status for status, _ in found.values())
    assert statuses == [Status.OK, Status.OK, Status.CORRECTED, Status.UNCORRECTABLE]
    for each in writes:
        status, data = found[each.tag]
        assert status == Status.UNCORRECTABLE or data == int.from_bytes(each.data, "little")
    lost = next(tag for tag, (status, _) in found.items() if status == Status.UNCORRECTABLE)
    bench.sources[0].send([{"op": 2, "address": lost, "tag": 9, "kind": 1}, {"op": 0, "address": lost, "tag": 10}])
    answers = {answer["tag"]: answer["status"].value for answer in await bench.sinks[0].receive(2, stall_cycles=STALL)}
    assert answers == {9: Status.OK, 10: Status.POISON}

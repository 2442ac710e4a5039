"""A sum into memory done by the memory itself, and by clients that read, add and write back."""

from collections.abc import Sequence

import numpy as np
from amaranth.lib import data
from numpy.typing import NDArray

from golden import near_memory
from golden.hbm_map import decode
from golden.hbm_memory import Memory, Op
from mtia.hbm import TimingSet
from mtia.hbm_map import AddressMap
from mtia.near_memory import ReduceFormat, ReduceKind
from tb.beats import pack
from tb.hbm.runner import HbmRun, Requests

_SUM = {"kind": ReduceKind.SUM.value, "format": ReduceFormat.FP32.value}
_FIELDS = ("sid", "bank_group", "bank", "row", "column")
#: turns of a client that may be under way at once: enough that the port never waits for the client
_TURNS = 3

#: cycles after which the last write of an idle channel has reached the memory
_SETTLE = 16

Atoms = NDArray[np.int64]
Words = NDArray[np.uint32]
#: requests of a kind: operation, addresses, data of writes
Beats = tuple[Op, Atoms, Words | None]


class SumRun:
    """Sums of FP32 into the first atoms of pseudo-channel 0, on one simulated channel.

    All ways begin after a reset with the same contents, and must leave the golden memory's. Rates are atoms a cycle,
    from the first request until the last write is in the memory.

    The clients add in no time, and are as strong as a client can be: they work through `batch` atoms at a time, so
    that the channel changes between reads and writes as seldom as they like, and give the requests of a batch while
    the answers to the one before are on their way, so that the port never waits for them.
    """

    def __init__(self, run: HbmRun, timing: TimingSet, atoms: int, *, seed: int = 1) -> None:
        self._run, self._atoms = run, atoms
        self._request = data.Layout.cast(run.lane.layout("request_0"))
        if 4 * atoms > 1 << self._request["tag"].width:
            raise ValueError(f"Atoms must be a quarter of the port's tags at most, not {atoms!r}")
        layout = AddressMap.of(timing.organization, level="pseudo_channel")
        rng = np.random.default_rng(seed)
        self._operands = rng.standard_normal((atoms, 8), np.float32)
        addresses = np.arange(atoms)
        #: where contributions land, for a client that finds them in the memory
        self._inbox = layout.atoms // 2
        place = decode(addresses, layout)
        self._keys = run.device.key(**{name: place[name] for name in _FIELDS})
        self._start = rng.standard_normal((atoms, 8), np.float32).view(np.uint32)
        memory = Memory(layout)
        memory.write(addresses, self._start.view(np.uint8))
        memory.reduce(addresses, ReduceKind.SUM, ReduceFormat.FP32, self._operands.view(np.uint8))
        self._expected = memory.read(addresses).view("<u4")

    def near_memory(self) -> float:
        """Rate of requests that the memory serves itself: a read and a write an atom."""
        self._begin()
        sums = Requests(op=Op.RED.value, address=np.arange(self._atoms), data=self._operands.view(np.uint32), **_SUM)
        result = self._run.run([sums, None])
        return self._end(result.cycles)

    def receiver(self, batch: int) -> float:
        """Rate of a client to whom contributions come from elsewhere: each is written to the memory as it arrives,
        read together with its destination, and the sum is written: two reads and two writes an atom.
        """
        return self._work(batch, arrives=True)

    def holder(self, batch: int) -> float:
        """Rate of a client that has all contributions at hand: a read and a write an atom."""
        return self._work(batch, arrives=False)

    def _work(self, batch: int, *, arrives: bool) -> float:
        """A client's way: turn by turn it writes the sums of an earlier batch, and reads the next one."""
        self._begin()
        self._data = np.zeros((4 * self._atoms, 8), np.uint32)
        self._answered = np.zeros(4 * self._atoms, np.bool_)
        self._sent = 0
        turns: list[tuple[Atoms, Atoms]] = []  # whose reads are not used yet: atoms, requests that read them
        sums: list[Beats] = []
        for at in range(0, self._atoms, batch):
            atoms = np.arange(at, min(at + batch, self._atoms))
            writes = [*sums, (Op.WR, self._inbox + atoms, self._operands[atoms].view(np.uint32))] if arrives else sums
            self._push(writes)
            reads = self._push([(Op.RD, self._inbox + atoms, None)] * arrives + [(Op.RD, atoms, None)])
            turns.append((atoms, reads))
            sums = [self._add(*turns.pop(0), arrives=arrives)] if len(turns) == _TURNS else []
        self._push(sums)
        for turn in turns:
            self._push([self._add(*turn, arrives=arrives)])
        self._wait(np.arange(self._sent))
        while not self._run.lane.get("idle"):
            self._run.lane.run(cycles=8)
        return self._end(self._run.lane.cycles)

    def _push(self, parts: Sequence[Beats]) -> Atoms:
        """Queue requests at the port; returns their numbers, which are their tags."""
        first = self._sent
        for op, address, words in parts:
            number = self._sent + np.arange(len(address))
            fields = {"op": np.full(len(address), op.value), "address": address, "tag": number}
            fields["mask"] = np.full(len(address), 0xFFFFFFFF)
            fields["data"] = np.zeros((len(address), 8), np.uint32) if words is None else words
            self._run.lane.push("request_0", pack(self._request, fields))
            self._sent += len(address)
        return np.arange(first, self._sent)

    def _wait(self, numbers: Atoms) -> None:
        """Let time pass until these requests are answered."""
        while left := int((~self._answered[numbers]).sum()):
            self._run.lane.run({"response_0": left}, stall_cycles=20_000)
            found = self._run.lane.pull_fields("response_0")
            self._data[found["tag"]] = found["data"]
            self._answered[found["tag"]] = True

    def _add(self, atoms: Atoms, reads: Atoms, *, arrives: bool) -> Beats:
        """Wait for what a turn read, and add; returns the writes of the sums."""
        self._wait(reads)
        found = self._data[reads]
        operands = found[: len(atoms)] if arrives else self._operands[atoms].view(np.uint32)
        stored = np.ascontiguousarray(found[-len(atoms) :], "<u4").view(np.uint8)
        added = np.ascontiguousarray(operands, "<u4").view(np.uint8)
        sums = near_memory.apply(ReduceKind.SUM, ReduceFormat.FP32, stored, added)
        return Op.WR, atoms, sums.view("<u4")

    def _begin(self) -> None:
        self._run.reset()
        self._run.device.write(self._keys, self._start)

    def _end(self, cycles: int) -> float:
        self._run.lane.run(cycles=_SETTLE)
        stored, _ = self._run.device.read(self._keys)
        if not np.array_equal(stored, self._expected):
            raise RuntimeError("Sums in the memory must be those of the golden memory")
        return self._atoms / cycles

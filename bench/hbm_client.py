"""A sum into memory done by the memory itself, and by a client that reads, adds and writes back."""

from typing import Any

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
_FULL = 0xFFFFFFFF
_FIELDS = ("sid", "bank_group", "bank", "row", "column")

#: cycles after which the last write of an idle channel has reached the memory
_SETTLE = 16


class SumRun:
    """Sums of FP32 into the first atoms of pseudo-channel 0, on one simulated channel.

    Both ways begin after a reset with the same contents, and must leave the golden memory's.
    """

    def __init__(self, run: HbmRun, timing: TimingSet, atoms: int, *, seed: int = 1) -> None:
        self._run, self._atoms = run, atoms
        layout = AddressMap.of(timing.organization, level="pseudo_channel")
        rng = np.random.default_rng(seed)
        self._operands = rng.standard_normal((atoms, 8), np.float32)
        addresses = np.arange(atoms)
        place = decode(addresses, layout)
        self._keys = run.device.key(**{name: place[name] for name in _FIELDS})
        self._start = rng.standard_normal((atoms, 8), np.float32).view(np.uint32)
        memory = Memory(layout)
        memory.write(addresses, self._start.view(np.uint8))
        memory.reduce(addresses, ReduceKind.SUM, ReduceFormat.FP32, self._operands.view(np.uint8))
        self._expected = memory.read(addresses).view("<u4")

    def near_memory(self) -> float:
        """Atoms a cycle of requests that the memory serves itself."""
        self._begin()
        sums = Requests(op=Op.RED.value, address=np.arange(self._atoms), data=self._operands.view(np.uint32), **_SUM)
        result = self._run.run([sums, None])
        return self._end(result.cycles)

    def client(self, window: int) -> float:
        """Atoms a cycle of a client with at most so many atoms between a read's issue and the answer to its write."""
        self._begin()
        lane = self._run.lane
        layout = data.Layout.cast(lane.layout("request_0"))
        sent = done = 0
        going: dict[int, int] = {}  # slot -> atom
        free = list(range(window))
        tags: list[int] = []
        atoms: list[int] = []
        words: list[NDArray[Any]] = []
        while done < self._atoms:
            while free and sent < self._atoms:
                slot = free.pop()
                going[slot] = sent
                tags.append(2 * slot)
                atoms.append(sent)
                words.append(self._start[0])
                sent += 1
            if tags:
                lane.push("request_0", pack(layout, _beats(tags, atoms, words)))
            lane.run({"response_0": 1}, stall_cycles=20_000)
            answers = lane.pull_fields("response_0")
            tags, atoms, words = [], [], []
            for tag, stored in zip(answers["tag"].tolist(), answers["data"], strict=True):
                slot = tag // 2
                if tag % 2:
                    del going[slot]
                    free.append(slot)
                    done += 1
                else:
                    atom = going[slot]
                    tags.append(tag + 1)
                    atoms.append(atom)
                    words.append(_add(stored, self._operands[atom]))
        while not lane.get("idle"):
            lane.run(cycles=8)
        return self._end(lane.cycles)

    def _begin(self) -> None:
        self._run.reset()
        self._run.device.write(self._keys, self._start)

    def _end(self, cycles: int) -> float:
        self._run.lane.run(cycles=_SETTLE)
        stored, _ = self._run.device.read(self._keys)
        if not np.array_equal(stored, self._expected):
            raise RuntimeError("Sums in the memory must be those of the golden memory")
        return self._atoms / cycles


def _add(stored: NDArray[Any], operand: NDArray[np.float32]) -> NDArray[Any]:
    """An atom of FP32 numbers and another added to it."""
    atom = np.asarray(stored, "<u4").reshape(1, 8)
    sums = near_memory.apply(
        ReduceKind.SUM, ReduceFormat.FP32, atom.view(np.uint8), operand.reshape(1, 8).view(np.uint8)
    )
    found: NDArray[Any] = sums.view("<u4")[0]
    return found


def _beats(tags: list[int], atoms: list[int], words: list[NDArray[Any]]) -> dict[str, Any]:
    """Fields of requests: a read for an even tag, a write for an odd one; writes go first."""
    order = sorted(range(len(tags)), key=lambda index: tags[index] % 2 == 0)
    tag = np.array(tags)[order]
    return {
        "op": np.where(tag % 2, Op.WR.value, Op.RD.value),
        "kind": np.zeros(len(tag), np.int64),
        "format": np.zeros(len(tag), np.int64),
        "address": np.array(atoms)[order],
        "tag": tag,
        "mask": np.full(len(tag), _FULL),
        "data": np.array(words, np.uint32)[order],
    }

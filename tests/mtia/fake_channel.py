"""Stands in for the simulated HBM channel where a test is about the command and not about the RTL."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from golden.hbm_map import decode, encode
from golden.hbm_memory import Memory, Op, Request, Status
from mtia.hbm import TimingSet
from mtia.hbm_map import AddressMap
from mtia.near_memory import ReduceFormat, ReduceKind
from tb.hbm.runner import HbmResult, PortResult, Requests
from tb.models.hbm import HbmViolation, pack_key, unpack_key

HEADER = "ck,channel,pc,command,sid,bank_group,bank,row,column\n"

#: cycles from acceptance to answer
DELAY = 20


class FakeDevice:
    """Contents by key, as the device model has them."""

    def __init__(self, timing: TimingSet, owner: "FakeChannel") -> None:
        self.timing, self.owner = timing, owner

    def key(self, **fields: Any) -> Any:
        return pack_key(**fields)

    def trace(self, path: pathlib.Path | None) -> None:
        if path is not None:
            path.write_text(HEADER + "".join(f"{line}\n" for line in FakeChannel.commands))

    def violations(self) -> list[HbmViolation]:
        return FakeChannel.violations

    def read(self, keys: Any) -> tuple[Any, Any]:
        places = unpack_key(keys)
        words = np.zeros((len(places["pc"]), 8), np.uint32)
        for pc in range(2):
            chosen = places["pc"] == pc
            address = encode({name: value[chosen] for name, value in places.items()}, self.owner.map)
            words[chosen] = np.ascontiguousarray(self.owner.memories[pc].read(address)).view("<u4")
        return words ^ np.uint32(FakeChannel.rots), np.zeros(len(words), np.uint16)

    def written(self) -> Any:
        return np.sort(np.array([*self.owner.changed, *FakeChannel.strays], np.uint64))


class FakeLane:
    """What the commands use of a lane beside a run."""

    cycles = 77

    def __init__(self, design: Any) -> None:
        self.design = design

    def run(self, *, cycles: int) -> int:
        return cycles

    def trace(self, path: pathlib.Path | None) -> None:
        if path is not None:
            path.write_bytes(b"waves")


class FakeChannel:
    """Answers from golden memories of the pseudo-channels, a request a cycle and port; spoils what a test asks.

    flips: (pc, index of the request there) -> bits to flip in the answer; rots: bits of all that is stored;
    strays: keys written that nobody asked for; commands: lines of the trace; violations: of the device;
    runs: so far
    """

    flips: dict[tuple[int, int], int] = {}
    rots = 0
    strays: tuple[int, ...] = ()
    commands: tuple[str, ...] = ()
    violations: list[HbmViolation] = []
    runs = 0
    built: list[tuple[str, bool]] = []

    def __init__(self, controller: Any, *, timing: TimingSet, refresh: str, strict: bool, trace: bool) -> None:
        assert not strict
        self.built.append((refresh, trace))
        self.map = AddressMap.of(timing.organization, level="pseudo_channel")
        self.memories = [Memory(self.map, pc=pc) for pc in range(2)]
        self.changed: set[int] = set()
        self.device = FakeDevice(timing, self)
        self.lane = FakeLane(controller)

    def reset(self) -> None:
        pass

    def run(self, requests: Sequence[Requests | None]) -> HbmResult:
        type(self).runs += 1
        ports = tuple(self._serve(pc, each) for pc, each in enumerate(requests))
        cycles = max(int(port.answered.max(initial=0)) for port in ports) + 1
        return HbmResult(ports=ports, cycles=cycles, commands=({}, {}), timing=self.device.timing)

    def _serve(self, pc: int, requests: Requests | None) -> PortResult:
        none = {name: np.zeros(0, np.int64) for name in ("op", "address", "data", "cycle")}
        fields = none if requests is None else requests.fields
        count = len(fields["op"])
        issued = np.array(fields["cycle"], np.int64)
        accepted, last = np.zeros(count, np.int64), -1
        for index in range(count):
            last = accepted[index] = max(last + 1, int(issued[index]))
        told = self.memories[pc].replay(
            [
                Request(
                    Op(int(op)),
                    int(address),
                    data=np.asarray(words, "<u4").tobytes(),
                    kind=ReduceKind.SUM,
                    format=ReduceFormat.FP32,
                )
                for op, address, words in zip(fields["op"], fields["address"], fields["data"], strict=True)
            ]
        )
        data = np.frombuffer(b"".join(each.data or bytes(32) for each in told), "<u4").reshape(-1, 8).copy()
        for (port, index), flip in FakeChannel.flips.items():
            if port == pc and index < count:
                data[index, 0] ^= np.uint32(flip)
        if count:
            written = np.asarray(fields["address"])[np.asarray(fields["op"]) != Op.RD]
            self.changed |= set(pack_key(**decode(written, self.map), pc=np.full(len(written), pc)).tolist())
        status = np.array([Status.OK] * count, np.uint8)
        return PortResult(issued=issued, accepted=accepted, answered=accepted + DELAY, status=status, data=data)

"""The channel and the device behind it, with a plain memory that says what every request must get."""

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import hbm as checker
from golden.hbm_map import decode, encode
from golden.hbm_memory import Memory, Op, Request, Status
from golden.hbm_report import Report
from hdl.hbm.channel import Channel
from hdl.hbm.pseudo_channel import PoolSizes
from mtia import hbm
from mtia.hbm import TimingSet
from mtia.hbm_map import AddressMap
from mtia.near_memory import ReduceFormat, ReduceKind
from tb.hbm.runner import HbmResult, HbmRun, Requests
from tb.ports import Design, design_of

HBM3 = hbm.get("HBM3-6.4")
#: Few banks and rows, neither SIDs nor rows a power of two: some addresses have no place. RC is longer than RAS and RP,
#: so that it decides; refresh management is due after a few activations.
TINY = replace(
    HBM3.with_parameters(RC=80),
    name="tiny",
    organization=replace(HBM3.organization, sids=3, bank_groups=2, banks_per_group=2, rows=24, source="user"),
    raaimt=8,
    raammt=16,
)
FULL = 0xFFFFFFFF


@functools.cache
def full_design() -> Design:
    """The channel as it comes, for HBM3-6.4."""
    return design_of(Channel(timing=HBM3), name="channel")


@functools.cache
def middle_design() -> Design:
    """The channel for HBM3-6.4 with small pools: all banks, tags and slots, of which a model is built in less time."""
    sizes = PoolSizes(entries=16, lines=16, responses=48)
    return design_of(Channel(timing=HBM3, sizes=sizes), name="middle_channel")


@functools.cache
def tiny_design(kind: type[Channel] = Channel) -> Design:
    """A channel with small pools and few banks, of which a model is built in a part of the time."""
    sizes = PoolSizes(entries=8, lines=4, responses=32, tree_slots=11)
    return design_of(kind(timing=TINY, tag_bits=16, sizes=sizes), name="tiny_channel")


def wide_design(timing: TimingSet) -> Design:
    """A channel as it comes, for any set, with tags that are not met again soon."""
    return design_of(Channel(timing=timing, tag_bits=16), name="channel")


class Bench:
    """A channel, its device and a golden memory for each pseudo-channel.

    design: the controller; timing: what the device checks; refresh, strict: as `HbmRun` takes them
    """

    def __init__(self, design: Design, *, timing: TimingSet = HBM3, refresh: str = "per-bank", strict: bool = True):
        self.timing, self.refresh = timing, refresh
        self.hbm = HbmRun(design, timing=timing, refresh=refresh, strict=strict)
        self.map = AddressMap.of(timing.organization, level="pseudo_channel")
        self.memories = [Memory(self.map, pc=pc) for pc in range(2)]
        layout: Any = self.hbm.lane.layout("request_0")
        self.turn = 1 << layout["tag"].width

    @property
    def device(self) -> Any:
        """The device model."""
        return self.hbm.device

    def key(self, address: ArrayLike, pc: int = 0) -> Any:
        """Key in the device of atoms of a pseudo-channel."""
        return self.device.key(**decode(address, self.map), pc=pc)

    def address(self, **place: ArrayLike) -> NDArray[np.int64]:
        """Addresses of places in a pseudo-channel; fields that are not named are 0."""
        values = {name: np.asarray(place.get(name, 0), np.int64) for name in self.map.widths}
        filled = dict(zip(values, np.broadcast_arrays(*values.values()), strict=True))
        return encode(filled, self.map)

    def expected(self, requests: Requests, pc: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Status (n,) and data (n, 32) that requests must get, data 0 where none is promised."""
        fields = {name: values.tolist() for name, values in requests.fields.items() if name != "data"}
        data = np.ascontiguousarray(requests.fields["data"], "<u4").view(np.uint8)
        answers = self.memories[pc].replay(
            [
                Request(
                    op=Op(fields["op"][i]),
                    address=fields["address"][i],
                    data=data[i].tobytes(),
                    mask=fields["mask"][i],
                    kind=ReduceKind(fields["kind"][i]),
                    format=ReduceFormat(fields["format"][i]),
                )
                for i in range(len(requests))
            ]
        )
        status = np.array([answer.status for answer in answers], np.uint8)
        words = b"".join(answer.data or bytes(32) for answer in answers)
        return status, np.frombuffer(words, np.uint8).reshape(-1, 32)

    def run(self, requests: Sequence[Requests | None], *, check: bool = True, **options: Any) -> list[HbmResult]:
        """Run requests in parts that are answered before a tag comes again; compares every answer.

        Gives the result of each part. With `check` off the answers are not compared.
        """
        longest = max(len(each) for each in requests if each is not None)
        results = []
        for start in range(0, longest, self.turn):
            parts = [part(each, start, start + self.turn) for each in requests]
            result = self.hbm.run(parts, **options)
            for pc, each in enumerate(parts):
                if each is not None and check:
                    self.compare(each, result.ports[pc], pc)
            results.append(result)
        return results

    def compare(self, requests: Requests, port: Any, pc: int) -> None:
        """The answers of a port are those of the golden memory."""
        status, data = self.expected(requests, pc)
        np.testing.assert_array_equal(port.status, status)
        reads = (requests.fields["op"] == Op.RD) & (status == Status.OK)
        found = np.ascontiguousarray(port.data, "<u4").view(np.uint8)
        np.testing.assert_array_equal(found[reads], data[reads])

    def settle(self, cycles: int = 3000) -> None:
        """Let what is under way end: the last writes, atoms that are written back corrected."""
        self.hbm.lane.run(cycles=cycles, record=True)

    def compare_stored(self, addresses: ArrayLike, pc: int = 0) -> None:
        """What the device stores at addresses, corrected bits and all, is what the golden memory has."""
        places = np.unique(np.asarray(addresses))
        words, _ = self.device.read(self.key(places, pc))
        np.testing.assert_array_equal(np.ascontiguousarray(words, "<u4").view(np.uint8), self.memories[pc].read(places))

    def traced(self, path: Any) -> Report:
        """End the trace at `path`, and check it."""
        self.device.trace(None)
        return checker.check(path, self.timing, refresh=self.refresh, channels=[0], end=2 * self.hbm.lane.cycles + 1)


def part(requests: Requests | None, start: int, stop: int) -> Requests | None:
    """Some of the requests, in their order; None for none."""
    if requests is None or start >= len(requests):
        return None
    fields = {name: values[start:stop] for name, values in requests.fields.items()}
    cycle = fields.pop("cycle")
    return Requests(**fields, cycle=cycle - cycle[0])


def mixture(
    random: np.random.Generator,
    addresses: NDArray[np.int64],
    *,
    reads: float = 0.4,
    writes: float = 0.3,
    masked: float = 0.15,
    cycle: ArrayLike = 0,
) -> Requests:
    """Random requests to addresses: reads, writes, writes of some bytes, and reductions of all kinds and formats."""
    count = len(addresses)
    drawn = random.random(count)
    whole, partial = reads + writes, reads + writes + masked
    op = np.select([drawn < reads, drawn < partial], [Op.RD, Op.WR], Op.RED)
    mask = np.where(
        (drawn >= whole) & (random.random(count) < 0.8), random.integers(0, 1 << 32, count, np.uint64), np.uint64(FULL)
    )
    formats = np.array([int(each) for each in ReduceFormat])
    return Requests(
        op=op,
        address=addresses,
        data=operands(random, count),
        mask=mask.astype(np.int64),
        kind=random.integers(0, len(ReduceKind), count),
        format=random.choice(formats, count),
        cycle=cycle,
    )


def operands(random: np.random.Generator, count: int) -> NDArray[np.uint32]:
    """Random atoms, a part of them numbers of everyday size."""
    plain = random.normal(0, 10, (count, 8)).astype("<f4").view("<u4")
    return np.where(random.random((count, 1)) < 0.5, plain, random.integers(0, 1 << 32, (count, 8), np.uint32))

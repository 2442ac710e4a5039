"""A stack or a memory system with a device behind each channel, and what each atom of it holds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from amaranth.lib import data
from numpy.typing import NDArray

from golden.hbm_map import decode
from golden.hbm_memory import Memory, Op, Request, Status
from mtia.hbm_map import AddressMap
from tb.beats import pack
from tb.hbm.runner import Requests
from tb.lane import Lane
from tb.models.hbm import HbmDevice
from tb.ports import Design


class SystemBench:
    """A design with memory ports on the lane, devices behind its channels.

    design: of a stack or a memory system; timing: of a stack; prefixes: of the channels' ports, in order
    """

    def __init__(self, design: Design, *, timing: Any, prefixes: Sequence[str], ports: int, channels: int):
        self.timing, self.ports = timing, ports
        self.devices = [
            HbmDevice(timing=timing, prefix=prefix, channel=number % channels) for number, prefix in enumerate(prefixes)
        ]
        self.lane = Lane(design, name="system", models=self.devices)
        self.lane.reset()

    def run(self, requests: Sequence[Requests], *, pauses: Any = None, seed: int = 1) -> list[dict[str, NDArray[Any]]]:
        """Give each port its requests and wait for the answers; for each port the fields of the answers as they came.

        Tags number a port's requests; in `cycle` is when each came, in `accepted` when each request was taken.
        """
        taken = [len(self.lane.transfer_cycles(f"request_{port}")) for port in range(self.ports)]
        for port, each in enumerate(requests):
            layout = data.Layout.cast(self.lane.layout(f"request_{port}"))
            tags = np.arange(len(each))
            assert len(each) <= 1 << layout["tag"].width
            values = {name: value for name, value in {**each.fields, "tag": tags}.items() if name != "cycle"}
            values |= {"id": tags % (1 << layout["id"].width)} if "id" in layout.members else {}
            self.lane.push(f"request_{port}", pack(layout, values))
        until = {f"response_{port}": len(each) for port, each in enumerate(requests)}
        self.lane.run(until, pauses=pauses, seed=seed, record=True, stall_cycles=20_000)
        while not self.lane.get("idle"):
            self.lane.run(cycles=16, record=True)
        answers = []
        for port, each in enumerate(requests):
            fields = dict(self.lane.pull_fields(f"response_{port}"))
            fields["cycle"] = self.lane.transfer_cycles(f"response_{port}")[-len(each) :].astype(np.int64)
            fields["accepted"] = self.lane.transfer_cycles(f"request_{port}")[taken[port] :].astype(np.int64)
            assert sorted(fields["tag"].tolist()) == list(range(len(each)))
            answers.append(fields)
        return answers

    def commands(self) -> NDArray[np.int64]:
        """Column commands of each channel and pseudo-channel since the last reset, (channels, 2)."""
        return np.array([[row["RD"] + row["WR"] for row in device.counts()] for device in self.devices])


def expected(requests: Requests, memories: Sequence[Memory], where: NDArray[np.int64], inner: NDArray[np.int64]) -> Any:
    """Status (n,) and data (n, 32) that requests must get from memories: each goes to one, -1 for none."""
    status = np.full(len(requests), int(Status.ADDRESS))
    words = np.zeros((len(requests), 32), np.uint8)
    fields = requests.fields
    payload = np.ascontiguousarray(fields["data"], "<u4").view(np.uint8)
    for number, memory in enumerate(memories):
        mine = np.flatnonzero(where == number)
        answers = memory.replay(
            [
                Request(
                    op=Op(int(fields["op"][i])),
                    address=int(inner[i]),
                    data=payload[i].tobytes(),
                    mask=int(fields["mask"][i]),
                    kind=fields["kind"][i],
                    format=fields["format"][i],
                )
                for i in mine
            ]
        )
        for i, answer in zip(mine, answers, strict=True):
            status[i] = int(answer.status)
            if answer.data is not None:
                words[i] = np.frombuffer(answer.data, np.uint8)
    return status, words


def compare(requests: Requests, answers: Any, status: NDArray[Any], words: NDArray[Any]) -> None:
    """The answers, sorted by tag, are those expected; data only of reads that have an atom."""
    order = np.argsort(answers["tag"])
    np.testing.assert_array_equal(np.asarray(answers["status"])[order], status)
    reads = (requests.fields["op"] == Op.RD) & (status == Status.OK)
    found = np.ascontiguousarray(np.asarray(answers["data"], np.uint32).reshape(-1, 8), "<u4").view(np.uint8)[order]
    np.testing.assert_array_equal(found[reads], words[reads])
    assert reads.any()


def places(addresses: NDArray[np.int64], layout: AddressMap) -> NDArray[np.int64]:
    """Number of the pseudo-channel, over the whole stack, of each address."""
    place = decode(addresses, layout)
    return place["channel"] * 2 + place["pc"]

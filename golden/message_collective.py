"""Collectives on golden accelerators: what they must give, and what the programs give."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mtia.collectives import PROGRAMS, WINDOW, Algorithm, Collective
from mtia.collectives_entries import Image, encode
from mtia.collectives_geometry import Geometry, descriptor, geometry, split
from mtia.message import ATOM_BYTES, MAX_PACKET, MAX_RANKS, Right
from mtia.near_memory import ReduceFormat, ReduceKind

from .message import Domain, Interleaving

#: windows of the landing slots and of the output, and what a communicator and its windows share
LANDING_WINDOW, OUTPUT_WINDOW = 1, 2
_SHARED = {"partition": 1, "epoch": 1, "key": 0x4D544941}

#: bytes of an output before a collective
UNWRITTEN = 0xA5

Bytes = NDArray[np.uint8]


class Outcome(NamedTuple):
    """outputs: the output of each rank, as many bytes as there is room for, 0xA5 where nothing was written.

    packets, flits: sent by all.
    """

    outputs: list[Bytes]
    packets: int
    flits: int


def run(
    collective: Collective,
    algorithm: Algorithm,
    inputs: Sequence[Bytes],
    *,
    bytes: int,
    root: int = 0,
    kind: ReduceKind = ReduceKind.SUM,
    format: ReduceFormat = ReduceFormat.FP32,
    sizes: NDArray[np.uint32] | None = None,
    piece_limit: int = MAX_PACKET,
    mtu: int = MAX_PACKET,
    interleaving: Interleaving | None = None,
) -> Outcome:
    """What the program of an algorithm gives, on a domain of as many accelerators as there are inputs.

    inputs: uint8 of each rank, as long as `golden.collectives.input_bytes` says
    bytes:  as in `mtia.collectives_geometry.geometry`
    sizes:  of ALLTOALLV: (ranks, ranks), bytes from each rank to each
    A collective that is too long for one is done in parts, one after the other. RuntimeError if it hangs or
    a command fails.
    """
    ranks = len(inputs)
    counts = split(collective, algorithm, ranks=ranks, bytes=bytes, piece_limit=piece_limit)
    figures = {"ranks": ranks, "piece_limit": piece_limit}
    cuts = [geometry(collective, algorithm, bytes=count, format=format, **figures) for count in counts]
    room = max(-(-sum(counts) // ATOM_BYTES) * ATOM_BYTES, *(cut.chunk * ranks for cut in cuts))
    landing = max(cut.landing_bytes for cut in cuts)
    group = Group(ranks, room=room, landing=landing, mtu=mtu, interleaving=interleaving)
    for rank, data in enumerate(inputs):
        group.give(rank, data, None if sizes is None else sizes[rank])
    at = 0
    for cut in cuts:
        group.start(collective, algorithm, cut, input=at, output=at, root=root, kind=kind, format=format)
        at += cut.bytes
    group.finish()
    sent = group.domain.sent
    return Outcome([group.output(rank) for rank in range(ranks)], sent["packets"], sent["flits"])


class Group:
    """Accelerators that are the ranks of one communicator, with room for inputs, outputs and landing slots.

    room:      bytes for inputs, and as many for outputs
    landing:   bytes of landing slots of each parity
    parities:  2; with 1 all collectives share their slots, which is wrong and there to be shown
    image:     programs, if not all of `PROGRAMS`; `start` then says which
    The others are those of `golden.message.Domain`.
    """

    def __init__(
        self,
        ranks: int,
        *,
        room: int,
        landing: int,
        parities: int = 2,
        image: Image | None = None,
        mtu: int = MAX_PACKET,
        places: int = WINDOW,
        interleaving: Interleaving | None = None,
    ):
        self._output, self._landing, self._sizes = room, 2 * room, 2 * room + 2 * landing
        self._commands = 0
        image = image or encode(list(PROGRAMS.values()))
        size = self._sizes + 4 * MAX_RANKS
        self.domain = Domain(ranks, size, image, mtu=mtu, places=places, interleaving=interleaving)
        opened = {**_SHARED, "valid": 1, "rights": Right.WRITE | Right.EVENT, "sources": (1 << ranks) - 1}
        for rank, (node, engine) in enumerate(zip(self.domain.nodes, self.domain.engines, strict=True)):
            node.memory[self._output : self._landing] = UNWRITTEN
            node.windows[LANDING_WINDOW] = {**opened, "base": self._landing, "size": 2 * landing}
            node.windows[OUTPUT_WINDOW] = {**opened, "base": self._output, "size": room}
            windows = {"landing_window": LANDING_WINDOW, "output_window": OUTPUT_WINDOW, "output": self._output}
            slots = {"landing": self._landing, "parity_bytes": landing * (parities - 1)}
            places_of = {"rank": rank, "ranks": ranks, "group": 0, "first_port": 0}
            engine.communicators[0] = {**_SHARED, "valid": 1, **places_of, **windows, **slots}

    def give(self, rank: int, data: Bytes, sizes: NDArray[np.uint32] | None = None, at: int = 0) -> None:
        """Puts an input, and the table of an ALLTOALLV, into the memory of a rank; ValueError past the room."""
        if at + len(data) > self._output:
            raise ValueError(f"Input must fit the {self._output} bytes of room, not end at {at + len(data)!r}")
        memory = self.domain.nodes[rank].memory
        memory[at : at + len(data)] = data
        if sizes is not None:
            memory[self._sizes :][: 4 * len(sizes)] = np.ascontiguousarray(sizes, "<u4").view(np.uint8)

    def start(
        self,
        collective: Collective,
        algorithm: Algorithm,
        cut: Geometry,
        *,
        input: int = 0,
        output: int = 0,
        **fields: int,
    ) -> None:
        """Gives the descriptor of a collective to every rank; `input`, `output`: where, from the start of the room."""
        for engine in self.domain.engines:
            engine.submit(
                descriptor(
                    collective,
                    algorithm,
                    cut,
                    command=self._commands,
                    partition=_SHARED["partition"],
                    input=input,
                    output=self._output + output,
                    sizes=self._sizes,
                    **fields,  # type: ignore[arg-type]
                )
            )
        self._commands += 1

    def finish(self) -> None:
        """Until all is done; RuntimeError if a command failed."""
        self.domain.run()
        for engine in self.domain.engines:
            failed = [command.completion() for command in engine.completed if command.status]
            if failed:
                raise RuntimeError(f"Commands of rank {engine.node.port} failed: {failed}")

    def output(self, rank: int) -> Bytes:
        """All of the room for outputs of a rank, 0xA5 where nothing was written."""
        return self.domain.nodes[rank].memory[self._output : self._landing].copy()

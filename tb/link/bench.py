"""Traffic between two links over wires that fail: what arrives, compared with what was sent."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtia.link import COUNTERS, LinkParameters, LinkState
from mtia.message import width

from ..lane import Lane
from ..models.link_wire import LinkWire
from .pair import ENDS, LinkPair

#: most flits of a packet of the traffic
PACKET = 17


def packets(rng: np.random.Generator, parameters: LinkParameters, flits: int) -> NDArray[np.uint32]:
    """Whole packets of random data, `flits` flits in all, as beats of a stream (flits, words)."""
    bits = parameters.flit_bits + 2
    beats = rng.integers(0, 1 << 32, (flits, -(-bits // 32)), np.uint32)
    last = np.zeros(flits, bool)
    ends = np.cumsum(rng.integers(1, PACKET + 1, flits)) - 1
    last[ends[ends < flits]] = True
    last[-1:] = True
    head = np.roll(last, 1)
    for place, marks in ((parameters.flit_bits, head), (parameters.flit_bits + 1, last)):
        word, bit = divmod(place, 32)
        beats[:, word] = beats[:, word] & ~np.uint32(1 << bit) | marks.astype(np.uint32) << np.uint32(bit)
    if bits % 32:
        beats[:, -1] &= np.uint32((1 << bits % 32) - 1)
    return beats


class LinkBench:
    """A pair of links in a lane, with its wires.

    Parameters
    ----------
    parameters, other : of the pair.

    Members
    -------
    lane, wire : the simulation, and the wires in it.
    parameters : of end ``a``.
    """

    def __init__(self, *, parameters: LinkParameters, other: LinkParameters | None = None) -> None:
        self.parameters = parameters
        self.wire = LinkWire(frame_bits=width(parameters.frame))
        self.lane = Lane(LinkPair(parameters=parameters, other=other), name="link", models=[self.wire])

    def start(self, *, latency: int | None = None, up: bool = True, **faults: Any) -> None:
        """Reset, and both directions of that latency (the parameters' by default); with `up`, wait until both are UP.

        The faults of `tb.models.link_wire.LinkWire.configure` begin then. Raises AssertionError if they are not UP.
        """
        self.faults(latency=latency)
        self.lane.reset()
        if up:
            self.lane.run(cycles=self.parameters.timeout + 4 * self.parameters.round_trip)
            assert self.states() == (LinkState.UP, LinkState.UP)
        self.faults(latency=latency, **faults)

    def faults(self, *, latency: int | None = None, seed: int = 1, **faults: Any) -> None:
        """What goes wrong from now on, in both directions alike."""
        cycles = max(1, self.parameters.wire) if latency is None else latency
        for direction in range(2):
            self.wire.configure(direction, latency=cycles, seed=2 * seed + direction, **faults)

    def states(self) -> tuple[LinkState, ...]:
        """States of both ends."""
        return tuple(LinkState(self.lane.get(f"{end}_state")) for end in ENDS)

    def counters(self, end: str) -> dict[str, int]:
        """Counters of an end."""
        word = self.lane.get(f"{end}_counters")
        return {name: word >> 32 * place & 0xFFFFFFFF for place, name in enumerate(COUNTERS)}

    def exchange(
        self,
        rng: np.random.Generator,
        flits: Mapping[str, int],
        *,
        pauses: Mapping[str, float] | None = None,
        stall_cycles: int | None = None,
    ) -> int:
        """Random packets on streams named as in ``{"a_tx__0": flits}``; all must come out, once, in order.

        Returns the cycles that it took. Raises AssertionError where they differ, SimulationError where nothing moves
        for `stall_cycles`, by default some times as long as it takes to give up a link.
        """
        sent = {}
        for stream, count in flits.items():
            sent[peer_stream(stream)] = beats = packets(rng, self.parameters, count)
            self.lane.push(stream, beats)
        cycles = self.lane.run(
            {stream: len(beats) for stream, beats in sent.items()},
            pauses=pauses or {},
            seed=int(rng.integers(1 << 32)),
            stall_cycles=stall_cycles or 10 * self.parameters.down_bound,
        )
        for stream, beats in sent.items():
            np.testing.assert_array_equal(self.lane.pull(stream), beats, err_msg=stream)
        return cycles


def peer_stream(stream: str) -> str:
    """The output where what goes into an input comes out: ``b_rx__0`` for ``a_tx__0``."""
    end, _, channel = stream.partition("_tx__")
    return f"{ENDS[1 - ENDS.index(end)]}_rx__{channel}"


def all_streams(flits: int) -> dict[str, int]:
    """That many flits on each input of both ends."""
    return {f"{end}_tx__{channel}": flits for end in ENDS for channel in range(2)}

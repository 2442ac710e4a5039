"""Accelerators around a switch: descriptors in, completions out, on memories that are numpy arrays.

Time is not modelled but order is: everything that may happen in several orders happens after a random delay, and only
what the protocol promises holds: packets of one source, destination and channel stay in order, and so do the messages
of one thread, and its sums. An engine may be as slow as `Interleaving` makes it. A run that gets stuck raises
`Deadlock`.
"""

import heapq
import math
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mtia.collectives import WINDOW
from mtia.collectives_entries import Image
from mtia.message import ATOM_BYTES, CHANNEL_OF, MAX_PACKET, Channel, PacketOp
from mtia.near_memory import ReduceFormat, ReduceKind

from .message_engine import Engine
from .message_node import Node, Packet
from .near_memory import tree
from .packets import SWITCH_SOURCE


class Deadlock(RuntimeError):
    """Nothing can happen any more, but commands are not finished."""


class Overrun(RuntimeError):
    """A unit of the switch was given more pieces than it has places for: a program that breaks the rule."""


class Interleaving:
    """Delays of a run. What has the same key is equally quick; keys differ by up to e^skew."""

    def __init__(self, seed: int, skew: float = 0.0):
        self._random = np.random.default_rng(seed)
        self._skew = skew
        self._rates: dict[object, float] = {}

    def delay(self, key: object) -> float:
        """How long the next thing of that key takes."""
        if key not in self._rates:
            self._rates[key] = math.exp(-self._skew * self._random.random())
        return float(self._random.exponential()) / self._rates[key]


_REDUCTION = (PacketOp.REDUCE, PacketOp.RESULT)


class _Stream(NamedTuple):
    """A stream of packets whose order holds; `reduction`: to or from the reduction unit of a port."""

    source: int
    destination: int
    channel: Channel
    reduction: bool


class Domain:
    """Accelerators 0 to ranks - 1 at the ports of a switch.

    memory_bytes: of each
    image:        the programs that all of them know
    mtu:          most payload bytes of a packet
    places:       pieces in flight in each reduction unit of the switch
    groups:       ports of each multicast group; group 0 has all unless said otherwise
    """

    def __init__(
        self,
        ranks: int,
        memory_bytes: int,
        image: Image,
        *,
        mtu: int = MAX_PACKET,
        places: int = WINDOW,
        groups: Mapping[int, Sequence[int]] | None = None,
        interleaving: Interleaving | None = None,
    ):
        self.groups = {0: list(range(ranks)), **(groups or {})}
        self.sent: Counter[str] = Counter()
        self.most_places = 0
        self._places = places
        self._interleaving = interleaving or Interleaving(0)
        self._now, self._count = 0.0, 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._streams: dict[_Stream, deque[Packet]] = {}
        self._units: dict[int, dict[tuple[int, ...], dict[int, Packet]]] = {}
        self.nodes = [Node(port, memory_bytes, mtu) for port in range(ranks)]
        self.engines = [Engine(node, image, self._send, self._later, mtu) for node in self.nodes]

    def run(self) -> None:
        """Until nothing more can happen; Deadlock if a command is left, Overrun if the switch has no place.

        Time is not modelled, so a command with a timeout ends by it when nothing can happen any more.
        """
        while self._events or any([engine.expire() for engine in self.engines]):  # noqa: C419 (each has to be tried)
            while self._events:
                self._now, _, action = heapq.heappop(self._events)
                action()
        stuck = [
            f"{engine.node.port}: command {command.number}: {', '.join(thread.doing for thread in command.threads)}"
            for engine in self.engines
            for command in engine.commands
            if command.status is None
        ]
        if stuck:
            raise Deadlock("; ".join(stuck))

    def _later(self, key: object, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (self._now + self._interleaving.delay(key), self._count, action))

    def _send(self, packet: Packet) -> None:
        """Takes a packet from an engine to the streams that end at its destinations."""
        self.sent.update(packets=1, flits=packet.flits)
        fields = packet.fields
        if packet.op is PacketOp.REDUCE:
            destinations = [fields["destination"]]
        elif fields.get("multicast"):
            result = packet.op is PacketOp.RESULT
            destinations = [port for port in self.groups[fields["group"]] if result or port != fields["source"]]
        else:
            destinations = [fields["destination"]]
        source = fields["destination"] if packet.op is PacketOp.RESULT else fields["source"]
        for port in destinations:
            key = _Stream(source, port, CHANNEL_OF[packet.op], packet.op in _REDUCTION)
            queue = self._streams.setdefault(key, deque())
            queue.append(packet)
            if len(queue) == 1:
                self._later(key, lambda key=key: self._deliver(key))  # type: ignore[misc]

    def _deliver(self, key: _Stream) -> None:
        """Hands on the first packet of a stream."""
        queue = self._streams[key]
        packet = queue.popleft()
        if queue:
            self._later(key, lambda: self._deliver(key))
        if packet.op is PacketOp.REDUCE:
            self._contribute(key.destination, packet)
        else:
            node, engine = self.nodes[key.destination], self.engines[key.destination]
            for answer in node.receive(packet, key.channel):
                self._send(answer)
            if packet.op in (PacketOp.DONE, PacketOp.REFUSED):
                engine.answered(packet)
            engine.wake()

    def _contribute(self, unit: int, packet: Packet) -> None:
        """A contribution reaches a reduction unit; with the last one, the result leaves."""
        fields = packet.fields
        name = (fields["group"], fields["event"], fields["sequence"])
        pieces = self._units.setdefault(unit, {})
        pieces.setdefault(name, {})[fields["slot"]] = packet
        self.most_places = max(self.most_places, len(pieces))
        if len(pieces) > self._places:
            raise Overrun(f"Pieces in flight at unit {unit} must be at most {self._places}, not {len(pieces)!r}")
        if len(pieces[name]) < fields["ranks"]:
            return
        contributions = pieces.pop(name)
        length = fields["length"]
        data = b"".join(
            contributions[rank].payload.ljust(-(-length // ATOM_BYTES) * ATOM_BYTES, b"\0")
            for rank in range(fields["ranks"])
        )
        slots = np.frombuffer(data, np.uint8).reshape(fields["ranks"], -1, ATOM_BYTES)
        result = tree(ReduceKind(fields["kind"]), ReduceFormat(fields["format"]), slots).tobytes()[:length]
        named = ("partition", "window", "epoch", "key", "event", "sequence", "offset", "group", "length")
        header = {field: fields[field] for field in named}
        header |= {"op": PacketOp.RESULT, "end": 1, "multicast": 1, "source": SWITCH_SOURCE}
        self._send(Packet({**header, "destination": unit, "slot": fields["immediate"] & 0xFF}, result))

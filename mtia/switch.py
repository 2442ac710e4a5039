"""The switch of a scale-up domain as data: ports, queues, groups, and what its reductions hold.

>>> from mtia import switch
>>> switch.of("mtia400").ports, switch.of("mtia400").reduces, switch.of("mtia300").reduces
(72, True, False)
"""

from dataclasses import dataclass, replace

from . import generations, message
from .checks import check_counts, check_powers
from .collectives import WINDOW
from .formats import unknown

#: source of the packets that the switch itself makes
SWITCH_SOURCE = 255
#: payload bytes of the longest packet of a size
MTU = {"full": message.MAX_PACKET, "sim": 16 * message.FLIT_BYTES + message.HEADER_BYTES}
SIZES = list(MTU)


@dataclass(frozen=True, kw_only=True)
class SwitchParameters:
    """Parameters of a switch.

    ports: 2 to 72; queue_flits: flits of each virtual output queue, a power of two from 4; groups: entries of the
    group table, 1 to 256; buses: multicasts that may be under way at once on a channel, a power of two to 8, or 0 for
    a switch without multicast; pieces: reductions that each port's unit holds at once, 2 to 32, or 0 for none;
    slot_bytes: payload bytes of the longest contribution, 32 + 64 k, at most `message.MAX_PACKET`.

    TypeError for a field of the wrong kind, ValueError for one out of range, and for pieces without buses: results
    are multicast.
    """

    ports: int
    queue_flits: int = 32
    groups: int = 16
    buses: int = 1
    pieces: int = 4
    slot_bytes: int = MTU["sim"]

    def __post_init__(self) -> None:
        bounds = {
            "ports": (2, message.MAX_RANKS),
            "queue_flits": (4, 4096),
            "groups": (1, 256),
            "buses": (0, 8),
            "pieces": (0, 32),
            "slot_bytes": (message.HEADER_BYTES, message.MAX_PACKET),
        }
        check_counts("Switch ", self, bounds)
        check_powers("Switch ", self, ("queue_flits", "buses"))
        if self.pieces == 1:
            raise ValueError("Switch pieces must be 0 or at least 2, not 1")
        if self.pieces and not self.buses:
            raise ValueError(f"Switch pieces must be 0 where there is no bus, not {self.pieces!r}")
        if self.slot_bytes % message.FLIT_BYTES != message.FLIT_BYTES - message.HEADER_BYTES:
            raise ValueError(f"Switch slot_bytes must be 32 + 64 k, not {self.slot_bytes!r}")

    @property
    def multicasts(self) -> bool:
        """Whether it has multicast."""
        return self.buses > 0

    @property
    def reduces(self) -> bool:
        """Whether its ports have reduction units."""
        return self.pieces > 0

    @property
    def queues(self) -> int:
        """Virtual queues of an input and channel: one an output, then one a bus."""
        return self.ports + self.buses

    @property
    def slot_flits(self) -> int:
        """Flits of the longest contribution, its head included."""
        return message.flits(self.slot_bytes)


def of(generation: str | generations.Generation, size: str = "full") -> SwitchParameters:
    """The switch of a generation's domain.

    Where the domain is switched (`Network.switched`) it multicasts, two at once, and reduces; the 300's is plain.
    A unit holds as many of the longest packets as a communicator is ahead (`mtia.collectives.WINDOW`), which never
    finds it full. `size`: `full`, with room for a longest packet in every queue, or `sim`, with short packets.

    ValueError for an unknown generation or size.
    """
    if size not in SIZES:
        raise ValueError(unknown("Size", size, SIZES))
    network = generations.get(generation).structure.network
    mtu = MTU[size]
    whole = SwitchParameters(
        ports=network.domain, queue_flits=128 if size == "full" else 64, buses=2, pieces=WINDOW, slot_bytes=mtu
    )
    return whole if network.switched else replace(whole, buses=0, pieces=0)

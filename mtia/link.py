"""The link between two network ports as data: frames, states, parameters, and the bounds that follow from them.

A *frame* is what crosses the wire in a cycle: a flit of 64 bytes and 8 bytes of control, of which 4 are a CRC-32C over
everything else. The wire may lose, damage and repeat frames; it does not reorder them. Frames with a flit are
numbered, kept by the sender until acknowledged and sent again from the first missing one on (go-back-N).

>>> from mtia import link, message
>>> message.width(link.LinkParameters().frame)
576
"""

import enum
from dataclasses import dataclass

from .checks import check_counts, check_powers
from .message import FLIT_BYTES, Channel, Layout

#: what HELLO frames must agree about, apart from the widths
VERSION = 1
#: cycles between two HELLO frames of a link that waits for its peer
HELLO_INTERVAL = 16
#: cycles from a flit's transfer at `tx` to its frame on the wire, and from there to its transfer at `rx`
SEND_CYCLES, RECEIVE_CYCLES = 2, 3
#: most cycles from a frame off the wire to the one that answers it on the wire: a NAK, a flit sent again
TURN_CYCLES = 5


class FrameKind(enum.IntEnum):
    """What a frame carries besides acknowledgement and credit, which are in all of them."""

    DATA = 0  #: a flit, under a sequence number
    CONTROL = 1  #: nothing else
    NAK = 2  #: the wish for everything from `acknowledge` on, again
    HELLO = 3  #: parameters of an end; `head`: it has heard the other end's; `last`: it is UP


class LinkState(enum.IntEnum):
    """States of a link, in the order in which it comes up."""

    RESET = 0  #: silent until frames of before are gone from the wire and flits of before have left `rx`
    HELLO = 1  #: says HELLO until both ends have heard each other
    UP = 2
    DOWN = 3  #: has failed; until `restart`


class DownCause(enum.IntEnum):
    """Why a link is DOWN."""

    NONE = 0
    TIMEOUT = 1  #: the oldest flit was sent `retries` times more and not acknowledged
    SILENCE = 2  #: no undamaged frame in `retries` timeouts
    PEER = 3  #: the other end began anew
    MISMATCH = 4  #: the other end has other parameters


#: counters of a link, 32 bits each, and what they count
COUNTERS: dict[str, str] = {
    "sent": "frames with a flit sent, the first time",
    "retransmitted": "frames with a flit sent again",
    "control": "frames without a flit sent",
    "received": "flits accepted from the wire",
    "crc_errors": "frames whose CRC was wrong",
    "naks": "NAK frames sent",
    "timeouts": "times that the replay timer ran out",
    "dropped": "flits taken at `tx` and not sent, because the link was DOWN",
}

#: what a HELLO frame says in the low bits of its flit; the first three must be the same at both ends
HELLO: Layout = (
    ("version", 8),
    ("sequence_bits", 4),
    ("credit_bits", 4),
    ("buffer", 8),
    ("replay", 9),
)
#: bits of it that must be the same
HELLO_AGREED_BITS = 16


@dataclass(frozen=True, kw_only=True)
class CrcParameters:
    """A reflected CRC with all ones as initial value and final inversion; `polynomial` without its highest term."""

    bits: int = 32
    polynomial: int = 0x1EDC6F41

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 64:
            raise ValueError(f"CRC bits must be in 1 to 64, not {self.bits!r}")
        if not 0 < self.polynomial < 1 << self.bits:
            raise ValueError(f"CRC polynomial must fit {self.bits} bits and not be 0, not {self.polynomial!r}")


#: CRC-32C (Castagnoli), CRC-32/ISCSI in catalogues: of b"123456789" it is 0xE3069283
CRC32C = CrcParameters()


@dataclass(frozen=True, kw_only=True)
class LinkParameters:
    """Parameters of a link; both ends have the same, but for `replay`, `buffer`, `coalesce` and `retries`.

    flit_bits : payload of a frame. sequence_bits, credit_bits : widths of these fields.
    replay : frames kept until acknowledged, a power of two, at most half of the sequence numbers.
    buffer : flits that the receiver has room for, a virtual channel; at most half of the credit numbers.
    wire : most cycles that a frame is on the wire, one way.
    coalesce : least distance in cycles of frames that only acknowledge or give credit.
    retries : timeouts in a row without progress after which the link is DOWN.
    timeout_cycles : of the replay timer; None: twice the round trip and a few cycles.
    crc : the check of a frame.
    replay_timer : False leaves the replay timer out, to show what finds that (`formal`).
    """

    flit_bits: int = 8 * FLIT_BYTES
    sequence_bits: int = 9
    credit_bits: int = 8
    replay: int = 128
    buffer: int = 128
    wire: int = 32
    coalesce: int = 4
    retries: int = 8
    timeout_cycles: int | None = None
    crc: CrcParameters = CRC32C
    replay_timer: bool = True

    def __post_init__(self) -> None:
        bounds = {"flit_bits": (1, 8 * FLIT_BYTES), "sequence_bits": (2, 9), "credit_bits": (2, 8)}
        bounds |= {"wire": (0, 1 << 12), "coalesce": (0, 64), "retries": (1, 64)}
        check_counts("Link ", self, bounds)
        numbers = {"replay": self.sequence_bits, "buffer": self.credit_bits}
        check_counts("Link ", self, {name: (2, 1 << bits - 1) for name, bits in numbers.items()})
        check_powers("Link ", self, numbers)
        if self.timeout_cycles is not None and self.timeout_cycles < self.round_trip:
            raise ValueError(
                f"Link timeout_cycles must be at least the round trip of {self.round_trip}, not {self.timeout_cycles!r}"
            )

    @property
    def channels(self) -> int:
        """Virtual channels."""
        return len(Channel)

    @property
    def control(self) -> Layout:
        """Fields of a frame behind the flit's data, without the CRC."""
        return (
            ("kind", 2),
            ("vc", 1),
            ("head", 1),
            ("last", 1),
            ("sequence", self.sequence_bits),
            ("acknowledge", self.sequence_bits),
            ("credit_vc", 1),
            ("credit", self.credit_bits),
        )

    @property
    def frame(self) -> Layout:
        """Fields of a frame. `acknowledge`: the first sequence number not yet accepted. `credit`: how many flits of
        channel `credit_vc` may have been sent in all, modulo its width."""
        return (("data", self.flit_bits), *self.control, ("crc", self.crc.bits))

    @property
    def replay_gap(self) -> int:
        """Most cycles on the wire from a damaged frame to the same flit again: what an error costs."""
        return 2 * self.wire + 2 * TURN_CYCLES

    @property
    def round_trip(self) -> int:
        """Most cycles from a flit's transfer at `tx` until its acknowledgement frees its place in the replay buffer."""
        return 2 * self.wire + SEND_CYCLES + 2 * TURN_CYCLES + self.coalesce

    @property
    def timeout(self) -> int:
        """Cycles without an acknowledgement that goes further, after which the replay timer sends again."""
        return 2 * self.round_trip + 8 if self.timeout_cycles is None else self.timeout_cycles

    @property
    def down_bound(self) -> int:
        """Most cycles from the last frame that the wire lets pass to DOWN at the receiving end."""
        return self.wire + self.retries * self.timeout + RECEIVE_CYCLES

    @property
    def recovery_bound(self) -> int:
        """Most cycles from a lost frame's place on the wire until its flit is at `rx`, if nothing more is lost.

        What was sent before is acknowledged, the replay timer runs out, everything kept is sent again, the wire is
        crossed.
        """
        return self.round_trip + self.timeout + self.wire + TURN_CYCLES + RECEIVE_CYCLES

    def rate(self, error_rate: float) -> float:
        """Flits a cycle that go-back-N can carry: an error costs its own cycle and those until the flit comes again.

        Ref: the efficiency (1 - p) / (1 + (g - 1) p) of go-back-N with g frames from one sending of a flit to the
        next, here `replay_gap`; a window below the round trip limits it further.
        """
        window = min(1.0, self.replay / self.round_trip)
        return window * (1 - error_rate) / (1 + (self.replay_gap - 1) * error_rate)


class NicRole(enum.IntEnum):
    """What a NIC is used for: a register, so that a package's NICs can be divided anew at any time."""

    SPARE = 0
    SCALE_UP = 1
    SCALE_OUT = 2


#: a queue pair of a NIC: the peer at the other end may be sent to if it is open and of the NIC's role; requests only
#: from that partition and to windows `first_window` to `last_window`
QUEUE_PAIR: Layout = (
    ("open", 1),
    ("role", 2),
    ("partition", 8),
    ("first_window", 8),
    ("last_window", 8),
    ("reserved", 5),
)
#: bits of the number of a peer in the table of queue pairs; groups have a table of their own
PEER_BITS = 7


class Refusal(enum.IntEnum):
    """Why a NIC does not send a packet, in the order in which it is checked."""

    NONE = 0
    CLOSED = 1  #: no queue pair to that peer or group is open
    ROLE = 2  #: the queue pair is of another role than the NIC
    PARTITION = 3  #: a request of another partition than the queue pair's
    WINDOW = 4  #: a request to a window outside the queue pair's


#: counters of a NIC besides its link's, 32 bits each, and what they count
NIC_COUNTERS: dict[str, str] = {
    "packets": "packets sent",
    "refused_closed": "packets dropped because of `Refusal.CLOSED`",
    "refused_role": "because of `Refusal.ROLE`",
    "refused_partition": "because of `Refusal.PARTITION`",
    "refused_window": "because of `Refusal.WINDOW`",
}

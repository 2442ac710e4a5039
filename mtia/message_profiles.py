"""Sizes of a message engine: what its tables hold, how wide its reducer is, how long its packets are.

>>> from mtia import message_profiles
>>> message_profiles.of("full").line_bytes, message_profiles.of("sim").line_bytes
(128, 128)
"""

from dataclasses import dataclass

from . import message
from .checks import check_counts
from .formats import unknown
from .switch import MTU


@dataclass(frozen=True, kw_only=True)
class MessageParameters:
    """Parameters of a message engine.

    lines: flits that the reducer adds a cycle, 1 or 2 (64 or 128 bytes); mtu: payload bytes of the longest packet,
    32 + 64 k; reads: flits asked of the memory at once, at least its latency in cycles; windows, communicators,
    partitions, threads, completions: entries of these tables and queues; ring: descriptors that a partition's ring
    holds; commands: descriptors of a partition that are under way.

    TypeError for one that is no integer, ValueError for one out of range.
    """

    lines: int = 1
    mtu: int = MTU["sim"]
    reads: int = 72
    windows: int = 16
    communicators: int = 4
    partitions: int = 2
    ring: int = 4
    commands: int = 4
    threads: int = 16
    completions: int = 16

    def __post_init__(self) -> None:
        bounds = {
            "lines": (1, 2),
            "mtu": (message.HEADER_BYTES, message.MAX_PACKET),
            "reads": (2, 1024),
            "windows": (2, 256),
            "communicators": (1, 16),
            "partitions": (1, 8),
            "ring": (2, 256),
            "commands": (2, 16),
            "threads": (4, 16),
            "completions": (2, 4096),
        }
        check_counts("Message engine ", self, bounds)
        if self.partitions * self.commands > 16:
            raise ValueError(f"Partitions times commands must be at most 16, not {self.partitions * self.commands!r}")
        if (self.mtu - message.HEADER_BYTES) % message.FLIT_BYTES:
            raise ValueError(f"Message engine mtu must be 32 + 64 k, not {self.mtu!r}")

    @property
    def line_bytes(self) -> int:
        """Bytes that the reducer reads a cycle."""
        return self.lines * message.FLIT_BYTES


#: the engine at each profile of `mtia.generations.PROFILES`
SIZES: dict[str, MessageParameters] = {
    "full": MessageParameters(
        lines=2, mtu=MTU["full"], windows=64, communicators=16, partitions=8, ring=16, commands=2, completions=64
    ),
    "sim": MessageParameters(lines=2, mtu=MTU["full"]),
    "fpga": MessageParameters(windows=4, communicators=1, partitions=1, ring=2, commands=2, reads=16, completions=4),
}


def of(profile: str) -> MessageParameters:
    """The engine at a profile; ValueError with the nearest names otherwise."""
    if profile not in SIZES:
        raise ValueError(unknown("Profile", profile, list(SIZES)))
    return SIZES[profile]

"""Sizes at which the memory system of a generation is built.

>>> from mtia import hbm_profiles
>>> shape = hbm_profiles.memory("mtia300", "full")
>>> shape.stacks, shape.channels, shape.bytes >> 30
(6, 16, 216)
"""

from dataclasses import dataclass, replace

from . import generations as _generations
from .formats import unknown
from .hbm_timing import TimingSet


@dataclass(frozen=True, kw_only=True)
class MemoryProfile:
    """Size of a memory system.

    stacks, channels of a stack: None for those of the generation; ports: memory ports; entries,
    lines, responses: buffers of a pseudo-channel; tag_bits: of a port; phy: name of the module that stands
    for a channel's device, None for ports to it.
    """

    stacks: int | None
    channels: int | None
    ports: int
    entries: int
    lines: int
    responses: int
    tag_bits: int
    phy: str | None
    summary: str


#: the three sizes by name
PROFILES: dict[str, MemoryProfile] = {
    "full": MemoryProfile(
        stacks=None,
        channels=None,
        ports=8,
        entries=64,
        lines=64,
        responses=64,
        tag_bits=12,
        phy="hbm_phy",
        summary="all stacks and channels of the package: to emit",
    ),
    "sim": MemoryProfile(
        stacks=2,
        channels=1,
        ports=2,
        entries=8,
        lines=4,
        responses=16,
        tag_bits=12,
        phy=None,
        summary="two stacks of one channel, small buffers: to simulate",
    ),
    "fpga": MemoryProfile(
        stacks=1,
        channels=1,
        ports=1,
        entries=16,
        lines=8,
        responses=16,
        tag_bits=8,
        phy=None,
        summary="one channel, small buffers",
    ),
}


@dataclass(frozen=True, kw_only=True)
class MemoryShape:
    """A generation's memory system at a profile: stacks, ports, buffers and the timing set of each channel."""

    timing: TimingSet
    stacks: int
    profile: MemoryProfile

    @property
    def channels(self) -> int:
        """Channels of a stack."""
        return self.timing.organization.channels

    @property
    def bytes(self) -> int:
        """Capacity."""
        return self.stacks * self.timing.organization.stack_bytes


def profile(name: str) -> MemoryProfile:
    """The profile of that name; ValueError with the nearest names otherwise."""
    if name not in PROFILES:
        raise ValueError(unknown("Profile", name, list(PROFILES)))
    return PROFILES[name]


def memory(generation: "str | _generations.Generation", size: str = "sim") -> MemoryShape:
    """The memory system of a generation at a profile of `PROFILES`.

    The stacks are of the first size that the generation offers. A profile with fewer channels has smaller
    stacks, of the same pseudo-channels. Raises ValueError for an unknown generation or profile.
    """
    chosen, hbm = profile(size), _generations.get(generation).structure.hbm
    timing = hbm.timing
    if chosen.channels is not None:
        timing = replace(timing, organization=replace(timing.organization, channels=chosen.channels))
    return MemoryShape(timing=timing, stacks=chosen.stacks or hbm.stacks, profile=chosen)

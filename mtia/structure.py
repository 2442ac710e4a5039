"""What a package is built from: counts, shapes and clocks, its memory and its network."""

from dataclasses import dataclass

from . import hbm as _hbm

#: what a generation may have, and what that is
FEATURES: dict[str, str] = {
    "message_engines": "engines at the grid's edge that run collectives without the PEs",
    "near_memory_reduction": "copy and sum beside the HBM",
    "spare_row": "a row of PEs that stands in for a bad one in a column, chosen at boot",
    "block_scales": "OCP MX formats in the tensor engine",
    "soc_chiplet": "a chiplet for the host interface",
    "switched_domain": "a switch between the packages of a scale-up domain",
    "softmax_unit": "softmax and attention in hardware",
    "moe_feed_forward": "acceleration of mixture-of-experts feed-forward layers",
    "mixed_operands": "operands of different widths in one pass, without a conversion",
}


@dataclass(frozen=True, kw_only=True)
class Hbm:
    """The memory stacks of a package.

    stacks: stacks a package; kind: their standard; pins: data pins a stack; gbps: Gb/s a pin;
    channels: channels a stack, of two pseudo-channels each; stack_gb: sizes offered, GB a stack;
    timing_set: name of the timing parameters.
    """

    stacks: int
    kind: str
    pins: int
    gbps: float
    channels: int
    stack_gb: tuple[int, ...]
    timing_set: str

    @property
    def bandwidth(self) -> float:
        """Peak of the package, TB/s."""
        return self.stacks * self.pins * self.gbps / 8 / 1000

    @property
    def capacities(self) -> tuple[int, ...]:
        """Sizes of the package's memory, GB."""
        return tuple(self.stacks * size for size in self.stack_gb)

    @property
    def pseudo_channels(self) -> int:
        """Pseudo-channels of the package, each 32 bits wide."""
        return self.stacks * self.channels * 2

    @property
    def timings(self) -> dict[int, _hbm.TimingSet]:
        """The timing set on a stack of each size offered, by GB a stack."""
        return {size: _hbm.get(self.timing_set).with_stack(size) for size in self.stack_gb}

    @property
    def timing(self) -> _hbm.TimingSet:
        """The timing set on a stack of the first size offered."""
        return self.timings[self.stack_gb[0]]


@dataclass(frozen=True, kw_only=True)
class Network:
    """The NICs of a package and its scale-up domain.

    gbps: Gb/s of a NIC, each way; scale_up, scale_out, spare: NICs set to each use at boot;
    spares_lent: whether the spare ones carry scale-up traffic while none has failed;
    domain: packages of a scale-up domain; switched: whether a switch joins them.
    """

    gbps: int
    scale_up: int
    scale_out: int
    spare: int
    spares_lent: bool
    domain: int
    switched: bool

    @property
    def nics(self) -> int:
        """NICs of the package."""
        return self.scale_up + self.scale_out + self.spare

    @property
    def scale_up_bandwidth(self) -> float:
        """TB/s to the scale-up domain, each way."""
        return (self.scale_up + (self.spare if self.spares_lent else 0)) * self.gbps / 8000

    @property
    def scale_out_bandwidth(self) -> float:
        """GB/s to the scale-out network, each way."""
        return self.scale_out * self.gbps / 8


@dataclass(frozen=True, kw_only=True)
class Structure:
    """Counts, shapes and clocks of a package.

    rows, columns: PEs of a compute chiplet in use; spare_rows: rows beside them that stand in for
    a bad PE of a column; dpes_per_pe: dot-product engines of a PE, each of the `full` profile's
    shape; clock_ghz: PE clock; local_memory_kib: local memory of a PE; message_engines: of the
    package; features: names from `FEATURES`.
    """

    compute_chiplets: int
    network_chiplets: int
    soc_chiplets: int
    rows: int
    columns: int
    spare_rows: int
    dpes_per_pe: int
    clock_ghz: float
    local_memory_kib: int
    message_engines: int
    hbm: Hbm
    network: Network
    features: tuple[str, ...]

    @property
    def pes(self) -> int:
        """PEs of the package in use."""
        return self.compute_chiplets * self.rows * self.columns

    @property
    def spare_pes(self) -> int:
        """PEs of the package beside those in use."""
        return self.compute_chiplets * self.spare_rows * self.columns

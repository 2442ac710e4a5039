"""What a timing set allows at best: bandwidth of random accesses, cost of refresh and of turnarounds, latency.

The bounds are ours, from the constraints of `mtia.hbm` alone; a controller is measured against them.
All are of one pseudo-channel, in CK unless said otherwise; fractions are of its peak.
"""

import math

from .formats import unknown
from .hbm_timing import TimingSet

#: state of the bank that a read meets -> parameters before the data, beside CL and BL
READS: dict[str, tuple[str, ...]] = {"hit": (), "closed": ("RCDRD",), "conflict": ("RP", "RCDRD")}


def _busy(timing: TimingSet, size: int) -> int:
    """CK of the data bus for `size` bytes of one row."""
    if not isinstance(size, int) or not 1 <= size <= timing.organization.row_bytes:
        raise ValueError(f"size must be in 1 to {timing.organization.row_bytes} bytes, not {size!r}")
    return -(-size // timing.organization.atom_bytes) * timing["BL"]


def random_fraction(timing: TimingSet, size: int) -> float:
    """Fraction of the peak at which accesses of `size` bytes, each to another row, can go.

    An ACT serves each: four fit in FAW (of every SID where it holds for a SID), and RRDS lies
    between two. Raises ValueError for a size of no bytes or of more than a row.
    """
    windows = timing.organization.sids if timing.faw_scope == "sid" else 1
    gap = max(timing["FAW"] / 4 / windows, timing["RRDS"])
    return min(1.0, _busy(timing, size) / gap)


def row_bus_fraction(timing: TimingSet, size: int) -> float:
    """The same, as far as the row bus allows that the pseudo-channels share: an ACT and a PRE for each access."""
    organization = timing.organization
    held = organization.pseudo_channels * (organization.act_bus_ck + organization.row_bus_ck)
    return min(1.0, _busy(timing, size) / held)


def all_bank_loss(timing: TimingSet) -> float:
    """Fraction of time that all-bank refresh takes: from the last RD before a REFAB to the first after it, a REFI."""
    return (timing["RTP"] + timing["RP"] + timing["RFCAB"] + timing["RCDRD"]) / timing["REFI"]


def per_bank_share(timing: TimingSet) -> float:
    """Fraction of time that a bank is busy with per-bank refresh."""
    return timing["RFCPB"] / timing["REFI"]


def turnaround_idle(timing: TimingSet, *, same_group: bool = False) -> int:
    """CK without data from reads to writes and back to reads; `same_group`: in the bank group written last."""
    write_to_read = timing["WTRL" if same_group else "WTRS"]
    return timing["RTW"] + timing["CWL"] - timing["BL"] + write_to_read


def batch_efficiency(timing: TimingSet, accesses: int, *, same_group: bool = False) -> float:
    """Fraction of the peak with `accesses` in a batch of reads and the batch of writes after it.

    Raises ValueError for none.
    """
    if not isinstance(accesses, int) or accesses < 1:
        raise ValueError(f"accesses must be at least 1, not {accesses!r}")
    busy = timing["BL"] * accesses
    return busy / (busy + turnaround_idle(timing, same_group=same_group))


def batch_for(timing: TimingSet, efficiency: float, *, same_group: bool = False) -> int:
    """Fewest accesses in the two batches that reach an efficiency; ValueError for one outside 0 to 1."""
    if not 0 < efficiency < 1:
        raise ValueError(f"efficiency must be between 0 and 1, not {efficiency!r}")
    idle = turnaround_idle(timing, same_group=same_group)
    return math.ceil(round(idle * efficiency / (1 - efficiency) / timing["BL"], 6))


def read_latency_ns(timing: TimingSet, bank: str) -> float:
    """ns from the first command of a read to the end of its data, with the bank as in `READS`."""
    if bank not in READS:
        raise ValueError(unknown("bank", bank, list(READS)))
    return (sum(timing[name] for name in READS[bank]) + timing["CL"] + timing["BL"]) * timing.tck_ns

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


def activation_gap(timing: TimingSet, *, refresh: str = "off") -> float:
    """CK from one ACT to the next at best, on average over a long run with refresh `off`, `per-bank` or `all-bank`.

    Between two ACTs lies RRDS at least, and from one to the fourth after it FAW (of each SID where it holds for a
    SID). A refresh falls between two ACTs, which then are G apart: RRDS and RREFD around a REFPB, RC and RFCAB around
    a REFAB. Cut the gaps between ACTs into fours. Four gaps take FAW, or 4 RRDS + r (G - RRDS) with r refreshes among
    them, whichever is more, which is at least FAW + r E with E = G + 3 RRDS - FAW if that is above 0: a refresh costs
    E, since the others can do no better than share the wait that FAW asks for anyway. All gaps together take RRDS
    each and G - RRDS for each refresh. With F refreshes a CK, one for each bank, or one, in REFI, the fraction F E,
    or F (G - RRDS), of the time is lost. Refreshes may be owed for eight REFI, so a shorter run may lose less.

    Raises ValueError for another refresh.
    """
    short, window = timing["RRDS"], timing["FAW"]
    around = {"off": (short, 0), "per-bank": (short + timing["RREFD"], timing.organization.banks)}
    around["all-bank"] = (timing["RC"] + timing["RFCAB"], 1)
    if refresh not in around:
        raise ValueError(unknown("refresh", refresh, list(around)))
    gap, refreshes = around[refresh]
    rate = refreshes / timing["REFI"]
    one_by_one = short / (1 - rate * (gap - short))
    if timing.faw_scope == "sid":  # the waits of the windows overlap
        return max(window / 4 / timing.organization.sids, one_by_one)
    return max(window / 4 / (1 - rate * max(0, gap + 3 * short - window)), one_by_one)


def random_fraction(timing: TimingSet, size: int, *, refresh: str = "off") -> float:
    """Fraction of the peak at which accesses of `size` bytes, each to another row, can go: an ACT serves each.

    Raises ValueError for a size of no bytes or of more than a row, and as `activation_gap`.
    """
    return min(1.0, _busy(timing, size) / activation_gap(timing, refresh=refresh))


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

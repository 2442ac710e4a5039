"""How the banks of an HBM channel were used: figures from its command trace."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from golden.hbm_trace import Trace, read
from mtia.hbm import TimingSet


@dataclass(frozen=True, kw_only=True)
class BankUse:
    """Commands of a run, by what they were for.

    columns:   atoms read and written; activates: rows opened
    conflicts: rows opened where another one had been closed for it
    refreshes: REFPB and REFAB; refresh_share: of the time that a bank was busy with them, mean over the banks
    """

    columns: int
    activates: int
    conflicts: int
    refreshes: int
    refresh_share: float

    @property
    def hits(self) -> int:
        """Atoms read or written in rows that were open for another atom before."""
        return max(0, self.columns - self.activates)


def bank_use(path: Path, timing: TimingSet, *, cycles: int) -> BankUse:
    """The figures of a trace over so many controller cycles."""
    trace = read(path)
    per_bank, all_bank = (int(trace.any_of(name).sum()) for name in ("REFPB", "REFAB"))
    organization = timing.organization
    banks = organization.pseudo_channels * organization.banks
    busy = per_bank * timing["RFCPB"] + all_bank * organization.banks * timing["RFCAB"]
    return BankUse(
        columns=int(trace.any_of("RD", "WR").sum()),
        activates=int(trace.any_of("ACT").sum()),
        conflicts=_conflicts(trace),
        refreshes=per_bank + all_bank,
        refresh_share=busy / (banks * max(1, 2 * cycles)),
    )


def _conflicts(trace: Trace) -> int:
    """ACTs whose bank was last closed by a PRE, and not refreshed since."""
    kept = trace.take(trace.any_of("ACT", "PRE", "REFPB"))
    bank = _bank(kept)
    order = np.lexsort((np.arange(len(kept)), bank))
    ordered, bank = kept.take(order), bank[order]
    follows = np.flatnonzero(ordered.any_of("ACT")[1:] & ordered.any_of("PRE")[:-1] & (bank[1:] == bank[:-1])) + 1
    found = 0
    for pc in range(2):
        chosen = follows[ordered.pc[follows] == pc]
        all_bank = trace.take(trace.any_of("REFAB") & (trace.pc == pc)).ck
        before, after = (np.searchsorted(all_bank, ordered.ck[rows]) for rows in (chosen - 1, chosen))
        found += int((before == after).sum())
    return found


def _bank(trace: Trace) -> NDArray[np.int64]:
    """A number for each bank of the channel."""
    number: NDArray[np.int64] = ((trace.pc * 8 + trace.sid) * 16 + trace.bank_group) * 16 + trace.bank
    return number

"""What any controller with a window of so many requests could do at best with a sequence of reads."""

import numpy as np
from numpy.typing import NDArray

from golden.hbm_map import decode
from mtia.hbm import TimingSet
from mtia.hbm_map import AddressMap
from mtia.hbm_requests import Accesses

#: requests among which a controller chooses: the pool of a pseudo-channel
WINDOW = 64

Numbers = NDArray[np.int64]


def read_bound(accesses: Accesses, timing: TimingSet, *, window: int = WINDOW) -> float:
    """Fraction of the channel's peak that reads in this order allow.

    The slowest of, for each pseudo-channel: its columns on the data bus; the columns of a bank group, CCDL apart;
    its rows, four in FAW and RRDS apart; the rows of a bank, RC apart. A row is opened once for all requests that
    are in the window together, or have no request for another row of the bank between them.
    """
    place = decode(accesses.atom, AddressMap.of(timing.organization, level="channel"))
    group = place["sid"] * timing.organization.bank_groups + place["bank_group"]
    bank = group * timing.organization.banks_per_group + place["bank"]
    slowest = 0.0
    for pc in range(timing.organization.pseudo_channels):
        chosen = place["pc"] == pc
        opened = _openings(bank[chosen], place["row"][chosen], window)
        rows = np.bincount(bank[chosen][opened], minlength=1)
        columns = np.bincount(group[chosen], minlength=1)
        gap = max(timing["FAW"] / 4, timing["RRDS"])
        times = (
            int(chosen.sum()) * timing["BL"],
            int(columns.max()) * timing["CCDL"],
            int(rows.sum()) * gap,
            (int(rows.max()) - 1) * timing["RC"],
        )
        slowest = max(slowest, *times)
    return len(accesses) * timing["BL"] / (timing.organization.pseudo_channels * slowest)


def _openings(bank: Numbers, row: Numbers, window: int) -> NDArray[np.bool_]:
    """Which requests of a pseudo-channel need their row opened."""
    index = np.arange(len(bank))
    by_row = np.lexsort((index, row, bank))
    same = np.zeros(len(bank), np.bool_)
    same[1:] = (bank[by_row][1:] == bank[by_row][:-1]) & (row[by_row][1:] == row[by_row][:-1])
    near = np.zeros(len(bank), np.bool_)
    near[1:] = np.diff(by_row) < window
    kept = np.zeros(len(bank), np.bool_)
    kept[by_row] = same & near
    by_bank = np.lexsort((index, bank))
    unmoved = np.zeros(len(bank), np.bool_)
    unmoved[1:] = (bank[by_bank][1:] == bank[by_bank][:-1]) & (row[by_bank][1:] == row[by_bank][:-1])
    kept[by_bank] |= unmoved
    opened: NDArray[np.bool_] = ~kept
    return opened

"""What any controller whose requests wait for no more than so many others could do at best with a sequence of reads."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from golden.hbm_map import decode
from mtia.hbm import TimingSet
from mtia.hbm_bounds import activation_gap
from mtia.hbm_map import AddressMap
from mtia.hbm_requests import Accesses

#: requests among which a controller chooses: the pool of a pseudo-channel
WINDOW = 64

#: rows of a bank that are kept waiting at once; more are taken to be served for nothing, which leaves a bound a bound
_ROWS = 6

Numbers = NDArray[np.int64]
#: a bank: its open row, and rows with requests that wait, each with the place of its first one
State = tuple[int, frozenset[tuple[int, int]]]


def read_bound(accesses: Accesses, timing: TimingSet, *, window: int = WINDOW, refresh: str = "per-bank") -> float:
    """Fraction of the channel's peak that reads in this order allow over a long run.

    The slowest of, for each pseudo-channel: its columns on the data bus; the columns of a bank group, CCDL apart;
    its rows, as often as `activation_gap` allows; the rows of a bank, RC apart. Rows are opened as often as
    `openings` says, so the bound is one for controllers that know what comes, but pass no request by `window` others.
    """
    place = decode(accesses.atom, AddressMap.of(timing.organization, level="channel"))
    group = place["sid"] * timing.organization.bank_groups + place["bank_group"]
    bank = group * timing.organization.banks_per_group + place["bank"]
    gap = activation_gap(timing, refresh=refresh)
    slowest = 0.0
    for pc in range(timing.organization.pseudo_channels):
        banks, rows = bank[place["pc"] == pc], place["row"][place["pc"] == pc]
        opened = [0]
        for each in np.unique(banks):
            at = np.flatnonzero(banks == each)
            opened.append(openings(at.tolist(), rows[at].tolist(), window))
        columns = np.bincount(group[place["pc"] == pc], minlength=1)
        times = (
            len(banks) * timing["BL"],
            int(columns.max()) * timing["CCDL"],
            sum(opened) * gap,
            (max(opened) - 1) * timing["RC"],
        )
        slowest = max(slowest, *times)
    return len(accesses) * timing["BL"] / (timing.organization.pseudo_channels * slowest)


def openings(place: Sequence[int], row: Sequence[int], window: int) -> int:
    """How often rows of one bank have to be opened at least for requests that come at these places of a sequence.

    The request at place p is served before the one at p + window comes. While a row is open its requests are served
    as they come, at once with those that wait for it when it is opened; requests for other rows wait. All ways are
    followed at once, from request to request: which rows are opened after it, the last of which stays open; of ways
    that leave the bank in the same state the one with the fewest openings goes on.
    """
    best: dict[State, int] = {(-1, frozenset()): 0}
    for index, (at, wanted) in enumerate(zip(place, row, strict=True)):
        until = place[index + 1] if index + 1 < len(place) else at + window
        again = frozenset(row[index + 1 : index + 1 + 2 * window])
        found: dict[State, int] = {}
        for (is_open, waiting), cost in best.items():
            if wanted != is_open and all(wanted != each for each, _ in waiting):
                waiting |= {(wanted, at)}
            for state, more in _choices(is_open, waiting, until - window, again):
                if cost + more < found.get(state, cost + more + 1):
                    found[state] = cost + more
        # any state can be reached from any other by opening all rows that wait there, and one more
        enough = min(cost + len(waiting) for (_, waiting), cost in found.items())
        best = {state: cost for state, cost in found.items() if cost <= enough}
    return min(best.values())


def _choices(
    is_open: int, waiting: frozenset[tuple[int, int]], due: int, again: frozenset[int]
) -> Iterator[tuple[State, int]]:
    """States after opening some of the rows that wait, those due among them, and the number of openings."""
    forced = {each for each in waiting if each[1] <= due}
    if not forced:
        yield (is_open, waiting), 0
    # when the open row is closed there is no reason for rows to wait that are not asked for again
    forced |= {each for each in waiting if each[0] not in again}
    others = sorted(waiting - forced, key=lambda each: each[1])
    for count in range(len(others) + 1):
        for chosen in itertools.combinations(others[:_ROWS], count):
            opened = forced | set(chosen)
            left = frozenset(others[:_ROWS]) - opened
            for last in {each for each, _ in opened if each in again} or {each for each, _ in list(opened)[:1]}:
                yield (last, left), len(opened)

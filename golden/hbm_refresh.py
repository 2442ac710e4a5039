"""What HBM banks are owed over time: refreshes, and refresh management (RFM) after many activations.

Refresh: every bank (in all-bank mode every pseudo-channel) falls due for one at REFI, 2 REFI and so on.
With n received up to a CK t, t included, it is owed ``floor(t / REFI) - n``. That is never more than
`refresh_postpone` nor, right after a refresh, less than its negative. REFAB counts for every bank of the
pseudo-channel, but in all-bank mode nothing else counts.

RFM: ACT raises the count of its bank by 1; REFPB and RFMPB of the bank and REFAB lower it by RAAIMT, not
below 0. It never passes RAAMMT. A RAAMMT of 0 means that the standard has no RFM.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from mtia.hbm_timing import TimingSet

from .hbm_report import Findings, PseudoChannel, Violation
from .hbm_rules import Commands
from .hbm_trace import Mask, Numbers


def check_refresh(
    commands: Commands, timing: TimingSet, found: Findings, *, mode: str, channels: Sequence[int], end: int
) -> dict[PseudoChannel, Numbers]:
    """Refreshes of all banks of the channels, none too late or too early; the most that each was owed."""
    trace, of = commands.trace, commands.organization
    shape = (of.sids, of.bank_groups, of.banks_per_group)
    whole = _Members(commands, "pc", trace.any_of("REFAB"))
    single = _Members(commands, "bank", trace.any_of("REFPB"))
    found.measured("refresh late", trace.ck[:0])
    found.measured("refresh early", trace.ck[:0])
    owed = {}
    for channel in channels:
        for pc in range(of.pseudo_channels):
            number = channel * of.pseudo_channels + pc
            if mode == "all-bank":
                ledger = _Ledger(found, timing, (channel, pc), "all banks", end)
                owed[channel, pc] = np.full(shape, ledger.check(whole[number]))
                continue
            each = np.zeros(shape, np.int64)
            for bank, place in enumerate(np.ndindex(*shape)):
                name = f"sid {place[0]}, bank_group {place[1]}, bank {place[2]}"
                received = np.sort(np.concatenate([whole[number], single[number * of.banks + bank]]))
                each[place] = _Ledger(found, timing, (channel, pc), name, end).check(received)
            owed[channel, pc] = each
    return owed


class _Members:
    """Commands by the scope that they are in, ascending."""

    def __init__(self, commands: Commands, scope: str, wanted: Mask) -> None:
        order = commands.orders[scope]
        self._chosen = order[wanted[order]]
        self._numbers = commands.numbers[scope][self._chosen]

    def __getitem__(self, number: int) -> Numbers:
        low, high = np.searchsorted(self._numbers, [number, number + 1])
        return self._chosen[low:high]

    def __iter__(self) -> Iterator[int]:
        yield from np.unique(self._numbers).tolist()


class _Ledger:
    """The refreshes of one bank, or of one pseudo-channel."""

    def __init__(self, found: Findings, timing: TimingSet, where: PseudoChannel, name: str, end: int) -> None:
        self._found, self._where, self._name, self._end = found, where, name, end
        self._interval, self._postpone = timing["REFI"], timing.refresh_postpone

    def check(self, received: Numbers) -> int:
        """The most refreshes owed at once, having reported those late, missing and early."""
        interval, postpone = self._interval, self._postpone
        ck = self._found.trace.ck[received]
        count = np.arange(len(received))  # received before each
        late = (count + 1 + postpone) * interval - ck
        early = ck - (count + 1 - postpone) * interval
        self._found.measured("refresh late", late)
        self._found.measured("refresh early", early[count + 1 > postpone])
        owed = (ck - 1) // interval - count
        before = dict(zip(received.tolist(), owed.tolist(), strict=True))
        limit = f"not at most {postpone}"
        self._found.blame(
            "refresh late",
            received[late < 0],
            lambda index: f"comes when {self._name} is owed {before[index]} refreshes, {limit}",
        )
        self._found.blame(
            "refresh early",
            received[early < 0],
            lambda index: f"puts {self._name} more than {postpone} refreshes ahead",
        )
        last = self._end // interval - len(received)
        if last > postpone:
            text = f"{self._name} is owed {last} refreshes at the end, {self._end}, {limit}"
            self._found.violations.append(Violation(self._end, *self._where, "refresh late", text, -1))
        return max(last, int(owed.max(initial=last)))


def check_rfm(commands: Commands, timing: TimingSet, found: Findings) -> None:
    """No bank's count of activations passes RAAMMT."""
    if not timing.raammt:
        return
    trace, of = commands.trace, commands.organization
    whole = _Members(commands, "pc", trace.any_of("REFAB"))
    single = _Members(commands, "bank", trace.any_of("ACT", "REFPB", "RFMPB"))
    is_act = trace.any_of("ACT")
    found.measured("RAAMMT", trace.ck[:0])
    for bank in single:
        events = np.sort(np.concatenate([single[bank], whole[bank // of.banks]]))
        _check_activations(timing, found, events, is_act[events])


def _check_activations(timing: TimingSet, found: Findings, events: Numbers, is_act: Mask) -> None:
    """The count of one bank over its ACTs and what lowers it."""
    acts, counts = events[is_act], _floored_sum(np.where(is_act, 1, -timing.raaimt))[is_act]
    found.measured("RAAMMT", timing.raammt - counts)
    passed = dict(zip(acts.tolist(), counts.tolist(), strict=True))
    found.blame(
        "RAAMMT",
        acts[counts > timing.raammt],
        lambda index: f"is activation {passed[index]} without RFM, not at most {timing.raammt}",
    )


def _floored_sum(steps: Numbers) -> Numbers:
    """Sums of the steps up to each, from 0, where a sum below 0 becomes 0 at once."""
    total = np.cumsum(steps)
    return total - np.minimum(np.minimum.accumulate(total), 0)

"""The timing rules of HBM as one table, and how near commands of a trace come to them.

A rule: a command of `later` comes at least `minimum` CK after every command of `earlier` that stands
before it in the trace and is so related to it. As the minimum does not depend on which earlier
command it is, the latest of them decides; it is the one that is named.
"""

import enum
import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mtia.hbm_organization import Organization
from mtia.hbm_timing import TimingSet

from .hbm_trace import NAMES, Numbers, Trace


class Relation(enum.Enum):
    """Where the earlier command is: both in one scope, and, where a second is named, in different ones of it."""

    SAME_BANK = ("bank", "")
    OTHER_BANK = ("pc", "bank")
    SAME_GROUP = ("group", "")  #: the same bank included
    OTHER_GROUP = ("sid", "group")
    OTHER_SID = ("pc", "sid")
    ELSEWHERE = ("pc", "group")  #: another bank group, or another SID
    SAME_PC = ("pc", "")
    SAME_CHANNEL = ("channel", "")


class Rule(NamedTuple):
    """A row of the table; minimum: a sum of parameters and numbers, in CK."""

    name: str
    earlier: tuple[str, ...]
    later: tuple[str, ...]
    relation: Relation
    minimum: str

    def ck(self, timing: TimingSet) -> int:
        """The minimum under a timing set."""
        return sum(int(term) if term.isdecimal() else timing[term] for term in self.minimum.split(" + "))


_ACT, _RD, _WR, _PRE, _PREA, _REFAB, _REFPB, _RFM = (
    (name,) for name in ("ACT", "RD", "WR", "PRE", "PREA", "REFAB", "REFPB", "RFMPB")
)
_ANY_PRE, _COLUMN, _OF_BANK = ("PRE", "PREA"), ("RD", "WR"), ("REFPB", "RFMPB")
_BANK, _GROUP, _PC = Relation.SAME_BANK, Relation.SAME_GROUP, Relation.SAME_PC

RULES: tuple[Rule, ...] = (
    # a row: opened, used, closed
    Rule("RCDRD", _ACT, _RD, _BANK, "RCDRD"),
    Rule("RCDWR", _ACT, _WR, _BANK, "RCDWR"),
    Rule("RAS", _ACT, _PRE, _BANK, "RAS"),
    Rule("RAS to PREA", _ACT, _PREA, _PC, "RAS"),
    Rule("RC", _ACT, _ACT, _BANK, "RC"),
    Rule("RTP", _RD, _PRE, _BANK, "RTP"),
    Rule("RTP to PREA", _RD, _PREA, _PC, "RTP"),
    Rule("WR", _WR, _PRE, _BANK, "CWL + BL + WR"),
    Rule("WR to PREA", _WR, _PREA, _PC, "CWL + BL + WR"),
    Rule("RP", _PRE, _ACT, _BANK, "RP"),
    Rule("RP to refresh", _PRE, _OF_BANK, _BANK, "RP"),
    Rule("RP to REFAB", _PRE, _REFAB, _PC, "RP"),
    Rule("RP from PREA", _PREA, _ACT, _PC, "RP"),
    Rule("RP from PREA to refresh", _PREA, (*_OF_BANK, "REFAB"), _PC, "RP"),
    # rows of several banks (FAW: golden.hbm_state)
    Rule("RRDL", _ACT, _ACT, _GROUP, "RRDL"),
    Rule("RRDS", _ACT, _ACT, Relation.ELSEWHERE, "RRDS"),
    Rule("PPD", _ANY_PRE, _ANY_PRE, _PC, "PPD"),
    # columns
    Rule("CCDL of RD", _RD, _RD, _GROUP, "CCDL"),
    Rule("CCDS of RD", _RD, _RD, Relation.OTHER_GROUP, "CCDS"),
    Rule("CCDR of RD", _RD, _RD, Relation.OTHER_SID, "CCDR"),
    Rule("CCDL of WR", _WR, _WR, _GROUP, "CCDL"),
    Rule("CCDS of WR", _WR, _WR, Relation.OTHER_GROUP, "CCDS"),
    Rule("CCDR of WR", _WR, _WR, Relation.OTHER_SID, "CCDR"),
    Rule("WTRL", _WR, _RD, _GROUP, "CWL + BL + WTRL"),
    Rule("WTRS", _WR, _RD, Relation.ELSEWHERE, "CWL + BL + WTRS"),
    Rule("RTW", _RD, _WR, _PC, "RTW"),
    # refresh
    Rule("RFCPB", _REFPB, _ACT, _BANK, "RFCPB"),
    Rule("RFCPB to refresh", _REFPB, _OF_BANK, _BANK, "RFCPB"),
    Rule("RFCPB to REFAB", _REFPB, _REFAB, _PC, "RFCPB"),
    Rule("RFM", _RFM, _ACT, _BANK, "RFM"),
    Rule("RFM to refresh", _RFM, _OF_BANK, _BANK, "RFM"),
    Rule("RFM to REFAB", _RFM, _REFAB, _PC, "RFM"),
    Rule("RFCAB", _REFAB, NAMES, _PC, "RFCAB"),
    Rule("RREFD", _OF_BANK, _OF_BANK, Relation.OTHER_BANK, "RREFD"),
    Rule("RREFD to ACT", _OF_BANK, _ACT, Relation.OTHER_BANK, "RREFD"),
    # a refresh of a bank activates rows of it, so it keeps the distances of an ACT to those before it
    Rule("RRDS to refresh", _ACT, _OF_BANK, Relation.ELSEWHERE, "RRDS"),
    Rule("RRDL to refresh", _ACT, _OF_BANK, _GROUP, "RRDL"),
    Rule("RC to refresh", _ACT, _OF_BANK, _BANK, "RC"),
    Rule("RC to REFAB", _ACT, _REFAB, _PC, "RC"),
    # a column command holds the column bus, which both pseudo-channels share, for 1 CK
    Rule("column bus", _COLUMN, _COLUMN, Relation.SAME_CHANNEL, "1"),
)


@dataclass(frozen=True)
class Commands:
    """The commands of a trace that name places of the organization, ascending in ck."""

    trace: Trace
    organization: Organization

    @functools.cached_property
    def numbers(self) -> dict[str, Numbers]:
        """Scope -> number of each command's channel, pc, sid, group or bank, over all channels.

        Those of sid, group and bank mean nothing for commands of a whole pseudo-channel.
        """
        of, trace = self.organization, self.trace
        pc = trace.channel * of.pseudo_channels + trace.pc
        sid = pc * of.sids + trace.sid
        group = sid * of.bank_groups + trace.bank_group
        bank = group * of.banks_per_group + trace.bank
        found = {"channel": trace.channel, "pc": pc, "sid": sid, "group": group, "bank": bank}
        return {name: values.clip(0) for name, values in found.items()}

    @functools.cached_property
    def orders(self) -> dict[str, Numbers]:
        """Scope -> the commands by scope, those of one in order of time."""
        narrow = np.uint16 if self.numbers["bank"].max(initial=0) < 1 << 16 else np.int64  # sorted five times as fast
        return {name: np.argsort(values.astype(narrow), kind="stable") for name, values in self.numbers.items()}


class Measured(NamedTuple):
    """How commands stand to a rule: indices of pairs that it binds, and what each has beyond the minimum."""

    earlier: NDArray[np.int64]
    later: NDArray[np.int64]
    slack: NDArray[np.int64]


def measure(commands: Commands, rule: Rule, timing: TimingSet) -> Measured:
    """For each later command of the rule the latest earlier one that is so related to it, if any."""
    trace = commands.trace
    scope_name, other_name = rule.relation.value
    is_earlier, is_later = trace.any_of(*rule.earlier), trace.any_of(*rule.later)
    order = commands.orders[scope_name]
    chosen = order[(is_earlier | is_later)[order]]
    scope, is_earlier, is_later = commands.numbers[scope_name][chosen], is_earlier[chosen], is_later[chosen]
    at = np.arange(len(chosen))
    first = np.maximum.accumulate(np.where(np.diff(scope, prepend=-1) != 0, at, 0))
    latest = np.concatenate([[-1], np.maximum.accumulate(np.where(is_earlier, at, -1))])[:-1]
    if other_name:
        other = commands.numbers[other_name][chosen]
        same = (latest >= 0) & (other[latest] == other)
        latest = np.where(same, _before_run(np.flatnonzero(is_earlier), other)[latest], latest)
    bound = np.flatnonzero(is_later & (latest >= first))
    earlier, later = chosen[latest[bound]], chosen[bound]
    return Measured(earlier, later, trace.ck[later] - trace.ck[earlier] - rule.ck(timing))


def _before_run(members: Numbers, values: Numbers) -> Numbers:
    """At each member the last member before it that has another value, or -1; length of `values`."""
    found = np.full(len(values), -1, np.int64)
    at = np.arange(len(members))
    starts = np.maximum.accumulate(np.where(np.diff(values[members], prepend=-1) != 0, at, 0))
    found[members] = np.where(starts > 0, members[starts - 1], -1)
    return found

"""A second checker of HBM traces: slow, plain, every command against every other; for legal states and not.

It is written from the meanings of the parameters and shares nothing with `golden.hbm` but the names of
its rules. The rows are in order of ck and their fields in range.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from mtia.hbm_timing import TimingSet
from tests.golden.hbm_commands import Row

REFRESHES = ("REFPB", "RFMPB")


def needs(first: Row, second: Row, timing: TimingSet) -> Iterator[tuple[str, int]]:
    """Rules that bind the second command to the first, which stands before it, and the distance each asks."""
    if first[1] != second[1]:
        return
    a, b = first[3], second[3]
    if a in ("RD", "WR") and b in ("RD", "WR"):
        yield "column bus", 1
    if first[2] != second[2]:
        return
    if a == "REFAB":
        yield "RFCAB", timing["RFCAB"]
    same_sid = first[4] == second[4]
    same_group = same_sid and first[5] == second[5]
    same_bank = same_group and first[6] == second[6]
    match a:
        case "ACT":
            yield from after_act(b, same_bank, same_group, timing)
        case "RD" | "WR":
            yield from after_column(a, b, same_bank, same_group, same_sid, timing)
        case "PRE" | "PREA":
            yield from after_precharge(a, b, same_bank, timing)
        case "REFPB" | "RFMPB":
            yield from after_refresh(a, b, same_bank, timing)


def after_act(b: str, same_bank: bool, same_group: bool, timing: TimingSet) -> Iterator[tuple[str, int]]:
    if same_bank:
        for name, rule in (("RD", "RCDRD"), ("WR", "RCDWR"), ("PRE", "RAS"), ("ACT", "RC")):
            if b == name:
                yield rule, timing[rule]
    if b in REFRESHES:
        rule = "RRDL" if same_group else "RRDS"
        yield f"{rule} to refresh", timing[rule]
        if same_bank:
            yield "RC to refresh", timing["RC"]
    if b == "REFAB":
        yield "RC to REFAB", timing["RC"]
    if b == "PREA":
        yield "RAS to PREA", timing["RAS"]
    if b == "ACT":
        rule = "RRDL" if same_group else "RRDS"
        yield rule, timing[rule]


def after_column(
    a: str, b: str, same_bank: bool, same_group: bool, same_sid: bool, timing: TimingSet
) -> Iterator[tuple[str, int]]:
    if b == a:
        rule = "CCDL" if same_group else "CCDS" if same_sid else "CCDR"
        yield f"{rule} of {a}", timing[rule]
    elif b == "WR":
        yield "RTW", timing["RTW"]
    elif b == "RD":
        rule = "WTRL" if same_group else "WTRS"
        yield rule, timing["CWL"] + timing["BL"] + timing[rule]
    elif b == "PREA" or (b == "PRE" and same_bank):
        rule = "RTP" if a == "RD" else "WR"
        least = timing["RTP"] if a == "RD" else timing["CWL"] + timing["BL"] + timing["WR"]
        yield rule + (" to PREA" if b == "PREA" else ""), least


def after_precharge(a: str, b: str, same_bank: bool, timing: TimingSet) -> Iterator[tuple[str, int]]:
    if b in ("PRE", "PREA"):
        yield "PPD", timing["PPD"]
    elif a == "PREA" and b == "ACT":
        yield "RP from PREA", timing["RP"]
    elif a == "PREA" and b in (*REFRESHES, "REFAB"):
        yield "RP from PREA to refresh", timing["RP"]
    elif b == "REFAB":
        yield "RP to REFAB", timing["RP"]
    elif same_bank and b == "ACT":
        yield "RP", timing["RP"]
    elif same_bank and b in REFRESHES:
        yield "RP to refresh", timing["RP"]


def after_refresh(a: str, b: str, same_bank: bool, timing: TimingSet) -> Iterator[tuple[str, int]]:
    rule = {"REFPB": "RFCPB", "RFMPB": "RFM"}[a]
    if b == "REFAB":
        yield f"{rule} to REFAB", timing[rule]
    elif b == "ACT":
        yield (rule, timing[rule]) if same_bank else ("RREFD to ACT", timing["RREFD"])
    elif b in REFRESHES:
        yield (f"{rule} to refresh", timing[rule]) if same_bank else ("RREFD", timing["RREFD"])


@dataclass
class Slow:
    """The state of a memory: `faults` of a command that would come next, `take` it."""

    timing: TimingSet
    past: list[Row] = field(default_factory=list)
    open: dict[tuple[int | None, ...], int | None] = field(default_factory=dict)
    count: dict[tuple[int | None, ...], int] = field(default_factory=dict)
    bus: dict[int, Fraction] = field(default_factory=dict)

    def slacks(self, command: Row) -> dict[str, int]:
        """Rule of pairs -> what is beyond its minimum, from the latest command that it binds to."""
        found: dict[str, int] = {}
        for earlier in self.past:
            for rule, least in needs(earlier, command, self.timing):
                found[rule] = command[0] - earlier[0] - least
        return found

    def faults(self, command: Row) -> set[str]:
        """Rules that the command would break."""
        found = {rule for rule, slack in self.slacks(command).items() if slack < 0}
        checks = {
            "row open": self._no_row(command),
            "bank closed": self._open(command),
            "FAW": self._too_many(command),
            "row bus": self._row_bus(command)[1],
            "data bus": any(self._burst(command) & self._burst(item) for item in self.past),
            "RAAMMT": command[3] == "ACT" and 0 < self.timing.raammt <= self.count.get(command[1:3] + command[4:7], 0),
        }
        return found | {rule for rule, broken in checks.items() if broken}

    def _no_row(self, command: Row) -> bool:
        return command[3] in ("RD", "WR") and command[1:3] + command[4:7] not in self.open

    def _open(self, command: Row) -> bool:
        if command[3] == "REFAB":
            return any(bank[:2] == command[1:3] for bank in self.open)
        return command[3] in ("ACT", *REFRESHES) and command[1:3] + command[4:7] in self.open

    def _too_many(self, command: Row) -> bool:
        if command[3] != "ACT":
            return False
        last = 4 if self.timing.faw_scope == "pseudo_channel" else 5  # channel, pc, ACT, and the SID
        acts = [item[0] for item in self.past if item[1:last] == command[1:last]]
        return len([ck for ck in acts if command[0] - ck < self.timing["FAW"]]) >= 4

    def _burst(self, command: Row) -> set[tuple[int, int, int]]:
        """Channel, pseudo-channel and CK of its data."""
        if command[3] not in ("RD", "WR"):
            return set()
        first = command[0] + self.timing["CL" if command[3] == "RD" else "CWL"]
        return {(command[1], command[2], first + index) for index in range(self.timing["BL"])}

    def _row_bus(self, command: Row) -> tuple[Fraction | None, bool]:
        """When the bus would be free behind the command, and whether it was not free for it in its CK."""
        if command[3] in ("RD", "WR"):
            return None, False
        of = self.timing.organization
        length = Fraction(of.act_bus_ck if command[3] == "ACT" else of.row_bus_ck)
        free = self.bus.get(command[1], Fraction(0))
        starts = (
            [Fraction(command[0]), command[0] + Fraction(1, 2)] if length == Fraction(1, 2) else [Fraction(command[0])]
        )
        fitting = [start for start in starts if start >= free]
        if fitting:
            return fitting[0] + length, False
        return max(free, command[0] + length), True

    def take(self, command: Row) -> None:
        """The command comes, legal or not."""
        free, _ = self._row_bus(command)
        if free is not None:
            self.bus[command[1]] = free
        self.past.append(command)
        bank, pc = command[1:3] + command[4:7], command[1:3]
        match command[3]:
            case "ACT":
                self.open[bank] = command[7]
                self.count[bank] = self.count.get(bank, 0) + 1
            case "PRE":
                self.open.pop(bank, None)
            case "PREA":
                self.open = {place: row for place, row in self.open.items() if place[:2] != pc}
            case "REFPB" | "RFMPB":
                self.count[bank] = max(0, self.count.get(bank, 0) - self.timing.raaimt)
            case "REFAB":
                for place in [place for place in self.count if place[:2] == pc]:
                    self.count[place] = max(0, self.count[place] - self.timing.raaimt)


def refresh_faults(rows: list[Row], timing: TimingSet, channels: set[int], end: int) -> set[tuple[int, str]]:
    """(index of the command, rule) of refreshes that are late or early; (ck, rule) with -1 for what is missing.

    What is missing at the end counts once for each bank: (-1 - number of the bank, rule).
    """
    of, most, found = timing.organization, timing.refresh_postpone, set()
    banks = [
        (channel, pc, sid, group, bank)
        for channel in sorted(channels)
        for pc in range(of.pseudo_channels)
        for sid in range(of.sids)
        for group in range(of.bank_groups)
        for bank in range(of.banks_per_group)
    ]
    for number, place in enumerate(banks):
        received = 0
        for index, command in enumerate(rows):
            whole = command[3] == "REFAB" and command[1:3] == place[:2]
            if not whole and not (command[3] == "REFPB" and command[1:3] + command[4:7] == place):
                continue
            due_before = len(range(timing["REFI"], command[0], timing["REFI"]))
            if due_before - received > most:
                found.add((index, "refresh late"))
            received += 1
            if received - command[0] // timing["REFI"] > most:
                found.add((index, "refresh early"))
        if end // timing["REFI"] - received > most:
            found.add((-1 - number, "refresh late"))
    return found

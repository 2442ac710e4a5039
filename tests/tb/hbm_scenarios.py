"""For every distance between commands: what stands before, the two commands, and the minimum in CK."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mtia.hbm import TimingSet

from .hbm_player import Command, offset

#: Banks relative to A: B in the same group, C in another group, D in another SID.
BANKS: dict[str, dict[str, int]] = {
    "A": {},
    "B": {"bank": 1},
    "C": {"bank_group": 1},
    "D": {"sid": 1},
}


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """``before`` and ``now`` at the distance of a rule, with ``opened`` banks, all as "COMMAND bank".

    ``between`` follows ``before`` in the same or the next cycles; what it breaks itself does not count.
    """

    rule: str
    before: str
    now: str
    minimum: int
    opened: str = ""
    between: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.rule}: {self.before} to {self.now}"

    def cycles(self, pc: int) -> int:
        """The least cycles from ``before`` to ``now``."""
        shift = offset(self.before.split()[0], pc) - offset(self.now.split()[0], pc)
        return -(-(self.minimum + shift) // 2)

    def commands(self, pc: int, distance: int, quiet: int) -> list[Command]:
        """The whole story, with ``quiet`` cycles between its parts; ``now`` is the last."""
        story = [(quiet * (place + 1), *_command(f"ACT {bank}", pc)) for place, bank in enumerate(self.opened)]
        start = quiet * (len(self.opened) + 1)
        story.append((start, *_command(self.before, pc)))
        for place, text in enumerate(self.between):
            late = offset(text.split()[0], pc) <= offset(self.before.split()[0], pc)
            story.append((start + place + late, *_command(text, pc)))
        return [*story, (start + distance, *_command(self.now, pc))]


def _command(text: str, pc: int) -> tuple[str, Mapping[str, int]]:
    name, _, bank = text.partition(" ")
    fields = dict(BANKS[bank[0]]) if bank else {}
    if bank[1:]:  # a second place in the same bank, or a further bank of the group
        fields["column" if name in ("RD", "WR") else "bank"] = int(bank[1:])
    return name, {"pc": pc, **fields}


def scenarios(timing: TimingSet) -> Iterator[Scenario]:
    """All of them for a set; those with another SID only where there is one."""
    for scenario in (*_rows(timing), *_columns(timing), *_refreshes(timing)):
        if timing.organization.sids > 1 or "D" not in scenario.opened + scenario.before[-1] + scenario.now[-1]:
            yield scenario


def _rows(t: TimingSet) -> Iterator[Scenario]:
    yield Scenario(rule="RC", before="ACT A", now="ACT A", minimum=t["RC"], between=("PRE A",))
    yield Scenario(rule="RRDL", before="ACT A", now="ACT B", minimum=t["RRDL"])
    for other in "CD":
        yield Scenario(rule="RRDS", before="ACT A", now=f"ACT {other}", minimum=t["RRDS"])
    three = ("ACT A1", "ACT A2", "ACT A3")
    yield Scenario(rule="FAW", before="ACT A", now="ACT C", minimum=t["FAW"], between=three)
    for last in ("PRE A", "PREA"):
        yield Scenario(rule="RAS", before="ACT A", now=last, minimum=t["RAS"])
        yield Scenario(rule="RTP", before="RD A", now=last, minimum=t["RTP"], opened="A")
        yield Scenario(rule="WR", before="WR A", now=last, minimum=t["CWL"] + t["BL"] + t["WR"], opened="A")
        for now in ("ACT A", "REFPB A", "RFMPB A", "REFAB"):
            yield Scenario(rule="RP", before=last, now=now, minimum=t["RP"], opened="A")
    yield Scenario(rule="PPD", before="PRE A", now="PRE B", minimum=t["PPD"], opened="AB")
    yield Scenario(rule="PPD", before="PRE A", now="PREA", minimum=t["PPD"], opened="AB")
    yield Scenario(rule="PPD", before="PREA", now="PRE A", minimum=t["PPD"], opened="AB")


def _columns(t: TimingSet) -> Iterator[Scenario]:
    after_write = t["CWL"] + t["BL"]
    for kind, rcd in (("RD", "RCDRD"), ("WR", "RCDWR")):
        yield Scenario(rule=rcd, before="ACT A", now=f"{kind} A", minimum=t[rcd])
        for other, rule in (("A1", "CCDL"), ("B", "CCDL"), ("C", "CCDS"), ("D", "CCDR")):
            opened = "A" + other[0].replace("A", "")
            yield Scenario(rule=rule, before=f"{kind} A", now=f"{kind} {other}", minimum=t[rule], opened=opened)
    for other in ("A", "B", "C", "D"):
        opened = "A" + other.replace("A", "")
        yield Scenario(rule="RTW", before="RD A", now=f"WR {other}", minimum=t["RTW"], opened=opened)
        rule = "WTRL" if other in "AB" else "WTRS"
        yield Scenario(rule=rule, before="WR A", now=f"RD {other}", minimum=after_write + t[rule], opened=opened)


def _refreshes(t: TimingSet) -> Iterator[Scenario]:
    for first, rule in (("REFPB", "RFCPB"), ("RFMPB", "RFM")):
        for now in ("ACT A", "REFPB A", "RFMPB A", "REFAB"):
            yield Scenario(rule=rule, before=f"{first} A", now=now, minimum=t[rule])
        for now in ("REFPB B", "RFMPB C", "ACT B", "ACT D"):
            yield Scenario(rule="RREFD", before=f"{first} A", now=now, minimum=t["RREFD"])
        for bank, near in (("B", "RRDL"), ("C", "RRDS"), ("D", "RRDS")):
            yield Scenario(rule=near, before="ACT A", now=f"{first} {bank}", minimum=t[near])
    for now in ("REFPB A", "RFMPB A", "REFAB"):
        yield Scenario(rule="RC", before="ACT A", now=now, minimum=t["RC"], between=("PRE A",))
    for now in ("ACT A", "PRE A", "PREA", "REFPB A", "RFMPB A", "REFAB"):
        yield Scenario(rule="RFCAB", before="REFAB", now=now, minimum=t["RFCAB"])

"""Every timing rule of every set: traces written from the definitions, legal at the minimum, illegal 1 CK before."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from golden.hbm import Report, check
from golden.hbm_rules import RULES
from mtia import hbm
from mtia.hbm_timing import TimingSet
from tests.golden.hbm_commands import GROUP, OTHER, SID, A, Bank, Row, row, sets

BASE = 50_000
#: long before: every distance is over
EARLY = 20_000


@dataclass(frozen=True)
class Edge:
    """A command that comes `least` CK after one at `BASE`; `also`: rules that may be broken with this one."""

    rule: str
    before: tuple[Row, ...]
    name: str
    bank: Bank
    least: Callable[[TimingSet], int]
    also: tuple[str, ...] = ()
    pc: int = 0

    def trace(self, timing: TimingSet, distance: int) -> list[Row]:
        return [*self.before, row(BASE + distance, self.name, self.bank, pc=self.pc)]

    def __str__(self) -> str:
        bank = "".join(map(str, self.bank))
        return f"{self.rule}-{self.before[-1][3]}-{self.name}-{bank}".replace(" ", "_")


def of(name: str) -> Callable[[TimingSet], int]:
    """A minimum that is a parameter."""
    return lambda timing: timing[name]


def after_write(name: str) -> Callable[[TimingSet], int]:
    """A minimum counted from the end of the data of a write."""
    return lambda timing: timing["CWL"] + timing["BL"] + timing[name]


def opened(*banks: Bank) -> tuple[Row, ...]:
    """ACTs long before."""
    return tuple(row(EARLY + 1000 * index, "ACT", bank) for index, bank in enumerate(banks))


def single(rule: str, first: str, later: str, bank: Bank, least: Callable[[TimingSet], int], *also: str) -> Edge:
    """An edge between two commands alone; the first is on bank A."""
    return Edge(rule, (row(BASE, first),), later, bank, least, also)


def on_open(rule: str, first: str, later: str, bank: Bank, least: Callable[[TimingSet], int], *also: str) -> Edge:
    """An edge between two commands of banks that are open."""
    banks = (A,) if bank == A else (A, bank)
    return Edge(rule, (*opened(*banks), row(BASE, first)), later, bank, least, also)


EDGES: list[Edge] = [
    single("RCDRD", "ACT", "RD", A, of("RCDRD")),
    single("RCDWR", "ACT", "WR", A, of("RCDWR")),
    single("RAS", "ACT", "PRE", A, of("RAS")),
    single("RAS to PREA", "ACT", "PREA", A, of("RAS")),
    on_open("RTP", "RD", "PRE", A, of("RTP")),
    on_open("RTP to PREA", "RD", "PREA", A, of("RTP")),
    on_open("WR", "WR", "PRE", A, after_write("WR")),
    on_open("WR to PREA", "WR", "PREA", A, after_write("WR")),
    on_open("RP", "PRE", "ACT", A, of("RP")),
    *(on_open("RP to refresh", "PRE", later, A, of("RP")) for later in ("REFPB", "RFMPB")),
    on_open("RP to REFAB", "PRE", "REFAB", A, of("RP")),
    *(on_open("RP from PREA", "PREA", "ACT", bank, of("RP")) for bank in (A, GROUP, OTHER, SID)),
    *(on_open("RP from PREA to refresh", "PREA", later, A, of("RP")) for later in ("REFPB", "RFMPB", "REFAB")),
    single("RRDL", "ACT", "ACT", GROUP, of("RRDL")),
    *(single("RRDS", "ACT", "ACT", bank, of("RRDS")) for bank in (OTHER, SID)),
    *(single("PPD", "PRE", "PRE", bank, of("PPD"), "row bus") for bank in (GROUP, OTHER, SID)),
    *(single("PPD", *pair, A, of("PPD"), "row bus") for pair in (("PRE", "PREA"), ("PREA", "PRE"), ("PREA", "PREA"))),
    *(on_open("CCDL of RD", "RD", "RD", bank, of("CCDL")) for bank in (A, GROUP)),
    on_open("CCDS of RD", "RD", "RD", OTHER, of("CCDS"), "data bus"),
    on_open("CCDR of RD", "RD", "RD", SID, of("CCDR"), "data bus"),
    *(on_open("CCDL of WR", "WR", "WR", bank, of("CCDL")) for bank in (A, GROUP)),
    on_open("CCDS of WR", "WR", "WR", OTHER, of("CCDS"), "data bus"),
    on_open("CCDR of WR", "WR", "WR", SID, of("CCDR"), "data bus"),
    *(on_open("WTRL", "WR", "RD", bank, after_write("WTRL")) for bank in (A, GROUP)),
    *(on_open("WTRS", "WR", "RD", bank, after_write("WTRS")) for bank in (OTHER, SID)),
    *(on_open("RTW", "RD", "WR", bank, of("RTW"), "data bus") for bank in (A, GROUP, OTHER, SID)),
    single("RFCPB", "REFPB", "ACT", A, of("RFCPB")),
    *(single("RFCPB to refresh", "REFPB", later, A, of("RFCPB")) for later in ("REFPB", "RFMPB")),
    single("RFCPB to REFAB", "REFPB", "REFAB", A, of("RFCPB")),
    single("RFM", "RFMPB", "ACT", A, of("RFM")),
    *(single("RFM to refresh", "RFMPB", later, A, of("RFM")) for later in ("REFPB", "RFMPB")),
    single("RFM to REFAB", "RFMPB", "REFAB", A, of("RFM")),
    *(single("RFCAB", "REFAB", name, OTHER, of("RFCAB")) for name in ("ACT", "PRE", "PREA")),
    *(single("RFCAB", "REFAB", name, OTHER, of("RFCAB")) for name in ("REFPB", "RFMPB", "REFAB")),
    *(single("RFCAB", "REFAB", name, OTHER, of("RFCAB"), "row open") for name in ("RD", "WR")),
    *(
        single("RREFD", first, later, bank, of("RREFD"))
        for first in ("REFPB", "RFMPB")
        for later in ("REFPB", "RFMPB")
        for bank in (GROUP, OTHER, SID)
    ),
    *(
        single("RREFD to ACT", first, "ACT", bank, of("RREFD"))
        for first in ("REFPB", "RFMPB")
        for bank in (GROUP, OTHER, SID)
    ),
    *(single("RC to refresh", "ACT", later, A, of("RC"), "bank closed") for later in ("REFPB", "RFMPB")),
    single("RC to REFAB", "ACT", "REFAB", A, of("RC"), "bank closed"),
    *(single("RRDL to refresh", "ACT", later, GROUP, of("RRDL")) for later in ("REFPB", "RFMPB")),
    *(
        single("RRDS to refresh", "ACT", later, bank, of("RRDS"))
        for later in ("REFPB", "RFMPB")
        for bank in (OTHER, SID)
    ),
    Edge(
        "column bus",
        (row(EARLY, "ACT"), row(EARLY + 1000, "ACT", pc=1), row(BASE, "RD")),
        "WR",
        A,
        lambda timing: 1,
        pc=1,
    ),
]


def rules_of(report: Report, ck: int | None = None) -> set[str]:
    return {item.rule for item in report.violations if ck is None or item.ck == ck}


def assert_edge(trace: Callable[[int], list[Row]], rule: str, timing: TimingSet, least: int, also: set[str]) -> None:
    """The trace that ends with a command at a distance breaks the rule at `least` - 1 and not at `least`."""
    legal = check(trace(least), timing, refresh="off")
    assert rules_of(legal) <= also - {rule}
    assert (legal.closest[rule].slack, legal.closest[rule].exact >= 1) == (0, True)
    illegal = check(trace(least - 1), timing, refresh="off")
    assert rule in rules_of(illegal, trace(least - 1)[-1][0])
    assert rules_of(illegal) <= also | {rule}
    assert illegal.closest[rule].slack == -1


def test_every_row_of_the_table_has_an_edge() -> None:
    assert {rule.name for rule in RULES} - {"RC"} == {edge.rule for edge in EDGES}


@pytest.mark.parametrize("timing", sets(), ids=lambda item: item.name)
@pytest.mark.parametrize("edge", EDGES, ids=str)
def test_edge(edge: Edge, timing: TimingSet) -> None:
    also = set(edge.also)
    assert_edge(lambda distance: edge.trace(timing, distance), edge.rule, timing, edge.least(timing), also)


@pytest.mark.parametrize("edge", [edge for edge in EDGES if edge.rule != "column bus"], ids=str)
def test_pseudo_channels_and_channels_are_apart(edge: Edge) -> None:
    """The same commands 1 CK too near are no matter when the last is of another pseudo-channel or channel."""
    timing = hbm.get("HBM3-6.4")
    for pc, channel in ((1, 0), (0, 1), (1, 1)):
        rows = [*edge.before, row(BASE + edge.least(timing) - 1, edge.name, edge.bank, pc=pc, channel=channel)]
        if edge.name in ("RD", "WR"):  # which need an open row there
            rows.insert(0, row(BASE - 40_000, "ACT", edge.bank, pc=pc, channel=channel))
        assert check(rows, timing, refresh="off").violations == []


@pytest.mark.parametrize("timing", sets(), ids=lambda item: item.name)
def test_rc(timing: TimingSet) -> None:
    """Where RAS + RP is longer than RC, RP is broken with it, and at RC itself."""

    def trace(distance: int) -> list[Row]:
        return [row(BASE, "ACT"), row(BASE + timing["RAS"], "PRE"), row(BASE + distance, "ACT")]

    longer = timing["RAS"] + timing["RP"] - timing["RC"]
    assert_edge(trace, "RC", timing, timing["RC"], {"RP"} if longer >= 0 else set())
    assert rules_of(check(trace(timing["RC"]), timing, refresh="off")) == ({"RP"} if longer > 0 else set())


@pytest.mark.parametrize("scope", ["pseudo_channel", "sid"])
@pytest.mark.parametrize("timing", sets(), ids=lambda item: item.name)
def test_faw(timing: TimingSet, scope: str) -> None:
    """The fifth ACT comes FAW after the first; four ACTs of HBM2 take longer by themselves."""
    timing = replace(timing, faw_scope=scope)
    step = timing["RRDL"]
    banks: list[Bank] = [(0, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1), (0, 0, 2)]

    def trace(distance: int, last: Bank = banks[4]) -> list[Row]:
        acts = [row(BASE + step * index, "ACT", bank) for index, bank in enumerate(banks[:4])]
        return [*acts, row(BASE + distance, "ACT", last)]

    tight = 4 * timing["RRDL"] > timing["FAW"]
    assert_edge(trace, "FAW", timing, timing["FAW"], {"RRDS", "RRDL"} if tight else set())
    other = rules_of(check(trace(timing["FAW"] - 1, SID), timing, refresh="off"))
    assert ("FAW" in other) == (scope == "pseudo_channel")
    assert timing.name == "HBM2-2.0" or other <= {"FAW"}


@pytest.mark.parametrize("timing", sets(), ids=lambda item: item.name)
def test_data_bus(timing: TimingSet) -> None:
    """The data of a write right behind that of a read; RTW would have to be shorter to break this alone."""
    least = timing["CL"] + timing["BL"] - timing["CWL"]
    timing = timing.with_parameters(RTW=least)
    before = [row(EARLY, "ACT"), row(EARLY + 1000, "ACT", OTHER), row(BASE, "RD")]
    assert_edge(lambda d: [*before, row(BASE + d, "WR", OTHER)], "data bus", timing, least, {"RTW"})


ROW_BUS = [
    # first, second (of the other pseudo-channel), CK between them: HBM2, the others
    ("ACT", "ACT", 2, 2),
    ("ACT", "PRE", 2, 1),
    ("PRE", "ACT", 1, 1),
    ("REFPB", "ACT", 1, 1),
    ("ACT", "REFAB", 2, 1),
]


@pytest.mark.parametrize("timing", sets(), ids=lambda item: item.name)
@pytest.mark.parametrize("first,second,hbm2,others", ROW_BUS)
def test_row_bus(first: str, second: str, hbm2: int, others: int, timing: TimingSet) -> None:
    least = hbm2 if timing.organization.standard == "HBM2" else others
    assert_edge(
        lambda distance: [row(BASE, first), row(BASE + distance, second, pc=1)], "row bus", timing, least, set()
    )


@pytest.mark.parametrize("timing", sets(), ids=lambda item: item.name)
def test_row_bus_halves(timing: TimingSet) -> None:
    """Two commands of half a CK fit in one, a third does not, nor any beside the second half of an ACT's 1.5."""
    half = timing.organization.standard != "HBM2"
    two = [row(BASE, "PRE"), row(BASE, "PRE", pc=1)]
    assert rules_of(check(two, timing, refresh="off")) == (set() if half else {"row bus"})
    assert "row bus" in rules_of(check([*two, row(BASE, "REFPB", OTHER)], timing, refresh="off"))
    full = [row(BASE, "ACT"), row(BASE + 1, "PRE", OTHER, pc=1), row(BASE + 1, "PRE", SID)]
    report = check(full, timing, refresh="off")
    assert [item.line for item in report.violations if item.rule == "row bus"] == ([2] if half else [1, 2])
    # behind the first half of CK + 1 and the PRE in the second half there is room again at CK + 2
    again = [*full[:2], row(BASE + 2, "ACT", SID, pc=1)]
    assert [item.line for item in check(again, timing, refresh="off").violations] == ([] if half else [1])

"""State rules, refresh, RFM and the rest of the report of the checker of HBM traces."""

import re
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from golden.hbm import Report, check
from mtia import hbm
from mtia.hbm_timing import TimingSet
from tests.golden.hbm_commands import GROUP, OTHER, SID, row, sets

HBM3 = hbm.get("HBM3-6.4")
GAP = 10_000


def spaced(*commands: tuple[int | str | None, ...]) -> list[tuple[int | str | None, ...]]:
    """Commands far apart, whatever their ck."""
    return [(GAP * (index + 1), *command[1:]) for index, command in enumerate(commands)]


def found(rows: Iterable[tuple[int | str | None, ...]], timing: TimingSet = HBM3) -> list[tuple[int, str]]:
    """Index of the command and rule of each violation."""
    return [(item.line, item.rule) for item in check(rows, timing, refresh="off").violations]


def test_columns_need_an_open_row() -> None:
    for name in ("RD", "WR"):
        assert found(spaced(row(0, name))) == [(0, "row open")]
        assert found(spaced(row(0, "ACT"), row(0, name), row(0, name, OTHER))) == [(2, "row open")]
        assert found(spaced(row(0, "ACT"), row(0, "PRE"), row(0, name))) == [(2, "row open")]
        assert found(spaced(row(0, "ACT"), row(0, "PREA"), row(0, name))) == [(2, "row open")]
        assert found(spaced(row(0, "ACT"), row(0, "PREA", pc=1), row(0, name))) == []
        assert found(spaced(row(0, "ACT"), row(0, name, pc=1), row(0, name, channel=1))) == [
            (1, "row open"),
            (2, "row open"),
        ]


def test_a_row_of_a_column_command_is_the_open_one() -> None:
    """The row is optional there; where it stands it counts."""
    read = (*row(0, "RD")[:7], 3, 3)
    other = (*row(0, "RD")[:7], 4, 3)
    report = check(spaced(row(0, "ACT", at=3), read, other), HBM3, refresh="off")
    assert [(item.line, item.rule) for item in report.violations] == [(2, "row open")]
    assert "asks for row 4, row 3 is open since 10000" in report.violations[0].text


@pytest.mark.parametrize("name", ["ACT", "REFPB", "RFMPB"])
def test_commands_of_a_closed_bank(name: str) -> None:
    rows = spaced(row(0, "ACT", at=7), row(0, name))
    (violation,) = check(rows, HBM3, refresh="off").violations
    assert (violation.rule, violation.line, violation.ck) == ("bank closed", 1, 2 * GAP)
    assert "row 7 is open since 10000" in violation.text
    assert found(spaced(row(0, "ACT"), row(0, name, GROUP), row(0, name, SID), row(0, name, pc=1))) == []
    assert found(spaced(row(0, "ACT"), row(0, "PRE"), row(0, name))) == []


def test_after_a_refused_act_the_new_row_is_open() -> None:
    rows = spaced(row(0, "ACT", at=1), row(0, "ACT", at=2), row(0, "PRE"), row(0, "RD"))
    assert found(rows) == [(1, "bank closed"), (3, "row open")]


def test_refab_needs_all_banks_closed() -> None:
    opened = [row(0, "ACT"), row(0, "ACT", OTHER), row(0, "ACT", SID)]
    report = check(spaced(*opened, row(0, "PRE", OTHER), row(0, "REFAB")), HBM3, refresh="off")
    assert [(item.line, item.rule) for item in report.violations] == [(4, "bank closed")]
    assert "2 are open" in report.violations[0].text
    assert found(spaced(*opened, row(0, "PREA"), row(0, "REFAB"))) == []
    assert found(spaced(*opened, row(0, "PREA"), row(0, "ACT"), row(0, "REFAB"))) == [(5, "bank closed")]
    assert found(spaced(row(0, "ACT", pc=1), row(0, "REFAB"), row(0, "ACT", channel=1), row(0, "REFAB"))) == []
    again = [row(0, "ACT"), row(0, "PRE"), row(0, "PRE"), row(0, "REFAB")]
    assert found(spaced(*again)) == []


def test_idle_precharges_are_legal_and_counted() -> None:
    report = check(spaced(row(0, "PRE"), row(0, "ACT"), row(0, "PRE"), row(0, "PRE")), HBM3, refresh="off")
    assert (report.violations, report.idle_precharges) == ([], 2)
    assert report.commands == {"ACT": 1, "PRE": 3} | dict.fromkeys(("PREA", "REFPB", "REFAB", "RFMPB", "RD", "WR"), 0)


FIELDS = {"channel": (1, 16), "pc": (2, 2), "sid": (4, 2), "bank_group": (5, 4), "bank": (6, 4), "row": (7, 16384)}


@pytest.mark.parametrize("name", FIELDS)
def test_fields_are_in_range(name: str) -> None:
    """A command with a field too large is reported and counts for nothing else."""
    place, count = FIELDS[name]
    for value, expected in ((count - 1, []), (count, [(0, "field")])):
        act = row(0, "ACT")
        rows = spaced((*act[:place], value, *act[place + 1 :]), row(0, "PRE"))
        assert found(rows) == expected


def test_column_is_in_range() -> None:
    assert found(spaced(row(0, "ACT"), row(0, "RD", at=31), row(0, "RD", at=32))) == [(2, "field")]


def test_only_channels_of_the_trace() -> None:
    rows = spaced(row(0, "PRE", channel=1), row(0, "PRE", channel=2))
    report = check(rows, HBM3, refresh="off", channels=[1])
    assert [(item.line, item.rule, item.channel) for item in report.violations] == [(1, "field", 2)]
    with pytest.raises(ValueError, match="channels must be below 16, not"):
        check(rows, HBM3, channels=[16])


def test_order_of_ck() -> None:
    """A command out of order is reported; distances are then those in time."""
    least = HBM3["RCDRD"]
    rows = [row(GAP + least, "RD"), row(GAP, "ACT"), row(GAP + least, "PRE", OTHER)]
    assert found(rows) == [(1, "order")]
    assert found([row(5, "PRE"), row(5, "PRE", pc=1)]) == []


@pytest.mark.parametrize("timing", sets(), ids=lambda item: item.name)
@pytest.mark.parametrize("mode,name", [("per-bank", "REFPB"), ("all-bank", "REFAB")])
def test_refresh_is_late_after_nine_intervals(mode: str, name: str, timing: TimingSet) -> None:
    """Owed 8 at 8 REFI: a 9th falls due at 9 REFI, at which CK a refresh is in time."""
    timing = one_bank(timing)
    deadline = 9 * timing["REFI"]

    def verdict(*cks: int, end: int) -> list[tuple[int, str, int]]:
        rows = [row(ck, name, pc=pc) for ck in cks for pc in (0, 1)]
        report = check(rows, timing, refresh=mode, channels=[0], end=end)
        return [(item.ck, item.rule, item.pc) for item in report.violations]

    late = "refresh late"
    assert verdict(end=deadline - 1) == []
    assert verdict(end=deadline) == [(deadline, late, 0), (deadline, late, 1)]
    assert verdict(deadline, end=deadline) == []
    assert verdict(deadline + 1, end=deadline + 1) == [(deadline + 1, late, 0), (deadline + 1, late, 1)]
    # the second is due one interval later, the end counts for what is missing then
    second = deadline + timing["REFI"]
    assert verdict(deadline, end=second - 1) == []
    assert verdict(deadline, second, end=second) == []
    assert verdict(deadline, second + 1, end=second + 1) == [(second + 1, late, 0), (second + 1, late, 1)]
    assert verdict(deadline, end=second) == [(second, late, 0), (second, late, 1)]


@pytest.mark.parametrize("timing", sets(), ids=lambda item: item.name)
@pytest.mark.parametrize("mode,name", [("per-bank", "REFPB"), ("all-bank", "REFAB")])
def test_refresh_is_at_most_eight_ahead(mode: str, name: str, timing: TimingSet) -> None:
    """Eight before the first falls due; the ninth at REFI."""
    timing = one_bank(timing).with_parameters(RFCPB=100, RFCAB=100, RREFD=2)
    first = [row(100 * index, name) for index in range(8)]
    for ck, expected in ((timing["REFI"] - 1, ["refresh early"]), (timing["REFI"], [])):
        report = check([*first, row(ck, name)], timing, refresh=mode, end=ck)
        assert [item.rule for item in report.violations] == expected
        assert report.closest["refresh early"].slack == (-1 if expected else 0)


def one_bank(timing: TimingSet) -> TimingSet:
    """The set on a single bank, which then is all that is owed a refresh; two row commands fit in a CK."""
    organization = replace(timing.organization, sids=1, bank_groups=1, banks_per_group=1, row_bus_ck=0.5)
    return replace(timing, organization=organization)


def test_postponing_fewer() -> None:
    timing = replace(one_bank(HBM3), refresh_postpone=1)
    interval = timing["REFI"]
    for ck, expected in ((2 * interval, []), (2 * interval + 1, ["refresh late"])):
        rows = [row(ck, "REFPB"), row(ck, "REFPB", pc=1)]
        assert [item.rule for item in check(rows, timing).violations] == expected * 2


def test_every_bank_is_owed_its_own() -> None:
    """One of the 32 banks of each pseudo-channel is left out, and refreshes of one do not count for another."""
    of, end = HBM3.organization, 9 * HBM3["REFI"]
    banks = [(sid, group, bank) for sid in range(2) for group in range(4) for bank in range(of.banks_per_group)]
    rows = [row(1000 * index, "REFPB", bank) for index, bank in enumerate(banks) if bank != SID]
    report = check(rows, HBM3, channels=[0], end=end)
    assert [(item.ck, item.pc, item.rule) for item in report.violations if item.pc == 0] == [(end, 0, "refresh late")]
    assert "sid 1, bank_group 0, bank 0 is owed 9 refreshes at the end" in report.violations[0].text
    assert len(report.violations) == 1 + 32
    expected = np.full((2, 4, 4), 8)
    expected[SID] = 9
    assert np.array_equal(report.refresh[0, 0], expected)
    assert (report.refresh[0, 1] == 9).all()


def test_channels_that_say_nothing_are_owed_too() -> None:
    end = 9 * HBM3["REFI"]
    assert len(check([], HBM3, channels=[0, 5], end=end).violations) == 2 * 2 * 32
    assert {item.channel for item in check([], HBM3, channels=[0, 5], end=end).violations} == {0, 5}
    assert check([], HBM3, end=end).violations == []
    assert check([], HBM3, channels=[0], end=end, refresh="off").violations == []


def test_refab_counts_for_every_bank_but_refpb_not_for_all() -> None:
    end = 9 * HBM3["REFI"]
    rows = [row(1000, "REFAB"), row(1000, "REFAB", pc=1)]
    assert check(rows, HBM3, end=end, refresh="per-bank").violations == []
    rows = [row(1000, "REFPB"), row(1000, "REFPB", pc=1)]
    assert len(check(rows, HBM3, end=end, refresh="all-bank").violations) == 2


@pytest.mark.parametrize("name", ["REFPB", "RFMPB", "REFAB"])
def test_raammt(name: str) -> None:
    """A bank's count: up by 1 with ACT, down by RAAIMT with what refreshes, not below 0, at most RAAMMT."""
    timing = replace(HBM3, raaimt=3, raammt=5)
    act, lower = [row(0, "ACT"), row(0, "PRE")], [row(0, name)]
    other = [row(0, "ACT", OTHER), row(0, "PRE", OTHER)]
    assert found(spaced(*act * 5), timing) == []
    assert found(spaced(*act * 6), timing) == [(10, "RAAMMT")]
    assert found(spaced(*act * 5, *other * 5), timing) == []
    assert found(spaced(*act * 5, *lower, *act * 3), timing) == []
    assert found(spaced(*act * 5, *lower, *act * 4), timing) == [(17, "RAAMMT")]
    assert found(spaced(*act * 2, *lower, *act * 5), timing) == []  # from 0, not from -1
    assert found(spaced(*act * 2, *lower, *act * 6), timing) == [(15, "RAAMMT")]
    elsewhere = [row(0, name, OTHER, pc=1)]
    assert found(spaced(*act * 5, *elsewhere, *act), timing) == [(11, "RAAMMT")]
    if name != "REFAB":
        assert found(spaced(*act * 5, row(0, name, OTHER), *act), timing) == [(11, "RAAMMT")]
    assert check(spaced(*act * 5), timing, refresh="off").closest["RAAMMT"][:2] == (0, 1)
    assert found(spaced(*act * 9), replace(timing, raaimt=0, raammt=0)) == []


def test_use_of_the_data_bus() -> None:
    """Four bursts of 2 CK up to the end, or up to the last data where that is later."""
    reads = [row(GAP + 100 + 4 * index, "RD") for index in range(4)]
    report = check([row(GAP, "ACT"), *reads], HBM3, refresh="off", end=19_999)
    assert (report.data_bus, report.end) == ({(0, 0): 8 / 20_000}, 19_999)
    report = check([row(GAP, "ACT"), *reads], HBM3, refresh="off")
    assert report.data_bus[0, 0] == 8 / (GAP + 112 + HBM3["CL"] + 2)
    with pytest.raises(ValueError, match=re.escape(f"end must be at least the last command's {GAP + 112}, not 7")):
        check([row(GAP, "ACT"), *reads], HBM3, end=7)


def test_a_violation_says_what_came_when() -> None:
    (violation,) = check([row(100, "ACT", OTHER), row(130, "RD", OTHER)], "HBM3-6.4", refresh="off").violations
    assert violation[:4] == (130, 0, 0, "RCDRD")
    assert violation.text == (
        "RD (pc 0, sid 0, bank_group 1, bank 0, column 3) at 130 comes 30 CK after "
        "ACT (pc 0, sid 0, bank_group 1, bank 0, row 3) at 100, not at least 31 (RCDRD)"
    )


def test_no_commands() -> None:
    report: Report = check([], HBM3)
    assert (report.violations, report.refresh, report.data_bus, report.end) == ([], {}, {}, 0)
    assert all(near == (None, 0, 0) for near in report.closest.values())


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"Timing set must be one of .*, not 'HBM3-6.5'"):
        check([], "HBM3-6.5")
    with pytest.raises(ValueError, match="refresh must be one of per-bank, all-bank, off, not 'all'"):
        check([], HBM3, refresh="all")

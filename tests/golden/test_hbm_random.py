"""The checker of HBM traces against the plain pairwise one, on random traces: legal, nearly legal, wild."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from golden.hbm import check
from golden.hbm_rules import RULES
from mtia.hbm_timing import TimingSet
from tests.golden.hbm_commands import FIELDS, Row, row, sets
from tests.golden.hbm_pairwise import Slow, refresh_faults

WEIGHTS = {"ACT": 6, "RD": 8, "WR": 8, "PRE": 4, "PREA": 1, "REFPB": 2, "REFAB": 1, "RFMPB": 2}


def small(timing: TimingSet, scope: str) -> TimingSet:
    """The set with few banks and short limits, so that every rule is met by few commands."""
    organization = replace(timing.organization, channels=2, sids=2, bank_groups=2, banks_per_group=2)
    return replace(timing, organization=organization, faw_scope=scope, raaimt=2, raammt=4, refresh_postpone=2)


def random_row(rng: np.random.Generator, ck: int) -> Row:
    names = list(WEIGHTS)
    name = names[int(rng.choice(len(names), p=np.array(list(WEIGHTS.values())) / sum(WEIGHTS.values())))]
    sid, group, bank, pc, channel = (int(item) for item in rng.integers(0, 2, 5))
    return row(ck, name, (sid, group, bank), pc=pc, channel=channel, at=int(rng.integers(0, 32)))


def wild(rng: np.random.Generator, timing: TimingSet, count: int) -> list[Row]:
    """Commands one upon the other."""
    rows, ck = [], 0
    for _ in range(count):
        rows.append(random_row(rng, ck))
        ck += int(rng.choice([0, 1, 2, 3, 10, 40, 3000], p=[0.25, 0.25, 0.2, 0.15, 0.1, 0.045, 0.005]))
    return rows


def careful(rng: np.random.Generator, timing: TimingSet, count: int, hasty: float) -> list[Row]:
    """Commands that come as early as is legal; a share of them 1 CK before that."""
    slow, ck = Slow(timing), 0
    waiting: list[Row] = []
    while len(slow.past) < count:
        command = waiting.pop() if waiting else random_row(rng, ck)
        if command[3] == "REFAB" and any(bank[:2] == command[1:3] for bank in slow.open):
            waiting.append(command)  # once all banks are closed
            command = row(ck, "PREA", channel=command[1], pc=command[2])
        state = slow.faults((ck + (1 << 30), *command[1:])) & {"row open", "bank closed", "RAAMMT"}
        if state:
            continue
        at = max([ck, *(ck - slack for slack in slow.slacks(command).values())])
        while slow.faults((at, *command[1:])):
            at += 1
        if rng.random() < hasty and at > ck:
            at -= 1
        slow.take((at, *command[1:]))
        ck = at + (int(rng.integers(0, 3000)) if rng.random() < 0.02 else 0)
    return slow.past


def slowly(rows: Iterable[Row], timing: TimingSet) -> tuple[set[tuple[int, str]], dict[str, tuple[int, int, int]]]:
    """(index, rule) of what is broken, and of rules of pairs the smallest slack, how often 0, how often met."""
    slow, found = Slow(timing), set()
    seen: dict[str, list[int]] = {}
    for index, command in enumerate(rows):
        found |= {(index, rule) for rule in slow.faults(command)}
        for rule, slack in slow.slacks(command).items():
            seen.setdefault(rule, []).append(slack)
        slow.take(command)
    return found, {rule: (min(slacks), slacks.count(0), len(slacks)) for rule, slacks in seen.items()}


def assert_same(rows: list[Row], timing: TimingSet) -> tuple[set[str], set[str]]:
    """Both checkers say the same; the rules that were broken, and those met exactly at the minimum."""
    off = check(rows, timing, refresh="off")
    broken, closest = slowly(rows, timing)
    assert {(item.line, item.rule) for item in off.violations} == broken
    assert len(off.violations) == len(broken)
    table = [rule.name for rule in RULES]
    assert {name: tuple(off.closest[name]) for name in table if off.closest[name].seen} == closest
    per_bank = check(rows, timing, refresh="per-bank", channels=[0, 1])
    late = refresh_faults(rows, timing, {0, 1}, per_bank.end)
    refresh = [item for item in per_bank.violations if item.rule.startswith("refresh")]
    # a REFAB that is late for several banks is blamed for each
    assert {(item.line, item.rule) for item in refresh if item.line >= 0} == {item for item in late if item[0] >= 0}
    missing = [item for item in late if item[0] < 0]
    assert [(item.line, item.rule) for item in refresh if item.line < 0] == [(-1, "refresh late")] * len(missing)
    return {rule for _, rule in broken}, {name for name, near in closest.items() if near[1]}


@pytest.mark.parametrize("scope", ["pseudo_channel", "sid"])
@pytest.mark.parametrize("timing", sets(), ids=lambda item: item.name)
def test_wild_traces(timing: TimingSet, scope: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    broken: set[str] = set()
    for _ in range(3):
        limited = small(timing, scope)
        broken |= assert_same(wild(rng, limited, 200), limited)[0]
    assert len(broken) > 30


@pytest.mark.parametrize("timing", sets(), ids=lambda item: item.name)
def test_legal_traces(timing: TimingSet, seed: int) -> None:
    """Every command as early as it may come: nothing is broken, and most rules are met at their minimum."""
    timing = small(timing, "pseudo_channel")
    rows = careful(np.random.default_rng(seed), timing, 300, hasty=0)
    broken, exact = assert_same(rows, timing)
    assert broken == set()
    assert len(exact) > 20
    assert {command[3] for command in rows} == set(FIELDS)


@pytest.mark.parametrize("scope", ["pseudo_channel", "sid"])
@pytest.mark.parametrize("timing", sets(), ids=lambda item: item.name)
def test_nearly_legal_traces(timing: TimingSet, scope: str, seed: int) -> None:
    """One command in ten comes 1 CK too early."""
    timing = small(timing, scope)
    broken, _ = assert_same(careful(np.random.default_rng(seed), timing, 200, hasty=0.1), timing)
    assert broken

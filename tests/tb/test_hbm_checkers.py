"""The device model and the checker of command traces, which share no code, say the same of random commands."""

import itertools

import numpy as np
import pytest

from golden.hbm import check
from mtia import hbm

from .hbm_player import Command, Playback

pytestmark = pytest.mark.sim

#: Cycles of a story, and banks of a pseudo-channel that it goes to.
CYCLES, BANKS = 3000, 6


def story_of(random: np.random.Generator, banks: list[dict[str, int]], density: float) -> list[Command]:
    """Commands at random cycles that mostly meet the right state of a bank, and too early as often as not.

    No PREA soon after a PRE: where that PRE was too early for its row, only the checker counts the PREA too.
    """
    story: list[Command] = []
    rows: list[dict[int, bool]] = [{}, {}]
    closed = [0, 0]

    def chance(limit: float) -> bool:
        return bool(random.random() < limit)

    for cycle in range(2, CYCLES):
        pc, bank = int(random.integers(2)), int(random.integers(BANKS))
        place = {"pc": pc, **banks[bank]}
        if chance(density) and bank not in rows[pc]:
            story.append((cycle, "ACT", {**place, "row": int(random.integers(100))}))
            rows[pc][bank] = True
        elif chance(density):
            if bank not in rows[pc]:
                story.append((cycle, ("REFPB", "RFMPB")[random.integers(2)], place))
            elif chance(0.8):
                story.append((cycle, "PRE", place))
                del rows[pc][bank]
                closed[pc] = cycle
            elif cycle > closed[pc] + 60:
                story.append((cycle, ("PREA", "REFAB")[chance(0.1)], {"pc": pc}))
                rows[pc] = {}
        for port in range(2):
            if chance(2 * density) and rows[port]:
                where = banks[list(rows[port])[random.integers(len(rows[port]))]]
                column = {"pc": port, **where, "column": int(random.integers(32))}
                story.append((cycle, ("RD", "WR")[random.integers(2)], column))
    return story


@pytest.mark.parametrize("density", [0.03, 0.1])
@pytest.mark.parametrize("name", hbm.names())
def test_same_commands_are_refused(tmp_path, seed, name, density):
    timing = hbm.get(name)
    shape = timing.organization
    random = np.random.default_rng([seed, len(name), int(1000 * density)])
    every = list(itertools.product(range(shape.sids), range(shape.bank_groups), range(shape.banks_per_group)))
    chosen = random.choice(len(every), BANKS, replace=False)
    banks = [dict(zip(("sid", "bank_group", "bank"), every[index], strict=True)) for index in chosen]
    found = Playback(timing, refresh="off", strict=False)
    path = tmp_path / "commands.csv"
    found.device.trace(path)
    found.play(story_of(random, banks, density))
    found.device.trace(None)
    of_device = {(each.ck, each.pc) for each in found.device.violations()}
    report = check(path, timing, refresh="off")
    of_checker = {(each.ck, each.pc) for each in report.violations}
    assert len(of_device) > 10
    assert of_device == of_checker

"""Refreshes and activations as the HBM device model counts them for each bank."""

import dataclasses
import itertools

import pytest

from tb.lane import SimulationError

from .hbm_player import HBM3, Command, Playback

pytestmark = pytest.mark.sim


def refreshes(timing, until, late=0):
    """REFPB of every bank in turn, one each REFI / banks, from ``late`` refresh intervals on."""
    shape = timing.organization
    banks = itertools.product(range(shape.sids), range(shape.bank_groups), range(shape.banks_per_group))
    order = [dict(zip(("sid", "bank_group", "bank"), bank, strict=True)) for bank in banks]
    interval = timing["REFI"] // 2
    step = interval // len(order)
    story = []
    for index in range(until * len(order)):
        cycle = 10 + late * interval + index * step
        story += [(cycle + pc * (step // 2), "REFPB", {"pc": pc, **order[index % len(order)]}) for pc in range(2)]
    return story


def test_owed_nothing():
    found = Playback(HBM3)
    found.play(refreshes(HBM3, 12))
    counts = found.device.counts()
    assert counts[0]["REFPB"] == counts[1]["REFPB"] == 12 * 32


def test_owed_too_many():
    """Eight may be owed; the ninth falls due at 9 REFI."""
    found = Playback(HBM3)
    cycle = 9 * HBM3["REFI"] // 2
    found.lane.run(cycles=cycle)
    message = rf"ck {2 * cycle} .*: sid 0 bank_group 0 bank 0 breaks REFI: owed 9 refreshes, at most 8"
    with pytest.raises(SimulationError, match=message):
        found.lane.run(cycles=1)


def test_postponed_refreshes_may_be_caught_up():
    found = Playback(HBM3)
    found.play(refreshes(HBM3, 3, late=8))
    late = Playback(HBM3)
    with pytest.raises(SimulationError, match="breaks REFI"):
        late.play(refreshes(HBM3, 3, late=9))


def test_all_bank_refresh_pays_for_every_bank():
    found = Playback(HBM3, refresh="all-bank")
    interval = HBM3["REFI"] // 2
    found.play([(10 + n * interval + 5 * pc, "REFAB", {"pc": pc}) for n in range(12) for pc in range(2)])
    assert found.device.counts()[1]["REFAB"] == 12


def test_no_more_than_eight_ahead():
    found = Playback(HBM3, refresh="all-bank")
    turns = [(10 + n * HBM3["RFCAB"] // 2 + 5 * pc, "REFAB", {"pc": pc}) for n in range(9) for pc in range(2)]
    found.play(turns[:-2])
    with pytest.raises(SimulationError, match=r"REFAB of sid 0 .* breaks AHEAD: 9 refreshes ahead, at most 8"):
        found.play(turns)


@pytest.mark.parametrize("refi, cycle, right", [(6240, 28079, True), (6240, 28080, False), (6241, 28084, True)])
def test_refresh_at_the_last_moment(refi, cycle, right):
    """The ninth falls due at 56160 or 56169: a refresh at 56159 is in time, one at 56161 is late, one at 56169 not."""
    found = Playback(HBM3.with_parameters(REFI=refi), refresh="all-bank", strict=False)
    found.play([(cycle, "REFAB", {}), (cycle, "ACT", {"pc": 1})], after=1)
    late = [each for each in found.device.violations() if each.pc == 0]
    assert bool(late) != right
    assert {(each.ck, each.rule, each.distance) for each in late} <= {(56160, "REFI", 9)}


def test_refresh_off():
    found = Playback(HBM3, refresh="off")
    found.lane.run(cycles=10 * HBM3["REFI"])


def test_refresh_management():
    timing = dataclasses.replace(HBM3, raaimt=2, raammt=4)
    found = Playback(timing, refresh="off")

    def hammer(count: int, start: int) -> list[Command]:
        starts = range(start, start + 80 * count, 80)
        return [(at + late, name, {}) for at in starts for late, name in ((0, "ACT"), (30, "PRE"))]

    found.play(hammer(4, 10))
    with pytest.raises(SimulationError, match=r"ACT of .* breaks RAAMMT: 5 activations, at most 4"):
        found.play(hammer(5, 10))
    for relief in ("RFMPB", "REFPB", "REFAB"):
        found.play([*hammer(4, 10), (400, relief, {}), *hammer(2, 900)])
        with pytest.raises(SimulationError, match="breaks RAAMMT"):
            found.play([*hammer(4, 10), (400, relief, {}), *hammer(3, 900)])

"""Distances between HBM commands as the device model sees them: legal at t, broken at t-1, for every set."""

import pytest

from tb.lane import SimulationError

from .hbm_player import HBM3, SETS, STRETCHED, Playback, open_bank, shared
from .hbm_scenarios import scenarios

pytestmark = pytest.mark.sim


@pytest.fixture
def player():
    return shared("HBM3-6.4")


def slot_of(name):
    return {"ACT": "activate", "RD": "column", "WR": "column"}.get(name, "maintain")


@pytest.mark.parametrize("pc", [0, 1])
@pytest.mark.parametrize("name", SETS)
def test_distances(name, pc):
    timing, found = SETS[name], shared(name, strict=False)
    quiet = timing["RFCAB"] // 2 + 20
    seen = set()
    for scenario in scenarios(timing):
        least = scenario.cycles(pc)
        for distance, broken in ((least, []), (least - 1, [scenario.rule])):
            if distance < 1 and slot_of(scenario.before.split()[0]) == slot_of(scenario.now.split()[0]):
                continue  # the slot holds one command a cycle
            commands = scenario.commands(pc, distance, quiet)
            found.play(commands, after=3)
            last = 2 * commands[-1][0] + {"activate": 0, "column": pc, "maintain": 1}[slot_of(commands[-1][1])]
            violations = [each for each in found.device.violations() if each.ck == last]
            assert sorted({each.rule for each in violations}) == broken, f"{scenario.name} at {distance} of {least}"
            if broken:
                assert violations[0].minimum == scenario.minimum
                assert violations[0].distance in (scenario.minimum - 1, scenario.minimum - 2)
                assert (violations[0].pc, violations[0].command) == (pc, scenario.now.split()[0])
                seen.add(scenario.rule)
            else:
                counts = found.device.rules()
                assert sum(count.at_minimum for rule, count in counts.items() if rule[0] == scenario.rule) > 0
    floors = {"CCDS", "CCDL", "CCDR", "PPD"}
    every = {"RC", "RAS", "RP", "RRDS", "RRDL", "FAW", "RCDRD", "RCDWR", "RTP", "WR", "RTW", "WTRS", "WTRL"}
    every |= {"RFCPB", "RFM", "RREFD", "RFCAB"}
    assert every <= seen
    if timing is STRETCHED:
        assert floors <= seen


def test_pseudo_channels_are_apart(player):
    """The tightest commands of one do not disturb the other: only the row bus is shared."""
    player.play([(10, "ACT", {"pc": 0}), (11, "ACT", {"pc": 1}), (27, "RD", {"pc": 0}), (27, "RD", {"pc": 1})])
    player.play([(9, "REFAB", {"pc": 0}), (10, "ACT", {"pc": 1}), (26, "WR", {"pc": 1})])


def test_faw_scope():
    """Four ACTs in a window of the pseudo-channel, or in a window of each SID."""
    acts = [(10 + 3 * n, "ACT", {"sid": n // 3, "bank_group": n % 3}) for n in range(5)]
    for scope, broken in (("pseudo_channel", True), ("sid", False)):
        timing = HBM3.with_parameters(FAW=40).with_options(faw_scope=scope)
        found = Playback(timing, refresh="off", strict=False)
        found.play(acts)
        assert [each.rule for each in found.device.violations()] == ["FAW"] * broken


def test_row_bus():
    """On HBM2 an ACT holds the row bus for the whole cycle, for either pseudo-channel."""
    story = [open_bank(10), (100, "ACT", {"pc": 1}), (100, "PRE", {"pc": 0})]
    shared("HBM3-6.4").play(story)
    with pytest.raises(SimulationError, match=r"pc 0: PRE of sid 0 .* breaks ROWBUS: the ACT of the cycle"):
        shared("HBM2-2.0").play(story)

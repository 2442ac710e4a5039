"""The HBM device model: states of banks, violations that end the simulation or are counted, the trace, arguments."""

import csv
import io

import numpy as np
import pytest

from golden import ecc
from tb.lane import Lane, SimulationError
from tb.models.hbm import COMMANDS, HbmDevice, RuleCount, pack_key, unpack_key

from .hbm_player import HBM3, Playback, Player, open_bank, shared

pytestmark = pytest.mark.sim


@pytest.fixture
def player():
    return shared("HBM3-6.4")


# States


@pytest.mark.parametrize(
    "story, message",
    [
        ([open_bank(), (100, "ACT", {"row": 3})], "ck 200 .* ACT of sid 0 bank_group 0 bank 0 row 3 breaks OPEN"),
        ([(10, "RD", {"bank": 2})], "ck 20 channel 0 pc 0: RD of .* bank 2 column 0 breaks CLOSED: the bank has no"),
        ([(10, "WR", {"bank": 2, "pc": 1})], "ck 21 channel 0 pc 1: WR of .* breaks CLOSED"),
        ([open_bank(), (100, "PRE", {}), (200, "RD", {})], "RD of .* breaks CLOSED"),
        ([open_bank(bank=1), (100, "PREA", {}), (200, "WR", {"bank": 1})], "WR of .* breaks CLOSED"),
        ([open_bank(), (100, "REFPB", {})], "ck 201 .* REFPB of .* breaks REFRESH: the bank has an open row"),
        ([open_bank(), (100, "RFMPB", {})], "RFMPB of .* breaks REFRESH"),
        ([open_bank(bank=3), (100, "REFAB", {})], "REFAB of sid 0 bank_group 0 bank 3 breaks REFRESH"),
        ([open_bank(sid=2)], "ACT of sid 2 .* breaks RANGE: there is no such place"),
        ([open_bank(bank=4)], "breaks RANGE"),
        ([open_bank(row=16384)], "row 16384 breaks RANGE"),
        ([(10, "PRE", {"bank": 4})], "PRE of .* breaks RANGE"),
    ],
)
def test_states(player, story, message):
    with pytest.raises(SimulationError, match=message):
        player.play(story, writes={pc: (np.zeros((2, 8), np.uint32), [0, 0]) for pc in range(2)})


def test_groups_and_rows_are_no_powers_of_two():
    found = shared("HBM4-9.0")
    found.play([open_bank(row=12287, bank_group=1, sid=2)])
    for fields in ({"bank_group": 2}, {"sid": 3}):
        with pytest.raises(SimulationError, match="RANGE"):
            found.play([open_bank(row=12287, **fields)])


def test_precharge_of_a_closed_bank_is_no_violation(player):
    player.play([(10, "PRE", {}), (40, "PREA", {}), (80, "ACT", {})])


@pytest.mark.parametrize("port, name", [("maintain", "maintain has no command 6"), ("column_0", "column slot has no")])
def test_undefined_command(player, port, name):
    slot = {"maintain": {"op": 6}, "column_0": {"op": 3}}[port]
    columns = {port: {key: np.array([value]) for key, value in slot.items()}}
    player.lane.reset()
    player.lane.push("slots", columns)
    with pytest.raises(SimulationError, match=name):
        player.lane.run(cycles=4)


# Violations that do not end the simulation


def test_not_strict(player):
    player.device.set_strict(False)
    story = [open_bank(), (12, "RD", {}), (12, "PRE", {}), (20, "RD", {"bank": 1})]
    player.play(story)
    found = player.device.violations()
    assert [(each.ck, each.command, each.rule, each.distance, each.minimum) for each in found] == [
        (24, "RD", "RCDRD", 4, 31),
        (25, "PRE", "RAS", 5, 45),
        (25, "PRE", "RTP", 1, 9),
        (40, "RD", "CLOSED", 0, 0),
    ]
    assert player.device.violations() == []
    rules = player.device.rules()
    assert rules["RCDRD", "ACT", "RD"] == RuleCount(tried=1, at_minimum=0, broken=1)
    assert rules["RTP", "RD", "PRE"].broken == 1
    assert rules["CLOSED", "", ""].broken == 1
    words = player.reads(0)
    status = ecc.decode(np.ascontiguousarray(words["data"]).view(np.uint8), words["check"]).status
    assert status.tolist() == [ecc.Status.OK, ecc.Status.UNCORRECTABLE]


def test_strict_is_logged_too(player):
    message = r"RD of sid 0 bank_group 0 bank 0 column 9 breaks RCDRD \(ACT to RD\): 4 CK apart, at least 31"
    with pytest.raises(SimulationError, match=message):
        player.play([open_bank(), (12, "RD", {"column": 9})])
    assert [each.column for each in player.device.violations()] == [9]


# Trace and counts


def test_trace(player, tmp_path):
    path = tmp_path / "commands.csv"
    player.device.trace(path)
    player.play([open_bank(row=1)])  # forgotten with the next reset
    story = [
        open_bank(row=77, sid=1, bank_group=2, bank=3),
        (12, "ACT", {"pc": 1, "row": 16383}),
        (40, "RD", {"sid": 1, "bank_group": 2, "bank": 3, "column": 31}),
        (40, "WR", {"pc": 1, "column": 4}),
        (80, "PRE", {"sid": 1, "bank_group": 2, "bank": 3}),
        (80, "ACT", {"pc": 1, "bank": 1, "row": 2}),
        (150, "PREA", {"pc": 1}),
        (200, "REFAB", {"pc": 1}),
        (210, "REFPB", {"bank": 2}),
        (250, "RFMPB", {"bank_group": 1}),
    ]
    player.play(story, writes={1: (np.zeros((1, 8), np.uint32), [0])})
    player.device.trace(None)
    text = path.read_text()
    assert text == (
        "ck,channel,pc,command,sid,bank_group,bank,row,column\n"
        "20,0,0,ACT,1,2,3,77,\n"
        "24,0,1,ACT,0,0,0,16383,\n"
        "80,0,0,RD,1,2,3,,31\n"
        "81,0,1,WR,0,0,0,,4\n"
        "160,0,1,ACT,0,0,1,2,\n"
        "161,0,0,PRE,1,2,3,,\n"
        "301,0,1,PREA,,,,,\n"
        "401,0,1,REFAB,,,,,\n"
        "421,0,0,REFPB,0,0,2,,\n"
        "501,0,0,RFMPB,0,1,0,,\n"
    )
    rows = list(csv.DictReader(io.StringIO(text)))
    assert sorted(row["command"] for row in rows if row["pc"] == "0") == sorted(
        name for name in COMMANDS for _ in range(player.device.counts()[0][name])
    )
    player.play([open_bank()])
    assert path.read_text() == text


def test_trace_not_writable(player, tmp_path):
    with pytest.raises(SimulationError, match="cannot write the command trace"):
        player.device.trace(tmp_path / "missing" / "commands.csv")


def test_channel_is_in_messages_and_keys(tmp_path):
    found = Playback(HBM3, channel=9)
    found.device.trace(tmp_path / "commands.csv")
    with pytest.raises(SimulationError, match="ck 20 channel 9 pc 0: RD"):
        found.play([(10, "RD", {})])
    found.device.trace(None)
    assert (tmp_path / "commands.csv").read_text().splitlines()[1] == "20,9,0,RD,0,0,0,,0"
    assert unpack_key(found.device.key(row=3))["channel"] == 9


# Arguments


@pytest.mark.parametrize(
    "options, message",
    [
        ({"refresh": "sometimes"}, "Refresh must be one of off, per-bank, all-bank, not 'sometimes'"),
        ({"channel": 64}, "Channel must be from 0 to 63, not 64"),
    ],
)
def test_device_wrong(options, message):
    with pytest.raises(ValueError, match=message):
        HbmDevice(timing=HBM3, **options)


def test_ports_wrong():
    with pytest.raises(KeyError, match="'other__activate'"):
        Lane(Player(), models=[HbmDevice(timing=HBM3, prefix="other__")])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"bit": 266}, "Bit must be from 0 to 265, not 266"),
        ({"bit": 0, "kind": "odd"}, "Kind must be one of transient, upset, stuck, not 'odd'"),
        ({"bit": 0, "kind": "upset"}, "Key of an upset must be that of one atom, not None"),
        ({"bit": 0, "kind": "stuck", "value": 2}, "Value must be 0 or 1, not 2"),
    ],
)
def test_inject_wrong(player, arguments, message):
    with pytest.raises(ValueError, match=message):
        player.device.inject(**arguments)


def test_key_wrong():
    with pytest.raises(ValueError, match=r"Field of a key must be one of .*, not 'col'"):
        pack_key(col=1)
    with pytest.raises(ValueError, match="bank of a key must be from 0 to 15, not 16"):
        pack_key(bank=16)


def test_data_wrong(player):
    with pytest.raises(ValueError, match=r"Data must be of shape \(1, 8\), not \(1, 4\)"):
        player.device.write([0], np.zeros((1, 4), np.uint32))

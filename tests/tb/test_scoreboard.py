"""The scoreboard's verdicts and words."""

import numpy as np
import pytest
from amaranth.lib import data

from tb.beats import pack
from tb.scoreboard import Mismatch, Scoreboard, compare_beats

LAYOUT = data.StructLayout({"id": 4, "lanes": data.ArrayLayout(8, 10)})


def item(flow, number):
    return LAYOUT.const({"id": flow, "lanes": [number + lane for lane in range(10)]})


def test_in_order():
    board = Scoreboard("sums")
    board.expect([1, 2, 3])
    board.check([1])
    board.check([2, 3])
    board.finish()
    assert board.checked == 3


def test_structs_compare_by_value():
    board = Scoreboard("sums")
    board.expect([item(1, 5)])
    board.check([{"id": 1, "lanes": list(range(5, 15))}])
    board.finish()


def test_difference():
    board = Scoreboard("sums")
    board.expect([item(1, 0), item(1, 10)])
    board.check([item(1, 0)])
    with pytest.raises(Mismatch) as error:
        board.check([item(1, 20)])
    lines = str(error.value).splitlines()
    assert lines[:2] == ["sums: item 1 differs", "  lanes[0]: expected 10 (0xa), got 20 (0x14)"]
    assert lines[-1] == "  and 2 more fields"


def test_lost_item():
    board = Scoreboard("sums")
    board.expect(range(10, 15))
    with pytest.raises(Mismatch, match="it is the item expected 2 later: 2 lost"):
        board.check([12])


def test_too_many():
    board = Scoreboard("sums")
    with pytest.raises(Mismatch, match="sums: item 0 came, but no more were expected: 3"):
        board.check([3])


def test_too_few():
    board = Scoreboard("sums")
    board.expect([1, 2, 3])
    board.check([1])
    with pytest.raises(Mismatch, match="sums: item 1 and 1 more did not come: 2"):
        board.finish()


def test_flows_are_independent():
    board = Scoreboard("ports", key=lambda value: value["id"])
    board.expect([item(1, 0), item(2, 0), item(1, 1), item(2, 1)])
    board.check([item(2, 0), item(2, 1), item(1, 0)])
    with pytest.raises(Mismatch, match="ports: item 1 of 1 and 0 more did not come"):
        board.finish()
    board.expect([item(1, 2)])
    with pytest.raises(Mismatch, match="ports: item 1 of 1 differs"):
        board.check([item(1, 2)])


def beats(*numbers):
    lanes = np.array([[number + lane for lane in range(10)] for number in numbers], np.uint8)
    return pack(LAYOUT, {"id": np.zeros(len(numbers), np.uint8), "lanes": lanes})


def test_equal_beats():
    compare_beats("engine", LAYOUT, beats(1, 2), beats(1, 2))


def test_differing_beats():
    with pytest.raises(Mismatch) as error:
        compare_beats("engine", LAYOUT, beats(1, 2, 3), beats(1, 5, 6), describe=lambda index: f"row {index}")
    lines = str(error.value).splitlines()
    assert lines[0] == "engine: beat 1 (row 1) differs, 2 of 3 do"
    assert lines[1] == "  lanes[0]: expected 2, got 5"
    assert lines[-1] == "  and 2 more fields"


def test_missing_beats():
    with pytest.raises(Mismatch, match="engine: 1 beats came, 2 were expected; the common ones are equal"):
        compare_beats("engine", LAYOUT, beats(1, 2), beats(1))

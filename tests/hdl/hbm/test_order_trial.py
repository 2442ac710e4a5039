# amaranth: UnusedElaboratable=no
# (components whose parameters are refused are never elaborated)
"""Trials of the order of ACTs: begun where rows give little, kept where the other order gives more."""

import pytest

from hdl.hbm.order_trial import OrderTrial

from ..pysim import simulate

WINDOW = 16


def orders(windows, *, settle=2, pause=3):
    """`by_place` after each window, of which each is (column commands, whether requests queue)."""
    dut = OrderTrial(window_bits=4, settle=settle, pause=pause)
    found = []

    async def bench(ctx):
        for columns, queued in windows:
            ctx.set(dut.queued, queued)
            cycles = max(WINDOW, columns + 1)  # the ACTs at its end; a column command beside the last is of the next
            for cycle in range(cycles):
                ctx.set(dut.column, cycle < columns)
                ctx.set(dut.activate, cycle >= cycles - WINDOW)
                await ctx.tick()
            found.append(ctx.get(dut.by_place))

    simulate(dut, bench)
    return found


def test_kept_while_it_is_better():
    """Begins after a poor window; the two after it do not count; stays with a 16th of the window more, 17 here."""
    assert orders([(16, 1), (0, 1), (50, 1), (18, 1), (24, 1), (31, 1), (16, 1)]) == [1, 1, 1, 1, 1, 1, 0]


def test_ends_where_rows_give_enough():
    """At two column commands an ACT the oldest first is taken to be no worse."""
    assert orders([(16, 1), (0, 1), (0, 1), (40, 1)]) == [1, 1, 1, 0]
    assert orders([(16, 1), (0, 1), (0, 1), (32, 1)])[-1] == 0


@pytest.mark.parametrize(("window", "begins"), [((22, 1), 1), ((25, 1), 0), ((500, 1), 0), ((16, 0), 0)])
def test_begins(window, begins):
    """Not where an ACT gives 3 for 2 already, nor where nothing queues."""
    assert orders([window]) == [begins]


def test_pause():
    """After a trial in vain the next one waits for three windows."""
    assert orders([(16, 1)] * 8) == [1, 1, 1, 0, 0, 0, 0, 1]


def test_properties():
    dut = OrderTrial(window_bits=5, settle=3, pause=7)
    assert (dut.window_bits, dut.settle, dut.pause) == (5, 3, 7)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"window_bits": 3}, ValueError, "Order trial window bits must be in 4 to 16, not 3"),
        ({"settle": 0}, ValueError, "Order trial settle must be in 1 to 255, not 0"),
        ({"pause": 256}, ValueError, "Order trial pause must be in 1 to 255, not 256"),
        ({"pause": None}, TypeError, "Order trial pause must be an integer, not None"),
    ],
)
def test_parameters_wrong(parameters, error, message):
    with pytest.raises(error, match=message):
        OrderTrial(**parameters)

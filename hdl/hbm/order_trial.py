"""Which of the misses have their rows opened first, found by trying."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..core.checks import require_int


class OrderTrial(wiring.Component):
    """Chooses between two orders in which rows are opened: the oldest request first, or the lowest place.

    The oldest first is fair, and best where a row's requests come within as many others as a pool holds, or never.
    Where they come later than that, each finds its row closed again. By place, most requests are served while young
    and the others stay for long, so that they meet a later one of their row: what keeps part of a cycle in a cache
    that is too small for all of it.

    Which is better shows in the column commands of a window of 2**window_bits ACTs. A window of the oldest-first order
    with fewer than 3 for 2 ACTs, while requests queue, is followed by a trial of the other order: `settle` windows that
    do not count, then as many as have a 16th of the window more than that one had, and fewer than 2 an ACT. After
    that no trial begins for `pause` windows.

    Parameters
    ----------
    window_bits : logarithm of the ACTs of a window, at least 4. settle, pause : windows, at least 1.

    Members
    -------
    activate, column : an ACT, a column command is issued for the pool.
    queued : so many requests wait that ACTs are what they wait for.
    by_place : the order now: the lowest place first. Changes in the cycle after a window's last ACT.
    """

    def __init__(self, *, window_bits: int = 8, settle: int = 2, pause: int = 16):
        self._window_bits = require_int("Order trial window bits", window_bits, low=4, high=16)
        self._settle = require_int("Order trial settle", settle, low=1, high=255)
        self._pause = require_int("Order trial pause", pause, low=1, high=255)
        super().__init__({**{name: In(1) for name in ("activate", "column", "queued")}, "by_place": Out(1)})

    @property
    def window_bits(self) -> int:
        """Logarithm of the ACTs of a window."""
        return self._window_bits

    @property
    def settle(self) -> int:
        """Windows of a trial that do not count."""
        return self._settle

    @property
    def pause(self) -> int:
        """Windows from a trial to the next."""
        return self._pause

    def elaborate(self, platform: object) -> Module:
        m = Module()
        window = 1 << self.window_bits
        acts = Signal(self.window_bits)
        columns, before = Signal(range(2 * window + 1)), Signal(range(2 * window))
        left = Signal(range(max(self.settle, self.pause) + 1))
        ends, many = Signal(), Signal()
        m.d.comb += [ends.eq(self.activate & acts.all()), many.eq(columns == 2 * window)]
        m.d.sync += acts.eq(acts + self.activate)
        with m.If(ends):
            m.d.sync += columns.eq(self.column)
        with m.Elif(self.column & ~many):
            m.d.sync += columns.eq(columns + 1)
        with m.If(ends & (left != 0)):
            m.d.sync += left.eq(left - 1)
        with m.Elif(ends & self.by_place):
            with m.If(many | (columns < before + window // 16)):
                m.d.sync += [self.by_place.eq(0), left.eq(self.pause)]
        with m.Elif(ends & self.queued & (columns < window * 3 // 2)):
            m.d.sync += [self.by_place.eq(1), left.eq(self.settle), before.eq(columns)]
        return m

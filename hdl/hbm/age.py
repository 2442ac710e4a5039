"""Age order of the entries of a pool."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..core.checks import require_int
from .parts import WithEntries


class AgeOrder(WithEntries, wiring.Component):
    """Remembers in which order entries came and picks the oldest of a choice.

    Every entry holds a bit for each other one: whether that is older. So entries may leave in any
    order and their places be used again at once. The bits of a place mean nothing while it is
    empty.

    Latency 0 from a choice to its pick; an entry counts from the cycle after it was placed.

    Parameters
    ----------
    entries : places, at least 2.
    picks : choices a cycle, at least 1.

    Members
    -------
    placed : one bit a place: an entry comes into it (at most one bit is high).
    occupied : one bit a place: an entry is in it.
    choice : for each pick, the entries among which to pick, occupied ones only.
    oldest : for each pick, the oldest entry of the choice, one bit high; 0 if the choice is empty.

    Raises TypeError or ValueError for a parameter that is no such number.
    """

    def __init__(self, *, entries: int, picks: int = 1):
        self._entries = require_int("Age order entries", entries, low=2)
        self._picks = require_int("Age order picks", picks, low=1)
        super().__init__(
            {
                "placed": In(entries),
                "occupied": In(entries),
                "choice": In(entries).array(picks),
                "oldest": Out(entries).array(picks),
            }
        )

    @property
    def picks(self) -> int:
        """Choices a cycle."""
        return self._picks

    def elaborate(self, platform: object) -> Module:
        m = Module()
        others = Signal(self.entries)
        m.d.comb += others.eq(~self.placed)
        for place in range(self.entries):
            older = Signal(self.entries, name=f"older_{place}", reset_less=True)
            m.d.sync += older.eq(Mux(self.placed[place], self.occupied, older & others))
            for choice, oldest in zip(self.choice, self.oldest, strict=True):
                m.d.comb += oldest[place].eq(choice[place] & ((older & choice) == 0))
        return m

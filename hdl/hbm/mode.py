"""When a pseudo-channel reads and when it writes."""

from dataclasses import dataclass

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..core.checks import require_int
from .parts import WithEntries


@dataclass(frozen=True, kw_only=True)
class Batching:
    """Thresholds of the change between reads and writes.

    Parameters
    ----------
    high : writes that end the reads, more than `low`.
    low : writes down to which writing goes on while reads wait, at least 0.
    prepare : writes before `high`, or above `low`, at which rows for the other kind are opened, at
        least 0.
    idle : cycles without a read after which any write goes, at least 1.
    patience : cycles after which waiting requests of the other kind end a batch, at least 1.

    Raises TypeError or ValueError for a threshold that is not so.
    """

    high: int
    low: int = 0
    prepare: int = 8
    idle: int = 8
    patience: int = 512

    def __post_init__(self) -> None:
        require_int("Batching low", self.low, low=0)
        require_int("Batching high", self.high, low=self.low + 1)
        require_int("Batching prepare", self.prepare, low=0)
        require_int("Batching idle", self.idle, low=1)
        require_int("Batching patience", self.patience, low=1)


class Mode(WithEntries, wiring.Component):
    """Batches of reads and batches of writes: a change costs the bus some tens of CK.

    Reads go on until there are `high` writes, or none of them has come for `idle` cycles while a
    write waits; writes go on until at most `low` are left and a read waits, or none is left. Either
    ends after `patience` cycles in which the other kind waits. Reads come first after reset.

    Parameters
    ----------
    entries : places of a pool, at least 2.
    batching : the thresholds; `high` at most `entries`.

    Members
    -------
    reads, writes : requests in the pools.
    writing : the mode, registered.
    prepare : rows for the other kind may be opened where they are in no one's way.
    turned : the mode changes at the end of this cycle.

    Raises TypeError or ValueError for a parameter that is not so.
    """

    def __init__(self, *, entries: int, batching: Batching):
        self._entries = require_int("Mode entries", entries, low=2)
        if batching.high > entries:
            raise ValueError(f"Batching high must be at most the pool's {entries} entries, not {batching.high!r}")
        self._batching = batching
        count = range(entries + 1)
        super().__init__(
            {"reads": In(count), "writes": In(count), "writing": Out(1), "prepare": Out(1), "turned": Out(1)}
        )

    @property
    def batching(self) -> Batching:
        """The thresholds."""
        return self._batching

    def elaborate(self, platform: object) -> Module:
        m = Module()
        b = self.batching
        waited = Signal(range(b.patience + 1))
        quiet = Signal(range(b.idle + 1))
        other = Signal()
        impatient = Signal()
        m.d.comb += [other.eq(Mux(self.writing, self.reads != 0, self.writes != 0)), impatient.eq(waited == b.patience)]
        with m.If(~other | self.turned):
            m.d.sync += waited.eq(0)
        with m.Elif(~impatient):
            m.d.sync += waited.eq(waited + 1)
        with m.If(self.reads != 0):
            m.d.sync += quiet.eq(0)
        with m.Elif(quiet != b.idle):
            m.d.sync += quiet.eq(quiet + 1)
        with m.If(self.writing):
            enough = (self.writes <= b.low) | impatient
            m.d.comb += self.turned.eq((self.writes == 0) | (other & enough))
            m.d.comb += self.prepare.eq(other & (self.writes <= b.low + b.prepare))
        with m.Else():
            m.d.comb += self.turned.eq(other & ((self.writes >= b.high) | (quiet == b.idle) | impatient))
            m.d.comb += self.prepare.eq(other & ((self.writes + b.prepare >= b.high) | (self.reads == 0)))
        with m.If(self.turned):
            m.d.sync += self.writing.eq(~self.writing)
        return m

"""State of one bank."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..core.checks import require_int
from .cycles import Cycles
from .parts import WithCycles, WithEntries
from .timer import timer

#: outputs of a bank that a `BankTable` gives a bit each for all banks
FLAGS = (
    *("open", "can_activate", "can_precharge", "can_refresh"),
    *("read_misses", "write_misses", "read_hits", "write_hits", "managing", "blocked", "done"),
    *("spent", "rested", "lingers"),
)

#: bits of a bank's count of rows that were not used again
_SURE = 4

#: rows without a return after which a bank lingers no more, and ticks that it lingers
_RETURNS, _LINGER = 3, 3

#: bits of a bank's age in ticks: with the highest a row is likely done with, with all of them long forgotten
_AGE = 4


class PoolCounts(data.Struct):
    """What happens in a cycle to the requests of one pool for a bank.

    added : one comes.
    added_hit : and its row is open, as `BankTable.read_hit` tells.
    taken : one is issued; it was a hit.
    """

    added: 1
    added_hit: 1
    taken: 1


class Bank(WithCycles, WithEntries, wiring.Component):
    """State of one bank: its row, what its timers allow, which requests wait for it.

    A command, and a change of the pools, counts from the cycle after its input is high; the outputs
    hold for their own cycle, as far as this bank goes. Commands are not checked: what an output
    forbids must not come. After reset the bank is closed, no timer runs and no request waits.

    It learns from its rows when one is done with. Closing a row was right when a request for
    another one waited, or if none did, when the next ACT was of another one. And rows take turns
    where one of the last three changes of row went back to the row before.

    Parameters
    ----------
    cycles : distances between commands.
    row_bits : bits of a row, at least 1.
    entries : requests that fit into each pool, at least 2.

    Members
    -------
    activate, activate_row : ACT, and its row.
    precharge : PRE or PREA.
    refresh_bank, refresh_all, manage : REFPB, REFAB, RFMPB.
    read, write : column commands.
    opened_read, opened_write : the ACT is so long ago that column commands of that kind may come
        from the next cycle on.
    found_read, found_write : requests in each pool for the row then open, with `opened_...`.
    tick : a unit of time is over, for `spent`, `rested` and `lingers`.
    reads, writes : `PoolCounts` of each pool.
    open : a row is open, or opening.
    row : that row, or the last one.
    column_read, column_write : the row is open for column commands of that kind.
    can_activate : closed, not `blocked`, and ACT may come.
    can_precharge : open, and PRE may come.
    can_refresh : closed, and REFPB, REFAB or RFMPB may come.
    read_hits, write_hits : requests wait for the row that is open for their kind.
    read_misses, write_misses : others wait, those for a row still opening among them.
    managing : RAAIMT activations are counted: a refresh management is due. REFPB, REFAB and RFMPB
        take RAAIMT off, never below 0. Always 0 without a RAAMMT.
    blocked : RAAMMT are counted: it must come before the next ACT.
    done : open, no request waits, and the last 14 closings or more were all right.
    lingers : open, rows take turns, and fewer than 3 `tick` since the last ACT or column command.
    spent : 4 to 7 `tick` since then; none yet where the last 14 closings or more were all right.
    rested : 8 to 14 `tick` since then.

    Raises TypeError or ValueError for a parameter that is no such number.
    """

    def __init__(self, *, cycles: Cycles, row_bits: int, entries: int):
        self._cycles = cycles
        self._row_bits = require_int("Bank row bits", row_bits, low=1)
        self._entries = require_int("Bank entries", entries, low=2)
        count = range(entries + 1)
        ports: dict[str, wiring.Member] = {
            name: In(1)
            for name in (
                *("activate", "precharge", "refresh_bank", "refresh_all", "manage", "read", "write"),
                *("opened_read", "opened_write", "tick"),
            )
        }
        ports |= {"activate_row": In(row_bits), "found_read": In(count), "found_write": In(count)}
        ports |= {"reads": In(PoolCounts), "writes": In(PoolCounts), "row": Out(row_bits)}
        ports |= {name: Out(1) for name in ("open", "column_read", "column_write", *FLAGS)}
        super().__init__(ports)

    @property
    def row_bits(self) -> int:
        """Bits of a row."""
        return self._row_bits

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c = self.cycles
        to_activate = timer(
            m,
            "to_activate",
            [
                (self.activate, c.rc),
                (self.precharge, c.rp),
                (self.refresh_bank, c.rfc_bank),
                (self.refresh_all, c.rfc_all),
                (self.manage, c.rfm),
            ],
        )
        to_precharge = timer(
            m, "to_precharge", [(self.activate, c.ras), (self.read, c.read_to_pre), (self.write, c.write_to_pre)]
        )
        to_refresh = timer(
            m,
            "to_refresh",
            [
                (self.activate, c.rc_refresh),
                (self.precharge, c.rp_refresh),
                (self.refresh_bank, c.rfc_bank_refresh),
                (self.refresh_all, c.rfc_all),
                (self.manage, c.rfm_refresh),
            ],
        )
        with m.If(self.activate):
            m.d.sync += [self.open.eq(1), self.row.eq(self.activate_row)]
        with m.Elif(self.precharge):
            m.d.sync += [self.open.eq(0), self.column_read.eq(0), self.column_write.eq(0)]
        for kind, requests in (("read", self.reads), ("write", self.writes)):
            opened = getattr(self, f"opened_{kind}")
            with m.If(opened):
                m.d.sync += getattr(self, f"column_{kind}").eq(1)
            self._count(m, kind, requests, opened=opened, found=getattr(self, f"found_{kind}"))
        m.d.comb += [
            self.can_activate.eq(~self.open & to_activate & ~self.blocked),
            self.can_precharge.eq(self.open & to_precharge),
            self.can_refresh.eq(~self.open & to_refresh),
        ]
        self._manage(m)
        self._rest(m, sure=self._predict(m))
        return m

    def _count(self, m: Module, kind: str, requests: data.View, *, opened: Value, found: Value) -> None:
        """Count the requests of a pool, and those among them that are hits."""
        pending = Signal(range(self.entries + 1), name=f"{kind}_pending")
        hits = Signal(range(self.entries + 1), name=f"{kind}_hits_pending")
        m.d.sync += [
            pending.eq(pending + requests.added - requests.taken),
            hits.eq(Mux(opened, found, hits) + requests.added_hit - requests.taken),
        ]
        with m.If(self.precharge):
            m.d.sync += hits.eq(0)
        m.d.comb += [
            getattr(self, f"{kind}_hits").eq(hits != 0),
            getattr(self, f"{kind}_misses").eq(pending != hits),
        ]

    def _manage(self, m: Module) -> None:
        """Count the activations since the last refresh or refresh management, where the standard asks for it."""
        c = self.cycles
        if not c.raammt:
            return
        activations = Signal(range(c.raammt + 1))
        with m.If(self.activate):
            m.d.sync += activations.eq(activations + 1)
        with m.If(self.refresh_bank | self.refresh_all | self.manage):
            m.d.sync += activations.eq(Mux(activations > c.raaimt, activations - c.raaimt, 0))
        m.d.comb += [self.managing.eq(activations >= c.raaimt), self.blocked.eq(activations >= c.raammt)]

    def _predict(self, m: Module) -> Signal:
        """Learn from each row whether closing its bank without being asked was, or had been, right.

        A row closed too early costs an ACT, one closed late nothing while ACTs are scarce: 14 times right, once wrong.
        Gives whether it is sure of it.
        """
        conflicts, sure = Signal(_SURE), Signal()
        early, wanted = Signal(), Signal()
        m.d.comb += [
            wanted.eq(self.read_misses | self.write_misses | self.read_hits | self.write_hits),
            sure.eq(conflicts[1:].all()),
            self.done.eq(self.open & ~wanted & sure),
        ]
        right = (self.precharge & wanted) | (self.activate & early & (self.activate_row != self.row))
        with m.If(self.precharge):
            m.d.sync += early.eq(~wanted)
        with m.If(self.activate & early & (self.activate_row == self.row)):
            m.d.sync += conflicts.eq(0)
        with m.Elif(right & ~conflicts.all()):
            m.d.sync += conflicts.eq(conflicts + 1)
        return sure

    def _rest(self, m: Module, *, sure: Signal) -> None:
        """Count how long the bank was left alone, to tell when its row is done with."""
        age = Signal(_AGE, init=(1 << _AGE) - 1)
        with m.If(self.activate | self.read | self.write):
            m.d.sync += age.eq(0)
        with m.Elif(self.tick & ~age.all()):
            m.d.sync += age.eq(age + 1)
        m.d.comb += [
            self.spent.eq(Mux(sure, age == 0, age[-2:] == 0b01)),
            self.rested.eq(age[-1] & ~age.all()),
        ]
        self._linger(m, age)

    def _linger(self, m: Module, age: Signal) -> None:
        """Learn whether rows take turns: then the open one is worth a wait, though another one is wanted."""
        before = Signal(self.row_bits, reset_less=True)
        returns = Signal(range(_RETURNS + 1))
        m.d.comb += self.lingers.eq(self.open & (returns != 0) & (age < _LINGER))
        with m.If(self.activate & (self.activate_row != self.row)):
            m.d.sync += before.eq(self.row)
            with m.If(self.activate_row == before):
                m.d.sync += returns.eq(_RETURNS)
            with m.Elif(returns != 0):
                m.d.sync += returns.eq(returns - 1)

"""The banks of a pseudo-channel."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..core.shared import Shared
from .bank import FLAGS, Bank
from .commands import Geometry
from .cycles import Cycles
from .parts import WithCycles, WithEntries, WithGeometry
from .select import read

#: logarithm of the cycles from one tick of the banks to the next
_TICK_BITS = 4


class BankTable(WithGeometry, WithCycles, WithEntries, wiring.Component):
    """All banks of a pseudo-channel: hands commands to the bank that they name, and looks rows up.

    Latency: a command counts from the next cycle on, `lookup` in its own. Every input may be used
    in each cycle. The `tick` of the banks comes every 16 cycles. What the flags forbid must not
    come (`Bank`).

    Parameters
    ----------
    geometry : address fields.
    cycles : distances between commands.
    entries : requests that fit into each pool, as `Bank` takes them.

    Members
    -------
    act : ACT {valid, index, row}.
    precharge, refresh, manage : PRE, REFPB, RFMPB {valid, index}.
    precharge_all, refresh_all : PREA, REFAB.
    column, column_write : a column command {valid, index}, and that it is a WR.
    opened_read, opened_write : {valid, index, row}: the bank opens its row for column commands of
        that kind, as the pools see it.
    found_read, found_write : entries of each pool for that row.
    insert_read, insert_write : a request for `lookup` comes to the pool of that kind.
    lookup : place of an atom.
    read_hit, write_hit : its row is open for column commands of that kind in the next cycle.
    open, can_activate, can_precharge, can_refresh, read_misses, write_misses, read_hits, write_hits
        : one bit a bank index, as `Bank` gives them; 0 where there is no bank.
    managing, blocked, done, spent, rested, lingers : likewise.
    """

    def __init__(self, *, geometry: Geometry, cycles: Cycles, entries: int):
        self._geometry, self._cycles, self._entries = geometry, cycles, entries
        named = data.StructLayout({"valid": 1, "index": geometry.index_bits})
        rowed = data.StructLayout({"valid": 1, "index": geometry.index_bits, "row": geometry.row_bits})
        super().__init__(
            {
                "act": In(rowed),
                **{name: In(named) for name in ("precharge", "refresh", "manage", "column")},
                **{name: In(1) for name in ("column_write", "precharge_all", "refresh_all")},
                **{name: In(rowed) for name in ("opened_read", "opened_write")},
                **{name: In(range(entries + 1)) for name in ("found_read", "found_write")},
                **{name: In(1) for name in ("insert_read", "insert_write")},
                "lookup": In(geometry.place()),
                **{name: Out(1) for name in ("read_hit", "write_hit")},
                **{name: Out(1 << geometry.index_bits) for name in FLAGS},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        banks = []
        time, tick = Signal(_TICK_BITS), Signal()
        m.d.sync += time.eq(time + 1)
        m.d.comb += tick.eq(time.all())
        for index in range(self.geometry.bank_count):
            bank = Bank(cycles=self.cycles, row_bits=self.geometry.row_bits, entries=self.entries)
            m.submodules[f"bank_{index}"] = Shared(bank)
            self._command(m, index, bank)
            m.d.comb += bank.tick.eq(tick)
            m.d.comb += [getattr(self, name)[index].eq(getattr(bank, name)) for name in FLAGS]
            banks.append(bank)
        self._look_up(m, banks)
        return m

    def _command(self, m: Module, index: int, bank: Bank) -> None:
        """Connect a bank to the commands and requests that name it."""

        def mine(name: str) -> Value:
            command = getattr(self, name)
            return command.valid & (command.index == index)

        here = self.lookup.index == index
        column = Signal(name=f"column_{index}")
        m.d.comb += [
            column.eq(mine("column")),
            bank.activate.eq(mine("act")),
            bank.activate_row.eq(self.act.row),
            bank.precharge.eq(mine("precharge") | self.precharge_all),
            bank.refresh_bank.eq(mine("refresh")),
            bank.refresh_all.eq(self.refresh_all),
            bank.manage.eq(mine("manage")),
            bank.read.eq(column & ~self.column_write),
            bank.write.eq(column & self.column_write),
            bank.reads.taken.eq(column & ~self.column_write),
            bank.writes.taken.eq(column & self.column_write),
            bank.reads.added.eq(self.insert_read & here),
            bank.writes.added.eq(self.insert_write & here),
            bank.reads.added_hit.eq(self.insert_read & here & self.read_hit),
            bank.writes.added_hit.eq(self.insert_write & here & self.write_hit),
        ]
        for kind in ("read", "write"):
            m.d.comb += getattr(bank, f"opened_{kind}").eq(mine(f"opened_{kind}"))
            m.d.comb += getattr(bank, f"found_{kind}").eq(getattr(self, f"found_{kind}"))

    def _look_up(self, m: Module, banks: list[Bank]) -> None:
        """Compare the row of `lookup` with the one that is open, or opening, in its bank."""
        here = Signal(len(banks))
        m.d.comb += here.eq(Cat(self.lookup.index == index for index in range(len(banks))))
        row = read(m, here, [bank.row for bank in banks], name="lookup_row")
        leaving = self.precharge_all | (self.precharge.valid & (self.precharge.index == self.lookup.index))
        for kind in ("read", "write"):
            columns = read(m, here, [getattr(bank, f"column_{kind}") for bank in banks], name=f"lookup_{kind}")
            opened = getattr(self, f"opened_{kind}")
            opening = opened.valid & (opened.index == self.lookup.index)
            m.d.comb += getattr(self, f"{kind}_hit").eq((columns | opening) & (row == self.lookup.row) & ~leaving)

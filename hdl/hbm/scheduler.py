"""Order in which the requests of a pseudo-channel become commands."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..core.arith import delay
from ..core.checks import require_int, stream_in
from ..core.shared import Shared
from .bank_table import BankTable
from .commands import Geometry, MaintainOp, RefreshMode
from .cycles import Cycles
from .limits import ColumnLimits, RowLimits
from .mode import Batching, Mode
from .order_trial import OrderTrial
from .parts import WithCycles, WithEntries, WithGeometry
from .pool import Pool
from .refresh import Refresh, RefreshWork
from .select import RoundRobin, bit_of, index_of
from .timer import timer

#: cycles after which no more requests of a kind are expected
_SILENCE = 256


class Scheduler(WithGeometry, WithCycles, WithEntries, wiring.Component):
    """Pools, banks and pickers of a pseudo-channel.

    A request is taken if its pool has a place and none for its atom waits (reads do not mind
    reads), so those for an atom keep their order. In the next cycle it may be a column command, or
    its ACT is offered. A row is closed once another is wanted, no hit waits and its bank does not
    linger; for a late request or a refresh; or if its bank is `done`. See `Pool`, `Bank`,
    `Refresh`, `OrderTrial`.

    Parameters
    ----------
    geometry, cycles : as the parts take them. entries : of each pool, at least 2. batching : of
        `Mode`.
    patience_bits : 1 to 24; a request is late after 1 to 1.5 times 2**patience_bits cycles.

    Members
    -------
    request : stream of {write, place}; `ready` depends on it. slot : the place that it takes.
    read_room : a read may be issued. column : what is issued {valid, write, slot, place}.
    act, maintain : offered {valid, index, row}, {op, index}; each may change until it is granted.
    act_granted, maintain_granted : it is issued; only what is offered. refresh_mode : see
        `Refresh`.
    writing, turned : see `Mode`. idle : no request waits. precharged : a PRE for a request is
        issued.
    refresh_blocks : requests wait for a closed bank that cannot be refreshed: most likely it is
        now.

    Raises TypeError or ValueError for a parameter that is no such number.
    """

    def __init__(
        self, *, geometry: Geometry, cycles: Cycles, entries: int, batching: Batching, patience_bits: int = 10
    ):
        self._geometry, self._cycles, self._batching = geometry, cycles, batching
        self._entries = require_int("Scheduler entries", entries, low=2)
        self._patience_bits = require_int("Scheduler patience bits", patience_bits, low=1, high=24)
        place = geometry.place()
        super().__init__(
            {
                "request": stream_in(data.StructLayout({"write": 1, "place": place})),
                "slot": Out(range(entries)),
                "read_room": In(1),
                "column": Out(
                    data.StructLayout({"valid": 1, "write": 1, "slot": Shape.cast(range(entries)), "place": place})
                ),
                "act": Out(data.StructLayout({"valid": 1, "index": geometry.index_bits, "row": geometry.row_bits})),
                "act_granted": In(1),
                "maintain": Out(data.StructLayout({"op": MaintainOp, "index": geometry.index_bits})),
                "maintain_granted": In(1),
                "refresh_mode": In(RefreshMode),
                **{name: Out(1) for name in ("writing", "turned", "idle", "precharged", "refresh_blocks")},
            }
        )

    @property
    def batching(self) -> Batching:
        """Thresholds between reads and writes."""
        return self._batching

    @property
    def patience_bits(self) -> int:
        """Logarithm of the cycles after which a request counts as late."""
        return self._patience_bits

    def elaborate(self, platform: object) -> Module:
        m = Module()
        g, c = self.geometry, self.cycles
        m.submodules.banks = banks = BankTable(geometry=g, cycles=c, entries=self.entries)
        reads, writes = (Pool(geometry=g, entries=self.entries, by_sid=c.sids_alternate) for _ in range(2))
        m.submodules.reads, m.submodules.writes = Shared(reads), Shared(writes)
        m.submodules.mode = mode = Mode(entries=self.entries, batching=self.batching)
        m.submodules.refresh = refresh = Refresh(geometry=g, cycles=c)
        self._insert(m, banks, reads, writes)
        self._columns(m, banks, reads, writes, mode, refresh)
        self._rows(m, banks, reads, writes, mode, refresh)
        self._adapt(m, banks, reads, writes, mode, refresh)
        time = Signal(self.patience_bits - 1)
        m.d.sync += time.eq(time + 1)
        m.d.comb += [reads.tick.eq(time == 0), writes.tick.eq(time == 0)]
        m.d.comb += [
            mode.reads.eq(reads.level),
            mode.writes.eq(writes.level),
            self.writing.eq(mode.writing),
            self.turned.eq(mode.turned),
            self.idle.eq((reads.level == 0) & (writes.level == 0)),
        ]
        return m

    def _adapt(self, m: Module, banks: BankTable, reads: Pool, writes: Pool, mode: Mode, refresh: Refresh) -> None:
        """Fit the order of ACTs and the choice of banks to refresh to the traffic."""
        m.submodules.trial = trial = OrderTrial()
        queued = Signal()
        no_reads = timer(m, "to_no_reads", [(reads.level != 0, _SILENCE)])
        no_writes = timer(m, "to_no_writes", [(writes.level != 0, _SILENCE)])
        m.d.sync += queued.eq(reads.level >= self.entries // 2)
        # a bank is missed least once its row is done with, which shows sooner while reads queue; rows of the other
        # kind wait between batches and are not done with, so then any bank will do, as without requests
        m.d.comb += [
            refresh.preferred.eq(Mux(no_writes & ~no_reads, Mux(queued, banks.spent, banks.rested), ~0)),
            trial.queued.eq(queued),
            trial.activate.eq(self.act_granted & ~mode.writing),
            trial.column.eq(reads.take),
            reads.by_place.eq(trial.by_place),
        ]

    def _insert(self, m: Module, banks: BankTable, reads: Pool, writes: Pool) -> None:
        """Take a request into its pool."""
        wanted = self.request.payload
        free = Signal()
        m.d.comb += [
            free.eq(~writes.conflict & Mux(wanted.write, ~writes.full & ~reads.conflict, ~reads.full)),
            self.request.ready.eq(free),
            reads.insert.valid.eq(self.request.valid & free & ~wanted.write),
            writes.insert.valid.eq(self.request.valid & free & wanted.write),
            reads.insert_hit.eq(banks.read_hit),
            writes.insert_hit.eq(banks.write_hit),
            banks.lookup.eq(wanted.place),
            banks.insert_read.eq(reads.insert.valid),
            banks.insert_write.eq(writes.insert.valid),
            self.slot.eq(Mux(wanted.write, writes.slot, reads.slot)),
        ]
        for pool in (reads, writes):
            m.d.comb += [pool.insert.place.eq(wanted.place), pool.lookup.eq(wanted.place)]

    def _columns(self, m: Module, banks: BankTable, reads: Pool, writes: Pool, mode: Mode, refresh: Refresh) -> None:
        """Issue the column command that the pool of the mode offers."""
        m.submodules.column_limits = limits = ColumnLimits(geometry=self.geometry, cycles=self.cycles)
        m.d.comb += [
            reads.take.eq(reads.column.valid & limits.can_read & self.read_room & ~mode.writing & ~refresh.held_all),
            writes.take.eq(writes.column.valid & limits.can_write & mode.writing & ~refresh.held_all),
            reads.group_blocked.eq(limits.read_blocked),
            writes.group_blocked.eq(limits.write_blocked),
            limits.read.eq(reads.take),
            limits.write.eq(writes.take),
            limits.index.eq(self.column.place.index),
            self.column.valid.eq(reads.take | writes.take),
            self.column.write.eq(mode.writing),
            self.column.slot.eq(Mux(mode.writing, writes.column_slot, reads.column_slot)),
            self.column.place.eq(Mux(mode.writing, writes.column.place, reads.column.place)),
            banks.column.valid.eq(self.column.valid),
            banks.column.index.eq(self.column.place.index),
            banks.column_write.eq(mode.writing),
        ]
        for pool in (reads, writes):
            m.d.comb += [pool.sid.eq(limits.sid), pool.sid_only.eq(limits.sid_only)]

    def _rows(self, m: Module, banks: BankTable, reads: Pool, writes: Pool, mode: Mode, refresh: Refresh) -> None:
        """Offer an ACT and another row command, and tell the pools what opens and closes."""
        g = self.geometry
        m.submodules.row_limits = limits = RowLimits(geometry=g, cycles=self.cycles)
        stale, held = Signal.like(reads.stale), Signal.like(reads.held)
        m.d.comb += [
            stale.eq(Mux(mode.writing, writes.stale.as_value(), reads.stale.as_value())),
            held.valid.eq(refresh.held | stale.valid),
            held.index.eq(Mux(refresh.held, refresh.index, stale.index)),
        ]
        self._activate(m, banks, reads, writes, mode, refresh, limits, stale)
        self._maintain(m, banks, mode, refresh, limits, stale)
        for pool, cycles, name in ((reads, self.cycles.rcd_read, "read"), (writes, self.cycles.rcd_write, "write")):
            opening = data.View(pool.opened.shape(), Signal.like(pool.opened.as_value(), name=f"opening_{name}"))
            m.d.comb += [
                opening.valid.eq(self.act_granted),
                opening.index.eq(self.act.index),
                opening.row.eq(self.act.row),
                pool.opened.eq(delay(m, opening.as_value(), cycles - 1, name=f"opened_{name}", reset_less=False)),
                pool.closed.valid.eq(banks.precharge.valid),
                pool.closed.index.eq(banks.precharge.index),
                pool.closed_all.eq(banks.precharge_all),
                pool.held.eq(held),
                getattr(banks, f"opened_{name}").eq(pool.opened),
                getattr(banks, f"found_{name}").eq(pool.found),
            ]

    def _activate(
        self,
        m: Module,
        banks: BankTable,
        reads: Pool,
        writes: Pool,
        mode: Mode,
        refresh: Refresh,
        limits: RowLimits,
        stale: data.View,
    ) -> None:
        """Offer the ACT of the mode's pool, else that of the other one when the mode is about to change."""
        allowed = Signal(1 << self.geometry.index_bits)
        for index in range(self.geometry.bank_count):
            group = index // self.geometry.banks % self.geometry.bank_groups
            m.d.comb += allowed[index].eq(
                banks.can_activate[index] & ~limits.act_blocked[group] & ~self._is_held(refresh, index)
            )
        refreshing = Signal()
        m.d.comb += [
            refreshing.eq((refresh.work == RefreshWork.REFRESH) | (refresh.work == RefreshWork.MANAGE)),
            reads.can_activate.eq(allowed),
            writes.can_activate.eq(allowed),
        ]
        own, other, ready = Signal.like(self.act), Signal.like(self.act), Signal()
        m.d.comb += [
            own.eq(Mux(mode.writing, writes.act.as_value(), reads.act.as_value())),
            other.eq(Mux(mode.writing, reads.act.as_value(), writes.act.as_value())),
            ready.eq(limits.can_activate & ~refreshing & ~refresh.held_all),
        ]
        with m.If(stale.valid & bit_of(allowed, stale.index)):
            m.d.comb += [self.act.eq(stale), self.act.valid.eq(ready)]
        with m.Elif(own.valid | ~mode.prepare):
            m.d.comb += [self.act.eq(own), self.act.valid.eq(own.valid & ready)]
        with m.Else():
            m.d.comb += [self.act.eq(other), self.act.valid.eq(other.valid & ready)]
        m.d.comb += [
            banks.act.valid.eq(self.act_granted),
            banks.act.index.eq(self.act.index),
            banks.act.row.eq(self.act.row),
            limits.activate.eq(self.act_granted),
            limits.index.eq(self.act.index),
        ]

    def _is_held(self, refresh: Refresh, index: int) -> Value:
        return refresh.held & (refresh.index == index)

    def _maintain(
        self, m: Module, banks: BankTable, mode: Mode, refresh: Refresh, limits: RowLimits, stale: data.View
    ) -> None:
        """Offer what the refresh asks for, else the PRE of a bank of which another row is wanted."""
        indices = 1 << self.geometry.index_bits
        m.submodules.turn = turn = RoundRobin(inputs=indices)
        own_hits, own_misses, other_hits, other_misses = (Signal(indices) for _ in range(4))
        wanted, urgent, asked_for = Signal(indices), Signal(indices), Signal(indices)
        m.d.comb += [
            own_hits.eq(Mux(mode.writing, banks.write_hits, banks.read_hits)),
            own_misses.eq(Mux(mode.writing, banks.write_misses, banks.read_misses)),
            other_hits.eq(Mux(mode.writing, banks.read_hits, banks.write_hits)),
            other_misses.eq(Mux(mode.writing, banks.read_misses, banks.write_misses)),
            urgent.eq(Mux(stale.valid, 1 << stale.index, 0)),
            wanted.eq(
                (own_misses & ~own_hits) | (Mux(mode.prepare, other_misses & ~other_hits, 0) & ~own_hits & ~own_misses)
            ),
            asked_for.eq(((wanted & ~banks.lingers) | urgent) & banks.can_precharge),
            turn.requests.eq(Mux(asked_for != 0, asked_for, banks.done & banks.can_precharge)),
            turn.taken.eq(self.maintain_granted & (refresh.work == RefreshWork.NONE)),
        ]
        closing, asked = index_of(m, turn.picked, name="closing"), Signal()
        with m.Switch(refresh.work):
            with m.Case(RefreshWork.CLOSE):
                m.d.comb += self.maintain.op.eq(Mux(refresh.all, MaintainOp.PREA, MaintainOp.PRE))
            with m.Case(RefreshWork.REFRESH):
                m.d.comb += self.maintain.op.eq(Mux(refresh.all, MaintainOp.REFAB, MaintainOp.REFPB))
            with m.Case(RefreshWork.MANAGE):
                m.d.comb += self.maintain.op.eq(MaintainOp.RFMPB)
            with m.Default():
                with m.If((turn.picked != 0) & ~refresh.held_all):
                    m.d.comb += self.maintain.op.eq(MaintainOp.PRE)
        m.d.comb += [
            asked.eq(refresh.work != RefreshWork.NONE),
            self.maintain.index.eq(Mux(asked, refresh.index, closing)),
            self.precharged.eq(self.maintain_granted & ~asked & (asked_for != 0)),
        ]
        self._carry_out(m, banks, refresh, limits, asked)

    def _carry_out(self, m: Module, banks: BankTable, refresh: Refresh, limits: RowLimits, asked: Signal) -> None:
        """Tell the banks and the refresh which row command is issued."""
        granted, op = self.maintain_granted, self.maintain.op
        commands = {"precharge": MaintainOp.PRE, "refresh": MaintainOp.REFPB, "manage": MaintainOp.RFMPB}
        for name, code in commands.items():
            command = getattr(banks, name)
            m.d.comb += [command.valid.eq(granted & (op == code)), command.index.eq(self.maintain.index)]
        busy = banks.read_misses | banks.write_misses | banks.read_hits | banks.write_hits
        refreshing = Signal(1 << self.geometry.index_bits)
        m.d.comb += [
            banks.precharge_all.eq(granted & (op == MaintainOp.PREA)),
            banks.refresh_all.eq(granted & (op == MaintainOp.REFAB)),
            limits.refresh.eq(banks.refresh.valid | banks.manage.valid),
            refresh.mode.eq(self.refresh_mode),
            refresh.spaced.eq(limits.can_refresh),
            refresh.quiet.eq(limits.quiet | self.idle),
            refresh.calm.eq(limits.calm),
            refresh.done.eq(granted & asked),
            refresh.busy.eq(busy),
            refreshing.eq(~banks.open & ~banks.can_refresh),
            self.refresh_blocks.eq((refreshing & busy).any()),
        ]
        for name in ("open", "can_precharge", "can_refresh", "managing", "blocked"):
            m.d.comb += getattr(refresh, name).eq(getattr(banks, name))

"""Properties of the control logic of an HBM pseudo-channel, for all inputs, at small sizes."""

from dataclasses import replace

from amaranth.hdl import Array, Assert, Assume, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.hbm.age import AgeOrder
from hdl.hbm.commands import Geometry, RefreshMode
from hdl.hbm.cycles import Cycles
from hdl.hbm.order import InOrder
from hdl.hbm.pool import Pool
from hdl.hbm.port import MemoryPort
from hdl.hbm.refresh import Refresh, RefreshWork
from mtia import hbm

from .parts import at_most_one, begin

#: cycles after which a bank may be closed, refreshed or used again, and for which the row bus is taken, at most
STALL = 3
#: the same, longer than a bank's refreshes are apart: its limit cannot be kept
LONG_STALL = 40
#: cycles from one refresh of a bank to the next that is owed
REFI = 128


def _count(bits: Value) -> Value:
    total: Value = bits[0]
    for bit in list(bits)[1:]:
        total = total + bit
    return total


class AgeProof(wiring.Component):
    """Four places, of which at most one is taken and one left a cycle, as a pool does.

    Asserted: the pick is the entry of the choice that came first, and none without a choice.
    """

    def __init__(self) -> None:
        super().__init__({name: In(width) for name, width in {"place": 4, "leave": 4, "choice": 4, "clk": 1}.items()})

    def elaborate(self, platform: object) -> Module:
        m = begin(self)
        n = len(self.place)
        m.submodules.age = age = AgeOrder(entries=n)
        occupied, chosen = Signal(n), Signal(n)
        ranks = [Signal(range(n + 1), name=f"rank_{place}") for place in range(n)]
        m.d.comb += [
            Assume(at_most_one(self.place) & ((self.place & occupied) == 0)),
            Assume(at_most_one(self.leave) & ((self.leave & ~occupied) == 0)),
            chosen.eq(self.choice & occupied),
            age.placed.eq(self.place),
            age.occupied.eq(occupied),
            age.choice[0].eq(chosen),
            Assert(at_most_one(age.oldest[0])),
            Assert((age.oldest[0] != 0) == (chosen != 0)),
        ]
        m.d.sync += occupied.eq((occupied & ~self.leave) | self.place)
        for place, rank in enumerate(ranks):  # entries that came before it
            before = [occupied[other] & self.leave[other] & (ranks[other] < rank) for other in range(n)]
            m.d.sync += rank.eq(Mux(self.place[place], _count(occupied & ~self.leave), rank - _count(Cat(before))))
            first = Cat(~chosen[other] | (ranks[other] >= rank) for other in range(n)).all()
            m.d.comb += Assert(age.oldest[0][place] == (chosen[place] & first))
        return m


class RefreshProof(wiring.Component):
    """The refresh of two banks that are used as one likes, but not while they are held.

    Asserted: no bank is owed more refreshes than may be postponed; none is refreshed that is owed none; a bank is held
    at the limit alone; a command is asked for only where the bank, the rows and the distances allow it.

    Parameters
    ----------
    stall : cycles at most from one command of a bank until the next is allowed, and in which the row bus is taken.
    """

    def __init__(self, *, stall: int):
        self._stall = stall
        widths = {"opens": 2, "busy": 2, "prefers": 2, "blocks": 2, "refuses": 1, "quiet": 1, "calm": 1, "clk": 1}
        super().__init__({name: In(width) for name, width in widths.items()})

    def elaborate(self, platform: object) -> Module:
        m = begin(self)
        geometry = Geometry(sids=1, bank_groups=1, banks=2, rows=2, columns=2)
        cycles = replace(Cycles.of(hbm.get("HBM3-6.4"), pc=0), refi=REFI, postpone=1)
        m.submodules.refresh = refresh = Refresh(geometry=geometry, cycles=cycles)
        is_open, settled, refused = Signal(2), Signal(2, init=3), Signal(range(self._stall + 2))
        asked, chosen, opens, moved = Signal(), Signal(2), Signal(2), Signal(2)
        m.d.comb += [
            Assume(~self.refuses | (refused < self._stall)),
            chosen.eq(1 << refresh.index),
            refresh.mode.eq(RefreshMode.PER_BANK),
            refresh.open.eq(is_open),
            refresh.busy.eq(self.busy),
            refresh.preferred.eq(self.prefers),
            refresh.can_precharge.eq(is_open & settled),
            refresh.can_refresh.eq(~is_open & settled),
            refresh.spaced.eq(1),
            refresh.quiet.eq(self.quiet),
            refresh.calm.eq(self.calm),
            asked.eq(refresh.work != RefreshWork.NONE),
            refresh.done.eq(asked & ~self.refuses),
            opens.eq(self.opens & settled & ~is_open & ~Mux(refresh.held | asked, chosen, 0)),
            moved.eq(opens | Mux(refresh.done, chosen, 0)),
            Assert(~refresh.held_all & ~refresh.all),
            Assert((refresh.work != RefreshWork.CLOSE) | ((chosen & is_open & settled) != 0)),
            Assert((refresh.work != RefreshWork.REFRESH) | ((chosen & ~is_open & settled) != 0)),
            Assert(refresh.work != RefreshWork.MANAGE),
        ]
        m.d.sync += [
            refused.eq(Mux(self.refuses, refused + 1, 0)),
            is_open.eq((is_open | opens) & ~Mux(refresh.done & (refresh.work == RefreshWork.CLOSE), chosen, 0)),
        ]
        for bank in range(2):
            waits = Signal(range(self._stall + 2), name=f"waits_{bank}")
            m.d.comb += Assume(~self.blocks[bank] | (waits < self._stall))
            m.d.sync += waits.eq(Mux(settled[bank], 0, waits + 1))
            m.d.sync += settled[bank].eq(~moved[bank] & (settled[bank] | ~self.blocks[bank]))
        self._owe(m, refresh)
        return m

    def _owe(self, m: Module, refresh: Refresh) -> None:
        """Count what each bank is owed, in a way of its own: from the time and the refreshes done."""
        time = Signal(range(REFI))
        m.d.sync += time.eq(Mux(time == REFI - 1, 0, time + 1))
        for bank in range(2):
            owed = Signal(3, name=f"owes_{bank}")
            served = Signal(name=f"serves_{bank}")
            m.d.comb += served.eq(refresh.done & (refresh.work == RefreshWork.REFRESH) & (refresh.index == bank))
            due = time == (bank + 1) * REFI // 2 - 1
            m.d.sync += owed.eq(owed + due - served)
            m.d.comb += [
                Assert(owed <= 1),
                Assert(~served | (owed != 0)),
                Assert(~refresh.held | (refresh.index != bank) | (owed != 0)),
            ]


class PoolProof(wiring.Component):
    """A pool of three places for the atoms of four banks, which open and close as they like.

    Asserted: an entry is there from its insertion until it is taken, and not longer: `conflict`, `level` and `full` say
    so; it is offered from the place that it was given; column commands only for open rows, of banks that are not held
    and groups that are not blocked, and one whenever none of that is in the way; ACTs only for rows that are wanted and
    not open, of banks that may be activated.
    """

    def __init__(self) -> None:
        self._geometry = Geometry(sids=2, bank_groups=2, banks=1, rows=2, columns=2)
        widths = {"insert": 1, "place": 4, "lookup": 4, "opened": 1, "opened_bank": 2, "opened_row": 1}
        widths |= {"closed": 1, "closed_bank": 2, "closed_all": 1, "held": 1, "held_bank": 2, "blocked": 2}
        widths |= {"sid": 1, "sid_only": 1, "can_activate": 4, "by_place": 1, "take": 1, "tick": 1, "clk": 1}
        super().__init__({name: In(width) for name, width in widths.items()})

    def elaborate(self, platform: object) -> Module:
        m = begin(self)
        m.submodules.pool = pool = Pool(geometry=self._geometry, entries=3)
        is_open, row, waiting = Signal(4), Signal(4), Signal(16)
        inserted, taken, closing = Signal(), Signal(), Signal(4)
        bank, wanted = self.place[:2], self.place[2]
        opens = self.opened & (self.opened_bank == bank) & (self.opened_row == wanted)
        m.d.comb += [
            closing.eq(Mux(self.closed_all, ~0, Mux(self.closed, 1 << self.closed_bank, 0))),
            Assume(~self.opened | ~((is_open | closing) >> self.opened_bank)[0]),
            Assume(~self.closed | (is_open >> self.closed_bank)[0]),
            inserted.eq(self.insert & ~pool.full & ~(waiting >> self.place)[0]),
            taken.eq(self.take & pool.column.valid),
            pool.insert.valid.eq(inserted),
            pool.insert.place.eq(self.place),
            pool.insert_hit.eq((((is_open >> bank)[0] & ((row >> bank)[0] == wanted)) | opens) & ~(closing >> bank)[0]),
            pool.lookup.eq(self.lookup),
            Cat(pool.opened.valid, pool.opened.index, pool.opened.row).eq(
                Cat(self.opened, self.opened_bank, self.opened_row)
            ),
            Cat(pool.closed.valid, pool.closed.index).eq(Cat(self.closed, self.closed_bank)),
            pool.closed_all.eq(self.closed_all),
            Cat(pool.held.valid, pool.held.index).eq(Cat(self.held, self.held_bank)),
            pool.group_blocked.eq(self.blocked),
            pool.sid.eq(self.sid),
            pool.sid_only.eq(self.sid_only),
            pool.can_activate.eq(self.can_activate),
            pool.by_place.eq(self.by_place),
            pool.take.eq(taken),
            pool.tick.eq(self.tick),
        ]
        m.d.sync += is_open.eq((is_open | Mux(self.opened, 1 << self.opened_bank, 0)) & ~closing)
        with m.If(self.opened):
            m.d.sync += row.eq((row & ~(1 << self.opened_bank)) | (self.opened_row << self.opened_bank))
        leaves = Mux(taken, 1 << pool.column.place.as_value(), 0)
        m.d.sync += waiting.eq((waiting & ~leaves) | Mux(inserted, 1 << self.place, 0))
        self._places(m, pool, inserted, taken)
        self._contents(m, pool, waiting)
        self._offers(m, pool, waiting, is_open, row)
        return m

    def _places(self, m: Module, pool: Pool, inserted: Value, taken: Value) -> None:
        """An entry keeps the place that it was given, which is given to no other one."""
        used, atoms = Signal(4), Array(Signal(4, name=f"atom_{slot}") for slot in range(4))
        m.d.comb += [
            Assert(~inserted | (~(used >> pool.slot)[0] & (pool.slot < 3))),
            Assert(~pool.column.valid | (used >> pool.column_slot)[0]),
            Assert(~pool.column.valid | (atoms[pool.column_slot] == pool.column.place.as_value())),
        ]
        gone = Mux(taken, 1 << pool.column_slot, 0)
        m.d.sync += used.eq((used & ~gone) | Mux(inserted, 1 << pool.slot, 0))
        with m.If(inserted):
            m.d.sync += atoms[pool.slot].eq(self.place)

    def _contents(self, m: Module, pool: Pool, waiting: Signal) -> None:
        m.d.comb += [
            Assert(pool.level == _count(waiting)),
            Assert(pool.full == (_count(waiting) == 3)),
            Assert(pool.conflict == (waiting >> self.lookup)[0]),
        ]

    def _offers(self, m: Module, pool: Pool, waiting: Signal, is_open: Signal, row: Signal) -> None:
        place, hits, wanted = pool.column.place, Signal(16), Signal(8)
        m.d.comb += [
            *(
                hits[atom].eq(waiting[atom] & is_open[atom & 3] & (row[atom & 3] == atom >> 2 & 1))
                for atom in range(16)
            ),
            *(wanted[rows].eq(waiting[rows] | waiting[8 + rows]) for rows in range(8)),
            Assert(~pool.column.valid | (hits >> place.as_value())[0]),
            Assert(~pool.column.valid | ~(self.blocked >> place.index[0])[0]),
            Assert(~pool.column.valid | ~self.held | (place.index != self.held_bank)),
            Assert(~pool.column.valid | ~self.sid_only | (place.index[1] == self.sid)),
            Assert(pool.column.valid | (hits == 0) | self.held | self.sid_only | (self.blocked != 0)),
            Assert(~pool.act.valid | (self.can_activate >> pool.act.index)[0]),
            Assert(~pool.act.valid | (wanted >> Cat(pool.act.index, pool.act.row))[0]),
            Assert(~pool.act.valid | ~(is_open >> pool.act.index)[0] | ((row >> pool.act.index)[0] != pool.act.row)),
        ]


class OrderProof(wiring.Component):
    """Reads of two ids through three slots, answered behind in any order.

    Asserted: answers of an id leave in the order of its reads, each with what came back for its own; `idle` says that
    none is on its way; an offered answer stays.
    """

    def __init__(self) -> None:
        widths = {"valid": 1, "id": 1, "ready": 1, "accepts": 1, "answers": 1, "slot": 2, "clk": 1}
        super().__init__({name: In(width) for name, width in widths.items()})

    def elaborate(self, platform: object) -> Module:
        m = begin(self)
        m.submodules.order = order = InOrder(port=MemoryPort(address_bits=1, tag_bits=3, id_bits=1), slots=3)
        request, back, out = order.request, order.back, order.response
        taken, left = Signal(), Signal()
        given, told = ([Signal(2, name=f"{name}_{id}") for id in range(2)] for name in ("given", "told"))
        behind, names = Signal(4), Array(Signal(3, name=f"name_{slot}") for slot in range(4))
        on_their_way = Signal(3)
        number = Mux(self.id, given[1], given[0])
        m.d.comb += [
            request.valid.eq(self.valid),
            request.payload.op.eq(0),
            request.payload.id.eq(self.id),
            request.payload.tag.eq(Cat(number, self.id)),
            order.onward.ready.eq(self.accepts),
            taken.eq(self.valid & request.ready),
            back.valid.eq(self.answers & (behind >> self.slot)[0]),
            back.payload.tag.eq(Cat(self.slot, 0, 1)),
            back.payload.data.eq(names[self.slot]),
            out.ready.eq(self.ready),
            left.eq(out.valid & self.ready),
            Assert(~back.valid | back.ready),
            Assert(order.idle == (on_their_way == 0)),
            Assert(~out.valid | (out.payload.data[:3] == out.payload.tag)),
            Assert(~out.valid | (out.payload.tag[:2] == Mux(out.payload.tag[2], told[1], told[0]))),
            Assert(~out.valid | (on_their_way != 0)),
        ]
        sent = order.onward.payload.tag[:2]
        m.d.sync += [
            on_their_way.eq(on_their_way + taken - left),
            behind.eq((behind & ~Mux(back.valid, 1 << self.slot, 0)) | Mux(taken, 1 << sent, 0)),
        ]
        with m.If(taken):
            m.d.sync += names[sent].eq(Cat(number, self.id))
        for id in range(2):
            m.d.sync += given[id].eq(given[id] + (taken & (self.id == id)))
            m.d.sync += told[id].eq(told[id] + (left & (out.payload.tag[2] == id)))
        self._stays(m, out.valid, out.payload.tag)
        return m

    def _stays(self, m: Module, valid: Value, tag: Value) -> None:
        had, before = Signal(), Signal(3)
        m.d.sync += [had.eq(valid & ~self.ready), before.eq(tag)]
        m.d.comb += Assert(~had | (valid & (tag == before)))

"""Requests that wait for their column command."""

import functools
import operator

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..core.arith import sum_tree
from ..core.checks import require_bool, require_int
from .age import AgeOrder
from .commands import Geometry
from .parts import WithEntries, WithGeometry
from .select import bit_of, index_of, lowest, read

#: bits of the number of column commands of one SID after which another SID has its turn
_PASSES = 6


class Pool(WithGeometry, WithEntries, wiring.Component):
    """The waiting reads, or the waiting writes, of a pseudo-channel.

    An entry is a hit from the cycle in which its column command would be legal for its bank until
    that bank is closed, otherwise a miss. Each cycle offers the column command of one hit and the
    ACT of one miss, whatever is older, so a request may be passed any number of times. A request
    that has waited for three `tick` is late; a late miss is named as `stale`, one after the other.

    Column command: of the hits that the limits allow the late ones; else those of the last
    command's SID, in the groups that have most hits among those not blocked; else any of that SID;
    else any. Of these the oldest. Before all of them come the hits of other SIDs once 63 commands
    in a row have passed such hits, and nothing else is offered then. Hits of other SIDs, if some
    may go, also come before those of the last SID that are not late, where these are all in one
    group, those of others in several, and a SID whose turn came after 63 commands has no more hits.

    ACT: of the misses that `can_activate` allows the oldest; with `by_place` the one in the lowest
    place, among those that have waited for two `tick` if there are any.

    Latency: an entry is offered from the cycle after it came, a miss as a hit from the cycle after
    `opened`; the place of an entry that is taken is free in the next cycle. Throughput: one in and
    one out a cycle. Empty after reset. What an offer does not allow is not checked.

    Parameters
    ----------
    geometry : address fields.
    entries : requests that fit, at least 2.
    by_sid : column commands of any SID may follow each other; groups are those of each SID, and
        none goes before another for its SID.

    Members
    -------
    insert : a request comes {valid, place}. Not while `full`.
    insert_hit : its row is open in the next cycle.
    slot : the place in the pool that it takes.
    lookup, conflict : whether a request for that atom waits, one that comes now from the next cycle
        on.
    opened : a bank opens its row for these column commands {valid, index, row}.
    closed : a bank is closed {valid, index}.
    closed_all : all are.
    held : column commands of that bank wait {valid, index}.
    found : entries for the row that `opened` names.
    group_blocked : a bit a group: it takes no column command now.
    sid : of the last column command.
    sid_only : no other SID may go now.
    can_activate : one bit a bank index: an ACT is allowed now.
    by_place : the order of the ACTs.
    column, column_slot : the column command offered {valid, place}, and its place in the pool.
    take : it is issued. Not without `column.valid`.
    act : the ACT offered {valid, index, row}.
    stale : a late miss {valid, index, row}, until it is a hit; another one after up to `entries`
        cycles.
    tick : a unit of time is over.
    level, full : entries; no place is left.

    Raises TypeError or ValueError for `entries` or `by_sid` that are not so.
    """

    def __init__(self, *, geometry: Geometry, entries: int, by_sid: bool = False):
        self._geometry = geometry
        self._by_sid = require_bool("Pool by SID", by_sid)
        self._entries = require_int("Pool entries", entries, low=2)
        place = geometry.place()
        offer = data.StructLayout({"valid": 1, "index": geometry.index_bits, "row": geometry.row_bits})
        super().__init__(
            {
                "insert": In(data.StructLayout({"valid": 1, "place": place})),
                "insert_hit": In(1),
                "slot": Out(range(entries)),
                "lookup": In(place),
                "conflict": Out(1),
                "opened": In(offer),
                "closed": In(data.StructLayout({"valid": 1, "index": geometry.index_bits})),
                "closed_all": In(1),
                "held": In(data.StructLayout({"valid": 1, "index": geometry.index_bits})),
                "found": Out(range(entries + 1)),
                "group_blocked": In(geometry.column_groups(by_sid=by_sid)),
                "sid": In(geometry.sid_bits),
                "sid_only": In(1),
                "can_activate": In(1 << geometry.index_bits),
                "by_place": In(1),
                "column": Out(data.StructLayout({"valid": 1, "place": place})),
                "column_slot": Out(range(entries)),
                "take": In(1),
                "act": Out(offer),
                "stale": Out(offer),
                "tick": In(1),
                "level": Out(range(entries + 1)),
                "full": Out(1),
            }
        )

    @property
    def by_sid(self) -> bool:
        """Whether column commands of any SID may follow each other."""
        return self._by_sid

    def elaborate(self, platform: object) -> Module:
        m = Module()
        n = self.entries
        m.submodules.age = age = AgeOrder(entries=n, picks=2)
        places = [Signal(self.geometry.place(), name=f"place_{i}", reset_less=True) for i in range(n)]
        valid, hit, late, aged, seen = (Signal(n, name=name) for name in ("valid", "hit", "late", "aged", "seen"))
        inserted, placed, taken = Signal(n), Signal(n), Signal(n)
        misses, late_misses = Signal(n), Signal(n)
        m.d.comb += [
            placed.eq(lowest(~valid)),
            inserted.eq(Mux(self.insert.valid, placed, 0)),
            self.slot.eq(index_of(m, placed, name="placed_index")),
            taken.eq(Mux(self.take, age.oldest[0], 0)),
            age.placed.eq(inserted),
            age.occupied.eq(valid),
            misses.eq(valid & ~hit),
            late_misses.eq(misses & late),
            self.full.eq(valid.all()),
        ]
        with m.If(self.tick):
            m.d.sync += [seen.eq(valid), aged.eq(seen), late.eq(aged)]
        m.d.sync += self.level.eq(self.level + self.insert.valid - self.take)
        for i in range(n):
            with m.If(inserted[i]):
                m.d.sync += [places[i].eq(self.insert.place), valid[i].eq(1)]
            with m.If(taken[i]):
                m.d.sync += valid[i].eq(0)
            with m.If(inserted[i] | taken[i]):
                m.d.sync += [seen[i].eq(0), aged[i].eq(0), late[i].eq(0)]
        self._hits(m, places, valid=valid, hit=hit, inserted=inserted, taken=taken)
        self._offer_column(m, places, hit=hit, late=late, age=age)
        self._offer_act(m, places, misses=misses, aged=aged, age=age)
        self._name_stale(m, places, misses=late_misses)
        return m

    def _hits(
        self, m: Module, places: list[data.View], *, valid: Signal, hit: Signal, inserted: Signal, taken: Signal
    ) -> None:
        """Keep the hits, and compare all entries with `lookup`."""
        opened, same = Signal(self.entries), Signal(self.entries)
        for i, place in enumerate(places):
            in_opened = self.opened.valid & (place.index == self.opened.index)
            in_closed = self.closed_all | (self.closed.valid & (place.index == self.closed.index))
            m.d.comb += opened[i].eq(in_opened & valid[i] & (place.row == self.opened.row))
            m.d.comb += same[i].eq(valid[i] & (place.as_value() == self.lookup.as_value()))
            with m.If(inserted[i]):
                m.d.sync += hit[i].eq(self.insert_hit)
            with m.Elif(taken[i] | in_closed):
                m.d.sync += hit[i].eq(0)
            with m.Elif(opened[i]):
                m.d.sync += hit[i].eq(1)
        m.d.comb += [
            self.conflict.eq(same.any()),
            self.found.eq(sum_tree(m, list(opened), name="found_tree")),
        ]

    def _offer_column(self, m: Module, places: list[data.View], *, hit: Signal, late: Signal, age: AgeOrder) -> None:
        """The column command of the oldest of the hits that go first now."""
        n, g = self.entries, self.geometry
        served, near = Signal(n), Signal(n)
        groups = [Signal(n, name=f"group_{group}") for group in range(len(self.group_blocked))]
        for i, place in enumerate(places):
            group = g.column_group(place.index, by_sid=self.by_sid)
            m.d.comb += [
                served[i].eq(hit[i] & ~(self.held.valid & (place.index == self.held.index))),
                near[i].eq(1 if self.by_sid else g.split(place.index)["sid"] == self.sid),
                *(members[i].eq(group == number) for number, members in enumerate(groups)),
            ]
        m.d.comb += [
            age.choice[0].eq(self._choose(m, groups, served=served, near=near, late=late, first=age.oldest[0])),
            self.column.valid.eq(age.choice[0] != 0),
            self.column.place.eq(read(m, age.oldest[0], places, name="column_place")),
            self.column_slot.eq(index_of(m, age.oldest[0], name="column_index")),
        ]

    def _choose(
        self, m: Module, groups: list[Signal], *, served: Signal, near: Signal, late: Signal, first: Value
    ) -> Signal:
        """Late hits, else those of the fullest groups of the last SID, else of that SID, else all that may go."""
        n = self.entries
        free, fullest, lone = Signal(n), Signal(n), Signal()
        allowed, near_allowed, far, far_allowed, choice = (
            Signal(n, name=name) for name in ("allowed", "near_allowed", "far", "far_allowed", "choice")
        )
        counts = self._counts(m, groups, served & near)
        m.d.comb += [
            free.eq(~self._members(groups, self.group_blocked)),
            fullest.eq(self._members(groups, self._fullest(m, counts))),
            far.eq(served & ~near),
            lone.eq(self._at_most_one(m, [count.any() for count in counts], name="near_groups")),
            allowed.eq(served & free & (near | ~self.sid_only.replicate(n))),
            near_allowed.eq(allowed & near),
            far_allowed.eq(allowed & far),
            choice.eq(allowed),
        ]
        passed, leaves = Signal(_PASSES), Signal()  # column commands since a hit of another SID waits
        with m.If((far == 0) | (self.take & (first & far).any())):
            m.d.sync += passed.eq(0)
        with m.Elif(self.take & ~passed.all()):
            m.d.sync += passed.eq(passed + 1)
        # what is left in one group would lose a cycle for each command, and a change of SID loses one in all
        far_alone = self._at_most_one(m, [(far & members).any() for members in groups], name="far_groups")
        may_leave = lone & ~far_alone & (far_allowed != 0)
        if not self.by_sid:
            stays = Signal()  # until nothing is left of a SID whose turn it was
            with m.If(self.take & passed.all()):
                m.d.sync += stays.eq(1)
            with m.Elif((served & near) == 0):
                m.d.sync += stays.eq(0)
            may_leave = may_leave & ~stays
        m.d.comb += leaves.eq(may_leave)
        for chosen in (near_allowed, near_allowed & fullest, Mux(leaves, far_allowed, 0), allowed & late):
            with m.If(chosen != 0):
                m.d.comb += choice.eq(chosen)
        with m.If(passed.all()):  # its commands may go after a cycle without one of the last SID's
            m.d.comb += choice.eq(far_allowed)
        return choice

    def _at_most_one(self, m: Module, bits: list[Value], *, name: str) -> Value:
        found = Signal(len(bits), name=name)
        m.d.comb += found.eq(Cat(bits))
        return (found ^ lowest(found)) == 0

    def _members(self, groups: list[Signal], chosen: Value) -> Value:
        """The entries of the groups that `chosen` has a bit for."""
        terms = [members & chosen[group].replicate(self.entries) for group, members in enumerate(groups)]
        return functools.reduce(operator.or_, terms)

    def _counts(self, m: Module, groups: list[Signal], served: Value) -> list[Signal]:
        """Hits of each group, a cycle late."""
        counts = []
        for group, members in enumerate(groups):
            count = Signal(range(self.entries + 1), name=f"hits_of_{group}", reset_less=True)
            hits = Signal(self.entries, name=f"served_of_{group}")
            m.d.comb += hits.eq(served & members)
            m.d.sync += count.eq(sum_tree(m, list(hits), name=f"hits_tree_{group}"))
            counts.append(count)
        return counts

    def _fullest(self, m: Module, counts: list[Signal]) -> Signal:
        """The groups with the most hits among those not blocked: the groups have to alternate."""
        usable = [Signal.like(count, name=f"usable_of_{group}") for group, count in enumerate(counts)]
        fullest = Signal(len(counts))
        for group, (mine, count) in enumerate(zip(usable, counts, strict=True)):
            m.d.comb += mine.eq(Mux(self.group_blocked[group], 0, count))
            m.d.comb += fullest[group].eq(Cat(mine >= other for other in usable).all())
        return fullest

    def _offer_act(self, m: Module, places: list[data.View], *, misses: Value, aged: Value, age: AgeOrder) -> None:
        """The oldest miss whose bank may be activated, or the one in the lowest place."""
        choice, waited, first = Signal(self.entries), Signal(self.entries), Signal(self.entries)
        m.d.comb += choice.eq(misses & Cat(bit_of(self.can_activate, place.index) for place in places))
        picked = Signal(self.geometry.place())
        m.d.comb += [
            age.choice[1].eq(choice),
            waited.eq(choice & aged),
            first.eq(Mux(self.by_place, lowest(Mux(waited != 0, waited, choice)), age.oldest[1])),
            picked.eq(read(m, first, places, name="act_place")),
            self.act.valid.eq(choice != 0),
            self.act.index.eq(picked.index),
            self.act.row.eq(picked.row),
        ]

    def _name_stale(self, m: Module, places: list[data.View], *, misses: Value) -> None:
        """Look at one entry after the other; stay at one that waits too long until it is a hit."""
        place = Signal(self.geometry.place(), name="stale_place")
        looked = Signal(range(self.entries))
        with m.Switch(looked):
            for i, entry in enumerate(places):
                with m.Case(i):
                    m.d.comb += [place.eq(entry), self.stale.valid.eq(misses[i])]
        m.d.comb += [self.stale.index.eq(place.index), self.stale.row.eq(place.row)]
        with m.If(~self.stale.valid):
            m.d.sync += looked.eq(Mux(looked == self.entries - 1, 0, looked + 1))

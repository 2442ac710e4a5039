# amaranth: UnusedElaboratable=no
# (components whose parameters are refused are never elaborated)
"""Pool of waiting requests: what it offers may always be issued, and something that may is always offered."""

import random
from typing import Any

import pytest

from hdl.hbm.pool import Pool

from ..pysim import simulate
from .parts import ODD, bits

ENTRIES = 8
#: SID and bank group of the groups of two SIDs
GROUPS = [(sid, group) for sid in range(2) for group in range(ODD.bank_groups)]


class Entry:
    """A request that waits."""

    def __init__(self, bank, row, column, slot, hit):
        self.bank, self.row, self.column, self.slot, self.hit = bank, row, column, slot, hit
        self.ticks = 0

    @property
    def place(self):
        """Its place, as the pool gives it."""
        return self.bank, self.row, self.column


def group_of(bank):
    """SID and bank group of a bank's index."""
    group = bank // ODD.banks
    return group // ODD.bank_groups, group % ODD.bank_groups


def place_of(view):
    """Index, row and column of a place."""
    return view["index"], view["row"], view["column"]


@pytest.mark.parametrize("by_sid", [False, True])
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(("coming", "taking"), [(0.9, 0.3), (0.5, 0.9)])
def test_random(coming, taking, late, by_sid, seed):
    """Every cycle the offers, `found`, `conflict`, `slot`, `level` and `full` against the entries."""
    rng = random.Random(seed)
    pool = Pool(geometry=ODD, entries=ENTRIES, by_sid=by_sid)
    waiting: list[Entry] = []
    opened: dict[int, int] = {}
    met = set()

    async def bench(ctx):
        last_sid = 0
        for _ in range(700):
            full = len(waiting) == ENTRIES
            assert bool(ctx.get(pool.full)) == full
            assert ctx.get(pool.level) == len(waiting)
            used = {each.slot for each in waiting}
            # what happens to banks
            opening = closing = None
            close_all = rng.random() < 0.01
            missed = [each for each in waiting if not each.hit and each.bank not in opened]
            if missed and rng.random() < 0.3:
                chosen = rng.choice(missed)
                opening = chosen.bank, chosen.row
            if opened and rng.random() < 0.1:
                closing = rng.choice(list(opened))
            held = rng.randrange(ODD.bank_count) if rng.random() < 0.2 else None
            blocked = bits(group for group in range(len(pool.group_blocked)) if rng.random() < 0.2)
            only = rng.random() < 0.2 and not by_sid
            allowed = bits(bank for bank in range(ODD.bank_count) if rng.random() < 0.5)
            tick = late and rng.random() < 0.03
            by_place = rng.random() < 0.5
            # what comes
            bank, row, column = rng.randrange(ODD.bank_count), rng.randrange(3), rng.randrange(2)
            inserted = not full and rng.random() < coming and (bank, row, column) not in {e.place for e in waiting}
            is_open = close_all is False and closing != bank
            hit = is_open and (opened.get(bank) == row or opening == (bank, row))
            ctx.set(pool.insert, {"valid": inserted, "place": {"index": bank, "row": row, "column": column}})
            ctx.set(pool.insert_hit, hit)
            looked = rng.choice([each.place for each in waiting] + [(bank, row, column)])
            ctx.set(pool.lookup, dict(zip(("index", "row", "column"), looked, strict=True)))
            ctx.set(
                pool.opened,
                {"valid": opening is not None, **dict(zip(("index", "row"), opening or (0, 0), strict=True))},
            )
            ctx.set(pool.closed, {"valid": closing is not None, "index": closing or 0})
            ctx.set(pool.closed_all, close_all)
            ctx.set(pool.held, {"valid": held is not None, "index": held or 0})
            ctx.set(pool.group_blocked, blocked)
            ctx.set(pool.sid, last_sid)
            ctx.set(pool.sid_only, only)
            ctx.set(pool.can_activate, allowed)
            ctx.set(pool.tick, tick)
            ctx.set(pool.by_place, by_place)
            # what it says
            assert bool(ctx.get(pool.conflict)) == (looked in {each.place for each in waiting})
            if opening:
                assert ctx.get(pool.found) == sum((each.bank, each.row) == opening for each in waiting)
            slot = ctx.get(pool.slot)
            assert full or slot not in used
            free = [
                each
                for each in waiting
                if each.hit
                and each.bank != held
                and not blocked >> (each.bank // ODD.banks if by_sid else group_of(each.bank)[1]) & 1
                and (not only or group_of(each.bank)[0] == last_sid)
            ]
            column_offer = ctx.get(pool.column)
            assert bool(column_offer["valid"]) == bool(free)
            offered = None
            if free:
                place = place_of(column_offer["place"])
                offered = next(each for each in free if each.place == place)
                assert ctx.get(pool.column_slot) == offered.slot
                overdue = [each for each in free if each.ticks >= 3]
                assert not overdue or offered is overdue[0], "the oldest of those that waited for long goes first"
            misses = [each for each in waiting if not each.hit and allowed >> each.bank & 1]
            act = ctx.get(pool.act)
            assert bool(act["valid"]) == bool(misses)
            if misses:
                aged = [each for each in misses if each.ticks >= 2]
                first = min(aged or misses, key=lambda each: each.slot) if by_place else misses[0]
                assert (act["index"], act["row"]) == (first.bank, first.row)
            stale = ctx.get(pool.stale)
            if stale["valid"]:
                named = [each for each in waiting if (each.bank, each.row) == (stale["index"], stale["row"])]
                assert any(not each.hit and each.ticks >= 3 for each in named)
            met.update({("column", bool(free)), ("act", bool(misses)), ("full", full), ("stale", bool(stale["valid"]))})
            take = offered is not None and rng.random() < taking
            ctx.set(pool.take, take)
            await ctx.tick()
            # what became of it
            if take and offered is not None:
                waiting.remove(offered)
                last_sid = group_of(offered.bank)[0]
            for each in waiting:
                each.ticks += tick
                if close_all or each.bank == closing:
                    each.hit = False
                elif (each.bank, each.row) == opening:
                    each.hit = True
            if inserted:
                waiting.append(Entry(bank, row, column, slot, hit))
            if opening:
                opened[opening[0]] = opening[1]
            opened_now = {} if close_all else {each: row for each, row in opened.items() if each != closing}
            opened.clear()
            opened.update(opened_now)

    simulate(pool, bench)
    assert met >= {(what, value) for what in ("column", "act", "full") for value in (False, True)}
    assert (("stale", True) in met) == late


def insert(ctx, pool, bank, row, column, *, hit=0):
    """Offer a request for the next edge."""
    ctx.set(pool.insert, {"valid": 1, "place": {"index": bank, "row": row, "column": column}})
    ctx.set(pool.insert_hit, hit)


def test_oldest_first():
    """Hits of one bank leave in the order in which they came, however the places were used."""
    pool = Pool(geometry=ODD, entries=4)

    async def bench(ctx):
        left = []
        ctx.set(pool.take, 0)
        for column in range(4):
            insert(ctx, pool, 3, 1, column, hit=1)
            await ctx.tick()
        ctx.set(pool.insert.valid, 0)
        for column in range(4, 12):
            ctx.set(pool.take, 1)
            left.append(ctx.get(pool.column.place.column))
            await ctx.tick()
            ctx.set(pool.take, 0)
            insert(ctx, pool, 3, 1, column % 8, hit=1)
            await ctx.tick()
            ctx.set(pool.insert.valid, 0)
        assert left == [column % 8 for column in range(8)]

    simulate(pool, bench)


def test_late_miss_is_named():
    """After three ticks a miss that no one opens is named, until it is a hit; a younger one is not."""
    pool = Pool(geometry=ODD, entries=4)

    async def bench(ctx):
        insert(ctx, pool, 5, 7, 1)
        await ctx.tick()
        ctx.set(pool.insert.valid, 0)
        for tick in range(3):
            assert not ctx.get(pool.stale.valid)
            ctx.set(pool.tick, 1)
            await ctx.tick()
            ctx.set(pool.tick, 0)
            if tick == 0:
                insert(ctx, pool, 6, 2, 1)
                await ctx.tick()
                ctx.set(pool.insert.valid, 0)
        for _ in range(2 * pool.entries):
            if ctx.get(pool.stale.valid):
                break
            await ctx.tick()
        stale = ctx.get(pool.stale)
        assert (stale["valid"], stale["index"], stale["row"]) == (1, 5, 7)
        ctx.set(pool.opened, {"valid": 1, "index": 5, "row": 7})
        await ctx.tick()
        ctx.set(pool.opened.valid, 0)
        for _ in range(3 * pool.entries):
            assert not ctx.get(pool.stale.valid)
            await ctx.tick()

    simulate(pool, bench)


def test_another_sid_has_its_turn():
    """A hit of another SID is issued though hits of the last one, which may go at once, never run out."""
    pool = Pool(geometry=ODD, entries=8)
    banks_of_a_sid = ODD.bank_groups * ODD.banks

    async def bench(ctx):
        for bank in (0, 1, 2, banks_of_a_sid):
            insert(ctx, pool, bank, 1, 0, hit=1)
            await ctx.tick()
        taken, last = [], False
        for cycle in range(90):
            insert(ctx, pool, cycle % banks_of_a_sid, 1, 1, hit=1)
            ctx.set(pool.insert.valid, not ctx.get(pool.full))
            ctx.set(pool.sid_only, last)
            last = bool(ctx.get(pool.column.valid))
            ctx.set(pool.take, last)
            taken.append(group_of(ctx.get(pool.column.place.index))[0] if last else None)
            await ctx.tick()
            if taken[-1] == 1:
                break
        assert taken[-1] == 1
        assert 63 <= taken.count(0) <= 64
        assert taken.count(None) <= 2

    simulate(pool, bench)


def test_sid_changes_before_it_waits_for_one_group():
    """What is left of a SID in one group, which is blocked after each command, goes after the other SID's groups."""
    pool = Pool(geometry=ODD, entries=8)
    of_group = [[bank for bank in range(ODD.bank_count) if group_of(bank) == (sid, group)] for sid, group in GROUPS]

    async def bench(ctx):
        for column in range(2):
            insert(ctx, pool, of_group[0][0], 1, column, hit=1)  # SID 0, group 0
            await ctx.tick()
        for column in range(2):
            for bank in (of_group[2][0], of_group[3][0]):  # SID 1, both groups
                insert(ctx, pool, bank, 1, column, hit=1)
                await ctx.tick()
        ctx.set(pool.insert.valid, 0)
        ctx.set(pool.group_blocked, 1)
        ctx.set(pool.sid_only, 1)
        await ctx.tick()
        assert not ctx.get(pool.column.valid)
        ctx.set(pool.group_blocked, 0)
        assert group_of(ctx.get(pool.column.place.index)) == (0, 0)  # it costs nothing to go on
        ctx.set(pool.sid_only, 0)  # a cycle is lost already
        assert group_of(ctx.get(pool.column.place.index))[0] == 1

    simulate(pool, bench)


def test_turn_of_a_sid_is_for_all_its_hits():
    """Hits of one group of another SID, passed for long, go all together, though each has to wait for the last."""
    pool = Pool(geometry=ODD, entries=16)
    of_group = [next(bank for bank in range(ODD.bank_count) if group_of(bank) == each) for each in GROUPS]

    async def bench(ctx):
        for group, columns in ((0, 4), (1, 4), (2, 4)):  # SID 0, both groups; SID 1, group 0
            for column in range(columns):
                insert(ctx, pool, of_group[group], 1, column, hit=1)
                await ctx.tick()
        taken, last_sid, last_group = [], 0, None
        for column in range(200):
            insert(ctx, pool, of_group[column % 2], 1, column % 8, hit=1)  # SID 0, both groups
            ctx.set(pool.insert.valid, not ctx.get(pool.full))
            ctx.set(pool.sid, last_sid)
            ctx.set(pool.sid_only, last_group is not None)
            ctx.set(pool.group_blocked, 0 if last_group is None else 1 << last_group)
            offered = bool(ctx.get(pool.column.valid))
            ctx.set(pool.take, offered)
            last_group = None
            if offered:
                last_sid, last_group = group_of(ctx.get(pool.column.place.index))
                taken.append(last_sid)
            await ctx.tick()
        first = taken.index(1)
        assert 63 <= first <= 64
        assert taken[first : first + 4] == [1] * 4

    simulate(pool, bench)


def test_properties():
    pool = Pool(geometry=ODD, entries=5, by_sid=True)
    assert (pool.geometry, pool.entries, pool.by_sid) == (ODD, 5, True)
    assert len(pool.group_blocked) == ODD.sids * ODD.bank_groups


def test_by_sid_wrong():
    number: Any = 1
    with pytest.raises(TypeError, match="Pool by SID must be a bool, not 1"):
        Pool(geometry=ODD, entries=4, by_sid=number)


@pytest.mark.parametrize(
    ("entries", "error", "message"),
    [
        (1, ValueError, "Pool entries must be at least 2, not 1"),
        ("8", TypeError, "Pool entries must be an integer, not '8'"),
    ],
)
def test_entries_wrong(entries, error, message):
    with pytest.raises(error, match=message):
        Pool(geometry=ODD, entries=entries)

"""Distances of a whole pseudo-channel: everything legal is allowed, nothing else, in random traffic."""

import random

import pytest

from hdl.hbm.commands import Geometry
from hdl.hbm.cycles import Cycles
from hdl.hbm.limits import ColumnLimits, RowLimits
from mtia import hbm

from ..pysim import simulate
from .parts import GEOMETRY, ODD

ONE_SID = Geometry(sids=1, bank_groups=4, banks=2, rows=16, columns=8)
SETS = ["HBM2-2.0", "HBM3-6.4", "HBM4E-13.5"]
CYCLES = 500


def fields(geometry, index):
    """SID and bank group of a bank's index."""
    group = index // geometry.banks
    return group // geometry.bank_groups, group % geometry.bank_groups


class Columns:
    """Column commands of the past, and which the constraints allow now."""

    def __init__(self, geometry, cycles):
        self.geometry, self.cycles, self.past = geometry, cycles, []

    def distance(self, before, kind, after, bank):
        c = self.cycles
        (sid, group), (sid_now, group_now) = fields(self.geometry, before[1]), fields(self.geometry, bank)
        if before[0] == "write" and kind == "read":
            return c.write_to_read_long if group == group_now else c.write_to_read_short
        if before[0] == "read" and kind == "write":
            return c.read_to_write
        return max(c.ccd_long if group == group_now else 1, c.ccd_sid if sid != sid_now else 1)

    def allows(self, now, kind, bank):
        return all(now - then >= self.distance((what, where), kind, now, bank) for then, what, where in self.past)

    def note(self, now, kind, bank):
        self.past = [each for each in self.past if now - each[0] < 100] + [(now, kind, bank)]


@pytest.mark.parametrize("geometry", [GEOMETRY, ODD, ONE_SID], ids=["2 SIDs", "3 SIDs", "1 SID"])
@pytest.mark.parametrize("name", SETS)
def test_columns(name, geometry, seed):
    """Each cycle every bank and kind is compared, then a legal command is issued at random, or none."""
    rng = random.Random(seed)
    cycles = Cycles.of(hbm.get(name), pc=0)
    dut = ColumnLimits(geometry=geometry, cycles=cycles)
    model = Columns(geometry, cycles)
    met = set()

    async def bench(ctx):
        busy, kinds = 0.9, ["read"]
        for now in range(CYCLES):
            if now % 50 == 0:
                busy = rng.choice([0.2, 0.9, 1.0])
                kinds = rng.choice([["read"], ["write"], ["read", "write"]])
            legal = []
            for kind in ("read", "write"):
                may = ctx.get(getattr(dut, f"can_{kind}"))
                blocked = ctx.get(getattr(dut, f"{kind}_blocked"))
                only, last = ctx.get(dut.sid_only), ctx.get(dut.sid)
                for bank in range(geometry.bank_count):
                    sid, group = fields(geometry, bank)
                    allowed = bool(may and not blocked >> group & 1 and (sid == last or not only))
                    assert allowed == model.allows(now, kind, bank), (now, kind, bank, model.past[-4:])
                    met.add((kind, allowed))
                    if allowed and kind in kinds:
                        legal.append((kind, bank))
            chosen = rng.choice(legal) if legal and rng.random() < busy else None
            for kind in ("read", "write"):
                ctx.set(getattr(dut, kind), chosen is not None and chosen[0] == kind)
            ctx.set(dut.index, chosen[1] if chosen else rng.randrange(geometry.bank_count))
            if chosen:
                model.note(now, *chosen)
            await ctx.tick()

    simulate(dut, bench)
    assert met == {(kind, allowed) for kind in ("read", "write") for allowed in (False, True)}


class Rows:
    """Row commands of the past, and which the constraints allow now."""

    def __init__(self, geometry, cycles):
        self.geometry, self.cycles, self.acts, self.refreshes = geometry, cycles, [], []

    def allows_act(self, now, bank):
        c, group = self.cycles, fields(self.geometry, bank)[1]
        return (
            all(now - then >= c.rrd_short for then, _ in self.acts)
            and all(now - then >= c.rrd_long for then, where in self.acts if fields(self.geometry, where)[1] == group)
            and all(now - then >= c.refresh_to_act for then in self.refreshes)
            and sum(now - then < c.faw for then, _ in self.acts) < 4
        )

    def allows_refresh(self, now):
        c = self.cycles
        return all(now - then >= c.act_to_refresh for then, _ in self.acts) and all(
            now - then >= c.refresh_gap for then in self.refreshes
        )


@pytest.mark.parametrize("geometry", [GEOMETRY, ODD, ONE_SID], ids=["2 SIDs", "3 SIDs", "1 SID"])
@pytest.mark.parametrize("name", SETS)
def test_rows(name, geometry, seed):
    """Each cycle every bank is compared, then a legal ACT or refresh is issued at random, or none."""
    rng = random.Random(seed)
    cycles = Cycles.of(hbm.get(name), pc=0)
    dut = RowLimits(geometry=geometry, cycles=cycles)
    model = Rows(geometry, cycles)
    met = set()

    async def bench(ctx):
        busy, refreshing = 1.0, 0.1
        for now in range(CYCLES):
            if now % 60 == 0:
                busy, refreshing = rng.choice([0.3, 1.0]), rng.choice([0.0, 0.1, 0.5])
            may, blocked = ctx.get(dut.can_activate), ctx.get(dut.act_blocked)
            legal = []
            for bank in range(geometry.bank_count):
                allowed = bool(may and not blocked >> fields(geometry, bank)[1] & 1)
                assert allowed == model.allows_act(now, bank), (now, bank, model.acts[-5:], model.refreshes[-1:])
                if allowed:
                    legal.append(bank)
            may_refresh = bool(ctx.get(dut.can_refresh))
            assert may_refresh == model.allows_refresh(now)
            quiet = bool(ctx.get(dut.quiet))
            assert not (quiet and may), "quiet, but an ACT may be issued"
            met.update({("act", bool(legal)), ("refresh", may_refresh), ("quiet", quiet)})
            refresh = may_refresh and rng.random() < refreshing
            chosen = rng.choice(legal) if legal and not refresh and rng.random() < busy else None
            ctx.set(dut.activate, chosen is not None)
            ctx.set(dut.refresh, refresh)
            ctx.set(dut.index, rng.randrange(geometry.bank_count) if chosen is None else chosen)
            if refresh:
                model.refreshes = [*model.refreshes[-3:], now]
            if chosen is not None:
                model.acts = [*model.acts[-8:], (now, chosen)]
            await ctx.tick()

    simulate(dut, bench)
    wanted = {(what, value) for what in ("act", "refresh", "quiet") for value in (False, True)}
    if cycles.faw <= 4 * cycles.rrd_short:  # the window never holds four
        wanted.remove(("quiet", True))
    assert met == wanted


@pytest.mark.parametrize("part", [ColumnLimits, RowLimits])
def test_properties(part):
    cycles = Cycles.of(hbm.get("HBM3-6.4"), pc=1)
    dut = part(geometry=GEOMETRY, cycles=cycles)
    assert (dut.geometry, dut.cycles) == (GEOMETRY, cycles)
    simulate(dut, _nothing)


async def _nothing(ctx):
    await ctx.tick()

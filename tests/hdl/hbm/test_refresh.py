"""Refresh against banks that open, close and are busy at random: in time, in a legal order, in no one's way."""

import itertools
import random
from dataclasses import replace

import pytest
from amaranth.hdl import Value

from hdl.hbm.commands import RefreshMode
from hdl.hbm.refresh import Refresh, RefreshWork

from ..pysim import simulate
from .parts import GEOMETRY, ODD, SHORT, bits

#: cycles of a REFPB, of a REFAB, from a PRE to either
PER_BANK, ALL, AFTER_PRE = 6, 9, 3


class Banks:
    """Banks of a pseudo-channel as the refresh sees them, and what it does to them.

    busy: chance that a bank which is not held is in use; opening: that an idle one is opened
    granted: chance that what is asked for is issued in a cycle; preferred: that a bank is for a while
    """

    def __init__(self, geometry, random, *, busy=0.0, opening=0.0, granted=1.0, quiet=0.7, preferred=1.0):
        self.geometry, self.random = geometry, random
        self.count = geometry.bank_count
        self.chances = {"busy": busy, "opening": opening, "granted": granted, "quiet": quiet, "preferred": preferred}
        self.open = [False] * self.count
        self.busy = [False] * self.count
        self.preferred = [self.chance("preferred") for _ in range(self.count)]
        self.free_at = [0] * self.count  # cycle from which a bank may be refreshed
        self.close_at = [0] * self.count  # and from which it may be closed
        self.activations = [0] * self.count
        #: (cycle, RefreshWork, bank, or None for all)
        self.issued: list[tuple[int, RefreshWork, int | None]] = []
        self.cycle = 0
        self.managed, self.liked = False, None

    def chance(self, name):
        return self.random.random() < self.chances[name]

    def can_refresh(self, bank):
        return not self.open[bank] and self.cycle >= self.free_at[bank]

    def can_close(self, bank):
        return self.open[bank] and self.cycle >= self.close_at[bank]

    async def step(self, ctx, dut):
        """A cycle."""
        if self.random.random() < 0.2:
            self.busy = [self.chance("busy") for _ in range(self.count)]
            self.preferred = [self.chance("preferred") for _ in range(self.count)]
        vectors = {
            "open": self.open,
            "busy": self.busy,
            "preferred": self.preferred if self.liked is None else [each in self.liked for each in range(self.count)],
            "can_precharge": [self.can_close(bank) for bank in range(self.count)],
            "can_refresh": [self.can_refresh(bank) for bank in range(self.count)],
            "managing": [self.managed and each >= 3 for each in self.activations],
            "blocked": [self.managed and each >= 6 for each in self.activations],
        }
        for name, values in vectors.items():
            ctx.set(getattr(dut, name), bits(bank for bank in range(self.count) if values[bank]))
        spaced = self.random.random() < 0.9
        ctx.set(dut.spaced, spaced)
        quiet = self.chance("quiet")
        ctx.set(dut.quiet, quiet)
        ctx.set(dut.calm, quiet or self.chance("quiet"))
        work, all_banks, bank = ctx.get(dut.work), ctx.get(dut.all), ctx.get(dut.index)
        granted = work != RefreshWork.NONE and self.chance("granted")
        ctx.set(dut.done, granted)
        held = self.held(ctx, dut)
        self.check(work, all_banks, bank, spaced, held)
        if granted:
            self.issue(work, None if all_banks else bank)
        self.act(held, refreshing=work in (RefreshWork.REFRESH, RefreshWork.MANAGE))
        await ctx.tick()
        self.cycle += 1

    def held(self, ctx, dut):
        """Banks that take no other command."""
        if ctx.get(dut.held_all):
            return set(range(self.count))
        return {ctx.get(dut.index)} if ctx.get(dut.held) else set()

    def check(self, work, all_banks, bank, spaced, held):
        """What is asked for may be issued now."""
        if work == RefreshWork.NONE:
            return
        banks = range(self.count) if all_banks else [bank]
        if work == RefreshWork.CLOSE:
            assert all(self.can_close(each) for each in banks if self.open[each])
            assert any(self.open[each] for each in banks)
        else:
            assert all(self.can_refresh(each) for each in banks)
            assert spaced or all_banks
        assert all_banks or bank in held or not self.busy[bank], "a bank in use is refreshed without need"

    def issue(self, work, bank):
        """A command of the refresh takes place."""
        self.issued.append((self.cycle, work, bank))
        for each in range(self.count) if bank is None else [bank]:
            if work == RefreshWork.CLOSE:
                self.open[each] = False
                self.free_at[each] = max(self.free_at[each], self.cycle + AFTER_PRE)
            else:
                self.free_at[each] = self.cycle + (ALL if bank is None else PER_BANK)
                self.activations[each] = max(0, self.activations[each] - 3)

    def act(self, held, *, refreshing):
        """Traffic of its own accord: a bank is opened, or closed."""
        bank = self.random.randrange(self.count)
        if bank in held or refreshing:
            return
        if self.open[bank]:
            if self.can_close(bank) and self.random.random() < 0.3:
                self.open[bank] = False
                self.free_at[bank] = max(self.free_at[bank], self.cycle + AFTER_PRE)
        elif self.can_refresh(bank) and self.chance("opening") and not (self.managed and self.activations[bank] >= 6):
            self.open[bank] = True
            self.close_at[bank] = self.cycle + 5
            self.activations[bank] += 1

    def times(self, work, bank=None):
        """Cycles in which a work was done for a bank, for all of them where None."""
        return [cycle for cycle, what, where in self.issued if what == work and where == bank]


def play(geometry, mode, cycles, seed, *, refi=None, managed=False, liked=None, **chances):
    """The banks after so many cycles; of `liked` ones, those alone are ever preferred."""
    distances = replace(SHORT, refi=refi or 20 * geometry.bank_count)
    dut = Refresh(geometry=geometry, cycles=distances)
    banks = Banks(geometry, random.Random(seed), **chances)
    banks.managed, banks.liked = managed, liked

    async def bench(ctx):
        ctx.set(dut.mode, mode)
        for _ in range(cycles):
            await banks.step(ctx, dut)

    simulate(dut, bench)
    return banks, distances


def most_owed(times, refi, cycles):
    """Most refreshes a bank is owed when one falls due each `refi` cycles, and the fewest."""
    due = {refi * period for period in range(1, cycles // refi + 1)}
    owed, low, high = 0, 0, 0
    for cycle in range(cycles):
        owed += (cycle in due) - (cycle in times)
        low, high = min(low, owed), max(high, owed)
    return low, high


@pytest.mark.parametrize("geometry", [GEOMETRY, ODD], ids=["2 SIDs", "3 SIDs"])
@pytest.mark.parametrize(
    "chances",
    [
        {},
        {"busy": 1.0, "opening": 1.0},
        {"busy": 0.6, "opening": 0.3, "granted": 0.4, "quiet": 0.1},
        {"busy": 0.9, "opening": 0.9, "granted": 0.7, "quiet": 0.0},
        {"preferred": 0.0},
        {"busy": 0.7, "opening": 0.5, "preferred": 0.2},
    ],
    ids=["idle", "always busy", "slow bus", "never quiet", "never preferred", "seldom preferred"],
)
def test_every_bank_in_time(geometry, chances, seed):
    """No bank is ever owed more than `postpone`, nor far ahead."""
    refi = 36 * geometry.bank_count  # a refresh waits up to 31 cycles; some are for choosing and closing the bank
    periods = 9
    banks, distances = play(geometry, RefreshMode.PER_BANK, periods * refi, seed, refi=refi, **chances)
    for bank in range(geometry.bank_count):
        times = banks.times(RefreshWork.REFRESH, bank)
        low, high = most_owed(set(times), refi, periods * refi)
        assert high <= distances.postpone
        assert low >= -1
        assert periods - distances.postpone - 1 <= len(times) <= periods + 1


def test_idle_banks_are_refreshed_at_once(seed):
    """Without traffic nothing is postponed: one each period and bank, spread over the period."""
    banks, distances = play(GEOMETRY, RefreshMode.PER_BANK, 5 * 400, seed, refi=400)
    every = sorted(cycle for cycle, work, _ in banks.issued if work == RefreshWork.REFRESH)
    assert len(every) in range(5 * GEOMETRY.bank_count - 1, 5 * GEOMETRY.bank_count + 1)
    gaps = [after - before for before, after in itertools.pairwise(every)]
    assert max(gaps) < 2 * distances.refi // GEOMETRY.bank_count
    assert banks.times(RefreshWork.CLOSE) == []


def test_banks_wait_until_they_are_preferred(seed):
    """An idle bank that never is gets its first refresh when it is owed half of `postpone`, not before."""
    refi = 400
    banks, distances = play(GEOMETRY, RefreshMode.PER_BANK, 5 * refi, seed, refi=refi, preferred=0.0)
    half = distances.postpone // 2
    for bank in range(GEOMETRY.bank_count):
        first, second, *_ = banks.times(RefreshWork.REFRESH, bank)
        owed_at = (half - 1) * refi + (bank + 1) * refi // GEOMETRY.bank_count
        assert owed_at <= first < owed_at + 2 * refi // GEOMETRY.bank_count + 31
        assert second > first + refi // 2  # owed one less again


def test_preferred_banks_go_first(seed):
    """Of banks that are owed one, only the preferred are refreshed."""
    refi = 400
    banks, _ = play(GEOMETRY, RefreshMode.PER_BANK, refi + 40, seed, refi=refi, liked={1, 6})
    assert [bank for _, work, bank in banks.issued if work == RefreshWork.REFRESH] == [1, 6]


def test_busy_banks_are_left_alone(seed):
    """A bank that is always in use is refreshed only when it must be, then held."""
    banks, _ = play(GEOMETRY, RefreshMode.PER_BANK, 3 * 320, seed, refi=320, busy=1.0, opening=1.0)
    assert banks.issued == []  # 3 periods: fewer than `postpone` are owed


@pytest.mark.parametrize("mode", [RefreshMode.PER_BANK, RefreshMode.ALL_BANK])
def test_period_is_no_multiple_of_the_banks(mode, seed):
    """Over many periods of 87 cycles for 8 banks as many refreshes as periods."""
    periods = 40
    banks, _ = play(GEOMETRY, mode, periods * 87, seed, refi=87)
    for bank in range(GEOMETRY.bank_count) if mode == RefreshMode.PER_BANK else [None]:
        assert abs(len(banks.times(RefreshWork.REFRESH, bank)) - periods) <= 1


@pytest.mark.parametrize("chances", [{}, {"busy": 0.9, "opening": 0.9}, {"busy": 1.0, "opening": 0.5, "granted": 0.3}])
def test_all_banks(chances, seed):
    """REFAB in time, after a PREA where a row is open; none for a single bank."""
    refi, periods = 240, 9
    banks, distances = play(GEOMETRY, RefreshMode.ALL_BANK, periods * refi, seed, refi=refi, **chances)
    times = banks.times(RefreshWork.REFRESH)
    low, high = most_owed(set(times), refi, periods * refi)
    assert high <= distances.postpone
    assert low >= -1
    assert {bank for _, _, bank in banks.issued} == {None}
    assert periods - distances.postpone - 1 <= len(times) <= periods + 1


def test_off(seed):
    banks, _ = play(GEOMETRY, RefreshMode.OFF, 3000, seed, refi=160, opening=0.5)
    assert banks.issued == []


@pytest.mark.parametrize("mode", list(RefreshMode))
def test_management(mode, seed):
    """Banks of many activations are managed, in every mode, and never pass the limit."""
    banks, _ = play(GEOMETRY, mode, 4000, seed, refi=1600, managed=True, busy=0.7, opening=1.0)
    managed = [bank for _, work, bank in banks.issued if work == RefreshWork.MANAGE]
    assert len(managed) > 10
    assert set(managed) == set(range(GEOMETRY.bank_count))
    assert max(banks.activations) <= 6


def test_properties():
    dut = Refresh(geometry=ODD, cycles=SHORT)
    assert (dut.geometry, dut.cycles) == (ODD, SHORT)
    assert len(Value.cast(dut.open)) == 1 << ODD.index_bits

    async def bench(ctx):
        await ctx.tick()

    simulate(dut, bench)

"""Stationary blocks: which unit gets which row and when, and what `loaded` and `swap` mean."""

import random

import pytest

from hdl.formats.code import FormatCode
from hdl.tensor.load import Loader
from hdl.tensor.shape import SliceShape
from mtia.generations import EngineParameters
from tests.hdl.pysim import simulate

NAMES = ("MXFP4", "MXFP6_E2M3")


def shape_of(units, deep=False):
    return SliceShape(
        EngineParameters(units=units, slices=1, depth=2, dense_rows=1, formats=NAMES, mixed=True, deep=deep)
    )


def play(units, blocks, *, cycles, deep=False, offer=lambda cycle: True, take=lambda cycle: True):
    """Blocks as taken over, [(cycle, format, rows of the units)], and the cycles of each load [(cycle, unit)].

    A row is known by its scale (both formats reach 2**2); a block is (format, scales). `offer` lets a row be there,
    `take` a block be taken over, whose rows are read `lead_of(...)` cycles later: neither too few nor any of the next.
    """
    dut = Loader(shape=shape_of(units, deep))
    rows = [
        (fmt, scale, at == len(scales) - 1 and (len(scales) < units or scale & 1))
        for fmt, scales in blocks
        for at, scale in enumerate(scales)
    ]  # the mark at the end of a full block may be missing
    taken, loads, accepted, complete = [], [], [], []
    lead = dut.lead_of(deep=deep)

    async def bench(ctx):
        queue = list(rows)
        waiting: dict[int, int] = {}
        swaps: dict[int, tuple[int, str]] = {}
        for cycle in range(cycles):
            there = bool(queue) and offer(cycle)
            ctx.set(dut.rows.valid, there)
            if there:
                fmt, scale, last = queue[0]
                ctx.set(dut.rows.payload.format, FormatCode[fmt])
                ctx.set(dut.rows.payload.scales[0], scale)
                ctx.set(dut.rows.payload.last, last)
            loaded = ctx.get(dut.loaded)
            if loaded:
                complete.append(cycle)
            swap = bool(loaded and take(cycle))
            if swap:
                swaps[cycle + lead] = (cycle, ctx.get(dut.format).name)
            ctx.set(dut.swap, swap)
            if cycle in swaps:
                taken.append((*swaps[cycle], dict(waiting)))
                waiting.clear()
            load = ctx.get(dut.load)
            assert load & (load - 1) == 0
            if load:
                unit = load.bit_length() - 1
                assert deep or not loaded or swap
                loads.append((cycle, unit))
                waiting[unit] = ctx.get(dut.row[0].general.scale.exponent) - 2
            if there and ctx.get(dut.rows.ready):
                accepted.append(cycle)
                queue.pop(0)
            await ctx.tick()

    simulate(dut, bench)
    return taken, loads, accepted, complete


def random_blocks(generator, units, count):
    return [
        (generator.choice(NAMES), [generator.randrange(200) for _ in range(generator.randint(1, units))])
        for _ in range(count)
    ]


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("units", [1, 2, 3, 4])
@pytest.mark.parametrize("chances", [(1.0, 1.0), (0.3, 1.0), (1.0, 0.2), (0.5, 0.5)], ids=str)
def test_every_row_reaches_its_unit(units, chances, deep, seed):
    """Blocks of 1 to `units` rows, in order, under pauses of either side; a full block needs no mark at its end."""
    generator = random.Random(seed)
    blocks = random_blocks(generator, units, 25)
    taken, *_ = play(
        units,
        blocks,
        cycles=900,
        deep=deep,
        offer=lambda cycle: generator.random() < chances[0],
        take=lambda cycle: generator.random() < chances[1],
    )
    assert [(fmt, list(rows.values()), list(rows)) for _, fmt, rows in taken] == [
        (fmt, scales, list(range(len(scales)))) for fmt, scales in blocks
    ]


@pytest.mark.parametrize("units", [1, 2, 3, 4])
def test_full_blocks_follow_each_other_without_a_gap(units):
    """A row each cycle, a block every `units` cycles: the next one begins in the cycle in which one is taken over."""
    blocks = [("MXFP4", [10 * block + row for row in range(units)]) for block in range(6)]
    taken, loads, accepted, _ = play(units, blocks, cycles=6 * units + 5)
    assert accepted == list(range(6 * units))
    assert [cycle for cycle, _ in loads] == list(range(1, 6 * units + 1))
    assert [unit for _, unit in loads] == list(range(units)) * 6
    assert [cycle for cycle, *_ in taken] == [1 + units * (block + 1) for block in range(6)]


@pytest.mark.parametrize("units", [1, 2, 3])
def test_a_deep_engine_begins_the_next_block_a_cycle_later(units):
    """So a block takes a cycle more; nothing is accepted in the cycle in which one is taken over."""
    blocks = [("MXFP4", [10 * block + row for row in range(units)]) for block in range(5)]
    taken, loads, accepted, _ = play(units, blocks, cycles=8 * units + 12, deep=True)
    begins = [(units + 1) * block for block in range(5)]
    assert accepted == [begin + row for begin in begins for row in range(units)]
    assert [cycle for cycle, _ in loads] == [cycle + 2 for cycle in accepted]
    assert [cycle for cycle, *_ in taken] == [begin + units for begin in begins]


def test_a_deep_engine_holds_rows_back_while_a_block_is_complete():
    """It is complete a cycle after its last row, and the next row is accepted a cycle after it was taken over."""
    blocks = [("MXFP4", [1, 2]), ("MXFP4", [3, 4, 5])]
    taken, loads, accepted, complete = play(3, blocks, cycles=30, deep=True, take=lambda cycle: cycle >= 12)
    assert accepted == [0, 1, 13, 14, 15]
    assert complete == [*range(2, 13), 16]
    assert [cycle for cycle, _ in loads] == [2, 3, 15, 16, 17]
    assert [cycle for cycle, *_ in taken] == [12, 16]


def test_complete_two_cycles_after_the_last_row():
    """And it stays so until it is taken over, with the next row held back and nothing loaded."""
    taken, loads, accepted, complete = play(
        3, [("MXFP4", [1, 2]), ("MXFP4", [3, 4, 5])], cycles=30, take=lambda cycle: cycle >= 12
    )
    assert accepted[:3] == [0, 1, 2]
    assert accepted[3] == 12, "one row waits in the register, the next on the stream"
    assert complete[0] == accepted[1] + 2
    assert complete[: 12 - complete[0]] == list(range(complete[0], 12))
    assert [cycle for cycle, _ in loads] == [1, 2, 12, 13, 14]
    assert [cycle for cycle, *_ in taken] == [12, 15]


def test_a_block_has_the_format_of_its_rows():
    """That of the waiting block does not change when rows of the next arrive."""
    dut = Loader(shape=shape_of(2))
    seen = []

    async def bench(ctx):
        for cycle in range(10):
            ctx.set(dut.rows.valid, 1)
            ctx.set(dut.rows.payload.format, FormatCode[NAMES[cycle // 2 % 2]])
            ctx.set(dut.swap, cycle == 6)
            seen.append((ctx.get(dut.loaded), ctx.get(dut.format).name if ctx.get(dut.loaded) else None))
            await ctx.tick()

    simulate(dut, bench)
    assert seen[3:7] == [(1, NAMES[0])] * 4
    assert seen[7] == (0, None)
    assert seen[8:] == [(1, NAMES[1])] * 2

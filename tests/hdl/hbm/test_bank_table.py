"""The banks of a pseudo-channel: every command reaches the bank that it names, rows are looked up rightly."""

import random
from typing import Any, NamedTuple

import pytest
from amaranth.hdl import Value

from hdl.hbm.bank_table import FLAGS, BankTable

from ..pysim import simulate
from .parts import GEOMETRY, ODD, SHORT, bits

ENTRIES = 8


class Drive(NamedTuple):
    """Sets the commands of a cycle on a table; all that are not named are 0."""

    table: BankTable

    def __call__(self, ctx, **commands):
        geometry = self.table.geometry
        for name in ("act", "precharge", "refresh", "manage", "column", "opened_read", "opened_write"):
            port = getattr(self.table, name)
            fields = commands.get(name)
            value = {"valid": fields is not None, "index": 0}
            if "row" in port.shape().members:
                value["row"] = 0
            ctx.set(port, value | (fields or {}))
        for name in ("precharge_all", "refresh_all", "column_write", "insert_read", "insert_write"):
            ctx.set(getattr(self.table, name), commands.get(name, 0))
        for name in ("found_read", "found_write"):
            ctx.set(getattr(self.table, name), commands.get(name, 0))
        place = dict.fromkeys(geometry.place().members, 0) | commands.get("lookup", {})
        ctx.set(self.table.lookup, place)


def flags(ctx, table):
    """Every flag, one bit a bank."""
    return {name: ctx.get(getattr(table, name)) for name in FLAGS}


@pytest.mark.parametrize("geometry", [GEOMETRY, ODD], ids=["2 SIDs", "3 SIDs"])
def test_commands_reach_their_bank(geometry):
    """Each command to each bank in turn: what it changes, it changes there alone."""
    table = BankTable(geometry=geometry, cycles=SHORT, entries=ENTRIES)
    drive, count = Drive(table), geometry.bank_count
    everyone = bits(range(count))

    async def bench(ctx):
        async def issue(wait=0, **commands):
            drive(ctx, **commands)
            await ctx.tick()
            drive(ctx)
            for _ in range(wait):
                await ctx.tick()

        drive(ctx)
        found = flags(ctx, table)
        assert (found["can_activate"], found["can_refresh"], found["open"]) == (everyone, everyone, 0)
        for bank in range(count):
            me, others = 1 << bank, everyone & ~(1 << bank)
            await issue(act={"index": bank, "row": bank % geometry.rows})
            found = flags(ctx, table)
            assert (found["open"], found["can_activate"]) == (me, others)
            await issue(wait=40)
            assert flags(ctx, table)["can_precharge"] == me
            await issue(opened_read={"index": bank, "row": 0}, opened_write={"index": bank, "row": 0})
            # one more request of each kind for the open row, and one for another
            here = {"index": bank, "row": bank % geometry.rows}
            await issue(insert_read=1, lookup=here)
            await issue(insert_write=1, lookup=here)
            found = flags(ctx, table)
            names = ("read_hits", "write_hits", "read_misses", "write_misses")
            assert [found[name] & me for name in names] == [me, me, 0, 0]
            await issue(insert_read=1, lookup={**here, "row": (bank + 1) % geometry.rows})
            assert flags(ctx, table)["read_misses"] == me | bits(range(bank))
            await issue(column={"index": bank}, column_write=0)
            found = flags(ctx, table)
            assert [found[name] for name in ("read_hits", "write_hits", "can_precharge")] == [0, me, 0]
            await issue(column={"index": bank}, column_write=1)
            assert flags(ctx, table)["write_hits"] == 0
            await issue(wait=40)
            await issue(precharge={"index": bank})
            found = flags(ctx, table)
            assert (found["open"], found["can_refresh"]) == (0, others)
            await issue(wait=40)
            await issue(refresh={"index": bank})
            assert flags(ctx, table)["can_refresh"] == others
            await issue(wait=40)
            await issue(manage={"index": bank})
            assert flags(ctx, table)["can_refresh"] == others
            await issue(wait=40)
        for bank in range(count):
            await issue(act={"index": bank, "row": 0}, wait=40)
        assert flags(ctx, table)["open"] == everyone
        await issue(precharge_all=1)
        found = flags(ctx, table)
        assert (found["open"], found["can_refresh"], found["can_activate"]) == (0, 0, 0)
        await issue(wait=40)
        await issue(refresh_all=1)
        assert flags(ctx, table)["can_activate"] == 0
        await issue(wait=40)
        found = flags(ctx, table)
        assert (found["can_activate"], found["can_refresh"]) == (everyone, everyone)

    simulate(table, bench)


def test_lookup(seed):
    """A hit is a row that is open for columns of that kind in the next cycle; not when its bank is just closed."""
    rng = random.Random(seed)
    table = BankTable(geometry=ODD, cycles=SHORT, entries=ENTRIES)
    drive = Drive(table)
    #: bank -> its row and the kinds that may have columns
    state: dict[int, tuple[int, set[str]]] = {}
    met = set()

    async def bench(ctx):
        for _ in range(400):
            commands: dict[str, Any] = {}
            closed: set[int] = set()
            bank = rng.randrange(ODD.bank_count)
            if bank in state and rng.random() < 0.2:
                commands["precharge"] = {"index": bank}
                closed = {bank}
            elif rng.random() < 0.02:
                commands["precharge_all"] = 1
                closed = set(state)
            elif bank not in state and rng.random() < 0.5:
                commands["act"] = {"index": bank, "row": rng.randrange(ODD.rows)}
            opening = {}
            for kind in ("read", "write"):
                waiting = [each for each, (_, kinds) in state.items() if kind not in kinds and each not in closed]
                if waiting and rng.random() < 0.3:
                    opening[kind] = rng.choice(waiting)
                    commands[f"opened_{kind}"] = {"index": opening[kind], "row": state[opening[kind]][0]}
            looked = rng.choice([*state, bank])
            row = state[looked][0] if looked in state and rng.random() < 0.7 else rng.randrange(ODD.rows)
            drive(ctx, **commands, lookup={"index": looked, "row": row, "column": rng.randrange(ODD.columns)})
            for kind in ("read", "write"):
                here = looked in state and state[looked][0] == row and looked not in closed
                expected = here and (kind in state[looked][1] or opening.get(kind) == looked)
                assert bool(ctx.get(getattr(table, f"{kind}_hit"))) == expected
                met.add((kind, expected))
            for kind, each in opening.items():
                state[each][1].add(kind)
            for each in closed:
                del state[each]
            if "act" in commands:
                state[bank] = (commands["act"]["row"], set())
            await ctx.tick()

    simulate(table, bench)
    assert len(met) == 4


def test_properties():
    table = BankTable(geometry=GEOMETRY, cycles=SHORT, entries=ENTRIES)
    assert (table.geometry, table.cycles, table.entries) == (GEOMETRY, SHORT, ENTRIES)
    assert len(Value.cast(table.open)) == GEOMETRY.bank_count

    async def bench(ctx):
        await ctx.tick()

    simulate(table, bench)

# amaranth: UnusedElaboratable=no
# (components whose parameters are refused are never elaborated)
"""One bank: row, timers, waiting requests and refresh management against a plain model, every cycle."""

import random
from dataclasses import replace

import pytest

from hdl.hbm.bank import Bank

from ..pysim import simulate
from .parts import SHORT

ENTRIES = 8
ROWS = 4
COMMANDS = ("activate", "precharge", "refresh_bank", "refresh_all", "manage", "read", "write")
FLAGS = ("open", "column_read", "column_write", "can_activate", "can_precharge", "can_refresh")
REQUESTS = ("read_misses", "write_misses", "read_hits", "write_hits", "managing", "blocked")


class Model:
    """What the bank must say in each cycle."""

    def __init__(self, cycles):
        self.cycles = c = cycles
        self.to_activate = {
            "activate": c.rc,
            "precharge": c.rp,
            "refresh_bank": c.rfc_bank,
            "refresh_all": c.rfc_all,
            "manage": c.rfm,
        }
        self.to_precharge = {"activate": c.ras, "read": c.read_to_pre, "write": c.write_to_pre}
        self.to_refresh = {
            "activate": c.rc_refresh,
            "precharge": c.rp_refresh,
            "refresh_bank": c.rfc_bank_refresh,
            "refresh_all": c.rfc_all,
            "manage": c.rfm_refresh,
        }
        self.last = {}
        self.open, self.row, self.activations, self.now = False, 0, 0, 0
        self.ready = {"read": False, "write": False}
        #: rows wanted by the requests of each pool, and how many of them count as hits
        self.wanted: dict[str, list[int]] = {"read": [], "write": []}
        self.hits = {"read": 0, "write": 0}

    def passed(self, distances):
        return all(self.now - self.last.get(name, -1000) >= distance for name, distance in distances.items())

    def outputs(self):
        blocked = self.cycles.raammt > 0 and self.activations >= self.cycles.raammt
        return {
            "open": self.open,
            "column_read": self.ready["read"],
            "column_write": self.ready["write"],
            "can_activate": not self.open and self.passed(self.to_activate) and not blocked,
            "can_precharge": self.open and self.passed(self.to_precharge),
            "can_refresh": not self.open and self.passed(self.to_refresh),
            **{f"{kind}_misses": len(self.wanted[kind]) > self.hits[kind] for kind in self.wanted},
            **{f"{kind}_hits": self.hits[kind] > 0 for kind in self.wanted},
            "managing": self.cycles.raaimt > 0 and self.activations >= self.cycles.raaimt,
            "blocked": blocked,
        }

    def opening(self, kind):
        """Whether the bank is ready for columns of the kind from the next cycle on."""
        distance = self.cycles.rcd_read if kind == "read" else self.cycles.rcd_write
        return self.open and self.now - self.last["activate"] == distance - 1

    def step(self, command, row, added):
        """A command, the requests added {kind: row}; gives (opened, found, added_hit) of each kind."""
        told = {}
        for kind, wanted in self.wanted.items():
            opened = self.opening(kind)
            found = wanted.count(self.row) if opened else 0
            if opened:
                self.ready[kind], self.hits[kind] = True, found
            hit = self.ready[kind] and added.get(kind) == self.row and command != "precharge"
            told[kind] = (opened, found, hit)
            if command == kind:
                wanted.remove(self.row)
                self.hits[kind] -= 1
            if kind in added:
                wanted.append(added[kind])
                self.hits[kind] += hit
        if command == "activate":
            self.open, self.row = True, row
            self.activations += 1
        elif command == "precharge":
            self.open, self.ready, self.hits = False, dict.fromkeys(self.ready, False), dict.fromkeys(self.hits, 0)
        elif command in ("refresh_bank", "refresh_all", "manage"):
            self.activations = max(0, self.activations - self.cycles.raaimt)
        if command:
            self.last[command] = self.now
        self.now += 1
        return told

    def legal(self):
        """Commands that may be issued now."""
        out = self.outputs()
        if out["can_activate"]:
            yield "activate"
        if out["can_precharge"] and not self.opening("read") and not self.opening("write"):
            yield "precharge"
        if out["can_refresh"]:
            yield from ("refresh_bank", "refresh_all", "manage")
        for kind in self.wanted:
            if self.ready[kind] and self.hits[kind]:
                yield kind


def drive(ctx, dut, command, row, told, added):
    """Set all inputs of a cycle."""
    for name in COMMANDS:
        ctx.set(getattr(dut, name), name == command)
    ctx.set(dut.activate_row, row)
    for kind, (opened, found, hit) in told.items():
        ctx.set(getattr(dut, f"opened_{kind}"), opened)
        ctx.set(getattr(dut, f"found_{kind}"), found)
        requests = getattr(dut, f"{kind}s")
        ctx.set(requests.added, kind in added)
        ctx.set(requests.added_hit, hit)
        ctx.set(requests.taken, command == kind)


@pytest.mark.parametrize("managed", [True, False])
@pytest.mark.parametrize("busy", [0.3, 0.8])
def test_random(managed, busy, seed):
    rng = random.Random(seed)
    cycles = SHORT if managed else replace(SHORT, raaimt=0, raammt=0)
    dut, model = Bank(cycles=cycles, row_bits=2, entries=ENTRIES), Model(cycles)
    met = set()

    async def bench(ctx):
        liked = ["activate"]
        for now in range(1500):
            if now % 200 == 0:
                liked = ["activate", "precharge", *rng.sample(COMMANDS, rng.choice([0, 2, 5]))]
            expected = model.outputs()
            for name in (*FLAGS, *REQUESTS):
                assert bool(ctx.get(getattr(dut, name))) == expected[name], (now, name)
                met.add((name, expected[name]))
            if model.open:
                assert ctx.get(dut.row) == model.row
            wanted = any(expected[name] for name in REQUESTS[:4])
            assert not ctx.get(dut.done) or (model.open and not wanted)
            legal = [each for each in model.legal() if each in liked]
            command = rng.choice(legal) if legal and rng.random() < busy else None
            row = rng.randrange(ROWS)
            added = {
                kind: rng.randrange(ROWS)
                for kind, wanted in model.wanted.items()
                if len(wanted) < ENTRIES and rng.random() < 0.1
            }
            drive(ctx, dut, command, row, model.step(command, row, added), added)
            await ctx.tick()

    simulate(dut, bench)
    never = set() if managed else {("managing", True), ("blocked", True)}
    assert met == {(name, value) for name in (*FLAGS, *REQUESTS) for value in (False, True)} - never


@pytest.mark.parametrize(
    ("before", "distance", "flag"),
    [
        ("precharge", SHORT.rp, "can_activate"),
        ("refresh_bank", SHORT.rfc_bank, "can_activate"),
        ("refresh_all", SHORT.rfc_all, "can_activate"),
        ("manage", SHORT.rfm, "can_activate"),
        ("activate", SHORT.ras, "can_precharge"),
        ("read", SHORT.read_to_pre, "can_precharge"),
        ("write", SHORT.write_to_pre, "can_precharge"),
        ("precharge", SHORT.rp_refresh, "can_refresh"),
        ("refresh_bank", SHORT.rfc_bank_refresh, "can_refresh"),
        ("manage", SHORT.rfm_refresh, "can_refresh"),
    ],
)
def test_edges(before, distance, flag):
    """Not allowed in the cycle before, allowed in its own; the bank was left alone for long before."""
    dut = Bank(cycles=SHORT, row_bits=2, entries=ENTRIES)

    async def bench(ctx):
        if before in ("precharge", "read", "write"):
            ctx.set(dut.activate, 1)
            await ctx.tick()
            ctx.set(dut.activate, 0)
            for _ in range(60):
                await ctx.tick()
        ctx.set(getattr(dut, before), 1)
        await ctx.tick()
        ctx.set(getattr(dut, before), 0)
        found = []
        for _ in range(distance + 1):
            found.append(ctx.get(getattr(dut, flag)))
            await ctx.tick()
        assert found == [0] * (distance - 1) + [1, 1]

    simulate(dut, bench)


@pytest.mark.parametrize("use", ["activate", "read", "write"])
def test_left_alone(use):
    """`spent` from the fourth tick after a use to the seventh, `rested` from the eighth to the fourteenth."""
    dut = Bank(cycles=SHORT, row_bits=2, entries=ENTRIES)

    async def bench(ctx):
        async def tick():
            ctx.set(dut.tick, 1)
            await ctx.tick()
            ctx.set(dut.tick, 0)
            await ctx.tick()

        assert (ctx.get(dut.spent), ctx.get(dut.rested)) == (0, 0)  # never used
        for first in (3, 20):  # ticks after a use: then another use comes
            for name in ("activate", use):
                ctx.set(getattr(dut, name), 1)
                ctx.set(dut.tick, 1)  # a tick in the cycle of a use is none
                await ctx.tick()
                ctx.set(getattr(dut, name), 0)
                ctx.set(dut.tick, 0)
            for ticks in range(first):
                assert (ctx.get(dut.spent), ctx.get(dut.rested)) == (ticks in range(4, 8), ticks in range(8, 15)), ticks
                await tick()

    simulate(dut, bench)


def test_rows_that_are_not_used_again():
    """After 14 rows that were closed for another one a bank is spent, and done, as soon as nothing waits for it."""
    dut = Bank(cycles=SHORT, row_bits=2, entries=ENTRIES)

    async def bench(ctx):
        async def cycle(**inputs):
            for name in ("activate", "precharge"):
                ctx.set(getattr(dut, name), inputs.get(name, 0))
            for name in ("added", "added_hit", "taken"):
                ctx.set(dut.reads[name], inputs.get(name, 0))
            ctx.set(dut.read, inputs.get("taken", 0))
            await ctx.tick()

        await cycle(activate=1)
        for row in range(17):
            assert (ctx.get(dut.spent), ctx.get(dut.done)) == (row >= 14, row >= 14), row
            await cycle(added=1)
            assert not ctx.get(dut.done)
            await cycle(precharge=1)
            await cycle(activate=1)
            ctx.set(dut.opened_read, 1)
            ctx.set(dut.found_read, 1)
            await cycle()
            ctx.set(dut.opened_read, 0)
            await cycle(taken=1)

    simulate(dut, bench)


def test_rows_that_take_turns():
    """Lingers for three ticks after a use once a row came back after one other; no more after three others."""
    dut = Bank(cycles=SHORT, row_bits=3, entries=ENTRIES)

    async def bench(ctx):
        async def cycle(**inputs):
            for name in ("activate", "precharge", "read", "tick"):
                ctx.set(getattr(dut, name), inputs.get(name, 0))
            ctx.set(dut.activate_row, inputs.get("row", 0))
            await ctx.tick()

        async def row(number):
            """Open a row for a while; whether the bank lingers with it."""
            await cycle(activate=1, row=number)
            found = ctx.get(dut.lingers)
            await cycle(precharge=1)
            assert not ctx.get(dut.lingers)
            return found

        assert [await row(number) for number in (5, 2, 5)] == [0, 0, 1]
        assert [await row(number) for number in (5, 5)] == [1, 1]  # the same again says nothing
        assert [await row(number) for number in (1, 3, 4, 6)] == [1, 1, 0, 0]
        assert [await row(number) for number in (4, 2, 7, 6)] == [1, 1, 1, 0]
        await cycle(activate=1, row=7)
        for _ in range(2):  # an ACT, and a read after it
            lingers = []
            for _ in range(4):
                lingers.append(ctx.get(dut.lingers))
                await cycle(tick=1)
            assert lingers == [1, 1, 1, 0]
            await cycle(read=1)

    simulate(dut, bench)


def test_from_act_to_act_and_refresh():
    """RC is longer than RAS and RP here: it decides for a row that is closed as early as can be."""
    dut = Bank(cycles=SHORT, row_bits=2, entries=ENTRIES)

    async def bench(ctx):
        seen = []
        for cycle in range(SHORT.rc + 2):
            ctx.set(dut.activate, cycle == 0)
            ctx.set(dut.precharge, cycle == SHORT.ras)
            seen.append((ctx.get(dut.can_activate), ctx.get(dut.can_refresh)))
            await ctx.tick()
        acts, refreshes = zip(*seen, strict=True)
        assert acts[1:].index(1) + 1 == max(SHORT.rc, SHORT.ras + SHORT.rp)
        assert refreshes[1:].index(1) + 1 == max(SHORT.rc_refresh, SHORT.ras + SHORT.rp_refresh)

    simulate(dut, bench)


def test_properties():
    dut = Bank(cycles=SHORT, row_bits=3, entries=ENTRIES)
    assert (dut.cycles, dut.row_bits, dut.entries) == (SHORT, 3, ENTRIES)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"row_bits": 0, "entries": 8}, ValueError, "Bank row bits must be at least 1, not 0"),
        ({"row_bits": "3", "entries": 8}, TypeError, "Bank row bits must be an integer, not '3'"),
        ({"row_bits": 3, "entries": 1}, ValueError, "Bank entries must be at least 2, not 1"),
        ({"row_bits": 3, "entries": None}, TypeError, "Bank entries must be an integer, not None"),
    ],
)
def test_parameters_wrong(parameters, error, message):
    with pytest.raises(error, match=message):
        Bank(cycles=SHORT, **parameters)

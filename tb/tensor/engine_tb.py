"""cocotb tests of the tensor engine at its streams, run by tests/hdl/tensor/test_engine_protocol.py.

Every test watches all four streams for their rules, holds the engine to its timing cycle by cycle
(`tb.tensor.engine_timing`) and compares every known bit of every result with a plain model (`tb.tensor.engine_work`).
The parameters of a run are those of the engine (`engine`) and its figures (`latency`, `interval`, `credits`).
"""

import itertools
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, RisingEdge
from numpy.typing import NDArray

from hdl.tensor.ports import pass_layout, result_layout, stationary_layout, streamed_layout
from hdl.tensor.shape import SliceShape
from mtia.generations import EngineParameters

from ..runner import parameters
from ..scoreboard import Scoreboard
from ..streams import StreamMonitor, StreamSink, StreamSource, bursts, chance, never, start
from .engine_timing import REASONS, EngineTiming
from .engine_work import Generator, Pass, PlainEngine

LAYOUTS = {
    "passes": pass_layout,
    "stationary": stationary_layout,
    "streamed": streamed_layout,
    "results": result_layout,
}
PAUSES: dict[str, Callable[[], Iterator[bool]]] = {
    "never": never,
    "chance": lambda: chance(random.choice((0.2, 0.6))),
    "bursts": lambda: bursts(random.choice((3, 12)), random.choice((5, 40))),
}
#: the only NaN that an engine gives
NAN = 0x7FC00000
#: what all tests of a run have met, asserted at its end
SEEN: Counter[tuple[str, Any]] = Counter()


def late() -> Iterator[bool]:
    """A stream that begins after all others had time to fill up, and stays behind."""
    return itertools.chain(itertools.repeat(True, 80), bursts(4, 30))


class Bench:
    """Sources, sink, monitors, timing, model and scoreboard around an engine.

    pauses: for each stream its pauses; "never" where it has none
    sink:   how results are taken (`tb.streams.StreamSink`)
    """

    def __init__(self, dut: Any, *, pauses: dict[str, Iterator[bool]] | None = None, **sink: Any):
        given = parameters()
        engine = EngineParameters(**given["engine"] | {"formats": tuple(given["engine"]["formats"])})
        self.dut, self.engine, self.shape = dut, engine, SliceShape(engine)
        self.credits = given["credits"]
        layouts = {name: layout(self.shape) for name, layout in LAYOUTS.items()}
        pauses = pauses or {}
        self.sources = {
            name: StreamSource(dut, name, shape=layouts[name], pause=pauses.get(name))
            for name in ("passes", "stationary", "streamed")
        }
        self.sink = StreamSink(dut, "results", shape=layouts["results"], pause=pauses.get("results"), **sink)
        self.monitors = {name: StreamMonitor(dut, name, shape=layout) for name, layout in layouts.items()}
        figures = {name: given[name] for name in ("latency", "interval", "credits")}
        self.timing = EngineTiming(dut, shape=self.shape, **figures)
        self.generator = Generator(self.shape, np.random.default_rng(random.getrandbits(64)))
        self.forget()

    def forget(self) -> None:
        """Nothing is expected any more and no accumulator is known, as after reset."""
        self.model, self.board = PlainEngine(self.shape), Scoreboard("engine")
        self.known: deque[NDArray[np.bool_]] = deque()

    def send(self, works: Sequence[Pass]) -> None:
        """Queue passes with all that belongs to them, and expect their results."""
        for work in works:
            self.sources["passes"].send([self.generator.pass_item(work)])
            self.sources["stationary"].send(self.generator.row_items(work))
            self.sources["streamed"].send(self.generator.beat_items(work))
            self.expect(work)

    def expect(self, work: Pass) -> None:
        """Expect the results of a pass."""
        for item, known in self.model.run(work):
            self.board.expect([item])
            self.known.append(known)
            SEEN["results", "known" if known.any() else "unknown"] += 1
        SEEN["beats", work.beats] += 1
        SEEN["pair", work.pair] += 1
        SEEN["block", "full" if len(work.stationary.codes) == self.engine.units else "part"] += 1
        SEEN["marks", (work.first, work.last)] += 1

    async def check(self, count: int) -> list[list[int]]:
        """Take so many results and compare what is known of them; gives the bits of their first rows."""
        first_rows = []
        for _ in range(count):
            (item,) = await self.sink.receive(1)
            values = [[value.as_bits() for value in row] for row in item["values"]]
            known = np.where(self.known.popleft(), values, 0).tolist()
            self.board.check([{"values": known, "dense": item["dense"], "last": item["last"]}])
            first_rows.append(values[0])
        return first_rows

    async def finish(self) -> None:
        """Take and compare all results that are due; nothing else may come or be left."""
        await self.check(len(self.known))
        for source in self.sources.values():
            await source.drain()
        await ClockCycles(self.dut.clk, 3 * self.timing.latency)
        assert len(self.sink) == 0
        assert self.timing.outstanding == 0
        self.board.finish()
        for reason in REASONS:
            SEEN["stall", reason] += self.timing.count(reason)

    async def run(self, works: Sequence[Pass]) -> None:
        """From reset, passes with their results."""
        await start(self.dut)
        self.send(works)
        await self.finish()


@cocotb.test()
@cocotb.parametrize(pause=list(PAUSES), behind=["none", "passes", "stationary", "streamed", "results"])
async def random_passes(dut: Any, pause: str, behind: str) -> None:
    """Any passes, the streams paused alike but for one that comes late: passes after beats, blocks after both."""
    bench = Bench(dut, pauses={name: late() if name == behind else PAUSES[pause]() for name in LAYOUTS})
    await bench.run([bench.generator.draw() for _ in range(40)])


@cocotb.test()
@cocotb.parametrize(sink=[{"probe": 0.5}, {"patient": True}, {}])
async def streams_paused_each_on_its_own(dut: Any, sink: dict[str, Any]) -> None:
    """A long run; ready of the results is flipped between edges, or comes only after valid."""
    bench = Bench(dut, pauses={name: PAUSES[random.choice(list(PAUSES))]() for name in LAYOUTS}, **sink)
    await bench.run([bench.generator.draw() for _ in range(150)])


@cocotb.test()
async def every_pair_after_every_other(dut: Any) -> None:
    """Formats change from pass to pass: each pair of pairs in succession, over the same accumulators."""
    bench = Bench(dut)
    draw = bench.generator.draw
    pairs = bench.generator.supported
    order = [pair for couple in itertools.product(pairs, repeat=2) for pair in couple]
    # started anew now and then, lest one NaN hides all that follows
    await bench.run([draw(pair=pair, address=0, first=at % 3 == 0, last=True) for at, pair in enumerate(order)])


@cocotb.test()
async def one_beat_a_cycle(dut: Any) -> None:
    """With nothing missing no cycle is lost: not between passes, not to loading, not to results."""
    bench = Bench(dut)
    works = [bench.generator.draw(beats=bench.engine.depth, address=0, first=True, last=True) for _ in range(30)]
    await start(dut)
    bench.send(works)
    while bench.monitors["streamed"].transfers == 0:
        await RisingEdge(dut.clk)
    stalls = bench.timing.stalls.total()
    await bench.finish()
    assert bench.timing.stalls.total() == stalls


@cocotb.test()
async def long_accumulation(dut: Any) -> None:
    """Passes of every length over the same accumulators, which the short ones must wait for."""
    bench = Bench(dut)
    draw, depth = bench.generator.draw, bench.engine.depth
    works = []
    for beats in range(1, depth + 1):
        fixed = {"beats": beats, "address": depth - beats, "rows": bench.engine.units}
        pair = bench.generator.supported[beats % len(bench.generator.supported)]
        works += [draw(pair=pair, first=at == 0, last=at == 7, **fixed) for at in range(8)]
    await bench.run(works)
    assert bench.timing.count("hazard") > 0


@cocotb.test()
async def results_not_taken(dut: Any) -> None:
    """For 200 cycles no result is taken: the engine fills up to its last credit and stops; then nothing is lost."""
    bench = Bench(dut, pauses={"results": itertools.repeat(True)})
    works = [bench.generator.draw(first=True, last=True) for _ in range(8 * bench.credits)]
    await start(dut)
    bench.send(works)
    await ClockCycles(dut.clk, 200)
    assert bench.timing.outstanding == bench.credits
    assert bench.monitors["streamed"].transfers == bench.credits
    assert bench.monitors["results"].transfers == 0
    assert bench.timing.count("credit") > 100
    bench.sink.pause = never()
    await bench.finish()


@cocotb.test()
async def first_passes_run_while_results_wait(dut: Any) -> None:
    """Only a last pass needs room for results: others go on while none is taken."""
    bench = Bench(dut, pauses={"results": itertools.repeat(True)})
    draw = bench.generator.draw
    filling = [draw(beats=1, first=True, last=True) for _ in range(bench.credits)]
    others = [draw(last=False) for _ in range(10)]
    await start(dut)
    bench.send([*filling, *others, draw(last=True)])
    await ClockCycles(dut.clk, 600)
    beats = sum(work.beats for work in [*filling, *others])
    assert bench.monitors["streamed"].transfers == beats
    assert bench.timing.outstanding == bench.credits
    bench.sink.pause = never()
    await bench.finish()


@cocotb.test()
async def refused_pairs_give_nan(dut: Any) -> None:
    """Each pair that the engine lacks: alone, and in the middle of a sum; the next sum is clean again."""
    bench = Bench(dut, pauses={name: PAUSES["chance"]() for name in LAYOUTS})
    fixed = {"address": 0, "beats": 2, "rows": bench.engine.units}
    works: list[Pass] = []
    for pair in bench.generator.refused:
        good = bench.generator.supported[len(works) % len(bench.generator.supported)]
        works.append(bench.generator.draw(pair=pair, first=True, last=True, **fixed))
        works.append(bench.generator.draw(pair=good, first=False, last=True, **fixed))
        works.append(bench.generator.draw(pair=good, first=True, last=True, **fixed))
    await start(dut)
    bench.send(works)
    for at in range(len(works)):
        results = await bench.check(fixed["beats"])
        if at % 3 < 2:
            assert results == [[NAN] * bench.engine.units] * fixed["beats"]
    assert len(works) >= 3 * len(bench.engine.formats)
    await bench.finish()


@cocotb.test()
async def reset_in_the_middle(dut: Any) -> None:
    """Reset at any point of a pass, of a block and of the results' way: after it nothing of before is left."""
    bench = Bench(dut, pauses={name: PAUSES["chance"]() for name in ("passes", "stationary", "streamed")})
    draw = bench.generator.draw
    await start(dut)
    for _ in range(25):
        bench.send([draw(first=True, last=True) for _ in range(random.randrange(3))])
        if random.random() < 0.5:
            bench.sink.pause = itertools.repeat(True)  # results stay inside
        await abandon(bench, draw(beats=random.randint(2, bench.engine.depth), address=0, first=True, last=True))
        await ClockCycles(dut.clk, random.randrange(bench.timing.latency + 4))
        SEEN["reset", "results inside" if bench.timing.outstanding else "none inside"] += 1
        dut.rst.value = 1
        await ClockCycles(dut.clk, random.randint(1, 3))
        dut.rst.value = 0
        bench.sink.pause = never()
        await RisingEdge(dut.clk)  # a result may have been taken at the very edge that reset
        await bench.check(len(bench.sink))
        bench.forget()
        bench.send([draw(first=True) for _ in range(3)])
        await bench.finish()


async def abandon(bench: Bench, work: Pass) -> None:
    """Send a pass without all of its beats, perhaps without all of its rows, or with rows of the next one."""
    rows, beats = bench.generator.row_items(work), bench.generator.beat_items(work)
    bench.expect(work)
    bench.sources["passes"].send([bench.generator.pass_item(work)])
    if random.random() < 0.3:
        bench.sources["stationary"].send(rows[: random.randrange(len(rows))])
    else:
        sent = random.randrange(len(beats))
        bench.sources["streamed"].send(beats[:sent])
        behind = bench.generator.row_items(bench.generator.draw())
        # before the first beat one row of the next block is taken (deep none), after it all of them
        taken = len(behind) if sent else int(not bench.engine.deep)
        bench.sources["stationary"].send(rows + behind[: random.randint(0, taken)])
    for source in bench.sources.values():
        await source.drain()


@cocotb.test(stage=1)
async def everything_was_met(dut: Any) -> None:
    """All tests together: every length of pass, pair, kind of block and reason to wait was seen."""
    await start(dut)
    bench = Bench(dut)
    wanted: dict[str, Sequence[Any]] = {
        "beats": range(1, bench.engine.depth + 1),
        "pair": bench.generator.supported + bench.generator.refused,
        "block": ("full", "part"),
        "marks": list(itertools.product((False, True), repeat=2)),
        "stall": REASONS,
        "reset": ("results inside", "none inside"),
    }
    for kind, values in wanted.items():
        counts = {value: SEEN[kind, value] for value in values}
        dut._log.info("%s: %s", kind, ", ".join(f"{value} {count}" for value, count in counts.items()))
        assert all(counts.values()), f"{kind} not met: {[value for value, count in counts.items() if not count]}"
    assert SEEN["results", "known"] > 10 * SEEN["results", "unknown"]

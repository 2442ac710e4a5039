"""Components and pieces of logic in Amaranth's simulator, a row of inputs a cycle."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from amaranth.hdl import ClockDomain, Elaboratable, Module, Signal, Value, ValueLike
from amaranth.sim import Simulator


def run(
    dut: Elaboratable,
    inputs: Sequence[ValueLike],
    outputs: Sequence[ValueLike],
    rows: Iterable[Sequence[int]],
    *,
    latency: int = 0,
) -> list[tuple[int, ...]]:
    """What `outputs` are `latency` cycles after each row of values for `inputs`, one row a cycle."""
    driven = [Value.cast(item) for item in inputs]
    read = [Value.cast(item) for item in outputs]
    vectors = list(rows)
    results: list[tuple[int, ...]] = []

    async def bench(ctx):
        for index in range(len(vectors) + latency):
            if index < len(vectors):
                for signal, value in zip(driven, vectors[index], strict=True):
                    ctx.set(signal, value)
            if index >= latency:
                results.append(tuple(ctx.get(signal) for signal in read))
            await ctx.tick()

    simulate(dut, bench)
    return results


def simulate(dut: Elaboratable, *benches: Callable[[Any], Any]) -> None:
    """Run benches on a component, clocked, until the last of them ends."""
    top = Module()
    top.domains.sync = ClockDomain()  # some components are combinational
    top.submodules.dut = dut
    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    for bench in benches:
        simulator.add_testbench(bench)
    simulator.run()


def logic(build: Callable[..., Sequence[ValueLike]], *widths: int) -> tuple[Module, list[Signal], list[Value]]:
    """A module with an input of each width, the inputs, and what `build(module, *inputs)` makes of them."""
    m = Module()
    inputs = [Signal(width, name=f"input_{index}") for index, width in enumerate(widths)]
    outputs = [Value.cast(item) for item in build(m, *inputs)]
    return m, inputs, outputs

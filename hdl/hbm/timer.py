"""Distances between commands as down-counters."""

from collections.abc import Sequence

from amaranth import *
from amaranth.hdl import ValueLike


def timer(m: Module, name: str, distances: Sequence[tuple[ValueLike, int]]) -> Value:
    """High in a cycle that is at least each event's distance after the last one of its kind.

    Latency 0: the cycle after an event already obeys it. High after reset.

    Parameters
    ----------
    m : module that the counter is added to.
    name : of the counter.
    distances : pairs of an event, high in its cycle, and a distance in cycles; 0 and 1 never wait.
    """
    longest = max((cycles for _, cycles in distances), default=0)
    if longest < 2:
        return Const(1)
    left = Signal(range(longest), name=name)
    counted = Signal.like(left, name=f"{name}_counted")
    m.d.comb += counted.eq(Mux(left == 0, 0, left - 1))
    m.d.sync += left.eq(counted)
    for event, cycles in sorted(distances, key=lambda pair: pair[1]):  # of events in one cycle the longest counts
        if cycles > 1:
            with m.If(event & (counted < cycles - 1)):
                m.d.sync += left.eq(cycles - 1)
    is_over = Signal(name=f"{name}_over")
    m.d.comb += is_over.eq(left == 0)
    return is_over

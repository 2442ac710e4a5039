"""What the proofs are made of."""

from amaranth.hdl import ClockDomain, Module, Value
from amaranth.lib import wiring


def begin(proof: wiring.Component) -> Module:
    """A module whose clock is the proof's `clk`; without a reset, which would be one more free input."""
    m = Module()
    m.domains.sync = clocked = ClockDomain(reset_less=True)
    m.d.comb += clocked.clk.eq(proof.clk)
    return m


def at_most_one(bits: Value) -> Value:
    """Whether no two bits are set."""
    more_than_lowest = Value.cast(bits & (bits - 1))
    return ~more_than_lowest.any()

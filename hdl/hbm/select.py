"""Picks among a few bits, and reads what the picked ones hold."""

from collections.abc import Sequence

from amaranth import *
from amaranth.hdl import ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..core.checks import require_int


class RoundRobin(wiring.Component):
    """Picks one of several requests, in turn.

    The pick is the first request above the one picked last that was `taken`, else the lowest. So
    who keeps asking is picked before any other is twice. Latency 0. After reset the lowest comes
    first.

    Parameters
    ----------
    inputs : requests, at least 2.

    Members
    -------
    requests : one bit each.
    taken : the pick is used; the turn moves on.
    picked : one bit high, or 0 without a request.

    Raises TypeError or ValueError for `inputs` that are no such number.
    """

    def __init__(self, *, inputs: int):
        self._inputs = require_int("Round robin inputs", inputs, low=2)
        super().__init__({"requests": In(inputs), "taken": In(1), "picked": Out(inputs)})

    @property
    def inputs(self) -> int:
        """Requests."""
        return self._inputs

    def elaborate(self, platform: object) -> Module:
        m = Module()
        above = Signal(self.inputs)  # the requests whose turn comes before all others
        following = Signal(self.inputs)
        choice = Signal(self.inputs)
        m.d.comb += [
            following.eq(self.requests & above),
            choice.eq(Mux(following != 0, following, self.requests)),
            self.picked.eq(lowest(choice)),
        ]
        with m.If(self.taken & (self.picked != 0)):
            m.d.sync += above.eq(~((self.picked - 1) | self.picked))
        return m


def bit_of(bits: Value, index: Value) -> Value:
    """The bit of that number (`bit_select` of one bit is a truncating shift in Verilog, a lint warning)."""
    return (bits >> index)[0]


def lowest(bits: Value) -> Value:
    """The lowest one bit of `bits`, the others 0."""
    return bits & (~bits + 1)[: len(bits)]


def read(m: Module, picked: Value, values: Sequence[ValueLike], *, name: str) -> Signal:
    """The value whose bit of `picked` is high (at most one is); 0 if none is."""
    width = max(len(Value.cast(value)) for value in values)
    result = Signal(width, name=name)
    terms = [Mux(bit, Value.cast(value), 0) for bit, value in zip(picked, values, strict=True)]
    while len(terms) > 1:
        terms = [terms[i] | terms[i + 1] if i + 1 < len(terms) else terms[i] for i in range(0, len(terms), 2)]
    m.d.comb += result.eq(terms[0])
    return result


def index_of(m: Module, picked: Value, *, name: str) -> Signal:
    """Number of the one high bit of `picked`; 0 if none is."""
    return read(m, picked, [Const(place, range(len(picked))) for place in range(len(picked))], name=name)

"""Completions: 16 bytes for each command that has ended."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ..core.checks import require_int, stream_in, stream_out
from .jobs import Report
from .layouts import Completion


class Completions(wiring.Component):
    """Makes the records of the completion queue.

    `phase` of the first `depth` records is 1, of the next 0, and so on: who reads a queue of
    `depth` records that began as zeros knows a new one by it, without a count. `cycles` run from
    the write of the descriptor to the record, modulo 2^32. A reset begins the queue anew.

    Latency 1 cycle, throughput one record a cycle, in the order of the reports; `i.ready` follows
    `completion.ready` combinationally.

    Parameters
    ----------
    depth : records of the completion queue, at least 1.

    Members
    -------
    i : stream of `Report`.
    now : the cycle, the same as that which gave `born`.
    completion : stream of `Completion`.

    Raises TypeError or ValueError for a `depth` that is no such number.
    """

    def __init__(self, *, depth: int):
        self._depth = require_int("Completion depth", depth, low=1)
        super().__init__({"i": stream_in(Report), "now": In(32), "completion": stream_out(Completion)})

    @property
    def depth(self) -> int:
        """Records of the completion queue."""
        return self._depth

    def elaborate(self, platform: object) -> Module:
        m = Module()
        phase = Signal(init=1)
        place = Signal(range(max(2, self.depth)))
        valid = Signal()
        record = Signal(Completion, reset_less=True)
        m.d.comb += [
            self.i.ready.eq(~valid | self.completion.ready),
            self.completion.valid.eq(valid),
            Value.cast(self.completion.payload).eq(Value.cast(record)),
        ]
        with m.If(self.i.ready):
            m.d.sync += valid.eq(self.i.valid)
        with m.If(self.i.ready & self.i.valid):
            report = self.i.payload
            m.d.sync += [
                *(record[name].eq(report[name]) for name in ("command", "status", "detail", "partition", "bytes")),
                record.cycles.eq(self.now + 1 - report.born),
                record.phase.eq(phase),
                place.eq(Mux(place == self.depth - 1, 0, place + 1)),
            ]
            with m.If(place == self.depth - 1):
                m.d.sync += phase.eq(~phase)
        return m

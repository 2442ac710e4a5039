"""Sums of lines: what adds in the reducer, and its first register."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from mtia.message import MAX_RANKS

from ..core.checks import require_int, stream_in, stream_out
from ..hbm.ordered_sum import OrderedSum
from ..hbm.reduce_format import ReduceFormat, ReduceKind
from ..hbm.reduce_lanes import ATOM_BITS

#: slots that an `OrderedSum` of so many levels takes
_SLOTS = 1 << (MAX_RANKS - 1).bit_length()
#: more lines than are ever under way: 8 results in a sum, and those on their way to it
_LINES = 16
_CONTROL = {"kind": ReduceKind, "format": ReduceFormat, "last": 1}


class LineSums(wiring.Component):
    """Combines the slots of lines, an `OrderedSum` for each atom of a line.

    The sums stay in step, as their handshakes do not depend on data. A slot goes into a register
    first, so that a clock gated around all of this (`ClockGated`) stops the widening of what comes
    in, too.

    Latency and throughput: those of `OrderedSum`, and 1 cycle. Order as there: of lines with
    equally many slots.

    Parameters
    ----------
    width : 1 to 4: lines of ``64 * width`` bytes.

    Members
    -------
    i : stream of {kind, format, last, data}: slots in the order of their index, the last one
        marked.
    o : stream of {data}: lines rounded to the format in memory.
    busy : a slot has been taken, and the result of its line has not: without it, and without slots,
        nothing changes.

    Raises TypeError or ValueError for a `width` that is no such number.
    """

    def __init__(self, *, width: int):
        self._width = require_int("Line sums width", width, low=1, high=4)
        line = 512 * width
        super().__init__(
            {
                "i": stream_in(data.StructLayout({**_CONTROL, "data": line})),
                "o": stream_out(data.StructLayout({"data": line})),
                "busy": Out(1),
            }
        )

    @property
    def width(self) -> int:
        """Units of 64 bytes in a line."""
        return self._width

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sums = [OrderedSum(slots=_SLOTS) for _ in range(2 * self.width)]
        valid, control = Signal(), Signal(data.StructLayout(_CONTROL), reset_less=True)
        moves, there = Signal(), Signal()
        m.d.comb += [
            moves.eq(Cat(atom.i.ready for atom in sums).all()),
            self.i.ready.eq(~valid | moves),
            there.eq(Cat(atom.o.valid for atom in sums).all()),
            self.o.valid.eq(there),
            self.o.payload.data.eq(Cat(atom.o.payload.result for atom in sums)),
        ]
        takes, is_open, due = Signal(), Signal(), Signal(range(_LINES))
        m.d.comb += [takes.eq(self.i.valid & self.i.ready), self.busy.eq(is_open | (due != 0))]
        m.d.sync += due.eq(due + (takes & self.i.payload.last) - (there & self.o.ready))
        with m.If(self.i.ready):
            m.d.sync += valid.eq(self.i.valid)
        with m.If(takes):
            m.d.sync += is_open.eq(~self.i.payload.last)
            m.d.sync += [control[name].eq(self.i.payload[name]) for name in _CONTROL]
        for index, atom in enumerate(sums):
            m.submodules[f"sum_{index}"] = atom
            slot = Signal(ATOM_BITS, name=f"slot_{index}", reset_less=True)
            with m.If(takes):
                m.d.sync += slot.eq(self.i.payload.data[ATOM_BITS * index : ATOM_BITS * (index + 1)])
            m.d.comb += [
                atom.i.valid.eq(valid & moves),
                atom.i.payload.data.eq(slot),
                *(atom.i.payload[name].eq(control[name]) for name in _CONTROL),
                atom.o.ready.eq(self.o.ready & there),
            ]
        return m

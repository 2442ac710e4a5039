"""One lane of a reduction unit: a number of the flits, its adder, and where partial results wait."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ..core.checks import require_int
from ..formats.float32 import Float32
from ..hbm.reduce_float32 import CombineFloat32, Narrow
from ..hbm.reduce_format import ReduceFormat, ReduceKind
from ..hbm.reduce_widen import Widen

#: A number of a contribution, as `Widen` takes it.
_Number = wiring.Signature({"word": In(32), "half": In(16), "code": In(8), "scale": In(8)})


class TreeLane(wiring.Component):
    """Data path of one number of the flits, steered by `Tree`.

    Two numbers of contributions leave the widening after `Widen.latency` enabled cycles and go to
    the adder, which gives their combination back `latency` cycles later; COPY gives that of `even`.
    What comes back is kept at `at` with `keep`, goes to the adder beside what is kept where `look`
    was in the cycle before with `again`, and is rounded for the output. Which of two is on which
    side does not show: neither SUM, MAX nor MIN tells its operands apart.

    Latency: 5 cycles from a pair's choice to what comes back. Throughput: a pair a cycle. No
    back-pressure and no valid: `Meeting` knows what is where.

    Parameters
    ----------
    depth : partial results kept, at least 2.

    Members
    -------
    format, enable, even, odd : of two contributions, as `Widen` takes them.
    keep : keep what comes back in this cycle.
    at : there.
    again : it goes to the adder instead of what leaves the widening.
    look : where its partner is kept, a cycle earlier.
    looks : something may be read there.
    kind : what to do with the pair that went to the adder in the cycle before.
    fp16 : the format of what comes back is FP16, not BF16.
    word_result : what came back in the cycle before, in FP32.
    half_result : it, rounded to FP16 or BF16.

    Raises TypeError or ValueError for a `depth` that is no such number.
    """

    #: cycles from a pair's choice to what comes back
    latency = 1 + CombineFloat32.latency

    def __init__(self, *, depth: int):
        self._depth = require_int("Tree lane depth", depth, low=2)
        super().__init__(
            {
                "format": In(ReduceFormat),
                "enable": In(1),
                "even": Out(_Number),
                "odd": Out(_Number),
                "keep": In(1),
                "at": In(range(depth)),
                "again": In(1),
                "look": In(range(depth)),
                "looks": In(1),
                "kind": In(ReduceKind),
                "fp16": In(1),
                "word_result": Out(32),
                "half_result": Out(16),
            }
        )

    @property
    def depth(self) -> int:
        """Partial results kept."""
        return self._depth

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.combine = combine = CombineFloat32()
        m.submodules.narrow = narrow = Narrow()
        m.submodules.kept = kept = memory.Memory(shape=32, depth=self.depth, init=[])
        keep = kept.write_port()
        partner = kept.read_port(transparent_for=[keep])
        numbers = []
        for name, number in (("even", self.even), ("odd", self.odd)):
            m.submodules[name] = widen = Widen(mx=True)
            m.d.comb += [widen.format.eq(self.format), widen.enable.eq(self.enable)]
            m.d.comb += [getattr(widen, part).eq(getattr(number, part)) for part in _Number.members]
            numbers.append(widen.result)
        back = combine.result.as_value()
        word = Signal(32, reset_less=True)
        a, b = Signal(Float32, reset_less=True), Signal(Float32, reset_less=True)
        m.d.comb += [
            *(keep.addr.eq(self.at), keep.data.eq(back), keep.en.eq(self.keep)),
            *(partner.addr.eq(self.look), partner.en.eq(self.looks)),
            *(combine.kind.eq(self.kind), combine.a.eq(a), combine.b.eq(b)),
            *(narrow.fp16.eq(self.fp16), narrow.number.eq(combine.result)),
            *(self.word_result.eq(word), self.half_result.eq(narrow.result)),
        ]
        even, odd = (number.as_value() for number in numbers)
        m.d.sync += [
            a.eq(Mux(self.again, partner.data, odd)),
            b.eq(Mux(self.again, back, even)),
            word.eq(back),
        ]
        return m

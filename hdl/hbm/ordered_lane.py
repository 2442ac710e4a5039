"""One lane of the ordered sum: where the partial results of a number wait, and its adder."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ..core.checks import require_int
from ..formats.float32 import Float32
from .reduce_float32 import CombineFloat32, Narrow
from .reduce_format import ReduceFormat, ReduceKind
from .reduce_widen import Widen

#: pairs that may wait for the adder
PENDING = 4


class OrderedLane(wiring.Component):
    """Data path of one number of the atoms, steered by `OrderedSum`.

    A slot's number leaves the widening after `Widen.latency` enabled cycles. It is kept with
    `first`, or goes to the adder beside the one that is kept; so does a pair that waits with
    `pending`. What the adder gives back `latency` cycles later is kept as the partial result of its
    `level` with `keep`, or joins the one kept there and waits with `push`; and it is rounded for
    the output.

    Latency: 5 cycles from the choice of a pair to its result. Throughput: a pair a cycle.

    Parameters
    ----------
    levels : levels of the tree, at least 1.

    Members
    -------
    format, word, half, code, scale, enable : as `Widen` takes them.
    first : keep the number that leaves the widening.
    pending : a pair that waits goes to the adder, that at `read_at`.
    keep, push : keep what comes back, or let it wait at `write_at` with the one that is kept.
    level : of what comes back.
    write_at, read_at : places of pairs that wait.
    kind : what to do with the pair chosen in the cycle before.
    fp16 : the format of what the adder gives back is FP16, not BF16.
    word_result, half_result : what the adder gave back in the cycle before, in FP32 and rounded.

    Raises TypeError or ValueError for `levels` that are no such number.
    """

    #: cycles from the choice of a pair to its result
    latency = 1 + CombineFloat32.latency

    def __init__(self, *, levels: int):
        self._levels = require_int("Levels", levels, low=1)
        super().__init__(
            {
                "format": In(ReduceFormat),
                "word": In(32),
                "half": In(16),
                "code": In(8),
                "scale": In(8),
                "enable": In(1),
                "first": In(1),
                "keep": In(1),
                "push": In(1),
                "pending": In(1),
                "level": In(range(levels + 1)),
                "write_at": In(range(PENDING)),
                "read_at": In(range(PENDING)),
                "kind": In(ReduceKind),
                "fp16": In(1),
                "word_result": Out(32),
                "half_result": Out(16),
            }
        )

    @property
    def levels(self) -> int:
        """Levels of the tree."""
        return self._levels

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.widen = widen = Widen(mx=True)
        m.submodules.combine = combine = CombineFloat32()
        m.submodules.narrow = narrow = Narrow()
        # Place 0 is not used: a number of level 0 and one of another level may be kept in the same cycle.
        m.submodules.kept = kept = memory.Memory(shape=32, depth=self.levels + 1, init=[])
        m.submodules.waiting = waiting = memory.Memory(shape=64, depth=PENDING, init=[])
        keep, partner = kept.write_port(), kept.read_port(domain="comb")
        push, pair = waiting.write_port(), waiting.read_port(domain="comb")
        back = combine.result.as_value()
        first, word = Signal(32, reset_less=True), Signal(32, reset_less=True)
        a, b = Signal(Float32, reset_less=True), Signal(Float32, reset_less=True)
        for name in ("format", "word", "half", "code", "scale", "enable"):
            m.d.comb += getattr(widen, name).eq(getattr(self, name))
        m.d.comb += [
            *(keep.addr.eq(self.level), keep.data.eq(back), keep.en.eq(self.keep), partner.addr.eq(self.level)),
            *(push.addr.eq(self.write_at), push.data.eq(Cat(partner.data, back)), push.en.eq(self.push)),
            *(pair.addr.eq(self.read_at), combine.kind.eq(self.kind), combine.a.eq(a), combine.b.eq(b)),
            *(narrow.fp16.eq(self.fp16), narrow.number.eq(combine.result)),
            *(self.word_result.eq(word), self.half_result.eq(narrow.result)),
        ]
        with m.If(self.first):
            m.d.sync += first.eq(widen.result)
        m.d.sync += [
            a.eq(Mux(self.pending, pair.data[:32], first)),
            b.eq(Mux(self.pending, pair.data[32:], widen.result.as_value())),
            word.eq(back),
        ]
        return m

"""The ordered mode of the reductions: slots of many ranks, combined along one fixed tree."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.utils import ceil_log2

from ..core.arith import delay
from ..core.checks import require_int, stream_in, stream_out
from ..core.fifo import Queue
from ..core.shared import Shared
from .ordered_control import OrderedControl
from .ordered_lane import OrderedLane
from .reduce_float32 import Narrow
from .reduce_format import ReduceFormat, ReduceKind
from .reduce_lanes import ATOM_BITS
from .reduce_widen import LANES, WIDE_LANES, Widen, widen_ports


class OrderedSum(wiring.Component):
    """Combines the slots of one atom in FP32 along a tree, as `golden.near_memory.tree` bit for bit.

    Slots come in the order of their index, the last one marked; then those of the next atom. At each
    level of the tree neighbours are paired, and an odd one at the end passes up: a rule that needs
    only the place of a partial result in its level and whether it is the last. So one adder a lane
    serves all levels, and several atoms at once: what it gives back is kept for its partner, or joins
    the partner and goes to the adder again. A partial result that passes up takes the same way
    through the adder, so that none overtakes another of its level.

    Latency: ``3 + 6 * max(1, ceil(log2(p)))`` cycles from the last of p slots to the result, where no other atom is
    under way. Throughput: a slot a cycle; but p slots take at least as many cycles as their tree has pairs and numbers
    that pass up (72 slots: 74 cycles; p where it is a power of two). Results of atoms of equally many slots leave in
    order; one of fewer slots may overtake.

    Parameters
    ----------
    slots : the most slots of an atom, 2 to 4096.
    token_bits : width of what travels with an atom, at least 1.
    results : atoms whose last slot is taken and whose result is not, at least 2. 8 keep the pace of single slots.

    Members
    -------
    i : stream of {kind, format, last, token, data}. `kind` is SUM, MAX or MIN; it and `format` are the same for all
        slots of an atom. `data` is an operand of that format. The token of the last slot counts.
    o : stream of {result, token}: the atom, rounded once to the format in memory.
    """

    def __init__(self, *, slots: int = 128, token_bits: int = 1, results: int = 8):
        self._slots = require_int("Slots", slots, low=2, high=4096)
        self._token_bits = require_int("Token bits", token_bits, low=1)
        self._results = require_int("Results", results, low=2)
        self._slot = {"kind": ReduceKind, "format": ReduceFormat, "last": 1, "token": token_bits}
        self._result = data.StructLayout({"result": ATOM_BITS, "token": token_bits})
        taken = data.StructLayout({**self._slot, "data": ATOM_BITS})
        super().__init__({"i": stream_in(taken), "o": stream_out(self._result)})

    @property
    def slots(self) -> int:
        """The most slots of an atom."""
        return self._slots

    @property
    def token_bits(self) -> int:
        """Width of what travels with an atom."""
        return self._token_bits

    @property
    def results(self) -> int:
        """Atoms whose last slot is taken and whose result is not."""
        return self._results

    def elaborate(self, platform: object) -> Module:
        m = Module()
        levels = ceil_log2(self.slots)
        m.submodules.control = control = OrderedControl(levels=levels, token_bits=self.token_bits)
        enable = self._take(m, control)
        words: list[Value] = []
        halves: list[Value] = []
        for index in range(LANES):
            m.submodules[f"lane_{index}"] = lane = Shared(OrderedLane(levels=levels))
            m.d.comb += [
                *widen_ports(lane, self.i.payload.data, index),
                *(lane.format.eq(self.i.payload.format), lane.enable.eq(enable)),
                *(getattr(lane, name).eq(control.lane[name]) for name in control.lane.shape().members),
                lane.fp16.eq(control.back.format[:2] == ReduceFormat.FP16),
            ]
            halves.append(lane.half_result)
            words += [lane.word_result] if index < WIDE_LANES else []
        self._output(m, control, words, halves)
        return m

    def _take(self, m: Module, control: OrderedControl) -> Signal:
        """Slots on their way through the widening; it moves while its end is free or taken."""
        enable = Signal()
        slot = data.StructLayout(self._slot)
        stages = [Signal(slot, name=f"slot_{stage}", reset_less=True) for stage in range(Widen.latency)]
        valid = [Signal(name=f"slot_valid_{stage}") for stage in range(Widen.latency)]
        first = Signal(slot)
        m.d.comb += [first[name].eq(self.i.payload[name]) for name in self._slot]
        with m.If(enable):
            for target, source in zip((*stages, *valid), (first, *stages[:-1], self.i.valid, *valid[:-1]), strict=True):
                m.d.sync += Value.cast(target).eq(source)
        m.d.comb += [
            enable.eq(~valid[-1] | control.taken),
            self.i.ready.eq(enable),
            control.valid.eq(valid[-1]),
            Value.cast(control.slot).eq(stages[-1]),
        ]
        return enable

    def _output(self, m: Module, control: OrderedControl, words: list[Value], halves: list[Value]) -> None:
        """Results into a queue, which has room for as many as may be under way."""
        m.submodules.queue = queue = Queue(shape=self._result, depth=self.results)
        under_way = Signal(range(self.results + 1))
        begun = Signal()
        back, wait = control.back, Narrow.latency
        is_word = delay(m, back.format[:2] == ReduceFormat.FP32, wait, name="is_word")
        m.d.comb += [
            begun.eq(control.taken & control.slot.last),
            control.room.eq(under_way != self.results),
            queue.i.valid.eq(delay(m, control.is_result, wait, name="is_result", reset_less=False)),
            queue.i.payload.token.eq(delay(m, back.token, wait, name="token")),
            queue.i.payload.result.eq(Mux(is_word, Cat(words), Cat(halves))),
            *(self.o.valid.eq(queue.o.valid), Value.cast(self.o.payload).eq(Value.cast(queue.o.payload))),
            queue.o.ready.eq(self.o.ready),
        ]
        m.d.sync += under_way.eq(under_way + begun - queue.credit)

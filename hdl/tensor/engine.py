"""The dot-product engine (DPE): stationary rows meet streamed rows, FP32 comes out."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from mtia.generations import EngineParameters

from ..core.arith import delay
from ..core.connect import connect
from ..core.fifo import Queue
from ..core.shared import Shared
from ..formats.code import FormatCode
from .accumulate import AccumulatorBank
from .beat import DecodeBeat, Mode
from .load import Loader
from .ports import pass_layout, result_layout, stationary_layout, streamed_layout
from .sequencer import Sequencer
from .shape import SliceShape, assign
from .unit import Unit


class Engine(wiring.Component):
    """Dot-product engine: `units` stationary rows meet streamed rows, FP32 results come out.

    C = A B^T is computed in passes. A pass holds a block of up to `units` rows of one operand (the
    stationary one; its next block loads meanwhile) and streams up to `depth` beats of the other
    past it; each unit adds the group sums of its row and the beat to the accumulator of the beat's
    index. Passes along K repeat the same accumulators; the last one emits a result beat for each
    beat, while the next pass already runs. Any number of groups of K, in increasing order, gives
    the same bits on every build (docs/numerics.md).

    Latency: `latency` cycles from a beat to its result. Throughput: one beat a cycle on all
    streams; a block loads in one cycle a row, hidden when the pass before has as many beats (deep:
    one more). An accumulator may be used again after `interval` cycles: shorter passes over the
    same accumulators wait, but those with `first`, which need no old value. Back-pressure: on every
    stream; a result beat is only issued when the queue has room for it.

    Passes, blocks, beats and results keep their order, each to the other: the n-th pass takes the
    n-th block and the next `beats` beats. A pass waits for its block and for its beats, and what
    waits is never lost. A pass with `last` holds up those behind it while its results are not taken
    and the queue for them, of `credits`, is full. `passes.ready`, and but in a deep engine
    `stationary.ready`, follow `streamed.valid` combinationally; all else comes from registers.
    After reset nothing is under way and accumulators hold anything: the first pass over them has
    `first`.

    Pairs that the engine does not multiply give NaN, never a truncated sum. A pass of 0 beats is
    taken and does nothing, its block is for the next one. Nothing checks that `address` + `beats`
    stays within `depth`.

    Parameters
    ----------
    parameters : `mtia.generations.EngineParameters`, which checks itself.

    Members
    -------
    passes : stream of what to run (`pass_layout`).
    stationary : stream of rows of the stationary blocks, in the order of the passes
        (`stationary_layout`). Units past a block's last row keep what they had: their results mean
        nothing.
    streamed : stream of beats, in the order of the passes (`streamed_layout`); `dense_rows` rows a
        beat if both operands are E2M1.
    results : stream of FP32 (`result_layout`), one item for each beat of a pass with `last`.

    Raises ValueError as `SliceShape` does.
    """

    def __init__(self, *, parameters: EngineParameters):
        self._engine = parameters
        self.shape = shape = SliceShape(parameters)
        super().__init__(
            {
                "passes": In(stream.Signature(pass_layout(shape))),
                "stationary": In(stream.Signature(stationary_layout(shape))),
                "streamed": In(stream.Signature(streamed_layout(shape))),
                "results": Out(stream.Signature(result_layout(shape))),
            }
        )

    @property
    def parameters(self) -> dict[str, EngineParameters]:
        """What the engine was built from."""
        return {"parameters": self._engine}

    @property
    def latency(self) -> int:
        """Cycles from a beat to its result: of decoding 1 (deep 2), those of `Unit`, and 1 of the queue of results."""
        return self._pipeline + 1

    @property
    def interval(self) -> int:
        """Least cycles between two beats for the same accumulator."""
        return AccumulatorBank.interval_of(groups=self._engine.slices, deep=self._engine.deep)

    @property
    def _pipeline(self) -> int:
        return 1 + self._wait + Unit.latency_of(self.shape)

    @property
    def credits(self) -> int:
        """Result beats that may be under way or wait in the queue: enough for one a cycle.

        So many beats of results are computed although nobody takes them; the next waits at
        `streamed`.
        """
        return self._pipeline + 3 + self._engine.deep

    @property
    def _wait(self) -> int:
        """Cycles that decoding takes beyond one: in a deep engine one, for formats to be looked up."""
        return DecodeBeat.latency_of(deep=self._engine.deep) - 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.sequencer = sequencer = Sequencer(shape=self.shape, interval=self.interval, credits=self.credits)
        m.submodules.loader = loader = Loader(shape=self.shape)
        m.submodules.queue = queue = Queue(shape=result_layout(self.shape), depth=self.credits)
        connect(m, wiring.flipped(self.passes), sequencer.passes)
        connect(m, wiring.flipped(self.stationary), loader.rows)
        connect(m, queue.o, wiring.flipped(self.results))
        mode = self._mode(m, sequencer, loader)
        rows = self._decode(m, sequencer, mode)
        control = self._control(m, sequencer, mode)
        for index in range(self._engine.units):
            m.submodules[f"unit_{index}"] = unit = Shared(Unit(parameters=self._engine))
            m.d.comb += unit.load.eq(loader.load[index])
            m.d.comb += [getattr(unit, name).eq(value) for name, value in control.items()]
            for part, row in enumerate(rows):
                m.d.comb += assign(unit.row[part], loader.row[part]) + assign(unit.streamed[part], row)
            m.d.comb += [queue.i.payload.values[row][index].eq(unit.results[row]) for row in range(self.shape.rows)]
        m.d.comb += [
            sequencer.valid.eq(self.streamed.valid),
            self.streamed.ready.eq(sequencer.ready),
            sequencer.loaded.eq(loader.loaded),
            # In a deep engine the way back from the consumer's ready ends in a register.
            sequencer.release.eq(delay(m, queue.credit, self._engine.deep, name="release", reset_less=False)),
            loader.swap.eq(sequencer.swap),
        ]
        emits = Cat(sequencer.issue & sequencer.current.last, mode.dense, sequencer.ends)
        late = delay(m, emits, self._pipeline, name="emits", reset_less=False)
        m.d.comb += Cat(queue.i.valid, queue.i.payload.dense, queue.i.payload.last).eq(late)
        return m

    def _mode(self, m: Module, sequencer: Sequencer, loader: Loader) -> Mode:
        """Formats of the beat at the head of the stream; that of the block becomes current with it."""
        m.submodules.mode = mode = Mode(shape=self.shape)
        held = Signal(FormatCode, reset_less=True)
        swap, fresh = sequencer.swap, sequencer.starts
        if self._engine.deep:
            # The loader of a deep engine keeps a format for a cycle more, so the issue logic need not wait for it.
            swap = delay(m, swap, 1, name="swapped", reset_less=False)
            fresh = fresh | swap
        with m.If(swap):
            m.d.sync += held.eq(loader.format)
        m.d.comb += mode.streamed.eq(sequencer.current.streamed)
        m.d.comb += mode.stationary.eq(Mux(fresh, loader.format, held))
        return mode

    def _decode(self, m: Module, sequencer: Sequencer, mode: Mode) -> list[wiring.PureInterface]:
        """The decoded slices of the beat, a cycle after its issue (two in a deep engine)."""
        rows = []
        for index in range(self._engine.slices):
            m.submodules[f"decode_{index}"] = decode = DecodeBeat(shape=self.shape)
            m.d.comb += [
                decode.format.eq(sequencer.current.streamed),
                decode.refuse.eq(mode.refuse),
                decode.codes.eq(self.streamed.payload.codes[index]),
            ]
            for row in range(self.shape.rows):
                m.d.comb += decode.scales[row].eq(self.streamed.payload.scales[row][index])
            rows.append(decode.row)
        return rows

    def _control(self, m: Module, sequencer: Sequencer, mode: Mode) -> dict[str, Value]:
        """What goes with the beat into the units; the block is taken over when the beat is decoded."""
        inputs = {"wide": mode.wide, "address": sequencer.address, "first": sequencer.current.first}
        if self.shape.has_nvfp4:
            inputs["nvfp4"] = mode.nvfp4
        wait = self._wait
        control = {name: delay(m, value, 1 + wait, name=name) for name, value in inputs.items()}
        control["enable"] = delay(m, sequencer.issue, 1 + wait, name="enable", reset_less=False)
        control["swap"] = delay(m, sequencer.swap, wait, name="swap", reset_less=False)
        return control

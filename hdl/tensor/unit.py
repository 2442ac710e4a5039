"""One dot-product unit: its stationary row, its dot product and its accumulators."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia.generations import EngineParameters

from ..core.arith import delay
from ..core.shared import Shared
from ..formats.float32 import Float32
from .accumulate import AccumulatorBank
from .dot import DotProduct, group_latency
from .shape import SliceShape, assign, buffer


class Unit(wiring.Component):
    """Holds one stationary row, multiplies the streamed beats with it and accumulates.

    The stationary row is double-buffered: `load` fills the row in waiting, `swap` makes it current.

    Latency: `latency` cycles; a deep unit has a register at the inputs that come with a beat.
    Throughput: one beat a cycle, no back-pressure; the same address again after
    `AccumulatorBank.interval_of(...)` cycles at the earliest. After reset the rows and accumulators
    hold anything, and no beat is under way.

    Parameters
    ----------
    parameters : of the engine.

    Members
    -------
    load, row : write the row in waiting. With `swap` in the same cycle the row that waited before
        becomes current; a deep unit must have no `load` in that cycle.
    swap : beats from the next cycle on meet the row that waits.
    streamed : a decoded beat, one `SliceShape.streamed_signature` a slice.
    wide, nvfp4 : what the beat's formats are (`nvfp4` only with NVFP4 among the formats).
    address, first, enable : accumulator of the beat, whether it starts from +0, whether there is a
        beat.
    results : new values of the accumulators, one for each row of the beat, `latency` cycles later.

    Raises ValueError as `SliceShape` does.
    """

    def __init__(self, *, parameters: EngineParameters):
        self._engine = parameters
        self.shape = shape = SliceShape(parameters)
        slices = parameters.slices
        ports = {
            "load": In(1),
            "row": In(shape.stationary_signature).array(slices),
            "swap": In(1),
            "streamed": In(shape.streamed_signature).array(slices),
            "wide": In(1),
            "address": In(range(parameters.depth)),
            "first": In(1),
            "enable": In(1),
            "results": Out(Float32).array(shape.rows),
        }
        super().__init__(ports | ({"nvfp4": In(1)} if shape.has_nvfp4 else {}))

    @property
    def parameters(self) -> dict[str, EngineParameters]:
        """What the unit was built from."""
        return {"parameters": self._engine}

    @property
    def latency(self) -> int:
        """Cycles from a beat to its results."""
        return self.latency_of(self.shape)

    @staticmethod
    def latency_of(shape: SliceShape) -> int:
        """`latency` for a shape: the dot product and an addition for each slice, the read of the
        accumulator being done meanwhile.
        """
        parameters = shape.parameters
        bank = AccumulatorBank.latency_of(groups=parameters.slices, deep=parameters.deep)
        return parameters.deep + group_latency(shape) - AccumulatorBank.read_latency_of(deep=parameters.deep) + bank

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dot = dot = DotProduct(parameters=self._engine)
        swap, enable = (self._input(m, name, reset_less=False) for name in ("swap", "enable"))
        for index, (row, streamed) in enumerate(zip(self.row, self.streamed, strict=True)):
            waiting, current = (buffer(row, name=f"{name}_{index}") for name in ("waiting", "current"))
            with m.If(self.load):
                m.d.sync += assign(waiting, row)
            with m.If(swap):
                m.d.sync += assign(current, waiting)
            m.d.comb += assign(dot.stationary[index], current)
            m.d.comb += assign(dot.streamed[index], self._late(m, streamed, f"streamed_{index}"))
        for name in ("wide", "nvfp4") if self.shape.has_nvfp4 else ("wide",):
            m.d.comb += getattr(dot, name).eq(self._input(m, name))
        # The accumulators are read while the last stages of the dot product compute.
        early = dot.latency - AccumulatorBank.read_latency_of(deep=self._engine.deep)
        control = {name: delay(m, self._input(m, name), early, name=name) for name in ("address", "first")}
        enable = delay(m, enable, early, name="enable", reset_less=False)
        for row in range(self.shape.rows):
            bank = Shared(AccumulatorBank(depth=self._engine.depth, groups=self._engine.slices, deep=self._engine.deep))
            m.submodules[f"bank_{row}"] = bank
            m.d.comb += [getattr(bank, name).eq(value) for name, value in control.items()]
            m.d.comb += [bank.enable.eq(enable), self.results[row].eq(bank.result)]
            m.d.comb += [bank.groups[index].eq(group) for index, group in enumerate(dot.groups[row])]
        return m

    def _input(self, m: Module, name: str, *, reset_less: bool = True) -> Value:
        """An input; in a deep unit a cycle later, so that no path from the issue logic ends in here."""
        return delay(m, getattr(self, name), int(self._engine.deep), name=f"{name}_in", reset_less=reset_less)

    def _late(self, m: Module, row: wiring.PureInterface, name: str) -> Any:
        """The signals of a decoded row; in a deep unit a cycle later."""
        if not self._engine.deep:
            return row
        late = buffer(row, name=f"{name}_in")
        m.d.sync += assign(late, row)
        return late

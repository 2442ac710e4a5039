"""One dot-product unit: its stationary row, its dot product and its accumulators."""

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

    load, row:     write the row in waiting
    swap:          the row in waiting becomes current in the next cycle
    streamed:      a decoded beat
    wide, nvfp4:   what the beat's formats are
    address, first, enable: accumulator of the beat, whether it starts from +0, whether there is a beat
    results:       new values of the accumulators, one for each row of the beat, `latency` cycles later

    Latency: `latency` cycles. Throughput: one beat a cycle; the same address again after
    `AccumulatorBank.interval` cycles at the earliest.
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
        """`latency` for a shape."""
        return (
            group_latency(shape)
            - 1
            + AccumulatorBank.latency_of(groups=shape.parameters.slices, deep=shape.parameters.deep)
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dot = dot = DotProduct(parameters=self._engine)
        for index, row in enumerate(self.row):
            waiting, current = (buffer(row, name=f"{name}_{index}") for name in ("waiting", "current"))
            with m.If(self.load):
                m.d.sync += assign(waiting, row)
            with m.If(self.swap):
                m.d.sync += assign(current, waiting)
            m.d.comb += assign(dot.stationary[index], current) + assign(dot.streamed[index], self.streamed[index])
        m.d.comb += dot.wide.eq(self.wide)
        if self.shape.has_nvfp4:
            m.d.comb += dot.nvfp4.eq(self.nvfp4)
        # The accumulator is read while the last stage of the dot product computes.
        early = dot.latency - 1
        control = {name: delay(m, getattr(self, name), early, name=name) for name in ("address", "first")}
        enable = delay(m, self.enable, early, name="enable", reset_less=False)
        for row in range(self.shape.rows):
            bank = Shared(AccumulatorBank(depth=self._engine.depth, groups=self._engine.slices, deep=self._engine.deep))
            m.submodules[f"bank_{row}"] = bank
            m.d.comb += [getattr(bank, name).eq(value) for name, value in control.items()]
            m.d.comb += [bank.enable.eq(enable), self.results[row].eq(bank.result)]
            m.d.comb += [bank.groups[index].eq(group) for index, group in enumerate(dot.groups[row])]
        return m

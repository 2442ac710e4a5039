"""Parts of the tensor engine as the area benchmark builds them: alone, with registers at their inputs."""

from typing import Any

from amaranth.hdl import Module, Value, ValueLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.core.arith import delay
from hdl.formats.code import FormatCode
from hdl.formats.float32 import Float32
from hdl.tensor.accumulate import AccumulatorBank
from hdl.tensor.beat import DecodeBeat, Mode
from hdl.tensor.decode import DecodeDense, DecodeGeneral
from hdl.tensor.dense import DenseSum
from hdl.tensor.dot import DotProduct, group_latency
from hdl.tensor.group_sum import GroupSum
from hdl.tensor.load import DecodeRow
from hdl.tensor.shape import LANES, SliceShape, assign, signals
from mtia.generations import EngineParameters

#: accumulators of a unit built alone: those of the published shape
DEPTH = 32

_OPERANDS = ("a_codes", "b_codes", "a_scale", "b_scale")


def parameters_of_unit(
    formats: tuple[str, ...], *, mixed: bool = False, dense_rows: int = 1, cells: str = "generic"
) -> EngineParameters:
    """One unit of one slice, which takes 32 products a cycle (and 32 for each further dense row)."""
    return EngineParameters(
        units=1, slices=1, depth=DEPTH, dense_rows=dense_rows, formats=formats, mixed=mixed, cells=cells
    )


def _register(m: Module, value: ValueLike, name: str) -> Value:
    return delay(m, Value.cast(value), 1, name=f"{name}_in")


def _only_format(shape: SliceShape) -> Value:
    (row,) = shape.formats
    return Value.cast(FormatCode[row.name])


class ExactDot(wiring.Component):
    """Exact dot product of two blocks of 32 elements of one format, from codes to the sum as an integer.

    parameters: of a unit with one narrow format
    dense:      the format is E2M1, computed as the dense rows of an engine do

    a_codes, b_codes: a byte a lane, dense four bits; a_scale, b_scale: E8M0 codes
    negative, magnitude, exponent, nan, pos_inf, neg_inf: as `hdl.tensor.group_sum.GroupSum` gives them
                (`hdl.tensor.dense.DenseSum`, which has no infinities)

    Holds two decoders and a sum. Latency: `latency` cycles. Throughput: one product a cycle.
    """

    def __init__(self, *, parameters: EngineParameters, dense: bool = False):
        self._engine = parameters
        self.dense = dense
        self.shape = shape = SliceShape(parameters)
        self._total = DenseSum(shape=shape) if dense else GroupSum(shape=shape)
        self._bits = (4 if dense else 8) * LANES
        self._outputs = [name for name, member in self._total.signature.members.items() if member.flow is Out]
        outputs = {name: self._total.signature.members[name] for name in self._outputs}
        super().__init__({name: In(self._bits if name.endswith("codes") else 8) for name in _OPERANDS} | outputs)

    @property
    def parameters(self) -> dict[str, object]:
        """What it was built from."""
        return {"parameters": self._engine, "dense": self.dense}

    @property
    def latency(self) -> int:
        """Cycles from codes to their sum."""
        return 1 + self._total.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.sum = total = self._total
        for side, row in (("a", total.stationary), ("b", total.streamed)):
            decode: Any = (
                DecodeDense(shape=self.shape) if self.dense else DecodeGeneral(shape=self.shape, bits=self._bits)
            )
            m.submodules[f"decode_{side}"] = decode
            m.d.comb += decode.format.eq(_only_format(self.shape))
            m.d.comb += decode.codes.eq(_register(m, getattr(self, f"{side}_codes"), f"{side}_codes"))
            m.d.comb += decode.code.eq(_register(m, getattr(self, f"{side}_scale"), f"{side}_scale"))
            m.d.comb += assign(row, decode.row)
        m.d.comb += [getattr(self, name).eq(getattr(total, name)) for name in self._outputs]
        return m


class Accumulating(wiring.Component):
    """A unit with its own decoders: codes in, scaled group sums added to FP32 accumulators.

    parameters: of a unit of one slice

    stationary_*, streamed_*: codes and scales as they arrive at an engine; with several formats the
                  names of both
    address, first, enable: as `hdl.tensor.accumulate.AccumulatorBank` takes them
    results:      FP32, one a row of the beat

    Latency: `latency` cycles. Throughput: one beat a cycle.
    """

    def __init__(self, *, parameters: EngineParameters):
        self._engine = parameters
        self.shape = shape = SliceShape(parameters)
        ports = {
            "stationary_codes": In(shape.stationary_bits),
            "stationary_scale": In(8),
            "streamed_codes": In(shape.streamed_bits),
            "streamed_scales": In(data.ArrayLayout(8, shape.rows)),
            "address": In(range(parameters.depth)),
            "first": In(1),
            "enable": In(1),
            "results": Out(Float32).array(shape.rows),
        }
        formats = {"stationary_format": In(FormatCode), "streamed_format": In(FormatCode)}
        super().__init__(ports | (formats if len(shape.formats) > 1 else {}))

    @property
    def parameters(self) -> dict[str, EngineParameters]:
        """What it was built from."""
        return {"parameters": self._engine}

    @property
    def latency(self) -> int:
        """Cycles from codes to the accumulator's new value."""
        return 1 + group_latency(self.shape) + AccumulatorBank.latency_of(groups=1, deep=self._engine.deep)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        held = {name: _register(m, getattr(self, name), name) for name in self.signature.members if name != "results"}
        if len(self.shape.formats) == 1:
            held |= dict.fromkeys(("stationary_format", "streamed_format"), _only_format(self.shape))
        m.submodules.mode = mode = Mode(shape=self.shape)
        m.submodules.row = row = DecodeRow(shape=self.shape)
        m.submodules.beat = beat = DecodeBeat(shape=self.shape)
        m.submodules.dot = dot = DotProduct(parameters=self._engine)
        m.d.comb += [
            *(mode.stationary.eq(held["stationary_format"]), mode.streamed.eq(held["streamed_format"])),
            *(row.format.eq(held["stationary_format"]), row.codes.eq(held["stationary_codes"])),
            *(row.scale.eq(held["stationary_scale"]), beat.format.eq(held["streamed_format"])),
            *(beat.dense.eq(mode.dense), beat.refuse.eq(mode.refuse), beat.codes.eq(held["streamed_codes"])),
            beat.scales.eq(held["streamed_scales"]),
            dot.wide.eq(delay(m, mode.wide, 1, name="wide")),
        ]
        if self.shape.has_nvfp4:
            m.d.comb += dot.nvfp4.eq(delay(m, mode.nvfp4, 1, name="nvfp4"))
        current = [delay(m, signal, 1, name=f"row_{index}") for index, signal in enumerate(signals(row.row))]
        m.d.comb += assign(dot.stationary[0], current) + assign(dot.streamed[0], beat.row)
        self._accumulate(m, dot, held)
        return m

    def _accumulate(self, m: Module, dot: DotProduct, held: dict[str, Value]) -> None:
        """A bank for each row; it takes an address a cycle before the value."""
        control = {
            name: delay(m, held[name], dot.latency, name=name, reset_less=name != "enable")
            for name in ("address", "first", "enable")
        }
        for row in range(self.shape.rows):
            bank = AccumulatorBank(depth=self._engine.depth, groups=1, deep=self._engine.deep)
            m.submodules[f"bank_{row}"] = bank
            m.d.comb += [getattr(bank, name).eq(value) for name, value in control.items()]
            m.d.comb += [bank.groups[0].eq(dot.groups[row][0]), self.results[row].eq(bank.result)]

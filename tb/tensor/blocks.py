"""Single blocks of the tensor engine behind streams, and lanes that run them over numpy arrays."""

import dataclasses
import functools

import numpy as np
from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from golden.mx import MXArray
from hdl.core.arith import delay
from hdl.formats.code import FormatCode
from hdl.formats.float32 import Float32
from hdl.tensor.beat import DecodeBeat, Mode
from hdl.tensor.dot import DotProduct
from hdl.tensor.load import DecodeRow
from hdl.tensor.places import places
from hdl.tensor.shape import SliceShape, assign, buffer
from mtia import formats
from mtia.generations import EngineParameters

from ..beats import pack
from ..lane import Lane


def group_layout(shape: SliceShape) -> data.StructLayout:
    """A stationary row and a beat of one slice, with their formats, as they reach an engine."""
    return data.StructLayout(
        {
            "stationary": shape.stationary_bits,
            "streamed": shape.streamed_bits,
            "scale": 8,
            "scales": data.ArrayLayout(8, shape.rows),
            "stationary_format": FormatCode,
            "streamed_format": FormatCode,
        }
    )


class Groups(wiring.Component):
    """Group sums of one slice: what an engine has between its ports and its accumulators.

    parameters: of the engine, of a single slice

    i: pairs of a stationary row and a beat (`group_layout`)
    o: FP32 of each row of the beat; those past the first only for two E2M1 operands

    Throughput: one pair a cycle. No back-pressure.
    """

    def __init__(self, *, parameters: EngineParameters):
        if parameters.slices != 1:
            raise ValueError(f"Slices must be 1, not {parameters.slices!r}")
        self._engine = parameters
        self.shape = SliceShape(parameters)
        super().__init__(
            {
                "i": In(stream.Signature(group_layout(self.shape), always_ready=True)),
                "o": Out(stream.Signature(data.ArrayLayout(Float32, self.shape.rows), always_ready=True)),
            }
        )

    @property
    def parameters(self) -> dict[str, EngineParameters]:
        """What the component was built from."""
        return {"parameters": self._engine}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.mode = mode = Mode(shape=self.shape)
        m.submodules.row = row = DecodeRow(shape=self.shape)
        m.submodules.beat = beat = DecodeBeat(shape=self.shape)
        m.submodules.dot = dot = DotProduct(parameters=self._engine)
        kept = buffer(row.row, name="kept")
        pair = self.i.payload
        decoding = DecodeBeat.latency_of(deep=self._engine.deep)
        m.d.comb += [
            *(mode.stationary.eq(pair.stationary_format), mode.streamed.eq(pair.streamed_format)),
            *(row.format.eq(pair.stationary_format), row.codes.eq(pair.stationary), row.scale.eq(pair.scale)),
            *(beat.format.eq(pair.streamed_format), beat.codes.eq(pair.streamed), beat.scales.eq(pair.scales)),
            beat.refuse.eq(mode.refuse),
            dot.wide.eq(delay(m, mode.wide, decoding, name="wide")),
        ]
        if self.shape.has_nvfp4:
            m.d.comb += dot.nvfp4.eq(delay(m, mode.nvfp4, decoding, name="nvfp4"))
        m.d.sync += assign(kept, row.row)
        m.d.comb += assign(dot.stationary[0], kept) + assign(dot.streamed[0], beat.row)
        m.d.comb += self.o.valid.eq(delay(m, self.i.valid, decoding + dot.latency, name="valid", reset_less=False))
        m.d.comb += [self.o.payload[index].eq(groups[0]) for index, groups in enumerate(dot.groups)]
        return m


def group_rows(shape: SliceShape, stationary: formats.Format, streamed: formats.Format) -> int:
    """Streamed rows of a beat for these formats."""
    return shape.rows if shape.is_dense(stationary, streamed) and stationary.pairs_with(streamed) else 1


def group_beats(
    shape: SliceShape, stationary: MXArray, streamed: MXArray, random: np.random.Generator
) -> NDArray[np.uint32]:
    """Beats of `group_layout`: row i of `stationary` (n, K) meets the i-th `group_rows` rows of `streamed` (.., K).

    K is at most a group. Bits, lanes and scales that the formats do not use are filled with random bits, which
    must not matter. Raises ValueError when the numbers of rows do not fit.
    """
    rows = group_rows(shape, stationary.format, streamed.format)
    count = len(stationary.codes)
    if len(streamed.codes) != count * rows:
        raise ValueError(f"Streamed rows must be {count * rows}, not {len(streamed.codes)!r}")
    scales = random.integers(0, 256, (count, shape.rows), np.uint8)
    scales[:, :rows] = _scales(streamed, random).reshape(count, rows)
    fields = {
        "stationary": _words(stationary, 1, shape.stationary_bits, random),
        "streamed": _words(streamed, rows, shape.streamed_bits, random),
        "scale": _scales(stationary, random),
        "scales": scales,
        "stationary_format": np.full(count, FormatCode[stationary.format.name].value),
        "streamed_format": np.full(count, FormatCode[streamed.format.name].value),
    }
    return pack(group_layout(shape), fields)


def _scales(array: MXArray, random: np.random.Generator) -> NDArray[np.uint8]:
    if array.scales is None:
        return random.integers(0, 256, len(array.codes), np.uint8)
    return array.scales[:, 0]


def _words(array: MXArray, rows: int, bits: int, random: np.random.Generator) -> NDArray[np.uint32]:
    """Words (n, words) of `bits` bits with the elements of `rows` rows each at their places."""
    element, group = array.format.element, array.format.group
    count = len(array.codes) // rows
    codes = np.zeros((len(array.codes), group), np.uint32)
    codes[:, : array.shape[1]] = array.codes
    flags = (codes[..., None] >> np.arange(element.width, dtype=np.uint32) & 1).astype(np.uint8)
    flags = flags.reshape(count, rows, group, element.width)
    result = random.integers(0, 2, (count, -(-bits // 32) * 32), np.uint8)
    for row in range(rows):
        result[:, [places(element, index, row=row) for index in range(group)]] = flags[:, row]
    result[:, bits:] = 0
    return np.packbits(result, axis=1, bitorder="little").view("<u4")


class GroupLane:
    """A simulated slice that gives the sums of single groups.

    parameters: of the engine; its number of slices does not matter
    seed:       of the random bits that fill what a format does not use
    """

    def __init__(self, parameters: EngineParameters, *, seed: int = 1):
        self.parameters = dataclasses.replace(parameters, slices=1)
        self.shape = SliceShape(self.parameters)
        self.lane = Lane(Groups(parameters=self.parameters), name="groups")
        self._random = np.random.default_rng(seed)

    def sums(self, stationary: MXArray, streamed: MXArray) -> NDArray[np.float32]:
        """Scaled and rounded sums of single groups, (n, rows of a beat), of operands as `group_beats` takes them."""
        rows = group_rows(self.shape, stationary.format, streamed.format)
        count = len(stationary.codes)
        self.lane.push("i", group_beats(self.shape, stationary, streamed, self._random))
        self.lane.run({"o": count})
        return self.lane.pull("o", count).view(np.float32)[:, :rows]


@functools.cache
def group_lane(parameters: EngineParameters) -> GroupLane:
    """A `GroupLane` for these parameters, made once in a process."""
    return GroupLane(parameters)

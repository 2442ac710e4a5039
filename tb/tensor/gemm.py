"""Matrix products on a simulated tensor engine: tiling, packing into beats, and running them.

C = A B^T: A (M, K) and B (N, K) come as arrays of codes and scales in blocks along K. One operand is
held stationary in the engine's units, the other streams past it; either way round gives the same
bits, so the one with fewer cycles is taken.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from amaranth.hdl import ShapeLike
from numpy.typing import NDArray

from golden.mx import MXArray
from hdl.formats.code import FormatCode
from hdl.tensor.engine import Engine
from hdl.tensor.ports import pass_layout, stationary_layout, streamed_layout
from hdl.tensor.shape import LANES, WIDE_LANES, SliceShape
from mtia.formats import Format, Scale
from mtia.generations import EngineParameters

from ..beats import pack
from ..lane import Lane

#: first row or beat, and the one after the last
Span = tuple[int, int]

#: scale codes of 1, for the blocks of zeros that fill the last pass along K
_UNIT_SCALES = {Scale.NONE: 127, Scale.E8M0: 127, Scale.E4M3: 0x38}
#: words of beats in flight at most, so that a large product needs little memory
_WINDOW_WORDS = 1 << 24


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a product is cut into passes.

    swapped:       A is stationary and B streams
    format:        of the streamed operand
    streamed, stationary: rows of the operands in these roles
    rows_per_beat: streamed rows of a beat
    passes_k:      passes along K, each of `slices` groups
    units, depth:  of the engine
    """

    swapped: bool
    format: Format
    streamed: int
    stationary: int
    rows_per_beat: int
    passes_k: int
    units: int
    depth: int

    @property
    def beats(self) -> int:
        """Beats that bring every streamed row once."""
        return -(-self.streamed // self.rows_per_beat)

    @property
    def chunks(self) -> list[Span]:
        """Beats of each set of accumulators, as even as can be."""
        count = -(-self.beats // self.depth)
        edges = [self.beats * index // count for index in range(count + 1)]
        return list(itertools.pairwise(edges))

    @property
    def tiles(self) -> list[Span]:
        """Rows of each stationary block."""
        return [(row, min(row + self.units, self.stationary)) for row in range(0, self.stationary, self.units)]

    @property
    def estimate(self) -> int:
        """Cycles of all passes: a pass takes as long as its beats or as loading the next block."""
        loads = [max(end - start, 1) for start, end in self.tiles]
        return self.passes_k * sum(max(end - start, load) for start, end in self.chunks for load in loads)


def plan(parameters: EngineParameters, a: Format, b: Format, m: int, n: int, k: int) -> Plan:
    """The better of both roles of the operands."""
    dense = SliceShape.is_dense(a, b)
    groups = -(-k // a.group)
    both = [
        Plan(
            swapped=swapped,
            format=b if swapped else a,
            streamed=n if swapped else m,
            stationary=m if swapped else n,
            rows_per_beat=parameters.dense_rows if dense else 1,
            passes_k=-(-groups // parameters.slices),
            units=parameters.units,
            depth=parameters.depth,
        )
        for swapped in (False, True)
    ]
    return min(both, key=lambda candidate: candidate.estimate)


def _grouped(array: MXArray, groups: int) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Codes (rows, groups, group size) and scale codes (rows, groups), filled up with zeros."""
    size = array.format.group
    rows, k = array.shape
    codes = np.zeros((rows, groups * size), np.uint32)
    codes[:, :k] = array.codes
    scales = np.full((rows, groups), _UNIT_SCALES[array.format.scale], np.uint8)
    if array.scales is not None:
        scales[:, : array.scales.shape[1]] = array.scales
    return codes.reshape(rows, groups, size), scales


def _pack_lanes(codes: NDArray[np.uint32], width: int, bits: int) -> NDArray[np.uint32]:
    """Words of `bits` from lanes (..., lanes) of `width` bits, lane 0 lowest."""
    *outer, lanes = codes.shape
    words = -(-bits // 32)
    if 32 % width == 0:
        per = 32 // width
        shifts = (np.arange(per) * width).astype(np.uint32)
        packed = np.bitwise_or.reduce(codes.reshape(*outer, lanes // per, per) << shifts, axis=-1)
    else:
        flags = (codes[..., None] >> np.arange(width, dtype=np.uint32)) & np.uint32(1)
        flat = flags.reshape(*outer, lanes * width).astype(np.uint8)
        flat = np.concatenate([flat, np.zeros((*outer, -(lanes * width) % 32), np.uint8)], axis=-1)
        packed = np.packbits(flat, axis=-1, bitorder="little").view("<u4")
    result = np.zeros((*outer, words), np.uint32)
    result[..., : packed.shape[-1]] = packed
    return result


def _lane_width(fmt: Format, *, dense: bool) -> int:
    if dense:
        return 4
    return fmt.element.width if fmt.element.width > 8 else 8


class GemmLane:
    """A simulated engine that multiplies matrices.

    parameters: of the engine
    trace:      build the model with waves

    The model is built once for its Verilog; several products may be run one after the other.
    """

    def __init__(self, parameters: EngineParameters, *, trace: bool = False):
        self.parameters = parameters
        self.shape = SliceShape(parameters)
        self.lane = Lane(Engine(parameters=parameters), name="engine", trace=trace)

    def multiply(
        self,
        a: MXArray,
        b: MXArray,
        *,
        pauses: Mapping[str, float] | None = None,
        seed: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[NDArray[np.float32], int]:
        """C = A B^T of A (M, K) and B (N, K), blocked along K: FP32 (M, N), and the cycles it took.

        pauses, seed: back-pressure, as `tb.lane.Lane.run` takes it
        progress:     called with the results done and their number

        The NVFP4 factor of a whole tensor is not the engine's and not applied.
        Raises ValueError for shapes that do not fit and for pairs that the engine does not multiply.
        """
        self._check(a, b)
        (m, k), n = a.shape, b.shape[0]
        work = plan(self.parameters, a.format, b.format, m, n, k)
        streamed, stationary = (b, a) if work.swapped else (a, b)
        result = np.empty((work.streamed, work.stationary), np.float32)
        start = self.lane.cycles
        for (first, last), (begin, stop), values in self._jobs(work, streamed, stationary, pauses, seed):
            row, end = first * work.rows_per_beat, min(last * work.rows_per_beat, work.streamed)
            result[row:end, begin:stop] = values[: end - row, : stop - begin]
            if progress is not None:
                progress(row * work.stationary + (end - row) * stop, result.size)
        return (result.T.copy() if work.swapped else result), self.lane.cycles - start

    def _check(self, a: MXArray, b: MXArray) -> None:
        if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[1] != b.shape[1]:
            raise ValueError(f"Operands must be (M, K) and (N, K), not {a.shape!r} and {b.shape!r}")
        if 0 in a.shape or 0 in b.shape:
            raise ValueError(f"Operands must not be empty, not {a.shape!r} and {b.shape!r}")
        if not self.parameters.supports(a.format, b.format):
            raise ValueError(
                f"Formats must be a pair that the engine multiplies, not {a.format.name} and {b.format.name}"
            )

    def _stationary(self, array: MXArray, work: Plan) -> NDArray[np.uint32]:
        """Stationary rows as words (rows, passes along K, words), without the block's end mark."""
        slices = self.parameters.slices
        codes, scales = _grouped(array, work.passes_k * slices)
        layout = stationary_layout(self.shape)
        width = _lane_width(array.format, dense=False)
        lanes = self._lanes(codes, array.format)
        words = _pack_lanes(lanes, width, self.shape.stationary_bits)
        count = len(codes) * work.passes_k
        beats = _join(
            layout,
            words.reshape(count, slices, -1),
            {
                "scales": scales.reshape(count, slices),
                "format": np.full(count, FormatCode[array.format.name].value),
            },
            self.shape.stationary_bits,
        )
        return beats.reshape(len(codes), work.passes_k, -1)

    def _streamed(self, array: MXArray, work: Plan, first: int, last: int) -> NDArray[np.uint32]:
        """Beats `first` to `last` of every pass along K, as words (passes * beats, words)."""
        slices, rows = self.parameters.slices, work.rows_per_beat
        codes, scales = _grouped(array, work.passes_k * slices)
        begin, end = first * rows, min(last * rows, work.streamed)
        count = last - first
        dense = np.zeros((count * rows, *codes.shape[1:]), np.uint32)
        codes_scales = np.full((count * rows, codes.shape[1]), _UNIT_SCALES[array.format.scale], np.uint8)
        dense[: end - begin], codes_scales[: end - begin] = codes[begin:end], scales[begin:end]
        lanes = self._lanes(dense, array.format).reshape(count, rows, work.passes_k, slices, -1)
        order = lanes.transpose(2, 0, 3, 1, 4)  # pass, beat, slice, row, lane
        merged = order.reshape(work.passes_k * count, slices, -1)
        width = _lane_width(array.format, dense=rows > 1)
        words = _pack_lanes(np.ascontiguousarray(merged), width, self.shape.streamed_bits)
        per_row = codes_scales.reshape(count, rows, work.passes_k, slices).transpose(2, 0, 1, 3)
        all_rows = np.zeros((work.passes_k * count, self.shape.rows, slices), np.uint8)
        all_rows[:, :rows] = per_row.reshape(-1, rows, slices)
        return _join(streamed_layout(self.shape), words, {"scales": all_rows}, self.shape.streamed_bits)

    def _lanes(self, codes: NDArray[np.uint32], fmt: Format) -> NDArray[np.uint32]:
        """Codes of each group on the lanes of a slice."""
        count = WIDE_LANES if fmt.is_wide else LANES
        if codes.shape[-1] == count:
            return codes
        lanes = np.zeros((*codes.shape[:-1], count), np.uint32)
        lanes[..., : codes.shape[-1]] = codes
        return lanes

    def _passes(self, work: Plan, beats: int) -> NDArray[np.uint32]:
        """The passes along K of one tile."""
        index = np.arange(work.passes_k)
        fields = {
            "streamed": np.full(work.passes_k, FormatCode[work.format.name].value),
            "beats": np.full(work.passes_k, beats),
            "first": (index == 0).astype(np.int64),
            "last": (index == work.passes_k - 1).astype(np.int64),
        }
        return pack(pass_layout(self.shape), fields)

    def _jobs(
        self,
        work: Plan,
        streamed: MXArray,
        stationary: MXArray,
        pauses: Mapping[str, float] | None,
        seed: int,
    ) -> Iterator[tuple[Span, Span, NDArray[np.float32]]]:
        """Run every set of beats past every stationary block; yields both and the results as they end.

        The streams of the next jobs are queued before a job's results are waited for, so the engine
        never runs dry between them.
        """
        rows = self._stationary(stationary, work)
        jobs = deque[tuple[Span, Span]]()
        waiting = ((chunk, tile) for chunk in work.chunks for tile in work.tiles)
        beats: dict[Span, NDArray[np.uint32]] = {}
        position = 0
        while True:
            while len(jobs) < 2 or sum(beats[chunk].size for chunk, _tile in jobs) < _WINDOW_WORDS:
                if (job := next(waiting, None)) is None:
                    break
                if job[0] not in beats:
                    beats = {chunk: beats[chunk] for chunk, _tile in jobs} | {
                        job[0]: self._streamed(streamed, work, *job[0])
                    }
                self.lane.push("passes", self._passes(work, job[0][1] - job[0][0]))
                self.lane.push("stationary", self._block(rows, *job[1]))
                self.lane.push("streamed", beats[job[0]])
                jobs.append(job)
            if not jobs:
                return
            (first, last), tile = jobs.popleft()
            count = last - first
            if self.lane.waiting("results") < count:
                self.lane.run({"results": count}, pauses=pauses, seed=seed + position)
            position += 1
            values = self.lane.pull("results", count)[:, : self.shape.rows * work.units].view(np.float32)
            grid = values.reshape(count, self.shape.rows, work.units)[:, : work.rows_per_beat]
            yield (first, last), tile, grid.reshape(count * work.rows_per_beat, work.units)

    def _block(self, rows: NDArray[np.uint32], begin: int, stop: int) -> NDArray[np.uint32]:
        """Stationary rows of one tile for every pass along K, the last row of each block marked."""
        block = rows[begin:stop].transpose(1, 0, 2).copy()
        offset = stationary_layout(self.shape)["last"].offset
        block[:, -1, offset // 32] |= np.uint32(1 << offset % 32)
        return block.reshape(-1, block.shape[-1])


def _join(
    layout: ShapeLike, codes: NDArray[np.uint32], fields: Mapping[str, NDArray[np.integer]], bits: int
) -> NDArray[np.uint32]:
    """Beats of a layout that begins with `codes`, `bits` for each slice, from their words (n, slices, words)."""
    beats = pack(layout, fields)
    for index in range(codes.shape[1]):
        word, shift = divmod(bits * index, 32)
        for position in range(codes.shape[2]):
            value = codes[:, index, position]
            beats[:, word + position] |= value << np.uint32(shift)
            if shift and word + position + 1 < beats.shape[1]:
                beats[:, word + position + 1] |= value >> np.uint32(32 - shift)
    return beats

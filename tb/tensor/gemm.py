"""Matrix products on a simulated tensor engine: packing into beats, and running them as planned.

C = A B^T: A (M, K) and B (N, K) come as arrays of codes and scales in blocks along K. `tb.tensor.plan`
says which rows of one are held stationary in the engine's units while which of the other stream past.
"""

import functools
from collections import deque
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from amaranth.hdl import ShapeLike
from numpy.typing import NDArray

from golden.mx import MXArray
from hdl.formats.code import FormatCode
from hdl.tensor.engine import Engine
from hdl.tensor.places import LANES, WIDE_LANES, places
from hdl.tensor.ports import pass_layout, stationary_layout, streamed_layout
from hdl.tensor.shape import SliceShape
from mtia.formats import Element, Scale
from mtia.generations import EngineParameters

from ..beats import pack
from ..lane import Lane
from .plan import Plan, Rows, Step, plan

#: scale codes of 1, for the blocks of zeros that fill the last pass along K
_UNIT_SCALES = {Scale.NONE: 127, Scale.E8M0: 127, Scale.E4M3: 0x38}
#: words of beats in flight at most, so that a large product needs little memory
_WINDOW_WORDS = 1 << 24


def _lanes(array: MXArray, groups: int) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Codes (rows, groups, lanes of a slice) and scale codes (rows, groups), filled up with zeros."""
    size = array.format.group
    rows, k = array.shape
    padded = np.zeros((rows, groups * size), np.uint32)
    padded[:, :k] = array.codes
    codes = np.zeros((rows, groups, WIDE_LANES if array.format.is_wide else LANES), np.uint32)
    codes[..., :size] = padded.reshape(rows, groups, size)
    scales = np.full((rows, groups), _UNIT_SCALES[array.format.scale], np.uint8)
    if array.scales is not None:
        scales[:, : array.scales.shape[1]] = array.scales
    return codes, scales


def _pack_lanes(codes: NDArray[np.uint32], element: Element, row: int = 0) -> NDArray[np.uint32]:
    """Words of the elements of a group (..., elements) where `hdl.tensor.places` has them; as many as they reach."""
    *outer, lanes = codes.shape
    where = np.array([places(element, lane, row=row) for lane in range(lanes)])
    result = np.zeros((*outer, int(where.max()) // 32 + 1), np.uint32)
    taken = 0
    while taken < element.width:  # runs of bits that stay together in every element
        run = taken + 1
        while run < element.width and (where[:, run] == where[:, run - 1] + 1).all():
            run += 1
        part = codes >> np.uint32(taken) & np.uint32((1 << (run - taken)) - 1)
        at = where[:, taken]
        for word in range(result.shape[-1]):
            held = at // 32 == word
            if held.any():
                moved = part[..., held] << (at[held] % 32).astype(np.uint32)
                result[..., word] |= np.bitwise_or.reduce(moved, axis=-1)
            over = (at // 32 == word - 1) & (at % 32 + run - taken > 32)
            if over.any():
                result[..., word] |= np.bitwise_or.reduce(
                    part[..., over] >> (32 - at[over] % 32).astype(np.uint32), axis=-1
                )
        taken = run
    return result


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
        result = np.empty((m, n), np.float32)
        start, done = self.lane.cycles, 0
        for rows, columns, values in self._results(work, a, b, pauses, seed):
            result[np.ix_(rows, columns)] = values
            done += values.size
            if progress is not None:
                progress(done, result.size)
        return result, self.lane.cycles - start

    def _check(self, a: MXArray, b: MXArray) -> None:
        if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[1] != b.shape[1]:
            raise ValueError(f"Operands must be (M, K) and (N, K), not {a.shape!r} and {b.shape!r}")
        if 0 in a.shape or 0 in b.shape:
            raise ValueError(f"Operands must not be empty, not {a.shape!r} and {b.shape!r}")
        if not self.parameters.supports(a.format, b.format):
            raise ValueError(
                f"Formats must be a pair that the engine multiplies, not {a.format.name} and {b.format.name}"
            )

    def _results(
        self, work: Plan, a: MXArray, b: MXArray, pauses: Mapping[str, float] | None, seed: int
    ) -> Iterator[tuple[Rows, Rows, NDArray[np.float32]]]:
        """Run a plan; yields rows of A, rows of B and their results as they are complete.

        The streams of the next steps are queued before the results of one are waited for, so the engine
        never runs dry between them.
        """
        packed = _Packed(self.shape, work, a, b)
        waiting, steps = iter(work.steps), deque[tuple[Step, int]]()
        position = 0
        while True:
            while len(steps) < 2 or sum(words for _, words in steps) < _WINDOW_WORDS:
                if (step := next(waiting, None)) is None:
                    break
                beats = packed.streamed(step)
                self.lane.push("passes", packed.passes(step))
                self.lane.push("stationary", packed.held(step))
                self.lane.push("streamed", beats)
                steps.append((step, beats.size))
            if not steps:
                return
            step, _ = steps.popleft()
            if not step.last:
                continue
            count = step.beats[1] - step.beats[0]
            if self.lane.waiting("results") < count:
                self.lane.run({"results": count}, pauses=pauses, seed=seed + position)
            position += 1
            yield self._placed(work, step, self.lane.pull("results", count))

    def _placed(self, work: Plan, step: Step, beats: NDArray[np.uint32]) -> tuple[Rows, Rows, NDArray[np.float32]]:
        """Rows of A, rows of B and results of a step's result beats."""
        streamed, held = work.streamed(step), step.job.held
        values = beats[:, : self.shape.rows * work.units].view(np.float32)
        grid = values.reshape(len(beats), self.shape.rows, work.units)[:, : work.rows_per_beat]
        grid = grid.reshape(-1, work.units)[: len(streamed), : len(held)]
        return (held, streamed, grid.T) if step.job.swapped else (streamed, held, grid)


class _Packed:
    """Both operands of a plan as words of beats.

    Each role of each operand is packed once, when it is first needed, and beats that go past several blocks
    one after the other are put together once.
    """

    def __init__(self, shape: SliceShape, work: Plan, a: MXArray, b: MXArray):
        self._shape, self._work, self._operands = shape, work, (a, b)
        self._slices = shape.parameters.slices
        self._held = functools.cache(self._pack_held)
        self._streamed = functools.cache(self._pack_streamed)
        self._beats: tuple[object, NDArray[np.uint32]] | None = None

    def passes(self, step: Step) -> NDArray[np.uint32]:
        """What to run."""
        begin, end = step.passes
        index = np.arange(begin, end)
        streamed = self._operands[step.job.swapped].format
        fields = {
            "streamed": np.full(len(index), FormatCode[streamed.name].value),
            "beats": np.full(len(index), step.beats[1] - step.beats[0]),
            "address": np.full(len(index), step.address),
            "first": (index == 0).astype(np.int64),
            "last": (index == self._work.passes_k - 1).astype(np.int64),
        }
        return pack(pass_layout(self._shape), fields)

    def held(self, step: Step) -> NDArray[np.uint32]:
        """The block of each pass, its last row marked."""
        rows = self._held(not step.job.swapped)
        block = rows[_index(step.job.held), slice(*step.passes)].transpose(1, 0, 2).copy()
        offset = stationary_layout(self._shape)["last"].offset
        block[:, -1, offset // 32] |= np.uint32(1 << offset % 32)
        return block.reshape(-1, block.shape[-1])

    def streamed(self, step: Step) -> NDArray[np.uint32]:
        """The beats of each pass."""
        same = (step.job.swapped, self._work.streamed(step), step.passes)
        if self._beats is None or self._beats[0] != same:
            self._beats = (same, self._put_together(step))
        return self._beats[1]

    def _put_together(self, step: Step) -> NDArray[np.uint32]:
        (first, last), (begin, end) = step.beats, step.passes
        rows, per_beat = self._work.streamed(step), self._work.rows_per_beat
        words, scales = self._streamed(step.job.swapped)
        beats, passes = last - first, end - begin
        chosen = np.full(beats * per_beat, len(scales) - 1)  # zeros where there is no row
        chosen[: len(rows)] = rows
        last, of_last = words[-1]
        merged = np.zeros((passes * beats, self._slices, last + of_last.shape[-1]), np.uint32)
        for index, (start, of_row) in enumerate(words):
            picked = of_row[chosen[index::per_beat], begin:end].swapaxes(0, 1)
            merged[..., start : start + of_row.shape[-1]] |= picked.reshape(passes * beats, self._slices, -1)
        all_rows = np.zeros((passes, beats, self._shape.rows, self._slices), np.uint8)
        all_rows[:, :, :per_beat] = (
            scales[chosen, begin:end].reshape(beats, per_beat, passes, self._slices).transpose(2, 0, 1, 3)
        )
        fields = {"scales": all_rows.reshape(passes * beats, self._shape.rows, self._slices)}
        return _join(streamed_layout(self._shape), merged, fields, self._shape.streamed_bits)

    def _pack_held(self, operand: int) -> NDArray[np.uint32]:
        """Rows (rows, passes, words) of an operand, as they are held."""
        array, passes = self._operands[operand], self._work.passes_k
        lanes, scales = _lanes(array, passes * self._slices)
        words = _pack_lanes(lanes, array.format.element)
        count = len(lanes) * passes
        fields = {
            "scales": scales.reshape(count, self._slices),
            "format": np.full(count, FormatCode[array.format.name].value),
        }
        words = words.reshape(count, self._slices, -1)
        beats = _join(stationary_layout(self._shape), words, fields, self._shape.stationary_bits)
        return beats.reshape(len(lanes), passes, -1)

    def _pack_streamed(self, operand: int) -> tuple[list[tuple[int, NDArray[np.uint32]]], NDArray[np.uint8]]:
        """As each row of a beat, words (rows, passes, slices, words) with the first one's place; scale codes.

        These are (rows, passes, slices); a row of zeros comes last.
        """
        array, passes = self._operands[operand], self._work.passes_k
        lanes, scales = _lanes(array, passes * self._slices)
        lanes = np.concatenate([lanes, np.zeros_like(lanes[:1])])
        scales = np.concatenate([scales, np.full_like(scales[:1], _UNIT_SCALES[array.format.scale])])
        words = []
        for row in range(self._work.rows_per_beat):
            first = min(places(array.format.element, 0, row=row)) // 32
            packed = _pack_lanes(lanes, array.format.element, row)[..., first:]
            words.append((first, packed.reshape(len(lanes), passes, self._slices, -1)))
        return words, scales.reshape(len(lanes), passes, self._slices)


def _index(rows: Rows) -> slice | list[int]:
    """Rows for numpy: a range as a slice, which copies nothing."""
    return slice(rows.start, rows.stop) if isinstance(rows, range) else list(rows)


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

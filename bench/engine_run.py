"""Matrix products on the simulated engine with the cycle of every transfer, and what requantising them adds."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden import tensor
from golden.mx import MXArray, quantize
from hdl.formats.code import FormatCode
from hdl.tensor.quantize import Quantizer
from mtia import formats
from mtia.formats import Format
from mtia.generations import EngineParameters
from tb.lane import Lane
from tb.tensor.gemm import GemmLane
from tb.tensor.plan import Plan, plan

#: values of a block that the quantiser takes a cycle
BLOCK = 32

#: M, N, K
Shape = tuple[int, int, int]


class RecordingLane(Lane):
    """A lane that keeps the beats of every stream since the last reset, and the cycle of each."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._beats: dict[str, list[NDArray[np.uint32]]] = {}
        super().__init__(*arguments, **options)

    def beats(self) -> dict[str, NDArray[np.uint32]]:
        """Words (n, words) of the beats pushed as words and of those pulled, by stream."""
        return {name: np.concatenate(parts) for name, parts in self._beats.items()}

    def reset(self, cycles: int = 2) -> None:
        self._beats = {}
        super().reset(cycles)

    def push(self, stream: str, beats: NDArray[Any] | Mapping[str, Any], **options: Any) -> None:
        if isinstance(beats, np.ndarray):
            self._beats.setdefault(stream, []).append(beats)
        super().push(stream, beats, **options)

    def pull(self, stream: str, count: int | None = None) -> NDArray[np.uint32]:
        beats = super().pull(stream, count)
        self._beats.setdefault(stream, []).append(beats)
        return beats

    def run(self, until: Mapping[str, int] | None = None, **options: Any) -> int:
        return super().run(until, **(options | {"record": True}))


class RecordedEngine(GemmLane):
    """A simulated engine that records its transfers; each product starts from reset."""

    lane: RecordingLane

    def __init__(self, parameters: EngineParameters) -> None:
        super().__init__(parameters)
        self.lane = RecordingLane(self.lane.design, name="engine")


@dataclass(frozen=True, kw_only=True)
class Product:
    """A product that was run, and checked against the golden model.

    transposed: the engine was given B and A, and computed the transpose
    work:      how it was cut into passes
    lanes:     multiply-accumulates a cycle that the engine can do
    cycles:    from the first row offered until the last result was taken
    results:   cycle in which each result beat was taken; streamed: the same of each streamed beat
    """

    shape: Shape
    transposed: bool
    work: Plan
    lanes: int
    cycles: int
    results: NDArray[np.int64]
    streamed: NDArray[np.int64]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the product."""
        return int(np.prod(self.shape, dtype=np.int64))

    def utilization(self, cycles: int) -> float:
        """Share of the lanes' cycles that did a multiply-accumulate of the product, in per cent."""
        return 100 * self.macs / (self.lanes * cycles)

    def result_cycles(self) -> NDArray[np.int64]:
        """Cycle in which each result (M, N) was taken."""
        m, n, _ = self.shape
        taken = np.zeros((n, m) if self.transposed else (m, n), np.int64)
        position = 0
        for step in self.work.steps:
            if step.last:
                streamed = self.work.streamed(step)
                count = step.beats[1] - step.beats[0]
                cycles = np.repeat(self.results[position : position + count], self.work.rows_per_beat)
                rows = np.ix_(streamed, step.job.held)
                view = taken.T if step.job.swapped else taken
                view[rows] = cycles[: len(streamed), None]
                position += count
        return taken.T if self.transposed else taken

    def requantized_cycles(self, latency: int) -> int:
        """Cycles until the last block of the result, requantised along N, has left a quantiser.

        A block is ready when the last of its 32 results is; the quantiser takes one a cycle.
        """
        taken = self.result_cycles()
        taken = np.pad(taken, ((0, 0), (0, -taken.shape[1] % BLOCK)))
        ready = np.sort(taken.reshape(-1, BLOCK).max(axis=-1)) + 1
        index = np.arange(len(ready))
        return int((np.maximum.accumulate(ready - index) + index)[-1]) + latency + 1


def operand(rng: np.random.Generator, row: Format, rows: int, k: int) -> MXArray:
    """Normal numbers in a format, blocked along K."""
    values = rng.standard_normal((rows, k)).astype(np.float32)
    return quantize(values, row, axis=-1)


def multiply(
    engine: RecordedEngine, a: str, b: str, shape: Shape, *, transposed: bool = False, seed: int = 1
) -> Product:
    """Runs one product of random operands; RuntimeError if a bit differs from the golden model's."""
    rng = np.random.default_rng(seed)
    m, n, k = shape
    left, right = (operand(rng, formats.get(name), rows, k) for name, rows in ((a, m), (b, n)))
    if transposed:
        left, right = right, left
    engine.lane.reset()
    result, cycles = engine.multiply(left, right)
    wanted = tensor.matmul(left, right, window=engine.parameters.window, epilogue=False)
    if not np.array_equal(result.view(np.uint32), wanted.view(np.uint32)):
        raise RuntimeError(f"Product {shape} of {a} and {b} must have the golden model's bits")
    return Product(
        shape=shape,
        transposed=transposed,
        work=plan(engine.parameters, left.format, right.format, len(left.codes), len(right.codes), k),
        lanes=engine.parameters.mac_lanes(left.format, right.format),
        cycles=cycles,
        results=engine.lane.transfer_cycles("results").astype(np.int64),
        streamed=engine.lane.transfer_cycles("streamed").astype(np.int64),
    )


@functools.cache
def quantizer_latency(blocks: int = 64) -> int:
    """Cycles from a block taken to the block given, measured on the RTL of the full quantiser.

    RuntimeError if it does not sustain a block a cycle.
    """
    lane = Lane(Quantizer(), name="quantizer")
    lane.push("i", {"format": np.full(blocks, FormatCode["MXFP8_E4M3"].value)})
    lane.run({"o": blocks}, record=True)
    taken, given = (lane.transfer_cycles(stream).astype(np.int64) for stream in ("i", "o"))
    if (np.diff(taken) != 1).any() or (np.diff(given) != 1).any():
        raise RuntimeError("Quantiser must take and give a block a cycle")
    return int(given[0] - taken[0])

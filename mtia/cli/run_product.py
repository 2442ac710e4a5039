"""One matrix product on the engine's RTL, beside the golden model and float64: what every ``mtia run`` does."""

import argparse
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from golden import tensor
from golden.mx import SCALE_RULES, MXArray, quantize
from mtia.engine import EngineParameters
from mtia.formats import Format, Scale
from mtia.generations import Generation
from tb.lane import SimulationError
from tb.tensor.gemm import GemmLane
from tb.verilator import BuildError

from .common import UserError
from .progress import Bar, explain_wait

#: size at which the engine is simulated
PROFILE = "sim"

_BUILDING = "preparing the simulator (the first time it is built, which takes a minute or two)..."


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """A result that differs: its place, and what the engine and the golden model have there."""

    row: int
    column: int
    engine_bits: int
    golden_bits: int
    engine: float
    golden: float


@dataclass(frozen=True, kw_only=True)
class Errors:
    """How far a product is from the float64 product of the operands before they were quantised.

    relative:     Frobenius norm of the difference, over that of the float64 product
    max_abs:      largest difference
    quantization: the part of `relative` that the operands' formats explain
    accumulation: the part added by FP32 accumulation: relative to the float64 product of the quantised operands
    """

    relative: float
    max_abs: float
    quantization: float
    accumulation: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Product:
    """A product (M, N) of A (M, K) and B (N, K).

    generation, parameters: the engine
    a, b:      quantised operands
    x, y:      the same before, float32
    engine:    what the RTL gave
    golden:    what the golden model gives
    cycles:    of the engine; seconds: CPU time of the simulation
    """

    generation: Generation
    parameters: EngineParameters
    a: MXArray
    b: MXArray
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    engine: NDArray[np.float32]
    golden: NDArray[np.float32]
    cycles: int
    seconds: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """M, N, K."""
        return len(self.x), len(self.y), self.x.shape[1]

    @property
    def macs(self) -> int:
        """Multiply-accumulates that the product asks for."""
        m, n, k = self.shape
        return m * n * k

    @property
    def mac_lanes(self) -> int:
        """Multiply-accumulates a cycle that the engine can do."""
        return self.parameters.mac_lanes(self.a.format, self.b.format)

    @property
    def utilization(self) -> float:
        """Share of the lanes' cycles that did a multiply-accumulate of the product."""
        return self.macs / (self.mac_lanes * self.cycles)

    @property
    def macs_per_second(self) -> float:
        """Multiply-accumulates simulated in a second of CPU time."""
        return self.macs / self.seconds

    @cached_property
    def differing(self) -> NDArray[np.bool_]:
        """Where the engine's bits are not the golden model's."""
        return self.engine.view(np.uint32) != self.golden.view(np.uint32)

    @property
    def match(self) -> bool:
        """Whether all bits are equal."""
        return not self.differing.any()

    @property
    def first_mismatch(self) -> Mismatch | None:
        """The first result, row by row, that differs."""
        if self.match:
            return None
        row, column = (int(place) for place in np.argwhere(self.differing)[0])
        bits = [int(values.view(np.uint32)[row, column]) for values in (self.engine, self.golden)]
        return Mismatch(
            row=row,
            column=column,
            engine_bits=bits[0],
            golden_bits=bits[1],
            engine=float(self.engine[row, column]),
            golden=float(self.golden[row, column]),
        )

    @cached_property
    def result(self) -> NDArray[np.float32]:
        """The engine's result times the factors of whole tensors (NVFP4), which are applied outside it."""
        factor = self.a.tensor_scale * self.b.tensor_scale
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return self.engine if factor == 1 else self.engine * factor

    @cached_property
    def errors(self) -> Errors:
        """Distance of `result` from float64."""
        exact = self.x.astype(np.float64) @ self.y.astype(np.float64).T
        quantized = self.a.dequantize().astype(np.float64) @ self.b.dequantize().astype(np.float64).T
        with np.errstate(invalid="ignore"):
            difference = self.result.astype(np.float64) - exact
            return Errors(
                relative=relative_norm(difference, exact),
                max_abs=float(np.abs(difference).max()),
                quantization=relative_norm(quantized - exact, exact),
                accumulation=relative_norm(self.result - quantized, quantized),
            )


def relative_norm(difference: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Frobenius norm of the difference over that of the reference; 0 if both are zero."""
    size, error = float(np.linalg.norm(reference)), float(np.linalg.norm(difference))
    return error / size if size else error and float("inf")


class Recorder(Protocol):
    """Records the waves of an engine while it multiplies."""

    def begin(self, engine: GemmLane) -> None:
        """Called before the first cycle."""
        ...

    def step(self) -> None:
        """Called from time to time while it runs."""
        ...

    def end(self) -> None:
        """Called after the last cycle, or after an error."""
        ...


def whole(subject: str, text: str, *, least: int) -> int:
    """The whole number that an option names; argparse's error if it is none or too small."""
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"{subject} must be a whole number of at least {least}, not {text!r}")
    return value


def add_scale_rule(parser: argparse.ArgumentParser) -> None:
    """Add ``--scale-rule``."""
    parser.add_argument(
        "--scale-rule",
        choices=SCALE_RULES,
        metavar="RULE",
        help=f"how a block's scale follows from its largest element: {', '.join(SCALE_RULES)} "
        "(MX formats only; default: floor, the rule of the MX specification)",
    )


def check_formats(gen: Generation, a: Format, b: Format, scale_rule: str | None) -> None:
    """UserError for a format or pair that the generation lacks, and for a scale rule that nothing would use."""
    for row in (a, b):
        if row.name not in gen.formats:
            raise UserError(f"{gen.title} has no {row.name}; its formats: {', '.join(gen.formats)}")
    engine = gen.engine(PROFILE)
    if not engine.supports(a, b):
        partners = ", ".join(right.name for left, right in engine.pairs() if left is a)
        raise UserError(f"{gen.title} does not multiply {a.name} by {b.name}; with {a.name} it takes: {partners}")
    if scale_rule is not None and Scale.E8M0 not in (a.scale, b.scale):
        raise UserError(f"--scale-rule must come with an MX format, not {a.name} (only E8M0 scales follow a rule)")


def multiply(
    gen: Generation,
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    formats: tuple[Format, Format],
    *,
    scale_rule: str | None = None,
    recorder: Recorder | None = None,
) -> Product:
    """x (M, K) times y (N, K) on the RTL of the generation's engine.

    recorder: records the waves

    Raises UserError if the model does not build and if the engine does not finish.
    """
    parameters = gen.engine(PROFILE)
    rule = scale_rule or "floor"
    a, b = (quantize(value, row, scale_rule=rule) for value, row in zip((x, y), formats, strict=True))
    engine = build(parameters, trace=recorder is not None)
    bar = Bar(f"simulating the {gen.title}")

    def progress(done: int, total: int) -> None:
        bar(done, total)
        if recorder is not None:
            recorder.step()

    try:
        if recorder is not None:
            recorder.begin(engine)
        started = time.process_time()
        result, cycles = engine.multiply(a, b, progress=progress)
        seconds = time.process_time() - started
    except SimulationError as error:
        raise UserError(f"the engine did not finish: {error}") from error
    finally:
        bar.close()
        if recorder is not None:
            recorder.end()
    return Product(
        generation=gen,
        parameters=parameters,
        a=a,
        b=b,
        x=x,
        y=y,
        engine=result,
        golden=tensor.matmul(a, b, window=parameters.window, epilogue=False),
        cycles=cycles,
        seconds=seconds,
    )


def build(parameters: EngineParameters, *, trace: bool) -> GemmLane:
    """The simulated engine; says on standard error when that takes long. UserError if it does not build."""
    try:
        with explain_wait(_BUILDING):
            return GemmLane(parameters, trace=trace)
    except BuildError as error:
        raise UserError(f"{str(error).splitlines()[0]} (see: mtia doctor)") from error

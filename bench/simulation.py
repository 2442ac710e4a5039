"""How many multiply-accumulates are simulated in a second of CPU time?"""

import dataclasses
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from golden.mx import MXArray
from hdl.tensor.engine import Engine
from mtia import formats
from mtia.generations import GENERATIONS, EngineParameters
from tb.plain import PlainHarness
from tb.ports import Design, design_of
from tb.runner import cocotb_executable, run_cocotb
from tb.tensor.gemm import GemmLane

from .engine_run import RecordedEngine, Shape, operand
from .playback import Playback, digest_of
from .report import Figure, Report

#: product of the lane; product of cocotb, which is played REPEATS times; product driven beat by beat
LANE_SHAPE: Shape = (256, 256, 1024)
PLAYED_SHAPE: Shape = (64, 8, 1024)
REPEATS = 128
DRIVEN_SHAPE: Shape = (64, 64, 256)

#: the generation of the comparisons
COMPARED = "mtia450"

#: where the cocotb tests are
COCOTB_MODULE = "bench.cocotb_products"

#: runs, of which the fastest counts: a busy machine makes runs slower, never faster
RUNS = 3

NOTES = [
    "CPU time, of the fastest of three runs; a product is what `mtia run gemm` runs: operands to beats, simulation, "
    "beats to results",
    "plain harness: a C++ program around the same model and the same beats, from files to files, without anything "
    "that the lane offers beside",
    "cocotb, clock runs free: the whole process, start and loading of beats included; the results are digested in "
    "the design and the digest is compared with the golden model's bits",
    "cocotb, every beat from Python: sources, sink and monitors of tb.streams on all streams",
]


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Beats of a product on every stream (words of 32 bits), and its cycles."""

    streams: dict[str, NDArray[np.uint32]]
    cycles: int


def measure() -> Report:
    """Lane of each generation, and the comparisons on one."""
    report = Report(question=str(__doc__), notes=list(NOTES))
    for generation in GENERATIONS.values():
        name, parameters = generation.mx8_format, generation.engine("sim")
        what = f"{generation.title} {name}"
        seconds = lane_seconds(parameters, name, LANE_SHAPE)
        report.figures.append(_speed(f"{what}, lane", LANE_SHAPE, seconds, 20.0))
        if generation.name == COMPARED:
            report.figures += comparisons(what, parameters, name, seconds)
    return report


def comparisons(what: str, parameters: EngineParameters, name: str, seconds: float) -> list[Figure]:
    """The lane, which took so many seconds for LANE_SHAPE, beside a plain harness and cocotb."""
    plain = plain_seconds(parameters, record(parameters, name, LANE_SHAPE))
    played = played_seconds(parameters, record(parameters, name, PLAYED_SHAPE), REPEATS)
    driven = driven_seconds(parameters, record(parameters, name, DRIVEN_SHAPE))
    return [
        _speed(f"{what}, plain C++ harness", LANE_SHAPE, plain),
        Figure(what=f"{what}, lane : plain harness", value=seconds / plain, unit="x", target=1.15, at_most=True),
        _speed(f"{what}, cocotb, clock runs free", PLAYED_SHAPE, played, 5.0, REPEATS),
        _speed(f"{what}, cocotb, every beat from Python", DRIVEN_SHAPE, driven),
    ]


def _speed(what: str, shape: Shape, seconds: float, target: float | None = None, repeats: int = 1) -> Figure:
    macs = repeats * int(np.prod(shape, dtype=np.int64))
    note = f"{macs / 1e6:.1f} M MACs in {seconds:.2f} CPU-s"
    return Figure(what=what, value=macs / 1e6 / seconds, unit="M MAC/CPU-s", target=target, note=note)


def lane_seconds(parameters: EngineParameters, name: str, shape: Shape) -> float:
    """CPU seconds of a product on the lane."""
    engine = GemmLane(parameters)
    a, b = _operands(name, shape)
    taken = []
    for _ in range(RUNS):
        start = time.process_time()
        engine.multiply(a, b)
        taken.append(time.process_time() - start)
    return min(taken)


def plain_seconds(parameters: EngineParameters, recording: Recording) -> float:
    """CPU seconds of the plain harness over the same beats; RuntimeError if its results differ."""
    harness = PlainHarness(Engine(parameters=parameters), name="engine")
    inputs = {name: beats for name, beats in recording.streams.items() if name != "results"}
    taken = []
    for _ in range(RUNS):
        start = resource.getrusage(resource.RUSAGE_CHILDREN)
        run = harness.run(inputs, {"results": len(recording.streams["results"])})
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(end.ru_utime - start.ru_utime + end.ru_stime - start.ru_stime)
        if not np.array_equal(run.outputs["results"], recording.streams["results"]):
            raise RuntimeError("Plain harness must give the lane's results")
    return min(taken)


def played_seconds(parameters: EngineParameters, recording: Recording, repeats: int) -> float:
    """CPU seconds of a cocotb run that plays a product so many times."""
    inputs = {name: beats for name, beats in recording.streams.items() if name != "results"}
    depths = {name: len(beats) for name, beats in inputs.items()}
    design = design_of(Playback(inner=Engine(parameters=parameters), depths=depths), name="playback")
    digest, results = 0, recording.streams["results"].tolist()
    for _ in range(repeats):
        for words in results:
            digest = digest_of(words, digest)
    settings: dict[str, object] = {
        "repeats": repeats,
        "cycles": (repeats + 1) * recording.cycles,
        "taken": repeats * len(results),
        "digest": digest,
    }
    return _cocotb_seconds(design, "played", recording, settings)


def driven_seconds(parameters: EngineParameters, recording: Recording) -> float:
    """CPU seconds of a cocotb run that drives a product beat by beat."""
    design = design_of(Engine(parameters=parameters), name="engine")
    return _cocotb_seconds(design, "driven", recording, {"parameters": dataclasses.asdict(parameters)})


def _cocotb_seconds(design: Design, test: str, recording: Recording, settings: dict[str, object]) -> float:
    cocotb_executable(design)  # builds it, so that the run below is all that is measured
    with tempfile.TemporaryDirectory() as folder:
        for name, beats in recording.streams.items():
            np.save(Path(folder, f"{name}.npy"), beats)
        start = resource.getrusage(resource.RUSAGE_CHILDREN)
        run_cocotb(
            design,
            name=design.name,
            module="bench.cocotb_products",
            tests=test,
            parameters={"beats": folder, **settings},
        )
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
    return end.ru_utime - start.ru_utime + end.ru_stime - start.ru_stime


def record(parameters: EngineParameters, name: str, shape: Shape) -> Recording:
    """The beats of a product on every stream of the engine."""
    engine = RecordedEngine(parameters)
    _, cycles = engine.multiply(*_operands(name, shape))
    return Recording(streams=engine.lane.beats(), cycles=cycles)


def _operands(name: str, shape: Shape) -> tuple[MXArray, MXArray]:
    rng = np.random.default_rng(1)
    m, n, k = shape
    row = formats.get(name)
    return operand(rng, row, m, k), operand(rng, row, n, k)

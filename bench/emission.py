"""What does it take to emit the published engines as Verilog, and to build the simulator of the narrow ones?"""

import contextlib
import multiprocessing
import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import ParamSpec, TypeVar

from hdl.emit import emit
from hdl.tensor.engine import Engine
from mtia.generations import GENERATIONS, get
from tb.lane import Lane

from .report import Figure, Report, cpu_seconds, stopwatch

NOTES = [
    "emission: CPU time and largest memory of a process that imports the project, elaborates the engine and writes "
    "its Verilog in memory",
    "cold: CPU time until the lane of the `sim` engine stands, with an empty cache and without ccache: elaboration, "
    "Verilator and the C++ compiler, all their processes",
    "warm: the same in a new process, after its imports, with the cache that the first one left",
]

_P = ParamSpec("_P")
_T = TypeVar("_T")


def measure() -> Report:
    """Emission of each generation at `full`, and builds of each at `sim`."""
    report = Report(question=str(__doc__), notes=list(NOTES))
    for generation in GENERATIONS.values():
        what = f"{generation.title} full engine"
        seconds, memory, size = alone(emission, generation.name, "full")
        note = f"{size / 1e6:.1f} MB of Verilog"
        report.figures += [
            Figure(what=f"{what}, emission", value=seconds, unit="CPU-s", target=60, at_most=True, note=note),
            Figure(what=f"{what}, memory", value=memory / 1e9, unit="GB", target=2, at_most=True),
        ]
    for generation in GENERATIONS.values():
        what = f"{generation.title} sim engine"
        cold, warm = builds(generation.name, "sim")
        report.figures += [
            Figure(what=f"{what}, cold", value=cold, unit="CPU-s", target=120, at_most=True),
            Figure(what=f"{what}, warm", value=warm, unit="CPU-s", target=5, at_most=True),
        ]
    return report


def alone(function: Callable[_P, _T], *arguments: _P.args, **options: _P.kwargs) -> _T:
    """What a function gives in a fresh process of its own."""
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments, **options).result()


def emission(generation: str, profile: str) -> tuple[float, int, int]:
    """CPU seconds and memory (bytes) of this process once it has emitted an engine; size of the Verilog."""
    verilog = emit(Engine(parameters=get(generation).engine(profile)), name="dpe").verilog
    memory = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return cpu_seconds(), 1024 * memory, len(verilog.encode())


def builds(generation: str, profile: str) -> tuple[float, float]:
    """CPU seconds of building the simulator of an engine from nothing, and of finding it again."""
    with tempfile.TemporaryDirectory() as folder, environment(MTIA_CACHE=folder, CCACHE_DISABLE="1"):
        return alone(lane_seconds, generation, profile), alone(lane_seconds, generation, profile)


def lane_seconds(generation: str, profile: str) -> float:
    """CPU seconds until the lane of an engine stands, in this process and those that it starts."""
    with stopwatch() as watch:
        Lane(Engine(parameters=get(generation).engine(profile)), name="engine").close()
    return watch.seconds


@contextlib.contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Sets environment variables for a block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

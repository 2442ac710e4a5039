"""Does the engine give one result bank a cycle, and does loading of stationary rows cost a cycle?"""

from collections.abc import Sequence

import numpy as np

from mtia.generations import GENERATIONS, EngineParameters

from .engine_run import Product, RecordedEngine, multiply
from .report import Figure, Report

NOTES = [
    "a result bank is a beat of results: one FP32 value of each unit (and dense row)",
    "a block of stationary rows serves 64, 16 or 8 beats and has 8 rows, each of which takes a cycle to load: with 8 "
    "beats loading has no cycle to spare; the figure is the worst of the three",
    "K = 32 is one group: every beat ends in a result. K = 256: passes along K take the same accumulators again",
    "idle cycles: between the first and the last streamed beat, cycles of the RTL in which none was taken",
]


def measure() -> Report:
    """Results a cycle and idle cycles of each generation at the `sim` profile."""
    report = Report(question=str(__doc__), notes=list(NOTES))
    for generation in GENERATIONS.values():
        names = [name for name in (generation.mx8_format, "MXFP4") if name in generation.formats]
        report.figures += of_engine(generation.title, generation.engine("sim"), names)
    return report


def of_engine(title: str, parameters: EngineParameters, names: Sequence[str], *, tiles: int = 32) -> list[Figure]:
    """Figures of one engine for pairs of equal formats, over so many blocks of stationary rows.

    Each figure is the worst of all block lengths.
    """
    engine = RecordedEngine(parameters)
    units, depth = parameters.units, parameters.depth
    lengths = (depth, 2 * units, units)
    group = 32 * parameters.slices
    figures = []
    for name in names:
        rows = parameters.dense_rows if name == "MXFP4" else 1
        what = f"{title} {name}, blocks of {', '.join(map(str, lengths))} beats"
        short = [multiply(engine, name, name, (beats * rows, tiles * units, group)) for beats in lengths]
        rate = min(map(results_a_cycle, short))
        figures.append(Figure(what=f"{what}, K = {group}", value=rate, unit="results a cycle", target=1.0))
        long = [multiply(engine, name, name, (beats * rows, tiles * units, 8 * group)) for beats in lengths]
        idle = max(map(idle_cycles, long))
        note = f"{sum(map(blocks, long))} blocks, {sum(len(product.streamed) for product in long)} beats"
        figures.append(
            Figure(what=f"{what}, K = {8 * group}", value=idle, unit="idle cycles", target=0, at_most=True, note=note)
        )
    return figures


def blocks(product: Product) -> int:
    """Blocks of stationary rows that a product loaded."""
    return sum(step.passes[1] - step.passes[0] for step in product.work.steps)


def results_a_cycle(product: Product) -> float:
    """Result beats a cycle from the first to the last."""
    return len(product.results) / int(product.results[-1] - product.results[0] + 1)


def idle_cycles(product: Product) -> int:
    """Cycles between the first and the last streamed beat in which none was taken."""
    return int((np.diff(product.streamed) - 1).sum())

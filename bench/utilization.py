"""How busy are the engine's lanes, from the first stationary row to the last requantised block?"""

from collections.abc import Sequence

import numpy as np

from mtia import formats
from mtia.generations import GENERATIONS

from .engine_run import RecordedEngine, Shape, multiply, quantizer_latency
from .report import Figure, Report

#: size of a cube and the utilisation to reach, in per cent
CUBES = {64: 90.0, 128: 97.0, 256: 99.0, 512: 99.0}

#: sizes of cubes in NVFP4 and BF16, which have no target
EXTRA_CUBES = (64, 128, 256)

#: layers whose sizes no engine divides evenly: M, N, K, and where such a shape comes from
RAGGED: dict[Shape, str] = {
    (197, 192, 192): "projection over 197 image tokens",
    (197, 197, 64): "attention scores over 197 tokens",
    (197, 64, 197): "attention values over 197 tokens",
    (77, 512, 512): "projection over 77 text tokens",
    (49, 96, 96): "projection in a 7 x 7 window",
    (784, 24, 144): "pointwise convolution, 28 x 28",
    (196, 80, 480): "pointwise convolution, 14 x 14",
    (100, 1000, 512): "classifier of 1000 classes",
    (1000, 10, 84): "classifier of 10 classes",
    (127, 129, 131): "primes and their neighbours",
    (33, 65, 97): "one more than the engine's sizes",
    (81, 257, 320): "odd rows and columns",
}

#: mean over RAGGED to reach, in per cent
RAGGED_TARGET = 85.0

NOTES = [
    "MACs of the product / (lanes x cycles); every product is checked bit for bit against the golden model",
    "cycles: from the first row offered after reset, loading of the first stationary rows, all passes, drain of the "
    "pipeline, and for MX formats the requantising of the FP32 result to the format of A in blocks of 32 along N",
    "requantising is computed from what was measured on both RTLs, the cycle of each result and the latency of the "
    "quantiser (every format, both roundings, not deep, as the engine is not), since no unit joins them yet: results "
    "wait as long as they must, one quantiser takes a block of 32 a cycle, each from the cycle after its last result "
    "on; formats without E8M0 scales (300, NVFP4, BF16) leave as FP32",
    "ragged shapes, M x N x K, in the order of the figures: "
    + "; ".join(f"{m} x {n} x {k} ({origin})" for (m, n, k), origin in RAGGED.items()),
    "published for comparison: OpenGeMM 82 to 99 %; RedMulE-MX 77 % at 128, 28 % at 64",
]


def measure() -> Report:
    """Utilisation of each generation at the `sim` profile."""
    report = Report(question=str(__doc__), notes=list(NOTES))
    for generation in GENERATIONS.values():
        engine = RecordedEngine(generation.engine("sim"))
        for name in (generation.mx8_format, "MXFP4"):
            if name in generation.formats:
                what = f"{generation.title} {name}"
                report.figures += [cube(engine, what, name, size, target) for size, target in CUBES.items()]
                report.figures.append(ragged(engine, what, name, tuple(RAGGED)))
        for name in ("NVFP4", "BF16"):
            if name in generation.formats:
                what = f"{generation.title} {name}"
                report.figures += [cube(engine, what, name, size) for size in EXTRA_CUBES]
    return report


def cube(engine: RecordedEngine, what: str, name: str, size: int, target: float | None = None) -> Figure:
    """Utilisation of a product of size x size x size."""
    value, note = utilization(engine, name, (size, size, size))
    return Figure(what=f"{what} {size}^3", value=value, unit="%", target=target, note=note)


def ragged(engine: RecordedEngine, what: str, name: str, shapes: Sequence[Shape]) -> Figure:
    """Mean utilisation of several products."""
    values = [utilization(engine, name, shape)[0] for shape in shapes]
    note = ", ".join(f"{value:.0f}" for value in values)
    mean = float(np.mean(values))
    return Figure(what=f"{what} ragged, mean", value=mean, unit="%", target=RAGGED_TARGET, note=note)


def utilization(engine: RecordedEngine, name: str, shape: Shape) -> tuple[float, str]:
    """Utilisation in per cent, requantising included where there is any, and the cycles behind it."""
    if name not in formats.MX_FORMATS:
        product = multiply(engine, name, name, shape)
        return product.utilization(product.cycles), f"{product.cycles} cycles"
    products = [multiply(engine, name, name, shape, transposed=transposed) for transposed in (False, True)]
    cycles, product = min(
        ((product.requantized_cycles(quantizer_latency()), product) for product in products), key=lambda pair: pair[0]
    )
    alone = product.utilization(product.cycles)
    return product.utilization(cycles), f"{cycles} cycles; without requantising {product.cycles}, {alone:.1f} %"

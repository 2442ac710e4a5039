"""Draws pipeline.svg: the stages of a tensor engine and the cycle of each, from the RTL's own latencies.

From the root: ``python -m docs.images.make_pipeline``.
"""

from dataclasses import dataclass

from hdl.tensor.accumulate import AccumulatorBank
from hdl.tensor.add_float32 import AddFloat32
from hdl.tensor.align import Align
from hdl.tensor.dense import PRODUCT, DenseSum
from hdl.tensor.dot import group_latency
from hdl.tensor.group_sum import GroupSum
from hdl.tensor.products import Products
from hdl.tensor.shape import GROWTH, SliceShape
from hdl.tensor.unit import Unit
from mtia import generations
from mtia.engine import EngineParameters

from .drawing import Picture, is_current, write

GENERATION, PROFILE = "mtia450", "sim"
TOP, PITCH = 110, 50
GENERAL, DENSE, NOTES = (84, 300), (398, 196), 608


def latency(shape: SliceShape) -> int:
    """Cycles from a beat to its result: of `hdl.tensor.engine.Engine`, decoding and the queue included."""
    return 1 + Unit.latency_of(shape) + 1


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One cycle of work: where it is in the RTL, what it does, notes."""

    module: str
    words: str
    notes: tuple[str, ...] = ()


def stages(parameters: EngineParameters) -> list[Stage]:
    """The general lanes' stages from the issue of a beat to its result, one a cycle: as many as the latency."""
    shape = SliceShape(parameters)
    found = [Stage(module="DecodeBeat", words="decode", notes=("codes become signs, exponents, significands",))]
    found += sums(shape)
    assert len(found) == 1 + GroupSum.latency_of(shape)
    found += conversion(shape)
    assert len(found) == 1 + group_latency(shape)
    found += additions(parameters)
    found.append(
        Stage(module="AccumulatorBank, Queue", words="write", notes=("accumulator; in a last pass the queue too",))
    )
    assert len(found) == latency(shape)
    return found


def sums(shape: SliceShape) -> list[Stage]:
    """The stages of `GroupSum`."""
    squares = f"16 of {shape.even_bits} x {shape.even_bits} bits, 16 of {shape.odd_bits} x {shape.odd_bits}"
    products = Stage(module="Products", words="multiply", notes=("with the stationary row; exponents add too", squares))
    window = Stage(
        module="WindowMaximum",
        words="window maximum",
        notes=(f"largest of 16 exponents; W = {shape.parameters.window}", "formats of up to 8 bits pass by"),
    )
    parts = f"{shape.near} + {shape.far} bits" if shape.far else f"{shape.near} bits"
    align = Stage(module="Align", words="shift, invert", notes=(f"32 terms of {parts}",))
    trees = [
        Stage(
            module="SignedSum",
            words="trees: 32 terms to 8",
            notes=("unsigned adders, two parts;", "a third tree counts signs"),
        ),
        Stage(module="SignedSum", words="trees: 8 terms to 1"),
        Stage(module="SignedSum", words="count of signs", notes=("corrects the inverted terms",)),
    ]
    joined = f"{shape.width + GROWTH + 1} bits, signed"
    join = Stage(module="SignedSum", words="join both parts", notes=(joined,))
    magnitude = Stage(module="SignedSum", words="magnitude", notes=(f"{shape.sum_width} bits and a sign",))
    assert (Products.latency, Align.latency) == (1, 1)
    return [products, *[window][: bool(shape.wide)], align, *trees, *[join][: bool(shape.far)], magnitude]


def conversion(shape: SliceShape) -> list[Stage]:
    """The stages of `ToFloat32`."""
    scale = Stage(module="ToFloat32", words="scale", notes=("NVFP4: times both scales' significands",))
    return [
        *[scale][: shape.has_nvfp4],
        Stage(
            module="ToFloat32", words="normalise: by 8 or more", notes=("leading zeros are counted and shifted out",)
        ),
        Stage(module="ToFloat32", words="normalise: by 1 to 7"),
        Stage(
            module="ToFloat32",
            words="round",
            notes=("once, to nearest even; subnormals stay", "the accumulator is read"),
        ),
    ]


def additions(parameters: EngineParameters) -> list[Stage]:
    """The stages of the additions to the accumulator, one after the other for each slice."""
    steps = ("order the operands", "align and add", "normalise", "round")
    assert len(steps) == AddFloat32.latency_of(deep=parameters.deep)
    notes = ("acc = RNE(acc + group sum)",)
    return [
        Stage(module="AddFloat32", words=step, notes=notes if step == steps[0] else ())
        for _slice in range(parameters.slices)
        for step in steps
    ]


def draw() -> str:
    """The picture of the MTIA 450's engine."""
    generation = generations.get(GENERATION)
    parameters = generation.engine(PROFILE)
    shape = SliceShape(parameters)
    cycles = latency(shape)
    rows = cycles + 1
    picture = Picture(
        960,
        TOP + PITCH * rows + 12,
        title="The pipeline of the tensor engine",
        text=f"The stages of the {generation.title}'s engine from a beat to its result, {cycles} cycles later.",
    )
    picture.text("h", 24, 34, f"From a beat to its result: {cycles} cycles")
    note = f"{generation.title}, {PROFILE} profile; each row is a cycle and ends in registers"
    picture.text("s", 24, 56, note)
    picture.text("b", GENERAL[0] + GENERAL[1] / 2, 88, "row 0: general lanes, any format")
    picture.text("b", DENSE[0] + DENSE[1] / 2, 88, "further rows: E2M1")
    picture.text("r", 60, 88, "cycle")
    for cycle in range(rows):
        picture.line("g", (24, TOP + PITCH * cycle), (936, TOP + PITCH * cycle))
        picture.text("r", 60, TOP + PITCH * cycle + 29, str(cycle))
    general(picture, stages(parameters))
    dense(picture, shape)
    last = TOP + PITCH * cycles
    picture.rect("hot", GENERAL[0], last + 7, DENSE[0] + DENSE[1] - GENERAL[0], PITCH - 14)
    middle = (GENERAL[0] + DENSE[0] + DENSE[1]) / 2
    picture.text("l", middle, last + 29, "results stream: FP32 of every row and unit")
    return picture.finish()


def general(picture: Picture, found: list[Stage]) -> None:
    """The column of the general lanes with its notes."""
    x, width = GENERAL
    for cycle, stage in enumerate(found):
        y = TOP + PITCH * cycle
        kind = "eng" if stage.module in ("ToFloat32", "AddFloat32") else "lane"
        picture.rect(kind, x, y + 7, width, PITCH - 14)
        picture.text("l", x + width / 2, y + PITCH / 2 - 2, stage.words)
        picture.text("m", x + width / 2, y + PITCH / 2 + 13, stage.module)
        for index, note in enumerate(stage.notes):
            picture.text("s", NOTES, y + PITCH / 2 + 5 - 8 * (len(stage.notes) - 1) + 16 * index, note)
        picture.line("w", (x + width / 2, y + PITCH - 7), (x + width / 2, y + PITCH + 6))


def dense(picture: Picture, shape: SliceShape) -> None:
    """The column of the dense rows, which wait for the general lanes before they are scaled."""
    x, width = DENSE
    decode = 1
    ends = decode + DenseSum.latency
    waits = decode + GroupSum.latency_of(shape)
    scaled = decode + group_latency(shape)
    added = scaled - 1 + AccumulatorBank.latency_of(groups=shape.parameters.slices)
    for begin, end, kind, words in (
        (0, decode, "lane", ("decode", "DecodeDense")),
        (decode, decode + 1, "lane", ("multiply, invert", f"32 products of {PRODUCT} bits")),
        (decode + 1, ends, "lane", ("trees, signs, magnitude", "DenseSum, without a lower part")),
        (ends, waits, "plan", ("wait", "in step with row 0")),
        (waits, scaled, "eng", ("scale, normalise, round", "ToFloat32 of its own, 13 bits")),
        (scaled, added, "eng", ("FP32 addition", "an accumulator bank of its own")),
        (added, added + 1, "lane", ("write", "AccumulatorBank, Queue")),
    ):
        y, height = TOP + PITCH * begin, PITCH * (end - begin)
        picture.rect(kind, x, y + 7, width, height - 14)
        picture.text("l", x + width / 2, y + height / 2 - 2, words[0])
        picture.text("m", x + width / 2, y + height / 2 + 13, words[1])
        picture.line("w", (x + width / 2, y + height - 7), (x + width / 2, y + height + 6))


def current() -> bool:
    """Whether the picture on disk is that of the RTL."""
    return is_current(__file__, draw)


if __name__ == "__main__":
    write(__file__, draw)

"""Draws timeline.svg: what moves on the streams of a tensor engine in each cycle, recorded from the RTL.

From the root: ``python -m docs.images.make_timeline``. The first run builds the model of the engine.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdl.formats.code import FormatCode
from hdl.tensor.engine import Engine
from mtia import generations
from tb.lane import Lane

from .drawing import Picture, is_current, write

GENERATION, PROFILE = "mtia450", "sim"
LEFT, CELL, PITCH, HEIGHT = 132, 11, 30, 22
#: fills of the passes, in turn
FILLS = ("cmp", "hbm", "net", "soc")


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One pass: rows of its stationary block, its beats, whether it starts and ends a set of accumulators."""

    rows: int
    beats: int
    first: bool
    last: bool


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Cycle of every transfer on each stream, from cycle 0, and the pass that each belongs to."""

    passes: Sequence[Pass]
    cycles: dict[str, NDArray[np.uint64]]

    def owners(self, stream: str) -> list[int]:
        counts = {
            "passes": [1 for _ in self.passes],
            "stationary": [item.rows for item in self.passes],
            "streamed": [item.beats for item in self.passes],
            "results": [item.beats if item.last else 0 for item in self.passes],
        }[stream]
        return [index for index, count in enumerate(counts) for _ in range(count)]


#: two blocks of 8 rows against 12 streamed rows, K of two groups
TILES = [Pass(rows=8, beats=12, first=first, last=not first) for _block in range(2) for first in (True, False)]
#: one block of 3 rows against 3 streamed rows, K of three groups
SHORT = [Pass(rows=3, beats=3, first=index == 0, last=index == 2) for index in range(3)]


def engine() -> Engine:
    return Engine(parameters=generations.get(GENERATION).engine(PROFILE))


def record(lane: Lane, passes: Sequence[Pass]) -> Recording:
    """Run the passes, whose data are zeros, and note when what moved."""
    lane.reset()
    start = lane.cycles
    code = FormatCode["MXFP8_E4M3"].value
    ends = [index == item.rows - 1 for item in passes for index in range(item.rows)]
    lane.push(
        "passes",
        {
            "streamed": np.full(len(passes), code),
            "beats": np.array([item.beats for item in passes]),
            "first": np.array([item.first for item in passes]),
            "last": np.array([item.last for item in passes]),
        },
    )
    lane.push("stationary", {"format": np.full(len(ends), code), "last": np.array(ends)})
    lane.push(
        "streamed", np.zeros((sum(item.beats for item in passes), lane.design.stream("streamed").words), np.uint32)
    )
    lane.run({"results": sum(item.beats for item in passes if item.last)}, record=True)
    names = ("passes", "stationary", "streamed", "results")
    return Recording(passes=passes, cycles={name: lane.transfer_cycles(name) - np.uint64(start) for name in names})


def draw() -> str:
    """Both recordings, one below the other."""
    design = engine()
    lane = Lane(design, name="engine")
    long, short = record(lane, TILES), record(lane, SHORT)
    count = int(long.cycles["results"][-1]) + 1
    picture = Picture(
        LEFT + CELL * count + 24,
        536,
        title="The streams of the tensor engine, cycle by cycle",
        text="Two recordings: loading hides behind the passes, which follow each other without a gap; "
        "short passes over the same accumulators wait.",
    )
    title = generations.get(GENERATION).title
    picture.text("h", 24, 34, "Two stationary blocks, two groups along K: no cycle without a beat")
    words = (
        f"{title}, {PROFILE} profile: 8 units, 12 streamed rows of MXFP8; a cell is a transfer, recorded from the RTL"
    )
    picture.text("s", 24, 56, words)
    panel(picture, long, 76, count)
    picture.text(
        "h", 24, 302, "Three rows, three groups along K: an accumulator is used every 6 cycles at the earliest"
    )
    picture.text("s", 24, 324, "short passes over the same accumulators wait for the additions before them")
    panel(picture, short, 344, count)
    return picture.finish()


def panel(picture: Picture, recording: Recording, top: float, count: int) -> None:
    """The four streams of a recording on one axis of cycles."""
    labels = {"passes": "passes", "stationary": "stationary", "streamed": "streamed", "results": "results"}
    for row, (stream, label) in enumerate(labels.items()):
        y = top + PITCH * row
        picture.text("t", 24, y + 16, label)
        picture.line("g", (LEFT, y + HEIGHT / 2), (LEFT + CELL * count, y + HEIGHT / 2))
        owners = recording.owners(stream)
        for cycle, owner in zip(recording.cycles[stream].tolist(), owners, strict=True):
            picture.rect(FILLS[owner % len(FILLS)], LEFT + CELL * cycle, y, CELL - 1, HEIGHT, radius=2)
    latency(picture, recording, top)
    bottom = top + PITCH * 4
    picture.line("n", (LEFT, bottom), (LEFT + CELL * count, bottom))
    for cycle in range(0, count, 5):
        x = LEFT + CELL * cycle + CELL / 2
        picture.line("n", (x, bottom), (x, bottom + 5))
        if cycle % 10 == 0:
            picture.text("m", x, bottom + 18, str(cycle))
    picture.text("s", 24, bottom + 18, "cycle")
    legend(picture, recording, bottom + 36)


def latency(picture: Picture, recording: Recording, top: float) -> None:
    """An arrow from the first beat that gives a result to that result."""
    index = next(index for index, item in enumerate(recording.passes) if item.last)
    begin = int(recording.cycles["streamed"][recording.owners("streamed").index(index)])
    end = int(recording.cycles["results"][0])
    x, y = LEFT + CELL * begin + CELL / 2, top + PITCH * 3 + HEIGHT / 2
    picture.line("w", (x, y - PITCH + HEIGHT / 2), (x, y), (LEFT + CELL * end - 1, y))
    picture.text("s", x + 8, y - 4, f"{end - begin} cycles")


def legend(picture: Picture, recording: Recording, y: float) -> None:
    """What the colours stand for."""
    for index, item in enumerate(recording.passes):
        ends = " ".join(["starts at +0"] * item.first + ["gives results"] * item.last)
        x = LEFT + 172 * index
        picture.rect(FILLS[index % len(FILLS)], x, y - 11, 14, 14, radius=2)
        picture.text("s", x + 20, y + 1, f"pass {index}: {ends}" if ends else f"pass {index}")


def current() -> bool:
    """Whether the picture on disk is what the RTL does."""
    return is_current(__file__, draw)


if __name__ == "__main__":
    write(__file__, draw)

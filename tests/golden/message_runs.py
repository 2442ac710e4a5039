"""Random collectives for the golden message engines, and what must come of them."""

import numpy as np

from golden.collectives import Bytes, input_bytes, outcome
from golden.message_collective import UNWRITTEN, Group
from mtia.collectives import Algorithm, Collective
from mtia.collectives_geometry import geometry
from mtia.near_memory import SCALE_BYTE, ReduceFormat

C = Collective
#: bytes of the place of an input or output of `back_to_back`
ROOM = 4096


def numbers(generator: np.random.Generator, length: int, format: ReduceFormat) -> Bytes:
    """Random bits, among them NaN and infinity; scales of MX near 1."""
    data = generator.integers(0, 256, -(-length // 32) * 32, np.uint8)
    if format.operand is not None:
        data[SCALE_BYTE::32] = generator.integers(118, 136, len(data) // 32)
    return data[:length]


def chunk_of(collective: Collective, ranks: int, length: int) -> int:
    """Bytes from one rank's part to the next in the definition of a collective."""
    parts = ranks if collective not in (C.BROADCAST, C.SENDRECV, C.BARRIER) else 1
    return -(-length // (32 * parts)) * 32


def inputs_of(
    generator: np.random.Generator, collective: Collective, ranks: int, length: int, root: int, format: ReduceFormat
) -> list[Bytes]:
    chunk = chunk_of(collective, ranks, length)
    if collective is C.ALLTOALLV:
        return [numbers(generator, ranks * chunk, format) for _ in range(ranks)]
    figures = {"ranks": ranks, "bytes": length, "chunk": chunk, "root": root}
    return [numbers(generator, input_bytes(collective, rank=rank, **figures), format) for rank in range(ranks)]


def laid_out(parts: dict[int, Bytes], length: int) -> Bytes:
    """An output as it must be: its parts, and between them what was there before."""
    output = np.full(length, UNWRITTEN, np.uint8)
    for begin, part in parts.items():
        output[begin : begin + len(part)] = part
    return output


def back_to_back(
    group: Group,
    generator: np.random.Generator,
    count: int,
    names: list[tuple[Collective, Algorithm]],
    *,
    root: int | None = None,
    piece_limit: int = 224,
    **fields: int,
) -> None:
    """Random collectives one after the other, each with a place of its own for input and output; all are checked.

    AssertionError for a byte that is another. root: of all, else each has a random one; fields: of every
    descriptor.
    """
    ranks = len(group.domain.nodes)
    checks = []
    for turn in range(count):
        name = names[int(generator.integers(len(names)))]
        length = 4 * int(2 ** generator.uniform(0, 9.4))
        at_root = int(generator.integers(ranks)) if root is None else root
        chunk = chunk_of(name[0], ranks, length)
        inputs = inputs_of(generator, name[0], ranks, length, at_root, ReduceFormat.FP32)
        cut = geometry(*name, ranks=ranks, bytes=length, piece_limit=piece_limit)
        for rank, data in enumerate(inputs):
            group.give(rank, data, at=turn * ROOM)
        group.start(name[0], name[1], cut, input=turn * ROOM, output=turn * ROOM, root=at_root, **fields)
        checks.append((name, outcome(name[0], inputs, chunk=chunk, root=at_root)))
    group.finish()
    for turn, (name, expected) in enumerate(checks):
        for rank in range(ranks):
            output = group.output(rank)[turn * ROOM : (turn + 1) * ROOM]
            np.testing.assert_array_equal(output, laid_out(expected[rank], ROOM), f"{turn}: {name} at rank {rank}")

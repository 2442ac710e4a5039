"""Bytes of a piece of a chunk, of the last one and of the whole."""

import random

from hdl.message.geometry import PieceLengths
from tests.hdl.pysim import run


def test_lengths(seed):
    """Sizes around the piece's place, up to all 32 bits."""
    draw = random.Random(seed)
    rows, expected = [], []
    for _ in range(800):
        piece = 32 * draw.randrange(1, 2048)
        offset = piece * draw.randrange(32)
        near = [0, offset, offset + 1, offset + piece - 1, offset + piece, offset + piece + 1, (1 << 32) - 1]
        sizes = [draw.choice([*near, max(0, offset - 1), draw.getrandbits(32)]) for _ in range(3)]
        rows.append((1, piece, offset, *sizes))
        expected.append(tuple(max(0, min(piece, size - offset)) for size in sizes))
    dut = PieceLengths()
    inputs = [dut.enable, dut.piece, dut.offset, dut.chunk, dut.last, dut.bytes]
    outputs = [dut.full_length, dut.last_length, dut.whole_length]
    assert run(dut, inputs, outputs, rows, latency=1) == expected


def test_held_without_enable():
    dut = PieceLengths()
    inputs = [dut.enable, dut.piece, dut.offset, dut.chunk]
    assert run(dut, inputs, [dut.full_length], [(1, 64, 0, 50), (0, 64, 0, 20)], latency=1) == [(50,), (50,)]

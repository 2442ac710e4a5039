"""Affine indices against Python's remainder, for every number of ranks."""

import random

from hdl.message.index import IndexBase
from mtia.message import MAX_RANKS
from tests.hdl.pysim import run


def test_every_number_of_ranks(seed):
    """All coefficients and offsets at small numbers of ranks, where the offset exceeds them; some at the others."""
    draw = random.Random(seed)
    rows, expected = [], []
    for ranks in range(1, MAX_RANKS + 1):
        for by_rank in (-1, 0, 1):
            for by_root in (0, 1):
                for offset in range(-8, 8) if ranks < 10 else draw.sample(range(-8, 8), 3):
                    rank, root = draw.randrange(ranks), draw.randrange(ranks)
                    row = (1, ranks, rank, root, by_rank & 3, by_root, offset & 15)
                    rows += [row, row]
                    expected.append((by_rank * rank + by_root * root + offset) % ranks)
    dut = IndexBase()
    inputs = [dut.enable, dut.ranks, dut.rank, dut.root, dut.by_rank, dut.by_root, dut.offset]
    found = run(dut, inputs, [dut.base], rows, latency=1)
    assert [base for (base,) in found[::2]] == expected


def test_held_without_enable():
    dut = IndexBase()
    inputs = [dut.enable, dut.ranks, dut.rank, dut.by_rank]
    found = run(dut, inputs, [dut.base], [(1, 9, 5, 1), (0, 9, 2, 1), (0, 9, 3, 1)], latency=1)
    assert found == [(5,), (5,), (5,)]

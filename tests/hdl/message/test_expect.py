"""Whose arrivals are waited for, as the golden entries say."""

import random

from golden.message_entry import View, Work
from hdl.message.expect import ExpectMask
from mtia.message import ENTRY, MAX_RANKS, Expect, WorkOp, pack
from tests.hdl.pysim import run


def test_masks(seed):
    """Every kind, with and without oneself, owners that have bytes in a piece, and none."""
    draw = random.Random(seed)
    rows, expected = [], []
    for _ in range(600):
        ranks = draw.choice([1, 2, 3, 8, 72, draw.randrange(1, MAX_RANKS + 1)])
        rank, root, owners = draw.randrange(ranks), draw.randrange(ranks), draw.randrange(ranks + 1)
        expect, own = draw.choice(list(Expect)), draw.randrange(2)
        chunk, piece = 32 * draw.randrange(1, 8), 32
        last, number = draw.randrange(1, chunk + 1), draw.randrange(8)
        view = View(rank, ranks, root, owners, chunk * ranks, chunk, last, piece, 8)
        work = Work(pack(ENTRY, op=WorkOp.NOOP, expect=expect, expect_self=own))
        full = owners > 1 and view.length(0, number) > 0
        ends = owners > 0 and view.length(owners - 1, number) > 0
        rows.append((expect, own, rank, ranks, root, owners, int(full), int(ends)))
        expected.append(work.expected(number, view))
    dut = ExpectMask()
    inputs = [dut.expect, dut.expect_self, dut.rank, dut.ranks, dut.root, dut.owners, dut.full, dut.last]
    assert [mask for (mask,) in run(dut, inputs, [dut.mask], rows)] == expected

"""Addresses of operands: base plus index times chunk, a step a cycle."""

import random
from typing import Any

from amaranth.hdl import Value

from hdl.message.jobs import MemoryOp, Step
from hdl.message.operand import Operands
from mtia.message import MAX_RANKS
from tests.hdl.pysim import run


def test_addresses(seed):
    """Every index, chunks to 32 bits; messages and jobs of the reducer in turn, with gaps."""
    draw = random.Random(seed)
    rows, expected = [], []
    for number in range(400):
        widths = {name: len(Value.cast(Step.const({})[name])) for name in ("thread", "base", "length")}
        step: dict[str, Any] = {name: draw.getrandbits(width) for name, width in widths.items()}
        chunk = draw.choice([32 * draw.randrange(1, 1 << 10), draw.getrandbits(32)])
        source, target = draw.getrandbits(47), draw.getrandbits(47)
        indices = number % (MAX_RANKS + 1), draw.randrange(MAX_RANKS)
        is_send, op = draw.randrange(2), draw.choice(list(MemoryOp))
        header = {"ranks": draw.randrange(1, 73), "immediate": draw.getrandbits(32), "format": 1, "kind": 2}
        step |= {"source": source, "target": target, "source_index": indices[0], "target_index": indices[1]}
        step |= {"chunk": chunk, "is_send": is_send, "op": op, "header": header, "rank": draw.randrange(72)}
        valid = int(draw.random() < 0.8)
        rows.append((Step.const(step).as_bits() << 1 | valid,))
        addresses = ((source + indices[0] * chunk) % (1 << 48), (target + indices[1] * chunk) % (1 << 48))
        message = (step["thread"], *addresses, step["length"])
        work = (*message, op.value, 2, 1, header["ranks"], step["rank"], step["base"], chunk, header["immediate"])
        expected.append((int(valid and is_send), int(valid and not is_send), message, work))
    dut = Operands()
    send, job = dut.send.job, dut.work.job
    outputs = [dut.send.valid, dut.work.valid, send.thread, send.source, send.header.offset, send.length]
    outputs += [job[name] for name in ("thread", "own_address", "target", "length", "op", "kind", "format", "slots")]
    outputs += [job[name] for name in ("own", "base", "stride", "value")]
    found = run(dut, [Value.cast(dut.i)], outputs, rows, latency=2)
    assert any(row[0] for row in found)
    assert any(row[1] for row in found)
    for got, (is_send, is_work, message, work) in zip(found, expected, strict=True):
        assert got[:2] == (is_send, is_work)
        if is_send:
            assert got[2:6] == message
        if is_work:
            assert got[6:] == work

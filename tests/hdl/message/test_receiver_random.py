"""Receiver: packets at random on both channels, and heads with bits turned, against the model."""

from collections import Counter

import numpy as np
import pytest

from golden.packets import encode, place, refusal
from mtia.message import HEADER, MAX_RANKS, Channel, PacketOp, Reason, unpack

from .parts import beats
from .receiving import (
    COMMUNICATORS,
    INPUTS,
    MEMORY,
    MTU,
    OUTPUTS,
    WINDOWS,
    Bench,
    design as receiver,
    draw,
    fits,
    reply,
)

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def design():
    return receiver()


@pytest.mark.parametrize("pause", [0.0, 0.3, 0.8])
def test_random_packets(design, pause, seed):
    """Packets on both channels at once, many of them refused: memory, answers, events, tokens, counters."""
    random = np.random.default_rng(seed)
    bench = Bench(design, random)
    for _ in range(300):
        for channel in Channel:
            fields, payload = draw(random, bench.windows, channel)
            # of two writes to one place the later must win: the channels write to windows of their own
            if fields["window"] % 2 == channel or fields["window"] >= WINDOWS:
                fields["end"] = 1
                bench.send(channel, fields, payload)
    bench.run(pauses=dict.fromkeys((*INPUTS, *OUTPUTS), pause), seed=seed)
    assert all(bench.expected.refused[reason] for reason in list(Reason)[1:] if reason != Reason.RIGHTS)
    arrivals = list(bench.expected.arrivals)
    tokens = dict(bench.expected.tokens)
    bench.check()
    assert arrivals
    check_arrivals(bench, arrivals)
    assert tokens
    queries = [(communicator, port, 1) for communicator, port in tokens for _ in range(tokens[communicator, port] + 1)]
    answers = [available for available, _ in bench.ask_ready(queries)]
    assert answers == [each for count in tokens.values() for each in [1] * count + [0]]


def check_arrivals(bench, arrivals):
    """Only an event whose arrivals are all of one collective tells in any order of the channels which bits it has."""
    by_event: dict[int, list[tuple[int, int]]] = {}
    for event, sequence, slot in arrivals:
        by_event.setdefault(event, []).append((sequence, slot))
    asked = [event for event, each in by_event.items() if len({sequence for sequence, _ in each}) == 1]
    for event in asked:
        sequence = by_event[event][0][0]
        mask = sum(1 << slot for slot in {slot for _, slot in by_event[event]})
        other = ~mask & (1 << MAX_RANKS) - 1
        queries = [(event, sequence, mask), (event, sequence, mask | other & -other), (event, sequence + 1, mask)]
        assert bench.ask([*queries, (event, sequence + 1, 0)]) == [1, 0, 0, 1]


def test_fuzzed_heads(design, seed):
    """10^5 head flits, each that of a packet which passes with some bits turned: whole memory, reasons, answers."""
    random = np.random.default_rng(seed)
    bench = Bench(design, random)
    margins = np.ones(MEMORY, bool)
    for window in bench.windows.values():
        margins[window["base"] : window["base"] + window["size"]] &= not window["valid"]
    untouched = bench.memory.copy()
    met: Counter[Reason] = Counter()
    for channel in Channel:
        heads = fuzzed(random, bench.windows, channel, 50_000)
        bench.lane.push(f"rx__{int(channel)}", beats(heads[:, None]))
        met += fuzz_model(bench, heads, channel)
        bench.run()
        bench.check()
    np.testing.assert_array_equal(bench.memory[margins], untouched[margins])
    assert all(met[reason] > 100 for reason in Reason), met


def fuzzed(random, windows, channel, count):
    """Head flits of packets that pass, with up to 6 bits of the header turned; uint8 (count, 64)."""
    ops = [PacketOp.WRITE, PacketOp.WRITE_IMMEDIATE, PacketOp.SEND]
    ops = ops if channel == Channel.REQUEST else [PacketOp.RESULT, PacketOp.READY, PacketOp.DONE, PacketOp.REFUSED]
    right = []
    for _ in range(200):
        index = int(random.integers(0, len(windows)))
        fields, payload = fits(random, windows[index], random.choice(ops))
        right.append(encode(fields | {"window": index}, payload[:32])[0])
    heads = np.array(right)[random.integers(0, len(right), count)]
    for _ in range(6):
        turned = random.integers(0, 256, count)
        heads[np.arange(count), turned // 8] ^= ((random.random(count) < 0.4) << turned % 8).astype(np.uint8)
    heads[:, 32:] = random.integers(0, 256, (count, 32))
    return heads


def fuzz_model(bench, heads, channel):
    """Enters in `bench.expected` what packets of a head flit alone must do; how often each reason was met."""
    met: Counter[Reason] = Counter()
    broken: set[int] = set()
    expected = bench.expected
    for head in heads:
        fields = unpack(HEADER, int.from_bytes(head[:32].tobytes(), "little"))
        window, op, source = bench.windows.get(fields["window"]), fields["op"], fields["source"]
        reason = refusal(fields, window, MTU, channel=channel, communicators=COMMUNICATORS)
        is_answer = op in (PacketOp.READY, PacketOp.DONE, PacketOp.REFUSED)
        if reason == Reason.NONE and not is_answer:
            count, begin = min(fields["length"], 32), place(fields, window)
            expected.memory[begin : begin + count] = head[32 : 32 + count]
        has_hole = fields["end"] and source in broken and not is_answer
        if reason == Reason.NONE and (fields["length"] > 32 or has_hole):
            reason = Reason.RANGE
        if not is_answer and source < MAX_RANKS:
            broken = broken - {source} if fields["end"] else broken | ({source} if reason else set())
        met[reason] += 1
        expected.refused[reason] += reason != Reason.NONE
        if channel == Channel.REQUEST and (reason or (fields["end"] and fields["acknowledge"])):
            expected.replies.append(reply(fields, reason))
        if not reason and op in (PacketOp.DONE, PacketOp.REFUSED):
            why = fields["immediate"] & 15 if op == PacketOp.REFUSED else 0
            expected.acknowledged.append((fields["command"], int(op == PacketOp.REFUSED), why, source))
    return met

"""In-switch reductions: the same bits in every order of arrival, two communicators at once, and what is refused."""

import itertools

import numpy as np
import pytest

from golden.packets import encode
from golden.switch import SHARED_FIELDS, header, with_fields
from mtia.message import Channel, PacketOp
from mtia.near_memory import ReduceFormat, ReduceKind
from tb.switch.bench import Packet

from .support import FOUR, bench_of, multicast, pauses_of, unicast

KINDS = [ReduceKind.SUM, ReduceKind.MAX, ReduceKind.MIN]
#: formats whose operands are those in memory, and two whose are not
FORMATS = [ReduceFormat.FP32, ReduceFormat.BF16, ReduceFormat.FP16, ReduceFormat.BF16_MXFP8_E4M3]


def payload(random: np.random.Generator, format: ReduceFormat, length: int) -> bytes:
    """Numbers of like size and either sign, so that the order of a sum shows."""
    numbers = random.normal(size=length).astype(np.float32)
    if format is ReduceFormat.FP32:
        return numbers.tobytes()[:length]
    if format is ReduceFormat.BF16:
        return (numbers.view(np.uint32) >> 16).astype(np.uint16).tobytes()[:length]
    if format is ReduceFormat.FP16:
        return numbers.astype(np.float16).tobytes()[:length]
    blocks = random.integers(0, 256, (length // 32, 32), np.uint8)
    blocks[:, 31] = random.integers(120, 134, len(blocks))
    return blocks.tobytes()


def contributions(
    random: np.random.Generator, ranks: int, *, kind: ReduceKind, format: ReduceFormat, length: int, **fields: int
) -> list[Packet]:
    """One of each rank to a piece."""
    same = {
        "op": PacketOp.REDUCE,
        "ranks": ranks,
        "kind": kind,
        "format": format,
        "window": int(random.integers(256)),
        "partition": int(random.integers(256)),
        "epoch": int(random.integers(256)),
        "key": int(random.integers(1 << 32)),
        "offset": int(random.integers(1 << 48)),
        "immediate": int(random.integers(1 << 32)),
        **fields,
    }
    return [
        encode({**same, "slot": rank, "command": rank, "source": 99}, payload(random, format, length))
        for rank in range(ranks)
    ]


def random_piece(random: np.random.Generator, ranks: int, **fields: int) -> list[Packet]:
    """Contributions of any kind, format and length."""
    kind, format = random.choice(KINDS), random.choice(FORMATS)
    length = 32 * int(random.integers(0, 10))
    return contributions(random, ranks, kind=ReduceKind(kind), format=ReduceFormat(format), length=length, **fields)


@pytest.mark.sim
def test_every_order_of_arrival(seed):
    """The same contributions a hundred times, with other pauses each time: one result, golden's."""
    bench, random = bench_of(FOUR), np.random.default_rng(seed)
    bench.configure({2: 0xF})
    piece = contributions(random, 4, kind=ReduceKind.SUM, format=ReduceFormat.FP32, length=288, destination=1, group=2)
    results = set()
    for order in itertools.islice(itertools.cycle(itertools.permutations(range(4))), 100):
        for turn, rank in enumerate(order):
            bench.push(rank, Channel.REQUEST, [piece[rank]], not_before=turn * int(random.integers(1, 40)))
        bench.run(pauses=pauses_of(FOUR, 0.3 * float(random.random()), 0), seed=int(random.integers(1 << 30)))
        (flow,) = bench.model.outputs[3, Channel.RESPONSE].values()
        results.add(flow[0].tobytes())
        bench.check()
        bench.reset()
        bench.configure({2: 0xF})
    assert len(results) == 1


@pytest.mark.sim
@pytest.mark.parametrize("waits", ((0, 0), (0.4, 0.6)), ids=str)
def test_pieces_in_flight(waits, seed):
    """Four units, two communicators of overlapping ranks, two pieces of each in flight at each unit, traffic beside."""
    bench, random = bench_of(FOUR), np.random.default_rng(seed)
    groups = {0: 0xF, 1: 0b1101, 2: 0b0110}
    bench.configure(groups)
    ranks = {group: [port for port in range(4) if groups[group] >> port & 1] for group in groups}
    for number in range(0, 24, 2):
        streams: dict[int, list[Packet]] = {port: [] for port in range(4)}
        for group, unit, lag in itertools.product((0, 1), range(4), range(2)):
            piece = random_piece(
                random, len(ranks[group]), destination=unit, group=group, event=group * 64 + lag, sequence=number
            )
            for packet, port in zip(piece, ranks[group], strict=True):
                streams[port].append(packet)
        for port, sent in streams.items():
            extra = multicast(random, Channel.REQUEST, [0], 1) + unicast(random, Channel.REQUEST, [0, 1, 2, 3], 2)
            mixed = [*sent, *extra]
            bench.push(port, Channel.REQUEST, [mixed[index] for index in random.permutation(len(mixed))])
            bench.push(port, Channel.RESPONSE, unicast(random, Channel.RESPONSE, [0, 1, 2, 3], 3))
        bench.run(pauses=pauses_of(FOUR, *waits), seed=seed + number)
    assert all(bench.lane.get(f"crowded__{port}") == 0 for port in range(4))
    bench.check()


@pytest.mark.sim
def test_one_rank(seed):
    """A piece of one rank is its own result, rounded."""
    bench, random = bench_of(FOUR), np.random.default_rng(seed)
    bench.configure({0: 0xF})
    for number in range(20):
        bench.push(2, Channel.REQUEST, random_piece(random, 1, destination=2, group=0, sequence=number))
        bench.run()
    bench.check()


@pytest.mark.sim
def test_rate(seed):
    """Four ranks, a unit each, whole slots: results leave at nearly a flit a cycle, as contributions come."""
    bench, random = bench_of(FOUR), np.random.default_rng(seed)
    bench.configure({0: 0xF})
    bench.lane.run(cycles=100)  # until the units have cleared their notes
    count = 24
    for number, unit in itertools.product(range(count), range(4)):
        piece = contributions(
            random,
            4,
            kind=ReduceKind.SUM,
            format=ReduceFormat.BF16,
            length=288,
            destination=unit,
            group=0,
            event=number,
        )
        for rank, packet in enumerate(piece):
            bench.push(rank, Channel.REQUEST, [packet])
    cycles = bench.run()
    flits = 4 * count * 5
    print(f"{flits} flits of results at each port in {cycles} cycles: {flits / cycles:.3f}")
    assert cycles <= flits + 50
    bench.check()


@pytest.mark.sim
def test_refused_at_the_input(seed):
    """Kinds, formats, ranks, slots, lengths, groups and ports that are none, and multicast."""
    bench, random = bench_of(FOUR), np.random.default_rng(seed)
    bench.configure({0: 0xF, 1: 0b0111})
    good = contributions(random, 1, kind=ReduceKind.SUM, format=ReduceFormat.FP32, length=64, destination=1, group=0)[0]
    wrong: list[dict[str, int]] = [
        *({"kind": 0}, {"format": 3}, {"format": 63}, {"format": 27}, {"format": 28}, {"ranks": 0}, {"ranks": 5}),
        *({"ranks": 73}, {"ranks": 255, "slot": 80}, {"slot": 1}, {"slot": 255}, {"group": 1}, {"group": 4}),
        *({"group": 255}, {"destination": 4}, {"destination": 255}, {"multicast": 1}, {"length": 289}),
        {"length": 65535},
    ]
    for fields in wrong:
        bench.push(3, Channel.REQUEST, [with_fields(good, **fields)])
    bench.push(3, Channel.RESPONSE, [good])
    bench.push(3, Channel.REQUEST, [good])
    bench.run()
    assert len(bench.model.refused[3]) == len(wrong) + 1
    bench.check()


@pytest.mark.sim
def test_refused_by_the_unit(seed):
    """A slot twice, fields unlike the first's, a length that is not that of the flits; the sum is unharmed."""
    bench, random = bench_of(FOUR), np.random.default_rng(seed)
    bench.configure({0: 0xF})
    piece = contributions(random, 3, kind=ReduceKind.SUM, format=ReduceFormat.FP32, length=128, destination=3, group=0)
    changes = {"kind": 2, "format": 1, "ranks": 4, "length": 96}
    bad = [piece[0]]
    for name in SHARED_FIELDS:
        bad.append(with_fields(piece[1], **{name: changes.get(name, header(piece[1])[name] ^ 1)}))
    bad += [piece[1][:2], np.concatenate([piece[1], piece[1][1:]]), piece[1][:1]]
    bench.push(0, Channel.REQUEST, [piece[1][:1], np.concatenate([piece[0], piece[0]]), piece[0], *bad])
    bench.run()
    bench.push(1, Channel.REQUEST, [piece[1], piece[2]])
    bench.run()
    assert bench.model.refused_contributions[3] == len(bad) + 2
    bench.check()


@pytest.mark.sim
def test_a_contribution_without_a_place_is_refused(seed):
    """A fifth piece finds no place until one of four is complete; nothing of the others changes."""
    bench, random = bench_of(FOUR), np.random.default_rng(seed)
    bench.configure({0: 0xF})
    pieces = [random_piece(random, 2, destination=0, group=0, event=number) for number in range(5)]
    bench.push(1, Channel.REQUEST, [piece[0] for piece in pieces])
    bench.run()
    assert bench.lane.get("crowded__0") == 1
    bench.push(2, Channel.REQUEST, [piece[1] for piece in pieces[:4]])
    bench.run()
    bench.push(1, Channel.REQUEST, pieces[4][:1])
    bench.push(2, Channel.REQUEST, pieces[4][1:], not_before=bench.lane.cycles + 50)
    bench.run()
    assert bench.lane.get("crowded__0") == 1
    bench.check()

# amaranth: UnusedElaboratable=no
"""The domain's own C++: switch, multicast and reductions between nodes that only send and keep flits."""

import itertools

import numpy as np
import pytest

from golden import near_memory, packets
from mtia import message
from mtia.message import PacketOp
from mtia.near_memory import ReduceFormat, ReduceKind
from tb.lane import SimulationError
from tb.message.domain import Domain, DomainSettings

from .domain_node import FlitNode

pytestmark = pytest.mark.sim

ROOM = 1 << 18
HEAD, LAST, CHANNEL = 1, 2, 4


def domain(nodes, **settings):
    return Domain(FlitNode(room=ROOM), nodes=nodes, memory_bytes=2 * ROOM, settings=DomainSettings(**settings))


def send(domain, node, fields, payload=b"", not_before=0):
    """Queue one packet of a node."""
    channel = message.CHANNEL_OF[PacketOp(fields["op"])]
    flits = packets.encode(fields, payload)
    for index, flit in enumerate(flits):
        mark = HEAD * (index == 0) | LAST * (index + 1 == len(flits)) | CHANNEL * int(channel)
        domain.doorbell(node, mark | int.from_bytes(flit.tobytes(), "little") << 8, not_before=not_before)


def received(domain, node, channel, count):
    """Packets in a node's log."""
    log, at = domain.memory(node)[channel * ROOM : (channel + 1) * ROOM].reshape(-1, message.FLIT_BYTES), 0
    found = []
    for _ in range(count):
        length = message.unpack(message.HEADER, int.from_bytes(log[at, : message.HEADER_BYTES].tobytes(), "little"))[
            "length"
        ]
        found.append(packets.decode(log[at : at + message.flits(length)]))
        at += message.flits(length)
    assert not log[at:].any(), "more came than was sent"
    return found


@pytest.mark.parametrize("nodes", [2, 5, 8])
def test_every_packet_comes_once_and_those_of_a_source_in_order(nodes, seed):
    rng = np.random.default_rng(seed)
    bench = domain(nodes, queue_flits=8)
    sent: dict[int, list] = {node: [] for node in range(nodes)}
    for source in range(nodes):
        for number in range(40):
            target = int(rng.integers(nodes))
            op = PacketOp.WRITE if rng.integers(4) else PacketOp.DONE
            payload = rng.bytes(int(rng.integers(0, 400)) if op == PacketOp.WRITE else 0)
            fields = {"op": op, "destination": target, "source": 77, "command": number}
            send(bench, source, fields, payload)
            sent[target].append((source, int(op), number, payload))
    bench.run(cycles=4000)
    for node in range(nodes):
        by_channel = [[row for row in sent[node] if (row[1] == PacketOp.DONE) == channel] for channel in range(2)]
        came = []
        for channel, rows in enumerate(by_channel):
            came += [
                (fields["source"], fields["op"], fields["command"], payload)
                for fields, payload in received(bench, node, channel, len(rows))
            ]
        for source in range(nodes):
            for op in (PacketOp.WRITE, PacketOp.DONE):
                expected = [row for row in sent[node] if row[:2] == (source, op)]
                assert [row for row in came if row[:2] == (source, op)] == expected


def test_a_permutation_moves_one_flit_a_port_and_cycle():
    bench = domain(8)
    for source in range(8):
        for _ in range(10):
            send(bench, source, {"op": PacketOp.WRITE, "destination": (source + 3) % 8}, bytes(message.MAX_PACKET))
    cycles = bench.run(completions=80)
    assert bench.counts()["flits_out"] == 8 * 640
    assert cycles <= 640 + 16


def test_multicast_reaches_every_member_but_its_source(seed):
    rng = np.random.default_rng(seed)
    members, bench = [0, 2, 3, 5], domain(6, multicast_flits=2)
    bench.group(9, members)
    payloads = {source: [rng.bytes(200) for _ in range(5)] for source in (0, 2, 3)}
    for source, all_payloads in payloads.items():
        for number, payload in enumerate(all_payloads):
            fields = {"op": PacketOp.WRITE, "multicast": 1, "destination": 9, "command": number}
            send(bench, source, fields, payload)
            send(bench, source, {"op": PacketOp.WRITE, "destination": 1, "command": number}, payload)
    bench.run(cycles=2000)
    assert sorted(p for _, p in received(bench, 1, 0, 15)) == sorted(itertools.chain(*payloads.values()))
    assert received(bench, 4, 0, 0) == []
    for node in members:
        expected = {s: rows for s, rows in payloads.items() if s != node}
        came = received(bench, node, 0, sum(map(len, expected.values())))
        for source, rows in expected.items():
            assert [payload for fields, payload in came if fields["source"] == source] == rows


@pytest.mark.parametrize("format", list(ReduceFormat), ids=lambda format: format.name)
def test_reductions_have_the_bits_of_the_golden_tree(format, seed):
    rng = np.random.default_rng([seed, format])
    ranks, atoms = 7, 1 + 2 * 4
    bench = domain(ranks)
    bench.group(1, range(ranks))
    expected = []
    for number, kind in enumerate((ReduceKind.SUM, ReduceKind.MAX, ReduceKind.MIN)):
        slots = rng.integers(0, 256, (ranks, atoms, 32), np.uint8)
        if number == 0:
            slots[:, 0] = 0
            slots[:2, 1] = np.frombuffer(np.array([np.inf, -np.inf, -0.0, 1e-42] * 2, np.float32).tobytes(), np.uint8)
        expected.append(near_memory.tree(kind, format, slots).tobytes())
        for rank in rng.permutation(ranks):
            fields = {"op": PacketOp.REDUCE, "destination": 3, "group": 1, "ranks": ranks, "slot": int(rank)}
            fields |= {"kind": kind, "format": format, "event": number, "immediate": 5, "offset": 32 * number}
            send(bench, int(rank), fields, slots[rank].tobytes(), not_before=int(rng.integers(200)))
    bench.run(cycles=3000)
    assert bench.counts()["reduced"] == 3 * ranks
    for node in range(ranks):
        came = received(bench, node, 1, 3)
        assert {fields["op"] for fields, _ in came} == {PacketOp.RESULT}
        assert {fields["slot"] for fields, _ in came} == {5}
        results = {fields["event"]: payload for fields, payload in came}
        assert [results[number] for number in range(3)] == expected


def test_a_reduction_of_equal_pieces_takes_a_flit_a_cycle_and_port():
    ranks, pieces, payload = 8, 12, bytes(32 + 64 * 7)
    bench = domain(ranks)
    bench.group(1, range(ranks))
    for piece in range(pieces):
        for step in range(ranks):
            for rank in range(ranks):
                fields = {"op": PacketOp.REDUCE, "destination": (rank + step) % ranks, "group": 1, "ranks": ranks}
                fields |= {"slot": rank, "kind": ReduceKind.SUM, "event": piece}
                send(bench, rank, fields, payload)
    cycles = bench.run(completions=ranks * ranks * pieces)
    flits = ranks * pieces * message.flits(len(payload))
    assert flits <= cycles <= 1.1 * flits + 150


def test_a_write_past_the_memory_ends_the_run():
    bench = Domain(FlitNode(room=64), nodes=1, memory_bytes=128)
    for _ in range(3):
        send(bench, 0, {"op": PacketOp.WRITE})
    with pytest.raises(SimulationError, match="write past the memory at 128"):
        bench.run(cycles=50)


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"destination": 2}, "packet to port 2"), ({"multicast": 1, "destination": 5}, "port 0 is not of group 5")],
)
def test_what_the_switch_would_refuse_ends_the_run(fields, message):
    bench = domain(2)
    send(bench, 0, {"op": PacketOp.WRITE, **fields})
    with pytest.raises(SimulationError, match=message):
        bench.run(cycles=50)


def test_a_unit_without_a_place_ends_the_run():
    bench = domain(2, pieces=2)
    for event in range(3):
        fields = {"op": PacketOp.REDUCE, "destination": 1, "group": 1, "ranks": 2, "slot": 0, "event": event}
        send(bench, 0, fields | {"kind": ReduceKind.SUM}, bytes(32))
    with pytest.raises(SimulationError, match="unit 1 has no place for a contribution"):
        bench.run(cycles=50)


def test_a_run_whose_completions_do_not_come_says_so():
    bench = domain(2)
    send(bench, 0, {"op": PacketOp.WRITE, "destination": 1})
    with pytest.raises(SimulationError, match="1 of 2 completions after"):
        bench.run(completions=2, quiet=100)


def test_values_out_of_range():
    for wrong in ({"memory_latency": 0}, {"flit_error_rate": 1.0}, {"queue_flits": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            DomainSettings(**wrong)
    with pytest.raises(ValueError, match="Nodes must be from 1 to 72, not 73"):
        Domain(FlitNode(room=64), nodes=73, memory_bytes=64)
    with pytest.raises(ValueError, match="Node of the waves must be from 0 to 1, not 2"):
        Domain(FlitNode(room=64), nodes=2, memory_bytes=64, waves=2)
    bench = domain(2)
    with pytest.raises(ValueError, match="Node must be from 0 to 1, not 2"):
        bench.memory(2)
    with pytest.raises(ValueError, match="built with the node of the waves"):
        bench.trace("x.fst")

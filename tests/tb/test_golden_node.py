# amaranth: UnusedElaboratable=no
"""Golden nodes of a domain: what they send is what the RTL sends, whoever their peers are."""

import dataclasses

import numpy as np
import pytest

from golden import packets
from golden.message_node import Node, Packet
from mtia import message
from mtia.collectives import PROGRAMS, Algorithm, Collective, algorithms
from mtia.message import Channel, PacketOp
from mtia.near_memory import ReduceFormat, ReduceKind
from tb.message.collective import CollectiveRun, Job
from tb.message.domain import Domain, DomainSettings

from .collectives import PARAMETERS, PIECE, check, node, sizes_of
from .domain_node import FlitNode

pytestmark = pytest.mark.sim

ROOM = 1 << 18
HEAD, LAST, CHANNEL = 1, 2, 4
#: packets of a header alone
ANSWERS = (PacketOp.READY, PacketOp.DONE, PacketOp.REFUSED)


def run(*jobs, rtl, nodes=None, first_ports=None, **settings):
    """Results, and all that the nodes hold: their memories and completions but for the cycles."""
    bench = CollectiveRun(
        node(),
        jobs,
        parameters=PARAMETERS,
        nodes=nodes,
        first_ports=first_ports,
        settings=DomainSettings(**settings),
        rtl=rtl,
    )
    results = bench.run()
    for result in results:
        check(result)
    assert bench.domain.run(cycles=500) == 500  # nothing is written any more
    memories = [bench.domain.memory(each).copy() for each in range(bench.domain.nodes)]
    bench.domain.close()
    return results, memories


@pytest.mark.parametrize("name", list(PROGRAMS), ids=lambda name: "-".join(map(str, name)))
def test_an_rtl_node_finds_among_golden_ones_what_it_finds_among_rtl(name, seed):
    collective, algorithm = name
    rng = np.random.default_rng(seed)
    for ranks in (2,) if collective is Collective.SENDRECV else (2, 5):
        atoms = int(rng.integers(1, 200))
        sizes = sizes_of(collective, rng, ranks=ranks, atoms=atoms)
        job = Job(
            collective=collective,
            algorithm=algorithm,
            ranks=ranks,
            bytes=32 * atoms - 4,
            root=int(rng.integers(ranks)),
            format=ReduceFormat(int(rng.integers(3))),
            kind=ReduceKind(1 + int(rng.integers(3))),
            piece_limit=(96, PIECE)[int(rng.integers(2))],
            seed=seed,
            skew=int(rng.integers(0, 200)),
            sizes=sizes,
        )
        rate = float(rng.choice([0, 3e-3]))
        _, wanted = run(job, rtl=None, seed=seed)
        for rtl in ([int(rng.integers(ranks))], []):
            _, found = run(job, rtl=rtl, flit_error_rate=rate, seed=seed)
            for rank in range(ranks):
                np.testing.assert_array_equal(found[rank], wanted[rank], err_msg=f"rank {rank}, RTL {rtl}, {job}")


@pytest.mark.parametrize("format", list(ReduceFormat), ids=lambda format: format.name)
def test_sums_have_the_same_bits(format, seed):
    rng = np.random.default_rng([seed, format])
    ranks = int(rng.integers(2, 24))
    fields = {"collective": Collective.ALLREDUCE, "ranks": ranks, "bytes": 2048, "format": format, "seed": seed}
    fields["kind"] = ReduceKind(1 + int(rng.integers(3)))
    digests = set()
    for algorithm in algorithms(Collective.ALLREDUCE):
        job = Job(algorithm=algorithm, piece_limit=PIECE, skew=50, **fields)
        (result,), _ = run(job, rtl=[int(rng.integers(ranks))])
        digests.add(result.sha256)
    assert len(digests) == 1


def test_a_domain_of_72_with_one_rtl_node(seed):
    rank = seed % 72
    for algorithm, rate in ((Algorithm.TWO_SHOT, 1e-3), (Algorithm.IN_SWITCH, 0.0)):
        job = Job(
            collective=Collective.ALLREDUCE,
            algorithm=algorithm,
            ranks=72,
            bytes=65536,
            format=ReduceFormat.BF16,
            piece_limit=PIECE,
            seed=seed,
            skew=100,
        )
        run(job, rtl=[rank], flit_error_rate=rate, seed=seed)


def test_collectives_one_after_the_other_and_side_by_side(seed):
    rng = np.random.default_rng(seed)
    names = [name for name in PROGRAMS if name[0] not in (Collective.SENDRECV, Collective.ALLTOALLV)]
    jobs = []
    for number in range(24):
        collective, algorithm = names[int(rng.integers(len(names)))]
        jobs.append(
            Job(
                collective=collective,
                algorithm=algorithm,
                ranks=5,
                bytes=32 * int(rng.integers(1, 150)),
                root=int(rng.integers(5)),
                piece_limit=PIECE,
                seed=seed + number,
                skew=400,
                communicator=int(rng.integers(2)),
            )
        )
    run(*jobs, rtl=[1, 4], first_ports=[0, 3], nodes=8, flit_error_rate=1e-3, seed=seed)


def test_its_cycles_are_near_those_of_the_rtl(seed):
    for collective, algorithm, ranks in (
        (Collective.BARRIER, Algorithm.LINEAR, 4),
        (Collective.ALLGATHER, Algorithm.LINEAR, 4),
        (Collective.REDUCESCATTER, Algorithm.LINEAR, 6),
        (Collective.ALLREDUCE, Algorithm.TWO_SHOT, 8),
        (Collective.ALLREDUCE, Algorithm.IN_SWITCH, 8),
    ):
        job = Job(collective=collective, algorithm=algorithm, ranks=ranks, bytes=8192, piece_limit=PIECE, seed=seed)
        (rtl,), _ = run(job, rtl=None)
        (golden,), _ = run(job, rtl=[])
        assert 0.85 * rtl.cycles <= golden.cycles <= 1.15 * rtl.cycles, (job, rtl.cycles, golden.cycles)


@pytest.mark.parametrize("rtl", [[0, 1, 2], [1], [0], []], ids=str)
def test_a_refusal_hangs_nobody(rtl, seed):
    """Rank 1 lets nothing in: its peers are told, and it gives up. Opened anew, all goes well."""
    job = Job(
        collective=Collective.ALLREDUCE,
        algorithm=Algorithm.TWO_SHOT,
        ranks=3,
        bytes=4096,
        piece_limit=PIECE,
        seed=seed,
        timeout=1,
    )
    bench = CollectiveRun(node(), [job], parameters=PARAMETERS, rtl=rtl)
    bench.domain.configure(1, 0)  # its landing window
    bench.domain.run(cycles=50)
    (result,) = bench.run()
    assert not result.match
    status = message.Status
    found = {each.node: (each.status, each.detail) for each in result.failures}
    assert found == dict.fromkeys((0, 2), (status.REFUSED, message.Reason.WINDOW)) | {1: (status.TIMEOUT, 0)}
    (late,) = (each for each in result.failures if each.node == 1)
    assert message.TIMEOUT_CYCLES <= late.cycles <= 2 * message.TIMEOUT_CYCLES + 100
    bench.reopen()
    (again,) = bench.run()
    assert again.match, (again.failures, again.first_mismatch)


@pytest.mark.parametrize("rtl", [[0, 1], [0], [1], []], ids=str)
def test_puts_copies_and_semaphores(rtl, seed):
    rng = np.random.default_rng(seed)
    domain = Domain(node(), nodes=2, memory_bytes=1 << 16, rtl=rtl, parameters=PARAMETERS)
    data = rng.integers(0, 256, 5000, np.uint8)
    domain.memory(0)[4096:9096] = data
    window = {"valid": 1, "rights": message.Right.WRITE, "base": 8192, "size": 8192, "sources": 1, "key": 5, "epoch": 3}
    domain.configure(1, message.pack(message.WINDOW, **window) << 15)
    domain.run(cycles=PARAMETERS.communicators << 8 | 0xFF)

    def ring(port, **fields):
        domain.doorbell(port, message.pack(message.DESCRIPTOR, **fields) << 8)

    op = message.DescriptorOp
    put = {"op": op.PUT, "peer": 1, "key": 5, "epoch": 3, "acknowledge": 1, "input": 4096}
    ring(0, command=1, bytes=4999, output=64, **put)
    ring(0, command=2, bytes=32, output=8192 - 32, **(put | {"key": 6}))
    ring(0, command=3, bytes=64, output=8192 - 32, **put)
    ring(0, command=4, op=op.PUT, peer=72)
    # at the receiver a COPY of what comes waits for its first word
    first = int.from_bytes(data[:4].tobytes(), "little")
    copy = {"op": op.COPY, "input": 8256, "output": 32768, "bytes": 999, "comparison": message.Comparison.EQUAL}
    ring(1, command=5, semaphore=8256, value=first, **copy)
    ring(1, command=6, op=op.NOOP)
    domain.run(completions=6, quiet=2000)
    found = {
        each.command: (each.node, each.status, each.detail, each.bytes, each.phase) for each in domain.completions()
    }
    status, reason = message.Status, message.Reason
    assert found == {
        1: (0, status.OK, 0, 4999, 1),
        2: (0, status.REFUSED, reason.KEY, 32, 1),
        3: (0, status.REFUSED, reason.RANGE, 64, 1),
        4: (0, status.MALFORMED, message.Fault.PEER, 0, 1),
        5: (1, status.OK, 0, 999, 1),
        6: (1, status.OK, 0, 0, 1),
    }
    wanted = np.zeros(1 << 16, np.uint8)
    wanted[8256 : 8256 + 4999] = data[:4999]
    wanted[32768 : 32768 + 999] = data[:999]
    np.testing.assert_array_equal(domain.memory(1), wanted)
    assert [domain.refused(port) for port in range(2)] == [0, 2]


def test_packets_are_judged_as_by_the_golden_receiver(seed):
    """A node that only sends and keeps flits, at port 0, against a golden one at port 1."""
    rng = np.random.default_rng(seed)
    parameters = dataclasses.replace(PARAMETERS, communicators=16)
    domain = Domain(FlitNode(room=ROOM), nodes=2, memory_bytes=2 * ROOM, rtl=[0], parameters=parameters)
    golden = Node(1, 2 * ROOM, PARAMETERS.mtu)
    for number in range(6):
        fields = {"valid": int(number != 4), "rights": int(rng.integers(8)) if number > 1 else 7, "key": number}
        fields |= {"base": 4096 * (1 + number), "size": 4096, "sources": 1 if number != 5 else 2, "epoch": number}
        fields |= {"partition": number % 2, "part_log": 2}
        golden.windows[number] = dict(fields)
        domain.configure(1, message.pack(message.WINDOW, **fields) << 15 | number << 3)
    expected = []
    for _ in range(1500):
        op = PacketOp(int(rng.choice([0, 0, 1, 1, 2, 2, 3, 5, 6, 7])))  # REDUCE is the switch's
        # what comes on different channels may overtake each other: RESULTs have a window of their own
        window = 1 if op is PacketOp.RESULT else int(rng.choice([0, 2, 3, 4, 5]))
        fields = {"op": op, "window": window, "key": window}
        fields |= {"partition": window % 2, "epoch": window, "event": int(rng.integers(4)) << 8, "end": 1}
        fields |= {"slot": int(rng.integers(72)), "acknowledge": int(rng.integers(2)), "command": int(rng.integers(99))}
        fields["offset"] = 32 * int(rng.integers(4 if op is PacketOp.SEND else 125))
        if not rng.integers(3):
            wrong = str(rng.choice(["window", "key", "partition", "epoch", "event", "slot", "offset", "end"]))
            fields[wrong] ^= 1 << int(rng.integers({"end": 1, "offset": 14, "slot": 7, "event": 16}.get(wrong, 4)))
        payload = rng.bytes(int(rng.integers(0, 150)) if fields["op"] not in ANSWERS else 0)
        channel = int(message.CHANNEL_OF[PacketOp(fields["op"])]) ^ int(not rng.integers(20))
        flits = packets.encode({**fields, "destination": 1}, payload)
        for index, flit in enumerate(flits):
            mark = HEAD * (index == 0) | LAST * (index + 1 == len(flits)) | CHANNEL * channel
            domain.doorbell(0, mark | int.from_bytes(flit.tobytes(), "little") << 8)
        whole = dict.fromkeys(dict(message.HEADER), 0) | fields | {"destination": 1, "length": len(payload)}
        expected += golden.receive(Packet(whole, payload), Channel(channel))
    domain.run(cycles=9000)
    np.testing.assert_array_equal(domain.memory(1), golden.memory)
    log = domain.memory(0)[ROOM : 2 * ROOM].reshape(-1, message.FLIT_BYTES)
    found = [packets.decode(flit[None])[0] for flit in log[: len(expected)]]
    names = ("op", "end", "source", "destination", "partition", "window", "sequence", "command", "offset", "immediate")
    assert [{name: each[name] for name in names} for each in found] == [
        {name: each.fields[name] for name in names} for each in expected
    ]
    assert not log[len(expected) :].any()
    assert domain.refused(1) == golden.refused.total() > 300
    assert {each.fields["immediate"] for each in expected} == set(message.Reason)


def test_what_a_golden_node_has_not():
    domain = Domain(FlitNode(room=64), nodes=2, memory_bytes=128, rtl=[0], parameters=PARAMETERS)
    assert domain.rtl == {0}
    with pytest.raises(ValueError, match=r"Node of port near_counters must be RTL, as \[0\] are, not 1"):
        domain.plain(1, "near_counters")
    with pytest.raises(ValueError, match=r"Node of the waves must be RTL, as \[0\] are, not 1"):
        Domain(FlitNode(room=64), nodes=2, memory_bytes=128, rtl=[0], parameters=PARAMETERS, waves=1)
    with pytest.raises(ValueError, match=r"RTL nodes must be from 0 to 1, not \[2\]"):
        Domain(FlitNode(room=64), nodes=2, memory_bytes=128, rtl=[2], parameters=PARAMETERS)
    with pytest.raises(ValueError, match="Parameters must be those of the engine where"):
        Domain(FlitNode(room=64), nodes=2, memory_bytes=128, rtl=[0])

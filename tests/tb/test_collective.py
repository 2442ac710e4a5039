"""Collectives on domains whose nodes are RTL: every byte is golden's, whatever the way, the errors and the order."""

import numpy as np
import pytest

from mtia import message
from mtia.collectives import PROGRAMS, Algorithm, Collective, algorithms
from mtia.near_memory import ReduceFormat, ReduceKind
from tb.message.collective import CollectiveRun, Job, first_byte_latency
from tb.message.domain import DomainSettings

from .collectives import PARAMETERS, PIECE, check, node, sizes_of

pytestmark = pytest.mark.sim


def run(*jobs, nodes=None, first_ports=None, **settings):
    bench = CollectiveRun(
        node(),
        jobs,
        parameters=PARAMETERS,
        nodes=nodes,
        first_ports=first_ports,
        settings=DomainSettings(**settings),
    )
    return bench, bench.run()


@pytest.mark.parametrize("name", list(PROGRAMS), ids=lambda name: "-".join(map(str, name)))
def test_every_program_gives_what_the_collective_is(name, seed):
    collective, algorithm = name
    rng = np.random.default_rng(seed)
    for ranks in (2,) if collective is Collective.SENDRECV else (2, 3, 6):
        for atoms in (1, 40, 333):
            root = int(rng.integers(ranks))
            sizes = sizes_of(collective, rng, ranks=ranks, atoms=atoms)
            job = Job(
                collective=collective,
                algorithm=algorithm,
                ranks=ranks,
                bytes=32 * atoms - 6,
                root=root,
                format=ReduceFormat.BF16,
                piece_limit=PIECE,
                seed=seed,
                skew=int(rng.integers(0, 300)),
                sizes=sizes,
            )
            _, (result,) = run(job)
            check(result)


@pytest.mark.parametrize("format", list(ReduceFormat), ids=lambda format: format.name)
def test_one_result_for_every_way_to_add(format, seed):
    rng = np.random.default_rng([seed, format])
    kind = ReduceKind(1 + int(rng.integers(3)))
    ranks, results = int(rng.integers(2, 9)), set()
    for algorithm in algorithms(Collective.ALLREDUCE):
        for piece, rate in ((PIECE, 0.0), (96, 3e-3)):
            job = Job(
                collective=Collective.ALLREDUCE,
                algorithm=algorithm,
                ranks=ranks,
                bytes=2048,
                kind=kind,
                format=format,
                piece_limit=piece,
                seed=seed,
                skew=int(rng.integers(0, 200)),
            )
            _, (result,) = run(job, flit_error_rate=rate, seed=int(rng.integers(1 << 30)), wire_latency=7)
            check(result)
            results.add(result.sha256)
    assert len(results) == 1


def test_collectives_one_after_the_other_and_side_by_side(seed):
    rng = np.random.default_rng(seed)
    jobs = []
    for number in range(24):
        name = list(PROGRAMS)[int(rng.integers(len(PROGRAMS)))]
        if name[0] in (Collective.SENDRECV, Collective.ALLTOALLV):
            continue
        jobs.append(
            Job(
                collective=name[0],
                algorithm=name[1],
                ranks=5,
                bytes=32 * int(rng.integers(1, 150)),
                root=int(rng.integers(5)),
                piece_limit=PIECE,
                seed=seed + number,
                skew=400,
                communicator=int(rng.integers(2)),
            )
        )
    bench, results = run(*jobs, first_ports=[0, 3], nodes=8, flit_error_rate=1e-3, seed=seed)
    for result in results:
        check(result)
    assert bench.domain.links()["retransmitted"] > 0


def test_a_flaky_domain_of_72(seed):
    job = Job(
        collective=Collective.ALLREDUCE,
        algorithm=Algorithm.TWO_SHOT,
        ranks=72,
        bytes=65536,
        format=ReduceFormat.BF16,
        piece_limit=PIECE,
        seed=seed,
        skew=100,
    )
    bench, (result,) = run(job, flit_error_rate=1e-3, seed=seed)
    check(result)
    links = bench.domain.links()
    assert bench.domain.counts()["errors"] > 50
    assert links["retransmitted"] > links["crc_errors"] > 50


def test_a_first_byte_is_quick():
    assert first_byte_latency(node(), parameters=PARAMETERS) < 100


def test_a_closed_window_is_said_to_the_one_who_writes():
    job = Job(collective=Collective.ALLGATHER, algorithm=Algorithm.LINEAR, ranks=2, bytes=64, piece_limit=PIECE)
    bench = CollectiveRun(node(), [job], parameters=PARAMETERS)
    bench.domain.configure(1, 1 << 3)  # the output window of node 1 is open no more
    put = message.pack(
        message.DESCRIPTOR,
        op=message.DescriptorOp.PUT,
        command=77,
        peer=1,
        window=1,
        bytes=32,
        acknowledge=1,
    )
    before = bench.domain.memory(1).copy()
    bench.domain.run(cycles=50)
    bench.domain.doorbell(0, put << 8)
    bench.domain.run(completions=1)
    (completion,) = bench.domain.completions()
    assert (completion.command, completion.status) == (77, message.Status.REFUSED)
    assert completion.detail == message.Reason.WINDOW
    assert (bench.domain.memory(1) == before).all()
    assert bench.domain.plain(1, "refused") == 1


def test_a_malformed_descriptor_does_nothing():
    job = Job(collective=Collective.ALLGATHER, algorithm=Algorithm.LINEAR, ranks=2, bytes=64, piece_limit=PIECE)
    bench = CollectiveRun(node(), [job], parameters=PARAMETERS)
    fields = {"op": message.DescriptorOp.COLLECTIVE, "command": 5, "communicator": 3, "pieces": 1}
    bench.domain.doorbell(0, message.pack(message.DESCRIPTOR, **fields) << 8)
    bench.domain.run(completions=1)
    (completion,) = bench.domain.completions()
    assert (completion.command, completion.status) == (5, message.Status.MALFORMED)
    assert completion.detail == message.Fault.COMMUNICATOR
    assert bench.domain.counts()["flits_in"] == 0

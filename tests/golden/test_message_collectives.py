"""Collectives on golden message engines: in any order of events, by every algorithm, back to back, side by side."""

import hashlib
from typing import Any

import numpy as np
import pytest

from golden.collectives import Bytes, outcome
from golden.message import Interleaving, Overrun
from golden.message_collective import Group, run
from mtia.collectives import PROGRAMS, Algorithm, Collective, algorithms
from mtia.collectives_geometry import geometry
from mtia.message import (
    flits,
)
from mtia.near_memory import ReduceFormat, ReduceKind
from tests.golden.message_runs import ROOM, back_to_back, chunk_of, inputs_of, laid_out, numbers

C, A = Collective, Algorithm
NAMES = list(PROGRAMS)


@pytest.mark.parametrize("name", NAMES, ids="-".join)
def test_every_program_in_random_orders(name: tuple[Collective, Algorithm], seed: int) -> None:
    """Every byte of every output, those that must not change included, by the definition of the collective."""
    generator = np.random.default_rng(seed)
    most = PROGRAMS[name].most_ranks or 13
    for ranks in (2, 3, 6, most):
        if ranks > most:
            continue
        for length in (4, 196, int(generator.integers(1, 3000)) * 4):
            root, format = int(generator.integers(ranks)), ReduceFormat.FP32
            inputs = inputs_of(generator, name[0], ranks, length, root, format)
            chunk = chunk_of(name[0], ranks, length)
            sizes = (
                generator.integers(0, chunk + 1, (ranks, ranks)).astype(np.uint32) if name[0] is C.ALLTOALLV else None
            )
            expected = outcome(name[0], inputs, chunk=chunk, root=root, sizes=sizes)
            order = Interleaving(int(generator.integers(1 << 30)), float(generator.choice([0, 4, 12])))
            given: dict[str, Any] = {
                "root": root,
                "sizes": sizes,
                "piece_limit": 416,
                "mtu": 416,
                "interleaving": order,
            }
            result = run(*name, inputs, bytes=length, **given)
            for rank in range(ranks):
                wanted = laid_out(expected[rank], len(result.outputs[rank]))
                np.testing.assert_array_equal(result.outputs[rank], wanted, f"rank {rank} of {ranks}, {length} bytes")


def digest(outputs: list[Bytes], length: int) -> str:
    return hashlib.sha256(b"".join(output[:length].tobytes() for output in outputs)).hexdigest()


@pytest.mark.parametrize("kind", [ReduceKind.SUM, ReduceKind.MAX, ReduceKind.MIN])
@pytest.mark.parametrize(
    "format",
    [ReduceFormat.FP32, ReduceFormat.BF16, ReduceFormat.FP16, ReduceFormat.BF16_MXFP8_E4M3, ReduceFormat.FP32_MXFP4],
)
def test_one_digest_for_all_ways_to_add(kind: ReduceKind, format: ReduceFormat, seed: int) -> None:
    """Algorithms, pieces, packets and orders of events leave no trace in the bits."""
    generator = np.random.default_rng(seed + 16 * kind + format)
    ranks = int(generator.choice([2, 3, 5, 8, 9]))
    length = 32 * int(generator.integers(ranks, 3 * ranks))
    inputs = [numbers(generator, length, format) for _ in range(ranks)]
    total = outcome(C.ALLREDUCE, inputs, chunk=0, kind=kind, format=format)[0][0]
    wanted = digest([total] * ranks, length)
    same: dict[str, Any] = {"bytes": length, "kind": kind, "format": format}
    for algorithm in algorithms(C.ALLREDUCE):
        for piece_limit, mtu in ((32, 32), (96, 416), (4064, 4064)):
            order = Interleaving(int(generator.integers(1 << 30)), 6)
            if algorithm is A.IN_SWITCH and -(-length // ranks) > 32 * piece_limit:
                continue
            result = run(C.ALLREDUCE, algorithm, inputs, piece_limit=piece_limit, mtu=mtu, interleaving=order, **same)
            assert digest(result.outputs, length) == wanted, (algorithm, piece_limit)
    root = ranks - 1
    for algorithm in algorithms(C.REDUCE):
        reduced = run(C.REDUCE, algorithm, inputs, root=root, **same).outputs[root]
        assert digest([reduced] * ranks, length) == wanted, algorithm
    scattered = run(C.REDUCESCATTER, A.LINEAR, inputs, **same).outputs
    chunk = chunk_of(C.REDUCESCATTER, ranks, length)
    parts = [output[: max(0, min(chunk, length - rank * chunk))] for rank, output in enumerate(scattered)]
    assert digest([np.concatenate(parts)] * ranks, length) == wanted


@pytest.mark.parametrize("ranks", [31, 72])
def test_one_digest_with_many_ranks(ranks: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    length = 32 * ranks + 96
    inputs = [numbers(generator, length, ReduceFormat.BF16) for _ in range(ranks)]
    total = outcome(C.ALLREDUCE, inputs, chunk=0, format=ReduceFormat.BF16)[0][0]
    for algorithm in (A.TWO_SHOT, A.IN_SWITCH):
        order = Interleaving(seed, 8)
        result = run(C.ALLREDUCE, algorithm, inputs, bytes=length, format=ReduceFormat.BF16, interleaving=order)
        assert digest(result.outputs, length) == digest([total] * ranks, length)


def test_packets_and_flits_are_counted() -> None:
    """Two-shot over 4 ranks, a chunk of 2 pieces of 416 bytes: 3 messages out of each rank, twice."""
    inputs = [np.zeros(4 * 832, np.uint8)] * 4
    result = run(C.ALLREDUCE, A.TWO_SHOT, inputs, bytes=4 * 832, piece_limit=416, mtu=416)
    assert result.packets == 4 * 3 * 2 * 2
    assert result.flits == result.packets * flits(416)
    shorter = run(C.ALLREDUCE, A.TWO_SHOT, inputs, bytes=4 * 832, piece_limit=416, mtu=96)
    assert shorter.packets == result.packets * 5
    greeting = run(C.BARRIER, A.MULTICAST, [np.zeros(0, np.uint8)] * 4, bytes=0)
    assert (greeting.packets, greeting.flits) == (4, 4)


TOGETHER = [name for name in NAMES if name[0] not in (C.ALLTOALLV, C.SENDRECV)]


@pytest.mark.parametrize("trial", range(6))
def test_different_collectives_back_to_back(trial: int, seed: int) -> None:
    """Nobody waits between them: some ranks are a whole collective ahead of others."""
    generator = np.random.default_rng(seed + trial)
    order = Interleaving(seed + trial, skew=3.0 * trial)
    group = Group(4, room=8 * ROOM, landing=4 * ROOM, mtu=224, interleaving=order)
    back_to_back(group, generator, 8, TOGETHER)


def test_parity_is_needed(seed: int) -> None:
    """With one set of landing slots for all, some order of events gives another sum."""
    wrong = 0
    for trial in range(8):
        group = Group(
            3, room=8 * ROOM, landing=4 * ROOM, parities=1, mtu=224, interleaving=Interleaving(seed + trial, 8)
        )
        try:
            back_to_back(group, np.random.default_rng(trial), 8, [(C.ALLREDUCE, A.ONE_SHOT)])
        except AssertionError:
            wrong += 1
    assert wrong


def test_two_communicators_side_by_side(seed: int) -> None:
    """Collectives of one communicator are done in order, those of another beside them."""
    group = Group(4, room=4096, landing=4096, interleaving=Interleaving(seed, 6))
    for engine, node in zip(group.domain.engines, group.domain.nodes, strict=True):
        node.windows[7] = node.windows[1] | {"base": engine.communicators[0]["landing"] + 4096, "size": 4096}
        engine.communicators[0]["parity_bytes"] = 2048
        other = engine.communicators[0] | {"landing_window": 7, "landing": node.windows[7]["base"]}
        engine.communicators[1] = other
    generator = np.random.default_rng(seed)
    cut = geometry(C.ALLREDUCE, A.TWO_SHOT, ranks=4, bytes=512, piece_limit=64)
    expected = []
    for turn in range(8):
        inputs = [numbers(generator, 512, ReduceFormat.FP32) for _ in range(4)]
        for rank, data in enumerate(inputs):
            group.give(rank, data, at=turn * 512)
        place = {"input": turn * 512, "output": turn * 512}
        group.start(C.ALLREDUCE, A.TWO_SHOT, cut, communicator=turn % 2, **place)
        expected.append(outcome(C.ALLREDUCE, inputs, chunk=0)[0][0])
    group.finish()
    for rank, engine in enumerate(group.domain.engines):
        np.testing.assert_array_equal(group.output(rank), np.concatenate(expected))
        for communicator in (0, 1):
            done = [c.number for c in engine.completed if c.fields["communicator"] == communicator]
            assert done == sorted(done)


def test_more_pieces_than_the_switch_has_places_for(seed: int) -> None:
    """A program that does not wait for results overruns a unit in some order of events."""
    overruns = 0
    for trial in range(10):
        group = Group(3, room=3 * 32 * 8, landing=32, places=1, interleaving=Interleaving(seed + trial, 6))
        cut = geometry(C.ALLREDUCE, A.IN_SWITCH, ranks=3, bytes=3 * 32 * 8, piece_limit=32)
        group.start(C.ALLREDUCE, A.IN_SWITCH, cut)
        try:
            group.finish()
        except Overrun:
            overruns += 1
    assert overruns


def test_a_long_reduction_is_split() -> None:
    """The switch takes pieces of a packet at most, so a long one is done in parts; the bits stay."""
    inputs = [numbers(np.random.default_rng(rank), 5000, ReduceFormat.FP32) for rank in range(2)]
    result = run(C.ALLREDUCE, A.IN_SWITCH, inputs, bytes=5000, piece_limit=32)
    total = outcome(C.ALLREDUCE, inputs, chunk=0)[0][0]
    for output in result.outputs:
        np.testing.assert_array_equal(output[:5000], total)


def test_input_past_the_room() -> None:
    with pytest.raises(ValueError, match=r"Input must fit the 64 bytes of room, not end at 65"):
        Group(2, room=64, landing=0).give(0, np.zeros(65, np.uint8))


def test_a_failed_command_is_told() -> None:
    group = Group(2, room=64, landing=64)
    for node in group.domain.nodes:
        node.windows.clear()
    group.start(C.ALLREDUCE, A.ONE_SHOT, geometry(C.ALLREDUCE, A.ONE_SHOT, ranks=2, bytes=64))
    with pytest.raises(RuntimeError, match=r"Commands of rank 0 failed: .*'status': 2, 'detail': 2"):
        group.finish()

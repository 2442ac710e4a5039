"""Golden message engines: puts, copies, semaphores, entries that no collective has, and what is refused."""

import dataclasses

import numpy as np
import pytest

from golden.message import Deadlock, Domain
from golden.message_entry import work
from golden.message_node import Packet
from mtia.collectives import PROGRAMS, Algorithm, Collective, number
from mtia.collectives_entries import NEXT, Cut, Entry, Image, Place, Program, Subgraph, encode
from mtia.collectives_geometry import descriptor, geometry
from mtia.message import (
    ENTRY,
    EVENT,
    Base,
    Channel,
    Comparison,
    DescriptorOp,
    Extent,
    PacketOp,
    Predicate,
    Reason,
    Right,
    Status,
    Sync,
    WorkOp,
    pack,
)

C, A = Collective, Algorithm


def small(ranks: int = 2, image: Image | None = None, places: int = 2) -> Domain:
    """Accelerators with a window 3 from 1,024 on, of 512 bytes, open to each other."""
    domain = Domain(ranks, 4096, image or encode(list(PROGRAMS.values())), mtu=96, places=places)
    for node in domain.nodes:
        opened = {"valid": 1, "rights": Right.WRITE | Right.EVENT, "sources": (1 << ranks) - 1, "key": 5, "epoch": 1}
        node.windows[3] = {**opened, "base": 1024, "size": 512, "partition": 2}
    return domain


PUT = {"op": DescriptorOp.PUT, "partition": 2, "window": 3, "key": 5, "epoch": 1, "peer": 1, "bytes": 200, "output": 32}


def test_put() -> None:
    """Bytes at an offset of the peer's window; with an event, a bit of it; acknowledged if it asks."""
    domain = small()
    domain.nodes[0].memory[:200] = np.arange(200)
    event = pack(EVENT, communicator=3, piece=2)
    domain.engines[0].submit(PUT | {"acknowledge": 1, "command": 77, "event": event, "root": 9, "immediate": 0x1_0042})
    domain.run()
    memory = domain.nodes[1].memory
    np.testing.assert_array_equal(memory[1024 + 32 : 1024 + 232], np.arange(200))
    assert not memory[:1056].any()
    assert not memory[1256:].any()
    assert domain.nodes[1].events == {event: (0x42, 1 << 9)}
    completion = domain.engines[0].completed[0].completion()
    assert completion == {"command": 77, "partition": 2, "bytes": 200, "status": Status.OK, "detail": 0}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"window": 4}, Reason.WINDOW),
        ({"partition": 1}, Reason.PARTITION),
        ({"key": 6}, Reason.KEY),
        ({"epoch": 0}, Reason.EPOCH),
        ({"output": 512}, Reason.RANGE),
        ({"output": 320}, Reason.RANGE),
    ],
)
def test_a_refused_put(change: dict[str, int], reason: Reason) -> None:
    """An error completion, a count, and nothing written but what was in the window."""
    domain = small()
    domain.nodes[0].memory[:200] = 1
    event = pack(EVENT, communicator=3)
    domain.engines[0].submit(PUT | {"acknowledge": 1, "event": event} | change)
    domain.run()
    completion = domain.engines[0].completed[0].completion()
    assert (completion["status"], completion["detail"]) == (Status.REFUSED, reason)
    node = domain.nodes[1]
    assert node.refused[reason] >= 1
    assert not node.events
    assert not node.memory[:1024].any()
    assert not node.memory[1536:].any()
    if change.get("output") != 320:
        assert not node.memory.any()


def test_the_end_of_a_message_that_is_not_whole_sets_no_event() -> None:
    """A packet of it was refused: its end is refused too, as it would tell of bytes that are not there."""
    node = small().nodes[1]
    good = {"op": PacketOp.WRITE_IMMEDIATE, "source": 0, "partition": 2, "window": 3, "key": 5, "epoch": 1, "end": 0}
    last = good | {"end": 1, "event": pack(EVENT, piece=1), "sequence": 0, "slot": 0, "length": 32}
    bad = Packet(good | {"offset": 8192, "length": 32}, bytes(32))
    assert [answer.op for answer in node.receive(bad, Channel.REQUEST)] == [PacketOp.REFUSED]
    answers = node.receive(Packet(last, bytes([7] * 32)), Channel.REQUEST)
    assert [(answer.op, answer.fields["immediate"]) for answer in answers] == [(PacketOp.REFUSED, Reason.RANGE)]
    assert not node.events
    assert not node.memory.any()
    assert not node.receive(Packet(last, bytes(32)), Channel.REQUEST)
    assert node.events == {pack(EVENT, piece=1): (0, 1)}


def test_refused_results_are_only_counted() -> None:
    node = small().nodes[1]
    result = {"op": PacketOp.RESULT, "source": 255, "window": 9, "end": 1, "length": 0}
    assert node.receive(Packet(result), Channel.RESPONSE) == []
    assert node.refused == {Reason.WINDOW: 1}


def test_copy_and_noop() -> None:
    domain = small()
    engine = domain.engines[0]
    engine.node.memory[:100] = np.arange(100)
    engine.submit({"op": DescriptorOp.COPY, "input": 0, "output": 2048, "bytes": 99, "command": 1})
    engine.submit({"op": DescriptorOp.NOOP, "command": 2})
    domain.run()
    assert sorted(command.completion()["command"] for command in engine.completed) == [1, 2]
    np.testing.assert_array_equal(engine.node.memory[2048:2148], [*range(99), 0])


@pytest.mark.parametrize(
    ("comparison", "before", "after"),
    [
        (Comparison.EQUAL, 6, 7),
        (Comparison.NOT_EQUAL, 7, 0xFFFF_FFFF),
        (Comparison.GREATER_EQUAL, 6, 0x8000_0000),
        (Comparison.LESS, 7, 6),
    ],
)
def test_a_command_starts_on_a_semaphore(comparison: Comparison, before: int, after: int) -> None:
    """It waits until the word in memory compares, unsigned; another accelerator's put may bring that about."""
    domain = small()
    engine, other = domain.engines
    engine.node.memory[1024:1028] = np.frombuffer(before.to_bytes(4, "little"), np.uint8)
    semaphore = {"comparison": comparison, "semaphore": 1024, "value": 7}
    engine.submit({"op": DescriptorOp.COPY, "input": 1024, "output": 64, "bytes": 4, **semaphore})
    with pytest.raises(Deadlock, match="0: command 0"):
        domain.run()
    other.node.memory[0:4] = np.frombuffer(after.to_bytes(4, "little"), np.uint8)
    other.submit(PUT | {"peer": 0, "bytes": 4, "output": 0})
    domain.run()
    assert int.from_bytes(engine.node.memory[64:68].tobytes(), "little") == after


def two_ranks(image: Image) -> Domain:
    """A communicator of two ranks with landing slots from 0 and outputs from 1,024."""
    domain = small(image=image)
    for rank, engine in enumerate(domain.engines):
        shared = {"partition": 2, "epoch": 1, "key": 5, "landing_window": 3, "output_window": 3}
        places = {"output": 1024, "landing": 0, "parity_bytes": 0, "first_port": 0, "group": 0}
        engine.communicators[0] = {"valid": 1, "rank": rank, "ranks": 2, **shared, **places}
    return domain


GOOD = {"op": DescriptorOp.COLLECTIVE, "partition": 2, "chunk": 32, "last": 4, "owners": 1, "piece": 32, "pieces": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"op": 4},
        {"comparison": 5},
        {"semaphore": 2},
        {"input": 16},
        {"output": 1040},
        {"output": 992},
        {"communicator": 1},
        {"partition": 1},
        {"program": 255},
        {"root": 2},
        {"owners": 3},
        {"chunk": 40},
        {"piece": 33},
        {"last": 33},
        {"pieces": 0},
        {"pieces": 33},
        {"format": 3},
        {"format": 28},
        {"op": DescriptorOp.PUT, "peer": 72},
        {"op": DescriptorOp.PUT, "input": 1},
        {"op": DescriptorOp.COPY, "output": 65},
    ],
)
def test_malformed_descriptors(change: dict[str, int]) -> None:
    """An error completion, and nothing is done; the same descriptor without the fault waits for the other rank."""
    domain = two_ranks(encode(list(PROGRAMS.values())))
    engine = domain.engines[0]
    fields = GOOD | {"program": number(C.BARRIER, A.LINEAR), "output": 1024, "command": 3}
    engine.submit(fields | change)
    domain.run()
    assert engine.completed[0].completion()["status"] == Status.MALFORMED
    assert not domain.sent
    engine.submit(fields)
    with pytest.raises(Deadlock, match="NOOP RECEIVE_SYNC"):
        domain.run()


def program_of(*entries: Entry) -> Image:
    """A program that runs once, of entries that only the root does."""
    entries = tuple(dataclasses.replace(entry, predicate=Predicate.ROOT) for entry in entries)
    return encode([Program(subgraphs=(Subgraph(entries, repeats=False),), cut=Cut.WHOLE)])


HERE, THERE, FLAG = Place(Base.OUTPUT), Place(Base.OUTPUT), Place(Base.SEMAPHORE)
MOVED = {"op": DescriptorOp.COLLECTIVE, "partition": 2, "pieces": 1, "piece": 32, "chunk": 32, "bytes": 32, "owners": 1}


def test_entries_that_no_collective_has() -> None:
    """COPY, then by WQE_SYNC a WRITE of the copy that asks for DONE, then by FENCE a SET, which lets a WAIT go on."""
    image = program_of(
        Entry(op=WorkOp.COPY, extent=Extent.WHOLE, target=HERE),
        Entry(
            op=WorkOp.WRITE,
            sync=Sync.WQE_SYNC,
            extent=Extent.WHOLE,
            peer=NEXT,
            acknowledge=True,
            source=HERE,
            target=THERE,
        ),
        Entry(op=WorkOp.SET, sync=Sync.FENCE, extent=Extent.EMPTY, target=FLAG),
        Entry(op=WorkOp.WAIT, extent=Extent.EMPTY),
    )
    for trial in range(5):
        domain = two_ranks(image)
        domain.engines[0].node.memory[:32] = np.arange(32)
        fields = MOVED | {"last": 32, "output": 1024, "semaphore": 2000, "immediate": 0x1234_5678, "command": trial}
        for engine in domain.engines:
            engine.submit(fields)
        domain.run()
        first, second = (engine.node.memory for engine in domain.engines)
        np.testing.assert_array_equal(second[1024:1056], np.arange(32))
        assert first[2000:2004].tobytes() == bytes.fromhex("78563412")
        assert domain.sent["packets"] == 2


def test_a_wait_inside_a_program() -> None:
    """An entry waits for the descriptor's comparison as a command does before it starts."""
    image = program_of(
        Entry(op=WorkOp.WAIT, extent=Extent.EMPTY), Entry(op=WorkOp.COPY, extent=Extent.WHOLE, target=HERE)
    )
    domain = two_ranks(image)
    engine = domain.engines[0]
    engine.node.memory[:32] = 9
    engine.submit(MOVED | {"last": 32, "output": 1024})
    domain.run()
    assert (engine.node.memory[1024:1056] == 9).all()


def test_a_refused_message_ends_the_command() -> None:
    """The completion tells the reason; the engine goes on with the next command."""
    inputs = 2048
    domain = Domain(2, 1 << 16, encode(list(PROGRAMS.values())))
    cut = geometry(C.ALLREDUCE, A.ONE_SHOT, ranks=2, bytes=inputs)
    for rank, engine in enumerate(domain.engines):
        windows = {"landing_window": 1, "output_window": 2, "output": 8192, "landing": 16384, "parity_bytes": 8192}
        engine.communicators[0] = {
            "valid": 1,
            "rank": rank,
            "ranks": 2,
            "partition": 0,
            "epoch": 0,
            "key": 1,
            **windows,
        }
        engine.communicators[0] |= {"first_port": 0, "group": 0}
        engine.submit(descriptor(C.ALLREDUCE, A.ONE_SHOT, cut, command=8, output=8192))
        engine.submit({"op": DescriptorOp.NOOP, "command": 9})
    domain.run()
    for engine in domain.engines:
        ends = {command.fields["command"]: command for command in engine.completed}
        assert (ends[8].status, ends[8].detail) == (Status.REFUSED, Reason.WINDOW)
        assert ends[9].status is Status.OK


def test_windows_outside_memory() -> None:
    node = small().nodes[0]
    node.windows[3]["base"] = 4064
    fields = {
        "op": PacketOp.WRITE,
        "source": 1,
        "partition": 2,
        "window": 3,
        "key": 5,
        "epoch": 1,
        "end": 1,
        "length": 33,
    }
    with pytest.raises(ValueError, match=r"Windows must lie in the 4096 bytes of memory, not reach 4064"):
        node.receive(Packet(fields, bytes(33)), Channel.REQUEST)


@pytest.mark.parametrize(("field", "value"), [("op", 10), ("op", 15), ("sync", 7)])
def test_words_that_are_no_entries(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{value} is not a valid"):
        work(pack(ENTRY, **{field: value}))

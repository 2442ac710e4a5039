"""Programs as words, and the cut of a collective."""

import itertools

import pytest

from mtia import collectives
from mtia.collectives import PROGRAMS, Algorithm, Collective, algorithms, in_switch, number
from mtia.collectives_entries import BEFORE, PEER, Cut, Entry, Index, Place, Program, Subgraph, encode, part, whole
from mtia.collectives_geometry import (
    DIVISIBLE,
    MAX_PIECE,
    Geometry,
    descriptor,
    geometry,
    landing_bytes,
    most_bytes,
    split,
)
from mtia.message import (
    DESCRIPTOR,
    ENTRY,
    MAX_PIECES,
    MAX_RANKS,
    PROGRAM,
    Base,
    DescriptorOp,
    Predicate,
    Sync,
    WorkOp,
    pack,
    unpack,
)
from mtia.near_memory import ReduceFormat, ReduceKind

C, A = Collective, Algorithm
NAMES = list(PROGRAMS)


def test_every_collective_has_a_program() -> None:
    assert {collective for collective, _ in PROGRAMS} == set(Collective)
    assert set(algorithms(C.ALLREDUCE)) == {A.ONE_SHOT, A.TWO_SHOT, A.RING, A.IN_SWITCH}
    assert [number(*name) for name in NAMES] == list(range(len(NAMES)))


def test_words_of_all_programs() -> None:
    """All fit the context RAM; each directory entry leads to its subgraphs, each of which ends where it should."""
    image = encode(list(PROGRAMS.values()))
    assert len(image.context) <= 1 << 9
    for program, word in zip(PROGRAMS.values(), image.directory, strict=True):
        fields = unpack(PROGRAM, word)
        assert fields["subgraphs"] == len(program.subgraphs)
        for index, subgraph in enumerate(program.subgraphs):
            begin = fields[f"entry_{index}"]
            words = [unpack(ENTRY, each) for each in image.context[begin : begin + len(subgraph.entries)]]
            last = len(words) - 1
            assert [each["ends"] for each in words] == [int(at == last) for at in range(len(words))]
            assert [each["closes"] for each in words] == [
                int(at == last and subgraph.repeats) for at in range(len(words))
            ]
            assert [each["op"] for each in words] == [entry.op for entry in subgraph.entries]


def test_word_of_an_entry_by_hand() -> None:
    entry = Entry(
        op=WorkOp.WRITE_IMMEDIATE,
        sync=Sync.FORWARD_SYNC,
        predicate=Predicate.AMONG_OTHERS,
        peer=PEER,
        source=part(Base.LANDING, BEFORE),
        target=whole(Base.OUTPUT),
        wait_lag=2,
    )
    (word,) = Subgraph((entry,)).words()
    fields = unpack(ENTRY, word)
    wanted = {"op": 2, "sync": 6, "predicate": 3, "closes": 1, "ends": 1, "wait_lag": 2}
    wanted |= {"peer_rank": 1, "peer_step": 1, "peer_offset": 1}
    wanted |= {"source_base": 2, "source_scaled": 1, "source_pieced": 1}
    wanted |= {"source_rank": 1, "source_step": 3, "source_offset": 15}
    wanted |= {"target_base": 1, "target_pieced": 1, "target_rank": 1}
    assert {name: value for name, value in fields.items() if value} == wanted


def test_same_subgraphs_are_stored_once() -> None:
    program = PROGRAMS[C.ALLREDUCE, A.TWO_SHOT]
    assert encode([program, program]).context == encode([program]).context


def test_index() -> None:
    for rank, step in itertools.product(range(5), range(4)):
        assert PEER.at(rank=rank, step=step, root=0, ranks=5) == (rank + step + 1) % 5
        assert Index(rank=-1, root=1, offset=-1).at(rank=rank, step=step, root=3, ranks=5) == (3 - rank - 1) % 5


@pytest.mark.parametrize("name", NAMES, ids="-".join)
@pytest.mark.parametrize("ranks", [2, 3, 8, 71, 72])
def test_a_cut_covers_all_bytes_once(name: tuple[Collective, Algorithm], ranks: int) -> None:
    program = PROGRAMS[name]
    if ranks > (program.most_ranks or MAX_RANKS) or name[0] is C.BARRIER:
        return
    parts = {Cut.CHUNKS: ranks, Cut.OTHERS: ranks - 1, Cut.WHOLE: 1}[program.cut]
    for count, limit in itertools.product((4, 32, 36, 256, 4096, 65536, 100_004), (32, 1056, 4064)):
        if count > most_bytes(*name, ranks=ranks, piece_limit=limit):
            continue
        cut = geometry(*name, ranks=ranks, bytes=count, piece_limit=limit)
        assert cut.chunk % 32 == 0
        assert cut.piece % 32 == 0
        assert cut.piece <= cut.chunk
        assert 1 <= cut.pieces <= MAX_PIECES
        assert 1 <= cut.owners <= parts
        assert cut.landing_bytes == (ranks * cut.chunk if program.landing else 0)
        assert cut.landing_bytes == landing_bytes(*name, ranks=ranks, bytes=count)
        if name[0] is C.ALLTOALLV:
            assert (cut.owners, cut.last) == (ranks, cut.chunk)
            continue
        assert 0 < cut.last <= cut.chunk
        assert sum(cut.size(chunk) for chunk in range(ranks)) == count
        for chunk in range(ranks):
            assert sum(cut.length(chunk, piece) for piece in range(cut.pieces)) == cut.size(chunk)
        if program.cut is Cut.WHOLE:
            assert sum(cut.whole_length(piece) for piece in range(cut.pieces)) == count
        if cut.piece > limit:
            assert not program.one_packet
            assert cut.pieces <= MAX_PIECES < -(-cut.chunk // limit)


def test_cuts_by_hand() -> None:
    assert geometry(C.ALLREDUCE, A.TWO_SHOT, ranks=8, bytes=256) == Geometry(256, 32, 32, 8, 32, 1, 256)
    assert geometry(C.ALLREDUCE, A.TWO_SHOT, ranks=72, bytes=256) == Geometry(256, 32, 32, 8, 32, 1, 72 * 32)
    assert geometry(C.ALLREDUCE, A.ONE_SHOT, ranks=3, bytes=100, piece_limit=64) == Geometry(
        100, 128, 100, 1, 64, 2, 384
    )
    assert geometry(C.BROADCAST, A.SCATTER, ranks=3, bytes=100) == Geometry(100, 64, 36, 2, 64, 1, 0)
    assert geometry(C.BARRIER, A.LINEAR, ranks=3, bytes=0).pieces == 1


def test_most_bytes_is_the_most() -> None:
    for name in (
        (C.ALLREDUCE, A.IN_SWITCH),
        (C.ALLREDUCE, A.TWO_SHOT),
        (C.ALLREDUCE, A.ONE_SHOT),
        (C.BROADCAST, A.SCATTER),
    ):
        most = most_bytes(*name, ranks=3, piece_limit=96)
        assert geometry(*name, ranks=3, bytes=most, piece_limit=96).pieces == 32
        with pytest.raises(ValueError, match=f"bytes must be at most {most}, not {most + 4}"):
            geometry(*name, ranks=3, bytes=most + 4, piece_limit=96)
    assert most_bytes(C.ALLREDUCE, A.IN_SWITCH, ranks=2, piece_limit=4064) == 2 * 32 * 4064


@pytest.mark.parametrize("collective", DIVISIBLE)
def test_split(collective: Collective) -> None:
    for algorithm in algorithms(collective):
        most = most_bytes(collective, algorithm, ranks=2, piece_limit=32)
        for total in (4, most, most + 4, 5 * most - 4):
            parts = split(collective, algorithm, ranks=2, bytes=total, piece_limit=32)
            assert sum(parts) == total
            assert len(parts) == -(-total // most)
            for at, size in enumerate(parts):
                assert size % 32 == 0 or at == len(parts) - 1
                geometry(collective, algorithm, ranks=2, bytes=size, piece_limit=32)


def test_descriptor() -> None:
    cut = geometry(C.ALLTOALLV, A.LINEAR, ranks=4, bytes=4096)
    fields = descriptor(C.ALLTOALLV, A.LINEAR, cut, command=9, root=2, sizes=0x1234_5678_9ABC, communicator=3, value=7)
    word = unpack(DESCRIPTOR, pack(DESCRIPTOR, **fields))
    assert word["op"] == DescriptorOp.COLLECTIVE
    assert word["program"] == number(C.ALLTOALLV, A.LINEAR)
    assert word["immediate"] | word["event"] << 32 == 0x1234_5678_9ABC
    assert [word[name] for name in ("command", "root", "communicator", "value")] == [9, 2, 3, 7]
    assert [word[name] for name in ("bytes", "chunk", "last", "owners", "piece", "pieces")] == list(cut[:6])
    maximum = {"kind": ReduceKind.MAX, "format": ReduceFormat.BF16, "program": 200}
    fields = descriptor(C.REDUCE, A.LINEAR, cut, command=1, **maximum)  # type: ignore[arg-type]
    assert [fields[name] for name in ("kind", "format", "program")] == [2, 1, 200]


def test_geometry_wrong() -> None:
    with pytest.raises(ValueError, match="Algorithm of barrier must be one of linear, multicast, not 'ring'"):
        geometry(C.BARRIER, A.RING, ranks=2, bytes=4)
    for ranks in (1, 73):
        with pytest.raises(ValueError, match=f"ranks must be from 2 to 72, not {ranks}"):
            geometry(C.ALLREDUCE, A.RING, ranks=ranks, bytes=4)
    with pytest.raises(ValueError, match="ranks must be from 2 to 2, not 3"):
        geometry(C.SENDRECV, A.EAGER, ranks=3, bytes=4)
    for limit in (0, 33, MAX_PIECE + 32):
        with pytest.raises(ValueError, match=f"piece_limit must be a multiple of 32 up to 65504, not {limit}"):
            geometry(C.ALLREDUCE, A.RING, ranks=2, bytes=4, piece_limit=limit)
    for count in (0, 2, 1 << 32):
        with pytest.raises(ValueError, match=rf"bytes must be a multiple of 4 from 4 to 2\^32 - 1, not {count}"):
            geometry(C.ALLREDUCE, A.RING, ranks=2, bytes=count)
    with pytest.raises(ValueError, match="bytes must be a multiple of 32 from 32"):
        geometry(C.ALLREDUCE, A.RING, ranks=2, bytes=48, format=ReduceFormat.BF16_MXFP4)
    assert geometry(C.ALLREDUCE, A.RING, ranks=2, bytes=6, format=ReduceFormat.BF16).bytes == 6
    assert geometry(C.ALLGATHER, A.LINEAR, ranks=2, bytes=5).bytes == 5
    most = most_bytes(C.ALLTOALL, A.LINEAR, ranks=2)
    with pytest.raises(ValueError, match=f"bytes must be at most {most}, not {most + 1}"):
        split(C.ALLTOALL, A.LINEAR, ranks=2, bytes=most + 1)


def test_encode_wrong() -> None:
    program = PROGRAMS[C.BARRIER, A.LINEAR]
    for count in (0, 257):
        with pytest.raises(ValueError, match=f"Programs must be from 1 to 256, not {count}"):
            encode([program] * count)
    for subgraphs in ((), program.subgraphs * 5, (Subgraph(()),)):
        with pytest.raises(ValueError, match="Subgraphs must be from 1 to 4, none empty, not "):
            encode([Program(subgraphs=subgraphs, cut=Cut.WHOLE)])
    long = tuple(Entry(op=WorkOp.NOOP, target=Place(pieced=True)) for _ in range(513))
    with pytest.raises(ValueError, match="Entries must be at most 512 in all, not 513"):
        encode([Program(subgraphs=(Subgraph(long),), cut=Cut.WHOLE)])
    for window in (0, 8):
        with pytest.raises(ValueError, match=f"window must be from 1 to 7, not {window}"):
            in_switch(window)
    with pytest.raises(ValueError, match="Algorithm of barrier must be one of linear, multicast, not 'ring'"):
        collectives.number(C.BARRIER, A.RING)

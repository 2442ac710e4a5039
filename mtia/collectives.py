"""Collectives as programs of the message engine, one for each way to do each of them.

A program is data (`mtia.collectives_entries`): a new algorithm is a new row of `PROGRAMS`. They keep three rules, which
`golden.message_check` proves for all numbers of ranks:

- A rank that ends a collective knows that every rank has started it. So two sets of landing slots suffice (the parity
  of the collective's number), and no event is overwritten that somebody waits for. Where the data do not tell, the
  ranks greet each other: one head flit to each, beside the data.
- Every message is waited for by its receiver before the collective ends there.
- Sums are made of the contributions of all ranks, unchanged, along one tree: the bits do not depend on the algorithm.

Phases of events: 0 contributions and data, 1 results, 2 greetings.

>>> program = PROGRAMS[Collective.ALLREDUCE, Algorithm.TWO_SHOT]
>>> [len(subgraph.entries) for subgraph in program.subgraphs]
[1, 2, 1]
"""

import enum

from .collectives_entries import FIRST, ME, RANK, ROOT, STEP, Cut, Entry, Program, part, whole
from .collectives_parts import (
    CONTRIBUTE,
    CONTRIBUTE_EVERY,
    EXCHANGE,
    FROM_ROOT,
    GATHER,
    KEEP_EXCHANGED,
    KEEP_GATHERED,
    OWN_PART,
    PEER_PART,
    READY,
    READY_ROOT,
    ROOT_KEEPS,
    SUM_WHOLE,
    WHOLE,
    add,
    copy,
    every_piece,
    greeting,
    receive,
    ring,
    send,
    sized,
    when_ready,
)
from .message import Base, Expect, Extent, Predicate, Repeat, Sync, WorkOp


class Collective(enum.StrEnum):
    """What the ranks do together. Of `bytes`, chunk c is the c-th part."""

    BROADCAST = "broadcast"  #: the root's input to every output
    REDUCE = "reduce"  #: sum of all inputs to the root's output
    ALLREDUCE = "allreduce"  #: sum of all inputs to every output
    REDUCESCATTER = "reducescatter"  #: chunk r of the sum to the output of rank r
    ALLGATHER = "allgather"  #: the input of rank r, which is chunk r, to every output
    ALLTOALL = "alltoall"  #: chunk c of the input of rank r to chunk r of the output of rank c
    ALLTOALLV = "alltoallv"  #: the same, of each chunk so many bytes as a table in the sender's memory says
    BARRIER = "barrier"  #: nothing; nobody ends before all have started
    SENDRECV = "sendrecv"  #: the root's input to the output of the other of two ranks


class Algorithm(enum.StrEnum):
    """How. None of it is visible in the bits."""

    LINEAR = "linear"  #: straight to where it belongs, peer by peer
    SCATTER = "scatter"  #: in parts over the other ranks, which pass them on
    MULTICAST = "multicast"  #: one message, which the switch copies
    RENDEZVOUS = "rendezvous"  #: as LINEAR, once the receiver has said that its output is free
    EAGER = "eager"  #: into a landing slot, and copied from there
    ONE_SHOT = "one-shot"  #: everything to everybody, who all add
    TWO_SHOT = "two-shot"  #: each rank adds a chunk and passes the sum on
    RING = "ring"  #: from neighbour to neighbour, unreduced: for topologies that have lost links
    IN_SWITCH = "in-switch"  #: the switch adds


#: pieces in flight in a reduction unit of the switch: a contribution waits for the result of the piece so many before
WINDOW = 6


def in_switch(window: int = WINDOW) -> Program:
    """All-reduce by a switch that holds `window` pieces of a reduction; ValueError for one that is not 1 to 7."""
    if not 1 <= window <= 7:
        raise ValueError(f"window must be from 1 to 7, not {window!r}")
    contribute = Entry(
        op=WorkOp.REDUCE,
        sync=Sync.RECEIVE_SYNC,
        expect=Expect.OWNERS,
        expect_self=True,
        repeat=Repeat.RANKS,
        peer=RANK,
        source=part(Base.INPUT, RANK),
        target=part(Base.OUTPUT, RANK),
        chunk=RANK,
        wait_phase=1,
        wait_lag=window,
        set_phase=1,
    )
    waits = receive(1, Expect.OWNERS, own=True)
    return Program(subgraphs=(every_piece(contribute), every_piece(waits)), cut=Cut.CHUNKS, one_packet=True)


_C, _A = Collective, Algorithm
#: every program that there is; the place of a program is its number in the directory
PROGRAMS: dict[tuple[Collective, Algorithm], Program] = {
    (_C.BROADCAST, _A.LINEAR): Program(
        subgraphs=(
            every_piece(send(whole(Base.INPUT), whole(Base.OUTPUT), ME, predicate=Predicate.ROOT, **WHOLE), ROOT_KEEPS),
            every_piece(FROM_ROOT),
            greeting(),
        ),
        cut=Cut.WHOLE,
        early=True,
    ),
    (_C.BROADCAST, _A.SCATTER): Program(
        subgraphs=(
            every_piece(
                send(part(Base.INPUT, PEER_PART), part(Base.OUTPUT, PEER_PART), PEER_PART, predicate=Predicate.ROOT),
                copy(
                    part(Base.INPUT, STEP),
                    part(Base.OUTPUT, STEP),
                    STEP,
                    predicate=Predicate.ROOT,
                    repeat=Repeat.RANKS,
                ),
                send(
                    part(Base.OUTPUT, OWN_PART),
                    part(Base.OUTPUT, OWN_PART),
                    OWN_PART,
                    predicate=Predicate.AMONG_OTHERS,
                    sync=Sync.FORWARD_SYNC,
                ),
            ),
            every_piece(receive(0, Expect.OWNERS, Predicate.OTHERS, own=True)),
            greeting(),
        ),
        cut=Cut.OTHERS,
        early=True,
    ),
    (_C.BROADCAST, _A.MULTICAST): Program(
        subgraphs=(
            every_piece(
                send(
                    whole(Base.INPUT),
                    whole(Base.OUTPUT),
                    ME,
                    predicate=Predicate.ROOT,
                    repeat=Repeat.ONE,
                    peer=FIRST,
                    multicast=True,
                    **WHOLE,
                ),
                ROOT_KEEPS,
            ),
            every_piece(FROM_ROOT),
            greeting(multicast=True),
        ),
        cut=Cut.WHOLE,
        early=True,
    ),
    (_C.BROADCAST, _A.RENDEZVOUS): Program(
        subgraphs=(
            every_piece(
                READY_ROOT,
                when_ready(send(whole(Base.INPUT), whole(Base.OUTPUT), ME, predicate=Predicate.ROOT, **WHOLE)),
                ROOT_KEEPS,
            ),
            every_piece(FROM_ROOT),
            greeting(),
        ),
        cut=Cut.WHOLE,
    ),
    (_C.REDUCE, _A.LINEAR): Program(
        subgraphs=(
            every_piece(
                send(
                    whole(Base.INPUT),
                    part(Base.LANDING, ME),
                    ME,
                    predicate=Predicate.OTHERS,
                    repeat=Repeat.ONE,
                    peer=ROOT,
                    **WHOLE,
                )
            ),
            every_piece(
                add(whole(Base.INPUT), whole(Base.OUTPUT), predicate=Predicate.ROOT, **WHOLE),
            ),
            greeting(),
        ),
        cut=Cut.WHOLE,
        landing=True,
    ),
    (_C.REDUCE, _A.TWO_SHOT): Program(
        subgraphs=(
            every_piece(CONTRIBUTE_EVERY),
            every_piece(
                add(part(Base.INPUT, ME), part(Base.OUTPUT, ME), predicate=Predicate.ROOT),
                add(part(Base.INPUT, ME), part(Base.LANDING, ME), predicate=Predicate.OTHERS),
                send(
                    part(Base.LANDING, ME),
                    part(Base.OUTPUT, ME),
                    ME,
                    predicate=Predicate.OTHERS,
                    repeat=Repeat.ONE,
                    peer=ROOT,
                    sync=Sync.WQE_SYNC,
                    set_phase=1,
                ),
            ),
            every_piece(receive(1, Expect.OWNERS, Predicate.ROOT)),
        ),
        cut=Cut.CHUNKS,
        landing=True,
    ),
    (_C.ALLREDUCE, _A.ONE_SHOT): Program(
        subgraphs=(
            every_piece(send(whole(Base.INPUT), part(Base.LANDING, ME), ME, **WHOLE)),
            every_piece(SUM_WHOLE),
        ),
        cut=Cut.WHOLE,
        landing=True,
    ),
    (_C.ALLREDUCE, _A.TWO_SHOT): Program(
        subgraphs=(
            every_piece(CONTRIBUTE),
            every_piece(
                add(part(Base.INPUT, ME), part(Base.OUTPUT, ME), expect=Expect.PEERS),
                send(part(Base.OUTPUT, ME), part(Base.OUTPUT, ME), ME, sync=Sync.WQE_SYNC, set_phase=1),
            ),
            every_piece(receive(1, Expect.OWNERS)),
        ),
        cut=Cut.CHUNKS,
        landing=True,
    ),
    (_C.ALLREDUCE, _A.RING): Program(
        subgraphs=(
            ring(whole(Base.INPUT), Base.LANDING, Extent.WHOLE),
            every_piece(SUM_WHOLE),
        ),
        cut=Cut.WHOLE,
        landing=True,
    ),
    (_C.ALLREDUCE, _A.IN_SWITCH): in_switch(),
    (_C.REDUCESCATTER, _A.LINEAR): Program(
        subgraphs=(
            every_piece(CONTRIBUTE_EVERY),
            every_piece(add(part(Base.INPUT, ME), whole(Base.OUTPUT))),
        ),
        cut=Cut.CHUNKS,
        landing=True,
    ),
    (_C.ALLGATHER, _A.LINEAR): Program(
        subgraphs=(every_piece(GATHER), every_piece(KEEP_GATHERED, receive(0, Expect.ALL))),
        cut=Cut.CHUNKS,
        early=True,
    ),
    (_C.ALLGATHER, _A.MULTICAST): Program(
        subgraphs=(
            every_piece(
                send(
                    whole(Base.INPUT),
                    part(Base.OUTPUT, ME),
                    ME,
                    extent=Extent.EVERY,
                    repeat=Repeat.ONE,
                    peer=FIRST,
                    multicast=True,
                )
            ),
            every_piece(KEEP_GATHERED, receive(0, Expect.ALL)),
        ),
        cut=Cut.CHUNKS,
        early=True,
    ),
    (_C.ALLGATHER, _A.RENDEZVOUS): Program(
        subgraphs=(
            every_piece(READY, when_ready(GATHER)),
            every_piece(KEEP_GATHERED, receive(0, Expect.ALL)),
        ),
        cut=Cut.CHUNKS,
    ),
    (_C.ALLGATHER, _A.RING): Program(
        subgraphs=(
            ring(whole(Base.INPUT), Base.OUTPUT, Extent.EVERY),
            every_piece(KEEP_GATHERED, receive(0, Expect.ALL)),
        ),
        cut=Cut.CHUNKS,
        early=True,
    ),
    (_C.ALLTOALL, _A.LINEAR): Program(
        subgraphs=(every_piece(EXCHANGE), every_piece(KEEP_EXCHANGED, receive(0, Expect.ALL))),
        cut=Cut.CHUNKS,
        early=True,
    ),
    (_C.ALLTOALL, _A.RENDEZVOUS): Program(
        subgraphs=(
            every_piece(READY, when_ready(EXCHANGE)),
            every_piece(KEEP_EXCHANGED, receive(0, Expect.ALL)),
        ),
        cut=Cut.CHUNKS,
    ),
    (_C.ALLTOALLV, _A.LINEAR): Program(
        subgraphs=(every_piece(sized(EXCHANGE)), every_piece(sized(KEEP_EXCHANGED), receive(0, Expect.ALL))),
        cut=Cut.CHUNKS,
        early=True,
    ),
    (_C.BARRIER, _A.LINEAR): Program(subgraphs=(greeting(),), cut=Cut.WHOLE),
    (_C.BARRIER, _A.MULTICAST): Program(subgraphs=(greeting(multicast=True),), cut=Cut.WHOLE),
    (_C.SENDRECV, _A.EAGER): Program(
        subgraphs=(
            every_piece(
                send(whole(Base.INPUT), part(Base.LANDING, ME), ME, predicate=Predicate.ROOT, **WHOLE),
                copy(
                    part(Base.LANDING, ROOT),
                    whole(Base.OUTPUT),
                    predicate=Predicate.OTHERS,
                    sync=Sync.RECEIVE_SYNC,
                    expect=Expect.ROOT,
                    **WHOLE,
                ),
            ),
            greeting(),
        ),
        cut=Cut.WHOLE,
        landing=True,
        most_ranks=2,
    ),
    (_C.SENDRECV, _A.RENDEZVOUS): Program(
        subgraphs=(
            every_piece(
                READY_ROOT,
                when_ready(send(whole(Base.INPUT), whole(Base.OUTPUT), ME, predicate=Predicate.ROOT, **WHOLE)),
            ),
            every_piece(FROM_ROOT),
        ),
        cut=Cut.WHOLE,
        most_ranks=2,
    ),
}


def algorithms(collective: Collective) -> list[Algorithm]:
    """Those that a collective has."""
    return [algorithm for name, algorithm in PROGRAMS if name is collective]


def number(collective: Collective, algorithm: Algorithm) -> int:
    """Number of a program in the directory of `encode(list(PROGRAMS.values()))`; ValueError where there is none."""
    if (collective, algorithm) not in PROGRAMS:
        known = ", ".join(algorithms(collective))
        raise ValueError(f"Algorithm of {collective} must be one of {known}, not {str(algorithm)!r}")
    return list(PROGRAMS).index((collective, algorithm))

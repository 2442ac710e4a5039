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
from typing import Any

from .collectives_entries import (
    BEFORE,
    FIRST,
    ME,
    NEXT,
    PEER,
    RANK,
    ROOT,
    STEP,
    Cut,
    Entry,
    Index,
    Place,
    Program,
    Subgraph,
    part,
    whole,
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
WINDOW = 4


def _every_piece(*entries: Entry) -> Subgraph:
    return Subgraph(entries)


def _receive(phase: int, expect: Expect, predicate: Predicate = Predicate.ALWAYS, own: bool = False) -> Entry:
    """Waits for arrivals."""
    return Entry(
        op=WorkOp.NOOP,
        sync=Sync.RECEIVE_SYNC,
        expect=expect,
        expect_self=own,
        predicate=predicate,
        extent=Extent.EMPTY,
        wait_phase=phase,
    )


def _send(source: Place, target: Place, chunk: Index, **fields: Any) -> Entry:
    """WRITE_IMMEDIATE; to all peers in turn unless the fields say otherwise."""
    defaults: dict[str, Any] = {"repeat": Repeat.PEERS, "peer": PEER}
    return Entry(op=WorkOp.WRITE_IMMEDIATE, source=source, target=target, chunk=chunk, **(defaults | fields))


def _sum(source: Place, target: Place, **fields: Any) -> Entry:
    """Sum of one's own contribution and of those that have landed, in all slots but one's own."""
    defaults: dict[str, Any] = {"expect": Expect.ALL, "sync": Sync.RECEIVE_SYNC, "chunk": ME}
    return Entry(op=WorkOp.SUM, source=source, target=target, **(defaults | fields))


def _copy(source: Place, target: Place, chunk: Index = ME, **fields: Any) -> Entry:
    """Memory to memory."""
    return Entry(op=WorkOp.COPY, source=source, target=target, chunk=chunk, **fields)


def _greeting(multicast: bool = False) -> Subgraph:
    """Every rank tells every other that it has started, and hears it from all; once, beside the data."""
    hello = Entry(
        op=WorkOp.WRITE_IMMEDIATE,
        repeat=Repeat.ONE if multicast else Repeat.PEERS,
        peer=FIRST if multicast else PEER,
        extent=Extent.EMPTY,
        multicast=multicast,
        target=Place(Base.OUTPUT, ME),
        set_phase=2,
    )
    return Subgraph((hello, _receive(2, Expect.ALL)), repeats=False)


#: everything at once; sums need all of every contribution
_WHOLE: dict[str, Any] = {"extent": Extent.WHOLE}
_SUM_WHOLE = _sum(whole(Base.INPUT), whole(Base.OUTPUT), **_WHOLE)
#: contributions to the rank that adds them
_CONTRIBUTE = _send(part(Base.INPUT, PEER), part(Base.LANDING, ME), PEER)
_CONTRIBUTE_EVERY = _send(part(Base.INPUT, PEER), part(Base.LANDING, ME), PEER, extent=Extent.EVERY)
#: a rank's own chunk to its place in all outputs, from its input
_GATHER = _send(whole(Base.INPUT), part(Base.OUTPUT, ME), ME, extent=Extent.EVERY)
_EXCHANGE = _send(part(Base.INPUT, PEER), part(Base.OUTPUT, ME), PEER, extent=Extent.EVERY)
_KEEP_GATHERED = _copy(whole(Base.INPUT), part(Base.OUTPUT, ME))
_KEEP_EXCHANGED = _copy(part(Base.INPUT, ME), part(Base.OUTPUT, ME))
_ROOT_KEEPS = _copy(whole(Base.INPUT), whole(Base.OUTPUT), predicate=Predicate.ROOT, **_WHOLE)
_FROM_ROOT = _receive(0, Expect.ROOT, Predicate.OTHERS)
#: chunk of a rank where the root has none, of the peer of a root's step
_OWN_PART, _PEER_PART = Index(rank=-1, root=1, offset=-1), Index(rank=-1, step=-1, root=1, offset=-2)
_READY = Entry(op=WorkOp.RECEIVE, repeat=Repeat.PEERS, extent=Extent.EMPTY, peer=PEER, target=Place(Base.OUTPUT, ME))
_READY_ROOT = Entry(
    op=WorkOp.RECEIVE, predicate=Predicate.OTHERS, extent=Extent.EMPTY, peer=ROOT, target=Place(Base.OUTPUT, ME)
)


def _when_ready(entry: Entry) -> Entry:
    """The same, each step once its peer has said READY."""
    return Entry(**(entry.__dict__ | {"sync": Sync.SEND_SYNC}))


def _sized(entry: Entry) -> Entry:
    """The same, with sizes from memory."""
    return Entry(**(entry.__dict__ | {"sized": True}))


def _ring(first: Place, between: Base, extent: Extent) -> Subgraph:
    """One's own part to the next rank, then each that arrives from the one before, but for the next rank's own."""
    return _every_piece(
        _send(first, part(between, ME), ME, extent=extent, repeat=Repeat.ONE, peer=NEXT),
        _send(
            part(between, BEFORE),
            part(between, BEFORE),
            BEFORE,
            extent=extent,
            repeat=Repeat.FORWARDS,
            peer=NEXT,
            sync=Sync.FORWARD_SYNC,
        ),
    )


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
    waits = _receive(1, Expect.OWNERS, own=True)
    return Program(subgraphs=(_every_piece(contribute), _every_piece(waits)), cut=Cut.CHUNKS, one_packet=True)


_C, _A = Collective, Algorithm
#: every program that there is; the place of a program is its number in the directory
PROGRAMS: dict[tuple[Collective, Algorithm], Program] = {
    (_C.BROADCAST, _A.LINEAR): Program(
        subgraphs=(
            _every_piece(
                _send(whole(Base.INPUT), whole(Base.OUTPUT), ME, predicate=Predicate.ROOT, **_WHOLE), _ROOT_KEEPS
            ),
            _every_piece(_FROM_ROOT),
            _greeting(),
        ),
        cut=Cut.WHOLE,
        early=True,
    ),
    (_C.BROADCAST, _A.SCATTER): Program(
        subgraphs=(
            _every_piece(
                _send(
                    part(Base.INPUT, _PEER_PART), part(Base.OUTPUT, _PEER_PART), _PEER_PART, predicate=Predicate.ROOT
                ),
                _copy(
                    part(Base.INPUT, STEP),
                    part(Base.OUTPUT, STEP),
                    STEP,
                    predicate=Predicate.ROOT,
                    repeat=Repeat.RANKS,
                ),
                _send(
                    part(Base.OUTPUT, _OWN_PART),
                    part(Base.OUTPUT, _OWN_PART),
                    _OWN_PART,
                    predicate=Predicate.AMONG_OTHERS,
                    sync=Sync.FORWARD_SYNC,
                ),
            ),
            _every_piece(_receive(0, Expect.OWNERS, Predicate.OTHERS, own=True)),
            _greeting(),
        ),
        cut=Cut.OTHERS,
        early=True,
    ),
    (_C.BROADCAST, _A.MULTICAST): Program(
        subgraphs=(
            _every_piece(
                _send(
                    whole(Base.INPUT),
                    whole(Base.OUTPUT),
                    ME,
                    predicate=Predicate.ROOT,
                    repeat=Repeat.ONE,
                    peer=FIRST,
                    multicast=True,
                    **_WHOLE,
                ),
                _ROOT_KEEPS,
            ),
            _every_piece(_FROM_ROOT),
            _greeting(multicast=True),
        ),
        cut=Cut.WHOLE,
        early=True,
    ),
    (_C.BROADCAST, _A.RENDEZVOUS): Program(
        subgraphs=(
            _every_piece(
                _READY_ROOT,
                _when_ready(_send(whole(Base.INPUT), whole(Base.OUTPUT), ME, predicate=Predicate.ROOT, **_WHOLE)),
                _ROOT_KEEPS,
            ),
            _every_piece(_FROM_ROOT),
            _greeting(),
        ),
        cut=Cut.WHOLE,
    ),
    (_C.REDUCE, _A.LINEAR): Program(
        subgraphs=(
            _every_piece(
                _send(
                    whole(Base.INPUT),
                    part(Base.LANDING, ME),
                    ME,
                    predicate=Predicate.OTHERS,
                    repeat=Repeat.ONE,
                    peer=ROOT,
                    **_WHOLE,
                )
            ),
            _every_piece(
                _sum(whole(Base.INPUT), whole(Base.OUTPUT), predicate=Predicate.ROOT, **_WHOLE),
            ),
            _greeting(),
        ),
        cut=Cut.WHOLE,
        landing=True,
    ),
    (_C.REDUCE, _A.TWO_SHOT): Program(
        subgraphs=(
            _every_piece(_CONTRIBUTE_EVERY),
            _every_piece(
                _sum(part(Base.INPUT, ME), part(Base.OUTPUT, ME), predicate=Predicate.ROOT),
                _sum(part(Base.INPUT, ME), part(Base.LANDING, ME), predicate=Predicate.OTHERS),
                _send(
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
            _every_piece(_receive(1, Expect.OWNERS, Predicate.ROOT)),
        ),
        cut=Cut.CHUNKS,
        landing=True,
    ),
    (_C.ALLREDUCE, _A.ONE_SHOT): Program(
        subgraphs=(
            _every_piece(_send(whole(Base.INPUT), part(Base.LANDING, ME), ME, **_WHOLE)),
            _every_piece(_SUM_WHOLE),
        ),
        cut=Cut.WHOLE,
        landing=True,
    ),
    (_C.ALLREDUCE, _A.TWO_SHOT): Program(
        subgraphs=(
            _every_piece(_CONTRIBUTE),
            _every_piece(
                _sum(part(Base.INPUT, ME), part(Base.OUTPUT, ME), expect=Expect.PEERS),
                _send(part(Base.OUTPUT, ME), part(Base.OUTPUT, ME), ME, sync=Sync.WQE_SYNC, set_phase=1),
            ),
            _every_piece(_receive(1, Expect.OWNERS)),
        ),
        cut=Cut.CHUNKS,
        landing=True,
    ),
    (_C.ALLREDUCE, _A.RING): Program(
        subgraphs=(
            _ring(whole(Base.INPUT), Base.LANDING, Extent.WHOLE),
            _every_piece(_SUM_WHOLE),
        ),
        cut=Cut.WHOLE,
        landing=True,
    ),
    (_C.ALLREDUCE, _A.IN_SWITCH): in_switch(),
    (_C.REDUCESCATTER, _A.LINEAR): Program(
        subgraphs=(
            _every_piece(_CONTRIBUTE_EVERY),
            _every_piece(_sum(part(Base.INPUT, ME), whole(Base.OUTPUT))),
        ),
        cut=Cut.CHUNKS,
        landing=True,
    ),
    (_C.ALLGATHER, _A.LINEAR): Program(
        subgraphs=(_every_piece(_GATHER), _every_piece(_KEEP_GATHERED, _receive(0, Expect.ALL))),
        cut=Cut.CHUNKS,
        early=True,
    ),
    (_C.ALLGATHER, _A.MULTICAST): Program(
        subgraphs=(
            _every_piece(
                _send(
                    whole(Base.INPUT),
                    part(Base.OUTPUT, ME),
                    ME,
                    extent=Extent.EVERY,
                    repeat=Repeat.ONE,
                    peer=FIRST,
                    multicast=True,
                )
            ),
            _every_piece(_KEEP_GATHERED, _receive(0, Expect.ALL)),
        ),
        cut=Cut.CHUNKS,
        early=True,
    ),
    (_C.ALLGATHER, _A.RENDEZVOUS): Program(
        subgraphs=(
            _every_piece(_READY, _when_ready(_GATHER)),
            _every_piece(_KEEP_GATHERED, _receive(0, Expect.ALL)),
        ),
        cut=Cut.CHUNKS,
    ),
    (_C.ALLGATHER, _A.RING): Program(
        subgraphs=(
            _ring(whole(Base.INPUT), Base.OUTPUT, Extent.EVERY),
            _every_piece(_KEEP_GATHERED, _receive(0, Expect.ALL)),
        ),
        cut=Cut.CHUNKS,
        early=True,
    ),
    (_C.ALLTOALL, _A.LINEAR): Program(
        subgraphs=(_every_piece(_EXCHANGE), _every_piece(_KEEP_EXCHANGED, _receive(0, Expect.ALL))),
        cut=Cut.CHUNKS,
        early=True,
    ),
    (_C.ALLTOALL, _A.RENDEZVOUS): Program(
        subgraphs=(
            _every_piece(_READY, _when_ready(_EXCHANGE)),
            _every_piece(_KEEP_EXCHANGED, _receive(0, Expect.ALL)),
        ),
        cut=Cut.CHUNKS,
    ),
    (_C.ALLTOALLV, _A.LINEAR): Program(
        subgraphs=(_every_piece(_sized(_EXCHANGE)), _every_piece(_sized(_KEEP_EXCHANGED), _receive(0, Expect.ALL))),
        cut=Cut.CHUNKS,
        early=True,
    ),
    (_C.BARRIER, _A.LINEAR): Program(subgraphs=(_greeting(),), cut=Cut.WHOLE),
    (_C.BARRIER, _A.MULTICAST): Program(subgraphs=(_greeting(multicast=True),), cut=Cut.WHOLE),
    (_C.SENDRECV, _A.EAGER): Program(
        subgraphs=(
            _every_piece(
                _send(whole(Base.INPUT), part(Base.LANDING, ME), ME, predicate=Predicate.ROOT, **_WHOLE),
                _copy(
                    part(Base.LANDING, ROOT),
                    whole(Base.OUTPUT),
                    predicate=Predicate.OTHERS,
                    sync=Sync.RECEIVE_SYNC,
                    expect=Expect.ROOT,
                    **_WHOLE,
                ),
            ),
            _greeting(),
        ),
        cut=Cut.WHOLE,
        landing=True,
        most_ranks=2,
    ),
    (_C.SENDRECV, _A.RENDEZVOUS): Program(
        subgraphs=(
            _every_piece(
                _READY_ROOT,
                _when_ready(_send(whole(Base.INPUT), whole(Base.OUTPUT), ME, predicate=Predicate.ROOT, **_WHOLE)),
            ),
            _every_piece(_FROM_ROOT),
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

"""What the programs of `mtia.collectives` are put together from: entries, and subgraphs of them, that several share."""

from typing import Any

from .collectives_entries import BEFORE, FIRST, ME, NEXT, PEER, ROOT, Entry, Index, Place, Subgraph, part, whole
from .message import Base, Expect, Extent, Predicate, Repeat, Sync, WorkOp


def every_piece(*entries: Entry) -> Subgraph:
    """Entries that begin again with each piece."""
    return Subgraph(entries)


def receive(phase: int, expect: Expect, predicate: Predicate = Predicate.ALWAYS, own: bool = False) -> Entry:
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


def send(source: Place, target: Place, chunk: Index, **fields: Any) -> Entry:
    """WRITE_IMMEDIATE; to all peers in turn unless the fields say otherwise."""
    defaults: dict[str, Any] = {"repeat": Repeat.PEERS, "peer": PEER}
    return Entry(op=WorkOp.WRITE_IMMEDIATE, source=source, target=target, chunk=chunk, **(defaults | fields))


def add(source: Place, target: Place, **fields: Any) -> Entry:
    """Sum of one's own contribution and of those that have landed, in all slots but one's own."""
    defaults: dict[str, Any] = {"expect": Expect.ALL, "sync": Sync.RECEIVE_SYNC, "chunk": ME}
    return Entry(op=WorkOp.SUM, source=source, target=target, **(defaults | fields))


def copy(source: Place, target: Place, chunk: Index = ME, **fields: Any) -> Entry:
    """Memory to memory."""
    return Entry(op=WorkOp.COPY, source=source, target=target, chunk=chunk, **fields)


def greeting(multicast: bool = False) -> Subgraph:
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
    return Subgraph((hello, receive(2, Expect.ALL)), repeats=False)


#: everything at once; sums need all of every contribution
WHOLE: dict[str, Any] = {"extent": Extent.WHOLE}
SUM_WHOLE = add(whole(Base.INPUT), whole(Base.OUTPUT), **WHOLE)
#: contributions to the rank that adds them
CONTRIBUTE = send(part(Base.INPUT, PEER), part(Base.LANDING, ME), PEER)
CONTRIBUTE_EVERY = send(part(Base.INPUT, PEER), part(Base.LANDING, ME), PEER, extent=Extent.EVERY)
#: a rank's own chunk to its place in all outputs, from its input
GATHER = send(whole(Base.INPUT), part(Base.OUTPUT, ME), ME, extent=Extent.EVERY)
EXCHANGE = send(part(Base.INPUT, PEER), part(Base.OUTPUT, ME), PEER, extent=Extent.EVERY)
KEEP_GATHERED = copy(whole(Base.INPUT), part(Base.OUTPUT, ME))
KEEP_EXCHANGED = copy(part(Base.INPUT, ME), part(Base.OUTPUT, ME))
ROOT_KEEPS = copy(whole(Base.INPUT), whole(Base.OUTPUT), predicate=Predicate.ROOT, **WHOLE)
FROM_ROOT = receive(0, Expect.ROOT, Predicate.OTHERS)
#: chunk of a rank where the root has none, of the peer of a root's step
OWN_PART, PEER_PART = Index(rank=-1, root=1, offset=-1), Index(rank=-1, step=-1, root=1, offset=-2)
READY = Entry(op=WorkOp.RECEIVE, repeat=Repeat.PEERS, extent=Extent.EMPTY, peer=PEER, target=Place(Base.OUTPUT, ME))
READY_ROOT = Entry(
    op=WorkOp.RECEIVE, predicate=Predicate.OTHERS, extent=Extent.EMPTY, peer=ROOT, target=Place(Base.OUTPUT, ME)
)


def when_ready(entry: Entry) -> Entry:
    """The same, each step once its peer has said READY."""
    return Entry(**(entry.__dict__ | {"sync": Sync.SEND_SYNC}))


def sized(entry: Entry) -> Entry:
    """The same, with sizes from memory."""
    return Entry(**(entry.__dict__ | {"sized": True}))


def ring(first: Place, between: Base, extent: Extent) -> Subgraph:
    """One's own part to the next rank, then each that arrives from the one before, but for the next rank's own."""
    return every_piece(
        send(first, part(between, ME), ME, extent=extent, repeat=Repeat.ONE, peer=NEXT),
        send(
            part(between, BEFORE),
            part(between, BEFORE),
            BEFORE,
            extent=extent,
            repeat=Repeat.FORWARDS,
            peer=NEXT,
            sync=Sync.FORWARD_SYNC,
        ),
    )

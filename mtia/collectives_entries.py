"""What programs of the message engine are made of: indices, places, entries, subgraphs; and their words.

A program is data: up to four subgraphs that run side by side, each a tuple of entries. The words are those of
`mtia.message`: `ENTRY` in the context RAM, `PROGRAM` in the directory.

>>> from mtia.message import WorkOp
>>> Entry(op=WorkOp.NOOP).fields()["op"]
0
>>> PEER.at(rank=2, step=1, root=0, ranks=4)
0
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .message import (
    ENTRY,
    ENTRY_ADDRESS_BITS,
    PROGRAM,
    SUBGRAPHS,
    Base,
    Expect,
    Extent,
    Predicate,
    Repeat,
    Sync,
    WorkOp,
    pack,
)


class Index(NamedTuple):
    """A rank or a chunk: ``(rank * self.rank + step * self.step + root * self.root + offset) mod ranks``."""

    rank: int = 0
    step: int = 0
    root: int = 0
    offset: int = 0

    def at(self, *, rank: int, step: int, root: int, ranks: int) -> int:
        """Its value in a step of a rank."""
        return (rank * self.rank + step * self.step + root * self.root + self.offset) % ranks

    def fields(self, name: str) -> dict[str, int]:
        """Its fields in an entry, as the operand of this name."""
        return {f"{name}_{part}": value for part, value in self._asdict().items()}


#: rank 0; oneself; the root; the number of the step
FIRST, ME, ROOT, STEP = Index(), Index(rank=1), Index(root=1), Index(step=1)
#: the step-th rank behind oneself, and oneself in step 0: in every step all ranks turn to different ones
PEER, RANK = Index(rank=1, step=1, offset=1), Index(rank=1, step=1)
#: the rank behind oneself, and the step-th before oneself
NEXT, BEFORE = Index(rank=1, offset=1), Index(rank=1, step=-1, offset=-1)


@dataclass(frozen=True)
class Place:
    """An operand in memory: `base`, plus `index` times the chunk if scaled, plus the piece's bytes if pieced."""

    base: Base = Base.INPUT
    index: Index = FIRST
    scaled: bool = False
    pieced: bool = False

    def fields(self, name: str) -> dict[str, int]:
        """Its fields in an entry, as the operand of this name."""
        place = {"base": int(self.base), "scaled": int(self.scaled), "pieced": int(self.pieced)}
        return {f"{name}_{part}": value for part, value in place.items()} | self.index.fields(name)


#: the input as a whole, for entries that take none
NOWHERE = Place()


def whole(base: Base, index: Index = ME) -> Place:
    """A piece of what lies at a base; `index` is a slot's number only."""
    return Place(base, index, pieced=True)


def part(base: Base, index: Index) -> Place:
    """A piece of the chunk or slot of that index."""
    return Place(base, index, scaled=True, pieced=True)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A work queue entry; the fields are those of `mtia.message.ENTRY`."""

    op: WorkOp
    sync: Sync = Sync.NONE
    expect: Expect = Expect.PEERS
    expect_self: bool = False
    predicate: Predicate = Predicate.ALWAYS
    repeat: Repeat = Repeat.ONE
    extent: Extent = Extent.PIECE
    multicast: bool = False
    acknowledge: bool = False
    peer: Index = FIRST
    source: Place = NOWHERE
    target: Place = NOWHERE
    chunk: Index = FIRST
    wait_phase: int = 0
    wait_lag: int = 0
    set_phase: int = 0
    sized: bool = False

    def fields(self) -> dict[str, int]:
        """Values of the fields of `ENTRY`, but `closes` and `ends`, which the subgraph decides."""
        composed = ("peer", "source", "target", "chunk")
        plain = {name: int(value) for name, value in self.__dict__.items() if name not in composed}
        peer, chunk = self.peer.fields("peer"), self.chunk.fields("chunk")
        return plain | peer | self.source.fields("source") | self.target.fields("target") | chunk


class Subgraph(NamedTuple):
    """Entries that run in order: for every piece again, or with piece 0 only."""

    entries: tuple[Entry, ...]
    repeats: bool = True

    def words(self) -> list[int]:
        """Its words in the context RAM."""
        words = [entry.fields() for entry in self.entries]
        words[-1] |= {"closes": int(self.repeats), "ends": 1}
        return [pack(ENTRY, **fields) for fields in words]


class Cut(enum.Enum):
    """Into what a program cuts the bytes of a collective."""

    CHUNKS = "a chunk a rank"
    OTHERS = "a chunk a rank but the root"
    WHOLE = "pieces of the whole"


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program.

    landing:    it needs landing slots, one of a chunk a rank
    early:      peers may write the output from the moment when this rank has started the collective *before*; else
                only once this one is started here
    one_packet: a piece must not be longer than a packet
    most_ranks: it is for communicators of up to so many ranks
    """

    subgraphs: tuple[Subgraph, ...]
    cut: Cut
    landing: bool = False
    early: bool = False
    one_packet: bool = False
    most_ranks: int | None = None


class Image(NamedTuple):
    """Words of programs: those of the context RAM from address 0, and those of the directory."""

    context: tuple[int, ...]
    directory: tuple[int, ...]


def encode(programs: Sequence[Program]) -> Image:
    """The words of programs, numbered as they come; a subgraph that occurs twice is stored once.

    ValueError for none, for one without subgraphs, with more than `SUBGRAPHS` or an empty one, for more than 256, and
    for more entries than the context RAM has.
    """
    if not 1 <= len(programs) <= 256:
        raise ValueError(f"Programs must be from 1 to 256, not {len(programs)!r}")
    context: list[int] = []
    directory: list[int] = []
    known: dict[Subgraph, int] = {}
    for program in programs:
        if not 1 <= len(program.subgraphs) <= SUBGRAPHS or not all(item.entries for item in program.subgraphs):
            raise ValueError(f"Subgraphs must be from 1 to {SUBGRAPHS}, none empty, not {program.subgraphs!r}")
        for subgraph in program.subgraphs:
            if subgraph not in known:
                known[subgraph] = len(context)
                context += subgraph.words()
        begins = {f"entry_{index}": known[item] for index, item in enumerate(program.subgraphs)}
        if len(context) > 1 << ENTRY_ADDRESS_BITS:
            raise ValueError(f"Entries must be at most {1 << ENTRY_ADDRESS_BITS} in all, not {len(context)!r}")
        directory.append(pack(PROGRAM, subgraphs=len(program.subgraphs), **begins))
    return Image(tuple(context), tuple(directory))

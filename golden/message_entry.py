"""Work queue entries as a message engine reads them: words to fields, operands to addresses, bytes of a step."""

import functools
from collections.abc import Mapping
from typing import NamedTuple

from mtia.message import ENTRY, Base, Expect, Extent, Predicate, Repeat, Sync, WorkOp, unpack

#: parts of an index, and bits of each where it is signed
_SIGNED = {"rank": 2, "step": 2, "offset": 4}


class View(NamedTuple):
    """What decides the operands of an entry: a rank of so many, the root, and the cut of the collective."""

    rank: int
    ranks: int
    root: int
    owners: int
    bytes: int
    chunk: int
    last: int
    piece: int
    pieces: int

    @classmethod
    def of(cls, rank: int, ranks: int, descriptor: Mapping[str, int]) -> "View":
        """That of a descriptor."""
        return cls(rank, ranks, *(descriptor[name] for name in cls._fields[2:]))

    def size(self, chunk: int) -> int:
        """Bytes of a chunk."""
        return self.chunk if chunk < self.owners - 1 else self.last if chunk == self.owners - 1 else 0

    def length(self, chunk: int, piece: int) -> int:
        """Bytes of a piece of a chunk."""
        return self.clip(self.size(chunk), piece)

    def clip(self, bytes: int, piece: int) -> int:
        """Bytes of a piece of so many."""
        return max(0, min(self.piece, bytes - piece * self.piece))


class Work:
    """An entry: the fields of its word, and what they mean in a step."""

    def __init__(self, word: int):
        self.fields = unpack(ENTRY, word)
        for name in self.fields:
            part = name.rpartition("_")[2]
            if part in _SIGNED and f"{name.rpartition('_')[0]}_root" in self.fields:
                half = 1 << _SIGNED[part] - 1
                self.fields[name] = (self.fields[name] + half) % (2 * half) - half
        self.op, self.sync = WorkOp(self.fields["op"]), Sync(self.fields["sync"])
        self.extent = Extent(self.fields["extent"])

    def __getitem__(self, name: str) -> int:
        return self.fields[name]

    def index(self, operand: str, step: int, view: View) -> int:
        """Value of the index of an operand."""
        rank, step_part, root, offset = (
            self.fields[f"{operand}_{part}"] for part in ("rank", "step", "root", "offset")
        )
        return (view.rank * rank + step * step_part + view.root * root + offset) % view.ranks

    def displacement(self, operand: str, step: int, piece: int, view: View) -> int:
        """Bytes from an operand's base."""
        scaled = self.fields[f"{operand}_scaled"] * self.index(operand, step, view) * view.chunk
        return scaled + self.fields[f"{operand}_pieced"] * piece * view.piece

    def base(self, operand: str) -> Base:
        """Where an operand's address starts."""
        return Base(self.fields[f"{operand}_base"])

    def runs(self, view: View) -> bool:
        """Whether its predicate is true."""
        is_root = view.rank == view.root
        return {Predicate.ALWAYS: True, Predicate.ROOT: is_root}.get(Predicate(self.fields["predicate"]), not is_root)

    def length(self, step: int, piece: int, view: View) -> int:
        """Bytes of a step, without a look at the table of sizes."""
        if self.extent is Extent.EMPTY:
            return 0
        if self.extent is Extent.WHOLE:
            return view.clip(view.bytes, piece)
        return view.length(self.index("chunk", step, view), piece)

    def steps(self, view: View) -> range:
        """Numbers of its steps."""
        counts = {
            Repeat.ONE: 1,
            Repeat.PEERS: view.ranks - 1,
            Repeat.RANKS: view.ranks,
            Repeat.FORWARDS: view.ranks - 2,
        }
        return range(counts[Repeat(self.fields["repeat"])])

    def takes(self, step: int, length: int, view: View) -> bool:
        """Whether a step of so many bytes is made."""
        among = self.fields["predicate"] == Predicate.AMONG_OTHERS and self.index("peer", step, view) == view.root
        return not among and (length > 0 or self.extent in (Extent.EMPTY, Extent.EVERY))

    def expected(self, piece: int, view: View) -> int:
        """Mask of the slots whose arrival RECEIVE_SYNC waits for, in a piece."""
        piece -= self.fields["wait_lag"]
        if piece < 0:
            return 0
        expect = Expect(self.fields["expect"])
        if expect is Expect.ROOT:
            slots = {view.root}
        elif expect is Expect.OWNERS:
            slots = {chunk for chunk in range(view.owners) if view.length(chunk, piece)}
        elif expect is Expect.PEERS and not view.length(view.rank, piece):
            slots = set()
        else:
            slots = set(range(view.ranks))
        if not self.fields["expect_self"]:
            slots.discard(view.rank)
        return sum(1 << slot for slot in slots)


@functools.lru_cache(maxsize=4096)
def work(word: int) -> Work:
    """The entry of a word; ValueError for a word that is none."""
    return Work(word)

"""What the entries of a program mean, for all ranks and many steps at once: arrays [rank, step]."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mtia.message import Expect, Extent, Predicate, Repeat, WorkOp

from .message_entry import Work
from .message_symbols import Bools, Ints, Symbols


class Moves(NamedTuple):
    """Steps that move something, an element each: from, to, into which slot and index of cells, symbol, bytes."""

    ranks: Ints
    peers: Ints
    slots: Ints
    cells: Ints
    values: Ints
    lengths: Ints

    def only(self, which: NDArray[Any]) -> "Moves":
        """Those of these numbers, or where it is true."""
        return Moves(*(each[which] for each in self))


class Steps:
    """The steps of entries on so many ranks, with a root and a cut."""

    def __init__(self, ranks: int, root: int, symbols: Symbols):
        self.ranks, self.root, self.symbols = ranks, root, symbols
        self.cut = symbols.cut
        self.rank = np.arange(ranks)

    def runs(self, entry: Work) -> Bools:
        """Ranks whose predicate is true."""
        predicate = Predicate(entry["predicate"])
        is_root = self.rank == self.root
        return {Predicate.ALWAYS: is_root | True, Predicate.ROOT: is_root}.get(predicate, ~is_root)

    def count(self, entry: Work) -> int:
        """Steps of an entry; a NOOP has none."""
        counts = {
            Repeat.ONE: 1,
            Repeat.PEERS: self.ranks - 1,
            Repeat.RANKS: self.ranks,
            Repeat.FORWARDS: self.ranks - 2,
        }
        return 0 if entry.op is WorkOp.NOOP else counts[Repeat(entry["repeat"])]

    def index(self, entry: Work, operand: str, steps: Ints) -> Ints:
        """Index of an operand, [rank, step]."""
        rank, step, root, offset = (entry[f"{operand}_{part}"] for part in ("rank", "step", "root", "offset"))
        return (self.rank[:, None] * rank + steps[None] * step + self.root * root + offset) % self.ranks

    def cell(self, entry: Work, operand: str, steps: Ints, piece: int) -> tuple[Ints, int]:
        """Cell of an operand: index [rank, step], and piece."""
        return self.index(entry, operand, steps) * entry[f"{operand}_scaled"], piece * entry[f"{operand}_pieced"]

    def expected(self, entry: Work, piece: int) -> Bools:
        """Slots that complete what RECEIVE_SYNC waits for, [rank, slot]."""
        mask = np.zeros((self.ranks, self.ranks), np.bool_)
        has_bytes = self.symbols.lengths(self.symbols.sizes, piece) > 0
        expect = Expect(entry["expect"])
        if expect is Expect.ROOT:
            mask[:, self.root] = True
        elif expect is Expect.OWNERS:
            mask[:] = has_bytes
        elif expect is Expect.PEERS:
            mask[:] = has_bytes[:, None]
        else:
            mask[:] = True
        if not entry["expect_self"]:
            np.fill_diagonal(mask, False)
        return mask

    def bytes(self, entry: Work, steps: Ints, piece: int) -> Ints:
        """Bytes of steps, [rank, step]."""
        shape = (self.ranks, len(steps))
        if entry.extent is Extent.EMPTY:
            return np.zeros(shape, np.int64)
        if entry.extent is Extent.WHOLE:
            return np.broadcast_to(self.symbols.lengths(np.array(self.cut.bytes), piece), shape)
        return self.symbols.lengths(self.symbols.sizes[self.index(entry, "chunk", steps)], piece)

    def takes(self, entry: Work, runs: Bools, steps: Ints, piece: int) -> Bools:
        """Steps that are made, [rank, step]."""
        takes = np.broadcast_to(runs[:, None], (self.ranks, len(steps)))
        if entry["predicate"] == Predicate.AMONG_OTHERS:
            takes = takes & (self.index(entry, "peer", steps) != self.root)
        if entry.extent in (Extent.EMPTY, Extent.EVERY):
            return takes
        return takes & (self.bytes(entry, steps, piece) > 0)

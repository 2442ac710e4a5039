"""Memory with symbols instead of bytes, for the proofs of `golden.message_check`.

A cell is a piece of a chunk, or of a slot, or of the whole. The symbol of an input cell says whose it is and which;
that of a sum says which input cells of all ranks. 0: nothing has been written.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mtia.collectives import Collective
from mtia.collectives_geometry import Geometry
from mtia.message import Base

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class ScheduleError(ValueError):
    """A program that does not do what it should; the message says where."""


def require(holds: Bools, what: str, ranks: Ints) -> None:
    """ScheduleError, with the first rank where it does not hold."""
    if not holds.all():
        raise ScheduleError(f"{what} (rank {ranks[np.argmin(holds)]})")


class Symbols:
    """The symbols of a collective of so many ranks."""

    def __init__(self, ranks: int, cut: Geometry):
        self.ranks, self.cut = ranks, cut
        self.sizes = np.array([cut.size(chunk) for chunk in range(ranks)])

    def lengths(self, sizes: Ints, piece: object) -> Ints:
        """Bytes of a piece of chunks of these sizes."""
        return np.clip(sizes - np.asarray(piece) * self.cut.piece, 0, self.cut.piece)

    def input(self, ranks: object, index: object, piece: object) -> Ints:
        """Of an input cell."""
        return np.asarray(1 + (np.asarray(ranks) * self.ranks + index) * self.cut.pieces + piece)

    def sum(self, index: object, piece: object) -> Ints:
        """Of the sum of all ranks' input cells of that index and piece."""
        return np.asarray(-1 - (np.asarray(index) * self.cut.pieces + piece))

    def total(self, ranks: Ints, values: Ints) -> int:
        """Of a sum of symbols in the slots of these ranks: they have to be those of the same cell of every rank."""
        cells = values - 1 - ranks * self.ranks * self.cut.pieces
        same = (cells == cells[0]).all() and 0 <= cells[0] < self.ranks * self.cut.pieces
        right = same and (values > 0).all() and len(np.unique(ranks)) == self.ranks
        require(np.array([right]), "A sum is not of all ranks' contributions to one cell, each in its slot", ranks[:1])
        return -1 - int(cells[0])

    def wanted(self, collective: Collective, root: int) -> tuple[Ints, Ints]:
        """Symbols and lengths of all outputs by the definition of a collective, 0 where nothing is written."""
        shape = (self.ranks, self.ranks, self.cut.pieces)
        rank, index, piece = np.indices(shape)
        of_index, of_rank = self.lengths(self.sizes[index], piece), self.lengths(self.sizes[rank], piece)
        at_root, none = rank == root, np.zeros(shape, np.int64)
        value, length = {
            Collective.BROADCAST: (self.input(root, index, piece), of_index),
            Collective.SENDRECV: (self.input(root, index, piece), np.where(at_root, 0, of_index)),
            Collective.REDUCE: (self.sum(index, piece), np.where(at_root, of_index, 0)),
            Collective.ALLREDUCE: (self.sum(index, piece), of_index),
            Collective.REDUCESCATTER: (self.sum(rank, piece), np.where(index == 0, of_rank, 0)),
            Collective.ALLGATHER: (self.input(index, 0, piece), of_index),
            Collective.ALLTOALL: (self.input(index, rank, piece), of_rank),
            Collective.ALLTOALLV: (self.input(index, rank, piece), of_rank),
            Collective.BARRIER: (none, none),
        }[collective]
        return np.where(length > 0, value, 0), length


class Cells:
    """Memory of all ranks from a base: cells [rank, index, piece], each with what has to be waited for to read it."""

    def __init__(self, base: Base, ranks: int, pieces: int):
        self.base = base
        shape = (ranks, ranks, pieces)
        self.value, self.length = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self._event, self._slot = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self._writer, self._pending = np.full(shape, -1), np.zeros(shape, np.bool_)

    def read(
        self, ranks: Ints, index: Ints, piece: int, lengths: Ints, waited: Bools, instances: Sequence[int]
    ) -> Ints:
        """Symbols read by a subgraph that has `waited` [event, rank, slot] and made these instances of entries."""
        cells, needed = (ranks, index, np.full_like(index, piece)), lengths > 0
        name, arrived = self.base.name, self._event[cells] >= 0
        require(~needed | (self.value[cells] != 0), f"{name} is read before it is written", ranks)
        require(~needed | (self.length[cells] == lengths), f"{name} is read with another length", ranks)
        known = waited[np.maximum(self._event[cells], 0), ranks, self._slot[cells]]
        require(~needed | ~arrived | known, f"{name} is read without a wait for its arrival", ranks)
        settled = np.isin(self._writer[cells], instances) & ~self._pending[cells]
        require(~needed | arrived | settled, f"{name} is read without a wait for the entry that writes it", ranks)
        return np.where(needed, self.value[cells], 0)

    def write(
        self,
        ranks: Ints,
        index: Ints,
        piece: int,
        values: Ints,
        lengths: Ints,
        *,
        writer: int = -1,
        event: int = -1,
        slots: Ints | int = 0,
    ) -> None:
        """Written here by an instance of an entry, or by messages that arrive in slots of an event."""
        needed = lengths > 0
        cells = (ranks[needed], index[needed], np.full(int(needed.sum()), piece))
        flat = np.ravel_multi_index(cells, self.value.shape)
        once = not self.value[cells].any() and len(np.unique(flat)) == len(flat)
        require(np.array([once]), f"{self.base.name} is written twice", ranks[:1])
        self.value[cells], self.length[cells] = values[needed], lengths[needed]
        self._event[cells], self._writer[cells] = event, writer
        self._slot[cells] = np.broadcast_to(slots, needed.shape)[needed]
        self._pending[cells] = event < 0

    def settle(self, instances: Sequence[int], ranks: Bools) -> None:
        """What these instances write at these ranks is written."""
        self._pending &= ~(np.isin(self._writer, instances) & ranks[:, None, None])

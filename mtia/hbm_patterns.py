"""Requests to an HBM channel by a named pattern: pure functions of their number, the channel's size and a seed.

>>> from mtia.hbm_patterns import Pattern
>>> Pattern.parse("stride:4096").accesses(3, capacity=1 << 30).address.tolist()
[0, 4096, 8192]
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .formats import unknown
from .hbm_map import CHUNK_BITS
from .hbm_requests import ATOM_BYTES, Accesses, RequestOp
from .near_memory import TREE_SLOTS

Atoms = NDArray[np.int64]

#: name -> what it is; a name that ends with :N takes a number of bytes
PATTERNS: dict[str, str] = {
    "stream": "reads in the order of addresses",
    "stream-write": "writes in the order of addresses",
    "triad": "two reads and a write, each through an array of its own",
    "random": "reads of random atoms",
    "stride:N": "reads of an atom every N bytes; past the end of the channel on from the start, an atom further",
    "gather:N": "reads of random pieces of N bytes, each whole",
    "scatter-reduce": "sums of FP32 into random atoms",
    "tree:N": "an atom and N bytes behind it written in each pseudo-channel, then the ordered sum of those into it",
}

#: least distance of the arrays of `triad`, in atoms, where the channel is large enough
TRIAD_ATOMS = 1 << 20

#: atoms of a pseudo-channel that stand side by side in the channel
_CHUNK = 1 << CHUNK_BITS

_R, _W, _RED, _TREE = RequestOp


@dataclass(frozen=True)
class Pattern:
    """A pattern of `PATTERNS`: its name without N, and N where it has one."""

    name: str
    size: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Pattern":
        """The pattern that a word names; ValueError with the nearest names, or for an N that is none."""
        name, colon, size = text.partition(":")
        if f"{name}:N" in PATTERNS:
            if not size.isdecimal() or not int(size) or int(size) % ATOM_BYTES:
                raise ValueError(f"Pattern {name}:N must have a multiple of {ATOM_BYTES} bytes as N, not {text!r}")
            if name == "tree" and int(size) > TREE_SLOTS * ATOM_BYTES:
                raise ValueError(f"Pattern tree:N must have N of at most {TREE_SLOTS * ATOM_BYTES}, not {text!r}")
            return cls(name, int(size))
        if colon or name not in PATTERNS:
            raise ValueError(unknown("Pattern", text, list(PATTERNS)))
        return cls(name)

    def __str__(self) -> str:
        return self.name if self.size is None else f"{self.name}:{self.size}"

    def accesses(self, count: int, *, capacity: int, seed: int = 1) -> Accesses:
        """So many requests to a channel of `capacity` bytes; triad, gather and tree may end in the middle of a piece.

        Raises ValueError for a count below 1, and for an N or a count for which the channel is too small.
        """
        if count < 1:
            raise ValueError(f"Requests must be at least 1, not {count!r}")
        atoms = capacity // ATOM_BYTES
        if self.size is not None and self.size > capacity:
            raise ValueError(f"Pattern {self.name}:N must have N of at most the channel's {capacity}, not {self.size}")
        size = (self.size or 0) // ATOM_BYTES
        ops, places = _MAKERS[self.name](count, atoms, size, np.random.default_rng(seed))
        slots = np.where(ops == _TREE, size, 0) if (ops == _TREE).any() else None
        return Accesses(op=ops.astype(np.uint8), address=places * ATOM_BYTES, slots=slots)


def _in_order(op: RequestOp) -> "Maker":
    def made(count: int, atoms: int, _size: int, _rng: np.random.Generator) -> tuple[Atoms, Atoms]:
        return np.full(count, op), np.arange(count) % atoms

    return made


def _anywhere(op: RequestOp) -> "Maker":
    def made(count: int, atoms: int, _size: int, rng: np.random.Generator) -> tuple[Atoms, Atoms]:
        return np.full(count, op), rng.integers(0, atoms, count)

    return made


def _triad(count: int, atoms: int, _size: int, _rng: np.random.Generator) -> tuple[Atoms, Atoms]:
    steps = -(-count // 3)
    apart = max(min(TRIAD_ATOMS, atoms // 4), 1 << (steps - 1).bit_length())
    if 3 * apart > atoms:
        raise ValueError(f"Requests of triad must have arrays that fit {atoms} atoms, not {count!r}")
    places = np.arange(3) * apart + np.arange(steps)[:, None]
    return np.tile([_R, _R, _W], steps)[:count], places.reshape(-1)[:count]


def _stride(count: int, atoms: int, size: int, _rng: np.random.Generator) -> tuple[Atoms, Atoms]:
    turns, place = np.divmod(np.arange(count) * size, atoms)
    return np.full(count, _R), (place + turns) % atoms


def _gather(count: int, atoms: int, size: int, rng: np.random.Generator) -> tuple[Atoms, Atoms]:
    pieces = rng.integers(0, atoms // size, -(-count // size)) * size
    return np.full(count, _R), (pieces[:, None] + np.arange(size)).reshape(-1)[:count]


def _tree(count: int, atoms: int, size: int, _rng: np.random.Generator) -> tuple[Atoms, Atoms]:
    """Pieces in the order of addresses: chunks of both pseudo-channels take turns, so twice as many are written."""
    written = 2 * _CHUNK * -(-(size + 1) // _CHUNK)
    if written > atoms:
        raise ValueError(
            f"Pattern tree:N must have {written * ATOM_BYTES} bytes for each sum, not {atoms * ATOM_BYTES}"
        )
    piece = np.r_[np.arange(written), 0, _CHUNK]  # the first atom of each pseudo-channel in the end
    ops = np.r_[np.full(written, _W), _TREE, _TREE]
    pieces = np.arange(-(-count // len(piece))) % (atoms // written)
    places = pieces[:, None] * written + piece
    return np.tile(ops, len(pieces))[:count], places.reshape(-1)[:count]


#: count, atoms of the channel, atoms of N, random numbers -> operations and atoms
Maker = Callable[[int, int, int, np.random.Generator], tuple[Atoms, Atoms]]

_MAKERS: dict[str, Maker] = {
    "stream": _in_order(_R),
    "stream-write": _in_order(_W),
    "triad": _triad,
    "random": _anywhere(_R),
    "stride": _stride,
    "gather": _gather,
    "scatter-reduce": _anywhere(_RED),
    "tree": _tree,
}

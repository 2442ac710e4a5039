"""Requests to an HBM channel, and files of them.

A file of requests has one a line, in the order in which they are given to the channel::

    # operation, byte address within the channel, optionally the cycle of its issue
    R   0x1000
    W   0x1020 17
    RED 0x2000 17
    TREE 0x3000 72

The address names the 32-byte atom that it lies in. A TREE says how many slots it has: the atoms that come after its own
in the pseudo-channel. A line without a cycle is issued with the line before it. Empty
lines, and what follows a ``#``, are left out; the file may be compressed by gzip.
"""

import enum
import gzip
import pathlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .near_memory import ATOM_BYTES, TREE_SLOTS

#: the largest cycle of an issue
LAST_CYCLE = (1 << 40) - 1

_GZIP = b"\x1f\x8b"
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")
_FORM = "'R ADDRESS', 'W ADDRESS', 'RED ADDRESS' or 'TREE ADDRESS SLOTS' with at most a cycle after it"


class RequestOp(enum.IntEnum):
    """What a request asks of its atom; the codes are those of the memory port."""

    R = 0  #: read
    W = 1  #: write
    RED = 2  #: combine with an operand
    TREE = 3  #: replace by what an ordered reduction makes of other atoms


#: operation of a file -> code
OPS = {op.name: op.value for op in RequestOp}


@dataclass(frozen=True, kw_only=True, eq=False)
class Accesses:
    """Requests in their order: arrays of one length.

    op: codes of `RequestOp`; address: bytes within the channel, multiples of 32; cycle: of the issue, or None where
    each is issued as soon as the channel takes it; slots: of each TREE, the atoms that come after its own in the
    pseudo-channel, 0 for all others, or None where there is no TREE
    """

    op: NDArray[np.uint8]
    address: NDArray[np.int64]
    cycle: NDArray[np.int64] | None = None
    slots: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.op)

    @property
    def atom(self) -> NDArray[np.int64]:
        """Addresses counted in atoms."""
        return self.address // ATOM_BYTES

    def count(self, op: RequestOp) -> int:
        """Requests of that operation."""
        return int((self.op == op).sum())

    @property
    def slot_count(self) -> int:
        """Slots of all TREEs."""
        return 0 if self.slots is None else int(self.slots.sum())


def read_requests(path: str | pathlib.Path, *, capacity: int) -> Accesses:
    """The requests of a file, to a channel of so many bytes.

    Raises ValueError, one line with the file, the number of the line and the reason, for what is no request, an
    address beyond the channel, a TREE of no or too many slots, cycles that descend, and a file without requests;
    OSError for one that cannot be read.
    """
    file = pathlib.Path(path)
    found: list[tuple[int, int, int, int]] = []
    timed, last = False, 0
    for number, words in _lines(file):
        try:
            op, address, slots, cycle = _request(words, capacity, last)
        except ValueError as error:
            raise ValueError(f"{file}: line {number} {error}") from None
        timed |= cycle is not None
        last = last if cycle is None else cycle
        found.append((op, address, slots, last))
    if not found:
        raise ValueError(f"{file}: file must have requests, not none")
    op, address, slots, cycles = np.array(found, np.int64).T.copy()
    return Accesses(
        op=op.astype(np.uint8),
        address=address,
        cycle=cycles if timed else None,
        slots=slots if slots.any() else None,
    )


def _lines(file: pathlib.Path) -> Iterator[tuple[int, list[str]]]:
    """Number and words of each line that has some."""
    content = file.read_bytes()
    if content.startswith(_GZIP):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, gzip.zlib.error) as error:  # type: ignore[attr-defined]
            raise ValueError(f"{file}: file must be sound gzip, not: {error}") from error
    for number, line in enumerate(content.split(b"\n"), 1):
        text = line.partition(b"#")[0].decode(errors="replace")
        if words := text.split():
            yield number, words


def _request(words: list[str], capacity: int, last: int) -> tuple[int, int, int, int | None]:
    """Operation, address of its atom, slots and cycle of a line; `last` is the cycle of the line before it."""
    op = OPS.get(words[0].upper())
    parts = ("address", "slots", "cycle") if op == RequestOp.TREE else ("address", "cycle")
    if op is None or len(words) - 1 not in (len(parts) - 1, len(parts)):
        raise ValueError(f"must be {_FORM}, not {' '.join(words)[:60]!r}")
    values = {what: _number(what, word) for what, word in zip(parts, words[1:], strict=False)}
    address, slots, cycle = values["address"], values.get("slots", 0), values.get("cycle")
    if address >= capacity:
        raise ValueError(f"must have an address below the channel's {capacity:#x}, not {words[1][:40]}")
    if op == RequestOp.TREE and not 1 <= slots <= TREE_SLOTS:
        raise ValueError(f"must have 1 to {TREE_SLOTS} slots, not {words[2][:40]}")
    if cycle is not None and not last <= cycle <= LAST_CYCLE:
        raise ValueError(f"must have a cycle of at least {last}, that of the line before, not {words[-1][:40]}")
    return op, address - address % ATOM_BYTES, slots, cycle


def _number(what: str, word: str) -> int:
    if not _NUMBER.fullmatch(word):
        raise ValueError(f"must have a number such as 0x40 as its {what}, not {word[:40]!r}")
    return int(word, 16 if word[:2] in ("0x", "0X") else 10)

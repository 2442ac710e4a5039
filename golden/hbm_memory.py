"""What the atoms of an HBM channel hold: known contents before the first write, and requests in their order.

An atom that was never written holds a hash of its place, so that a wrong row, bank or address map is
seen in the data. With all counts those of the organization, the number of a place is

    n = ((((pc * sids + sid) * bank_groups + bank_group) * banks_per_group + bank) * rows + row) * columns + column

(the bank is counted inside its bank group) and the atom of channel c is eight little-endian words of
32 bits, word i in bytes 4 i to 4 i + 3. All arithmetic is modulo 2**32:

    x = 8 * n + i + (c + 1) * 0x9E3779B9
    x = (x ^ (x >> 16)) * 0x85EBCA6B
    x = (x ^ (x >> 13)) * 0xC2B2AE35
    word i = x ^ (x >> 16)

Every step can be undone, so no two words of a channel are equal (it has fewer than 2**32). The first word
of channel 0 is 0x92CA2F0E. Check bits of unwritten atoms are those of this data.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mtia.hbm_map import AddressMap
from mtia.hbm_organization import Organization
from mtia.hbm_timing import TimingSet
from mtia.near_memory import ATOM_BYTES, TREE_FIELDS, TREE_SLOTS, ReduceFormat, ReduceKind

from . import near_memory
from .hbm_map import Addresses, decode, join, split
from .hbm_port import FULL_MASK, Op, Request, Response, Status, check_request

__all__ = ["FULL_MASK", "Memory", "Op", "Request", "Response", "Status", "atom_number", "default_words"]

Mask = NDArray[np.bool_]
_WORDS = ATOM_BYTES // 4


def default_words(numbers: ArrayLike, *, channel: int = 0) -> NDArray[np.uint32]:
    """What the atoms of these numbers hold before the first write: shape of `numbers` and (8,)."""
    atom = np.asarray(numbers, np.int64)[..., None]
    x = ((8 * atom + np.arange(_WORDS) + (channel + 1) * 0x9E3779B9) & 0xFFFFFFFF).astype(np.uint64)
    x = (x ^ (x >> np.uint64(16))) * np.uint64(0x85EBCA6B) & np.uint64(0xFFFFFFFF)
    x = (x ^ (x >> np.uint64(13))) * np.uint64(0xC2B2AE35) & np.uint64(0xFFFFFFFF)
    return (x ^ (x >> np.uint64(16))).astype(np.uint32)


def atom_number(place: dict[str, Addresses], organization: Organization) -> Addresses:
    """The number of each place (fields as `golden.hbm_map.decode` gives them, `pc` too) in its channel."""
    number = place["pc"]
    for name, count in (
        ("sid", organization.sids),
        ("bank_group", organization.bank_groups),
        ("bank", organization.banks_per_group),
        ("row", organization.rows),
        ("column", organization.columns),
    ):
        number = number * count + place[name]
    return number


class Memory:
    """The atoms of a channel or of a pseudo-channel, by address.

    layout:  the address map, whose level says what the addresses count through; an organization or a
             timing set stands for its default map of a channel.
    channel: of which channel it is (a map of a stack tells it itself).
    pc:      of which pseudo-channel, where the map is one of a pseudo-channel.

    Addresses (any shape) count atoms; data is uint8 of that shape and (32,). Where an address stands
    several times in a call, the later element meets what the earlier one left. Raises ValueError for
    addresses beyond the capacity.
    """

    def __init__(self, layout: AddressMap | Organization | TimingSet, *, channel: int = 0, pc: int = 0) -> None:
        if isinstance(layout, TimingSet):
            layout = layout.organization
        if isinstance(layout, Organization):
            layout = AddressMap.of(layout)
        if not isinstance(layout, AddressMap):
            raise TypeError(f"layout must be an address map, an organization or a timing set, not {layout!r}")
        for name, value, count in (
            ("channel", channel, layout.organization.channels),
            ("pc", pc, layout.organization.pseudo_channels),
        ):
            if not 0 <= value < count:
                raise ValueError(f"{name} must be below {count}, not {value!r}")
        self._layout, self._channel, self._pc = layout, channel, pc
        self._slot: dict[int, int] = {}
        self._data = np.zeros((0, ATOM_BYTES), np.uint8)
        self._status = np.zeros(0, np.uint8)

    @property
    def atoms(self) -> int:
        """Addresses that have an atom."""
        return self._layout.atoms

    def read(self, address: ArrayLike) -> NDArray[np.uint8]:
        """What the atoms hold."""
        slots = self._slots(address)
        return self._data[slots]

    def status(self, address: ArrayLike) -> NDArray[np.uint8]:
        """How a read of the atoms would end: OK, POISON or UNCORRECTABLE."""
        slots = self._slots(address)
        return self._status[slots]

    def mark(self, address: ArrayLike, status: Status) -> None:
        """Makes reads of the atoms end as OK, POISON or UNCORRECTABLE until they are written.

        ValueError for another status.
        """
        if status not in (Status.OK, Status.POISON, Status.UNCORRECTABLE):
            raise ValueError(f"status must be OK, POISON or UNCORRECTABLE, not {status!r}")
        slots = self._slots(address)
        self._status[slots] = status

    def write(self, address: ArrayLike, data: ArrayLike, mask: ArrayLike | None = None) -> None:
        """Replaces the bytes that the mask (bool, shape of the data) enables, all without one.

        A lost atom is whole again when all its bytes are written; by fewer it becomes poison.
        """
        slots, atoms, enabled = self._operands(address, data, mask)
        for chosen in _rounds(slots):
            self._write(slots[chosen], atoms[chosen], enabled[chosen])

    def reduce(
        self,
        address: ArrayLike,
        kind: ReduceKind,
        format: ReduceFormat,
        operand: ArrayLike,
        mask: ArrayLike | None = None,
    ) -> None:
        """Combines the atoms with their operands, as `golden.near_memory.apply`; lost atoms become poison."""
        slots, operands, enabled = self._operands(address, operand, mask)
        for chosen in _rounds(slots):
            self._reduce(slots[chosen], kind, format, operands[chosen], enabled[chosen])

    def tree(
        self, address: int, kind: ReduceKind, format: ReduceFormat, *, first: int, stride: int, slots: int
    ) -> None:
        """Puts into an atom what `golden.near_memory.tree` makes of the atoms at `first`, `first + stride`, ...

        Those are addresses within the pseudo-channel of the atom, at every level. The atom is whole afterwards,
        whatever it was, or poison where one of the slots is lost. Raises
        ValueError for COPY, and for a number of slots that is not 1 to `mtia.near_memory.TREE_SLOTS`.
        """
        if not 1 <= slots <= TREE_SLOTS:
            raise ValueError(f"Slots must be in 1 to {TREE_SLOTS}, not {slots!r}")
        where = self._slots(self._beside(address, first + stride * np.arange(slots)))
        lost = bool((self._status[where] != Status.OK).any())
        result = near_memory.tree(kind, format, self._data[where][:, None])[0]
        target = self._slots(address)
        self._data[target] = result
        self._status[target] = Status.POISON if lost else Status.OK

    def replay(self, requests: Sequence[Request]) -> list[Response]:
        """What the port answers to requests, which change the memory in this order; one response for each.

        An address beyond the capacity is answered with ADDRESS and changes nothing; so is a TREE that has
        no slot or too many. Raises ValueError for an unknown op, kind or format, a TREE of COPY, data that
        is not 32 bytes, or a mask of more than 32 bits.
        """
        for index, request in enumerate(requests):
            check_request(index, request)
        answers: list[Response] = []
        for is_tree, group in itertools.groupby(requests, lambda request: request.op == Op.TREE):
            part = list(group)
            answers += map(self._replay_tree, part) if is_tree else self._replay(part)
        return answers

    def _replay_tree(self, request: Request) -> Response:
        values, at = {}, 0
        for name, size in TREE_FIELDS.items():
            values[name] = int.from_bytes(request.data[at : at + size], "little")
            at += size
        last = values["first"] + values["stride"] * (values["slots"] - 1)
        beyond = request.address >= self.atoms or last >= self._innermost.atoms
        if beyond or not 1 <= values["slots"] <= TREE_SLOTS:
            return Response(request.tag, Status.ADDRESS, None)
        self.tree(request.address, request.kind, request.format, **values)
        return Response(request.tag, Status.OK, None)

    @property
    def _innermost(self) -> AddressMap:
        """The map of a pseudo-channel."""
        layout = self._layout
        while layout.level != "pseudo_channel":
            layout = layout.inner()
        return layout

    def _beside(self, address: int, inner: Addresses) -> Addresses:
        """The addresses of atoms that are in the pseudo-channel of an address, by their addresses there."""
        layout, outer = self._layout, []
        place: Addresses | int = address
        while layout.level != "pseudo_channel":
            where, place = split(place, layout)
            outer.append((where, layout))
            layout = layout.inner()
        for where, layout in reversed(outer):
            inner = join(where, inner, layout)
        return inner

    def _replay(self, requests: Sequence[Request]) -> list[Response]:
        """As `replay`, of requests that each change one atom and look at no other."""
        known = [index for index, request in enumerate(requests) if request.address < self.atoms]
        answers = [Response(request.tag, Status.ADDRESS, None) for request in requests]
        if not known:
            return answers
        slots = self._slots([requests[index].address for index in known])
        data = np.frombuffer(b"".join(requests[index].data for index in known), np.uint8).reshape(-1, ATOM_BYTES)
        masks = np.array([requests[index].mask for index in known], np.int64)[:, None]
        enabled = (masks >> np.arange(ATOM_BYTES) & 1).astype(np.bool_)
        for chosen in _rounds(slots):
            groups: dict[tuple[int, int, int], list[int]] = {}
            for item in chosen.tolist():
                request = requests[known[item]]
                key = (request.op, request.kind, request.format) if request.op == Op.RED else (request.op, 0, 0)
                groups.setdefault(key, []).append(item)
            for (op, kind, format), items in groups.items():
                where = slots[items]
                if op == Op.WR:
                    self._write(where, data[items], enabled[items])
                elif op == Op.RED:
                    self._reduce(where, ReduceKind(kind), ReduceFormat(format), data[items], enabled[items])
                for item, slot in zip(items, where.tolist(), strict=True):
                    answers[known[item]] = self._answer(requests[known[item]], slot)
        return answers

    def _answer(self, request: Request, slot: int) -> Response:
        if request.op != Op.RD:
            return Response(request.tag, Status.OK, None)
        status = Status(int(self._status[slot]))
        return Response(request.tag, status, self._data[slot].tobytes() if status == Status.OK else None)

    def _write(self, slots: Addresses, data: NDArray[np.uint8], enabled: Mask) -> None:
        self._data[slots] = np.where(enabled, data, self._data[slots])
        lost = (self._status[slots] != Status.OK) & ~enabled.all(axis=1)
        self._status[slots] = np.where(lost, Status.POISON, Status.OK)

    def _reduce(
        self, slots: Addresses, kind: ReduceKind, format: ReduceFormat, operands: NDArray[np.uint8], enabled: Mask
    ) -> None:
        self._data[slots] = near_memory.apply(kind, format, self._data[slots], operands, enabled)
        self._status[slots] = np.where(self._status[slots] != Status.OK, Status.POISON, Status.OK)

    def _operands(
        self, address: ArrayLike, data: ArrayLike, mask: ArrayLike | None
    ) -> tuple[Addresses, NDArray[np.uint8], Mask]:
        """Slots (n,), atoms (n, 32) and byte enables (n, 32) of a call."""
        slots = self._slots(address)
        atoms, enabled = np.asarray(data), np.ones((*slots.shape, ATOM_BYTES), np.bool_) if mask is None else mask
        enabled = np.asarray(enabled)
        for subject, array, dtype in (("Data", atoms, np.uint8), ("Mask", enabled, np.bool_)):
            if array.dtype != dtype:
                raise TypeError(f"{subject} must be of dtype {np.dtype(dtype).name}, not {str(array.dtype)!r}")
            if array.shape != (*slots.shape, ATOM_BYTES):
                raise ValueError(f"{subject} must be of shape {(*slots.shape, ATOM_BYTES)}, not {array.shape!r}")
        return slots.reshape(-1), atoms.reshape(-1, ATOM_BYTES), enabled.reshape(-1, ATOM_BYTES)

    def _slots(self, address: ArrayLike) -> Addresses:
        """Where the atoms are stored, in the shape of the addresses; atoms met for the first time are made."""
        wanted = np.asarray(address, np.int64)
        if wanted.size and not 0 <= wanted.min() <= wanted.max() < self.atoms:
            raise ValueError(f"address must be below {self.atoms}, not {wanted.min()} to {wanted.max()}")
        found = dict.fromkeys(item for item in wanted.ravel().tolist() if item not in self._slot)
        if found:
            self._make(np.array(list(found), np.int64))
        return np.array([self._slot[item] for item in wanted.ravel().tolist()], np.int64).reshape(wanted.shape)

    def _make(self, address: Addresses) -> None:
        first = len(self._slot)
        self._slot |= zip(address.tolist(), range(first, first + len(address)), strict=True)
        if len(self._slot) > len(self._data):
            more = max(len(self._slot), 2 * len(self._data)) - len(self._data)
            self._data = np.concatenate([self._data, np.zeros((more, ATOM_BYTES), np.uint8)])
            self._status = np.concatenate([self._status, np.zeros(more, np.uint8)])
        self._data[first : len(self._slot)] = self._contents(address)

    def _contents(self, address: Addresses) -> NDArray[np.uint8]:
        """What the atoms at the addresses hold before the first write, (n, 32)."""
        place = decode(address, self._layout)
        place.setdefault("pc", np.full_like(address, self._pc))
        channel = place.get("channel", np.full_like(address, self._channel))
        number = atom_number(place, self._layout.organization)
        words = np.zeros((len(address), _WORDS), "<u4")
        for one in np.unique(channel).tolist():
            words[channel == one] = default_words(number[channel == one], channel=one)
        return words.view(np.uint8)


def _rounds(keys: Addresses) -> Iterator[Addresses]:
    """Indices in rounds: the n-th round holds the n-th occurrence of each key."""
    order = np.argsort(keys, kind="stable")
    same = keys[order]
    at = np.arange(len(keys))
    starts = np.maximum.accumulate(np.where(np.diff(same, prepend=-1) != 0, at, 0))
    rank = np.zeros_like(at)
    rank[order] = at - starts
    by_rank = np.argsort(rank, kind="stable")
    if len(keys):
        yield from np.split(by_rank, np.cumsum(np.bincount(rank))[:-1])

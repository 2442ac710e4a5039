"""Proofs about programs: right result, no race and no deadlock in any order of events, for a number of ranks and a cut.

A program is executed once with symbols: "input cell of rank r", "sum of all ranks' input cells". In a program nothing
depends on a race: each wait is for a fixed set of things, and what has happened stays so. So if one execution ends,
all do; and if in this one every read comes after a write that it has *waited for*, and nothing is written twice, the
result is the same in all. That is checked at each step, not seen from the result:

- What is read has been waited for: an arrival by an entry of the same subgraph, a sum or copy by SYNC.
- No cell of landing slots or output is written twice in a collective.
- Each arrival is waited for before the collective ends, and each READY is taken.
- A rank that ends knows that all have started, by a chain of messages waited for. By induction over the collectives of
  a communicator, whoever is in collective N knows that all have started N - 1, hence ended N - 2: with two parities no
  slot or event of N can still be in use.
- With fewer parities, or for an output that is not free early, a writer has to know that its target has started N.
- The reduction units of the switch never hold more pieces than there are places.

Ranks are executed in step with each other, which refuses no program that needs no more than that of its peers.
"""

from dataclasses import dataclass, field

import numpy as np

from mtia.collectives import WINDOW, Collective
from mtia.collectives_entries import Program
from mtia.collectives_geometry import Geometry
from mtia.message import Base, Sync, WorkOp

from .message_entry import Work
from .message_steps import Moves, Steps
from .message_symbols import Bools, Cells, Ints, ScheduleError, Symbols, require

_PHASES = 4


@dataclass(frozen=True)
class Report:
    """What a program was found to need.

    early:  a peer may write the output before this rank has started the collective
    slots:  landing slots of a chunk that are in use at a rank, for each parity
    events: event numbers in use, for each parity
    places: pieces in flight in a reduction unit of the switch
    """

    early: bool
    slots: int
    events: int
    places: int


@dataclass
class _Thread:
    """A subgraph: entries, where it is, and for each rank what it has waited for and whom it knows to have started."""

    entries: list[Work]
    waited: Bools
    knows: Bools
    address: int = 0
    piece: int = 0
    step: int = 0
    ended: bool = False
    instances: list[int] = field(default_factory=list)


def check(
    collective: Collective,
    program: Program,
    cut: Geometry,
    *,
    ranks: int,
    root: int = 0,
    parities: int = 2,
    places: int = WINDOW,
) -> Report:
    """Proves a program for a number of ranks and a cut.

    parities: sets of landing slots and events: 2, or 1 to see whether one would do
    places:   pieces in flight in a reduction unit of the switch
    ScheduleError says what does not hold.
    """
    return _Execution(collective, program, cut, ranks, root, parities, places).run()


class _Execution:
    def __init__(
        self, collective: Collective, program: Program, cut: Geometry, ranks: int, root: int, parities: int, places: int
    ):
        self.collective, self.cut, self.ranks, self.root = collective, cut, ranks, root
        self.parities, self.places = parities, places
        pieces = cut.pieces
        self.rank = np.arange(ranks)
        self.symbols = Symbols(ranks, cut)
        self.of = Steps(ranks, root, self.symbols)
        self.memories = {base: Cells(base, ranks, pieces) for base in (Base.LANDING, Base.OUTPUT)}
        # arrivals [event, rank, slot], and what their senders knew
        self.arrived = np.zeros((_PHASES * pieces, ranks, ranks), np.bool_)
        self.told = np.zeros((_PHASES * pieces, ranks, ranks, ranks), np.bool_)
        self.tokens = np.zeros((ranks, ranks), np.int64)
        self.tokens_told = np.zeros((ranks, ranks, ranks), np.bool_)
        self.threads = [
            _Thread(
                [Work(word) for word in subgraph.words()],
                np.zeros((_PHASES * pieces, ranks, ranks), np.bool_),
                np.eye(ranks, dtype=np.bool_),
            )
            for subgraph in program.subgraphs
        ]
        self.instances = 0
        self.early = False
        self.most_places = 0

    def run(self) -> Report:
        """Executes it, then looks at what is left."""
        while not all(thread.ended for thread in self.threads):
            if not any([self._advance(thread) for thread in self.threads]):  # noqa: C419 (each has to be tried)
                where = [f"{thread.entries[thread.address].op.name} of piece {thread.piece}" for thread in self.threads]
                raise ScheduleError(f"Nothing can go on any more: subgraphs are at {', '.join(where)}")
        self._ended()
        slots = (self.memories[Base.LANDING].value != 0).any(axis=2).sum(axis=1).max()
        events = self.arrived.any(axis=(1, 2)).sum()
        return Report(self.early, int(slots), int(events), self.most_places)

    def _advance(self, thread: _Thread) -> bool:
        """Executes what a subgraph can; whether that was anything."""
        moved = False
        while not thread.ended:
            entry = thread.entries[thread.address]
            runs = self.of.runs(entry)
            by_step = entry.sync in (Sync.FORWARD_SYNC, Sync.SEND_SYNC)
            if not by_step:
                if not self._waits(thread, entry, runs):
                    return moved
                self._begin(thread)
                self._steps(thread, entry, runs, np.arange(self.of.count(entry)))
            else:
                if thread.step == 0:
                    self._begin(thread)
                while thread.step < self.of.count(entry):
                    step = np.array([thread.step])
                    if not self._step_waits(thread, entry, runs, step):
                        return moved
                    self._steps(thread, entry, runs, step)
                    thread.step += 1
                    moved = True
            moved, thread.step = True, 0
            if entry["closes"] and thread.piece + 1 < self.cut.pieces:
                thread.address, thread.piece = 0, thread.piece + 1
            elif entry["ends"]:
                thread.ended = True
            else:
                thread.address += 1
        return moved

    def _begin(self, thread: _Thread) -> None:
        thread.instances.append(self.instances)
        self.instances += 1

    def _waits(self, thread: _Thread, entry: Work, runs: Bools) -> bool:
        """Does the wait of an entry as a whole; False if it is not over yet."""
        piece = thread.piece - entry["wait_lag"]
        if entry.sync is Sync.RECEIVE_SYNC and piece >= 0:
            event = entry["wait_phase"] * self.cut.pieces + piece
            mask = self.of.expected(entry, piece) & runs[:, None]
            if (mask & ~self.arrived[event]).any():
                return False
            self._learn(thread, event, mask)
        elif entry.sync in (Sync.SYNC, Sync.WQE_SYNC):
            instances = thread.instances if entry.sync is Sync.SYNC else thread.instances[-1:]
            for memory in self.memories.values():
                memory.settle(instances, runs)
        return True

    def _learn(self, thread: _Thread, event: int, mask: Bools) -> None:
        """Ranks have waited for slots [rank, slot] of an event: they know what the senders knew."""
        thread.waited[event] |= mask
        thread.knows |= (self.told[event] & mask[:, :, None]).any(axis=1)

    def _step_waits(self, thread: _Thread, entry: Work, runs: Bools, step: Ints) -> bool:
        """The same, of one step."""
        takes = self.of.takes(entry, runs, step, thread.piece)[:, 0]
        ranks = self.rank[takes]
        if entry.sync is Sync.SEND_SYNC:
            peers = self.of.index(entry, "peer", step)[takes, 0]
            if (self.tokens[ranks, peers] < 1).any():
                return False
            self.tokens[ranks, peers] -= 1
            thread.knows[ranks] |= self.tokens_told[ranks, peers]
            return True
        event = entry["wait_phase"] * self.cut.pieces + thread.piece - entry["wait_lag"]
        mask = np.zeros((self.ranks, self.ranks), np.bool_)
        mask[ranks, self.of.index(entry, "source", step)[takes, 0]] = True
        if (mask & ~self.arrived[event]).any():
            return False
        self._learn(thread, event, mask)
        return True

    def _steps(self, thread: _Thread, entry: Work, runs: Bools, steps: Ints) -> None:
        """Executes steps of an entry for all ranks."""
        ranks, at = np.nonzero(self.of.takes(entry, runs, steps, thread.piece))
        if not len(ranks):
            return
        lengths = self.of.bytes(entry, steps, thread.piece)[ranks, at]
        if entry.op is WorkOp.SUM:
            self._sum(thread, entry, ranks, lengths)
            return
        index, piece = self.of.cell(entry, "source", steps, thread.piece)
        values = self._read(thread, entry.base("source"), ranks, index[ranks, at], piece, lengths)
        index, piece = self.of.cell(entry, "target", steps, thread.piece)
        slots, peers = (self.of.index(entry, name, steps)[ranks, at] for name in ("target", "peer"))
        moves = Moves(ranks, peers, slots, index[ranks, at], values, lengths)
        if entry.op is WorkOp.COPY:
            memory = self.memories[entry.base("target")]
            memory.write(ranks, moves.cells, piece, values, lengths, writer=thread.instances[-1])
        elif entry.op is WorkOp.RECEIVE:
            first = self.tokens[peers, ranks] == 0
            self.tokens_told[peers[first], ranks[first]] = thread.knows[ranks[first]]
            self.tokens[peers, ranks] += 1
        elif entry.op is WorkOp.REDUCE:
            self._reduce(thread, entry, moves, piece)
        elif entry["multicast"]:
            copies = np.array([(i, q) for i, r in enumerate(ranks) for q in range(self.ranks) if q != r])
            self._message(thread, entry, moves.only(copies[:, 0])._replace(peers=copies[:, 1]), piece)
        else:
            self._message(thread, entry, moves, piece)

    def _read(self, thread: _Thread, base: Base, ranks: Ints, index: Ints, piece: int, lengths: Ints) -> Ints:
        """Symbols of what is read; 0 where no bytes are."""
        if base is Base.INPUT:
            return np.where(lengths > 0, self.symbols.input(ranks, index, piece), 0)
        return self.memories[base].read(ranks, index, piece, lengths, thread.waited, thread.instances)

    def _message(self, thread: _Thread, entry: Work, moves: Moves, piece: int) -> None:
        """Messages from ranks to peers."""
        require(moves.ranks != moves.peers, "A message goes to its sender", moves.ranks)
        known = thread.knows[moves.ranks, moves.peers]
        if entry.base("target") is Base.OUTPUT:
            self.early |= not (known | (moves.lengths == 0)).all()
        if self.parities < 2:
            require(known, "A peer may still use its slots and events", moves.ranks)
        event = entry["set_phase"] * self.cut.pieces + thread.piece
        self._arrive(event, moves.peers, moves.slots, thread.knows[moves.ranks])
        memory = self.memories[entry.base("target")]
        memory.write(moves.peers, moves.cells, piece, moves.values, moves.lengths, event=event, slots=moves.slots)

    def _arrive(self, event: int, ranks: Ints, slots: Ints, told: Bools) -> None:
        flat = ranks * self.ranks + slots
        twice = self.arrived[event, ranks, slots].any() or len(np.unique(flat)) < len(flat)
        require(np.array([not twice]), "A slot of an event arrives twice", ranks[:1])
        self.arrived[event, ranks, slots] = True
        self.told[event, ranks, slots] = told

    def _reduce(self, thread: _Thread, entry: Work, moves: Moves, piece: int) -> None:
        """Contributions of all ranks to the units, and the results to all ranks."""
        free = thread.piece - self.places
        if free >= 0:
            waited = thread.waited[entry["set_phase"] * self.cut.pieces + free]
            require(waited[moves.ranks, moves.slots], "A unit of the switch may have no place left", moves.ranks)
        self.most_places = max(self.most_places, min(thread.piece + 1, self.places))
        event = entry["set_phase"] * self.cut.pieces + thread.piece
        for unit in np.unique(moves.peers):
            mine = moves.only(moves.peers == unit)
            same = [len(np.unique(each)) == 1 for each in (mine.slots, mine.cells, mine.lengths)]
            whole = all(same) and len(mine.ranks) == self.ranks
            require(np.array([whole]), "A unit lacks contributions", mine.ranks)
            told = np.broadcast_to(thread.knows[mine.ranks].any(axis=0), (self.ranks, self.ranks))
            self._arrive(event, self.rank, mine.slots, told)
            totals = np.full(self.ranks, self.symbols.total(mine.ranks, mine.values))
            memory = self.memories[entry.base("target")]
            memory.write(self.rank, mine.cells, piece, totals, mine.lengths, event=event, slots=mine.slots)

    def _sum(self, thread: _Thread, entry: Work, ranks: Ints, lengths: Ints) -> None:
        """Adds one's own piece and the slots of the others."""
        step = np.array([0])
        index, piece = self.of.cell(entry, "source", step, thread.piece)
        own = self._read(thread, entry.base("source"), ranks, index[ranks, 0], piece, lengths)
        where, slot = np.nonzero(~np.eye(self.ranks, dtype=np.bool_)[ranks])
        landed = self._read(thread, Base.LANDING, ranks[where], slot, piece, lengths[where])
        values = np.zeros((len(ranks), self.ranks), np.int64)
        values[np.arange(len(ranks)), ranks] = own
        values[where, slot] = landed
        totals = np.array([self.symbols.total(np.arange(self.ranks), each) for each in values])
        index, piece = self.of.cell(entry, "target", step, thread.piece)
        self.memories[entry.base("target")].write(
            ranks, index[ranks, 0], piece, totals, lengths, writer=thread.instances[-1]
        )

    def _ended(self) -> None:
        """What has to be true when all ranks have ended."""
        waited = np.any([thread.waited for thread in self.threads], axis=0)
        left = (self.arrived & ~waited).any(axis=(0, 2))
        require(~left, "An arrival is not waited for", self.rank)
        require(self.tokens.sum(axis=1) == 0, "A READY is not taken", self.rank)
        knows = np.any([thread.knows for thread in self.threads], axis=0)
        require(knows.all(axis=1), "The end does not tell that all have started", self.rank)
        value, length = self.symbols.wanted(self.collective, self.root)
        output = self.memories[Base.OUTPUT]
        require((output.value == value).all(axis=(1, 2)), "The result is another", self.rank)
        require((output.length == length).all(axis=(1, 2)), "The result is of another length", self.rank)

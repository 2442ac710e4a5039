"""A program of the message engine as it runs: the entries of a subgraph with a descriptor on a communicator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from mtia.message import ATOM_BYTES, EVENT, Base, PacketOp, Sync, WorkOp, pack
from mtia.near_memory import ReduceFormat, ReduceKind

from .message_command import REDUCER, Command, Condition, Job, Thread
from .message_entry import View, Work, work
from .near_memory import tree

if TYPE_CHECKING:
    from .message_engine import Engine

#: entries that give out a message
_MESSAGES = {
    WorkOp.WRITE: PacketOp.WRITE,
    WorkOp.WRITE_IMMEDIATE: PacketOp.WRITE_IMMEDIATE,
    WorkOp.SEND: PacketOp.SEND,
    WorkOp.RECEIVE: PacketOp.READY,
    WorkOp.REDUCE: PacketOp.REDUCE,
}


class Run:
    """A thread of a command: what its entries mean, given out as jobs of the engine.

    The iterators yield what has to be true before they go on; between any two steps others may go on.
    """

    def __init__(self, engine: Engine, command: Command, thread: Thread):
        self.engine, self.command, self.thread = engine, command, thread
        self.descriptor = command.fields
        self.communicator = engine.communicators[self.descriptor["communicator"]]
        self.view = View.of(self.communicator["rank"], self.communicator["ranks"], self.descriptor)
        self.parity = command.sequence % 2
        self._before: list[Job] = []

    def subgraph(self, begin: int) -> Iterator[Condition]:
        """Runs the subgraph at an address of the context RAM to its end."""
        address, piece = begin, 0
        while True:
            entry = work(self.engine.image.context[address])
            self.thread.doing = f"{entry.op.name} {entry.sync.name} at {address}, piece {piece}"
            if entry.runs(self.view):
                yield from self._entry(entry, piece)
            if entry["closes"] and piece + 1 < self.view.pieces:
                address, piece = begin, piece + 1
            elif entry["ends"]:
                return
            else:
                address += 1

    def _entry(self, entry: Work, piece: int) -> Iterator[Condition]:
        """Waits for what the entry's `sync` says, then makes its steps."""
        thread, command = self.thread, self.command
        before = self._before
        given = len(thread.jobs)
        if entry.sync is Sync.FENCE:
            yield lambda: not command.unsettled
        elif entry.sync is Sync.SYNC:
            yield lambda: all(job.done for job in thread.jobs)
        elif entry.sync is Sync.WQE_SYNC:
            yield lambda: all(job.done for job in before)
        elif entry.sync is Sync.RECEIVE_SYNC:
            yield self._arrived(entry, piece, entry.expected(piece, self.view))
        if entry.op is WorkOp.WAIT:
            yield self.engine.condition(self.descriptor)
        for step in entry.steps(self.view):
            length = self._length(entry, step, piece)
            if entry.takes(step, length, self.view):
                yield from self._step_sync(entry, step, piece)
                self._step(entry, step, piece, length)
                yield lambda: True
        self._before = thread.jobs[given:]

    def _step_sync(self, entry: Work, step: int, piece: int) -> Iterator[Condition]:
        """What each step waits for itself."""
        if entry.sync is Sync.FORWARD_SYNC:
            yield self._arrived(entry, piece, 1 << entry.index("source", step, self.view))
        elif entry.sync is Sync.SEND_SYNC:
            tokens = self.engine.node.tokens
            token = (self.descriptor["communicator"], self._port(entry, step))
            yield lambda: tokens[token] > 0
            tokens[token] -= 1

    def _arrived(self, entry: Work, piece: int, mask: int) -> Condition:
        """That these slots have arrived, in the event that the entry waits for."""
        if piece < entry["wait_lag"]:
            return lambda: True
        event = self._event(entry["wait_phase"], piece - entry["wait_lag"])
        return lambda: self.engine.node.arrived(event, self.command.sequence & 0xFFFF, mask)

    def _event(self, phase: int, piece: int) -> int:
        communicator = self.descriptor["communicator"]
        return pack(EVENT, piece=piece, phase=phase, parity=self.parity, communicator=communicator)

    def _port(self, entry: Work, step: int) -> int:
        return self.communicator["first_port"] + entry.index("peer", step, self.view)

    def _length(self, entry: Work, step: int, piece: int) -> int:
        if not entry["sized"]:
            return entry.length(step, piece, self.view)
        chunk = entry.index("chunk", step, self.view)
        table = self.descriptor["immediate"] | self.descriptor["event"] << 32
        return self.view.clip(min(self.view.chunk, self.engine.word(table + 4 * chunk)), piece)

    def _address(self, entry: Work, operand: str, step: int, piece: int) -> int:
        """Address of an operand in memory here."""
        base = entry.base(operand)
        if base is Base.LANDING:
            start = self.communicator["landing"] + self.parity * self.communicator["parity_bytes"]
        else:
            start = self.descriptor[base.name.lower()]
        return start + entry.displacement(operand, step, piece, self.view)

    def _step(self, entry: Work, step: int, piece: int, length: int) -> None:
        """Gives out the job of a step."""
        engine, command, thread = self.engine, self.command, self.thread
        source = self._address(entry, "source", step, piece)
        target = self._address(entry, "target", step, piece)
        if entry.op in _MESSAGES:
            command.unsettled += entry["acknowledge"]
            engine.message(command, thread, self._header(entry, step, piece, length), source, length)
        elif entry.op is WorkOp.COPY:
            engine.give(command, thread, REDUCER, engine.mover(source, target, length))
        elif entry.op is WorkOp.SUM:
            engine.give(command, thread, REDUCER, lambda: self._sum(entry, piece, source, target, length))
        elif entry.op is WorkOp.SET:
            value = self.descriptor["immediate"].to_bytes(4, "little")
            engine.node.memory[target : target + 4] = np.frombuffer(value, np.uint8)

    def _header(self, entry: Work, step: int, piece: int, length: int) -> dict[str, int]:
        """Header of the message of a step, but what differs between its packets."""
        communicator, view = self.communicator, self.view
        slot = entry.index("target", step, view)
        offset = entry.displacement("target", step, piece, view)
        if entry.base("target") is Base.LANDING:
            window, start = "landing_window", self.parity * communicator["parity_bytes"]
        else:
            window, start = "output_window", self.descriptor["output"] - communicator["output"]
        return {
            "op": _MESSAGES[entry.op],
            "acknowledge": entry["acknowledge"],
            "multicast": entry["multicast"],
            "destination": communicator["group"] if entry["multicast"] else self._port(entry, step),
            "partition": communicator["partition"],
            "window": communicator[window],
            "epoch": communicator["epoch"],
            "key": communicator["key"],
            "kind": self.descriptor["kind"],
            "format": self.descriptor["format"],
            "slot": view.rank if entry.op is WorkOp.REDUCE else slot,
            "immediate": slot,
            "event": self._event(entry["set_phase"], piece),
            "sequence": self.command.sequence & 0xFFFF,
            "offset": start + offset if length else 0,
            "group": communicator["group"],
            "ranks": view.ranks,
        }

    def _sum(self, entry: Work, piece: int, own: int, target: int, length: int) -> bool:
        """Adds the pieces of all ranks, one's own from elsewhere, along the tree; True as one call does it all."""
        memory, view = self.engine.node.memory, self.view
        landing = self.communicator["landing"] + self.parity * self.communicator["parity_bytes"]
        landing += entry["source_pieced"] * piece * view.piece
        atoms = -(-length // ATOM_BYTES)
        begins = [own if rank == view.rank else landing + rank * view.chunk for rank in range(view.ranks)]
        slots = np.stack([memory[begin : begin + atoms * ATOM_BYTES].reshape(-1, ATOM_BYTES) for begin in begins])
        kind, format = ReduceKind(self.descriptor["kind"]), ReduceFormat(self.descriptor["format"])
        memory[target : target + length] = tree(kind, format, slots).ravel()[:length]
        return True

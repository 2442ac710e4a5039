"""What stands around a sequencer, played by Python: sender, reducer, receiver and memory, all as late as asked.

The golden programs run beside it: with each job that the sequencer gives out, the golden thread goes on to its next
one, and everything that it had to wait for must have happened by then.
"""

import random
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from golden.message_command import Command, Job, Thread
from golden.message_run import Run
from hdl.message.jobs import MemoryOp
from hdl.message.tables import Space
from mtia.collectives_entries import Image
from mtia.message import COMMUNICATOR, DESCRIPTOR, Comparison, pack

from ..lane import Lane


class _Program(Run):
    """A golden thread that tells what its sums are of, and computes nothing."""

    def _sum(self, entry: Any, piece: int, own: int, target: int, length: int) -> bool:
        landing = self.communicator["landing"] + self.parity * self.communicator["parity_bytes"]
        self.engine.made.append(  # type: ignore[attr-defined]
            {
                "op": int(MemoryOp.SUM.value),
                "kind": self.descriptor["kind"],
                "format": self.descriptor["format"],
                "slots": self.view.ranks,
                "own": self.view.rank,
                "base": landing + entry["source_pieced"] * piece * self.view.piece,
                "stride": self.view.chunk,
                "own_address": own,
                "target": target,
                "length": length,
            }
        )
        return True


class GoldenThread:
    """A golden subgraph: what it has to wait for, and its jobs."""

    def __init__(self, around: "Surroundings", command: Command, begin: int):
        self.node, self.image, self.communicators = around, around.image, around.communicators
        self.command, self.made = command, deque[dict[str, int]]()
        self.thread = Thread(iter(()))
        self._steps = _Program(self, command, self.thread).subgraph(begin)  # type: ignore[arg-type]
        self._open: dict[str, deque[Job]] = {"sent": deque(), "done": deque()}

    def message(self, command: Command, thread: Thread, header: dict[str, int], address: int, length: int) -> None:
        """Takes a message from the program."""
        self._give(Job(lambda: True), "sent")
        self.made.append({**header, "source": address, "length": length})

    def mover(self, source: int, target: int, length: int) -> Any:
        """Takes a copy from the program."""
        fields = {"op": int(MemoryOp.COPY.value), "own_address": source, "target": target, "length": length}

        def move() -> bool:
            self.made.append(fields)
            return True

        return move

    def give(self, command: Command, thread: Thread, unit: str, work: Callable[[], bool]) -> None:
        """Takes a job of the reducer from the program."""
        work()
        self._give(Job(work), "done")

    def _give(self, job: Job, stream: str) -> None:
        self.thread.jobs.append(job)
        self._open[stream].append(job)

    def ended(self, stream: str) -> None:
        """The oldest of its jobs whose end comes on that stream is done."""
        self._open[stream].popleft().done = True

    def word(self, address: int) -> int:
        """A word of memory."""
        return self.node.word(address)

    def condition(self, fields: Mapping[str, int]) -> Any:
        """The semaphore's."""
        return lambda: self.node.is_met(fields)

    def next(self) -> dict[str, int] | None:
        """The next job, None at the end; AssertionError if something that comes before it has not happened."""
        while not self.made:
            condition = next(self._steps, None)
            if condition is None:
                return None
            assert condition(), f"{self.thread.doing} waits for what has not happened"
        return self.made.popleft()


class Surroundings:
    """Everything around a sequencer.

    pace: chance that in a cycle something that is under way happens (a job ends, an arrival comes)
    """

    def __init__(
        self,
        lane: Lane,
        image: Image,
        communicators: Mapping[int, Mapping[str, int]],
        *,
        seed: int,
        pace: float = 0.5,
        pauses: Mapping[str, float] | None = None,
    ):
        self.lane, self.image = lane, image
        self.communicators = {
            number: {**dict.fromkeys(dict(COMMUNICATOR), 0), **c} for number, c in communicators.items()
        }
        self.random, self.pace, self.pauses = random.Random(seed), pace, pauses
        self.sent: deque[int] = deque()
        self.done: deque[int] = deque()
        self.events: dict[int, tuple[int, int]] = {}
        self.tokens: Counter[tuple[int, int]] = Counter()
        self.ready: Counter[tuple[int, int]] = Counter()
        self.arrivals: list[tuple[int, int, int]] = []
        self.offers: list[tuple[int, int]] = []
        self.memory: dict[int, int] = {}
        self.reading: deque[Any] = deque()
        self.jobs: list[dict[str, Any]] = []
        self.completions: list[dict[str, int]] = []
        self.unsettled: list[int] = []
        self.queries = self.loads = 0
        self.on_end: Callable[[int, str], None] = lambda thread, stream: None
        self.on_settled: Callable[[], None] = lambda: None
        lane.reset()
        for name in ("arrived", "arrived_event", "ready_arrived", "link_down"):
            lane.set(name, 0)
        changes = [(Space.ENTRIES, index, word) for index, word in enumerate(image.context)]
        changes += [(Space.PROGRAMS, index, word) for index, word in enumerate(image.directory)]
        changes += [(Space.COMMUNICATORS, n, pack(COMMUNICATOR, **c)) for n, c in self.communicators.items()]
        for change in changes:
            self.configure(*change)
        lane.run()

    def configure(self, space: Space, index: int, word: int) -> None:
        """Changes a table."""
        words = np.frombuffer(word.to_bytes(32, "little"), "<u4")[None]
        self.lane.push("configure", {"space": np.array([int(space)]), "index": np.array([index]), "data": words})

    def ring(self, descriptor: Mapping[str, int], partition: int = 0) -> None:
        """Writes a descriptor."""
        word = pack(DESCRIPTOR, **descriptor).to_bytes(64, "little")
        self.lane.push(f"doorbell__{partition}", np.frombuffer(word, np.uint8)[None].copy())

    def arrived(self, event: int, sequence: int, mask: int) -> bool:
        """As the receiver's table says."""
        stored, bits = self.events.get(event, (None, 0))
        return not mask or (stored == sequence and bits & mask == mask)

    def word(self, address: int) -> int:
        """The 32 bits at an address."""
        return self.memory.get(address, 0)

    def is_met(self, fields: Mapping[str, int]) -> bool:
        """A descriptor's condition on its semaphore."""
        word, value = self.word(fields["semaphore"]), fields["value"]
        return {
            Comparison.ALWAYS: True,
            Comparison.EQUAL: word == value,
            Comparison.NOT_EQUAL: word != value,
            Comparison.GREATER_EQUAL: word >= value,
            Comparison.LESS: word < value,
        }[Comparison(fields["comparison"])]

    def cycle(self, count: int = 1) -> None:
        """Lets so many cycles go by; what happens in them is random."""
        for _ in range(count):
            self._happen()
            self.lane.run(cycles=1, pauses=self.pauses, seed=self.random.getrandbits(32))
            self._look()

    def _chance(self) -> bool:
        return self.random.random() < self.pace

    def _happen(self) -> None:
        """Things that were under way."""
        for name, queue in (("sent", self.sent), ("done", self.done)):
            if queue and self._chance():
                thread = queue.popleft()
                self.lane.push(name, {"thread": np.array([thread])})
                self.on_end(thread, name)
        pulse = {"arrived": 0, "arrived_event": 0, "ready_arrived": 0}
        if self.arrivals and self._chance():
            event, sequence, slot = self.arrivals.pop(self.random.randrange(len(self.arrivals)))
            stored, bits = self.events.get(event, (None, 0))
            self.events[event] = (sequence, (bits if stored == sequence else 0) | 1 << slot)
            pulse |= {"arrived": 1, "arrived_event": event}
        if self.offers and self._chance():
            token = self.offers.pop(self.random.randrange(len(self.offers)))
            self.tokens[token] += 1
            self.ready[token] += 1
            pulse["ready_arrived"] = 1
        for name, value in pulse.items():
            self.lane.set(name, value)
        if self.reading and self._chance():
            self.lane.push("loaded", {"data": self.reading.popleft()})
        if self.unsettled and self._chance():
            self.acknowledge(self.unsettled.pop(self.random.randrange(len(self.unsettled))))
            self.on_settled()

    def acknowledge(self, tag: int, reason: int = 0) -> None:
        """A DONE, or a REFUSED, comes."""
        fields = {"command": tag, "refused": int(reason > 0), "reason": reason, "source": 1}
        self.lane.push("acknowledged", {name: np.array([value]) for name, value in fields.items()})

    def _look(self) -> None:
        """What the sequencer gives out."""
        lane = self.lane
        if lane.waiting("send"):
            for job in _rows(lane.pull_fields("send")):
                job |= {"stream": "sent", "cycle": lane.cycles}
                self.jobs.append(job)
                self.sent.append(job["thread"])
                if job["header"]["acknowledge"]:
                    self.unsettled.append(job["header"]["command"])
        if lane.waiting("work"):
            for job in _rows(lane.pull_fields("work")):
                self.jobs.append(job | {"stream": "done", "cycle": lane.cycles})
                self.done.append(job["thread"])
        if lane.waiting("query"):
            (query,) = _rows(lane.pull_fields("query"))
            self.queries += 1
            complete = self.arrived(query["event"], query["sequence"], query["mask"])
            lane.push("answer", {"complete": np.array([int(complete)])})
        if lane.waiting("ready_query"):
            (query,) = _rows(lane.pull_fields("ready_query"))
            self.queries += 1
            token = (query["communicator"], query["port"])
            available = self.ready[token] > 0
            self.ready[token] -= available
            lane.push("ready_answer", {"available": np.array([int(available)])})
        if lane.waiting("load"):
            (load,) = _rows(lane.pull_fields("load"))
            self.loads += 1
            words = [self.word((load["address"] & ~31) + 4 * place) for place in range(16)]
            self.reading.append(np.array([words], np.uint32))
        if lane.waiting("completion"):
            for completion in _rows(lane.pull_fields("completion")):
                self.completions.append(completion | {"cycle": lane.cycles})


def _rows(fields: Any) -> list[dict[str, Any]]:
    """Beats as dictionaries of Python integers."""
    columns: dict[str, list[Any]] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            columns[name] = _rows(value)
        elif value.ndim == 2:
            columns[name] = [int.from_bytes(row.astype("<u4").tobytes(), "little") for row in value]
        else:
            columns[name] = [int(item) for item in value]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

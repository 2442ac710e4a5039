"""A command of a message engine while it runs: its threads, and the jobs that these have given out."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mtia.message import DescriptorOp, Status

#: the units that do jobs
SENDER, REDUCER = "sender", "reducer"
#: when a thread may go on
Condition = Callable[[], bool]


@dataclass
class Job:
    """Something that is given out and done later: calls of `work` until it says that it was the last."""

    work: Callable[[], bool]
    done: bool = False


@dataclass
class Thread:
    """A subgraph that runs: where it is, the jobs it has given out, and those that a unit still has to do, in order."""

    steps: Iterator[Condition]
    jobs: list[Job] = field(default_factory=list)
    queues: dict[str, deque[Job]] = field(default_factory=lambda: {SENDER: deque(), REDUCER: deque()})
    blocked: Condition | None = None
    doing: str = ""


@dataclass
class Command:
    """A descriptor and how far it is; `unsettled` counts the messages that are not acknowledged yet."""

    number: int
    fields: dict[str, int]
    started: bool = False
    status: Status | None = None
    detail: int = 0
    sequence: int = 0
    unsettled: int = 0
    threads: list[Thread] = field(default_factory=list)

    @property
    def is_collective(self) -> bool:
        """Whether it runs a program on a communicator."""
        return self.fields["op"] == DescriptorOp.COLLECTIVE

    def completion(self) -> dict[str, int]:
        """Fields of its completion, but cycles and phase, which a model without time does not know."""
        names = {name: self.fields[name] for name in ("command", "partition", "bytes")}
        return {**names, "status": int(self.status or 0), "detail": self.detail}

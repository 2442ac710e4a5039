"""The message engine of one accelerator: commands, their threads, and the jobs that these give out.

What an engine may do next is left open wherever the order is not defined: every step of a thread, every packet and
every sum is an event of its own, which the domain delays as it likes.
"""

import operator
from collections.abc import Callable, Iterator, Mapping

from mtia.collectives_entries import Image
from mtia.message import (
    DESCRIPTOR,
    MAX_PACKET,
    PROGRAM,
    Comparison,
    DescriptorOp,
    PacketOp,
    Reason,
    Status,
    pack,
    unpack,
)

from .message_command import REDUCER, SENDER, Command, Condition, Job, Thread
from .message_node import Node, Packet
from .message_rules import malformed
from .message_run import Run

_COMPARE: dict[Comparison, Callable[[int, int], bool]] = {
    Comparison.EQUAL: operator.eq,
    Comparison.NOT_EQUAL: operator.ne,
    Comparison.GREATER_EQUAL: operator.ge,
    Comparison.LESS: operator.lt,
}


class Engine:
    """The engine of a node.

    send:  takes a packet that leaves
    later: takes a key and an action that is to happen some time
    """

    def __init__(
        self,
        node: Node,
        image: Image,
        send: Callable[[Packet], None],
        later: Callable[[object, Callable[[], None]], None],
        mtu: int = MAX_PACKET,
    ):
        self.node, self.image, self.mtu = node, image, mtu
        self._send, self._later = send, later
        self.communicators: dict[int, dict[str, int]] = {}
        self.sequences: dict[int, int] = {}
        self.commands: list[Command] = []
        self.completed: list[Command] = []

    def submit(self, fields: Mapping[str, int]) -> None:
        """Takes a descriptor; it starts when the commands before it on its communicator and its semaphore allow."""
        whole = unpack(DESCRIPTOR, pack(DESCRIPTOR, **fields))
        self.commands.append(Command(len(self.commands), whole))
        self.wake()

    def answered(self, packet: Packet) -> None:
        """Takes a DONE or REFUSED."""
        command = self.commands[packet.fields["command"]]
        if command.status is not None:
            return
        if packet.op is PacketOp.REFUSED:
            self._end(command, Status.REFUSED, Reason(packet.fields["immediate"]))
        else:
            command.unsettled -= 1

    def expire(self) -> bool:
        """Ends the commands that run and have a timeout, as nothing can happen any more; whether there were any."""
        late = [each for each in self.commands if each.started and each.status is None and each.fields["timeout"]]
        for command in late:
            self._end(command, Status.TIMEOUT)
        return bool(late)

    def wake(self) -> None:
        """Looks at everything that waits: to be called whenever memory, events or tokens have changed."""
        for command in self.commands:
            if command.status is None and not command.started and self._may_start(command):
                self._start(command)
            for thread in command.threads:
                if thread.blocked is not None and thread.blocked():
                    self._go_on(command, thread)
            over = all(thread.doing == "ended" and not any(thread.queues.values()) for thread in command.threads)
            if command.status is None and command.started and over and not command.unsettled:
                self._end(command, Status.OK)

    def _may_start(self, command: Command) -> bool:
        fields = command.fields
        if malformed(fields, self.communicators, self.image.directory):
            return True
        same = [
            other
            for other in self.commands[: command.number]
            if other.is_collective and other.fields["communicator"] == fields["communicator"] and other.status is None
        ]
        return not (command.is_collective and same) and self.condition(fields)()

    def condition(self, fields: Mapping[str, int]) -> Condition:
        """What a descriptor says of its semaphore."""
        address, comparison = fields["semaphore"], Comparison(fields["comparison"])
        if comparison is Comparison.ALWAYS:
            return lambda: True
        return lambda: _COMPARE[comparison](self.word(address), fields["value"])

    def word(self, address: int) -> int:
        """The 32 bits at an address."""
        return int.from_bytes(self.node.memory[address : address + 4].tobytes(), "little")

    def _start(self, command: Command) -> None:
        fields = command.fields
        command.started = True
        if fault := malformed(fields, self.communicators, self.image.directory):
            return self._end(command, Status.MALFORMED, fault)
        if fields["op"] == DescriptorOp.COLLECTIVE:
            command.sequence = self.sequences.get(fields["communicator"], 0)
            self.sequences[fields["communicator"]] = command.sequence + 1
            program = unpack(PROGRAM, self.image.directory[fields["program"]])
            for index in range(program["subgraphs"]):
                thread = self._thread(command)
                thread.steps = Run(self, command, thread).subgraph(program[f"entry_{index}"])
        elif fields["op"] == DescriptorOp.PUT:
            thread = self._thread(command)
            thread.steps = self._put(command, thread)
        elif fields["op"] == DescriptorOp.COPY:
            thread = self._thread(command)
            thread.steps = self._copy(command, thread)
        for thread in command.threads:
            self._go_on(command, thread)
        return None

    def _thread(self, command: Command) -> Thread:
        thread = Thread(iter(()))
        command.threads.append(thread)
        return thread

    def _go_on(self, command: Command, thread: Thread) -> None:
        """Lets a thread make its next step, some time."""
        thread.blocked = None

        def step() -> None:
            if command.status is not None:
                return
            condition = next(thread.steps, None)
            if condition is None:
                thread.doing = "ended"
                self.wake()
            elif condition():
                self._go_on(command, thread)
            else:
                thread.blocked = condition

        self._later((self.node.port, "thread", command.number, command.threads.index(thread)), step)

    def give(self, command: Command, thread: Thread, unit: str, work: Callable[[], bool]) -> None:
        """Gives out a job, done in calls of `work`; a unit does those of a thread in order, the other meanwhile its."""
        job, queue = Job(work), thread.queues[unit]
        thread.jobs.append(job)
        queue.append(job)

        def step() -> None:
            head = queue[0]
            head.done = head.work()
            if head.done:
                queue.popleft()
            if queue:
                self._later(key, step)
            if head.done:
                self.wake()

        key = (self.node.port, unit, command.number, command.threads.index(thread))
        if len(queue) == 1:
            self._later(key, step)

    def _end(self, command: Command, status: Status, detail: int = 0) -> None:
        command.status, command.detail = status, int(detail)
        self.completed.append(command)
        for thread in command.threads:
            thread.blocked = None
        self.wake()

    def _put(self, command: Command, thread: Thread) -> Iterator[Condition]:
        """One message into a window of a peer; with an event if the descriptor names one."""
        fields = command.fields
        named = ("partition", "window", "epoch", "key", "immediate", "acknowledge", "event")
        header = {name: fields[name] for name in named}
        op = PacketOp.WRITE_IMMEDIATE if fields["event"] else PacketOp.WRITE
        header |= {"op": op, "destination": fields["peer"], "offset": fields["output"]}
        header |= {"slot": fields["root"], "sequence": fields["immediate"] & 0xFFFF}
        command.unsettled += fields["acknowledge"]
        self.message(command, thread, header, fields["input"], fields["bytes"])
        yield lambda: True

    def _copy(self, command: Command, thread: Thread) -> Iterator[Condition]:
        fields = command.fields
        self.give(command, thread, REDUCER, self.mover(fields["input"], fields["output"], fields["bytes"]))
        yield lambda: True

    def mover(self, source: int, target: int, length: int) -> Callable[[], bool]:
        """Work of a job that copies."""

        def move() -> bool:
            self.node.memory[target : target + length] = self.node.memory[source : source + length].copy()
            return True

        return move

    def message(self, command: Command, thread: Thread, header: Mapping[str, int], address: int, length: int) -> None:
        """A job that sends a message: packet by packet, each read from memory when it leaves."""
        begins = iter(range(0, max(1, length), self.mtu))
        at = next(begins)

        def packet() -> bool:
            nonlocal at
            part = min(self.mtu, length - at)
            payload = self.node.memory[address + at : address + at + part].tobytes()
            place = {"offset": header.get("offset", 0) + at, "length": part, "source": self.node.port}
            following = next(begins, None)
            end = int(following is None)
            self._send(Packet({**header, **place, "end": end, "command": command.number}, payload))
            at = following if following is not None else at
            return following is None

        self.give(command, thread, SENDER, packet)

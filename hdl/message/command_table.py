"""The command slots of an engine, and what they hold."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from ..core.checks import require_int, stream_out
from ..core.shared import Shared
from ..hbm.select import RoundRobin, index_of, lowest, read
from .command_slot import GENERATION_BITS, CommandSlot
from .jobs import SLOT_BITS, Command, Report
from .ports import Acknowledged

#: A descriptor that is known, and what was found of it.
Admit = data.StructLayout(
    {
        "valid": 1,
        "slot": SLOT_BITS,
        "command": Command,
        "partition": 8,
        "born": 32,
        "fault": 4,
        "is_collective": 1,
        "is_remote": 1,
        "has_condition": 1,
    }
)
#: A number of a slot, and whether it is one.
ChosenSlot = data.StructLayout({"valid": 1, "slot": SLOT_BITS})
_Kept = data.StructLayout({"command": 16, "partition": 8, "bytes": 32, "born": 32})


class CommandTable(wiring.Component):
    """`slots` command slots: their states, their descriptors, their completions.

    Collectives of one communicator start in the order in which they are admitted, one when the one
    before has left. What changes a slot is seen in the next cycle. A completion is offered in the
    cycle in which its command has finished, one a cycle, slots in turn; until it is taken another
    may be offered in its place. One slot becomes free a cycle, the lowest first. All are free after
    reset.

    Parameters
    ----------
    slots : 2 to 16.

    Members
    -------
    allocate : {valid, slot}: the slot is in use.
    admit : an `Admit`: the descriptor of a slot, and what was found of it. Not in a cycle with
        `leaving`.
    leaving : a collective's slot becomes free in this cycle.
    met : a bit a slot: its semaphore's condition is true.
    start : {valid, slot}: its command runs.
    parts, asks : with `start`: so many things of it; one is a message to be acknowledged.
    held : {valid, slot} of one that is about to start: it does not become free.
    part_ended, job_ended : {valid, slot}: one of its things has ended. Not both for one slot in a
        cycle.
    begin : {valid, slot}: more messages are to be acknowledged.
    messages : how many, with `begin`.
    acknowledged : {valid, answer}: an `Acknowledged`; one to an earlier use of its slot is dropped.
    link_down : nothing gets through.
    tick : a unit of the timeouts is over.
    used, startable, collective, wanted, settled, failed : a bit a slot, see `CommandSlot`.
    generations : how often each slot was used before.
    report : stream of `Report`.
    start_slot, start_enable, fetch_slot, fetch_enable : two ports to what the slots hold: which to
        read.
    start_command, fetch_command : a cycle later the command, held until the next.

    Raises TypeError or ValueError for `slots` that are no such number.
    """

    def __init__(self, *, slots: int):
        self._slots = require_int("Command slots", slots, low=2, high=1 << SLOT_BITS)
        vectors = ("used", "startable", "collective", "wanted", "settled", "failed")
        reads: dict[str, wiring.Member] = {}
        for name in ("start", "fetch"):
            reads |= {f"{name}_slot": In(SLOT_BITS), f"{name}_enable": In(1), f"{name}_command": Out(Command)}
        super().__init__(
            {
                "allocate": In(ChosenSlot),
                "admit": In(Admit),
                "leaving": Out(1),
                "met": In(slots),
                "start": In(ChosenSlot),
                "parts": In(3),
                "asks": In(1),
                "held": In(ChosenSlot),
                "part_ended": In(ChosenSlot),
                "job_ended": In(ChosenSlot),
                "begin": In(ChosenSlot),
                "messages": In(7),
                "acknowledged": In(data.StructLayout({"valid": 1, "answer": Acknowledged})),
                "link_down": In(1),
                "tick": In(1),
                **{name: Out(slots) for name in vectors},
                "generations": Out(GENERATION_BITS).array(slots),
                "report": stream_out(Report),
                **reads,
            }
        )

    @property
    def slots(self) -> int:
        """Command slots."""
        return self._slots

    def elaborate(self, platform: object) -> Module:
        m = Module()
        slots = [Shared(CommandSlot()) for _ in range(self.slots)]
        free, ahead = Signal(self.slots), Signal(SLOT_BITS)
        left_on = Signal(4)
        for index, slot in enumerate(slots):
            m.submodules[f"slot_{index}"] = slot
            self._connect(m, index, slot)
            m.d.comb += [slot.free.eq(free[index]), slot.ahead.eq(ahead), self.generations[index].eq(slot.generation)]
            m.d.comb += slot.passed.eq(slot.collective & self.leaving & (slot.on == left_on) & ~free[index])
        for name in ("used", "startable", "collective", "wanted", "settled", "failed"):
            m.d.comb += getattr(self, name).eq(Cat(getattr(slot, name) for slot in slots))
        same = Signal(self.slots)
        communicator = self.admit.command.descriptor.communicator
        m.d.comb += [
            same.eq(Cat(slot.collective & (slot.on == communicator) for slot in slots)),
            ahead.eq(_count(m, same)),
            free.eq(lowest(Cat(slot.freeable for slot in slots))),
            left_on.eq(read(m, free, [slot.on for slot in slots], name="left_on_of")),
        ]
        is_collective_leaving = Signal()
        m.d.comb += [
            is_collective_leaving.eq((free & self.collective).any()),
            self.leaving.eq(is_collective_leaving),
        ]
        self._memories(m)
        self._reports(m, slots)
        return m

    def _connect(self, m: Module, index: int, slot: CommandSlot) -> None:
        """What happens to one slot."""

        def names(chosen: data.View) -> Value:
            return chosen.valid & (chosen.slot == index)

        answer = self.acknowledged.answer
        is_mine = Signal(name=f"is_mine_{index}")
        m.d.comb += [
            is_mine.eq(self.acknowledged.valid & (answer.command == Cat(Const(index, SLOT_BITS), slot.generation))),
            slot.allocate.eq(names(self.allocate)),
            slot.admit.eq(names(self.admit)),
            *(
                getattr(slot, name).eq(self.admit[name])
                for name in ("fault", "is_collective", "is_remote", "has_condition")
            ),
            *(getattr(slot, name).eq(self.admit.command.descriptor[name]) for name in ("communicator", "timeout")),
            slot.met.eq(self.met[index]),
            slot.start.eq(names(self.start)),
            *(slot.parts.eq(self.parts), slot.asks.eq(self.asks), slot.held.eq(names(self.held))),
            slot.part_ended.eq(names(self.part_ended) | names(self.job_ended)),
            slot.begin.eq(names(self.begin)),
            slot.messages.eq(self.messages),
            slot.acknowledged.eq(is_mine & ~answer.refused),
            slot.refused.eq(is_mine & answer.refused),
            slot.reason.eq(answer.reason),
            *(slot.link_down.eq(self.link_down), slot.tick.eq(self.tick)),
        ]

    def _memories(self, m: Module) -> None:
        m.submodules.descriptors = commands = memory.Memory(shape=Command, depth=self.slots, init=[])
        write = commands.write_port()
        m.d.comb += [
            write.en.eq(self.admit.valid),
            write.addr.eq(self.admit.slot),
            Value.cast(write.data).eq(Value.cast(self.admit.command)),
        ]
        for name in ("start", "fetch"):
            port = commands.read_port()
            m.d.comb += [
                port.en.eq(getattr(self, f"{name}_enable")),
                port.addr.eq(getattr(self, f"{name}_slot")),
                Value.cast(getattr(self, f"{name}_command")).eq(Value.cast(port.data)),
            ]

    def _reports(self, m: Module, slots: list[Shared]) -> None:
        """Completions of what has finished."""
        m.submodules.kept = kept = memory.Memory(shape=_Kept, depth=self.slots, init=[])
        m.submodules.turn = turn = RoundRobin(inputs=self.slots)
        write, look = kept.write_port(), kept.read_port(domain="comb")
        index = index_of(m, turn.picked, name="finished")
        status = read(m, turn.picked, [slot.status for slot in slots], name="picked_status")
        detail = read(m, turn.picked, [slot.detail for slot in slots], name="picked_detail")
        report, moves = self.report.payload, Signal()
        descriptor = self.admit.command.descriptor
        m.d.comb += [
            write.en.eq(self.admit.valid),
            write.addr.eq(self.admit.slot),
            *(write.data[name].eq(descriptor[name]) for name in ("command", "bytes")),
            *(write.data[name].eq(self.admit[name]) for name in ("partition", "born")),
            moves.eq(self.report.ready),
            turn.requests.eq(Cat(slot.finished for slot in slots)),
            turn.taken.eq(moves),
            *(slot.reported.eq(moves & turn.picked[number]) for number, slot in enumerate(slots)),
            look.addr.eq(index),
            self.report.valid.eq(turn.picked.any()),
            *(report[name].eq(look.data[name]) for name in ("command", "partition", "bytes", "born")),
            *(report.status.eq(status), report.detail.eq(detail)),
        ]


def _count(m: Module, bits: Signal) -> Value:
    """How many bits are set, of at most 16, one less than all."""
    terms = [Value.cast(bit) for bit in bits]
    level = 0
    while len(terms) > 1:
        pairs = []
        for index in range(0, len(terms), 2):
            pair = terms[index : index + 2]
            total = Signal(min(SLOT_BITS, len(pair[0]) + 1), name=f"count_{level}_{index}")
            m.d.comb += total.eq(pair[0] + pair[1] if len(pair) == 2 else pair[0])
            pairs.append(total)
        terms, level = pairs, level + 1
    return terms[0]

"""Descriptors from the rings into command slots."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from mtia.message import Comparison, DescriptorOp, Fault

from ..core.checks import require_int, stream_in
from ..hbm.select import index_of, lowest
from .command_slot import GENERATION_BITS
from .command_table import Admit, ChosenSlot
from .descriptor_check import DescriptorCheck
from .jobs import SLOT_BITS, Doorbell
from .layouts import Communicator, Program


class Admission(wiring.Component):
    """Gives each descriptor a slot of its partition, checks it, and counts the collectives of each communicator.

    Latency 1 cycle from the descriptor to `admit`; throughput one a cycle. The slots of partition n
    are those from ``n * slots``, so a partition that fills its own holds no other back.

    Parameters
    ----------
    partitions : 1 to 8.
    slots : command slots of each, 1 to 16; at most 16 in all.
    communicators, programs : entries of the tables, 1 to 16 and 1 to 256.

    Members
    -------
    i : stream of `Doorbell`; only of a partition that has `room`.
    used : command slots in use.
    generations : how often each was used before.
    room : a bit a partition: it has a free slot.
    communicator_index, program_index, look : entries to read.
    communicator, program : what they hold, a cycle later.
    restart : {valid, index}: the collectives of that communicator are counted from 0 again.
    hold : nothing may be admitted in this cycle.
    allocate, admit : what the command table takes.

    Raises TypeError or ValueError for a parameter that is not so.
    """

    def __init__(self, *, partitions: int, slots: int, communicators: int, programs: int):
        self._partitions = require_int("Partitions", partitions, low=1, high=8)
        self._slots = require_int("Command slots", slots, low=1, high=(1 << SLOT_BITS) // partitions)
        self._check = DescriptorCheck(communicators=communicators, programs=programs)
        total = partitions * slots
        super().__init__(
            {
                "i": stream_in(Doorbell),
                "used": In(total),
                "generations": In(GENERATION_BITS).array(total),
                "room": Out(partitions),
                "communicator_index": Out(4),
                "program_index": Out(8),
                "look": Out(1),
                "communicator": In(Communicator),
                "program": In(Program),
                "restart": In(data.StructLayout({"valid": 1, "index": 4})),
                "hold": In(1),
                "allocate": Out(ChosenSlot),
                "admit": Out(Admit),
            }
        )

    @property
    def partitions(self) -> int:
        """Partitions."""
        return self._partitions

    @property
    def slots(self) -> int:
        """Command slots of a partition."""
        return self._slots

    @property
    def communicators(self) -> int:
        """Entries of the communicator table."""
        return self._check.communicators

    @property
    def programs(self) -> int:
        """Entries of the program directory."""
        return self._check.programs

    def elaborate(self, platform: object) -> Module:
        m = Module()
        taken, slot = Signal(), Signal(SLOT_BITS)
        doorbell, place, valid = Signal(Doorbell, reset_less=True), Signal(SLOT_BITS, reset_less=True), Signal()
        m.d.comb += [
            self.i.ready.eq(~valid | ~self.hold),
            taken.eq(self.i.valid & self.i.ready),
            *(self.allocate.valid.eq(taken), self.allocate.slot.eq(slot)),
            self.communicator_index.eq(self.i.payload.descriptor.communicator),
            self.program_index.eq(self.i.payload.descriptor.program),
            self.look.eq(taken),
        ]
        for partition in range(self.partitions):
            first = partition * self.slots
            free = Signal(self.slots, name=f"free_{partition}")
            number = index_of(m, lowest(free), name=f"lowest_{partition}") if self.slots > 1 else Const(0)
            m.d.comb += [free.eq(~self.used[first : first + self.slots]), self.room[partition].eq(free.any())]
            with m.If(self.i.payload.partition == partition):
                m.d.comb += slot.eq(number + first)
        with m.If(self.i.ready):
            m.d.sync += valid.eq(taken)
        with m.If(taken):
            m.d.sync += [Value.cast(doorbell).eq(Value.cast(self.i.payload)), place.eq(slot)]
        self._admit(m, doorbell, place, valid)
        return m

    def _admit(self, m: Module, doorbell: data.View, place: Signal, valid: Signal) -> None:
        """The descriptor with what was read of it, checked and numbered."""
        m.submodules.check = check = self._check
        m.submodules.started = started = memory.Memory(shape=16, depth=16, init=[])
        look, count = started.read_port(domain="comb"), started.write_port()
        descriptor, admit = doorbell.descriptor, self.admit
        is_collective, counts = Signal(), Signal()
        m.d.comb += [
            *(check.descriptor.eq(descriptor), check.partition.eq(doorbell.partition)),
            *(check.communicator.eq(self.communicator), check.program.eq(self.program)),
            is_collective.eq(descriptor.op == DescriptorOp.COLLECTIVE),
            look.addr.eq(descriptor.communicator),
            *(admit.valid.eq(valid & ~self.hold), admit.slot.eq(place)),
            *(admit.partition.eq(doorbell.partition), admit.born.eq(doorbell.born), admit.fault.eq(check.fault)),
            *(admit.is_collective.eq(is_collective), admit.command.descriptor.eq(descriptor)),
            admit.is_remote.eq(is_collective | (descriptor.op == DescriptorOp.PUT)),
            admit.has_condition.eq(descriptor.comparison != Comparison.ALWAYS),
            *(admit.command.program.eq(self.program), admit.command.sequence.eq(look.data)),
            counts.eq(admit.valid & is_collective & (check.fault == Fault.NONE) & ~self.restart.valid),
            count.en.eq(counts | self.restart.valid),
            count.addr.eq(Mux(self.restart.valid, self.restart.index, descriptor.communicator)),
            count.data.eq(Mux(self.restart.valid, 0, look.data + 1)),
        ]
        generation = Signal(GENERATION_BITS)
        for index, used in enumerate(self.generations):
            with m.If(place == index):
                m.d.comb += generation.eq(used)
        m.d.comb += admit.command.tag.eq(Cat(place, generation))

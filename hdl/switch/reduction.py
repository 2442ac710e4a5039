"""The reduction unit of a port: contributions in, results out."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import Out

from mtia.switch import SwitchParameters

from ..core.arbiter import Arbiter
from ..core.checks import stream_in, stream_out
from ..core.connect import connect
from ..core.fifo import Queue
from ..link.flit import Flit
from ..message.layouts import Header
from .contributions import FLIT_BITS, Contributions
from .route import refused_flit
from .sums import Sums


class ReductionUnit(wiring.Component):
    """Adds the contributions of all ranks to a piece, as `golden.near_memory.tree` bit for bit, whatever their order.

    A piece's slots wait in a memory until all are there; then they are added, once rounded, and the result leaves as
    a RESULT to the group. A packet is offered to its bus when all of it is there, so a bus is never held by a sum that
    is being made.

    Throughput: takes a flit a cycle, gives one every p cycles for p ranks (see `Sums`). So p ranks that each send a
    flit in turn are kept up with.

    Parameters
    ----------
    parameters : of the switch, with `pieces`.

    Members
    -------
    i : packets REDUCE. result : for each bus, packets RESULT and REFUSED; RESULTs go to bus group modulo buses, REFUSED
        to bus 0.
    refused, crowded : as `Contributions` counts them.
    """

    def __init__(self, *, parameters: SwitchParameters):
        if not parameters.pieces:
            raise ValueError(f"Switch pieces must be at least 2 here, not {parameters.pieces!r}")
        self._parameters = parameters
        super().__init__(
            {
                "i": stream_in(Flit),
                "result": stream_out(Flit).array(parameters.buses),
                "refused": Out(32),
                "crowded": Out(32),
            }
        )

    @property
    def parameters(self) -> SwitchParameters:
        """Of the switch."""
        return self._parameters

    def elaborate(self, platform: object) -> Module:
        m = Module()
        size = self.parameters
        m.submodules.contributions = contributions = Contributions(parameters=size)
        m.submodules.sums = sums = Sums(parameters=size)
        depth = size.pieces * size.ports * size.slot_flits
        m.submodules.slots = slots = memory.Memory(shape=FLIT_BITS, depth=depth, init=[])
        write, read = slots.write_port(), slots.read_port()
        m.submodules.turns = turns = Arbiter(shape=Flit, inputs=2, last="last")
        refusal = contributions.refusal
        connect(m, wiring.flipped(self.i), contributions.i)
        connect(m, contributions.complete, sums.complete)
        connect(m, sums.o, turns.i[0])
        m.d.comb += [
            contributions.released.eq(sums.released),
            *(write.addr.eq(contributions.address), write.data.eq(contributions.data)),
            *(write.en.eq(contributions.write), read.addr.eq(sums.address), read.en.eq(sums.read)),
            sums.data.eq(read.data),
            Value.cast(turns.i[1].payload).eq(refused_flit(refusal.payload)),
            *(turns.i[1].valid.eq(refusal.valid), refusal.ready.eq(turns.i[1].ready)),
            *(self.refused.eq(contributions.refused), self.crowded.eq(contributions.crowded)),
        ]
        self._give(m, turns)
        return m

    def _give(self, m: Module, turns: Arbiter) -> None:
        """Whole packets to their buses."""
        size = self.parameters
        depth = max(4, 2 * size.slot_flits)
        m.submodules.queue = queue = Queue(shape=Flit, depth=depth, buffered=True)
        header = Header(queue.o.payload.data[: Shape.cast(Header).width])
        whole, inside, bus, was_bus = Signal(range(depth + 1)), Signal(), Signal(size.buses), Signal(size.buses)
        bits = (size.buses - 1).bit_length()
        comes, leaves = Signal(), Signal()
        connect(m, turns.o, queue.i)
        m.d.comb += [
            comes.eq(turns.o.valid & turns.o.ready & turns.o.payload.last),
            leaves.eq(queue.o.valid & queue.o.ready),
            bus.eq(Mux(inside, was_bus, 1 << Mux(header.multicast, header.destination[:bits], 0))),
            queue.o.ready.eq((bus & Cat(stream.ready for stream in self.result)).any() & (whole != 0)),
        ]
        for index, stream in enumerate(self.result):
            m.d.comb += stream.payload.eq(queue.o.payload)
            m.d.comb += stream.valid.eq(queue.o.valid & (whole != 0) & bus[index])
        m.d.sync += whole.eq(whole + comes - (leaves & queue.o.payload.last))
        with m.If(leaves):
            m.d.sync += [inside.eq(~queue.o.payload.last), was_bus.eq(bus)]

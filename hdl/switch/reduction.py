"""The reduction unit of a port: contributions in, results out."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import Out
from amaranth.utils import exact_log2

from mtia.switch import SwitchParameters

from ..core.arbiter import Arbiter
from ..core.checks import stream_in, stream_out
from ..core.connect import connect
from ..link.flit import Flit
from ..message.layouts import Header
from .contributions import FLIT_BITS, Contributions, slot_address
from .parts import WithParameters
from .results import Results
from .route import refused_flit
from .tree import Tree


class ReductionUnit(WithParameters, wiring.Component):
    """Adds the contributions of all ranks to a piece, as `golden.near_memory.tree` bit for bit, whatever their order.

    A contribution waits in a memory until the one beside it is there; then both are added, and what
    comes of it is added as soon as the other half of that node of the tree has come: so the tree
    grows as contributions arrive. The result is rounded once and leaves as a RESULT to the group. A
    packet is offered to its bus when all of it is there, so a bus is never held by a sum that is
    being made.

    Throughput: takes a flit a cycle and adds as many (`Tree`). So p ranks that each send a flit in
    turn are kept up with, and what is left when the last contribution has come is about its way up:
    its flits times ceil(log2(p)). Latency: that of `Contributions`, `Tree` and `Results` one after
    the other.

    Parameters
    ----------
    parameters : of the switch, with `pieces`.

    Members
    -------
    i : stream of packets REDUCE.
    result : for each bus, stream of packets RESULT and REFUSED; RESULTs go to bus group modulo
        buses, REFUSED to bus 0.
    refused, crowded : as `Contributions` counts them.

    Raises ValueError for a switch that does not reduce.
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

    def elaborate(self, platform: object) -> Module:
        m = Module()
        size = self.parameters
        m.submodules.contributions = contributions = Contributions(parameters=size)
        m.submodules.tree = tree = Tree(parameters=size)
        m.submodules.results = results = Results(parameters=size)
        m.submodules.turns = turns = Arbiter(shape=Flit, inputs=2, last="last")
        refusal = contributions.refusal
        connect(m, wiring.flipped(self.i), contributions.i)
        connect(m, contributions.pairs, tree.pairs)
        connect(m, results.o, turns.i[0])
        m.d.comb += [
            *(contributions.asked[0].eq(contributions.pairs.payload.place), tree.piece.eq(contributions.told[0])),
            *(contributions.asked[1].eq(results.place), results.piece.eq(contributions.told[1])),
            *(results.i.eq(tree.o), results.valid.eq(tree.valid), contributions.released.eq(results.released)),
            Value.cast(turns.i[1].payload).eq(refused_flit(refusal.payload)),
            *(turns.i[1].valid.eq(refusal.valid), refusal.ready.eq(turns.i[1].ready)),
            *(self.refused.eq(contributions.refused), self.crowded.eq(contributions.crowded)),
        ]
        for bank, name in enumerate(("even", "odd")):
            slots = memory.Memory(shape=FLIT_BITS, depth=len(slot_address(size)), init=[])
            m.submodules[f"{name}_slots"] = slots
            write, read = slots.write_port(), slots.read_port()
            m.d.comb += [
                *(write.addr.eq(contributions.address), write.data.eq(contributions.data)),
                *(write.en.eq(contributions.write[bank]), read.addr.eq(tree.address), read.en.eq(tree.read)),
                tree.data[bank].eq(read.data),
            ]
        self._give(m, turns)
        return m

    def _give(self, m: Module, turns: Arbiter) -> None:
        """Whole packets to their buses."""
        size, source = self.parameters, turns.o
        header = Header(source.payload.data[: Shape.cast(Header).width])
        inside, bus, was_bus = Signal(), Signal(size.buses), Signal(size.buses)
        m.d.comb += [
            bus.eq(Mux(inside, was_bus, 1 << Mux(header.multicast, header.destination[: exact_log2(size.buses)], 0))),
            source.ready.eq((bus & Cat(stream.ready for stream in self.result)).any()),
        ]
        for index, stream in enumerate(self.result):
            m.d.comb += [stream.payload.eq(source.payload), stream.valid.eq(source.valid & bus[index])]
        with m.If(source.valid & source.ready):
            m.d.sync += [inside.eq(~source.payload.last), was_bus.eq(bus)]

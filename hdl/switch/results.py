"""Results of pieces on their way out: kept until they are whole, then sent as packets."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from mtia.message import PacketOp
from mtia.switch import SWITCH_SOURCE, SwitchParameters

from ..core.checks import stream_out
from ..core.fifo import Queue
from ..link.flit import Flit
from ..message.layouts import Header
from .contributions import FLIT_BITS, flits_of
from .parts import WithParameters
from .places import Piece
from .route import header_word
from .tree import result_flit

#: fields of a result's header that are those of the contributions
_KEPT = ("group", "event", "sequence", "length", "partition", "window", "epoch", "key", "offset")


class Results(WithParameters, wiring.Component):
    """Gives a RESULT packet for each piece, in the order in which they became whole. Then their places are free.

    Latency: 2 cycles from a result's last flit to its head at `o`, a flit a cycle from there. There
    is room for a result of every place, so nothing stops what comes.

    Parameters
    ----------
    parameters : of the switch.

    Members
    -------
    i, valid : `result_flit`, the flits of a place in order; those of several places may be mixed.
    place : that is sent from.
    piece : what is there, in the same cycle.
    released : that place, one bit high in the cycle in which its last flit is read.
    o : stream of packets RESULT.
    """

    def __init__(self, *, parameters: SwitchParameters):
        self._parameters = parameters
        super().__init__(
            {
                "i": In(result_flit(parameters)),
                "valid": In(1),
                "place": Out(range(parameters.pieces)),
                "piece": In(Piece),
                "released": Out(parameters.pieces),
                "o": stream_out(Flit),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        size, piece = self.parameters, self.piece
        depth = size.pieces * size.slot_flits
        m.submodules.flits = flits = memory.Memory(shape=FLIT_BITS, depth=depth, init=[])
        m.submodules.whole = whole = Queue(shape=range(size.pieces), depth=size.pieces)
        write, read = flits.write_port(), flits.read_port()
        flit, moves, ends = Signal(range(max(2, size.slot_flits))), Signal(), Signal()
        header = Signal(Header.size, reset_less=True)
        head, last, fetched = (Signal(name=name) for name in ("head", "last", "fetched"))
        m.d.comb += [
            *(write.addr.eq(self.i.place * size.slot_flits + self.i.flit), write.data.eq(self.i.data)),
            *(write.en.eq(self.valid), whole.i.payload.eq(self.i.place), whole.i.valid.eq(self.valid & self.i.ends)),
            *(self.place.eq(whole.o.payload), read.addr.eq(self.place * size.slot_flits + flit)),
            *(moves.eq(~fetched | self.o.ready), read.en.eq(moves & whole.o.valid)),
            *(ends.eq(flit == flits_of(piece.length) - 1), whole.o.ready.eq(moves & ends)),
            self.released.eq(Mux(read.en & ends, Cat(self.place == index for index in range(size.pieces)), 0)),
            *(self.o.valid.eq(fetched), self.o.payload.head.eq(head), self.o.payload.last.eq(last)),
            self.o.payload.data.eq(Cat(Mux(head, header, read.data[: len(header)]), read.data[len(header) :])),
        ]
        made = {"op": PacketOp.RESULT, "end": 1, "multicast": 1, "source": SWITCH_SOURCE}
        given = {"destination": piece.group, "slot": piece.immediate[:8], **{name: piece[name] for name in _KEPT}}
        with m.If(moves):
            m.d.sync += fetched.eq(whole.o.valid)
        with m.If(read.en):
            m.d.sync += [
                *(head.eq(flit == 0), last.eq(ends), flit.eq(Mux(ends, 0, flit + 1))),
                header.eq(header_word({**made, **given})),
            ]
        return m

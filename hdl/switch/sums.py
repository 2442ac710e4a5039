"""Adds the slots of complete pieces along the tree and makes the packets of the results."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from mtia.message import PacketOp
from mtia.switch import SWITCH_SOURCE, SwitchParameters

from ..core.checks import stream_in, stream_out
from ..core.fifo import Queue
from ..core.shared import Shared
from ..hbm.ordered_sum import OrderedSum
from ..hbm.reduce_format import ReduceFormat, ReduceKind
from ..link.flit import Flit
from ..message.layouts import Header
from .contributions import FLIT_BITS, complete_piece, flits_of, slot_address
from .route import header_word

#: Marks of a result's flit: whether it is the packet's first, and its last.
_Marks = data.StructLayout({"head": 1, "last": 1})
#: What goes with a slot to the adders.
_Slot = data.StructLayout({"kind": ReduceKind, "format": ReduceFormat, "last": 1, "token": _Marks})


def _result_header(piece: data.View) -> dict[str, object]:
    """Header of the RESULT of a piece."""
    kept = ("group", "event", "sequence", "length", "partition", "window", "epoch", "key", "offset")
    made = {"op": PacketOp.RESULT, "end": 1, "multicast": 1, "source": SWITCH_SOURCE}
    return {
        **made,
        **{name: piece[name] for name in kept},
        "destination": piece.group,
        "slot": piece.immediate[:8],
    }


class Sums(wiring.Component):
    """Reads the slots of pieces, one a cycle, and gives a RESULT packet for each piece, in order.

    Every flit of a piece is read from all its slots in the order of their ranks, and the two halves go through two
    `OrderedSum` side by side, which stay in step as their handshakes do not depend on data. The first half of the first
    flit is the header: what comes of it is not used. A piece of another number of ranks waits until the results of
    the one before are out, as it could overtake them.

    Throughput: a flit of the result every p cycles of p ranks (or as many as their tree needs, see `OrderedSum`).
    Latency: ``4 + 6 * max(1, ceil(log2(p)))`` cycles from the read of a flit's last slot to the flit at `o`.

    Parameters
    ----------
    parameters : of the switch.

    Members
    -------
    complete : stream of {place, piece}; taken when the last slot is read. released : its place, one bit high then.
    read, address : of the memory of slots. data : the flit, in the cycle after.
    o : packets RESULT.
    """

    def __init__(self, *, parameters: SwitchParameters):
        self._parameters = parameters
        super().__init__(
            {
                "complete": stream_in(complete_piece(parameters)),
                "released": Out(parameters.pieces),
                "read": Out(1),
                "address": Out(slot_address(parameters)),
                "data": In(FLIT_BITS),
                "o": stream_out(Flit),
            }
        )

    @property
    def parameters(self) -> SwitchParameters:
        """Of the switch."""
        return self._parameters

    def elaborate(self, platform: object) -> Module:
        m = Module()
        size = self.parameters
        place, piece = self.complete.payload.place, self.complete.payload.piece
        begun, may_begin, ends_flit, ends = Signal(), Signal(), Signal(), Signal()
        rank, flit, base = Signal(range(size.ports)), Signal(range(max(2, size.slot_flits))), Signal.like(self.address)
        fetched, moves, slot = Signal(), Signal(), Signal(_Slot, reset_less=True)
        m.submodules.low, m.submodules.high = halves = self._halves(m, fetched, slot)
        m.d.comb += [
            ends_flit.eq(rank == piece.ranks - 1),
            ends.eq(ends_flit & (flit == flits_of(piece.length) - 1)),
            moves.eq(~fetched | halves[0].i.ready),
            self.read.eq(self.complete.valid & (begun | may_begin) & moves),
            self.address.eq(place * (size.ports * size.slot_flits) + base + flit),
            self.complete.ready.eq(self.read & ends),
            self.released.eq(Mux(self.complete.ready, Cat(place == index for index in range(size.pieces)), 0)),
        ]
        with m.If(moves):
            m.d.sync += fetched.eq(self.read)
        with m.If(self.read):
            m.d.sync += [
                begun.eq(~ends),
                rank.eq(Mux(ends_flit, 0, rank + 1)),
                base.eq(Mux(ends_flit, 0, base + size.slot_flits)),
                flit.eq(Mux(ends, 0, flit + ends_flit)),
                *(slot.kind.eq(piece.kind), slot.format.eq(piece.format), slot.last.eq(ends_flit)),
                *(slot.token.head.eq(flit == 0), slot.token.last.eq(ends)),
            ]
        self._results(m, halves, begins=self.read & ~begun, issues=self.read & ends_flit, may_begin=may_begin)
        return m

    def _halves(self, m: Module, fetched: Signal, slot: data.View) -> tuple[Shared, Shared]:
        """The adders of the two halves of a flit; both take the slot that was fetched."""
        halves = []
        for index in range(2):
            half = Shared(OrderedSum(slots=self.parameters.ports, token_bits=Shape.cast(_Marks).width))
            taken = half.i.payload
            m.d.comb += [
                *(taken.kind.eq(slot.kind), taken.format.eq(slot.format), taken.last.eq(slot.last)),
                *(taken.token.eq(slot.token), taken.data.eq(self.data.word_select(index, FLIT_BITS // 2))),
                half.i.valid.eq(fetched),
            ]
            halves.append(half)
        return halves[0], halves[1]

    def _results(
        self, m: Module, halves: tuple[Shared, Shared], *, begins: Value, issues: Value, may_begin: Signal
    ) -> None:
        """Flits of the results, the header in place of the first half of the first."""
        piece = self.complete.payload.piece
        low, high = halves
        m.submodules.headers = headers = Queue(shape=Shape.cast(Header), depth=4)
        marks = data.View(_Marks, low.o.payload.token)
        under_way, leaves = Signal(8), Signal()
        ranks = Signal(8)
        m.d.comb += [
            *(headers.i.payload.eq(header_word(_result_header(piece))), headers.i.valid.eq(begins)),
            may_begin.eq(headers.i.ready & ((under_way == 0) | (ranks == piece.ranks))),
            headers.o.ready.eq(leaves & marks.last),
            self.o.payload.data.eq(
                Cat(Mux(marks.head, headers.o.payload, low.o.payload.result), high.o.payload.result)
            ),
            *(self.o.payload.head.eq(marks.head), self.o.payload.last.eq(marks.last)),
            *(self.o.valid.eq(low.o.valid), low.o.ready.eq(self.o.ready), high.o.ready.eq(self.o.ready)),
            leaves.eq(self.o.valid & self.o.ready),
        ]
        m.d.sync += under_way.eq(under_way + issues - leaves)
        with m.If(begins):
            m.d.sync += ranks.eq(piece.ranks)

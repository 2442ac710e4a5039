"""What comes to a reduction unit: contributions into their slots, and which pairs of them can be added."""

from amaranth import *
from amaranth.hdl import ValueLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from mtia.message import Reason
from mtia.switch import SwitchParameters

from ..core.checks import stream_in, stream_out
from ..core.connect import connect
from ..core.fifo import Queue
from ..hbm.select import index_of
from ..link.flit import Flit
from ..message.layouts import Header
from .parts import WithParameters
from .places import Piece, Places
from .route import Refusal

#: bits of a flit's data
FLIT_BITS = Flit["data"].width


def slot_address(parameters: SwitchParameters) -> range:
    """Addresses of each of two banks of the memory of slots, of even ones and of odd ones.

    Flit f of slot s of place q is at ``(q * ceil(ports / 2) + s // 2) * slot_flits + f``.
    """
    return range(parameters.pieces * -(-parameters.ports // 2) * parameters.slot_flits)


def slot_pair(parameters: SwitchParameters) -> data.StructLayout:
    """Slots 2 `number` and 2 `number` + 1 of the piece at a place, or the first of them alone where it is the last."""
    return data.StructLayout(
        {"place": range(parameters.pieces), "number": range(max(2, -(-parameters.ports // 2))), "alone": 1}
    )


def flits_of(length: ValueLike) -> Value:
    """Flits of a packet of so many payload bytes, its head included: the head flit carries the first 32 of them."""
    return (Value.cast(length) + 95) >> 6


class Contributions(WithParameters, wiring.Component):
    """Writes contributions into the slots of their pieces and says which pairs of slots are there.

    A piece is known by group, event and sequence. Its first contribution takes a free place. A
    contribution that finds none free, whose slot is there already, which differs from the piece's
    first in what they must have in common (`Piece`), or whose flits are not as many as its length
    says, is drained, counted and answered by a refusal of reason RANGE; it changes nothing of any
    piece. It does not wait: what it would wait for may be behind it.

    Takes a flit a cycle, whatever comes; only refusals that nobody takes stop it. A flit is written
    in the cycle after it is taken; a pair is at `pairs` in the cycle after the last flit of both is
    written. All pairs that there may be have room there. After reset all places are free.

    Parameters
    ----------
    parameters : of the switch: pieces is the number of places, ports the most ranks.

    Members
    -------
    i : stream of packets REDUCE, as `Route` lets them pass.
    write : a bit for each bank of the memory of slots: write a flit.
    address, data : where (`slot_address`), and what.
    pairs : stream of `slot_pair`, in the order in which both were there.
    asked : two places.
    told : the pieces there, in the same cycle.
    released : places that are free from the next cycle on, a bit each.
    refusal : stream of `Refusal`.
    refused : contributions refused, 32 bits that wrap.
    crowded : those of them that found no place.
    """

    def __init__(self, *, parameters: SwitchParameters):
        self._parameters = parameters
        super().__init__(
            {
                "i": stream_in(Flit),
                "write": Out(2),
                "address": Out(slot_address(parameters)),
                "data": Out(FLIT_BITS),
                "pairs": stream_out(slot_pair(parameters)),
                "asked": In(range(parameters.pieces)).array(2),
                "told": Out(Piece).array(2),
                "released": In(parameters.pieces),
                "refusal": stream_out(Refusal),
                "refused": Out(32),
                "crowded": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        size, flit = self.parameters, self.i.payload
        m.submodules.places = places = Places(places=size.pieces, ranks=size.ports)
        header = Header(flit.data[: Shape.cast(Header).width])
        first, takes, is_good, was_good = Signal(init=1), Signal(), Signal(), Signal()
        was_at, slot, was_slot = Signal.like(places.at), Signal(8), Signal(8)
        left, was_left = Signal(range(size.slot_flits + 2)), Signal(range(size.slot_flits + 2))
        ends, is_whole, answers, has_place = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            *(places.piece[name].eq(header[name]) for name in Piece.members),
            *(
                slot.eq(Mux(first, header.slot, was_slot)),
                places.slot.eq(Cat(slot == each for each in range(size.ports))),
            ),
            places.at.eq(Mux(first, places.found, was_at)),
            has_place.eq(places.found.any()),
            is_good.eq(Mux(first, places.fits & has_place, was_good)),
            left.eq(Mux(first, flits_of(header.length), was_left)),
            self.i.ready.eq(~first | answers),
            takes.eq(self.i.valid & self.i.ready),
            *(ends.eq(takes & flit.last), is_whole.eq(is_good & (left == 1))),
            *(places.take.eq(takes & first & places.is_new & has_place), places.enter.eq(ends & is_whole)),
            *(places.leave.eq(ends & ~is_whole), places.released.eq(self.released)),
            *(asked.eq(here) for asked, here in zip(places.asked, self.asked, strict=True)),
            *(here.eq(told) for told, here in zip(places.told, self.told, strict=True)),
        ]
        with m.If(takes):
            m.d.sync += [first.eq(flit.last), was_at.eq(places.at), was_slot.eq(slot), was_good.eq(is_good)]
            m.d.sync += was_left.eq(left - (left != 0))
        m.d.sync += self.crowded.eq(self.crowded + (takes & first & ~has_place))
        place = index_of(m, places.at, name="place")
        self._write(m, place, slot, first, takes, takes & is_good & (left != 0))
        self._refuse(m, header, first & takes, ends & ~is_whole, answers)
        self._pair(m, place, slot, places)
        return m

    def _pair(self, m: Module, place: Value, slot: Value, places: Places) -> None:
        """Pairs that are there, when their last flit is written: what is read then is there."""
        depth = self.parameters.pieces * -(-self.parameters.ports // 2)
        m.submodules.waiting = waiting = Queue(shape=self.pairs.payload.shape(), depth=depth)
        pair, is_pair = Signal.like(waiting.i.payload, reset_less=True), Signal()
        m.d.sync += [
            *(pair.place.eq(place), pair.number.eq(slot >> 1), pair.alone.eq(places.is_alone)),
            is_pair.eq(places.enter & (places.has_partner | places.is_alone)),
        ]
        m.d.comb += [waiting.i.payload.eq(pair), waiting.i.valid.eq(is_pair)]
        connect(m, waiting.o, wiring.flipped(self.pairs))

    def _write(self, m: Module, place: Value, slot: Value, first: Value, takes: Value, writes: Value) -> None:
        """The flit into its slot, the head as the slot's first."""
        size = self.parameters
        at = Signal.like(self.address)
        begin = (place * -(-size.ports // 2) + (slot >> 1)) * size.slot_flits
        m.d.comb += at.eq(Mux(first, begin, self.address + 1))
        m.d.sync += self.write.eq(Mux(writes, Cat(~slot[0], slot[0]), 0))
        with m.If(takes):
            m.d.sync += [self.address.eq(at), self.data.eq(self.i.payload.data)]

    def _refuse(self, m: Module, header: data.View, begins: Value, refuses: Value, answers: Signal) -> None:
        """The answer to a contribution that is refused at its last flit; `answers` while there is room for one."""
        m.submodules.refusals = refusals = Queue(shape=Refusal, depth=2)
        of_head, kept = Signal(Refusal), Signal(Refusal)
        names = [name for name in Refusal.members if name in header.shape().members]
        m.d.comb += [
            *(of_head[name].eq(header[name]) for name in names),
            *(of_head.destination.eq(header.source), of_head.reason.eq(Reason.RANGE)),
            *(refusals.i.payload.eq(Mux(begins, of_head, kept)), refusals.i.valid.eq(refuses)),
            answers.eq(refusals.i.ready),
        ]
        connect(m, refusals.o, wiring.flipped(self.refusal))
        with m.If(begins):
            m.d.sync += kept.eq(of_head)
        m.d.sync += self.refused.eq(self.refused + refuses)

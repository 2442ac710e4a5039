"""What was sent and is not acknowledged, and sending it again."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from mtia.link import LinkParameters

from .frame import flit


def entry(parameters: LinkParameters) -> data.StructLayout:
    """What the replay buffer keeps: a flit and its virtual channel."""
    return data.StructLayout({"flit": flit(parameters), "vc": 1})


class Replay(wiring.Component):
    """Numbers flits, sends each in the cycle after it was put, keeps them until acknowledged, sends them again.

    Go-back-N: sending again begins at the first flit not acknowledged and goes on to the last one
    put; meanwhile none is taken. Acknowledgements that come during it let it jump ahead. A number
    that acknowledges what was never sent is ignored.

    Latency 1 cycle from `put` to `sends`; sending again begins 2 cycles after `acknowledged` with
    `nak`, or `expired`; both at one flit a cycle. Empty after reset; the first number is 0.

    Parameters
    ----------
    parameters : of the link; `replay` flits are kept.

    Members
    -------
    clear : forget all, for as long as it is high.
    hold : take nothing, send nothing again in the next cycle: that is for a frame without a flit.
    room : a flit may be put.
    put, entry : do so; only while `room`.
    sends : a frame with a flit is to be sent in this cycle.
    sequence, sent : its number, the flit and its channel.
    again : not for the first time.
    acknowledged : an undamaged frame has come.
    acknowledge, nak : the number in it; whether it wants flits again.
    expired : the replay timer has run out.
    outstanding : something is not acknowledged.
    progress : something was acknowledged in this cycle.
    """

    def __init__(self, *, parameters: LinkParameters):
        self._parameters = parameters
        super().__init__(
            {
                "clear": In(1),
                "hold": In(1),
                "room": Out(1),
                "put": In(1),
                "entry": In(entry(parameters)),
                "sends": Out(1),
                "sequence": Out(parameters.sequence_bits),
                "sent": Out(entry(parameters)),
                "again": Out(1),
                "acknowledged": In(1),
                "acknowledge": In(parameters.sequence_bits),
                "nak": In(1),
                "expired": In(1),
                "outstanding": Out(1),
                "progress": Out(1),
            }
        )

    @property
    def parameters(self) -> LinkParameters:
        """Parameters of the link."""
        return self._parameters

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits, depth = self.parameters.sequence_bits, self.parameters.replay
        first, following = Signal(bits), Signal(bits)  # first not acknowledged; number of the next flit
        kept, advance, oldest = Signal(bits), Signal(bits), Signal(bits)
        is_sane, repeats = Signal(), Signal()
        m.d.comb += [
            kept.eq(following - first),
            advance.eq(self.acknowledge - first),
            is_sane.eq(self.acknowledged & (advance <= kept)),
            oldest.eq(Mux(is_sane, self.acknowledge, first)),
            repeats.eq((is_sane & self.nak) | self.expired),
            self.progress.eq(is_sane & (advance != 0)),
            self.outstanding.eq(kept != 0),
        ]
        m.d.sync += [first.eq(oldest), following.eq(following + self.put)]
        repeating, place, reads = self._place(m, first=first, following=following, oldest=oldest, repeats=repeats)
        m.d.comb += self.room.eq(~repeating & ~self.hold & (kept != depth))
        m.d.comb += reads.eq(repeating & ~self.hold)
        self._flits(m, following=following, place=place, reads=reads)
        with m.If(self.clear):
            m.d.sync += [first.eq(0), following.eq(0), repeating.eq(0), self.sends.eq(0)]
        return m

    def _place(
        self, m: Module, *, first: Signal, following: Signal, oldest: Signal, repeats: Signal
    ) -> tuple[Signal, Signal, Signal]:
        """Whether flits are sent again, from where on, and whether one is read in this cycle."""
        bits = self.parameters.sequence_bits
        repeating, place, reads = Signal(), Signal(bits), Signal()
        stepped, target, is_behind = Signal(bits), Signal(bits), Signal()
        behind, ahead = Signal(bits), Signal(bits)
        m.d.comb += [
            stepped.eq(place + reads),
            behind.eq(stepped - first),
            ahead.eq(oldest - first),
            is_behind.eq(behind < ahead),
            target.eq(Mux(repeats | is_behind, oldest, stepped)),
        ]
        m.d.sync += [place.eq(target), repeating.eq((repeating | repeats) & (target != following))]
        return repeating, place, reads

    def _flits(self, m: Module, *, following: Signal, place: Signal, reads: Signal) -> None:
        """The memory, beside it the flit put last, and which of the two is sent."""
        shape = entry(self.parameters)
        m.submodules.flits = flits = memory.Memory(shape=shape, depth=self.parameters.replay, init=[])
        put, get = flits.write_port(), flits.read_port()
        newest = Signal(shape, reset_less=True)
        m.d.comb += [
            put.en.eq(self.put),
            put.addr.eq(following),
            put.data.eq(self.entry),
            get.en.eq(reads),
            get.addr.eq(place),
            self.sent.eq(Mux(self.again, get.data, newest)),
        ]
        m.d.sync += [
            self.sends.eq(self.put | reads),
            self.again.eq(reads),
            self.sequence.eq(Mux(reads, place, following)),
        ]
        with m.If(self.put):
            m.d.sync += newest.eq(self.entry)

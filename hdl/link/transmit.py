"""What is sent in each cycle."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia.link import LinkParameters

from .bring_up import hello_word
from .crc import crc_part, masks
from .frame import FrameKind, LinkState, frame, line
from .replay import entry


class Transmit(wiring.Component):
    """Makes frames: of a flit where there is one, else of what is owed.

    Without a flit: HELLO if the state asks for it, NAK if one is wanted, CONTROL if acknowledgement
    or credit is owed and the last frame is `coalesce` cycles or more behind, or if it is a timeout
    behind: a lost credit is told again, and the other end hears that there is somebody. NAK and
    CONTROL are sent while UP only. The credit in a frame is that of a channel that is owed it, else
    of each in turn. Data of frames without a flit is 0, but for HELLO's.

    Latency 1 cycle to `line_out`, throughput a frame a cycle.

    Parameters
    ----------
    parameters : of the link.

    Members
    -------
    state : of the link.
    greets, heard : a HELLO is to be sent, with that `head`.
    sends, sequence, sent : a flit is to be sent, under that number.
    wants : a NAK is to be sent.
    expected, owed : what to acknowledge; whether the other end is owed it.
    limits, owed_limits : credit of each channel, and which of them the other end is owed.
    line_out : the wire.
    busy : a frame is to be sent that flits must make room for: HELLO or NAK.
    tells : a frame leaves in this cycle, to be on the wire in the next.
    tells_vc : credit of these channels is in it.
    greeted : it is a HELLO.
    asks : it is a NAK.
    controls : it is one without a flit.
    """

    def __init__(self, *, parameters: LinkParameters):
        self._parameters = parameters
        channels = parameters.channels
        super().__init__(
            {
                "state": In(LinkState),
                "greets": In(1),
                "heard": In(1),
                "sends": In(1),
                "sequence": In(parameters.sequence_bits),
                "sent": In(entry(parameters)),
                "wants": In(1),
                "expected": In(parameters.sequence_bits),
                "owed": In(1),
                "limits": In(parameters.credit_bits).array(channels),
                "owed_limits": In(channels),
                "line_out": Out(line(parameters)),
                "busy": Out(1),
                "tells": Out(1),
                "tells_vc": Out(channels),
                "greeted": Out(1),
                "asks": Out(1),
                "controls": Out(1),
            }
        )

    @property
    def parameters(self) -> LinkParameters:
        """Parameters of the link."""
        return self._parameters

    def elaborate(self, platform: object) -> Module:
        m = Module()
        is_up = Signal()
        quiet = Signal(range(self.parameters.timeout))  # cycles since the last frame
        is_due = Signal()
        kind = Signal(FrameKind)
        owes = self.owed | self.owed_limits.any()
        is_rested = quiet >= self.parameters.coalesce if self.parameters.coalesce else 1
        m.d.comb += [
            is_up.eq(self.state == LinkState.UP),
            self.busy.eq(self.greets | self.wants),
            is_due.eq((owes & is_rested) | (quiet == self.parameters.timeout - 1)),
            self.greeted.eq(self.greets & ~self.sends & (is_up | (self.state == LinkState.HELLO))),
            self.asks.eq(self.wants & ~self.sends & ~self.greets & is_up),
            self.controls.eq(~self.sends & (self.greeted | (is_up & (self.wants | is_due)))),
            self.tells.eq(self.sends | self.controls),
        ]
        with m.If(self.sends):
            m.d.comb += kind.eq(FrameKind.DATA)
        with m.Elif(self.greets):
            m.d.comb += kind.eq(FrameKind.HELLO)
        with m.Elif(self.wants):
            m.d.comb += kind.eq(FrameKind.NAK)
        with m.Else():
            m.d.comb += kind.eq(FrameKind.CONTROL)
        with m.If(self.tells):
            m.d.sync += quiet.eq(0)
        with m.Elif(quiet != self.parameters.timeout - 1):
            m.d.sync += quiet.eq(quiet + 1)
        self._frame(m, kind=kind, credit_vc=self._credit_vc(m))
        return m

    def _credit_vc(self, m: Module) -> Signal:
        """The channel whose credit the frame tells."""
        turn, credit_vc = Signal(), Signal()
        with m.If(self.owed_limits[0] ^ self.owed_limits[1]):
            m.d.comb += credit_vc.eq(self.owed_limits[1])
        with m.Else():
            m.d.comb += credit_vc.eq(turn)
        with m.If(self.tells):
            m.d.sync += turn.eq(~credit_vc)
            m.d.comb += self.tells_vc.eq(1 << credit_vc)
        return credit_vc

    def _frame(self, m: Module, *, kind: Signal, credit_vc: Signal) -> None:
        """The frame, into its register; the CRC's inputs matter in cycles with a frame only."""
        flit, made = self.sent.flit, Signal(frame(self.parameters))
        idle_data = Mux(self.greets, hello_word(self.parameters), 0)
        word = Signal(len(made.as_value()) - self.parameters.crc.bits)
        m.d.comb += [
            made.data.eq(Mux(self.sends, flit.data, idle_data)),
            made.kind.eq(kind),
            made.vc.eq(self.sends & self.sent.vc),
            made.head.eq(Mux(self.sends, flit.head, self.greets & self.heard)),
            made.last.eq(Mux(self.sends, flit.last, self.greets & (self.state == LinkState.UP))),
            made.sequence.eq(Mux(self.sends, self.sequence, 0)),
            made.acknowledge.eq(self.expected),
            made.credit_vc.eq(credit_vc),
            made.credit.eq(Mux(credit_vc, self.limits[1], self.limits[0])),
            word.eq(made.as_value()),
        ]
        out = self.line_out.frame.as_value()
        m.d.sync += self.line_out.valid.eq(self.tells)
        with m.If(self.tells):
            m.d.sync += out.eq(Cat(word, self._crc(word)))

    def _crc(self, word: Signal) -> Value:
        """The CRC of the frame: that of the flit, which is there early, beside the choice of the data."""
        crc, bits, width = self.parameters.crc, self.parameters.flit_bits, len(word)
        flit, hello, rest = (
            Cat(crc_part(crc, part, at=at, width=width))
            for part, at in (
                (self.sent.flit.data, 0),
                (Const(hello_word(self.parameters), bits), 0),
                (word[bits:], bits),
            )
        )
        _rows, zeros = masks(crc, width)
        return Mux(self.sends, flit, Mux(self.greets, hello, 0)) ^ rest ^ zeros

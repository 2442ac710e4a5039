"""Which frames are accepted, and what that makes the other end owed."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia.link import LinkParameters

from .frame import FrameKind, control


class Receive(wiring.Component):
    """Accepts flits in the order of their sequence numbers, each once; asks for what is missing.

    A damaged frame, or one whose number is ahead, makes a NAK owed; then no further one for as long
    as sending again may take (the round trip), or until the missing flit is accepted. A flit that
    was accepted before makes an acknowledgement owed again: the one that was sent may be lost.

    Latency: `accepts` in the cycle of the frame; `expected` and what is owed follow a cycle later.
    After reset number 0 is expected.

    Parameters
    ----------
    parameters : of the link.

    Members
    -------
    clear : begin anew, for as long as it is high.
    up : the link is up; frames of any other state are left alone.
    valid, good, control : a frame has come, is undamaged, its fields.
    accepts : the frame's flit counts.
    expected : the first sequence number not accepted.
    tells : a frame is sent, with `expected`.
    owed : the other end has not been told it.
    asks : the frame that is sent is a NAK.
    wants : a NAK is to be sent.
    """

    def __init__(self, *, parameters: LinkParameters):
        self._parameters = parameters
        super().__init__(
            {
                "clear": In(1),
                "up": In(1),
                "valid": In(1),
                "good": In(1),
                "control": In(control(parameters)),
                "accepts": Out(1),
                "expected": Out(parameters.sequence_bits),
                "tells": In(1),
                "owed": Out(1),
                "asks": In(1),
                "wants": Out(1),
            }
        )

    @property
    def parameters(self) -> LinkParameters:
        """Parameters of the link."""
        return self._parameters

    def elaborate(self, platform: object) -> Module:
        m = Module()
        hold_off = self.parameters.round_trip
        left = Signal(range(hold_off + 1))
        ahead = Signal(self.parameters.sequence_bits)
        is_flit, is_past, is_faulty = Signal(), Signal(), Signal()
        m.d.comb += [
            ahead.eq(self.control.sequence - self.expected),
            is_flit.eq(self.up & self.valid & self.good & (self.control.kind == FrameKind.DATA)),
            self.accepts.eq(is_flit & (ahead == 0)),
            is_past.eq(is_flit & ahead[-1]),
            is_faulty.eq((is_flit & (ahead != 0) & ~ahead[-1]) | (self.up & self.valid & ~self.good)),
        ]
        m.d.sync += [
            self.expected.eq(self.expected + self.accepts),
            self.owed.eq(self.accepts | is_past | (self.owed & ~self.tells)),
        ]
        with m.If(self.clear):
            m.d.sync += [self.expected.eq(0), self.owed.eq(0)]
        with m.If(self.clear | self.accepts):
            m.d.sync += [self.wants.eq(0), left.eq(0)]
        with m.Elif(is_faulty & (left == 0)):
            m.d.sync += [self.wants.eq(1), left.eq(hold_off)]
        with m.Else():
            m.d.sync += [self.wants.eq(self.wants & ~self.asks), left.eq(Mux(left == 0, 0, left - 1))]
        return m

"""Frames from the wire: into a register, and checked."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia.link import HELLO_AGREED_BITS, LinkParameters

from .crc import crc_bits
from .frame import FrameKind, control, flit, frame, line


class Arrive(wiring.Component):
    """Takes frames from the wire and says a cycle later whether they are undamaged.

    The flit of a frame is there 1 cycle after `line_in`, to be written to a buffer, and everything
    else 2 cycles after it, when the CRC is known: so the check, the one long path of a link, delays
    nothing. Throughput a frame a cycle; nothing holds it back. The check's inputs move with
    `line_in.valid` only.

    Parameters
    ----------
    parameters : of the link.

    Members
    -------
    line_in : the wire.
    write : for each channel, whether the frame is one with a flit of that channel, be it damaged or
        not.
    flit : its flit, in the same cycle.
    valid : a cycle later: there is a frame.
    good : it is undamaged; a damaged frame may say anything in `control` and `agreed`.
    control : its fields.
    agreed : the first bits of its data, that both ends' HELLOs must agree about.
    """

    def __init__(self, *, parameters: LinkParameters):
        self._parameters = parameters
        super().__init__(
            {
                "line_in": In(line(parameters)),
                "write": Out(parameters.channels),
                "flit": Out(flit(parameters)),
                "valid": Out(1),
                "good": Out(1),
                "control": Out(control(parameters)),
                "agreed": Out(min(HELLO_AGREED_BITS, parameters.flit_bits)),
            }
        )

    @property
    def parameters(self) -> LinkParameters:
        """Parameters of the link."""
        return self._parameters

    def elaborate(self, platform: object) -> Module:
        m = Module()
        is_there = Signal()
        came = Signal(frame(self.parameters), reset_less=True)
        bits = came.as_value()
        covered = len(bits) - self.parameters.crc.bits
        word = Signal(covered)
        m.d.comb += [
            word.eq(bits[:covered]),
            self.write.eq(Mux(is_there & (came.kind == FrameKind.DATA), Mux(came.vc, 0b10, 0b01), 0)),
            self.flit.data.eq(came.data),
            self.flit.head.eq(came.head),
            self.flit.last.eq(came.last),
        ]
        m.d.sync += [is_there.eq(self.line_in.valid), self.valid.eq(is_there)]
        with m.If(self.line_in.valid):
            m.d.sync += came.eq(self.line_in.frame)
        with m.If(is_there):
            m.d.sync += [
                self.good.eq(Cat(*crc_bits(self.parameters.crc, word)) == bits[covered:]),
                self.control.as_value().eq(word[self.parameters.flit_bits :]),
                self.agreed.eq(came.data),
            ]
        return m

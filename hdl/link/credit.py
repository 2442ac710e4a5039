"""Credit: how many flits of a virtual channel the other end has room for, in absolute numbers."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia.link import LinkParameters


class Credit(wiring.Component):
    """Both sides of one virtual channel's credit at one end of a link.

    The receiver tells how many flits may have been sent in all: room at the beginning and flits
    that have left since, modulo `2 ** credit_bits`. A lost frame costs nothing, the next one tells
    the same or more; a number behind the one known is of a repeated frame and is ignored. So the
    other end's buffer never overflows.

    `available`, `limit` and `owed` come from registers, one cycle after what changes them. After
    reset, as after `clear`, nothing may be sent, and the other end is owed the room of the whole
    buffer here.

    Parameters
    ----------
    parameters : of the link; both ends have the same `credit_bits`, each its own `buffer`.

    Members
    -------
    clear : begin anew, for as long as it is high.
    spent : a flit was accepted to be sent; only while `available`.
    told, told_limit : a frame brings the other end's number.
    available : a flit may be sent.
    freed : a flit has left the buffer here.
    limit : the number to tell.
    tells : a frame with it is sent.
    owed : the other end has not been told the newest number.
    """

    def __init__(self, *, parameters: LinkParameters):
        self._parameters = parameters
        bits = parameters.credit_bits
        super().__init__(
            {
                "clear": In(1),
                "spent": In(1),
                "told": In(1),
                "told_limit": In(bits),
                "available": Out(1),
                "freed": In(1),
                "limit": Out(bits, init=parameters.buffer),
                "tells": In(1),
                "owed": Out(1, init=1),
            }
        )
        #: flits sent, and those that the other end allows, in all; `formal` states invariants about them
        self.sent, self.allowed = Signal(bits), Signal(bits)

    @property
    def parameters(self) -> LinkParameters:
        """Parameters of the link."""
        return self._parameters

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = self.parameters.credit_bits
        sent, allowed = self.sent, self.allowed
        sent_after, allowed_after, further = Signal(bits), Signal(bits), Signal(bits)
        m.d.comb += [
            further.eq(self.told_limit - allowed),
            allowed_after.eq(Mux(self.told & (further <= 1 << bits - 1), self.told_limit, allowed)),
            sent_after.eq(sent + self.spent),
        ]
        m.d.sync += [
            sent.eq(sent_after),
            allowed.eq(allowed_after),
            self.available.eq(sent_after != allowed_after),
            self.limit.eq(self.limit + self.freed),
            self.owed.eq(self.freed | (self.owed & ~self.tells)),
        ]
        with m.If(self.clear):
            m.d.sync += [
                sent.eq(0),
                allowed.eq(0),
                self.available.eq(0),
                self.limit.eq(self.parameters.buffer),
                self.owed.eq(1),
            ]
        return m

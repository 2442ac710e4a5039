"""Two links of the smallest size over wires that lose and damage frames as they like, and then no more."""

from amaranth.hdl import Assert, Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.link.frame import LinkState
from hdl.link.link import Link
from mtia.link import CrcParameters, LinkParameters

from .parts import begin


def smallest(*, replay_timer: bool = True) -> LinkParameters:
    """The whole protocol in few registers: 2 flits kept, 2 in a buffer, numbers that wrap at 8 and 4, a wire of 1.

    The check of a frame is one bit of parity: the wires here change that bit and no other.
    """
    return LinkParameters(
        flit_bits=2,
        sequence_bits=3,
        credit_bits=2,
        replay=2,
        buffer=2,
        wire=1,
        coalesce=0,
        retries=3,
        timeout_cycles=14,
        crc=CrcParameters(bits=1, polynomial=1),
        replay_timer=replay_timer,
    )


class LinkPairProof(wiring.Component):
    """Flits go from one link to the other; every input is free.

    The links come up over good wires. Then, for `window` cycles, `lose` and `damage` do what they like with the frame
    that comes off each wire and `b` takes flits when `accept` says so; from then on the wires are good and flits are
    taken. Asserted is

    - with a `bound`, that many cycles after the wires became good: everything offered until then has come out, and no
      link is down;
    - without one, always: what comes out of a channel is what went in, in order, none lost or twice;
    - with `idle`, instead, that not all flits come out: must fail, or the others would say nothing.

    Parameters
    ----------
    parameters : of both links. window, bound : in cycles. channels : that are used. flits : at most, a channel. idle.

    Members
    -------
    offer, accept : a bit a channel. lose, damage : a bit a wire. up : both links have been UP.
    """

    def __init__(
        self,
        *,
        parameters: LinkParameters,
        window: int,
        bound: int | None,
        channels: int,
        flits: int,
        idle: bool = False,
    ):
        self._parameters, self._window, self._bound = parameters, window, bound
        self._channels, self._flits, self._idle = channels, flits, idle
        ports = {"offer": channels, "accept": channels, "lose": 2, "damage": 2, "clk": 1}
        super().__init__({name: In(width) for name, width in ports.items()} | {"up": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = begin(self)
        m.submodules.a = a = Link(parameters=self._parameters)
        m.submodules.b = b = Link(parameters=self._parameters)
        bound = self._bound or 1
        is_calm, passed, since = Signal(), Signal(range(self._window + 1)), Signal(range(bound + 1))
        wild, is_over = Signal(), Signal()
        m.d.comb += [wild.eq(self.up & ~is_calm), is_over.eq(since == bound)]
        with m.If((a.state == LinkState.UP) & (b.state == LinkState.UP)):
            m.d.sync += self.up.eq(1)
        with m.If(wild):
            m.d.sync += [passed.eq(passed + 1), is_calm.eq(passed == self._window - 1)]
        with m.If(is_calm & ~is_over):
            m.d.sync += since.eq(since + 1)
        for index, (source, sink) in enumerate(((a, b), (b, a))):
            self._wire(m, source, sink, wild=wild, lose=self.lose[index], damage=self.damage[index])
        if self._bound:
            m.d.comb += Assert(~is_over | ~(a.down | b.down))
        for vc in range(self._channels):
            self._channel(m, vc, a.tx[vc], b.rx[vc], wild=wild, is_over=is_over)
        return m

    def _wire(self, m: Module, source: Link, sink: Link, *, wild: Signal, lose: Value, damage: Value) -> None:
        """A register, then what the inputs want."""
        valid, bits = Signal(), Signal.like(source.line_out.frame.as_value(), reset_less=True)
        m.d.sync += [valid.eq(source.line_out.valid), bits.eq(source.line_out.frame)]
        m.d.comb += [
            sink.line_in.valid.eq(valid & ~(wild & lose)),
            sink.line_in.frame.eq(Cat(bits[:-1], bits[-1] ^ (wild & damage))),
        ]

    def _channel(
        self, m: Module, vc: int, tx: wiring.PureInterface, rx: wiring.PureInterface, *, wild: Signal, is_over: Value
    ) -> None:
        """A flit's data is its number; what was offered stays until it is taken."""
        taken, given, waits = Signal(range(self._flits + 1)), Signal(range(self._flits + 1)), Signal()
        m.d.comb += [
            tx.valid.eq(waits | (wild & self.offer[vc] & (taken != self._flits))),
            tx.payload.data.eq(taken),
            tx.payload.head.eq(1),
            tx.payload.last.eq(1),
            rx.ready.eq(self.accept[vc] | ~wild),
        ]
        m.d.sync += [waits.eq(tx.valid & ~tx.ready), taken.eq(taken + (tx.valid & tx.ready))]
        with m.If(rx.valid & rx.ready):
            m.d.sync += given.eq(given + 1)
        if self._idle:
            m.d.comb += Assert(given != self._flits)
        elif self._bound:
            m.d.comb += Assert(~is_over | ((given == taken) & ~waits))
        else:
            right = (rx.payload.data == given) & rx.payload.head & rx.payload.last
            m.d.comb += Assert(~rx.valid | (right & (given < taken)))

"""How a link begins and how it fails."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia import link
from mtia.link import LinkParameters
from mtia.message import pack

from .frame import DownCause, FrameKind, LinkState


def hello_word(parameters: LinkParameters) -> int:
    """What a HELLO frame says in its flit (`mtia.link.HELLO`), cut to the width of a flit."""
    word = pack(
        link.HELLO,
        version=link.VERSION,
        sequence_bits=parameters.sequence_bits,
        credit_bits=parameters.credit_bits,
        buffer=parameters.buffer,
        replay=parameters.replay,
    )
    return word & (1 << parameters.flit_bits) - 1


class BringUp(wiring.Component):
    """The states of a link and what leads from one to the next.

    RESET lasts for a timeout, in which nothing is sent or listened to, so that nothing of before is
    on the wire when it ends, and until everything of before has left the receive buffers. In HELLO
    a frame of that kind is sent every `HELLO_INTERVAL` cycles, with `head` once the other end's was
    heard; one of the other end's with `head` leads to UP: both have heard each other. An end that
    is UP answers a HELLO, with `last`, which asks for no answer, until it knows that the other end
    is UP. Two HELLOs later on, with nothing else between them, mean that the other end began anew
    and lead to DOWN, as do silence, a failure of the replay and parameters that do not fit. DOWN
    stays until `restart`, which leads to RESET from every state.

    Latency: a frame changes the state in the cycle after it. After reset the state is RESET.

    Parameters
    ----------
    parameters : of the link; the timeout, and what both ends must agree about.

    Members
    -------
    restart : begin anew; the timeout of RESET counts from the last cycle in which it is 1.
    drained : the receive buffers are empty.
    valid : an undamaged frame has come.
    kind, head, last, agreed : its kind, its bits, its first `HELLO_AGREED_BITS` of data.
    no_progress : the other end does not acknowledge, though all was sent `retries` times more.
    silence : it says nothing at all.
    state : of `LinkState`.
    cause : why it is DOWN; NONE in the other states, once restarted.
    greets : a HELLO is to be sent.
    heard : what its `head` says: the other end's HELLO was heard.
    greeted : a HELLO is sent in this cycle.
    """

    def __init__(self, *, parameters: LinkParameters):
        self._parameters = parameters
        super().__init__(
            {
                "restart": In(1),
                "drained": In(1),
                "valid": In(1),
                "kind": In(FrameKind),
                "head": In(1),
                "last": In(1),
                "agreed": In(min(link.HELLO_AGREED_BITS, parameters.flit_bits)),
                "no_progress": In(1),
                "silence": In(1),
                "state": Out(LinkState),
                "cause": Out(DownCause),
                "greets": Out(1),
                "heard": Out(1),
                "greeted": In(1),
            }
        )

    @property
    def parameters(self) -> LinkParameters:
        """Parameters of the link."""
        return self._parameters

    def elaborate(self, platform: object) -> Module:
        m = Module()
        quiet = Signal(range(self.parameters.timeout), init=self.parameters.timeout - 1)
        interval = Signal(range(link.HELLO_INTERVAL))
        is_hello, fits, is_confirmed, is_suspect = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            is_hello.eq(self.valid & (self.kind == FrameKind.HELLO)),
            fits.eq(self.agreed == hello_word(self.parameters) & (1 << len(self.agreed)) - 1),
        ]
        with m.Switch(self.state):
            with m.Case(LinkState.RESET):
                m.d.sync += [
                    quiet.eq(Mux(quiet == 0, 0, quiet - 1)),
                    self.heard.eq(0),
                    is_confirmed.eq(0),
                    is_suspect.eq(0),
                ]
                with m.If((quiet == 0) & self.drained):
                    m.d.sync += [self.state.eq(LinkState.HELLO), self.greets.eq(1), interval.eq(0)]
            with m.Case(LinkState.HELLO):
                m.d.sync += [
                    interval.eq(interval + 1),
                    self.greets.eq((self.greets & ~self.greeted) | (interval == link.HELLO_INTERVAL - 1)),
                ]
                with m.If(is_hello & fits):
                    m.d.sync += [self.heard.eq(1), self.greets.eq(1)]
                    with m.If(self.head):
                        m.d.sync += self.state.eq(LinkState.UP)
                with m.Elif(is_hello):
                    self._fail(m, DownCause.MISMATCH)
            with m.Case(LinkState.UP):
                m.d.sync += self.greets.eq(self.greets & ~self.greeted)
                with m.If(self.valid):
                    m.d.sync += [
                        is_confirmed.eq(is_confirmed | ~is_hello | self.last),
                        is_suspect.eq(is_confirmed & is_hello & ~self.last),
                    ]
                with m.If(is_hello & ~self.last & is_suspect):
                    self._fail(m, DownCause.PEER)
                with m.Elif(self.no_progress):
                    self._fail(m, DownCause.TIMEOUT)
                with m.Elif(self.silence):
                    self._fail(m, DownCause.SILENCE)
                with m.Elif(is_hello & ~self.last & ~is_confirmed):
                    m.d.sync += self.greets.eq(1)
        with m.If(self.restart):
            m.d.sync += [
                self.state.eq(LinkState.RESET),
                self.cause.eq(DownCause.NONE),
                quiet.eq(self.parameters.timeout - 1),
            ]
        return m

    def _fail(self, m: Module, cause: DownCause) -> None:
        m.d.sync += [self.state.eq(LinkState.DOWN), self.cause.eq(cause)]

"""A reliable link: one end of it."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia.link import LinkParameters

from ..core.checks import stream_in, stream_out
from ..core.connect import connect
from .arrive import Arrive
from .bring_up import BringUp
from .buffer import ReceiveBuffer
from .counters import Count
from .credit import Credit
from .frame import Counters, DownCause, FrameKind, LinkState, flit, line
from .gate import Gate
from .receive import Receive
from .replay import Replay
from .take import Take
from .transmit import Transmit
from .watch import Timeouts


class Link(wiring.Component):
    """One end of a full-duplex link: streams of flits on one side, a frame a cycle each way on the other.

    What `tx[vc]` takes while the link is UP leaves the other end's `rx[vc]` once, whole and in the
    order of its channel, whatever the wire loses, damages or repeats; a channel that is not taken
    from does not hold up the other. Between the channels there is no order. The wire must not
    reorder, and repeat a frame only within a replay buffer's worth of frames.

    Latency 2 cycles from `tx` to `line_out`, 3 from `line_in` to `rx`. Throughput one flit a cycle
    of both channels together while replay buffer and credit last: `replay` and `buffer` flits a
    round trip (`mtia.link.LinkParameters.round_trip`). A damaged frame costs `replay_gap` cycles, a
    lost one at most `recovery_bound`.

    While RESET or HELLO, `tx` waits. In DOWN, and where a restart cut a packet, `tx` takes flits
    and drops them, up to the end of a packet; `rx` gives what had arrived and ends a packet that
    was cut by a flit of zeros with `last` and without `head`. A receiver knows such a packet by its
    length.

    After reset a link is in RESET for a timeout and then comes up by itself. What fails shows
    within `down_bound` cycles. An end that is restarted alone takes the other one DOWN (PEER): both
    are restarted, in any order.

    Parameters
    ----------
    parameters : of the link; the other end has the same, but for what `mtia.link.LinkParameters`
        excepts.

    Members
    -------
    tx : a stream of flits (`hdl.link.frame.flit`) each virtual channel, packet after packet.
    rx : the same of the other end's; each channel may be taken from at any pace.
    line_out, line_in : the wire, `valid` and `frame`; `line_out` is a register. Nobody can hold a
        frame back.
    restart : begin anew, from every state; for as long as it is 1 the link stays in RESET.
    state : of `mtia.link.LinkState`.
    down : `state` is DOWN.
    cause : why, of `mtia.link.DownCause`; stays until `restart`.
    counters : `mtia.link.COUNTERS`, cleared by reset only.
    """

    def __init__(self, *, parameters: LinkParameters):
        self._parameters = parameters
        channels = parameters.channels
        super().__init__(
            {
                "tx": stream_in(flit(parameters)).array(channels),
                "rx": stream_out(flit(parameters)).array(channels),
                "line_out": Out(line(parameters)),
                "line_in": In(line(parameters)),
                "restart": In(1),
                "state": Out(LinkState),
                "down": Out(1),
                "cause": Out(DownCause),
                "counters": Out(Counters),
            }
        )

    @property
    def parameters(self) -> LinkParameters:
        """Parameters of the link."""
        return self._parameters

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        m.submodules.bring_up = bring_up = BringUp(parameters=p)
        m.submodules.replay = replay = Replay(parameters=p)
        m.submodules.receive = receive = Receive(parameters=p)
        m.submodules.transmit = transmit = Transmit(parameters=p)
        m.submodules.arrive = arrive = Arrive(parameters=p)
        connect(m, wiring.flipped(self.line_in), arrive.line_in)
        connect(m, transmit.line_out, wiring.flipped(self.line_out))
        is_up, ends, heard = Signal(), Signal(), Signal()
        m.d.comb += [
            is_up.eq(bring_up.state == LinkState.UP),
            ends.eq((bring_up.state == LinkState.RESET) | self.down),
            heard.eq(arrive.valid & arrive.good),
            self.state.eq(bring_up.state),
            self.down.eq(bring_up.state == LinkState.DOWN),
            self.cause.eq(bring_up.cause),
            bring_up.restart.eq(self.restart),
            bring_up.valid.eq(heard),
            bring_up.kind.eq(arrive.control.kind),
            bring_up.head.eq(arrive.control.head),
            bring_up.last.eq(arrive.control.last),
            bring_up.agreed.eq(arrive.agreed),
            bring_up.greeted.eq(transmit.greeted),
            replay.clear.eq(ends),
            replay.hold.eq(transmit.busy),
            replay.acknowledged.eq(heard & is_up & (arrive.control.kind != FrameKind.HELLO)),
            replay.acknowledge.eq(arrive.control.acknowledge),
            replay.nak.eq(arrive.control.kind == FrameKind.NAK),
            receive.clear.eq(ends),
            receive.up.eq(is_up),
            receive.valid.eq(arrive.valid),
            receive.good.eq(arrive.good),
            receive.control.eq(arrive.control),
            receive.tells.eq(transmit.tells),
            receive.asks.eq(transmit.asks),
            transmit.state.eq(bring_up.state),
            transmit.greets.eq(bring_up.greets),
            transmit.heard.eq(bring_up.heard),
            transmit.sends.eq(replay.sends),
            transmit.sequence.eq(replay.sequence),
            transmit.sent.eq(replay.sent),
            transmit.wants.eq(receive.wants),
            transmit.expected.eq(receive.expected),
            transmit.owed.eq(receive.owed),
        ]
        dropped = self._channels(m, is_up=is_up, ends=ends, heard=heard)
        self._watch(m, is_up=is_up, heard=heard)
        self._count(m, dropped=dropped)
        return m

    def _channels(self, m: Module, *, is_up: Signal, ends: Signal, heard: Signal) -> Signal:
        """What each virtual channel has of its own, and what takes from all; returns the flits dropped."""
        p, parts = self.parameters, m.submodules
        parts.take = take = Take(parameters=p)
        dropped, drained = Signal(p.channels), Signal(p.channels)
        for vc in range(p.channels):
            parts[f"gate_{vc}"] = gate = Gate(shape=flit(p))
            parts[f"credit_{vc}"] = credit = Credit(parameters=p)
            parts[f"buffer_{vc}"] = buffer = ReceiveBuffer(parameters=p)
            connect(m, wiring.flipped(self.tx[vc]), gate.i)
            connect(m, gate.o, take.i[vc])
            connect(m, buffer.o, wiring.flipped(self.rx[vc]))
            m.d.comb += [
                gate.passes.eq(is_up),
                gate.drops.eq(self.down),
                gate.cuts.eq(ends & ~self.down),
                dropped[vc].eq(gate.dropped),
                take.available[vc].eq(credit.available),
                credit.clear.eq(ends),
                credit.spent.eq(take.spent[vc]),
                credit.told.eq(heard & (parts.arrive.control.credit_vc == vc)),
                credit.told_limit.eq(parts.arrive.control.credit),
                credit.freed.eq(buffer.freed),
                credit.tells.eq(parts.transmit.tells_vc[vc]),
                parts.transmit.limits[vc].eq(credit.limit),
                parts.transmit.owed_limits[vc].eq(credit.owed),
                buffer.write.eq(parts.arrive.write[vc]),
                buffer.flit.eq(parts.arrive.flit),
                buffer.commit.eq(parts.receive.accepts & (parts.arrive.control.vc == vc)),
                buffer.last.eq(parts.arrive.control.last),
                buffer.closes.eq(ends),
                drained[vc].eq(buffer.empty),
            ]
        m.d.comb += [
            take.room.eq(parts.replay.room),
            parts.replay.put.eq(take.put),
            parts.replay.entry.eq(take.entry),
            parts.bring_up.drained.eq(drained.all()),
        ]
        return dropped

    def _watch(self, m: Module, *, is_up: Signal, heard: Signal) -> None:
        """Two watches: for acknowledgements, and for frames of any kind."""
        parts = m.submodules
        parts.progress = progress = Timeouts(parameters=self.parameters)
        parts.silence = silence = Timeouts(parameters=self.parameters)
        m.d.comb += [
            progress.waits.eq(is_up & parts.replay.outstanding),
            progress.progress.eq(parts.replay.progress),
            parts.replay.expired.eq(progress.expired if self.parameters.replay_timer else 0),
            parts.bring_up.no_progress.eq(progress.failed),
            silence.waits.eq(is_up),
            silence.progress.eq(heard),
            parts.bring_up.silence.eq(silence.failed),
        ]

    def _count(self, m: Module, *, dropped: Signal) -> None:
        """The events that are counted."""
        parts = m.submodules
        parts.count = count = Count(channels=self.parameters.channels)
        m.d.comb += [
            count.sent.eq(parts.replay.sends & ~parts.replay.again),
            count.retransmitted.eq(parts.replay.sends & parts.replay.again),
            count.control.eq(parts.transmit.controls),
            count.received.eq(parts.receive.accepts),
            count.crc_errors.eq(parts.arrive.valid & ~parts.arrive.good),
            count.naks.eq(parts.transmit.asks),
            count.timeouts.eq(parts.progress.expired),
            count.dropped.eq(dropped),
            self.counters.eq(count.counters),
        ]

"""Where the outcomes of packets go: events, tokens, answers."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from mtia.message import PacketOp, Reason

from ..core.checks import stream_in, stream_out
from .layouts import Event
from .ports import Acknowledged, Arrival, Eager, Outcome, Reply, Token


class RequestOutcomes(wiring.Component):
    """Outcomes of the REQUEST channel: sets events, and answers what was refused or wants to be acknowledged.

    A packet that needs both is done when both have been taken, each when it can. Latency 0,
    throughput one a cycle.

    Members
    -------
    i : stream of `Outcome`.
    arrival : stream of WRITE_IMMEDIATEs that ended.
    eager : stream of SENDs that ended.
    reply : stream of answers.
    refused : the reason of a refused packet in the cycle in which it was taken; 0 otherwise.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "i": stream_in(Outcome),
                "arrival": stream_out(Arrival),
                "eager": stream_out(Eager),
                "reply": stream_out(Reply),
                "refused": Out(4),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        outcome, arrival, reply = self.i.payload, self.arrival.payload, self.reply.payload
        op = Signal(4)
        is_refused, ends = Signal(), Signal()
        ways = [
            (self.arrival, ends & (op == PacketOp.WRITE_IMMEDIATE)),
            (self.eager, ends & (op == PacketOp.SEND)),
            (self.reply, is_refused | (ends & outcome.acknowledge)),
        ]
        served, served_now = Signal(len(ways)), Signal(len(ways))
        m.d.comb += [
            op.eq(outcome.op),
            is_refused.eq(outcome.reason != Reason.NONE),
            ends.eq(~is_refused & outcome.end),
            self.i.ready.eq(served_now.all()),
            *(stream.valid.eq(self.i.valid & is_needed & ~served[k]) for k, (stream, is_needed) in enumerate(ways)),
            *(served_now[k].eq(served[k] | ~is_needed | stream.ready) for k, (stream, is_needed) in enumerate(ways)),
            self.refused.eq(Mux(self.i.valid & self.i.ready, outcome.reason, Reason.NONE)),
            *(arrival[name].eq(outcome[name]) for name, _ in Arrival),
            *(self.eager.payload[name].eq(outcome[name]) for name, _ in Eager),
            *(reply[name].eq(outcome[name]) for name, _ in Reply if name != "destination"),
            reply.destination.eq(outcome.source),
        ]
        with m.If(self.i.valid):
            m.d.sync += served.eq(Mux(self.i.ready, 0, served_now))
        return m


class ResponseOutcomes(wiring.Component):
    """Outcomes of the RESPONSE channel: results set events, READYs are counted, answers are passed on.

    Refused packets are only counted: to answer an answer would need room that nobody promised.
    Latency 0, throughput one a cycle.

    Members
    -------
    i : stream of `Outcome`.
    arrival, token, acknowledged : streams; each outcome goes to one of them or to none.
    refused : the reason of a refused packet in the cycle in which it was taken; 0 otherwise.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "i": stream_in(Outcome),
                "arrival": stream_out(Arrival),
                "token": stream_out(Token),
                "acknowledged": stream_out(Acknowledged),
                "refused": Out(4),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        outcome, token, acknowledged = self.i.payload, self.token.payload, self.acknowledged.payload
        event = Event(outcome.event)
        op, passes = Signal(4), Signal()
        m.d.comb += [
            op.eq(outcome.op),
            passes.eq(self.i.valid & (outcome.reason == Reason.NONE)),
            self.refused.eq(Mux(self.i.valid, outcome.reason, Reason.NONE)),
            *(self.arrival.payload[name].eq(outcome[name]) for name, _ in Arrival),
            token.communicator.eq(event.communicator),
            token.port.eq(outcome.source),
            token.offset.eq(outcome.offset),
            acknowledged.command.eq(outcome.command),
            acknowledged.refused.eq(op == PacketOp.REFUSED),
            acknowledged.reason.eq(Mux(op == PacketOp.REFUSED, outcome.immediate, Reason.NONE)),
            acknowledged.source.eq(outcome.source),
            self.i.ready.eq(1),
        ]
        ways = [
            (op == PacketOp.RESULT, self.arrival),
            (op == PacketOp.READY, self.token),
            ((op == PacketOp.DONE) | (op == PacketOp.REFUSED), self.acknowledged),
        ]
        for is_this, stream in ways:
            with m.If(passes & is_this):
                m.d.comb += [stream.valid.eq(1), self.i.ready.eq(stream.ready)]
        return m

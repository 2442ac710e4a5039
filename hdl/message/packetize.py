"""Cuts messages into packets and packets into flits, and asks memory for their payload."""

from amaranth import *
from amaranth.lib import data, wiring

from mtia.message import FLIT_BYTES, HEADER_BYTES, MAX_PACKET

from ..core.checks import stream_in, stream_out
from .layouts import Header
from .limits import require_mtu
from .ports import ADDRESS_BITS, ReadRequest, SendJob

#: A flit to be put together: `count` of its bytes are payload and come from memory if it `has_data`; `final`: the last
#: of its message.
Plan = data.StructLayout({"head": 1, "last": 1, "has_data": 1, "count": 7, "final": 1, "thread": 5})


class Packetize(wiring.Component):
    """Makes of each message the flits of its packets, as plans, with a read for each that carries payload.

    A packet has `mtu` payload bytes, the last of a message the rest; a message without bytes is one
    packet without. The header is the job's, with the offset of its packet, its length, and `end` in
    the last one only. A head flit reads the 64 bytes from the packet's first byte and takes 32 of
    them, so that each flit needs one read and no byte is kept from one to the next. Up to 63 bytes
    past the end of a message are read and dropped.

    Latency: 1 cycle from a job to its first plan, header and read. Throughput: a flit a cycle,
    within packets, between packets and between jobs.

    Parameters
    ----------
    mtu : most payload bytes of a packet, 32 + 64 k.

    Members
    -------
    i : stream of `SendJob`; `source` is a multiple of 32.
    plan : stream of `Plan`, one a flit.
    header : stream of headers, one a packet. It is offered when the plan of the head flit is taken,
        and must be taken with it: its queue must not be full while that of the plans is not.
    read : stream of {address}, one a flit that carries payload, in the order of the plans; offered
        when `plan` is ready or has taken the flit's plan, so that there are never more reads than
        plans.

    Raises TypeError or ValueError for an `mtu` that is not so.
    """

    def __init__(self, *, mtu: int = MAX_PACKET):
        self._mtu = require_mtu("Packetize mtu", mtu)
        super().__init__(
            {
                "i": stream_in(SendJob),
                "plan": stream_out(Plan),
                "header": stream_out(Header),
                "read": stream_out(ReadRequest),
            }
        )

    @property
    def mtu(self) -> int:
        """Most payload bytes of a packet."""
        return self._mtu

    def elaborate(self, platform: object) -> Module:
        m = Module()
        active, is_head, moves = Signal(), Signal(), Signal()
        job = Signal(SendJob, reset_less=True)  # `length`, `source` and the offset are those of what is left
        packet, rest, before = Signal(16), Signal(16), Signal(16, reset_less=True)
        room, plan = Signal(7), self.plan.payload
        is_end, ended = Signal(), Signal(reset_less=True)
        planned, asked, planned_now, asked_now = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            is_end.eq(Mux(is_head, job.length <= self.mtu, ended)),
            packet.eq(Mux(is_head, Mux(is_end, job.length, self.mtu), before)),
            room.eq(Mux(is_head, FLIT_BYTES - HEADER_BYTES, FLIT_BYTES)),
            plan.count.eq(Mux(packet < room, packet, room)),
            rest.eq(packet - plan.count),
            plan.head.eq(is_head),
            plan.last.eq(rest == 0),
            plan.has_data.eq(plan.count != 0),
            plan.final.eq(plan.last & is_end),
            plan.thread.eq(job.thread),
            self.plan.valid.eq(active & ~planned),
            planned_now.eq(planned | self.plan.ready),
            self.read.valid.eq(active & plan.has_data & planned_now & ~asked),
            self.read.payload.address.eq(job.source),
            asked_now.eq(asked | ~plan.has_data | (planned_now & self.read.ready)),
            moves.eq(active & planned_now & asked_now),
            self.header.valid.eq(self.plan.valid & self.plan.ready & is_head),
            self.header.payload.eq(job.header),
            self.header.payload.length.eq(packet),
            self.header.payload.end.eq(is_end),
            self.i.ready.eq(~active | (moves & plan.final)),
        ]
        with m.If(active):
            m.d.sync += [planned.eq(planned_now & ~moves), asked.eq(asked_now & planned_now & plan.has_data & ~moves)]
        with m.If(moves):
            m.d.sync += [is_head.eq(plan.last), before.eq(rest), ended.eq(is_end)]
            m.d.sync += job.source.eq((job.source + room)[:ADDRESS_BITS])
            with m.If(is_head):
                m.d.sync += [
                    job.length.eq(job.length - packet),
                    job.header.offset.eq(job.header.offset + packet),
                ]
        with m.If(self.i.ready):
            m.d.sync += [active.eq(self.i.valid), job.eq(self.i.payload), is_head.eq(1)]
        return m

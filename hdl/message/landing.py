"""What becomes of the packets of one channel: writes to memory, and what each packet was."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from mtia.message import FLIT_BYTES, HEADER_BYTES, MAX_PACKET, MAX_RANKS, Channel, PacketOp, Reason

from ..core.checks import stream_in, stream_out
from ..core.connect import connect
from ..core.fifo import Queue
from ..link.flit import Flit
from .layouts import Header, Window
from .limits import require_channel, require_communicators, require_mtu, require_ports
from .ports import ADDRESS_BITS, Outcome, Write
from .windows import Check

#: bits of the header in a head flit
HEADER_BITS = 8 * HEADER_BYTES


class Landing(wiring.Component):
    """Checks packets, writes their payload to memory and tells their outcome when it is there.

    A packet that is refused is taken and writes nothing. Others are written as they come: 32 bytes
    of the head flit, 64 of each further one, none past the header's `length`. An outcome leaves
    after the memory has taken the packet's last write; there is one for each packet that was
    refused, sets an event, wants to be acknowledged, or is a READY, a DONE or a REFUSED.

    A packet that does not end with the flit in which its payload ends is refused at its last flit,
    as out of RANGE: bytes up to `length` may have been written inside the window. The same holds
    for the last packet of a message of which an earlier packet was refused, so that no event is set
    for a message with a hole. Flits between packets are dropped, and a head flit always begins a
    packet.

    Latency: 2 cycles from a flit to its write, 1 more to the outcome. Throughput: a flit a cycle.

    Parameters
    ----------
    channel, mtu, communicators, ports : as `Check` takes them.

    Members
    -------
    i : stream of flits.
    lookup, index : a window is looked up.
    window : what was found, from the next cycle to the next lookup.
    write : stream of {address, data, enable}.
    outcome : stream of `Outcome`.

    Raises TypeError or ValueError for a parameter that is not so.
    """

    def __init__(self, *, channel: Channel, mtu: int = MAX_PACKET, communicators: int = 16, ports: int = MAX_RANKS):
        self._channel = require_channel("Landing channel", channel)
        self._mtu = require_mtu("Landing mtu", mtu)
        self._communicators = require_communicators("Landing communicators", communicators)
        self._ports = require_ports("Landing ports", ports)
        super().__init__(
            {
                "i": stream_in(Flit),
                "lookup": Out(1),
                "index": Out(8),
                "window": In(Window),
                "write": stream_out(Write),
                "outcome": stream_out(Outcome),
            }
        )

    @property
    def channel(self) -> Channel:
        """The packets' channel."""
        return self._channel

    @property
    def mtu(self) -> int:
        """Most payload bytes of a packet."""
        return self._mtu

    @property
    def communicators(self) -> int:
        """Communicators whose events and tokens are kept."""
        return self._communicators

    @property
    def ports(self) -> int:
        """Ports of the switch."""
        return self._ports

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.check = check = Check(
            channel=self.channel, mtu=self.mtu, communicators=self.communicators, ports=self.ports
        )
        flit = Signal(Flit, reset_less=True)
        end = Signal(ADDRESS_BITS + 1, reset_less=True)
        valid, moves, free = Signal(), Signal(), Signal()  # a flit is here; it leaves; the next stage has room
        coming = data.View(Header, self.i.payload.data[:HEADER_BITS])
        header = data.View(Header, flit.data[:HEADER_BITS])
        m.d.comb += [
            moves.eq(valid & free),
            self.i.ready.eq(~valid | moves),
            self.lookup.eq(self.i.valid & self.i.ready & self.i.payload.head),
            self.index.eq(coming.window),
            check.header.eq(header),
            check.window.eq(self.window),
            check.end.eq(end),
        ]
        with m.If(self.i.ready):
            m.d.sync += valid.eq(self.i.valid)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [flit.eq(self.i.payload), end.eq(coming.offset + coming.length)]
        payload = self._follow(m, flit, header, check, moves=moves)
        judged = self._judge(m, flit, header, check.reason, payload, moves=moves)
        self._put(m, flit, payload, judged, moves=moves, free=free)
        return m

    def _follow(
        self, m: Module, flit: data.View, header: data.View, check: Check, *, moves: Signal
    ) -> dict[str, Signal]:
        """Where in its packet a flit is: bytes of it that count, their address; whether it lands and fits its length.

        `inside`: the flit belongs to a packet. `lands`: its bytes go to memory.
        """
        left, address, next_address = Signal(16), Signal(ADDRESS_BITS), Signal(ADDRESS_BITS, reset_less=True)
        rest, previous = Signal(16), Signal(16, reset_less=True)
        count, room = Signal(7), Signal(7)
        inside, open_packet, lands, landing, misfit = Signal(), Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            room.eq(Mux(flit.head, FLIT_BYTES - HEADER_BYTES, FLIT_BYTES)),
            left.eq(Mux(flit.head, header.length, previous)),
            count.eq(Mux(left < room, left, room)),
            rest.eq(left - count),
            address.eq(Mux(flit.head, check.address, next_address)),
            inside.eq(flit.head | open_packet),
            lands.eq(Mux(flit.head, check.lands, landing)),
            misfit.eq((rest != 0) | (~flit.head & (left == 0))),
        ]
        with m.If(moves):
            m.d.sync += [
                open_packet.eq(inside & ~flit.last),
                landing.eq(lands),
                previous.eq(rest),
                next_address.eq(address + room),
            ]
        return {"count": count, "address": address, "inside": inside, "lands": lands, "misfit": misfit}

    def _judge(
        self,
        m: Module,
        flit: data.View,
        header: data.View,
        found: Value,
        payload: dict[str, Signal],
        *,
        moves: Signal,
    ) -> tuple[data.View, Signal]:
        """The outcome of the packet whose flit moved last, as far as it is known; whether that of this flit is told."""
        outcome, before = Signal(Outcome), Signal(Outcome, name="before", reset_less=True)
        broken, bit = Signal(MAX_RANKS), Signal(MAX_RANKS)  # sources whose message has lost a packet
        reason, op, tells, is_answer, sets_event = Signal(4), Signal(4), Signal(), Signal(), Signal()
        fields = {name: Mux(flit.head, header[name], before[name]) for name, _ in Outcome if name != "reason"}
        m.d.comb += [
            *(outcome[name].eq(value) for name, value in fields.items()),
            bit.eq(Mux(outcome.source < MAX_RANKS, 1 << outcome.source[:7], 0)),
            reason.eq(Mux(flit.head, found, before.reason)),
            outcome.reason.eq(reason),
            op.eq(outcome.op),
            is_answer.eq((op == PacketOp.READY) | (op == PacketOp.DONE) | (op == PacketOp.REFUSED)),
            sets_event.eq((op == PacketOp.WRITE_IMMEDIATE) | (op == PacketOp.SEND) | (op == PacketOp.RESULT)),
        ]
        is_broken = ~is_answer & outcome.end & (broken & bit).any()
        with m.If(flit.last & (reason == Reason.NONE) & (payload["misfit"] | is_broken)):
            m.d.comb += outcome.reason.eq(Reason.RANGE)
        m.d.comb += tells.eq(
            payload["inside"]
            & flit.last
            & (
                (outcome.reason != Reason.NONE)
                | is_answer
                | (outcome.end & (sets_event | (outcome.acknowledge if self.channel == Channel.REQUEST else 0)))
            )
        )
        with m.If(moves):
            m.d.sync += before.eq(outcome)
            with m.If(payload["inside"] & flit.last & ~is_answer):
                m.d.sync += broken.eq(
                    Mux(outcome.end, broken & ~bit, broken | Mux(outcome.reason != Reason.NONE, bit, 0))
                )
        return before, tells

    def _put(
        self,
        m: Module,
        flit: data.View,
        payload: dict[str, Signal],
        judged: tuple[data.View, Signal],
        *,
        moves: Signal,
        free: Signal,
    ) -> None:
        """Offer the write of a flit, then the outcome of its packet."""
        before, tells_next = judged
        m.submodules.told = told = Queue(shape=Outcome, depth=2)
        write, writes, tells = Signal(Write, reset_less=True), Signal(), Signal()
        m.d.comb += [
            self.write.valid.eq(writes & (~tells | told.i.ready)),
            self.write.payload.eq(write),
            free.eq((~writes | self.write.ready) & (~tells | told.i.ready)),
            told.i.valid.eq(tells & (~writes | self.write.ready)),
            told.i.payload.eq(before),
        ]
        connect(m, told.o, wiring.flipped(self.outcome))
        others = Signal(7)  # bytes of 64 that are not written
        m.d.comb += others.eq(FLIT_BYTES - payload["count"])
        low, high = flit.data[:HEADER_BITS], flit.data[HEADER_BITS:]
        with m.If(free):
            m.d.sync += [
                writes.eq(moves & payload["inside"] & payload["lands"] & (payload["count"] != 0)),
                tells.eq(moves & tells_next),
            ]
        with m.If(moves):
            m.d.sync += [
                write.data.eq(Cat(Mux(flit.head, high, low), high)),
                write.address.eq(payload["address"]),
                write.enable.eq(Const((1 << FLIT_BYTES) - 1, FLIT_BYTES) >> others),
            ]

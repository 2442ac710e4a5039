"""Which packets may use a NIC."""

from amaranth import *
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from mtia import link
from mtia.message import Channel

from ..core.checks import stream_in, stream_out
from ..message.layouts import Header
from .flit import Flit
from .frame import enumeration

NicRole = enumeration(link.NicRole)
Refusal = enumeration(link.Refusal)

#: `mtia.link.QUEUE_PAIR`
QueuePair = data.StructLayout({**dict(link.QUEUE_PAIR), "role": NicRole})
#: place of a queue pair in its table: a peer, or a group
PairIndex = data.StructLayout({"peer": link.PEER_BITS, "multicast": 1})


class Admit(wiring.Component):
    """Lets the packets of one virtual channel pass for which there is a queue pair, and drops the others whole.

    A packet's head asks the table for the pair of its destination; the answer is there a cycle
    later. Requests are held to the pair's partition and windows as well; responses have neither.
    The reasons are checked in the order of `mtia.link.Refusal`, and the first that holds is told.
    Packets keep their order.

    Latency 1 cycle, throughput one flit a cycle, also of packets that are dropped. `o.valid` and
    `o.payload` come from registers and the pair, `i.ready` follows `o.ready`.

    Parameters
    ----------
    channel : of `mtia.message.Channel`: whose packets these are.

    Members
    -------
    i : stream of flits, packets one after the other, each beginning with a flit that has `head`.
    o : stream of flits, those that may pass as they came.
    role : of the NIC; counts for packets that begin from now on.
    asks : the head of a packet is taken in this cycle: read the table.
    index : at this place; a destination beyond the table is refused whatever is there.
    pair : what is there, in the cycle after `asks`, and until the next.
    admitted : a packet begins to leave: its head is taken at `o`.
    refused : a packet begins to be dropped in this cycle, and why; NONE in all others.

    Raises TypeError for a `channel` that is none.
    """

    def __init__(self, *, channel: Channel):
        if not isinstance(channel, Channel):
            raise TypeError(f"Admit channel must be a mtia.message.Channel, not {channel!r}")
        self._channel = channel
        super().__init__(
            {
                "i": stream_in(Flit),
                "o": stream_out(Flit),
                "role": In(NicRole),
                "asks": Out(1),
                "index": Out(PairIndex),
                "pair": In(QueuePair),
                "admitted": Out(1),
                "refused": Out(Refusal),
            }
        )

    @property
    def channel(self) -> Channel:
        """The virtual channel."""
        return self._channel

    def elaborate(self, platform: object) -> Module:
        m = Module()
        flit, is_there, role = Signal(Flit, reset_less=True), Signal(), Signal(NicRole)
        asked, header = (
            data.View(Header, self.i.payload.data[: Header.size]),
            data.View(Header, flit.data[: Header.size]),
        )
        is_far = Signal()  # the destination has no place in the table
        was_admitted, admits, leaves, taken = Signal(), Signal(), Signal(), Signal()
        reason = self._reason(m, header, role=role, is_far=is_far)
        m.d.comb += [
            admits.eq(Mux(flit.head, reason == Refusal.NONE, was_admitted)),
            self.o.valid.eq(is_there & admits),
            self.o.payload.eq(flit),
            leaves.eq(is_there & (self.o.ready | ~admits)),
            self.i.ready.eq(~is_there | leaves),
            taken.eq(self.i.valid & self.i.ready),
            self.asks.eq(taken & self.i.payload.head),
            self.index.peer.eq(asked.destination),
            self.index.multicast.eq(asked.multicast),
            self.admitted.eq(leaves & flit.head & admits),
            self.refused.eq(Mux(leaves & flit.head & ~admits, reason, Refusal.NONE)),
        ]
        m.d.sync += is_there.eq(taken | (is_there & ~leaves))
        with m.If(leaves):
            m.d.sync += was_admitted.eq(admits)
        with m.If(taken):
            m.d.sync += [
                flit.eq(self.i.payload),
                role.eq(self.role),
                is_far.eq(asked.destination >> link.PEER_BITS != 0),
            ]
        return m

    def _reason(self, m: Module, header: data.View, *, role: enum.EnumView, is_far: Signal) -> enum.EnumView:
        """Why the packet may not pass."""
        reason, pair = Signal(Refusal), self.pair
        with m.If(~pair.open | is_far):
            m.d.comb += reason.eq(Refusal.CLOSED)
        with m.Elif((pair.role != role) | (role == NicRole.SPARE)):
            m.d.comb += reason.eq(Refusal.ROLE)
        if self.channel is Channel.REQUEST:
            with m.Elif(pair.partition != header.partition):
                m.d.comb += reason.eq(Refusal.PARTITION)
            with m.Elif((header.window < pair.first_window) | (header.window > pair.last_window)):
                m.d.comb += reason.eq(Refusal.WINDOW)
        return reason

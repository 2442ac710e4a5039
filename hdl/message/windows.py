"""The windows through which packets reach memory, and the check of a packet's header against its window."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from mtia.message import ATOM_BYTES, MAX_PACKET, MAX_RANKS, Channel, PacketOp, Reason, Right

from ..core.checks import require_int, stream_in
from ..hbm.select import bit_of
from .layouts import Event, Header, Window
from .limits import require_channel, require_communicators, require_mtu, require_ports
from .ports import ADDRESS_BITS, WindowEntry

#: source of packets of the switch itself
SWITCH_SOURCE = 255
#: bits of an address within an atom
_ATOM_BITS = ceil_log2(ATOM_BYTES)


class Windows(wiring.Component):
    """Table of windows, read by both channels at once.

    A change is seen by lookups of the next cycle on; one of an index past the table is dropped.
    After reset all windows are closed. A lookup answers in the next cycle and holds its answer
    until the next one; an index past the table finds a closed window. Throughput: one change and
    one lookup of each reader a cycle.

    Parameters
    ----------
    windows : entries, 2 to 256.
    readers : lookups a cycle, at least 1.

    Members
    -------
    configure : stream of {index, window}, always taken.
    enable, index : arrays: a lookup of that window.
    entry : array: the window that was looked up last; its `valid` is 0 if it is closed.

    Raises TypeError or ValueError for a parameter that is no such number.
    """

    def __init__(self, *, windows: int = 16, readers: int = 2):
        self._windows = require_int("Windows windows", windows, low=2, high=256)
        self._readers = require_int("Windows readers", readers, low=1)
        super().__init__(
            {
                "configure": stream_in(WindowEntry),
                "enable": In(1).array(readers),
                "index": In(8).array(readers),
                "entry": Out(Window).array(readers),
            }
        )

    @property
    def windows(self) -> int:
        """Entries."""
        return self._windows

    @property
    def readers(self) -> int:
        """Lookups a cycle."""
        return self._readers

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.table = table = memory.Memory(shape=Window, depth=self.windows, init=[])
        change = self.configure.payload
        is_open = Signal(self.windows)  # in registers, so that reset closes all
        write = table.write_port()
        m.d.comb += [
            self.configure.ready.eq(1),
            write.en.eq(self.configure.valid & (change.index < self.windows)),
            write.addr.eq(change.index),
            write.data.eq(change.window),
        ]
        with m.If(write.en):
            bit = Signal(self.windows)
            m.d.comb += bit.eq(1 << write.addr)
            m.d.sync += is_open.eq(Mux(change.window.valid, is_open | bit, is_open & ~bit))
        for reader in range(self.readers):
            port = table.read_port(transparent_for=(write,))
            found, changes = Signal(name=f"found_{reader}"), Signal(name=f"changes_{reader}")
            m.d.comb += [
                port.en.eq(self.enable[reader]),
                port.addr.eq(self.index[reader]),
                changes.eq(write.en & (change.index == self.index[reader])),
                self.entry[reader].eq(port.data),
                self.entry[reader].valid.eq(found),
            ]
            with m.If(self.enable[reader]):
                known = (self.index[reader] < self.windows) & bit_of(is_open, self.index[reader])
                m.d.sync += found.eq(Mux(changes, change.window.valid, known))
        return m


class Check(wiring.Component):
    """Why a packet is refused, from its header and its window: the first reason that holds, in the order of `Reason`.

    WRITE and SEND need the right of that name, WRITE_IMMEDIATE and RESULT the rights WRITE and
    EVENT. A RESULT of the switch itself passes as a source wherever events are allowed. READY, DONE
    and REFUSED need no window. An operation that does not travel on the channel is no operation.

    The offset of a SEND counts from the part of its source, the ``32 << part_log`` bytes of the
    window that begin at source times as many, and its bytes end within that part: no source writes
    into another's.

    RANGE is also the reason for an address or offset that is no multiple of 32, a sum past 48 bits,
    a slot or an event that the arrival table lacks, and a READY for a communicator or of a port
    that is not there.

    Latency: 0; adds up to two sums of 48 bits in parallel, each before a comparison.

    Parameters
    ----------
    channel : the packets' channel.
    mtu : most payload bytes of a packet, 32 + 64 k.
    communicators : 1 to 16.
    ports : of the switch, 1 to 72.

    Members
    -------
    header, window : of the packet; the window it names, as `Windows` found it.
    end : ``header.offset + header.length``, formed beforehand.
    reason : a `Reason`, 0 where none holds.
    lands : there is none, and the payload goes to memory.
    address : there: that of the packet's first byte.

    Raises TypeError or ValueError for a parameter that is not so.
    """

    def __init__(self, *, channel: Channel, mtu: int = MAX_PACKET, communicators: int = 16, ports: int = MAX_RANKS):
        self._channel = require_channel("Check channel", channel)
        self._mtu = require_mtu("Check mtu", mtu)
        self._communicators = require_communicators("Check communicators", communicators)
        self._ports = require_ports("Check ports", ports)
        super().__init__(
            {
                "header": In(Header),
                "window": In(Window),
                "end": In(ADDRESS_BITS + 1),
                "reason": Out(4),
                "lands": Out(1),
                "address": Out(ADDRESS_BITS),
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
        header, window = self.header, self.window
        op = {each: Signal(name=f"is_{each.name.lower()}") for each in PacketOp}
        m.d.comb += [is_op.eq(header.op == each) for each, is_op in op.items()]
        sets_event, needs_window, known = Signal(), Signal(), Signal()
        from_switch, is_source, has_rights, in_range = Signal(), Signal(), Signal(), Signal()
        if self.channel == Channel.REQUEST:
            m.d.comb += known.eq(op[PacketOp.WRITE] | op[PacketOp.WRITE_IMMEDIATE] | op[PacketOp.SEND])
        else:
            answers = op[PacketOp.READY] | op[PacketOp.DONE] | op[PacketOp.REFUSED]
            m.d.comb += known.eq(answers | op[PacketOp.RESULT])
        m.d.comb += [
            sets_event.eq(op[PacketOp.WRITE_IMMEDIATE] | op[PacketOp.RESULT]),
            needs_window.eq(sets_event | op[PacketOp.WRITE] | op[PacketOp.SEND]),
            from_switch.eq(
                op[PacketOp.RESULT] & (header.source == SWITCH_SOURCE) & (window.rights & Right.EVENT.value).any()
            ),
            is_source.eq(from_switch | bit_of(window.sources, header.source)),
            has_rights.eq(self._has_rights(m, sets_event, op[PacketOp.SEND])),
            in_range.eq(self._in_range(m, sets_event, op[PacketOp.SEND])),
            self.lands.eq(needs_window & (self.reason == Reason.NONE)),
        ]
        with m.If(~known):
            m.d.comb += self.reason.eq(Reason.OPERATION)
        with m.Elif(needs_window):
            checks = [
                (Reason.WINDOW, window.valid),
                (Reason.PARTITION, header.partition == window.partition),
                (Reason.SOURCE, is_source),
                (Reason.KEY, header.key == window.key),
                (Reason.EPOCH, header.epoch == window.epoch),
                (Reason.RIGHTS, has_rights),
                (Reason.RANGE, in_range),
            ]
            for reason, holds in reversed(checks):  # the later assignment wins
                with m.If(~holds):
                    m.d.comb += self.reason.eq(reason)
        with m.Elif(op[PacketOp.READY]):
            event = Event(header.event)
            in_table = (event.communicator < self.communicators) & (header.source < self.ports)
            m.d.comb += self.reason.eq(Mux(in_table, Reason.NONE, Reason.RANGE))
        return m

    def _has_rights(self, m: Module, sets_event: Signal, is_send: Signal) -> Value:
        """Whether the window allows the operation."""
        needs = Signal(3)
        m.d.comb += needs.eq(
            Mux(
                is_send,
                Right.SEND.value,
                Mux(sets_event, (Right.WRITE | Right.EVENT).value, Right.WRITE.value),
            )
        )
        return (self.window.rights & needs) == needs

    def _in_range(self, m: Module, sets_event: Signal, is_send: Signal) -> Value:
        """Whether the payload fits, and the event is in the table; forms the address too."""
        header, window = self.header, self.window
        part = Signal(8 + _ATOM_BITS + 15)  # where the part of a SEND's source begins
        part_end = Signal(len(part) + 1)
        start, stop = Signal(ADDRESS_BITS + 2), Signal(ADDRESS_BITS + 2)
        fits, aligned, has_event = Signal(), Signal(), Signal()
        event = Event(header.event)
        bytes_log = window.part_log + _ATOM_BITS
        m.d.comb += [
            part.eq(Mux(is_send, (header.source << window.part_log) << _ATOM_BITS, 0)),
            part_end.eq(((header.source + 1) << window.part_log) << _ATOM_BITS),
            start.eq(window.base + header.offset + part),
            stop.eq(window.base + self.end + part),
            self.address.eq(start),
            fits.eq(
                Mux(
                    is_send,
                    (self.end <= (Const(1, 21) << bytes_log)[:21]) & (part_end <= window.size),
                    self.end <= window.size,
                )
            ),
            aligned.eq((header.offset[:_ATOM_BITS] | window.base[:_ATOM_BITS]) == 0),
            has_event.eq((event.communicator < self.communicators) & (event.reserved == 0) & (header.slot < MAX_RANKS)),
        ]
        small = header.length <= self.mtu
        return fits & aligned & small & (stop <= 1 << ADDRESS_BITS) & (has_event | ~sets_event)

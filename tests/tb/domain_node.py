"""A node for tests of the domain itself: its doorbell is a flit to send, and its memory a log of flits received."""

from amaranth import *
from amaranth.lib import data, wiring

from hdl.core.checks import stream_in, stream_out
from hdl.link.flit import Flit

FLIT_BITS = Flit["data"].width


class FlitNode(wiring.Component):
    """Sends the flits that its doorbell holds and writes what it receives to its memory, 64 bytes after the other.

    The doorbell's partition is {head, last, channel}, its descriptor the data of the flit. What comes on channel c is
    written from ``c * room`` on; the end of a packet gives a completion whose command is the channel.
    """

    def __init__(self, *, room: int):
        self._room = room
        write = {"address": 48, "data": FLIT_BITS, "enable": FLIT_BITS // 8}
        address = data.StructLayout({"address": 48})
        super().__init__(
            {
                "doorbell": stream_in(data.StructLayout({"partition": 8, "descriptor": 512})),
                "configure": stream_in(data.StructLayout({"space": 3, "index": 12, "data": 256})),
                "completion": stream_out(data.StructLayout({"command": 16, "rest": 112})),
                "read": stream_out(address),
                "read_data": stream_in(data.StructLayout({"data": FLIT_BITS})),
                "sum_read": stream_out(address),
                "sum_data": stream_in(data.StructLayout({"data": FLIT_BITS})),
                "write": stream_out(data.StructLayout(write)),
                "sum_write": stream_out(data.StructLayout(write)),
                "up": stream_out(Flit).array(2),
                "down": stream_in(Flit).array(2),
            }
        )

    @property
    def room(self) -> int:
        """Bytes of the log of a channel."""
        return self._room

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bell = self.doorbell
        partition = bell.payload.partition
        for channel, up in enumerate(self.up):
            m.d.comb += [
                up.payload.data.eq(bell.payload.descriptor),
                up.payload.head.eq(partition[0]),
                up.payload.last.eq(partition[1]),
                up.valid.eq(bell.valid & (partition[2] == channel)),
            ]
        m.d.comb += bell.ready.eq(Mux(partition[2], self.up[1].ready, self.up[0].ready))
        for port, answer in ((self.read, self.read_data), (self.sum_read, self.sum_data)):
            m.d.comb += [port.payload.address.eq(Mux(self.configure.valid, 64, 0)), answer.ready.eq(1)]
        m.d.comb += self.configure.ready.eq(1)
        for channel, (down, write) in enumerate(zip(self.down, (self.write, self.sum_write), strict=True)):
            place = Signal(48, name=f"place_{channel}", init=channel * self.room)
            m.d.comb += [
                write.payload.data.eq(down.payload.data),
                write.payload.address.eq(place),
                write.payload.enable.eq(~C(0, FLIT_BITS // 8)),
                write.valid.eq(down.valid),
                down.ready.eq(write.ready),
            ]
            with m.If(down.valid & down.ready):
                m.d.sync += place.eq(place + FLIT_BITS // 8)
        ends = [down.valid & down.ready & down.payload.last for down in self.down]
        both = Signal()
        m.d.sync += both.eq(ends[0] & ends[1])
        m.d.comb += [self.completion.valid.eq(ends[0] | ends[1] | both), self.completion.payload.command.eq(ends[1])]
        return m

"""Where the requests of a memory port go."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from mtia.hbm_map import AddressMap

from ..core.checks import stream_in, stream_out
from .address import MapAddress
from .commands import Geometry, MemoryOp, Status
from .port import MASK_BITS, MemoryPort, update_layout


class Front(wiring.Component):
    """Takes requests in order and hands each to the scheduler or to the near-memory unit.

    Reads and writes of whole atoms go to the scheduler, but not while a line of the near-memory
    unit holds their atom; reductions and writes of some bytes go to the near-memory unit. Writes and
    updates are acknowledged when they are handed over. An address past the memory's end is answered
    with the status ADDRESS and goes nowhere.

    Latency: 1 cycle. Throughput: one request a cycle.

    request: the port's requests
    direct: {write, place}; direct_valid, direct_taken: with the scheduler; tag, data: beside it
    update: to the near-memory unit
    place, held, waits: the place of the request here; a line holds its atom; it waits for that line
    acknowledge: {tag, status}
    """

    def __init__(self, *, geometry: Geometry, port: MemoryPort, address_map: AddressMap):
        self._geometry, self._port, self._map = geometry, port, address_map
        request = port.request()
        super().__init__(
            {
                "request": stream_in(request),
                "direct": Out(data.StructLayout({"write": 1, "place": geometry.place()})),
                "direct_valid": Out(1),
                "direct_taken": In(1),
                "tag": Out(port.tag_bits),
                "data": Out(request["data"].shape),
                "update": stream_out(update_layout(geometry)),
                "place": Out(geometry.place()),
                "held": In(1),
                "waits": Out(1),
                "acknowledge": stream_out(data.StructLayout({"tag": port.tag_bits, "status": Status})),
            }
        )

    @property
    def geometry(self) -> Geometry:
        """Address fields."""
        return self._geometry

    @property
    def port(self) -> MemoryPort:
        """Widths of the memory port."""
        return self._port

    @property
    def address_map(self) -> AddressMap:
        """Map from addresses to places."""
        return self._map

    def elaborate(self, platform: object) -> Module:
        m = Module()
        g = self.geometry
        m.submodules.map = address = MapAddress(map=self.address_map)
        here = Signal(self.port.request(), name="here", reset_less=True)
        valid, leaves, out_of_range = Signal(), Signal(), Signal(reset_less=True)
        place = Signal(g.place(), name="here_place", reset_less=True)
        m.d.comb += [
            self.request.ready.eq(~valid | leaves),
            address.address.eq(self.request.payload.address),
        ]
        with m.If(self.request.ready):
            m.d.sync += [
                valid.eq(self.request.valid),
                here.eq(self.request.payload),
                place.index.eq(address.index),
                place.row.eq(address.row),
                place.column.eq(address.column),
                out_of_range.eq(address.beyond),
            ]
        is_update, is_read, can_acknowledge = Signal(), Signal(), Signal()
        whole = here.mask == (1 << MASK_BITS) - 1
        m.d.comb += [
            is_read.eq(here.op == MemoryOp.RD),
            is_update.eq((here.op == MemoryOp.RED) | ((here.op == MemoryOp.WR) & ~whole)),
            can_acknowledge.eq(self.acknowledge.ready),
            self.direct_valid.eq(valid & ~out_of_range & ~is_update & ~self.held & (is_read | can_acknowledge)),
            self.direct.write.eq(~is_read),
            self.direct.place.eq(place),
            self.waits.eq(valid & ~out_of_range & ~is_update),
            self.place.eq(place),
            self.tag.eq(here.tag),
            self.data.eq(here.data),
            self.update.valid.eq(valid & ~out_of_range & is_update & can_acknowledge),
            self.update.payload.place.eq(place),
            self.update.payload.kind.eq(Mux(here.op == MemoryOp.WR, 0, here.kind)),
            self.update.payload.format.eq(Mux(here.op == MemoryOp.WR, 0, here.format)),
            self.update.payload.mask.eq(here.mask),
            self.update.payload.data.eq(here.data),
            leaves.eq(
                Mux(
                    out_of_range,
                    can_acknowledge,
                    Mux(is_update, can_acknowledge & self.update.ready, self.direct_taken),
                )
            ),
            self.acknowledge.valid.eq(valid & leaves & (out_of_range | ~is_read)),
            self.acknowledge.payload.tag.eq(here.tag),
            self.acknowledge.payload.status.eq(Mux(out_of_range, Status.ADDRESS, Status.OK)),
        ]
        return m

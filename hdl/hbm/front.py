"""Where the requests of a memory port go."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from mtia.hbm_map import AddressMap

from ..core.checks import stream_in, stream_out
from .address import MapAddress
from .commands import Geometry, MemoryOp, Status
from .parts import WithGeometry, WithPort
from .port import MASK_BITS, MemoryPort, steps_layout, update_layout


class Front(WithGeometry, WithPort, wiring.Component):
    """Takes requests in order and hands each to the scheduler or to the near-memory unit.

    Reads and writes of whole atoms go to the scheduler, but not while a line of the near-memory
    unit holds their atom; reductions and writes of some bytes go to the near-memory unit. Writes
    and updates are acknowledged when they are handed over. An address past the memory's end is
    answered with the status ADDRESS and goes nowhere. Of a TREE, as `ExpandTree` takes it apart,
    the destination goes to the near-memory unit when no line holds it, then the slots to the
    scheduler; it is acknowledged with the last of them.

    Latency: 1 cycle. Throughput: one request a cycle. One request is here at a time, and holds up
    those behind it.

    Parameters
    ----------
    geometry : address fields.
    port : widths of the memory port.
    address_map : from its addresses to places.

    Members
    -------
    request : stream of `steps_layout`.
    direct : {write, slot, last, place} for the scheduler, as those of the request say.
    direct_valid, direct_taken : its handshake.
    tag, data : beside it.
    slot_room : a slot may be read.
    update : stream of `update_layout` to the near-memory unit.
    place : of the request here; `held` is asked of it.
    held : a line holds its atom.
    waits : it waits for that line.
    acknowledge : stream of {tag, status}.
    idle : no request is here.
    """

    def __init__(self, *, geometry: Geometry, port: MemoryPort, address_map: AddressMap):
        self._geometry, self._port, self._map = geometry, port, address_map
        request = steps_layout(port)
        super().__init__(
            {
                "request": stream_in(request),
                "direct": Out(data.StructLayout({"write": 1, "slot": 1, "last": 1, "place": geometry.place()})),
                "direct_valid": Out(1),
                "direct_taken": In(1),
                "slot_room": In(1),
                "tag": Out(port.tag_bits),
                "data": Out(request["data"].shape),
                "update": stream_out(update_layout(geometry)),
                "place": Out(geometry.place()),
                "held": In(1),
                "waits": Out(1),
                "idle": Out(1),
                "acknowledge": stream_out(data.StructLayout({"tag": port.tag_bits, "status": Status})),
            }
        )

    @property
    def address_map(self) -> AddressMap:
        """Map from addresses to places."""
        return self._map

    def elaborate(self, platform: object) -> Module:
        m = Module()
        g = self.geometry
        m.submodules.map = address = MapAddress(map=self.address_map)
        here = Signal(steps_layout(self.port), name="here", reset_less=True)
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
                out_of_range.eq(address.beyond | self.request.payload.beyond),
            ]
        self._hand_over(m, here, place, valid=valid, leaves=leaves, out_of_range=out_of_range)
        return m

    def _hand_over(
        self, m: Module, here: data.View, place: data.View, *, valid: Signal, leaves: Signal, out_of_range: Signal
    ) -> None:
        """Offer the request where it belongs, and acknowledge it."""
        is_update, is_tree, is_read, answers, can_acknowledge = (Signal() for _ in range(5))
        whole = here.mask == (1 << MASK_BITS) - 1
        m.d.comb += [
            is_read.eq(here.op == MemoryOp.RD),
            is_tree.eq(here.op == MemoryOp.TREE),
            answers.eq(Mux(is_read, here.slot & here.last, ~is_tree)),
            is_update.eq((here.op == MemoryOp.RED) | ((here.op == MemoryOp.WR) & ~whole)),
            can_acknowledge.eq(self.acknowledge.ready),
            self.direct_valid.eq(
                valid
                & ~(out_of_range | is_update | is_tree | self.held)
                & (~answers | can_acknowledge)
                & (~here.slot | self.slot_room)
            ),
            self.direct.write.eq(~is_read),
            self.direct.slot.eq(here.slot),
            self.direct.last.eq(here.last),
            self.direct.place.eq(place),
            self.idle.eq(~valid),
            self.waits.eq(valid & ~out_of_range & ~is_update),
            self.place.eq(place),
            self.tag.eq(here.tag),
            self.data.eq(here.data),
            self.update.valid.eq(valid & ~out_of_range & ((is_update & can_acknowledge) | (is_tree & ~self.held))),
            self.update.payload.tree.eq(is_tree),
            self.update.payload.place.eq(place),
            self.update.payload.kind.eq(Mux(here.op == MemoryOp.WR, 0, here.kind)),
            self.update.payload.format.eq(Mux(here.op == MemoryOp.WR, 0, here.format)),
            self.update.payload.mask.eq(here.mask),
            self.update.payload.data.eq(here.data),
            leaves.eq(
                Mux(
                    out_of_range,
                    can_acknowledge,
                    Mux(is_update | is_tree, self.update.valid & self.update.ready, self.direct_taken),
                )
            ),
            self.acknowledge.valid.eq(valid & leaves & (out_of_range | answers)),
            self.acknowledge.payload.tag.eq(here.tag),
            self.acknowledge.payload.status.eq(Mux(out_of_range, Status.ADDRESS, Status.OK)),
        ]

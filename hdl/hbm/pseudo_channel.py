"""Controller of one pseudo-channel."""

from dataclasses import dataclass

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from mtia.hbm_map import AddressMap

from ..core.arith import delay
from ..core.checks import require_int, stream_in, stream_out
from ..core.connect import connect
from .commands import Geometry
from .cycles import Cycles
from .ecc import Encode
from .front import Front
from .mode import Batching
from .near_memory import NearMemory
from .port import DATA_BITS, MemoryPort
from .registers import latency_layout
from .returns import TIME_BITS, Returns, origin_layout
from .scheduler import Scheduler
from .select import RoundRobin
from .tree_expand import ExpandTree
from .tree_slots import TreeSlots


@dataclass(frozen=True, kw_only=True)
class PoolSizes:
    """Sizes of a pseudo-channel's buffers.

    Parameters
    ----------
    entries : reads and writes that wait, of each, at least 4.
    lines : atoms in the near-memory unit, at least 2.
    responses : reads whose data is on its way or waits to be taken, at least 8.
    window : see `NearMemory`.
    patience_bits : see `Scheduler`.
    tree_slots : slots of ordered reductions whose reads wait, are on their way or wait for their
        turn, at least 2.

    Raises TypeError or ValueError for a size that is not so.
    """

    entries: int = 64
    lines: int = 64
    responses: int = 64
    window: int = 64
    patience_bits: int = 10
    tree_slots: int = 128

    def __post_init__(self) -> None:
        require_int("Pool sizes entries", self.entries, low=4)
        require_int("Pool sizes lines", self.lines, low=2)
        require_int("Pool sizes responses", self.responses, low=8)
        require_int("Pool sizes tree slots", self.tree_slots, low=2)

    @property
    def slots(self) -> int:
        """Reads of a port that may wait or be on their way, for `InOrder`."""
        return self.entries + self.responses


class PseudoChannel(wiring.Component):
    """Memory port in, commands out.

    Writes are ordered, and answered, when they are taken; reads come back in the order in which the
    memory gives them. Requests for one atom keep their order. See docs/blocks/hbm.md.

    Unloaded read latency: that of the device and 6 cycles. Throughput: one atom a cycle.

    Parameters
    ----------
    geometry : address fields.
    cycles : distances between commands.
    port : widths of the memory port.
    address_map : from its addresses to places.
    sizes : of the buffers.
    batching : thresholds between reads and writes.

    Members
    -------
    request, response : streams, the memory port.
    column : the column command to be sent {valid, write, slot, place}, for the channel's register.
    write_data, write_check : a cycle later, the atom of a write.
    read_valid, read_data, read_check : from the device, in the order of the RD commands.
    act, maintain : row commands that are offered, an ACT and another one.
    act_granted, maintain_granted : they are issued in this cycle.
    refresh_mode : `RefreshMode`.
    latency : of a read whose data is there, from when it was accepted, for counters.
    idle : no request is here, no data is on its way and no corrected atom waits to be written back.

    One output for each of `EVENTS`: something happened in this cycle.
    """

    #: outputs that counters count
    EVENTS = ("turned", "precharged", "refresh_blocks", "corrected", "uncorrected", "combined", "poisoned")

    def __init__(
        self,
        *,
        geometry: Geometry,
        cycles: Cycles,
        port: MemoryPort,
        address_map: AddressMap,
        sizes: PoolSizes,
        batching: Batching,
    ):
        self._geometry, self._cycles, self._port = geometry, cycles, port
        self._map, self._sizes, self._batching = address_map, sizes, batching
        self._scheduler = Scheduler(
            geometry=geometry,
            cycles=cycles,
            entries=sizes.entries,
            batching=batching,
            patience_bits=sizes.patience_bits,
        )
        members = self._scheduler.signature.members
        super().__init__(
            {
                "request": stream_in(port.request()),
                "response": stream_out(port.response()),
                **{
                    name: members[name]
                    for name in ("column", "act", "act_granted", "maintain", "maintain_granted", "refresh_mode")
                },
                "write_data": Out(DATA_BITS),
                "write_check": Out(10),
                "read_valid": In(1),
                "read_data": In(DATA_BITS),
                "read_check": In(10),
                "idle": Out(1),
                "latency": Out(latency_layout()),
                **{name: Out(1) for name in self.EVENTS},
            }
        )

    @property
    def parameters(self) -> dict[str, object]:
        """What the pseudo-channel was built from."""
        return {
            "geometry": self._geometry,
            "cycles": self._cycles,
            "port": self._port,
            "address_map": self._map,
            "sizes": self._sizes,
            "batching": self._batching,
        }

    def elaborate(self, platform: object) -> Module:
        m = Module()
        g, sizes = self._geometry, self._sizes
        m.submodules.expand = expand = ExpandTree(port=self._port, address_map=self._map)
        m.submodules.front = front = Front(geometry=g, port=self._port, address_map=self._map)
        m.submodules.near = near = NearMemory(geometry=g, lines=sizes.lines, window=sizes.window)
        m.submodules.scheduler = scheduler = self._scheduler
        m.submodules.tree = tree = TreeSlots(lines=sizes.lines, slots=sizes.tree_slots)
        m.submodules.returns = returns = Returns(
            geometry=g, port=self._port, lines=sizes.lines, slots=sizes.tree_slots, depth=sizes.responses
        )
        connect(m, wiring.flipped(self.request), expand.i)
        connect(m, expand.o, front.request)
        connect(m, tree.result, near.result)
        connect(m, front.acknowledge, returns.acknowledge)
        connect(m, returns.response, wiring.flipped(self.response))
        m.d.comb += [
            near.lookup.eq(front.place),
            front.held.eq(near.holds),
            near.waits.eq(front.waits),
            near.data.eq(returns.near),
            scheduler.read_room.eq(returns.room),
            *(
                getattr(scheduler, name).eq(getattr(self, name))
                for name in ("act_granted", "maintain_granted", "refresh_mode")
            ),
            *(getattr(self, name).eq(getattr(scheduler, name)) for name in ("column", "act", "maintain")),
            *(getattr(returns, name).eq(getattr(self, name)) for name in ("read_valid", "read_data", "read_check")),
            self.turned.eq(scheduler.turned),
            self.precharged.eq(scheduler.precharged),
            self.refresh_blocks.eq(scheduler.refresh_blocks),
            self.corrected.eq(returns.corrected),
            self.uncorrected.eq(returns.uncorrected),
            self.poisoned.eq(returns.poisoned),
            self.latency.eq(returns.latency),
            self.combined.eq(near.combined),
        ]
        scrubs = Signal()
        self._update(m, front, near, returns, scrubs)
        self._offer(m, front, near, scheduler, returns, tree)
        self._reduce_slots(m, front, near, returns, tree)
        parts = (expand, front, near, scheduler, returns, tree)
        m.d.comb += self.idle.eq(Cat(part.idle for part in parts).all() & ~scrubs)
        return m

    def _update(self, m: Module, front: Front, near: NearMemory, returns: Returns, scrubs: Signal) -> None:
        """Hand updates of the port to the near-memory unit, and between them atoms to write back corrected."""
        wanted = Signal.like(returns.scrub.place)
        pending = Signal()
        m.d.comb += [
            near.update.valid.eq(front.update.valid | pending),
            near.update.payload.eq(front.update.payload),
            front.update.ready.eq(near.update.ready),
        ]
        with m.If(~front.update.valid & pending):
            m.d.comb += [
                near.update.payload.place.eq(wanted),
                near.update.payload.kind.eq(0),
                near.update.payload.format.eq(0),
                near.update.payload.tree.eq(0),
                near.update.payload.mask.eq(0),
            ]
            with m.If(near.update.ready):
                m.d.sync += pending.eq(0)
        m.d.comb += scrubs.eq(pending | returns.scrub.valid)
        with m.If(returns.scrub.valid & ~pending):
            m.d.sync += [pending.eq(1), wanted.eq(returns.scrub.place)]

    def _reduce_slots(self, m: Module, front: Front, near: NearMemory, returns: Returns, tree: TreeSlots) -> None:
        """Connect the slots of ordered reductions."""
        update = front.update
        m.d.comb += [
            tree.begin.valid.eq(update.valid & update.ready & update.payload.tree),
            tree.begin.line.eq(near.line),
            tree.begin.kind.eq(update.payload.kind),
            tree.begin.format.eq(update.payload.format),
            tree.taken.eq(front.direct_taken & front.direct.slot),
            tree.last.eq(front.direct.last),
            tree.data.eq(returns.slot),
            near.sealed.eq(tree.taken & tree.last),
            front.slot_room.eq(tree.room),
        ]

    def _offer(
        self, m: Module, front: Front, near: NearMemory, scheduler: Scheduler, returns: Returns, tree: TreeSlots
    ) -> None:
        """Offer the scheduler a request of the port or of the near-memory unit, each in turn."""
        depth = self._sizes.entries
        origin = origin_layout(self._geometry, self._port, self._sizes.lines, self._sizes.tree_slots)
        m.submodules.turn = turn = RoundRobin(inputs=3)
        m.submodules.encode = encode = Encode()
        m.submodules.origins = origins = memory.Memory(shape=origin, depth=depth, init=[])
        m.submodules.writes = writes = memory.Memory(shape=DATA_BITS + 10, depth=depth, init=[])
        keep, recall = origins.write_port(), origins.read_port()
        put = writes.write_port()
        get = writes.read_port(transparent_for=(put,))
        now, arrived = Signal(TIME_BITS), Signal(TIME_BITS, reset_less=True)
        m.d.sync += now.eq(now + 1)
        with m.If(front.request.ready):
            m.d.sync += arrived.eq(now)
        taken = Signal()
        from_front, from_fetch, from_store = turn.picked
        data_in = Signal(DATA_BITS)
        offered = scheduler.request
        m.d.comb += [
            turn.requests.eq(Cat(front.direct_valid, near.fetch_valid, near.store_valid)),
            turn.taken.eq(1),
            offered.valid.eq(turn.requests.any()),
            offered.payload.write.eq((from_front & front.direct.write) | from_store),
            offered.payload.place.eq(
                Mux(
                    from_front,
                    front.direct.place.as_value(),
                    Mux(from_fetch, near.fetch.place.as_value(), near.store.place.as_value()),
                )
            ),
            taken.eq(offered.valid & offered.ready),
            front.direct_taken.eq(taken & from_front),
            near.fetched.eq(taken & from_fetch),
            near.stored.eq(taken & from_store),
            keep.en.eq(taken & ~offered.payload.write),
            keep.addr.eq(scheduler.slot),
            keep.data.near.eq(from_fetch),
            keep.data.slot.eq(from_front & front.direct.slot),
            keep.data.name.eq(Mux(from_fetch, near.fetch.line, Mux(front.direct.slot, tree.entry, front.tag))),
            keep.data.place.eq(offered.payload.place),
            keep.data.arrived.eq(arrived),
            returns.now.eq(now),
            recall.addr.eq(scheduler.column.slot),
            data_in.eq(Mux(from_store, near.store.data, front.data)),
            encode.data.eq(data_in),
            encode.poison.eq(from_store & near.store.poison),
            # beside the check bits, which take a cycle
            put.en.eq(delay(m, taken & offered.payload.write, 1, name="put", reset_less=False)),
            put.addr.eq(delay(m, scheduler.slot, 1, name="put_slot")),
            put.data.eq(Cat(delay(m, data_in, 1, name="put_data"), encode.check)),
            get.addr.eq(scheduler.column.slot),
            Cat(self.write_data, self.write_check).eq(get.data),
            returns.issued.valid.eq(
                delay(m, scheduler.column.valid & ~scheduler.column.write, 1, name="issued", reset_less=False)
            ),
            returns.issued.origin.eq(recall.data),
        ]

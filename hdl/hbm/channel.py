"""An HBM channel: two pseudo-channels on one row bus."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from mtia.hbm import TimingSet
from mtia.hbm_map import AddressMap
from mtia.hbm_registers import ADDRESS_BITS, WIDTH

from ..core.checks import stream_in, stream_out
from ..core.connect import connect
from ..core.shared import Shared
from .commands import ColumnOp, Geometry, MaintainOp, RefreshMode
from .cycles import Cycles
from .mode import Batching
from .order import InOrder
from .parts import WithGeometry, WithPort
from .port import DATA_BITS, MemoryPort
from .pseudo_channel import PoolSizes, PseudoChannel
from .registers import COUNTED, Registers


def device_ports(geometry: Geometry) -> dict[str, wiring.Member]:
    """Ports of a channel towards its device, as members of the channel's signature; see `Channel`."""
    ports: dict[str, wiring.Member] = {"activate": Out(geometry.activate()), "maintain": Out(geometry.maintain())}
    for pc in range(2):
        ports |= {
            f"column_{pc}": Out(geometry.column()),
            f"write_data_{pc}": Out(DATA_BITS),
            f"write_check_{pc}": Out(10),
            f"read_valid_{pc}": In(1),
            f"read_data_{pc}": In(DATA_BITS),
            f"read_check_{pc}": In(10),
        }
    return ports


def register_ports(address_bits: int) -> dict[str, wiring.Member]:
    """Ports of a register block with addresses of so many bits, as members of a signature; see `Channel`."""
    return {"register_address": In(address_bits), "register_data": Out(WIDTH), "registers_clear": In(1)}


class Channel(WithGeometry, WithPort, wiring.Component):
    """Controller of a channel: a memory port for each pseudo-channel in, commands for the device out.

    A controller cycle is 2 CK. In each the channel sends at most one ACT (at CK 0 of the cycle),
    one other row command (at CK 1) and one column command a pseudo-channel (0 at CK 0, 1 at CK 1).
    The pseudo-channels take turns on the row bus. Where an ACT and another row command do not fit
    into 2 CK (HBM2) the ACT goes first.

    Latency, throughput and order are those of `PseudoChannel`, and with ids those of `InOrder`; the
    two pseudo-channels share the row bus and nothing else. Commands leave through registers.

    Parameters
    ----------
    timing : a `mtia.hbm.TimingSet`: the distances, and the organization.
    tag_bits : of both memory ports (`MemoryPort`).
    id_bits : of the memory ports, see `MemoryPort` and `InOrder` (0: responses come in any order).
    sizes, batching : as `PseudoChannel` takes them; by default `PoolSizes()`, and reads that end
        when writes fill seven eighths of their pool.
    address_map : of level pseudo-channel, by default the organization's.

    Members
    -------
    request_0, response_0, request_1, response_1 : streams, memory ports with addresses within the
        pseudo-channel.
    activate, maintain, column_0, column_1 : to the device, commands (`Geometry`), from registers; a
        slot without a command has `valid` 0 or NOP.
    write_data_0, write_check_0, write_data_1, write_check_1 : to the device, the atom of a WR in
        the cycle of its command, from the read register of a memory.
    read_valid_0, read_data_0, read_check_0, read_valid_1, read_data_1, read_check_1 : from the
        device; the data of an RD in cycle t is there in cycle t + ceil((CL + BL) / 2).
    refresh_mode : `RefreshMode`, to be set while nothing goes on.
    events_0, events_1 : `PseudoChannel.EVENTS` of this cycle.
    register_address, register_data, registers_clear : counters, see `mtia.hbm_registers`; the data
        of an address is there a cycle later.
    idle : no request is in the channel, save on its way out.
    """

    def __init__(
        self,
        *,
        timing: TimingSet,
        tag_bits: int = 8,
        id_bits: int = 0,
        sizes: PoolSizes | None = None,
        batching: Batching | None = None,
        address_map: AddressMap | None = None,
    ):
        self._timing = timing
        self._sizes = sizes or PoolSizes()
        self._batching = batching or Batching(high=self._sizes.entries - self._sizes.entries // 8)
        self._map = address_map or AddressMap.of(timing.organization, level="pseudo_channel")
        self._geometry = geometry = Geometry.of(timing.organization)
        self._port = port = MemoryPort.of(geometry, tag_bits=tag_bits, id_bits=id_bits)
        ports: dict[str, wiring.Member] = {
            **device_ports(geometry),
            **register_ports(ADDRESS_BITS),
            "refresh_mode": In(RefreshMode, init=RefreshMode.PER_BANK),
            "idle": Out(1),
        }
        for pc in range(2):
            ports |= {
                f"request_{pc}": stream_in(port.request()),
                f"response_{pc}": stream_out(port.response()),
                f"events_{pc}": Out(data.StructLayout(dict.fromkeys(PseudoChannel.EVENTS, 1))),
            }
        super().__init__(ports)

    @property
    def parameters(self) -> dict[str, object]:
        """What the channel was built from."""
        return {
            "timing": self._timing,
            "tag_bits": self._port.tag_bits,
            "id_bits": self._port.id_bits,
            "sizes": self._sizes,
            "batching": self._batching,
            "address_map": self._map,
        }

    def elaborate(self, platform: object) -> Module:
        m = Module()
        halves = []
        is_idle = Signal(4)
        for pc in range(2):
            order = InOrder(port=self._port, slots=self._sizes.slots) if self._port.id_bits else None
            half = PseudoChannel(
                geometry=self._geometry,
                cycles=Cycles.of(self._timing, pc=pc),
                port=order.inner if order is not None else self._port,
                address_map=self._map,
                sizes=self._sizes,
                batching=self._batching,
            )
            m.submodules[f"pseudo_channel_{pc}"] = Shared(half)
            m.d.comb += [is_idle[2 * pc].eq(half.idle), is_idle[2 * pc + 1].eq(1)]
            request, response = (wiring.flipped(getattr(self, f"{name}_{pc}")) for name in ("request", "response"))
            if order is None:
                connect(m, request, half.request)
                connect(m, half.response, response)
            else:
                m.submodules[f"order_{pc}"] = order
                connect(m, request, order.request)
                connect(m, order.onward, half.request)
                connect(m, half.response, order.back)
                connect(m, order.response, response)
                m.d.comb += is_idle[2 * pc + 1].eq(order.idle)
            self._connect(m, pc, half)
            halves.append(half)
        self._share_rows(m, halves)
        self._count(m, halves)
        m.d.comb += self.idle.eq(is_idle.all())
        return m

    def _connect(self, m: Module, pc: int, half: PseudoChannel) -> None:
        """Connect a pseudo-channel to the device, its column command through a register."""
        command, sent = half.column, getattr(self, f"column_{pc}")
        for name, value in self._geometry.split(command.place.index).items():
            m.d.sync += sent[name].eq(value)
        m.d.sync += [
            sent.op.eq(Mux(command.valid, Mux(command.write, ColumnOp.WR, ColumnOp.RD), ColumnOp.NOP)),
            sent.column.eq(command.place.column),
        ]
        m.d.comb += [
            half.refresh_mode.eq(self.refresh_mode),
            *(getattr(self, f"write_{name}_{pc}").eq(getattr(half, f"write_{name}")) for name in ("data", "check")),
            *(
                getattr(half, f"read_{name}").eq(getattr(self, f"read_{name}_{pc}"))
                for name in ("valid", "data", "check")
            ),
            *(getattr(self, f"events_{pc}")[name].eq(getattr(half, name)) for name in PseudoChannel.EVENTS),
        ]

    def _share_rows(self, m: Module, halves: list[PseudoChannel]) -> None:
        """Give each slot of the row bus to the pseudo-channel whose turn it is, else to the other."""
        organization = self._timing.organization
        both_fit = organization.act_bus_ck + organization.row_bus_ck <= 2
        turn = Signal()
        m.d.sync += turn.eq(~turn)
        asked = [Signal(2, name=f"asked_{name}") for name in ("act", "maintain")]
        for pc, half in enumerate(halves):
            m.d.comb += [asked[0][pc].eq(half.act.valid), asked[1][pc].eq(half.maintain.op != MaintainOp.NOP)]
        for pc, half in enumerate(halves):
            mine = turn == pc
            m.d.comb += [
                half.act_granted.eq(asked[0][pc] & (mine | ~asked[0][1 - pc])),
                half.maintain_granted.eq(
                    asked[1][pc] & (mine | ~asked[1][1 - pc]) & (1 if both_fit else ~asked[0].any())
                ),
            ]
        m.d.sync += [self.activate.valid.eq(asked[0].any()), self.maintain.op.eq(MaintainOp.NOP)]
        for pc, half in enumerate(halves):
            with m.If(half.act_granted):
                m.d.sync += [self.activate.pc.eq(pc), self.activate.row.eq(half.act.row)]
                for name, value in self._geometry.split(half.act.index).items():
                    m.d.sync += self.activate[name].eq(value)
            with m.If(half.maintain_granted):
                m.d.sync += [self.maintain.op.eq(half.maintain.op), self.maintain.pc.eq(pc)]
                for name, value in self._geometry.split(half.maintain.index).items():
                    m.d.sync += self.maintain[name].eq(value)

    def _count(self, m: Module, halves: list[PseudoChannel]) -> None:
        """Count commands as they are sent, and the events of the pseudo-channels."""
        m.submodules.registers = registers = Registers()
        m.d.comb += [
            registers.address.eq(self.register_address),
            registers.clear.eq(self.registers_clear),
            self.register_data.eq(registers.data),
        ]
        for pc, half in enumerate(halves):
            column, maintain = getattr(self, f"column_{pc}"), self.maintain
            mine = maintain.pc == pc
            events: dict[str, Value] = {
                "reads": column.op == ColumnOp.RD,
                "writes": column.op == ColumnOp.WR,
                "activations": self.activate.valid & (self.activate.pc == pc),
                "conflicts": half.precharged,
                "turnarounds": half.turned,
                "refreshes": mine & ((maintain.op == MaintainOp.REFPB) | (maintain.op == MaintainOp.REFAB)),
                "managements": mine & (maintain.op == MaintainOp.RFMPB),
                "refresh_blocked": half.refresh_blocks,
                **{name: getattr(half, name) for name in ("combined", "corrected", "uncorrected", "poisoned")},
            }
            counted = getattr(registers, f"counted_{pc}")
            m.d.comb += [
                *(counted[name].eq(events[name]) for name in COUNTED),
                getattr(registers, f"latency_{pc}").eq(half.latency),
            ]

"""All channels of a stack behind memory ports whose addresses go through the whole stack."""

from amaranth import *
from amaranth.lib.wiring import Out
from amaranth.utils import ceil_log2

from mtia import hbm_profiles
from mtia.generations import Generation
from mtia.hbm import TimingSet
from mtia.hbm_map import AddressMap
from mtia.hbm_registers import ADDRESS_BITS

from ..core.connect import connect
from ..core.shared import Shared
from .channel import Channel
from .composition import Composition, sizes_of
from .mode import Batching
from .port import MemoryPort
from .pseudo_channel import PoolSizes
from .route import Entrance
from .spread import Collect


class Stack(Composition):
    """Channels of a stack, interleaved, behind one memory port or several.

    A request goes to the pseudo-channel that has its atom; the pseudo-channels take the ports in
    turn, and each port takes the pseudo-channels' responses in turn. Requests of a port for one
    atom keep their order; those of two ports have none. An address past the end is answered with
    ADDRESS.

    Latency: 2 cycles for a request and one for each factor of 4 pseudo-channels for a response,
    beside that of the channel. Throughput: one atom a cycle at each port, and at each
    pseudo-channel.

    Parameters
    ----------
    timing : a `mtia.hbm.TimingSet`, whose organization tells the channels.
    ports : memory ports, 1 to 64.
    tag_bits, id_bits : of each port (`MemoryPort`); an id's order holds over all channels.
    sizes, batching : of each pseudo-channel.
    address_map : of level stack, by default the organization's.
    phy : name of a module of which every channel gets an instance in place of ports to its device;
        it has `clk`, `rst` and the ports of the device side of `Channel`.

    Members
    -------
    request_P, response_P : streams, memory ports with addresses within the stack.
        channel_C_activate, channel_C_maintain, ... : to and from the device of channel C, as of
        `Channel`; none with a `phy`.
    refresh_mode : of all channels.
    idle : no request is here, save on its way out.
    register_address, register_data, registers_clear : the address is a channel's
        (`mtia.hbm_registers`) and above it the channel's number; the data is there two cycles
        later.

    Raises TypeError or ValueError for `ports` out of range, and ValueError for a map of another
    level.
    """

    def __init__(
        self,
        *,
        timing: TimingSet,
        ports: int = 1,
        tag_bits: int = 8,
        id_bits: int = 0,
        sizes: PoolSizes | None = None,
        batching: Batching | None = None,
        address_map: AddressMap | None = None,
        phy: str | None = None,
    ):
        self._map = address_map or AddressMap.of(timing.organization, level="stack")
        if self._map.level != "stack":
            raise ValueError(f"Stack address map must be of level stack, not {self._map.level!r}")
        channels = timing.organization.channels
        super().__init__(
            subject="Stack",
            timing=timing,
            ports=ports,
            port=MemoryPort(address_bits=self._map.address_bits, tag_bits=tag_bits, id_bits=id_bits),
            sizes=sizes,
            batching=batching,
            phy=phy,
            register_bits=ADDRESS_BITS + ceil_log2(channels),
            prefixes=[f"channel_{number}_" for number in range(channels)],
        )

    @classmethod
    def of(cls, generation: str | Generation, profile: str = "sim", *, id_bits: int = 0) -> "Stack":
        """A stack of a generation at a profile of `mtia.hbm_profiles`; ValueError for an unknown one."""
        shape = hbm_profiles.memory(generation, profile)
        return cls(
            timing=shape.timing,
            ports=shape.profile.ports,
            tag_bits=shape.profile.tag_bits,
            id_bits=id_bits,
            sizes=sizes_of(shape.profile),
            phy=shape.profile.phy,
        )

    @property
    def parameters(self) -> dict[str, object]:
        """What the stack was built from."""
        return super().parameters | {"address_map": self._map}

    @property
    def address_map(self) -> AddressMap:
        """Map of the stack's addresses."""
        return self._map

    def elaborate(self, platform: object) -> Module:
        m = Module()
        entrances = [Entrance(map=self._map, port=self._port, slots=self._sizes.slots) for _ in range(self._ports)]
        collects = [Collect(port=entrances[0].inner, ports=self._ports) for _ in range(2 * self.channels)]
        self._enter(m, entrances)
        for number, entrance in enumerate(entrances):
            for target, collect in enumerate(collects):
                connect(m, entrance.requests[target], collect.requests[number])
                connect(m, collect.responses[number], entrance.responses[target])
        channels = []
        for number in range(self.channels):
            channel = Channel(
                timing=self._timing,
                tag_bits=collects[0].inner.tag_bits,
                sizes=self._sizes,
                batching=self._batching,
                address_map=self._map.inner().inner(),
            )
            m.submodules[f"channel_{number}"] = Shared(channel)
            self._connect(m, channel, number)
            channels.append(channel)
            for pc in range(2):
                collect = collects[2 * number + pc]
                m.submodules[f"collect_{number}_{pc}"] = Shared(collect)
                connect(m, collect.request, getattr(channel, f"request_{pc}"))
                connect(m, getattr(channel, f"response_{pc}"), collect.response)
        waiting = [*(~entrance.idle for entrance in entrances), *(collect.request.valid for collect in collects)]
        m.d.comb += self.idle.eq(~Cat(waiting).any() & Cat(channel.idle for channel in channels).all())
        self._select_data(m, [channel.register_data for channel in channels], ADDRESS_BITS, cycles=1)
        return m

    def _connect(self, m: Module, channel: Channel, number: int) -> None:
        """Connect a channel to its device and to what all have in common."""
        if self._phy is None:
            for name, member in self._device.items():
                inner, outer = getattr(channel, name), getattr(self, f"channel_{number}_{name}")
                m.d.comb += outer.eq(inner) if member.flow is Out else inner.eq(outer)
        else:
            pins = {
                f"{'i' if member.flow is Out else 'o'}_{name}": Value.cast(getattr(channel, name))
                for name, member in self._device.items()
            }
            m.submodules[f"phy_{number}"] = Instance(self._phy, i_clk=ClockSignal(), i_rst=ResetSignal(), **pins)
        m.d.comb += [
            channel.refresh_mode.eq(self.refresh_mode),
            channel.registers_clear.eq(self.registers_clear),
            channel.register_address.eq(self.register_address[:ADDRESS_BITS]),
        ]

"""All stacks of a package behind memory ports whose addresses go through all of them."""

from amaranth import *
from amaranth.lib.wiring import Out
from amaranth.utils import ceil_log2

from mtia import hbm_profiles
from mtia.generations import Generation
from mtia.hbm import TimingSet
from mtia.hbm_map import AddressMap
from mtia.hbm_registers import ADDRESS_BITS
from mtia.hbm_system import SystemMap

from ..core.checks import require_int
from ..core.connect import connect
from ..core.shared import Shared
from .composition import Composition, sizes_of
from .mode import Batching
from .port import MemoryPort
from .pseudo_channel import PoolSizes
from .route import Entrance, Refuse
from .stack import Stack


class MemorySystem(Composition):
    """Stacks of a package, interleaved, behind one memory port or several.

    Addresses go through the stacks in chunks of 128 bytes (`mtia.hbm_system`); port P of the system
    leads to port P of every stack. Requests of a port for one atom keep their order; those of two
    ports have none. An address past the end is answered with ADDRESS.

    Latency: 1 cycle for a request and one for each factor of 4 stacks for a response, beside that
    of the stack. Throughput: one atom a cycle at each port, and at each pseudo-channel.

    Parameters
    ----------
    timing : a `mtia.hbm.TimingSet`, whose organization tells the channels of a stack.
    stacks : 1 to 16.
    ports, tag_bits, id_bits, sizes, batching, phy : as `Stack` takes them; a package's pins to its
        devices are too many for one module's ports, so a large system needs a `phy`.

    Members
    -------
    request_P, response_P : streams, memory ports with addresses within the system.
        stack_S_channel_C_activate, ... : to and from the device of channel C of stack S, as of
        `Channel`; none with a `phy`.
    refresh_mode : of all channels.
    idle : no request is here, save on its way out.
    register_address, register_data, registers_clear : the address is a stack's and above it the
        stack's number; the data is there three cycles later.

    Raises TypeError or ValueError for `stacks` or `ports` out of range.
    """

    def __init__(
        self,
        *,
        timing: TimingSet,
        stacks: int,
        ports: int = 1,
        tag_bits: int = 8,
        id_bits: int = 0,
        sizes: PoolSizes | None = None,
        batching: Batching | None = None,
        phy: str | None = None,
    ):
        self._stacks = require_int("Memory system stacks", stacks, low=1, high=16)
        self._map = SystemMap(stacks=stacks, stack=AddressMap.of(timing.organization, level="stack"))
        channels = timing.organization.channels
        self._stack_address_bits = ADDRESS_BITS + ceil_log2(channels)
        self._prefixes = tuple(f"stack_{stack}_channel_{i}_" for stack in range(stacks) for i in range(channels))
        super().__init__(
            subject="Memory system",
            timing=timing,
            ports=ports,
            port=MemoryPort(address_bits=self._map.address_bits, tag_bits=tag_bits, id_bits=id_bits),
            sizes=sizes,
            batching=batching,
            phy=phy,
            register_bits=self._stack_address_bits + ceil_log2(stacks),
            prefixes=self._prefixes,
        )

    @classmethod
    def of(cls, generation: str | Generation, profile: str = "sim", *, id_bits: int = 0) -> "MemorySystem":
        """The memory system of a generation at a profile of `mtia.hbm_profiles`; ValueError for an unknown one."""
        shape = hbm_profiles.memory(generation, profile)
        size = shape.profile
        return cls(
            timing=shape.timing,
            stacks=shape.stacks,
            ports=size.ports,
            tag_bits=size.tag_bits,
            id_bits=id_bits,
            sizes=sizes_of(size),
            phy=size.phy,
        )

    @property
    def parameters(self) -> dict[str, object]:
        """What the system was built from."""
        return super().parameters | {"stacks": self._stacks}

    @property
    def stacks(self) -> int:
        """Stacks."""
        return self._stacks

    @property
    def map(self) -> SystemMap:
        """Map of the system's addresses."""
        return self._map

    @property
    def prefixes(self) -> tuple[str, ...]:
        """What stands before the names of each device's ports, the channels of stack 0 first."""
        return self._prefixes

    def elaborate(self, platform: object) -> Module:
        m = Module()
        entrances = [Entrance(map=self._map, port=self._port, slots=self._sizes.slots) for _ in range(self._ports)]
        stacks = []
        for number in range(self._stacks):
            stack = Stack(
                timing=self._timing,
                ports=self._ports,
                tag_bits=entrances[0].inner.tag_bits,
                sizes=self._sizes,
                batching=self._batching,
                phy=self._phy,
            )
            m.submodules[f"stack_{number}"] = Shared(stack)
            self._connect(m, stack, number)
            stacks.append(stack)
        self._enter(m, entrances)
        for number, entrance in enumerate(entrances):
            for target, stack in enumerate(stacks):
                connect(m, entrance.requests[target], getattr(stack, f"request_{number}"))
                connect(m, getattr(stack, f"response_{number}"), entrance.responses[target])
            if entrance.targets > self._stacks:
                m.submodules[f"refuse_{number}"] = refuse = Refuse(port=entrance.inner)
                connect(m, entrance.requests[self._stacks], refuse.request)
                connect(m, refuse.response, entrance.responses[self._stacks])
        idle = [*(entrance.idle for entrance in entrances), *(stack.idle for stack in stacks)]
        m.d.comb += self.idle.eq(Cat(idle).all())
        self._select_data(m, [stack.register_data for stack in stacks], self._stack_address_bits, cycles=2)
        return m

    def _connect(self, m: Module, stack: Stack, number: int) -> None:
        """Connect a stack to its devices and to what all have in common."""
        for channel in range(0 if self._phy else self.channels):
            for name, member in self._device.items():
                inner = getattr(stack, f"channel_{channel}_{name}")
                outer = getattr(self, f"stack_{number}_channel_{channel}_{name}")
                m.d.comb += outer.eq(inner) if member.flow is Out else inner.eq(outer)
        m.d.comb += [
            stack.refresh_mode.eq(self.refresh_mode),
            stack.registers_clear.eq(self.registers_clear),
            stack.register_address.eq(self.register_address[: self._stack_address_bits]),
        ]

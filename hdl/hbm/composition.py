"""What a stack and a memory system have in common: channels behind memory ports."""

from collections.abc import Sequence

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia import hbm_profiles
from mtia.hbm import TimingSet

from ..core.arith import delay
from ..core.checks import require_int, stream_in, stream_out
from ..core.connect import connect
from ..core.shared import Shared
from .channel import device_ports, register_ports
from .commands import Geometry, RefreshMode
from .mode import Batching
from .parts import WithPort
from .port import MemoryPort
from .pseudo_channel import PoolSizes
from .route import Entrance


class Composition(WithPort, wiring.Component):
    """Base of components that put channels behind memory ports with addresses of their own.

    Parameters
    ----------
    subject : begins the words of errors.
    timing : a `mtia.hbm.TimingSet`.
    ports : memory ports, 1 to 64.
    port : their widths.
    sizes, batching : of each pseudo-channel.
    phy : name of a module that stands for a device.
    register_bits : of an address of a register.
    prefixes : before the names of each device's ports.

    Members
    -------
    request_P, response_P : for each port P, streams.
    refresh_mode, register_address, register_data, registers_clear, idle : as of `Channel`, for all
        channels.

    With each prefix the ports to a device (`device_ports`); none with a `phy`.
    """

    def __init__(
        self,
        *,
        subject: str,
        timing: TimingSet,
        ports: int,
        port: MemoryPort,
        sizes: PoolSizes | None,
        batching: Batching | None,
        phy: str | None,
        register_bits: int,
        prefixes: Sequence[str],
    ):
        self._timing, self._batching, self._phy, self._port = timing, batching, phy, port
        self._ports = require_int(f"{subject} ports", ports, low=1, high=64)
        self._sizes = sizes or PoolSizes()
        self._device = device_ports(Geometry.of(timing.organization))
        members: dict[str, wiring.Member] = {
            "refresh_mode": In(RefreshMode, init=RefreshMode.PER_BANK),
            "idle": Out(1),
            **register_ports(register_bits),
        }
        for number in range(ports):
            members[f"request_{number}"] = stream_in(port.request())
            members[f"response_{number}"] = stream_out(port.response())
        for prefix in () if phy else prefixes:
            members |= {f"{prefix}{name}": member for name, member in self._device.items()}
        super().__init__(members)

    @property
    def parameters(self) -> dict[str, object]:
        """What the composition was built from."""
        return {
            "timing": self._timing,
            "ports": self._ports,
            "tag_bits": self._port.tag_bits,
            "id_bits": self._port.id_bits,
            "sizes": self._sizes,
            "batching": self._batching,
            "phy": self._phy,
        }

    @property
    def channels(self) -> int:
        """Channels of a stack."""
        return self._timing.organization.channels

    def _enter(self, m: Module, entrances: Sequence[Entrance]) -> None:
        """Connect the ports to their entrances."""
        for number, entrance in enumerate(entrances):
            m.submodules[f"port_{number}"] = Shared(entrance)
            connect(m, wiring.flipped(getattr(self, f"request_{number}")), entrance.request)
            connect(m, entrance.response, wiring.flipped(getattr(self, f"response_{number}")))

    def _select_data(self, m: Module, given: Sequence[Value], low: int, *, cycles: int) -> None:
        """Register data from that of the parts, `cycles` after the address, by the address bits from `low`."""
        if len(given) == 1:
            m.d.sync += self.register_data.eq(given[0])
            return
        number = delay(m, self.register_address[low:], cycles, name="register_part")
        with m.Switch(number):
            for part, value in enumerate(given):
                with m.Case(part) if part + 1 < len(given) else m.Default():
                    m.d.sync += self.register_data.eq(value)


def sizes_of(profile: hbm_profiles.MemoryProfile) -> PoolSizes:
    """Sizes of a pseudo-channel's buffers at a profile."""
    return PoolSizes(
        entries=profile.entries,
        lines=profile.lines,
        responses=profile.responses,
        tree_slots=profile.entries + profile.responses,
    )

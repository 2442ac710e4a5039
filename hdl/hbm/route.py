"""Entrance of a stack and of a memory system: where a request goes, and its address there."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from mtia.hbm_map import AddressMap
from mtia.hbm_system import SystemMap

from ..core.checks import stream_in, stream_out
from ..core.connect import connect
from ..core.shared import Shared
from ..core.stream import Skid
from .address import RouteAddress
from .commands import Status
from .order import InOrder, ordered
from .parts import WithPort
from .port import MemoryPort
from .spread import Spread
from .system_address import RouteSystem


def targets_of(map: AddressMap | SystemMap) -> int:
    """Where the requests of a stack, or of a memory system, go; see `Route`."""
    if isinstance(map, SystemMap):
        return map.stacks + (not map.full)
    return map.organization.channels * map.organization.pseudo_channels


def target_port(map: AddressMap | SystemMap, tag_bits: int) -> MemoryPort:
    """Widths of a target's port."""
    inner = map.stack if isinstance(map, SystemMap) else map.inner().inner()
    return MemoryPort(address_bits=inner.address_bits, tag_bits=tag_bits)


class Route(wiring.Component):
    """Finds the target of each request: a pseudo-channel of a stack, or a stack of a memory system.

    The targets of a stack are numbered channel * 2 + pseudo-channel; an address past its end goes
    to one of them, which answers so. The targets of a memory system are its stacks, and where some
    addresses have no atom a further one, which is to be `Refuse`.

    Latency: 1 cycle. Throughput: one request a cycle. No combinational paths between its two sides.

    Parameters
    ----------
    map : of a stack, or of a memory system.
    tag_bits : of the port.

    Members
    -------
    request : stream, of `port`.
    onward : stream, of `inner`, with the address that the target uses.
    where : its target, beside `onward`.

    Raises TypeError for a map of another kind, ValueError for one that is of no stack.
    """

    def __init__(self, *, map: AddressMap | SystemMap, tag_bits: int):
        if not isinstance(map, (AddressMap, SystemMap)):
            raise TypeError(f"Route map must be an AddressMap or a SystemMap, not {map!r}")
        if isinstance(map, AddressMap) and map.level != "stack":
            raise ValueError(f"Route map must be of level stack, not {map.level!r}")
        self._map, self._tag_bits = map, tag_bits
        super().__init__(
            {
                "request": stream_in(self.port.request()),
                "onward": stream_out(self.inner.request()),
                "where": Out(range(max(2, self.targets))),
            }
        )

    @property
    def map(self) -> AddressMap | SystemMap:
        """The map of the port's addresses."""
        return self._map

    @property
    def tag_bits(self) -> int:
        """Bits of a tag."""
        return self._tag_bits

    @property
    def targets(self) -> int:
        """Where requests go."""
        return targets_of(self._map)

    @property
    def port(self) -> MemoryPort:
        """Widths of the port."""
        return MemoryPort(address_bits=self._map.address_bits, tag_bits=self._tag_bits)

    @property
    def inner(self) -> MemoryPort:
        """Widths of a target's port."""
        return target_port(self._map, self._tag_bits)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        routed = data.StructLayout({"where": self.where.shape(), "request": self.inner.request()})
        m.submodules.skid = skid = Shared(Skid(shape=routed))
        request, into, out = self.request.payload, skid.i.payload, skid.o.payload
        where, inner = self._find(m, request.address)
        m.d.comb += [
            skid.i.valid.eq(self.request.valid),
            self.request.ready.eq(skid.i.ready),
            into.where.eq(where),
            *(into.request[name].eq(request[name]) for name in self.inner.request().members if name != "address"),
            into.request.address.eq(inner),
            self.onward.valid.eq(skid.o.valid),
            skid.o.ready.eq(self.onward.ready),
            self.onward.payload.eq(out.request),
            self.where.eq(out.where),
        ]
        return m

    def _find(self, m: Module, address: Value) -> tuple[Value, Value]:
        """Target of an address, and the address there."""
        if isinstance(self._map, SystemMap):
            m.submodules.stack = stack = RouteSystem(map=self._map)
            m.d.comb += stack.address.eq(address)
            return Mux(stack.beyond, self._map.stacks, stack.where), stack.inner
        inner = address
        half = RouteAddress(map=self._map.inner())
        where: list[Value] = [half.where]
        if self._map.organization.channels > 1:
            m.submodules.channel = channel = RouteAddress(map=self._map)
            m.d.comb += channel.address.eq(address)
            where, inner = [half.where, channel.where], channel.inner
        m.submodules.half = half
        m.d.comb += half.address.eq(inner)
        return Cat(where), half.inner


class Refuse(WithPort, wiring.Component):
    """Answers every request with the status ADDRESS.

    Latency 0, throughput one request a cycle; `ready` and `valid` pass through.

    Parameters
    ----------
    port : widths of the port.

    Members
    -------
    request, response : streams, the port.
    """

    def __init__(self, *, port: MemoryPort):
        self._port = port
        super().__init__({"request": stream_in(port.request()), "response": stream_out(port.response())})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [
            self.response.valid.eq(self.request.valid),
            self.request.ready.eq(self.response.ready),
            self.response.payload.tag.eq(self.request.payload.tag),
            self.response.payload.status.eq(Status.ADDRESS),
        ]
        return m


class Entrance(WithPort, wiring.Component):
    """A port of a stack or a memory system, up to the targets: order of ids, route, spread.

    Latency: 1 cycle for a request; for a response that of `Merge`, and with ids that of `InOrder`.
    Throughput: one a cycle, each way.

    Parameters
    ----------
    map : as `Route` takes it.
    port : widths of the port, of the map's addresses.
    slots : reads of the port with ids that may be on their way, see `InOrder`.

    Members
    -------
    request, response : streams, of `port`.
    requests, responses : arrays of the targets' streams, of `inner`.
    idle : no request waits here.
    """

    def __init__(self, *, map: AddressMap | SystemMap, port: MemoryPort, slots: int):
        self._map, self._port, self._slots = map, port, slots
        inner, targets = self.inner, self.targets
        super().__init__(
            {
                "request": stream_in(port.request()),
                "response": stream_out(port.response()),
                "requests": stream_out(inner.request()).array(targets),
                "responses": stream_in(inner.response()).array(targets),
                "idle": Out(1),
            }
        )

    @property
    def map(self) -> AddressMap | SystemMap:
        """The map of the port's addresses."""
        return self._map

    @property
    def slots(self) -> int:
        """Reads with ids that may be on their way."""
        return self._slots

    @property
    def inner(self) -> MemoryPort:
        """Widths of a target's port."""
        return target_port(self._map, self._routed.tag_bits)

    @property
    def targets(self) -> int:
        """Where requests go."""
        return targets_of(self._map)

    @property
    def _routed(self) -> MemoryPort:
        """Widths behind the order of ids."""
        return ordered(self._port, self._slots) if self._port.id_bits else self._port

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.route = route = Route(map=self._map, tag_bits=self._routed.tag_bits)
        m.submodules.spread = spread = Spread(port=route.inner, targets=route.targets)
        request, response = wiring.flipped(self.request), wiring.flipped(self.response)
        m.d.comb += self.idle.eq(~route.onward.valid)
        if not self._port.id_bits:
            connect(m, request, route.request)
            connect(m, spread.response, response)
        else:
            m.submodules.order = order = InOrder(port=self._port, slots=self._slots)
            connect(m, request, order.request)
            connect(m, order.onward, route.request)
            connect(m, spread.response, order.back)
            connect(m, order.response, response)
            m.d.comb += self.idle.eq(~route.onward.valid & order.idle)
        connect(m, route.onward, spread.request)
        m.d.comb += spread.where.eq(route.where)
        for own, its in zip(self.requests, spread.requests, strict=True):
            connect(m, its, wiring.flipped(own))
        for own, its in zip(self.responses, spread.responses, strict=True):
            connect(m, wiring.flipped(own), its)
        return m

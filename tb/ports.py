"""Top-level ports of an emitted component as the testbenches see them: streams and plain signals, by Verilog name."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from amaranth.hdl import ShapeLike
from amaranth.lib import wiring

from hdl.emit import Emitted

from . import emitted as kept

#: Name of the top module of every model a testbench builds.
TOP = "top"


@dataclass(frozen=True, kw_only=True)
class Port:
    """One signal: its Verilog name, shape, width in bits, and whether the bench drives it."""

    name: str
    shape: ShapeLike
    width: int
    driven: bool

    @property
    def words(self) -> int:
        """32-bit words that hold a value."""
        return -(-self.width // 32)


@dataclass(frozen=True, kw_only=True)
class StreamPort:
    """One stream: its name, the payload's port, and the Verilog names of valid and ready.

    ``valid`` or ``ready`` is ``None`` where it is no port because it is always 1.
    """

    name: str
    payload: Port
    valid: str | None
    ready: str | None

    @property
    def driven(self) -> bool:
        """Whether the bench drives the payload (an input of the design)."""
        return self.payload.driven

    @property
    def words(self) -> int:
        """32-bit words of a beat."""
        return self.payload.words


@dataclass(frozen=True, kw_only=True)
class Design:
    """A component as Verilog with its ports, in the order of its signature.

    ``clock`` and ``reset`` are the ports of its only clock domain, ``None`` where it has none.
    """

    name: str
    verilog: str
    streams: tuple[StreamPort, ...]
    plain: tuple[Port, ...]
    clock: str | None
    reset: str | None

    def stream(self, name: str) -> StreamPort:
        """The stream called ``name``; raises ``KeyError`` with the names there are."""
        return _named(self.streams, name, "Stream")

    def port(self, name: str) -> Port:
        """The plain signal called ``name``; raises ``KeyError`` with the names there are."""
        return _named(self.plain, name, "Port")


def design_of(component: wiring.Component | Design, *, name: str = TOP) -> Design:
    """Emits ``component`` for simulation; its top module is called ``top``, ``name`` serves in messages.

    A design that was emitted before is returned under its new name.

    A stream is called as in the signature, levels and indices joined with two underscores. A stream whose payload
    has no bits counts as plain signals.

    Raises what ``hdl.emit.emit`` raises, and ``ValueError`` for more than one clock domain.
    """
    if isinstance(component, Design):
        return replace(component, name=name)
    emitted = kept.emitted(component, name=TOP)
    clocks = emitted.ports["clocks"]
    if len(clocks) > 1:
        raise ValueError(f"Component must have at most one clock domain, not {[c['domain'] for c in clocks]!r}")
    ports = _ports(component, emitted)
    streams = tuple(
        StreamPort(name=entry["name"], payload=ports[entry["payload"]], valid=entry["valid"], ready=entry["ready"])
        for entry in emitted.ports["streams"]
        if entry["payload"] is not None
    )
    in_streams = {name for s in streams for name in (s.payload.name, s.valid, s.ready)}
    return Design(
        name=name,
        verilog=emitted.verilog,
        streams=streams,
        plain=tuple(port for port in ports.values() if port.name not in in_streams),
        clock=clocks[0]["clock"] if clocks else None,
        reset=clocks[0]["reset"] if clocks else None,
    )


def _ports(component: wiring.Component, emitted: Emitted) -> dict[str, Port]:
    shapes = {path: member.shape for path, member, _ in component.signature.flatten(component)}
    return {
        entry["name"]: Port(
            name=entry["name"],
            shape=shapes[tuple(entry["path"])],
            width=entry["width"],
            driven=entry["direction"] == "in",
        )
        for entry in emitted.ports["ports"]
    }


_Item = TypeVar("_Item", Port, StreamPort)


def _named(items: Sequence[_Item], name: str, kind: str) -> _Item:
    for item in items:
        if item.name == name:
            return item
    raise KeyError(f"{kind} must be one of {[item.name for item in items]}, not {name!r}")

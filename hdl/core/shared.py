"""Components emitted once and instantiated by reference, however often they are used.

Amaranth elaborates and prints every use of a component again. Here each use of a :class:`Shared` component asks the
:class:`SharedLibrary` of the emission, which is the ``platform`` of its elaboration, for the module of its type and
parameters. The first to ask has it lowered to RTLIL (:class:`Lowered`), with the shared components inside it lowered
before; all others get an ``Instance``. :func:`hdl.emit.emit` puts the modules of the library beside the top.

A grid of equal tiles so costs the elaboration and the text of one tile and its wires.
"""

import gc
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Const, Elaboratable, Format, Fragment, Instance, ResetSignal, Signal, Value
from amaranth.hdl._ir import PortDirection  # not exported by 0.5; `back.verilog.convert` takes it from here too
from amaranth.lib import wiring

from .parameters import describe, parameters_of, type_name


@dataclass(frozen=True, kw_only=True)
class FlatPort:
    """One signal of a component's signature.

    Attributes
    ----------
    name : of the Verilog port: the parts of `path` joined by two underscores.
    path : names and array indices that lead to it.
    member : as the signature has it.
    signal : what the port drives or reads.
    """

    name: str
    path: tuple[str | int, ...]
    member: wiring.Member
    signal: Signal

    @property
    def is_input(self) -> bool:
        """Whether the component reads the signal."""
        return self.member.flow == wiring.In


def flat_ports(component: wiring.Component) -> Iterator[FlatPort]:
    """Yields the ports of a component in the order of its signature.

    Constant members (``ready`` of an always-ready stream) and members without bits are no ports.
    """
    for path, member, value in component.signature.flatten(component):
        signal = Value.cast(value)
        if len(signal) and not isinstance(signal, Const):
            yield FlatPort(name="__".join(map(str, path)), path=path, member=member, signal=signal)


@dataclass(frozen=True, kw_only=True)
class Clock:
    """A clock domain of an emitted module.

    Attributes
    ----------
    domain : its name in Amaranth.
    clock, reset : names of the ports; `reset` is None where the domain has none.
    """

    domain: str
    clock: str
    reset: str | None


@dataclass(frozen=True, kw_only=True)
class Lowered:
    """One component in RTLIL.

    Attributes
    ----------
    text : the RTLIL, with the shared modules inside it as instances only.
    clocks : its clocks by domain.
    """

    text: str
    clocks: tuple[Clock, ...]


@dataclass(frozen=True, kw_only=True)
class SharedModule:
    """One module in a :class:`SharedLibrary`.

    Attributes
    ----------
    name : of the Verilog module: the class and ten digits of a hash of type and parameters.
    kind, parameters : what it stands for, as text (:func:`hdl.core.parameters.describe`).
    lowered : its text and clocks.
    """

    name: str
    kind: str
    parameters: Mapping[str, str]
    lowered: Lowered


@contextmanager
def paused_gc() -> Iterator[None]:
    """Pauses the garbage collector: elaboration allocates much, frees little, and runs 20 to 45 % faster."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _check_domains(fragment: Fragment, name: str, *, is_top: bool) -> None:
    for domain in fragment.domains.values():
        if domain.local:
            continue
        if not is_top:
            raise ValueError(
                f"Clock domain of shared module {name!r} must be its parent's, not its own {domain.name!r}"
            )
        if domain.clk_edge != "pos" or domain.async_reset:
            raise ValueError(
                f"Clock domain {domain.name!r} of {name!r} must be positive edge with synchronous reset, as it holds "
                f"shared modules"
            )
    for subfragment, _name, _src_loc in fragment.subfragments:
        _check_domains(subfragment, name, is_top=is_top)


class SharedLibrary:
    """The modules of one emission, each kept once; it is the ``platform`` that the design is elaborated for.

    A library belongs to one emission: names are the same in every run, but the modules refer to
    each other.

    Parameters
    ----------
    check : elaborates every later use of a module too and compares the text with the first: slow,
        for tests that parameters tell the whole truth.

    Raises :exc:`TypeError` for a ``check`` that is no bool.
    """

    def __init__(self, *, check: bool = False):
        if not isinstance(check, bool):
            raise TypeError(f"Check must be a bool, not {check!r}")
        self._check = check
        self._modules: dict[str, SharedModule] = {}

    @property
    def modules(self) -> tuple[SharedModule, ...]:
        """The modules in the order in which they were completed: inner ones first."""
        return tuple(self._modules.values())

    def lower(self, component: wiring.Component, *, name: str, is_top: bool = False) -> Lowered:
        """Elaborates a component and writes it as RTLIL under ``name``, entering what it shares in the library.

        Raises :exc:`ValueError` for clock domains that an instance cannot take over: one of a shared module's own,
        and, beneath a top that holds shared modules, one with a negative edge or an asynchronous reset.
        """
        fragment = Fragment.get(component, self)
        if not is_top or self._modules:
            _check_domains(fragment, name, is_top=is_top)
        ports = {
            port.name: (port.signal, PortDirection.Input if port.is_input else PortDirection.Output)
            for port in flat_ports(component)
        }
        design = fragment.prepare(ports=ports, hierarchy=(name,))
        design.ports[len(ports) :] = sorted(design.ports[len(ports) :], key=lambda port: port[0])  # came from a set
        text, _name_map = rtlil.convert_fragment(design, name=name, emit_src=False)
        names = {id(signal): port_name for port_name, signal, _direction in design.ports if port_name not in ports}
        clocks = tuple(
            Clock(domain=domain.name, clock=names[id(domain.clk)], reset=names.get(id(domain.rst)))
            for domain in fragment.domains.values()
            if id(domain.clk) in names
        )
        return Lowered(text=text, clocks=tuple(sorted(clocks, key=lambda clock: clock.domain)))

    def module(self, inner: wiring.Component) -> SharedModule:
        """Returns the module of a component's type and parameters, elaborating it at the first call.

        Raises :exc:`ValueError` with ``check`` if an equal component elaborates to another text.
        """
        kind = type_name(type(inner))
        parameters = {name: describe(value) for name, value in parameters_of(inner).items()}
        digest = hashlib.sha256(f"{kind}{parameters}".encode()).hexdigest()[:10]
        name = f"{type(inner).__name__}_{digest}"
        known = self._modules.get(name)
        if known is None or self._check:
            lowered = self.lower(inner, name=name)
            if known is not None and known.lowered != lowered:
                raise ValueError(f"Parameters of {kind} must tell the whole module, not only {parameters}")
            self._modules[name] = SharedModule(name=name, kind=kind, parameters=parameters, lowered=lowered)
        return self._modules[name]

    def instantiate(self, inner: wiring.Component) -> Instance:
        """Returns an instance of the component's module, connected to the component's ports."""
        module = self.module(inner)
        mark_used(inner)
        for port in flat_ports(inner):
            port.signal._format = Format("{}", port.signal)  # its fields are wires in the module, not once an instance
        ports: list[tuple[str, str, Value]] = [
            ("i" if port.is_input else "o", port.name, port.signal) for port in flat_ports(inner)
        ]
        for clock in module.lowered.clocks:
            ports.append(("i", clock.clock, ClockSignal(clock.domain)))
            if clock.reset is not None:
                ports.append(("i", clock.reset, ResetSignal(clock.domain, allow_reset_less=True)))
        return Instance(module.name, *ports)


def mark_used(obj: object) -> None:
    """Tells Amaranth that a component and those it holds are used, though only their first twin is elaborated."""
    if isinstance(obj, Elaboratable):
        if not obj._MustUse__used:
            obj._MustUse__used = True
            mark_used(list(vars(obj).values()))
    elif isinstance(obj, Mapping):
        mark_used(list(obj.values()))
    elif isinstance(obj, (list, tuple)):
        for item in obj:
            mark_used(item)


class Shared(wiring.Component):
    """Wraps a component so that all its equals become one Verilog module.

    Elaborated by :func:`hdl.emit.emit` it becomes an instance of a module named by ``inner``'s type
    and a hash of its parameters; elaborated for anything else (simulation, a board) it is
    ``inner``. Neither adds a cycle.

    Two components are equal if they have the same type and the same constructor parameters (see
    :func:`hdl.core.parameters.parameters_of`), so what ``elaborate`` builds must follow from those
    alone: what differs between instances, a coordinate for example, goes through a port. Shared
    components may hold shared components.

    Clock and reset are those of the parent's domains of the same names, ``DomainRenamer`` included.
    Domains must be positive edge with synchronous or no reset. ``EnableInserter`` and
    ``ResetInserter`` do not reach inside.

    Parameters
    ----------
    inner : the component. Its signature and its very ports are those of the wrapper: use and
        connect it as if it were ``inner``.

    Raises :exc:`TypeError` if ``inner`` is not a component, is shared already or does not tell its
    parameters.
    """

    def __init__(self, inner: wiring.Component):
        if not isinstance(inner, wiring.Component) or isinstance(inner, Shared):
            raise TypeError(f"Inner component must be a wiring.Component that is not yet shared, not {inner!r}")
        describe(parameters_of(inner))
        self._inner = inner
        super().__init__(inner.signature)
        self.__dict__.update({name: getattr(inner, name) for name in inner.signature.members})

    @property
    def inner(self) -> wiring.Component:
        """The component that is shared."""
        return self._inner

    def elaborate(self, platform: Any) -> Elaboratable | Instance:
        if isinstance(platform, SharedLibrary):
            return platform.instantiate(self._inner)
        return self._inner

"""A component whose clock stands still while it has nothing to do."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from .shared import SharedLibrary


class ClockGated(wiring.Component):
    """Wraps a component so that its registers change only at the end of cycles in which `awake` is high.

    What sleeps takes no power, and no time in a simulator that evaluates what a clock drives. The
    gate is the usual one: `awake` is taken at the falling edge of the clock, so that the gated
    clock, the two of them ANDed, has no glitch; `awake` must be settled by then, best from
    registers. A reset wakes. The parent holds `awake` for as long as something in the component may
    change what it gives.

    The gate is there where a design is emitted by :func:`hdl.emit.emit`. Elaborated for anything
    else the component is always awake, as a derived clock is a step behind in Amaranth's simulator;
    and so it is a check of a parent that both give the same.

    Parameters
    ----------
    inner : the component; its registers in the domain ``sync`` are gated.

    Members
    -------
    awake : the cycle counts; an input, 0 lets the component sleep.

    The others are those of `inner`, its very ports; outputs keep their values while it sleeps.

    Raises :exc:`TypeError` if `inner` is no component.
    """

    def __init__(self, inner: wiring.Component):
        if not isinstance(inner, wiring.Component):
            raise TypeError(f"Inner component must be a wiring.Component, not {inner!r}")
        self._inner = inner
        super().__init__({**inner.signature.members, "awake": In(1)})
        self.__dict__.update({name: getattr(inner, name) for name in inner.signature.members})

    @property
    def inner(self) -> wiring.Component:
        """The component whose clock is gated."""
        return self._inner

    def elaborate(self, platform: Any) -> Elaboratable:
        if not isinstance(platform, SharedLibrary):
            return self._inner
        m = Module()
        m.domains.falling = falling = ClockDomain(clk_edge="neg", reset_less=True, local=True)
        m.domains.gated = gated = ClockDomain(local=True)
        enabled = Signal()
        m.d.falling += enabled.eq(self.awake | ResetSignal("sync"))
        m.d.comb += [
            falling.clk.eq(ClockSignal("sync")),
            gated.clk.eq(ClockSignal("sync") & enabled),
            gated.rst.eq(ResetSignal("sync")),
        ]
        m.submodules.inner = DomainRenamer("gated")(self._inner)
        return m

"""Counters of events."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia.link import COUNTERS

from ..core.checks import require_int
from .frame import Counters


class Count(wiring.Component):
    """The counters of a link: `mtia.link.COUNTERS`, a pulse and a count each.

    Latency 1 cycle; counts wrap.

    Parameters
    ----------
    channels : pulses of `dropped`, one each channel.

    Members
    -------
    One input a counter, named as it is. counters : the counts.
    """

    def __init__(self, *, channels: int):
        self._channels = require_int("Count channels", channels, low=1)
        super().__init__(
            {name: In(channels if name == "dropped" else 1) for name in COUNTERS} | {"counters": Out(Counters)}
        )

    @property
    def channels(self) -> int:
        """Virtual channels."""
        return self._channels

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name in COUNTERS:
            count = Signal(32, name=name)
            step = sum(getattr(self, name), start=Const(0, 1))
            with m.If(getattr(self, name).any()):
                m.d.sync += count.eq(count + step)
            m.d.comb += self.counters[name].eq(count)
        return m

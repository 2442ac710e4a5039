"""Counters of events."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia.link import COUNTERS

from ..core.checks import require_int
from .frame import Counters


class Count(wiring.Component):
    """The counters of a link: `mtia.link.COUNTERS`, a pulse and a count each.

    A count is what it was plus the pulses of the cycle before: latency 1 cycle. Counts are of 32
    bits, wrap, and are 0 after reset; nothing else clears them.

    Parameters
    ----------
    channels : pulses of `dropped`, one each channel; at least 1.

    Members
    -------
    counters : the counts, a field for each, of its name.

    One input for each counter, of its name and one bit, but for `dropped` of `channels` bits: each
    bit that is 1 counts.

    Raises TypeError or ValueError for `channels` that are no such number.
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

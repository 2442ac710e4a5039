"""Timers: when to send again, and when to give up."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia.link import LinkParameters


class Timeouts(wiring.Component):
    """Counts cycles in which something is waited for, and how often that took too long.

    `expired` is high in the cycle that is `timeout` cycles after the last one in which nothing was
    waited for, there was progress, or it was high. `failed` comes with the `retries`-th time in a
    row without progress. Both follow the inputs combinationally.

    Parameters
    ----------
    parameters : of the link; of them `timeout` and `retries`.

    Members
    -------
    waits : there is something to wait for.
    progress : it has come.
    expired, failed : pulses of a cycle.
    """

    def __init__(self, *, parameters: LinkParameters):
        self._parameters = parameters
        super().__init__({"waits": In(1), "progress": In(1), "expired": Out(1), "failed": Out(1)})

    @property
    def parameters(self) -> LinkParameters:
        """Parameters of the link."""
        return self._parameters

    def elaborate(self, platform: object) -> Module:
        m = Module()
        passed, times = Signal(range(self.parameters.timeout)), Signal(range(self.parameters.retries + 1))
        m.d.comb += [
            self.expired.eq(self.waits & ~self.progress & (passed == self.parameters.timeout - 1)),
            self.failed.eq(self.expired & (times == self.parameters.retries - 1)),
        ]
        with m.If(self.progress | ~self.waits):
            m.d.sync += [passed.eq(0), times.eq(0)]
        with m.Elif(self.expired):
            m.d.sync += [passed.eq(0), times.eq(times + 1)]
        with m.Else():
            m.d.sync += passed.eq(passed + 1)
        return m

# amaranth: UnusedElaboratable=no
# (components whose parameters are refused are never elaborated)
"""ClockGated: asleep nothing changes, awake it is its inner component, and emitted it is the same as ungated."""

import numpy as np
import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.core.clock_gate import ClockGated
from hdl.core.shared import Shared
from hdl.emit import emit
from tb.lane import Lane


class Counter(wiring.Component):
    """Counts; the step goes through a shared component of its own."""

    step: In(8)
    count: Out(8)

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = inner = Shared(Register())
        m.d.comb += [inner.i.eq(self.count + self.step), self.count.eq(inner.o)]
        return m


class Register(wiring.Component):
    """A register that resets to 5."""

    i: In(8)
    o: Out(8, init=5)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.i)
        return m


class Top(wiring.Component):
    """A gated counter whose inputs come from registers, beside one that always runs."""

    step: In(8)
    awake: In(1)
    count: Out(8)
    always: Out(8)

    def elaborate(self, platform):
        m = Module()
        m.submodules.gated = gated = ClockGated(Counter())
        m.submodules.always = always = Counter()
        awake, step = Signal(), Signal(8)
        m.d.sync += [awake.eq(self.awake), step.eq(self.step)]
        m.d.comb += [gated.awake.eq(awake), gated.step.eq(step), self.count.eq(gated.count)]
        m.d.comb += [always.step.eq(Mux(awake, step, 0)), self.always.eq(always.count)]
        return m


@pytest.mark.sim
def test_asleep_nothing_changes(seed):
    """What is awake takes the step that its parent's registers gave in that cycle, no other."""
    lane = Lane(Top(), name="gated")
    random = np.random.default_rng(seed)
    seen = []
    assert lane.get("count") == 5
    for _ in range(300):
        lane.set("awake", int(random.integers(2)))
        lane.set("step", int(random.integers(1, 256)))
        lane.run(cycles=1)
        seen.append((lane.get("count"), lane.get("always")))
    assert all(one == other for one, other in seen)
    assert len({one for one, _ in seen}) > 100
    lane.set("awake", 0)
    lane.run(cycles=2)
    kept = lane.get("count")
    lane.run(cycles=20)
    assert lane.get("count") == kept
    lane.reset()
    assert lane.get("count") == 5  # a reset wakes


def test_gate_is_emitted():
    text = emit(Top(), name="top").verilog
    assert "negedge" in text
    assert text.count("module Register_") == 1


def test_inner_wrong():
    with pytest.raises(TypeError, match=r"Inner component must be a wiring\.Component, not 3"):
        ClockGated(3)


def test_inner():
    inner = Counter()
    gated = ClockGated(inner)
    assert gated.inner is inner
    assert gated.step is inner.step
    assert emit(gated, name="top").ports

# amaranth: UnusedElaboratable=no
# (components that are refused are never elaborated)
"""Clocks and resets of shared components, and the kinds of domain that are refused."""

import re

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.core.shared import Shared
from hdl.emit import emit

from .parts import Adder, Domains


def test_every_clock_reaches_its_instances():
    emitted = emit(Domains(), name="top")
    assert [clock["domain"] for clock in emitted.ports["clocks"]] == sorted(Domains.domains)
    for domain in Domains.domains:
        prefix = "" if domain == "sync" else f"{domain}_"
        instance = re.search(rf"  Chain_\w+ {domain} \((.*?)\);", emitted.verilog, re.DOTALL)
        assert instance
        assert f".{prefix}clk({prefix}clk)" in instance[1]
        assert f".{prefix}rst({prefix}rst)" in instance[1]


def test_reset_less_domain_ties_reset_low():
    class ResetLess(wiring.Component):
        i: In(8)
        o: Out(8)

        def elaborate(self, platform):
            m = Module()
            m.domains.sync = domain = ClockDomain(reset_less=True)
            m.d.comb += domain.clk.eq(self.i[0])
            m.submodules.adder = adder = Shared(Adder(width=8, step=1))
            m.d.comb += [adder.i.eq(self.i), self.o.eq(adder.o)]
            return m

    assert ".rst(1'h0)" in emit(ResetLess(), name="top").verilog


@pytest.mark.parametrize("options", [{"clk_edge": "neg"}, {"async_reset": True}])
def test_domain_of_another_kind_is_refused(options):
    class Odd(wiring.Component):
        i: In(8)
        o: Out(8)

        def elaborate(self, platform):
            m = Module()
            m.domains.sync = ClockDomain(**options)
            m.submodules.adder = adder = Shared(Adder(width=8, step=1))
            m.d.comb += [adder.i.eq(self.i), self.o.eq(adder.o)]
            return m

    with pytest.raises(ValueError, match="Clock domain 'sync' of 'top' must be positive edge with synchronous reset"):
        emit(Odd(), name="top")


class OwnDomain(wiring.Component):
    """Brings a clock domain with it."""

    i: In(1)
    o: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.domains.own = ClockDomain()
        m.d.own += self.o.eq(self.i)
        return m


def test_own_domain_is_refused():
    class Top(wiring.Component):
        o: Out(1)

        def elaborate(self, platform):
            m = Module()
            m.submodules.inner = inner = Shared(OwnDomain())
            m.d.comb += self.o.eq(inner.o)
            return m

    with pytest.raises(ValueError, match=r"Clock domain of shared module 'OwnDomain_\w+' must be its parent's"):
        emit(Top(), name="top")

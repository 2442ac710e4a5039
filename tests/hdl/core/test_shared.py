# amaranth: UnusedElaboratable=no
# (components that are refused are never elaborated)
"""Shared: one module for equals, the same behaviour, deterministic names, and what it refuses."""

import contextlib
import gc
import re
from pathlib import Path

import numpy as np
import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

import hdl
from hdl.core.checks import stream_in, stream_out
from hdl.core.connect import connect
from hdl.core.shared import Shared, SharedLibrary, flat_ports, paused_gc
from hdl.core.stream import Skid
from hdl.emit import emit
from tb.lane import Lane

from .parts import Adder, Chain, Command, Nest, Pipeline, staged


def expected(item):
    for _ in range(3):
        item = staged(item, 16)
    return item


def modules_of(verilog):
    return re.findall(r"^module (\S+?)\(", verilog, re.MULTILINE)


def test_equals_are_one_module_and_others_are_not():
    verilog = emit(Chain(width=8, steps=(1, 2, 1, 1, 2)), name="top").verilog
    modules = modules_of(verilog)
    assert modules[-1] == "top"
    assert [name.split("_")[0] for name in modules] == ["Adder", "Adder", "top"]
    first, second = modules[:2]
    assert len(re.findall(rf"^  {first} adder_[023] ", verilog, re.MULTILINE)) == 3
    assert len(re.findall(rf"^  {second} adder_[14] ", verilog, re.MULTILINE)) == 2


def test_nested_shared():
    verilog = emit(Nest(chains=4), name="top", check_shared=True).verilog
    assert [name.split("_")[0] for name in modules_of(verilog)] == ["Adder", "Adder", "Chain", "top"]
    assert len(re.findall(r"^  Chain_\w+ chain_\d ", verilog, re.MULTILINE)) == 4
    assert len(re.findall(r"^  Adder_\w+ adder_\d ", verilog, re.MULTILINE)) == 3


def test_simulation_is_that_of_the_inner_component():
    dut = Nest(chains=2)

    async def bench(ctx):
        ctx.set(dut.i, 10)
        await ctx.tick().repeat(6)
        assert ctx.get(dut.o) == 18
        ctx.set(dut.i, 20)
        await ctx.tick().repeat(5)
        assert ctx.get(dut.o) != 28
        await ctx.tick()
        assert ctx.get(dut.o) == 28

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_pipeline_of_streams_in_simulation(bench, words):
    dut = Pipeline(width=16, stages=3)
    items = words(16, 200)
    run = bench(dut)
    run.source(dut.i, items, willing=0.8)
    result = run.sink(dut.o, 200, willing=0.7)
    run.run()
    assert result == [expected(item) for item in items]


@pytest.mark.sim
def test_pipeline_of_streams_in_verilator(words, seed):
    items = words(16, 2000)
    lane = Lane(Pipeline(width=16, stages=3), name="pipeline")
    lane.push("i", np.array(items, np.uint32)[:, None])
    lane.run({"o": 2000}, pauses={"i": 0.2, "o": 0.3}, seed=seed)
    assert lane.pull("o")[:, 0].tolist() == [expected(item) for item in items]
    assert [name.split("_")[0] for name in modules_of(lane.design.verilog) if "." not in name] == [
        "Fork",
        "Queue",
        "Skid",
        "Stage",
        "top",
    ]


def test_ports_are_those_of_the_inner_component():
    inner = Adder(width=8, step=3)
    shared = Shared(inner)
    assert shared.inner is inner
    assert shared.i is inner.i
    assert shared.o is inner.o
    assert shared.signature is inner.signature


def test_connects_like_the_inner_component():
    m = Module()
    m.submodules.adder = adder = Shared(Adder(width=8, step=1))
    interface = wiring.Signature({"i": Out(8), "o": In(8)}).create()
    wiring.connect(m, interface, adder)


class Slices(wiring.Component):
    """Register slices of a struct in a row."""

    def __init__(self):
        super().__init__({"i": stream_in(Command), "o": stream_out(Command)})

    def elaborate(self, platform):
        m = Module()
        source = wiring.flipped(self.i)
        for index in range(4):
            m.submodules[f"skid_{index}"] = skid = Shared(Skid(shape=Command))
            connect(m, source, skid.i)
            source = skid.o
        connect(m, source, wiring.flipped(self.o))
        return m


def test_fields_are_wires_in_the_module_and_not_once_an_instance():
    verilog = emit(Slices(), name="top").verilog
    shared, top = verilog.split("module top(")
    for text in (shared, top):
        assert sorted(re.findall(r"wire \S+ \\(\S+)\.op ;", text)) == ["i__payload", "o__payload"]
        assert text.count('(* enum_value_01 = "SUB" *)') == 2


class Wires(wiring.Component):
    """Holds no cell."""

    i: In(8)
    o: Out(8)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(self.i)
        return m


def test_component_of_wires():
    class Top(wiring.Component):
        i: In(8)
        o: Out(8)

        def elaborate(self, platform):
            m = Module()
            m.submodules.one = one = Shared(Wires())
            m.submodules.two = two = Shared(Wires())
            m.d.comb += [one.i.eq(self.i), two.i.eq(one.o), self.o.eq(two.o)]
            return m

    verilog = emit(Top(), name="top").verilog
    assert [name.split("_")[0] for name in modules_of(verilog)] == ["Wires", "top"]
    assert "assign o = i;" in verilog


class Liar(wiring.Component):
    """Builds something that its parameters do not tell."""

    i: In(8)
    o: Out(8)

    def __init__(self, *, width, secret=0):
        self.secret = secret
        self.parameters = {"width": width}
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.i + self.secret)
        return m


def test_check_finds_parameters_that_do_not_tell_all():
    class Top(wiring.Component):
        i: In(8)
        o: Out(8)

        def elaborate(self, platform):
            m = Module()
            m.submodules.one = one = Shared(Liar(width=8, secret=1))
            m.submodules.two = two = Shared(Liar(width=8, secret=2))
            m.d.comb += [one.i.eq(self.i), two.i.eq(one.o), self.o.eq(two.o)]
            return m

    with pytest.raises(ValueError, match=r"Parameters of \S+Liar must tell the whole module, not only {'width': '8'}"):
        emit(Top(), name="top", check_shared=True)


class Unreadable(wiring.Component):
    """Has a parameter that cannot be read back."""

    def __init__(self, *, width):
        super().__init__({"i": In(width)})


def test_unreadable_parameter_is_refused():
    with pytest.raises(TypeError, match=r"Constructor parameter 'width' of \S+Unreadable must be readable"):
        Shared(Unreadable(width=8))


@pytest.mark.parametrize("inner", [None, 8, Module()])
def test_inner_wrong(inner):
    with pytest.raises(TypeError, match=r"Inner component must be a wiring\.Component that is not yet shared, not"):
        Shared(inner)


def test_inner_shared_twice():
    with pytest.raises(TypeError, match=r"Inner component must be a wiring\.Component that is not yet shared, not"):
        Shared(Shared(Adder(width=8, step=1)))


def test_library_check_wrong():
    with pytest.raises(TypeError, match="Check must be a bool, not 1"):
        SharedLibrary(check=1)  # type: ignore[arg-type]  # what the test is about


def test_flat_ports_names_and_directions():
    ports = {port.name: port.is_input for port in flat_ports(Adder(width=8, step=1))}
    assert ports == {"i": True, "o": False}


@pytest.mark.parametrize("is_enabled", [True, False])
def test_paused_gc_restores(is_enabled):
    before = gc.isenabled()
    try:
        (gc.enable if is_enabled else gc.disable)()
        with contextlib.suppress(KeyError), paused_gc():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() is is_enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_no_inserters_in_hdl():
    """EnableInserter and ResetInserter do not reach into instances: nothing in hdl/ may use them."""
    users = [
        path
        for path in Path(hdl.__file__).parent.rglob("*.py")
        if re.search(r"\b(Enable|Reset)Inserter\(", path.read_text())
    ]
    assert users == []

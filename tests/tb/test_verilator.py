"""Verilator's options and environment, and what the harness makes of them."""

import dataclasses

import numpy as np
import pytest

from tb import verilator
from tb.harness import library
from tb.plain import PlainHarness
from tb.ports import design_of

from .designs import LANES, Adder, Fault, Pair, Wires


def test_environment(monkeypatch):
    monkeypatch.setenv("CXX", "ccache g++")
    environment = verilator.environment()
    assert "CXX=ccache\\ g++ " in environment["MAKEFLAGS"]
    assert "CFG_CXXFLAGS_PCH_I=-include" in environment["MAKEFLAGS"]
    assert environment["PATH"].startswith(f"{verilator.root()}/bin:")


def test_public_depth_is_never_flat():
    options = [*verilator.warning_options(), *verilator.trace_options(True)]
    assert not any("public" in option for option in options)


def test_trace_falls_back_to_vcd(monkeypatch):
    monkeypatch.setattr(verilator, "has_header", lambda compiler, header: header != "lz4.h")
    assert verilator.trace_options(True) == ["--trace-vcd"]
    assert "liblz4-dev" in (verilator.trace_notice() or "")
    assert verilator.trace_options(False) == []


def test_missing_header():
    assert not verilator.has_header(verilator.compiler(), "there/is/no/such/header.h")


def test_compiler_missing():
    with pytest.raises(verilator.BuildError, match="C\\+\\+ compiler must run, not fail as 'no-such-compiler' does"):
        verilator.compiler_version("no-such-compiler")


def test_verilator_missing(monkeypatch):
    monkeypatch.setattr(verilator, "root", lambda: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(verilator.BuildError, match="Verilator must be installed"):
        verilator.executable()


@pytest.mark.parametrize(
    "fragment, message",
    [
        ("wire [1:0] odd = {3{clk}};", "WIDTHTRUNC"),
        ("reg held; always @* if (rst) held = clk;", "LATCH"),
        ("wire typo = not_declared;", "IMPLICIT|Can't find definition"),
    ],
)
@pytest.mark.sim
def test_unlisted_warnings_are_fatal(fragment, message):
    design = design_of(Adder(), name="odd")
    text = design.verilog.rstrip().removesuffix("endmodule") + f"  {fragment}\nendmodule\n"
    with pytest.raises(verilator.BuildError, match=message):
        library(dataclasses.replace(design, verilog=text))


def test_ports():
    design = design_of(Adder())
    assert [(stream.name, stream.driven, stream.words) for stream in design.streams] == [
        ("i", True, 25),
        ("o", False, 25),
    ]
    assert [(port.name, port.driven, port.width) for port in design.plain] == [
        ("bias", True, 8),
        ("fault", True, 3),
        ("taken", False, 70),
    ]
    assert (design.clock, design.reset) == ("clk", "rst")
    assert design.stream("i").payload.shape is Pair
    assert design.port("fault").shape is Fault


def test_constant_members_are_no_ports():
    design = design_of(Wires())
    assert [(stream.valid, stream.ready) for stream in design.streams] == [("i__valid", None), (None, "o__ready")]
    assert design.clock is None


@pytest.mark.sim
def test_plain_harness(seed):
    harness = PlainHarness(Adder(), name="adder")
    random = np.random.default_rng(seed)
    beats = random.integers(0, 1 << 32, (100, 25), np.uint32)
    done = harness.run({"i": beats}, {"o": 100}, ports={"bias": 3})
    octets = beats.view(np.uint8)
    expected = octets[:, :LANES].astype(np.uint16) + octets[:, LANES:] + 3
    np.testing.assert_array_equal(done.outputs["o"].view(np.uint16), expected)
    assert done.cycles == 102
    with pytest.raises(RuntimeError, match="adder must end within 50 cycles"):
        harness.run({"i": beats}, {"o": 100}, max_cycles=50)
    with pytest.raises(KeyError, match="Stream must be one of"):
        harness.run({"x": beats}, {})

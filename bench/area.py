"""How much logic does a dot product take, on an ECP5 and in generic cells?"""

from amaranth.lib import wiring

from mtia.cli.common import table
from mtia.generations import get

from .designs import Accumulating, ExactDot, parameters_of_unit
from .report import Figure, Report
from .synthesis import SCRIPTS, Cells, Netlist, synthesize

#: multiply-accumulates a cycle of a unit of one slice, and with E2M1 in all of the 450's three rows
MACS, DENSE_MACS = 32, 96

NOTES = [
    "LUT4-eq = LUT4 + 2 x CCU2C; flip-flops and distributed memory (the accumulators) are not in it and said apart",
    "exact dot product: two rows of codes in, both decoded, the exact sum of 32 products out, with its block exponent "
    "and specials; registers at the inputs and inside. MX-for-FPGA: a public one, by the same script",
    "accumulating: both decoders, dot product, scale, rounding to FP32, 32 FP32 accumulators; one result a cycle and "
    "row. A published scalable MX MAC takes 1,741 LUT",
    "all formats of the 450: 12 formats, every pair that it multiplies, three rows of E2M1 a cycle; its decoders, "
    "which serve all units of an engine, are counted in full",
    'cells: "ecp5" (`EngineParameters.cells`: carry cells are instantiated) where LUT4-eq are counted; "generic" with '
    "DSPs, for generic cells and where it is said",
    *(f"script {name}: {script}" for name, script in SCRIPTS.items()),
    "parts are mapped for a clock of 100 MHz: a part alone is otherwise mapped for speed, at up to twice its size in "
    "the whole",
]


def designs(cells: str) -> dict[str, wiring.Component]:
    """What is built, by name, of `EngineParameters.cells`."""
    generation = get("mtia450")
    one = parameters_of_unit(("MXFP8_E4M3",), cells=cells)
    dense = parameters_of_unit(("MXFP4",), dense_rows=2, cells=cells)
    many = parameters_of_unit(generation.formats, mixed=generation.mixed, dense_rows=generation.dense_rows, cells=cells)
    return {
        "E4M3 exact dot product of 32": ExactDot(parameters=one),
        "E2M1 exact dot product of 32": ExactDot(parameters=dense, dense=True),
        "E4M3 accumulating": Accumulating(parameters=one),
        "all formats of the 450, accumulating": Accumulating(parameters=many),
    }


def measure() -> Report:
    """Area of each design of `designs`, and where it goes."""
    report = Report(question=str(__doc__), notes=list(NOTES))
    named = designs("ecp5")
    e4m3, e2m1, accumulating, everything = named
    cells = {name: synthesize(design, script="ecp5").cells for name, design in named.items()}
    built = designs("generic")
    multiplied = synthesize(built[e4m3], script="ecp5-dsp").cells
    inferred = synthesize(built[everything], script="ecp5").cells
    generic = {name: synthesize(design, script="generic").cells for name, design in built.items()}
    report.figures = [
        _limit(e4m3, cells[e4m3].lut4_equivalent, "LUT4-eq", 7900, "MX-for-FPGA: 13,573"),
        _limit(e2m1, cells[e2m1].lut4_equivalent, "LUT4-eq", 2200, "MX-for-FPGA: 3,022"),
        _limit(f"{e4m3}, with DSPs", multiplied.lut4_equivalent, "LUT4-eq", 5200),
        _limit(f"{e4m3}, with DSPs", multiplied.multipliers, "MULT18X18D", 32),
        _limit(accumulating, cells[accumulating].lut4_equivalent / MACS, "LUT4-eq a MAC", 305, f"of {MACS} a cycle"),
        _limit(everything, cells[everything].lut4_equivalent / MACS, "LUT4-eq a MAC", 600, f"of {MACS} a cycle"),
        _limit(
            everything,
            cells[everything].lut4_equivalent / DENSE_MACS,
            "LUT4-eq a MAC",
            None,
            f"of {DENSE_MACS} a cycle, as it has with E2M1",
        ),
    ]
    rows = [_row(name, "ecp5", cells[name]) for name in named]
    rows += [_row(f"{everything}, generic", "ecp5", inferred), _row(e4m3, "ecp5-dsp", multiplied)]
    header = ["design", "script", "LUT4-eq", "LUT4", "CCU2C", "FF", "LUT4 as memory", "MULT18X18D"]
    report.details = [
        table(header, rows, width=120),
        table(["design", "generic cells"], [[name, generic[name].total] for name in built], width=120),
        *(parts(f"parts: {name}", synthesize(named[name], script="ecp5-parts")) for name in (accumulating, everything)),
    ]
    return report


def _limit(what: str, value: float, unit: str, target: float | None, note: str = "") -> Figure:
    return Figure(what=what, value=value, unit=unit, target=target, at_most=True, note=note)


def _row(name: str, script: str, cells: Cells) -> list[object]:
    counts = [cells.lut4_equivalent, cells.lut4, cells.carry, cells.flip_flops, cells.memory_lut4, cells.multipliers]
    return [name, script, *counts]


def parts(title: str, netlist: Netlist, *, least: float = 0.01) -> str:
    """A table of a netlist's modules by area, without what is in their submodules; small ones in one line."""
    total, rest = netlist.cells.lut4_equivalent, 0
    rows: list[list[object]] = []
    for name, (cells, uses) in sorted(netlist.modules.items(), key=lambda item: -_area(*item[1])):
        area = _area(cells, uses)
        if area < least * total:
            rest += area
        else:
            rows.append([name, uses, area, f"{100 * area / total:.0f} %", cells.lut4 * uses, cells.carry * uses])
    rows.append(["smaller ones", None, rest, f"{100 * rest / total:.0f} %", None, None])
    header = [title, "uses", "LUT4-eq", "share", "LUT4", "CCU2C"]
    return table(header, rows, width=120)


def _area(cells: Cells, uses: int) -> int:
    return cells.lut4_equivalent * uses

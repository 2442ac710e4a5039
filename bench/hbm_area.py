"""How much logic does the controller of an HBM channel take on an ECP5, and how fast are its parts?"""

from amaranth.lib import wiring

from hdl.hbm.channel import Channel
from hdl.hbm.commands import Geometry
from hdl.hbm.composition import sizes_of
from hdl.hbm.cycles import Cycles
from hdl.hbm.ecc import Decode
from hdl.hbm.pool import Pool
from hdl.hbm.refresh import Refresh
from mtia.cli.common import table
from mtia.hbm_profiles import MemoryShape, memory

from .area import parts
from .place import place
from .report import Figure, Report
from .synthesis import synthesize

#: the generation, and the profile of its channel
GENERATION, PROFILE = "mtia300", "fpga"

#: seed of the placer
SEED = 1

NOTES = [
    "LUT4-eq = LUT4 + 2 x CCU2C; flip-flops and distributed memory are not in it and said apart",
    "of a module, without the modules inside it; synthesised apart, so that its area can be told, which costs some; "
    "the two pseudo-channels differ in their distances, so a part may stand there twice",
    "clocks: LFE5U-85, speed grade 6, one seed, 100 MHz asked for; the part alone, its ports on shift registers",
]


def channel(shape: MemoryShape) -> Channel:
    """The controller at a profile's size."""
    return Channel(timing=shape.timing, tag_bits=shape.profile.tag_bits, sizes=sizes_of(shape.profile))


def blocks(shape: MemoryShape) -> dict[str, wiring.Component]:
    """Parts of which the clock is measured, by name."""
    geometry, cycles = Geometry.of(shape.timing.organization), Cycles.of(shape.timing, pc=0)
    entries = shape.profile.entries
    return {
        f"pool of {entries} requests, its pickers": Pool(
            geometry=geometry, entries=entries, by_sid=cycles.sids_alternate
        ),
        f"refresh of {geometry.bank_count} banks": Refresh(geometry=geometry, cycles=cycles),
        "ECC decoder": Decode(),
    }


def measure() -> Report:
    """Area of the channel and of its modules, clock of parts."""
    report = Report(question=str(__doc__), notes=list(NOTES))
    shape = memory(GENERATION, PROFILE)
    netlist = synthesize(channel(shape), script="ecp5-parts")
    cells = netlist.cells
    of = shape.profile
    what = f"channel of {shape.timing.name}, {of.entries} reads and {of.entries} writes, {of.lines} lines"
    note = f"{cells.flip_flops} flip-flops, {cells.memory_lut4} LUT4 as memory, {cells.counts.get('DP16KD', 0)} DP16KD"
    report.figures = [Figure(what=what, value=cells.lut4_equivalent, unit="LUT4-eq", note=note)]
    rows: list[list[object]] = []
    for name, block in blocks(shape).items():
        placed = place(block, seed=SEED)
        report.figures.append(Figure(what=name, value=placed.mhz, unit="MHz"))
        rows.append([name, placed.utilization["TRELLIS_COMB"][0], placed.utilization["TRELLIS_FF"][0]])
    report.details = [
        parts("parts of the channel", netlist),
        table(["placed, with shift registers", "TRELLIS_COMB", "TRELLIS_FF"], rows, width=120),
    ]
    return report

"""The four generations of the family as data: the structure of each chip and what follows from it.

A generation holds the figures that are published of it (`mtia.published`) and a `Structure`: the
counts, shapes and clocks from which the derived properties compute those figures again. Whatever
the public material leaves open is a design choice of this project and has an entry in
`Generation.notes`.

A profile is the size at which a tensor engine is built: `full` is the structure itself, `sim` keeps
its formats and its ratios and is narrow enough to simulate, `fpga` fits a hobby board.

>>> from mtia import generations
>>> generations.get("450").engine("sim").dense_rows
3
"""

import functools
from dataclasses import dataclass

from . import formats as _formats
from .engine import LIMITS, EngineParameters, needs_exact_e5m2
from .published import PUBLISHED, Figure, Mark, Published
from .structure import FEATURES, Hbm, Network, Structure


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One generation: its published figures, its structure and what its tensor engine can do.

    name: as in commands (`mtia450`); title: as in text (`MTIA 450`); formats: formats of the
    engine; fpga_formats: the few that the `fpga` profile keeps; mixed, dense_rows: as in
    `EngineParameters`; notes: (part, why it is so) for each part that is inferred or a design choice
    of this project, the part being a field of `Structure` (a nested one after a dot) or of this class.
    """

    name: str
    title: str
    published: Published
    structure: Structure
    formats: tuple[str, ...]
    fpga_formats: tuple[str, ...]
    mixed: bool
    dense_rows: int
    notes: tuple[tuple[str, str], ...]

    def engine(self, profile: str = "sim") -> EngineParameters:
        """The tensor engine at a profile of `PROFILES`; ValueError with the nearest names otherwise."""
        size = PROFILES.get(profile)
        if size is None:
            raise ValueError(_formats.unknown("Profile", profile, list(PROFILES)))
        return EngineParameters(
            units=size.units,
            slices=size.slices,
            depth=size.depth,
            dense_rows=self.dense_rows,
            formats=self.fpga_formats if size.reduced else self.formats,
            mixed=self.mixed,
            exact_e5m2=not size.reduced,
            deep=size.reduced,
        )

    @property
    def mx8_format(self) -> str:
        """Name of the format behind the published "MX8" rate (plain FP8 where there are no block scales)."""
        return "MXFP8_E4M3" if "MXFP8_E4M3" in self.formats else "FP8_E4M3"

    def macs_per_cycle(self, name: str) -> int:
        """MACs a cycle of the whole package with both operands in the format of that name (0: it lacks it)."""
        row = _formats.get(name)
        if row.name not in self.formats:
            return 0
        return self.structure.pes * self.structure.dpes_per_pe * self.engine("full").mac_lanes(row, row)

    def pflops(self, name: str) -> float:
        """Peak PFLOPS of the package in the format of that name, a MAC counted as two operations."""
        return 2 * self.macs_per_cycle(name) * self.structure.clock_ghz / 1e6

    @property
    def rate_ratio(self) -> tuple[float, float, float]:
        """Rates of MX4, MX8 and BF16, in units of the last."""
        unit = self.macs_per_cycle("BF16")
        return (self.macs_per_cycle("MXFP4") / unit, self.macs_per_cycle(self.mx8_format) / unit, 1.0)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Size at which an engine is built; `reduced` keeps only the formats of a small FPGA."""

    units: int
    slices: int
    depth: int
    reduced: bool
    summary: str


#: the three sizes by name
PROFILES: dict[str, Profile] = {
    "full": Profile(units=32, slices=2, depth=32, reduced=False, summary="the published shape, 32 x 64 B: to emit"),
    "sim": Profile(units=8, slices=1, depth=64, reduced=False, summary="same formats, narrow: to simulate"),
    "fpga": Profile(units=2, slices=1, depth=16, reduced=True, summary="few formats: for a hobby board"),
}

_PLAIN = ("FP8_E5M2", "FP8_E4M3", "BF16", "FP16", "TF32")
_MX = (*_PLAIN, *_formats.MX_FORMATS)
_MX_FPGA = ("MXFP8_E4M3", "MXFP4")
_F300 = ("message_engines", "near_memory_reduction", "spare_row")
_F400 = (*_F300, "block_scales", "soc_chiplet", "switched_domain")
_F450 = (*_F400, "softmax_unit", "moe_feed_forward", "mixed_operands")


def _hbm3e(stacks: int, gbps: float) -> Hbm:
    set_name = f"HBM3E-{gbps:.1f}"
    return Hbm(stacks=stacks, kind="HBM3E", pins=1024, gbps=gbps, channels=16, stack_gb=(36,), timing_set=set_name)


def _hbm4(kind: str, gbps: float, *stack_gb: int) -> Hbm:
    set_name = f"{kind}-{gbps:.1f}"
    return Hbm(stacks=8, kind=kind, pins=2048, gbps=gbps, channels=32, stack_gb=stack_gb, timing_set=set_name)


_RACK = Network(gbps=800, scale_up=12, scale_out=1, spare=1, spares_lent=False, domain=72, switched=True)
_SPARE_NOTE = ("spare_rows", "a spare row a chiplet, as on the 300: our choice")
_CUSTOM_NOTE = ("formats", "the custom low-precision types are not public; NVFP4, MXFP6 and MXINT8 are our choice")
_COMMON_NOTES = (
    ("dense_rows", "follows from the ratio of the published MX4 and MX8 rates: inference"),
    ("dpes_per_pe", "eight engines of the shape of the 300's fit the published PFLOPS: inference"),
    ("local_memory_kib", "the size of the 300's is kept: our choice"),
    ("message_engines", "16 are published of the 300; the same number here is our choice"),
    ("hbm", "kind and pin rate are inferred from bandwidth and capacity; the timing set is derived, second-hand"),
    ("network", "12 NICs up and 1 out, of 800 Gb/s, give the published bandwidths; their number is our choice"),
)

#: what all packages have in common, and those after the 300
_package = functools.partial(
    Structure, network_chiplets=2, columns=6, spare_rows=1, local_memory_kib=512, message_engines=16
)
_later_package = functools.partial(_package, soc_chiplets=1, dpes_per_pe=8, network=_RACK)
#: the tensor engine of the 450 and the 500
_mixing_generation = functools.partial(
    Generation, formats=(*_MX, "NVFP4"), fpga_formats=_MX_FPGA, mixed=True, dense_rows=3
)

GENERATIONS: dict[str, Generation] = {
    row.name: row
    for row in (
        Generation(
            name="mtia300",
            title="MTIA 300",
            published=PUBLISHED["mtia300"],
            structure=_package(
                compute_chiplets=1,
                soc_chiplets=0,
                rows=12,
                dpes_per_pe=2,
                clock_ghz=1.9,
                hbm=_hbm3e(6, 8.0),
                network=Network(
                    gbps=800, scale_up=8, scale_out=2, spare=2, spares_lent=True, domain=16, switched=False
                ),
                features=_F300,
            ),
            formats=_PLAIN,
            fpga_formats=("FP8_E4M3",),
            mixed=False,
            dense_rows=1,
            notes=(
                (
                    "clock_ghz",
                    "1.9 GHz is inferred: with 2048 BF16 MAC a PE it gives 560 TFLOPS, printed as 0.6 PFLOPS",
                ),
                ("dpes_per_pe", "two engines of 32 x 64 B x 32, from notes of a paper"),
                ("network", "the spare NICs carry scale-up traffic: 10 of 800 Gb/s give the published 1 TB/s"),
                ("hbm", "8.0 Gb/s a pin from notes of a paper; the timing set is derived, second-hand"),
            ),
        ),
        Generation(
            name="mtia400",
            title="MTIA 400",
            published=PUBLISHED["mtia400"],
            structure=_later_package(
                compute_chiplets=2,
                rows=8,
                clock_ghz=1.9,
                hbm=_hbm3e(8, 9.0),
                features=_F400,
            ),
            formats=_MX,
            fpga_formats=_MX_FPGA,
            mixed=False,
            dense_rows=2,
            notes=(
                ("rows", "a grid of 8 x 6 a chiplet comes from an analyst"),
                ("spare_rows", "a spare row a chiplet comes from an analyst"),
                ("clock_ghz", "the clock of the 300 fits the published PFLOPS: inference"),
                ("formats", "MX8 and MX4 are published; the 6-bit formats and MXINT8 are our choice"),
                *_COMMON_NOTES,
            ),
        ),
        _mixing_generation(
            name="mtia450",
            title="MTIA 450",
            published=PUBLISHED["mtia450"],
            structure=_later_package(
                compute_chiplets=2,
                rows=9,
                clock_ghz=1.98,
                hbm=_hbm4("HBM4", 9.0, 36),
                features=_F450,
            ),
            notes=(
                ("rows", "the grid is undisclosed; 9 x 6 a chiplet is our choice: rows of six as on the 300"),
                ("clock_ghz", "undisclosed; 1.98 GHz is our choice: it gives 3.50 PFLOPS of BF16 on that grid"),
                _SPARE_NOTE,
                _CUSTOM_NOTE,
                *_COMMON_NOTES,
            ),
        ),
        _mixing_generation(
            name="mtia500",
            title="MTIA 500",
            published=PUBLISHED["mtia500"],
            structure=_later_package(
                compute_chiplets=4,
                rows=6,
                clock_ghz=2.12,
                hbm=_hbm4("HBM4E", 13.5, 48, 64),
                features=_F450,
            ),
            notes=(
                ("rows", "the grid is undisclosed; 6 x 6 on each of four smaller chiplets is our choice"),
                ("clock_ghz", "undisclosed; 2.12 GHz is our choice: it gives 5.00 PFLOPS of BF16 on that grid"),
                _SPARE_NOTE,
                _CUSTOM_NOTE,
                ("network.domain", "an analyst says more than 72; we build 72, the rack of the 400"),
                *_COMMON_NOTES,
            ),
        ),
    )
}


def get(name: "str | Generation") -> Generation:
    """The generation of that name: any case, `mtia450`, `MTIA 450` or `450`.

    Raises ValueError with the nearest names otherwise.
    """
    if isinstance(name, Generation):
        return name
    key = "".join(character for character in str(name).lower() if character.isalnum())
    key = f"mtia{key}" if key.isdigit() else key
    if key not in GENERATIONS:
        raise ValueError(_formats.unknown("Generation", key or name, list(GENERATIONS)))
    return GENERATIONS[key]


__all__ = [
    "FEATURES",
    "GENERATIONS",
    "LIMITS",
    "PROFILES",
    "EngineParameters",
    "Figure",
    "Generation",
    "Hbm",
    "Mark",
    "Network",
    "Profile",
    "Published",
    "Structure",
    "get",
    "needs_exact_e5m2",
]

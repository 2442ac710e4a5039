"""``mtia generations``: the four chips as tables, or one of them with the source of each figure."""

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from mtia import formats
from mtia.generations import FEATURES, GENERATIONS, PROFILES, Generation
from mtia.published import Figure, Mark

from .common import add_json, cell, command_parser, generation_argument, number, print_json, table

_Get = Callable[[Generation], object]

#: published figure -> label, and what the structure gives for it
FIGURES: dict[str, tuple[str, _Get | None]] = {
    "focus": ("focus", None),
    "module_power": ("module power", None),
    "hbm_bandwidth": ("HBM bandwidth", lambda g: g.structure.hbm.bandwidth),
    "hbm_capacity": ("HBM capacity", lambda g: _span(g.structure.hbm.capacities)),
    "hbm_stacks": ("HBM stacks", lambda g: g.structure.hbm.stacks),
    "mx4": ("MX4", lambda g: g.pflops("MXFP4") or None),
    "mx8": ("MX8 (300: FP8)", lambda g: g.pflops(g.mx8_format)),
    "bf16": ("BF16", lambda g: g.pflops("BF16")),
    "compute_chiplets": ("compute chiplets", lambda g: g.structure.compute_chiplets),
    "network_chiplets": ("network chiplets", lambda g: g.structure.network_chiplets),
    "soc_chiplets": ("SoC chiplets", lambda g: g.structure.soc_chiplets),
    "pe_grid": ("PE grid + spare", lambda g: _grid(g)),
    "domain": ("scale-up domain", lambda g: g.structure.network.domain),
    "scale_up": ("scale-up", lambda g: g.structure.network.scale_up_bandwidth),
    "scale_out": ("scale-out", lambda g: g.structure.network.scale_out_bandwidth),
}

#: label, the part that a note may name (empty: derived from others), value
STRUCTURE: tuple[tuple[str, str, _Get], ...] = (
    ("PE grid of a chiplet", "rows", lambda g: f"{g.structure.rows} x {g.structure.columns}"),
    ("spare rows of a chiplet", "spare_rows", lambda g: g.structure.spare_rows),
    ("PEs of the package", "", lambda g: g.structure.pes),
    ("PE clock (GHz)", "clock_ghz", lambda g: g.structure.clock_ghz),
    ("DPEs of a PE", "dpes_per_pe", lambda g: g.structure.dpes_per_pe),
    ("BF16 MAC/cycle of a PE", "", lambda g: g.macs_per_cycle("BF16") // g.structure.pes),
    ("MX4 : MX8 : BF16", "", lambda g: " : ".join(number(part) if part else "-" for part in g.rate_ratio)),
    ("streamed rows/cycle, MX4", "dense_rows", lambda g: g.dense_rows),
    ("number formats", "formats", lambda g: len(g.formats)),
    ("local memory of a PE (KiB)", "local_memory_kib", lambda g: g.structure.local_memory_kib),
    ("message engines", "message_engines", lambda g: g.structure.message_engines),
    ("HBM stacks", "hbm", lambda g: f"{g.structure.hbm.stacks} x {g.structure.hbm.kind}"),
    ("HBM stack (GB)", "hbm", lambda g: _span(g.structure.hbm.stack_gb)),
    ("HBM pins x rate (Gb/s)", "hbm", lambda g: f"{g.structure.hbm.pins} x {number(g.structure.hbm.gbps)}"),
    ("HBM timing set", "hbm", lambda g: g.structure.hbm.timing_set),
    ("HBM pseudo-channels", "", lambda g: g.structure.hbm.pseudo_channels),
    ("NICs up + out + spare", "network", lambda g: _nics(g)),
    ("NIC rate (Gb/s)", "network", lambda g: g.structure.network.gbps),
    ("scale-up domain (packages)", "network.domain", lambda g: g.structure.network.domain),
)


def _span(values: Sequence[float]) -> object:
    return values[0] if values[0] == values[-1] else f"{number(values[0])}-{number(values[-1])}"


def _grid(gen: Generation) -> str:
    part = gen.structure
    return f"{part.rows} x {part.columns} + {part.spare_rows * part.columns}"


def _nics(gen: Generation) -> str:
    part = gen.structure.network
    return f"{part.scale_up} + {part.scale_out} + {part.spare}"


def _published(figure: Figure) -> str:
    return cell(_span(figure.value) if isinstance(figure.value, tuple) else figure.value)


def _derived(name: str, gen: Generation) -> str:
    get = FIGURES[name][1]
    return cell(get(gen)) if get else ""


def _label(name: str) -> str:
    unit = getattr(GENERATIONS["mtia300"].published, name).unit
    return FIGURES[name][0] + (f" ({unit})" if unit else "")


def _both(name: str, gen: Generation) -> str:
    printed, derived = _published(getattr(gen.published, name)), _derived(name, gen)
    return printed if derived in ("", printed) else f"{printed} ({derived})"


def _marks(name: str, gens: Sequence[Generation]) -> str:
    marks = [getattr(gen.published, name).mark.name for gen in gens]
    return marks[0] if len(set(marks)) == 1 else " ".join(marks)


def _starred(part: str, gen: Generation) -> str:
    return "*" if part in dict(gen.notes) else ""


def _lanes(gen: Generation, profile: str, name: str) -> int | None:
    engine, row = gen.engine(profile), formats.get(name)
    return engine.mac_lanes(row, row) if name in engine.formats else None


def _engine_rows(gens: Sequence[Generation]) -> list[list[object]]:
    rows: list[list[object]] = []
    for name in PROFILES:
        engines = [gen.engine(name) for gen in gens]
        rows.append([f"{name}: units x bytes x depth", *(f"{e.units} x {32 * e.slices} x {e.depth}" for e in engines)])
        rows.append([f"{name}: MX8 MAC/cycle", *(cell(_lanes(gen, name, gen.mx8_format)) for gen in gens)])
        rows.append([f"{name}: MX4 MAC/cycle", *(cell(_lanes(gen, name, "MXFP4")) for gen in gens)])
    return rows


def compare(gens: Sequence[Generation]) -> str:
    """Text that sets the generations side by side."""
    titles = [gen.title for gen in gens]
    figures = [[_label(name), *(_both(name, gen) for gen in gens), _marks(name, gens)] for name in FIGURES]
    structure = [[label, *(cell(get(gen)) + _starred(part, gen) for gen in gens)] for label, part, get in STRUCTURE]
    features = [[name, *(cell(name in gen.structure.features or None) for gen in gens)] for name in FEATURES]
    return "\n".join(
        [
            table(["Published (derived)", *titles, "source"], figures),
            "In parentheses: what the structure gives, where it prints differently. Sources:",
            "\n".join(f"  {mark.name}  {mark.value}" for mark in Mark),
            "",
            table(["Structure", *titles], structure),
            "* inferred, or a choice of this project: `mtia generations GEN` says why.",
            "",
            table(["Tensor engine by profile", *titles], _engine_rows(gens)),
            "",
            table(["Features", *titles], features),
        ]
    )


def describe(gen: Generation) -> str:
    """Text about one generation: each figure with its source, each choice with its reason."""
    figures = [
        [_label(name), _published(figure), _derived(name, gen), figure.source]
        for name in FIGURES
        for figure in [getattr(gen.published, name)]
    ]
    reasons = dict(gen.notes)  # each is printed once, beside the first row that it explains
    engines = {name: gen.engine(name) for name in PROFILES}
    rates = [[name, *(cell(_lanes(gen, profile, name)) for profile in PROFILES)] for name in gen.formats]
    sizes = [f"{name} ({row.units} units x {32 * row.slices} B)" for name, row in engines.items()]
    mixed = "in one pass too" if gen.mixed else "never in one pass"
    return "\n".join(
        [
            gen.title,
            "",
            table(["Figure", "published", "derived", "source"], figures),
            "",
            table(
                ["Structure", "value", "why (where it is not published)"],
                [[label, cell(get(gen)), reasons.pop(part, "")] for label, part, get in STRUCTURE],
            ),
            "",
            table(["MAC/cycle of an engine", *sizes], rates),
            f"{len(engines['full'].pairs())} ordered pairs of formats multiply; operands of different widths {mixed}.",
            "",
            table(["Feature", "what it is"], [[name, FEATURES[name]] for name in gen.structure.features]),
        ]
    )


def as_json(gen: Generation) -> dict[str, Any]:
    """The generation as plain data: published, structure, derived, engines, notes."""
    figures = {name: getattr(gen.published, name) for name in FIGURES}
    return {
        "title": gen.title,
        "published": {
            name: {"value": row.value, "unit": row.unit, "mark": row.mark.name, "step": row.step, "source": row.source}
            for name, row in figures.items()
        },
        "structure": dataclasses.asdict(gen.structure),
        "derived": {name: get(gen) for name, (_, get) in FIGURES.items() if get}
        | {
            "hbm_capacity": gen.structure.hbm.capacities,
            "hbm_pseudo_channels": gen.structure.hbm.pseudo_channels,
            "pes": gen.structure.pes,
            "rate_ratio": gen.rate_ratio,
        },
        "engines": {
            name: dataclasses.asdict(engine)
            | {"macs_per_cycle": {item: _lanes(gen, name, item) for item in engine.formats}}
            for name in PROFILES
            for engine in [gen.engine(name)]
        },
        "notes": dict(gen.notes),
    }


def add_parser(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the parser of ``mtia generations``."""
    parser = command_parser(
        subparsers,
        "generations",
        description="""
            The four generations: what is published of each, the structure that yields it, and the
            size of its tensor engine at each profile. With one name: that generation alone, with the
            source of each figure and the reason for each choice.
        """,
        examples="""
            mtia generations                     all four side by side
            mtia generations mtia400 mtia450     these two
            mtia generations 450                 one, with sources and reasons
            mtia generations 450 --json          the same as one JSON object
        """,
    )
    parser.add_argument(
        "generations",
        nargs="*",
        type=generation_argument,
        metavar="GEN",
        help=f"one of {', '.join(GENERATIONS)}; default: all",
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the generations asked for; always 0."""
    gens = args.generations or list(GENERATIONS.values())
    if args.json:
        print_json({"generations": {gen.name: as_json(gen) for gen in gens}})
    else:
        print(describe(gens[0]) if len(gens) == 1 else compare(gens))
    return 0

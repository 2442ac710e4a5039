"""``mtia formats``: the number formats as a table, or some of them in full."""

import argparse
from collections.abc import Sequence
from typing import Any

from mtia.formats import FORMATS, Element, Format, Specials
from mtia.generations import GENERATIONS, Generation

from .common import UserError, add_generation, add_json, command_parser, format_argument, number, print_json, table

_SPECIALS = {Specials.NONE: "none", Specials.NAN_ONLY: "NaN", Specials.IEEE: "Inf, NaN"}


def _layout(element: Element) -> str:
    if element.is_integer:
        return f"two's complement x 2^-{element.mantissa_bits}"
    return f"1 + {element.exponent_bits} + {element.mantissa_bits}"


def _power(value: float) -> str:
    mantissa, exponent = value.hex().split("p")
    return f"2^{int(exponent)}" if float.fromhex(mantissa) == 1 else number(value)


def _scale(row: Format) -> str:
    return f"{row.scale.value} per {row.block}" if row.is_scaled else "-"


def _where(row: Format) -> str:
    names = [gen.name.removeprefix("mtia") for gen in GENERATIONS.values() if row.name in gen.formats]
    last = list(GENERATIONS)[-len(names) :] if names else []
    return f"{names[0]}+" if last and last[0].endswith(names[0]) else " ".join(names)


def _min_normal(element: Element) -> float:
    return 2.0**element.emin


def listing(rows: Sequence[Format]) -> str:
    """Text of the formats as one table."""
    header = ["Format", "bits", "S + E + M", "bias", "max", "step", "Inf, NaN", "scale", "stored", "group", "MTIA"]
    body = [
        [
            row.name,
            row.element.width,
            "integer" if row.element.is_integer else _layout(row.element),
            None if row.element.is_integer else row.element.bias,
            number(row.element.max_value),
            _power(row.element.min_subnormal),
            _SPECIALS[row.element.specials],
            _scale(row),
            row.bits_per_element,
            row.group,
            _where(row),
        ]
        for row in rows
    ]
    return "\n".join(
        [
            table(header, body),
            "step: the smallest positive number. stored: bits of an element with its part of the scale.",
            "group: elements along K whose products are summed before the first rounding.",
            "MTIA: the generations whose tensor engine multiplies it (400+: from the 400 on).",
            "Sums and results are FP32.",
        ]
    )


def describe(row: Format) -> str:
    """Text about one format."""
    element = row.element
    return table(
        [row.name, row.summary],
        [
            ["element", f"{element.name}, {element.width} bits: {_layout(element)}"],
            ["bias", str(element.bias) if element.exponent_bits else "-"],
            ["exponents of normals", f"{element.emin} to {element.emax}"],
            ["max", f"{number(element.max_value, 6)} (code 0x{element.max_code:02X})"],
            ["min normal", "-" if element.is_integer else _power(_min_normal(element))],
            ["smallest positive", _power(element.min_subnormal)],
            ["not finite", _SPECIALS[element.specials]],
            ["scale", _scale(row)],
            ["bits/element with scale", number(row.bits_per_element)],
            ["group", f"{row.group} products are summed before the first rounding"],
            *([f"{gen.title} multiplies by", ", ".join(_partners(row, gen)) or "-"] for gen in GENERATIONS.values()),
        ],
    )


def _partners(row: Format, gen: Generation) -> list[str]:
    return [b.name for a, b in gen.engine("full").pairs() if a is row]


def as_json(row: Format) -> dict[str, Any]:
    """The format as plain data."""
    element = row.element
    return {
        "summary": row.summary,
        "element": element.name,
        "bits": element.width,
        "exponent_bits": element.exponent_bits,
        "mantissa_bits": element.mantissa_bits,
        "bias": element.bias,
        "emax": element.emax,
        "emin": element.emin,
        "max": element.max_value,
        "min_normal": None if element.is_integer else _min_normal(element),
        "min_subnormal": element.min_subnormal,
        "specials": element.specials.value,
        "scale": row.scale.value,
        "block": row.block,
        "group": row.group,
        "bits_per_element": row.bits_per_element,
        "multiplies": {gen.name: _partners(row, gen) for gen in GENERATIONS.values()},
    }


def add_parser(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the parser of ``mtia formats``."""
    parser = command_parser(
        subparsers,
        "formats",
        description="""
            The number formats of the family. With names: each in full, with the formats it may meet
            in one product on each generation.
        """,
        examples="""
            mtia formats                    all of them, a line each
            mtia formats --gen mtia300      those of one generation
            mtia formats MXFP4 NVFP4        two of them in full
            mtia formats MXFP4 --json       as one JSON object
        """,
    )
    parser.add_argument(
        "formats", nargs="*", type=format_argument, metavar="FORMAT", help=f"one of {', '.join(FORMATS)}; default: all"
    )
    add_generation(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the formats asked for; always 0. Raises UserError for one that the generation named lacks."""
    rows: list[Format] = args.formats or [row for row in FORMATS.values() if _has(args.gen, row)]
    for row in rows:
        if not _has(args.gen, row):
            raise UserError(f"{args.gen.title} has no {row.name}; its formats: {', '.join(args.gen.formats)}")
    if args.json:
        print_json({"formats": {row.name: as_json(row) for row in rows}})
    elif args.formats:
        print("\n\n".join(describe(row) for row in rows))
    else:
        print(listing(rows))
    return 0


def _has(gen: Generation | None, row: Format) -> bool:
    return gen is None or row.name in gen.formats

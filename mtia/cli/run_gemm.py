"""``mtia run gemm``: a matrix product on the RTL of the engine."""

import argparse
import contextlib
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtia import formats
from mtia.formats import Format
from mtia.generations import Generation

from . import run_report as report, run_waves
from .common import UserError, add_generation, add_json, command_parser, format_argument, print_json
from .run_files import output_matrix, read_matrix
from .run_product import Product, add_scale_rule, check_formats, multiply, whole

#: rows of A, rows of B, and K of random operands
DEFAULT_SIZE = 64
DEFAULT_SEED = 1


def add_parser(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the parser of ``mtia run gemm``."""
    parser = command_parser(
        subparsers,
        "gemm",
        description="""
            C = A B^T on the RTL of the tensor engine. A (M, K) and B (N, K) are quantised along K to
            the formats asked for; their product is compared bit for bit with the golden model, and
            in value with the float64 product of the operands before they were quantised.

            Operands are random (normal) or come from .npy files: matrices of floating-point or
            integer numbers, rounded to float32, all finite. Any M, N and K of at least 1.
        """,
        examples="""
            mtia run gemm                                             64 x 64 x 64 in MXFP8_E4M3
            mtia run gemm --format-b MXFP4 --m 100 --n 30 --k 500     mixed formats, ragged shape
            mtia run gemm --gen mtia300 --format-a BF16 --format-b BF16
            mtia run gemm --a A.npy --b B.npy --out C.npy             your own matrices
            mtia run gemm --m 16 --n 16 --k 128 --waves               record it, then: mtia waves
            mtia run gemm --json                                      one JSON object
        """,
    )
    add_generation(parser, default="mtia450")
    for name in ("a", "b"):
        parser.add_argument(
            f"--format-{name}",
            type=format_argument,
            metavar="FORMAT",
            help=f"format of {name.upper()} (default: MXFP8_E4M3; on the mtia300 FP8_E4M3; see: mtia formats)",
        )
    for name, what in (("a", "A, of shape (M, K)"), ("b", "B, of shape (N, K)")):
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=f"{what}: a .npy file")
    for name, what in (("m", "rows of A"), ("n", "rows of B"), ("k", "columns of both")):
        parser.add_argument(
            f"--{name}",
            type=functools.partial(whole, name.upper(), least=1),
            metavar=name.upper(),
            help=f"{what}, if they are random (default: {DEFAULT_SIZE})",
        )
    parser.add_argument(
        "--seed",
        type=functools.partial(whole, "Seed", least=0),
        help=f"seed of random operands (default: {DEFAULT_SEED})",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write C as the engine computed it (.npy, float32)")
    add_scale_rule(parser)
    run_waves.add_arguments(parser)
    add_json(parser)


@dataclass(frozen=True, kw_only=True, eq=False)
class Work:
    """What is to be multiplied: operands in float32, their formats, where they come from, a name for the run."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    formats: tuple[Format, Format]
    seed: int | None
    sources: tuple[str, str]
    name: str


def run(args: argparse.Namespace) -> int:
    """Multiply and print; 0 if all bits are equal, 1 if not. Raises UserError."""
    gen: Generation = args.gen
    default = formats.get(gen.mx8_format)
    pair = (args.format_a or default, args.format_b or default)
    check_formats(gen, *pair, args.scale_rule)
    work = _from_files(args, pair) if args.a is not None or args.b is not None else _random(args, pair)
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(output_matrix(args.out))
        recorder = run_waves.open_recorder(stack, args, work.name)
        product = multiply(gen, work.x, work.y, work.formats, scale_rule=args.scale_rule, recorder=recorder)
        out.append(product.result)
        summary = {"work": "gemm", **report.as_json(product, seed=work.seed, scale_rule=args.scale_rule)}
        if recorder:
            recorder.describe(product, summary)
    if args.json:
        print_json(summary | report.places(args.out, recorder))
    else:
        print(_text(product, work, report.notes(args.out, recorder)))
    return 0 if product.match else 1


def _from_files(args: argparse.Namespace, pair: tuple[Format, Format]) -> Work:
    if args.a is None or args.b is None:
        there, missing = ("--a", "--b") if args.b is None else ("--b", "--a")
        raise UserError(f"{there} must come with {missing}: a product needs both operands")
    for name in ("m", "n", "k", "seed"):
        if getattr(args, name) is not None:
            raise UserError(f"--{name} must not come with --a and --b: it is for random operands")
    x, y = read_matrix(args.a, "A"), read_matrix(args.b, "B")
    if x.shape[1] != y.shape[1]:
        raise UserError(f"A (M, K) and B (N, K) must have the same K, not shapes {x.shape} and {y.shape}")
    name = f"gemm-{args.gen.name}-{pair[0].name}-{pair[1].name}-{args.a.stem}-{args.b.stem}"
    return Work(x=x, y=y, formats=pair, seed=None, sources=(str(args.a), str(args.b)), name=name)


def _random(args: argparse.Namespace, pair: tuple[Format, Format]) -> Work:
    m, n, k = (DEFAULT_SIZE if size is None else size for size in (args.m, args.n, args.k))
    seed = DEFAULT_SEED if args.seed is None else args.seed
    rng = np.random.default_rng(seed)
    try:
        x, y = (rng.standard_normal((rows, k), np.float32) for rows in (m, n))
    except (MemoryError, ValueError):
        raise UserError(f"Operands must fit the memory, not have M={m}, N={n}, K={k}") from None
    name = f"gemm-{args.gen.name}-{pair[0].name}-{pair[1].name}-{m}x{n}x{k}-seed{seed}"
    source = f"random, seed {seed}"
    return Work(x=x, y=y, formats=pair, seed=seed, sources=(source, source), name=name)


def _text(product: Product, work: Work, notes: list[str]) -> str:
    title = f"C = A B^T on the RTL of the {product.generation.title}'s tensor engine"
    rows = [
        *report.operand_rows(product, *work.sources),
        *report.engine_rows(product),
        *report.error_rows(product),
    ]
    return report.text(title, product, rows, notes)

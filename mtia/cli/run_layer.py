"""``mtia run layer``: a linear layer of a trained network on the RTL of the engine."""

import argparse
import contextlib
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.models import minilm
from mtia import formats
from mtia.generations import Generation

from . import run_report as report, run_waves
from .common import (
    WIDTH,
    UserError,
    add_generation,
    add_json,
    command_parser,
    format_argument,
    print_json,
    user_errors,
)
from .run_files import output_matrix
from .run_product import Product, add_scale_rule, check_formats, multiply, relative_norm

TEXT = "The chip reads its weights from memory, multiplies them in just a few bits, and still finds the right words."


def add_parser(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the parser of ``mtia run layer``."""
    parser = command_parser(
        subparsers,
        "layer",
        description=f"""
            A linear map of {minilm.NAME}, a sentence encoder of six layers, on the RTL of the tensor
            engine: its trained weights, and the activations that a text gives it. The text becomes
            tokens, the network runs in float32 up to the layer, and the layer's product is quantised,
            run on the engine and compared bit for bit with the golden model. Then the network runs to
            its end with the engine's result in the layer's place, beside the network all in float32.
        """,
        examples="""
            mtia run layer                                       MXFP8_E4M3 on the mtia450
            mtia run layer --format MXFP4 --text "Hello, chip"   four bits, your own text
            mtia run layer --format-weights MXFP4                4-bit weights, 8-bit activations
            mtia run layer --gen mtia300 --format BF16 --layer 5 --part query
            mtia run layer --json                                one JSON object
        """,
    )
    add_generation(parser, default="mtia450")
    parser.add_argument(
        "--format",
        type=format_argument,
        help="format of activations and weights (default: MXFP8_E4M3; on the mtia300 FP8_E4M3; see: mtia formats)",
    )
    parser.add_argument(
        "--format-weights", type=format_argument, metavar="FORMAT", help="format of the weights, if another"
    )
    parser.add_argument("--layer", type=int, default=0, metavar="N", help="layer of the network, from 0 (default: 0)")
    parser.add_argument(
        "--part",
        choices=list(minilm.MAPS),
        default="expand",
        metavar="PART",
        help=f"linear map of the layer: {', '.join(minilm.MAPS)} (default: expand, the first of the feed-forward pair)",
    )
    parser.add_argument("--text", default=TEXT, help="what the network reads (default: a sentence)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write the layer's output, bias added (.npy, float32)",
    )
    add_scale_rule(parser)
    run_waves.add_arguments(parser)
    add_json(parser)


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerRun:
    """A layer that has run.

    operands: of the layer in float32
    product:  of its activations and weights on the engine
    tokens:   of the text
    output:   the engine's result with the bias added, float32
    errors:   of each token's output: relative norm of the difference from float64
    cosine:   between the sentence's embedding with that output and the one all in float32
    """

    operands: minilm.Operands
    product: Product
    tokens: list[str]
    output: NDArray[np.float32]
    errors: list[float]
    cosine: float


def run(args: argparse.Namespace) -> int:
    """Run the layer and print; 0 if all bits are equal, 1 if not. Raises UserError."""
    gen: Generation = args.gen
    both = args.format or formats.get(gen.mx8_format)
    pair = (both, args.format_weights or both)
    check_formats(gen, *pair, args.scale_rule)
    try:
        model = minilm.load()
    except minilm.ModelMissing as error:
        raise UserError(str(error)) from error
    with user_errors():
        numbers = model.encode(args.text)
        operands = model.operands(numbers, args.layer, args.part)
    weights = "" if pair[0] is pair[1] else f"-{pair[1].name}"
    name = f"layer{args.layer}-{args.part}-{gen.name}-{pair[0].name}{weights}"
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(output_matrix(args.out))
        recorder = run_waves.open_recorder(stack, args, name)
        product = multiply(gen, operands.x, operands.weight, pair, scale_rule=args.scale_rule, recorder=recorder)
        result = _finish(model, numbers, operands, product)
        out.append(result.output)
        summary = _summary(args, result)
        if recorder:
            recorder.describe(product, summary)
    if args.json:
        print_json(summary | report.places(args.out, recorder))
    else:
        print(_text(args, result, report.notes(args.out, recorder)))
    return 0 if product.match else 1


def _finish(model: minilm.MiniLM, numbers: list[int], operands: minilm.Operands, product: Product) -> LayerRun:
    """The layer's output and what it does to the rest of the network."""
    output = product.result + operands.bias
    exact = operands.x.astype(np.float64) @ operands.weight.astype(np.float64).T + operands.bias
    plain = model.embed(numbers)
    embedding = model.embed(numbers, {operands.name: lambda x, weight, bias: output})
    return LayerRun(
        operands=operands,
        product=product,
        tokens=model.tokenizer.tokens(numbers),
        output=output,
        errors=[relative_norm(row, reference) for row, reference in zip(output - exact, exact, strict=True)],
        cosine=float(plain.astype(np.float64) @ embedding.astype(np.float64)),
    )


def _summary(args: argparse.Namespace, result: LayerRun) -> dict[str, Any]:
    return {
        "work": "layer",
        **report.as_json(result.product, seed=None, scale_rule=args.scale_rule),
        "model": minilm.NAME,
        "layer": args.layer,
        "part": args.part,
        "name": result.operands.name,
        "text": args.text,
        "tokens": [{"token": token, "error": error} for token, error in zip(result.tokens, result.errors, strict=True)],
        "embedding_cosine": result.cosine,
    }


def _text(args: argparse.Namespace, result: LayerRun, notes: list[str]) -> str:
    product, operands = result.product, result.operands
    outputs, inputs = operands.weight.shape
    title = "\n".join(
        [
            f"A layer of {minilm.NAME} on the RTL of the {product.generation.title}'s tensor engine",
            "",
            _wrapped("text    ", args.text),
            _wrapped("tokens  ", " ".join(result.tokens)),
            f"  layer   {operands.name}: {inputs} -> {outputs}, trained weights",
        ]
    )
    worst = int(np.argmax(result.errors))
    token = result.tokens[worst]
    rows = [
        *report.operand_rows(product, f"activations of {len(result.tokens)} tokens", "trained weights"),
        *report.engine_rows(product),
        *report.error_rows(product),
        [
            "worst token",
            report.percent(result.errors[worst]),
            f"error of the layer's output for {token!r}",
        ],
        [
            "embedding",
            f"cosine {result.cosine:.6f}",
            "of the sentence, this layer's output from the engine, with the network all in float32",
        ],
    ]
    return report.text(title, product, rows, notes)


def _wrapped(label: str, text: str) -> str:
    lines = textwrap.wrap(text, WIDTH - len(label) - 2) or [""]
    return textwrap.indent("\n".join([label + lines[0], *(" " * len(label) + line for line in lines[1:])]), "  ")

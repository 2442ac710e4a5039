"""``mtia run``: a matrix product or a trained network's layer on the tensor engine, requests through an HBM channel."""

import argparse
import importlib
from typing import Any

from .common import command_parser

#: what can be run: name, and of its module here after ``run_``
WORK = ("gemm", "layer", "hbm")


def add_parser(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the parser of ``mtia run``, with one for each kind of work."""
    parser = command_parser(
        subparsers,
        "run",
        description="""
            Run a block of a generation's RTL under Verilator, and compare every bit of what it gives
            with the golden model.

            gemm    tensor engine: a product of random matrices, or of your own from .npy files
            layer   tensor engine: a linear layer of a trained network, real weights and activations
            hbm     HBM channel: requests from a file or of a pattern; bandwidth and latency

            Exit status: 0 all bits equal, 1 some differ, 2 the command could not be carried out.
        """,
        examples="""
            mtia run layer                                            the first thing to try
            mtia run gemm --gen mtia450 --format-a MXFP8_E4M3 --format-b MXFP4
            mtia run hbm --pattern stream                             a channel's bandwidth
            mtia run gemm --help                                      all options of a product
            mtia run layer --help                                     all options of a layer
        """,
    )
    work = parser.add_subparsers(
        metavar="WORK", dest="work", required=True, help="gemm, layer or hbm; each has its own --help"
    )
    for name in WORK:
        _module(name).add_parser(work)


def run(args: argparse.Namespace) -> int:
    """Do the work asked for; 0 if all is as it must be, 1 if not."""
    status: int = _module(args.work).run(args)
    return status


def _module(name: str) -> Any:
    return importlib.import_module(f"{__package__}.run_{name}")

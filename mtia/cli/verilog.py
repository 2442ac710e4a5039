"""``mtia verilog``: a block of a generation as Verilog, with its port map and manifest."""

import argparse
import json
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from amaranth.lib import wiring

from hdl.emit import Emitted, emit
from hdl.hbm.channel import Channel
from hdl.hbm.memory_system import MemorySystem
from hdl.hbm.stack import Stack, sizes_of
from hdl.tensor.dot import DotProduct
from hdl.tensor.engine import Engine
from hdl.tensor.quantize import Quantizer
from mtia import hbm_profiles
from mtia.formats import MX_FORMATS
from mtia.generations import GENERATIONS, PROFILES, Generation

from .common import UserError, add_json, add_profile, command_parser, generation_argument, print_json, user_errors
from .progress import explain_wait


def _quantizer(gen: Generation, profile: str) -> wiring.Component:
    engine = gen.engine(profile)
    built = tuple(name for name in MX_FORMATS if name in engine.formats)
    if not built:
        raise UserError(f"{gen.title} has no quantizer: it has no block formats (its blocks: dpe, dot)")
    return Quantizer(formats=built, deep=engine.deep)


def _hbm_channel(gen: Generation, profile: str) -> wiring.Component:
    small = sizes_of(hbm_profiles.profile("fpga"))
    return Channel(timing=gen.structure.hbm.timing, sizes=small if profile == "fpga" else None)


#: block -> what it is, and how to build it for a generation and profile
BLOCKS: dict[str, tuple[str, Callable[[Generation, str], wiring.Component]]] = {
    "dpe": ("the dot-product engine", lambda gen, profile: Engine(parameters=gen.engine(profile))),
    "dot": ("one of its dot products", lambda gen, profile: DotProduct(parameters=gen.engine(profile))),
    "quantizer": ("FP32 to MX blocks", _quantizer),
    "hbm-channel": ("controller of an HBM channel (fpga: small pools)", _hbm_channel),
    "hbm-stack": ("all channels of a stack behind memory ports", Stack.of),
    "hbm-system": ("all stacks of the package behind memory ports", MemorySystem.of),
}


def add_parser(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the parser of ``mtia verilog``."""
    parser = command_parser(
        subparsers,
        "verilog",
        description="""
            Write a block of a generation as Verilog into a folder, with two files beside it:

            GEN_BLOCK.v      the Verilog, of modules that stand in it once each
            ports.json       ports, streams and clocks, with the layout of every payload
            manifest.json    parameters, hash of the Verilog, versions of the tools

            The same block and versions give the same bytes, on any machine.
        """,
        examples="""
            mtia verilog mtia450 -o build/dpe                       the engine, at sim size
            mtia verilog mtia450 --profile full -o build/dpe450     at the published size
            mtia verilog 400 --block quantizer -o build/quantizer
            mtia verilog mtia300 --block dot --profile fpga -o build/dot --json
        """,
    )
    parser.add_argument(
        "generation", type=generation_argument, metavar="GEN", help=f"generation: {', '.join(GENERATIONS)}"
    )
    what = "; ".join(f"{name}: {text}" for name, (text, _) in BLOCKS.items())
    parser.add_argument("--block", choices=list(BLOCKS), default="dpe", help=f"what to write (default: dpe). {what}")
    add_profile(parser)
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER", help="where to write it")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Write the block and say where; always 0. Raises UserError."""
    gen: Generation = args.generation
    name = f"{gen.name}_{args.block.replace('-', '_')}"
    _check_folder(args.out, name)
    started = time.monotonic()
    component = BLOCKS[args.block][1](gen, args.profile)
    with explain_wait(
        f"writing the {args.block} of the {gen.title} ({args.profile}: {PROFILES[args.profile].summary})..."
    ):
        emitted = emit(component, name=name)
    with user_errors():
        emitted.write(args.out)
    summary = _summary(args, emitted, time.monotonic() - started)
    if args.json:
        print_json(summary)
    else:
        print(_text(gen, args, summary))
    return 0


def _check_folder(folder: Path, name: str) -> None:
    """UserError for a place that cannot be written, and for a folder that holds anything but this block."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"Output must be a folder, not the file {folder}")
    if folder.is_dir() and any(folder.iterdir()) and _module_in(folder) != name:
        raise UserError(f"Output folder must be new, empty, or that of an earlier {name}, not {folder}")
    place = next(parent for parent in (folder, *folder.absolute().parents) if parent.is_dir())
    try:
        with tempfile.TemporaryDirectory(dir=place, prefix=f".{name}-"):
            pass
    except OSError as error:
        raise UserError(f"Output folder must be writable, not {folder} ({error.strerror})") from error


def _module_in(folder: Path) -> object:
    """Name of the module that a folder's manifest tells of; None where there is no such manifest."""
    try:
        return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["module"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _summary(args: argparse.Namespace, emitted: Emitted, seconds: float) -> dict[str, Any]:
    return {
        "generation": args.generation.name,
        "block": args.block,
        "profile": args.profile,
        "folder": str(args.out),
        "files": {name: len(text.encode()) for name, text in emitted.files().items()},
        "modules": len(re.findall(r"^module ", emitted.verilog, re.MULTILINE)),
        "ports": len(emitted.ports["ports"]),
        "streams": [stream["name"] for stream in emitted.ports["streams"]],
        "sha256": emitted.manifest["sha256"],
        "seconds": seconds,
    }


def _text(gen: Generation, args: argparse.Namespace, summary: dict[str, Any]) -> str:
    notes = {
        "ports.json": f"{summary['ports']} ports, streams: {', '.join(summary['streams']) or '-'}",
        "manifest.json": f"sha256 {summary['sha256'][:16]}...",
    }
    verilog = f"{summary['modules']} modules"
    width = max(map(len, summary["files"]))
    files = [
        f"  {name:<{width}}  {size / 1024:8.1f} KiB  {notes.get(name, verilog)}"
        for name, size in summary["files"].items()
    ]
    title = f"{args.block} of the {gen.title}, {args.profile} size, in {args.out}"
    return "\n".join([title, *files, f"written in {summary['seconds']:.1f} s"])

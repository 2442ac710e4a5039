"""``mtia run collective``: a collective over the accelerators of a scale-up domain, in RTL or, for speed, golden."""

import argparse
import contextlib
import functools
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden import formats as golden_formats
from mtia.collectives import Algorithm, Collective, algorithms
from mtia.collectives_geometry import REDUCING, unit_bytes
from mtia.formats import unknown
from mtia.generations import Generation
from mtia.near_memory import ReduceFormat, ReduceKind
from tb.verilator import trace_format, trace_notice
from tb.waves.design import describe_design

from . import run_collective_report as report
from .common import UserError, add_generation, add_json, command_parser, print_json, user_errors
from .progress import Bar
from .run_collective_plot import draw
from .run_collective_session import Measured, Request, Session
from .run_files import RUN_FILE, RUNS, RunFolder, output_matrix, read_array, run_folder, write_text
from .run_product import whole
from .run_waves import PORTS_FILE

#: names of number formats: in memory, then those whose contributions are MX blocks and whose sums are BF16
DTYPES: dict[str, ReduceFormat] = {
    "fp32": ReduceFormat.FP32,
    "bf16": ReduceFormat.BF16,
    "fp16": ReduceFormat.FP16,
    **{row.name.removeprefix("BF16_").lower(): row for row in ReduceFormat if row.name.startswith("BF16_")},
}
#: sizes of a picture, from the least on in steps of four
_LEAST_PLOTTED = 256
_AUTO = "auto"


def add_parser(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the parser of ``mtia run collective``."""
    listed = "\n".join(f"              {name:<14} {', '.join(map(str, algorithms(name)))}" for name in Collective)
    parser = command_parser(
        subparsers,
        "collective",
        description=f"""
            Run a collective over the accelerators of a scale-up domain: the RTL of every one's message
            engine and link, their memories and wires, and the switch between them. Every byte of every
            output is compared with the golden model, and the cycles with the bound that no algorithm
            can beat. The bits are the same whatever the algorithm, the errors and the skew.

            With --rtl-ranks only those ranks are RTL. The others are golden: a model of packets and
            sums that RTL peers cannot tell from RTL, many times as fast, near its cycles but not
            exact, behind a link without errors.

            Operations, and the algorithms of each:
{listed}

            Exit status: 0 all bits equal, 1 some differ, 2 the command could not be carried out.
        """,
        examples="""
            mtia run collective --op allreduce --ranks 8 --bytes 65536 --dtype bf16
            mtia run collective --op allreduce --ranks 72 --bytes 65536 --gen mtia400
            mtia run collective --op allgather --ranks 16 --bytes 16384 --gen mtia300 --flit-error-rate 1e-3
            mtia run collective --op allreduce --ranks 8 --bytes 65536 --plot sizes.svg
            mtia run collective --op alltoall --ranks 8 --bytes 8192 --waves 0
            mtia run collective --ranks 72 --bytes 1048576 --rtl-ranks 0
        """,
    )
    add_generation(parser, default="mtia400")
    parser.add_argument(
        "--op", choices=[str(name) for name in Collective], default="allreduce", metavar="OP", help="operation"
    )
    count = functools.partial(functools.partial, whole)
    parser.add_argument("--ranks", type=count("Ranks", least=2), default=8, metavar="P", help="ranks (default: 8)")
    parser.add_argument(
        "--bytes",
        type=count("Bytes", least=1),
        default=65536,
        metavar="N",
        help="bytes reduced, broadcast, gathered, or exchanged by each rank (default: 65536)",
    )
    parser.add_argument(
        "--dtype",
        choices=list(DTYPES),
        default="bf16",
        metavar="TYPE",
        help=f"numbers that are added: {', '.join(DTYPES)} (default: bf16)",
    )
    parser.add_argument(
        "--reduce", choices=("sum", "max", "min"), default="sum", help="what becomes of them (default: sum)"
    )
    parser.add_argument(
        "--algorithm",
        choices=(_AUTO, *map(str, Algorithm)),
        default=_AUTO,
        metavar="NAME",
        help="how (default: auto, by size and switch)",
    )
    parser.add_argument("--root", type=count("Root", least=0), default=0, metavar="R", help="root rank (default: 0)")
    parser.add_argument(
        "--flit-error-rate",
        type=_rate,
        default=0.0,
        metavar="SHARE",
        help="chance of a flipped bit in a frame, 0 to 0.1 (default: 0)",
    )
    parser.add_argument(
        "--skew", type=count("Skew", least=0), default=0, metavar="N", help="ranks start up to N cycles apart"
    )
    parser.add_argument(
        "--seed", type=count("Seed", least=0), default=1, help="of inputs, errors and skew (default: 1)"
    )
    parser.add_argument(
        "--rtl-ranks",
        type=_ranks,
        metavar="R,R...",
        help="ranks that are RTL, the others golden, for speed (default: all)",
    )
    parser.add_argument("--input", type=Path, metavar="X.npy", help="inputs, a row a rank: numbers, or uint8 for bytes")
    parser.add_argument("--output", type=Path, metavar="Y.npy", help="write the outputs, a row for each rank with one")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="run smaller sizes too, every algorithm, and draw (.svg)"
    )
    parser.add_argument(
        "--waves", type=count("Node of the waves", least=0), metavar="NODE", help="record every signal of a node"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Run the collective and print; 0 if all is right, 1 if not. Raises UserError."""
    session = Session(args.gen)
    request = _request(args, session)
    _check_places(args)
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(output_matrix(args.output, "--output"))
        folder = _open_folder(stack, args, request)
        found = _measure(session, request, args, folder)
        output.append(_rows(found))
        sweep = _sweep(session, request) if args.plot else {}
        summary = report.summary(args, found, sweep)
        if folder:
            folder.write(RUN_FILE, _description(summary))
    if args.plot:
        write_text(args.plot, draw(report.curves(sweep), title=report.title(args, found)), "--plot")
    if args.json:
        print_json(summary)
    else:
        places = {"plot": args.plot, "output": args.output, "waves": folder.final if folder else None}
        notes = [f"{name}: {path}" for name, path in places.items() if path is not None]
        print(report.text(args, found, sweep, notes + ([f"to see them: mtia waves {folder.final}"] if folder else [])))
    everything = [found, *(each for row in sweep.values() for each in row)]
    return 0 if all(each.match for each in everything) else 1


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 0.1:
        raise argparse.ArgumentTypeError(f"Flit error rate must be from 0 to 0.1, not {text!r}")
    return value


def _ranks(text: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"RTL ranks must be whole numbers with commas between them, not {text!r}"
        ) from None


def _request(args: argparse.Namespace, session: Session) -> Request:
    """What was asked for. UserError for what this domain, or this operation, does not do."""
    gen: Generation = args.gen
    collective, format = Collective(args.op), DTYPES[args.dtype]
    most = 2 if collective is Collective.SENDRECV else gen.structure.network.domain
    if args.ranks > most:
        where = "of sendrecv" if collective is Collective.SENDRECV else f"of a domain of the {gen.title}"
        raise UserError(f"Ranks {where} must be at most {most}, not {args.ranks}")
    if args.root >= args.ranks:
        raise UserError(f"Root must be below the {args.ranks} ranks, not {args.root}")
    if args.waves is not None and args.waves >= args.ranks:
        raise UserError(f"Node of the waves must be below the {args.ranks} ranks, not {args.waves}")
    if args.rtl_ranks is not None:
        _check_rtl(args.rtl_ranks, args.ranks, args.waves)
    _check_bytes(collective, format, args.bytes)
    given = None if args.input is None else _read_input(args.input, args.ranks, format)
    with user_errors():
        if args.algorithm == _AUTO:
            chosen = session.choose(collective, ranks=args.ranks, bytes=args.bytes, format=format)
        else:
            chosen = Algorithm(args.algorithm)
            if chosen not in algorithms(collective):
                raise ValueError(
                    unknown(f"Algorithm of {collective}", str(chosen), list(map(str, algorithms(collective))))
                )
            session.check(chosen)
    request = Request(
        collective=collective,
        ranks=args.ranks,
        bytes=args.bytes,
        algorithm=chosen,
        format=format,
        kind=ReduceKind[args.reduce.upper()],
        root=args.root,
        seed=args.seed,
        skew=args.skew,
        error_rate=args.flit_error_rate,
        rtl=args.rtl_ranks,
    )
    with user_errors():
        session.check_size(request)
    return request if given is None else session.with_inputs(request, given)


def _check_rtl(rtl: tuple[int, ...], ranks: int, waves: int | None) -> None:
    wrong = [rank for rank in rtl if not 0 <= rank < ranks]
    if wrong:
        raise UserError(f"RTL ranks must be from 0 to {ranks - 1}, not {wrong[0]}")
    if waves is not None and waves not in rtl:
        listed = ", ".join(map(str, rtl))
        raise UserError(f"Node of the waves must be RTL (--rtl-ranks: {listed}), not {waves}: a golden node has none")


def _check_bytes(collective: Collective, format: ReduceFormat, bytes: int) -> None:
    unit = unit_bytes(collective, format)
    if bytes % unit:
        raise UserError(f"Bytes of {collective} must be a multiple of {unit}, not {bytes}")


def _read_input(path: Path, ranks: int, format: ReduceFormat) -> tuple[NDArray[np.uint8], ...]:
    """The rows of a file as bytes: uint8 as they are, numbers as the wire's codes."""
    array = read_array(path, "Input")
    if array.ndim != 2 or len(array) != ranks:
        raise UserError(f"Input must have a row for each of the {ranks} ranks, not shape {array.shape} ({path})")
    if array.dtype == np.uint8:
        return tuple(np.ascontiguousarray(row) for row in array)
    if array.dtype.kind not in "fiu" or format.operand is not None:
        kinds = "uint8, the bytes of MX blocks" if format.operand is not None else "numbers, or uint8 for bytes"
        raise UserError(f"Input must hold {kinds}, not {array.dtype.name} ({path})")
    codes = golden_formats.encode(array, format.memory, saturate=False)
    return tuple(np.ascontiguousarray(row).view(np.uint8) for row in codes)


def _check_places(args: argparse.Namespace) -> None:
    """UserError for what is no place of a file, before the simulation takes its time."""
    if args.plot is not None and (args.plot.is_dir() or not args.plot.absolute().parent.is_dir()):
        raise UserError(f"--plot must be a file in a folder that is there, not {args.plot}")


def _open_folder(stack: contextlib.ExitStack, args: argparse.Namespace, request: Request) -> RunFolder | None:
    if args.waves is None:
        return None
    if notice := trace_notice():
        print(notice, file=sys.stderr)
    name = f"collective-{args.op}-{args.ranks}-{request.algorithm}"
    return stack.enter_context(run_folder(RUNS / name))


def _measure(session: Session, request: Request, args: argparse.Namespace, folder: RunFolder | None) -> Measured:
    bar = Bar(f"{request.collective} over {request.ranks} ranks")
    waves = folder.stage / f"waves.{trace_format()}" if folder else None
    try:
        found = session.measure(request, node=args.waves, waves=waves, progress=bar)
    finally:
        bar.close()
    if folder:
        folder.write(PORTS_FILE, describe_design(session.node))
    return found


def _rows(found: Measured) -> NDArray[Any]:
    """Outputs of the ranks that have one: numbers of what was added, else bytes."""
    kept = [each for each in found.outputs if len(each)]
    request = found.request
    shortest = min((len(each) for each in kept), default=0)
    same = all(len(each) == shortest for each in kept)
    rows = np.stack(kept) if kept and same else np.zeros((0, 0), np.uint8)
    if request.collective not in REDUCING:
        return rows
    memory = request.format.memory
    codes = np.ascontiguousarray(rows).view(golden_formats.code_dtype(memory))
    return golden_formats.decode(codes, memory).astype(np.float32)


def _sweep(session: Session, request: Request) -> dict[Algorithm, list[Measured]]:
    """The request at sizes from small to its own, by every algorithm that the domain has and that is not slow."""
    sizes = [request.bytes]
    while sizes[0] // 4 >= _LEAST_PLOTTED:
        sizes.insert(0, sizes[0] // 4)
    found: dict[Algorithm, list[Measured]] = {}
    for algorithm in algorithms(request.collective):
        for size in sizes:
            if session.fits(request, algorithm, size):
                found.setdefault(algorithm, []).append(session.measure(session.variant(request, algorithm, size)))
    return found


def _description(summary: dict[str, Any]) -> dict[str, Any]:
    """What `mtia waves` needs beside the summary."""
    extra = {
        "command": ["mtia", *sys.argv[1:]],
        "waves": f"waves.{trace_format()}",
        "recorded_cycles": summary["cycles"],
        "ports": PORTS_FILE,
        "streams": {},
        "rows_per_beat": 1,
    }
    return extra | summary

"""``mtia run hbm``: requests through the RTL of an HBM channel."""

import argparse
import contextlib
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from golden.hbm import REFRESH
from mtia import hbm
from mtia.generations import Generation
from mtia.hbm import TimingSet
from mtia.hbm_map import AddressMap
from mtia.hbm_patterns import PATTERNS, Pattern
from mtia.hbm_requests import Accesses, read_requests

from . import run_hbm_report as report, run_waves
from .common import UserError, add_generation, add_json, command_parser, print_json, user_errors
from .progress import Bar
from .run_files import write_text
from .run_hbm_measurement import Measurement
from .run_hbm_plot import draw
from .run_hbm_session import Session, check_slots
from .run_hbm_waves import ChannelRecorder, open_recorder
from .run_product import whole

DEFAULT_REQUESTS = 20_000
DEFAULT_SEED = 1
#: loads of a sweep
LOADS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)


def add_parser(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the parser of ``mtia run hbm``."""
    patterns = "\n".join(f"              {name:<15} {text}" for name, text in PATTERNS.items())
    parser = command_parser(
        subparsers,
        "hbm",
        description=f"""
            Give requests to the RTL of an HBM channel, both pseudo-channels, with a model of the
            memory behind it. Every command is checked against the timing set, twice; every answer
            and the contents in the end are compared with the golden memory.

            The requests come from a file, or follow a pattern (numbers in bytes):
{patterns}

            A file has one request a line, R 0xADDR, W 0xADDR, RED 0xADDR (a sum of FP32) or
            TREE 0xADDR SLOTS (the ordered sum of so many atoms behind that one in its
            pseudo-channel), the byte address counted within the channel; a cycle of issue may
            follow. # begins a comment, gzip is understood.

            Exit status: 0 all equal and no violation, 1 not so, 2 the command could not be carried out.
        """,
        examples="""
            mtia run hbm --pattern stream                             the peak, nearly
            mtia run hbm --pattern gather:128 --timing HBM3-6.4       another timing set
            mtia run hbm --pattern random --load 0.2 --refresh all-bank
            mtia run hbm --trace requests.gz --commands commands.csv  your own requests
            mtia run hbm --pattern stream --plot load.svg             bandwidth and latency against load
            mtia run hbm --pattern scatter-reduce --json              one JSON object
        """,
    )
    add_generation(parser, default="mtia300")
    parser.add_argument(
        "--timing",
        metavar="SET",
        help=f"timing set ({', '.join(hbm.names())}) or a .toml file of your own (default: the generation's)",
    )
    parser.add_argument("--trace", type=Path, metavar="FILE", help="file of requests")
    parser.add_argument("--pattern", metavar="PATTERN", help=f"one of {', '.join(PATTERNS)} (default: stream)")
    parser.add_argument(
        "--requests",
        type=functools.partial(whole, "Requests", least=1),
        metavar="N",
        help=f"requests of a pattern (default: {DEFAULT_REQUESTS})",
    )
    parser.add_argument(
        "--seed",
        type=functools.partial(whole, "Seed", least=0),
        default=DEFAULT_SEED,
        help=f"seed of random addresses and data (default: {DEFAULT_SEED})",
    )
    parser.add_argument(
        "--refresh",
        choices=REFRESH,
        default=REFRESH[0],
        metavar="MODE",
        help=f"what refreshes the banks: {', '.join(REFRESH)} (default: {REFRESH[0]})",
    )
    parser.add_argument("--refresh-cost", action="store_true", help="run once more without refresh: what does it cost?")
    parser.add_argument(
        "--load",
        type=_load,
        metavar="SHARE",
        help="offer each pseudo-channel this share of its peak, above 0 to 1 (default: as much as it takes)",
    )
    parser.add_argument("--commands", type=Path, metavar="FILE", help="keep the commands to the memory (.csv)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write what became of each request (.csv)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="run at several loads and draw the figures (.svg)")
    run_waves.add_arguments(parser, what="channel")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Run the requests and print; 0 if all is right, 1 if not. Raises UserError."""
    timing = _timing(args.gen, args.timing)
    capacity = 2 * timing.organization.pseudo_channel_bytes
    accesses, source = _accesses(args, capacity)
    with user_errors():
        check_slots(accesses, AddressMap.of(timing.organization, level="channel"))
    for option in ("commands", "out", "plot"):
        _check_place(getattr(args, option), f"--{option}")
    with contextlib.ExitStack() as stack:
        recorder = open_recorder(stack, args, f"hbm-{timing.name}-{_slug(source)}")
        session = Session(timing, refresh=args.refresh, trace=recorder is not None)
        found = _measure(session, accesses, args, recorder)
        extra = _extra(session, found, args)
        summary = _summary(args, found, extra, source)
        if recorder:
            recorder.describe(summary)
    _write(args, found, extra, source)
    places = {"commands": args.commands, "out": args.out, "plot": args.plot}
    if args.json:
        waves = recorder.folder.final if recorder else None
        files = {name: str(path) if path else None for name, path in (*places.items(), ("waves", waves))}
        print_json(summary | files)
    else:
        owner = f", {args.gen.title}" if args.timing is None else ""
        title = f"A channel of {timing.name}{owner}"
        lines = [*report.notes(**places), *(recorder.notes() if recorder else [])]
        print(report.text(title, found, extra, source, lines))
    wrong = [each for each in (found, *extra.sweep) if each.mismatches or each.violation_count]
    return 1 if wrong else 0


def _load(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"Load must be above 0 and at most 1, not {text!r}")
    return value


def _timing(gen: Generation, name: str | None) -> TimingSet:
    """The set that a name or a file gives, or the generation's."""
    with user_errors():
        if name is None:
            return gen.structure.hbm.timing
        return hbm.load(name) if name.endswith(".toml") else hbm.get(name)


def _accesses(args: argparse.Namespace, capacity: int) -> tuple[Accesses, str]:
    """The requests, and words that say what they are."""
    if args.trace is None:
        with user_errors():
            pattern = Pattern.parse(args.pattern or "stream")
            count = args.requests or DEFAULT_REQUESTS
            return pattern.accesses(count, capacity=capacity, seed=args.seed), str(pattern)
    for option in ("pattern", "requests"):
        if getattr(args, option) is not None:
            raise UserError(f"--{option} must not come with --trace: the file says what the requests are")
    with user_errors():
        accesses = read_requests(args.trace, capacity=capacity)
    for option in ("load", "plot"):
        if getattr(args, option) is not None and accesses.cycle is not None:
            raise UserError(f"--{option} must not come with a trace that has cycles of issue: {args.trace}")
    return accesses, str(args.trace)


def _check_place(path: Path | None, option: str) -> None:
    """UserError for what is no place of a file, before the simulation takes its time."""
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise UserError(f"{option} must be a file in a folder that is there, not {path}")


def _measure(
    session: Session, accesses: Accesses, args: argparse.Namespace, recorder: ChannelRecorder | None
) -> Measurement:
    bar = Bar(f"simulating a channel of {session.timing.name}")

    def progress(done: int, total: int) -> None:
        bar(done, total)
        if recorder is not None:
            recorder.step()

    if recorder is not None:
        recorder.begin(session.run.lane)
    try:
        with user_errors():
            return session.measure(accesses, load=args.load, seed=args.seed, commands=args.commands, progress=progress)
    finally:
        bar.close()
        if recorder is not None:
            recorder.end()


def _extra(session: Session, found: Measurement, args: argparse.Namespace) -> report.Extra:
    """What else was asked for: the same without refresh, a sweep of loads."""
    cost = None
    if args.refresh_cost and args.refresh != "off":
        free = session.sibling("off").measure(found.accesses, load=args.load, seed=args.seed)
        cost = free.bandwidth_fraction - found.bandwidth_fraction
    sweep: Sequence[Measurement] = ()
    if args.plot is not None:
        sweep = [_at_load(session, found.accesses, load, args.seed) for load in LOADS]
    return report.Extra(unloaded_ns=session.unloaded_ns(), refresh_cost=cost, sweep=sweep)


def _at_load(session: Session, accesses: Accesses, load: float, seed: int) -> Measurement:
    bar = Bar(f"simulating a load of {load:.0%}")
    try:
        return session.measure(accesses, load=load, seed=seed, progress=bar)
    finally:
        bar.close()


def _summary(args: argparse.Namespace, found: Measurement, extra: report.Extra, source: str) -> dict[str, Any]:
    head = {"work": "hbm", "generation": args.gen.name if args.timing is None else None, "source": source}
    return {**head, "seed": args.seed, **report.as_json(found, extra)}


def _write(args: argparse.Namespace, found: Measurement, extra: report.Extra, source: str) -> None:
    if args.out is not None:
        write_text(args.out, report.request_lines(found), "--out")
    if args.plot is not None:
        title = f"{found.timing.name}, {source}, refresh {found.refresh}"
        write_text(args.plot, draw(extra.sweep, title=title, unloaded_ns=extra.unloaded_ns), "--plot")


def _slug(source: str) -> str:
    """A source as part of a file's name."""
    return Path(source).name.replace(":", "")

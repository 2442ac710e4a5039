"""``mtia waves``: the waves of a run in a viewer, or as a page."""

import argparse
import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tb.waves.gtkwave import SURFER_FILE, write_save_files
from tb.waves.html import Heading, page
from tb.waves.trace import Trace
from tb.waves.view import Contents, Group, groups_of, matching

from .common import UserError, command_parser, user_errors
from .run_files import RUN_FILE, RUNS, write_text

#: cycles of a page where no window is named
DEFAULT_WINDOW = 400


def add_parser(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the parser of ``mtia waves``."""
    parser = command_parser(
        subparsers,
        "waves",
        description="""
            The waves of a run that was recorded with `mtia run ... --waves`: streams beat by beat,
            then the blocks of the engine, formats by name, FP32 and scales as numbers.

            Opens GTKWave or Surfer, whichever is installed, with signals grouped and decoded; with
            --html writes a page that needs nothing but a browser.
        """,
        examples="""
            mtia run gemm --m 16 --n 16 --k 64 --waves     records a run and says where
            mtia waves                                     the run recorded last, in a viewer
            mtia waves runs/NAME --html waves.html         as a page: the first cycles
            mtia waves runs/NAME --html w.html --from 100 --to 160
            mtia waves runs/NAME --html w.html --signals "unit_3.*"
        """,
    )
    parser.add_argument("run", nargs="?", type=Path, metavar="RUN", help="folder of a run (default: the last of runs/)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page instead of opening a viewer")
    parser.add_argument("--from", type=int, dest="first", metavar="CYCLE", help="first cycle of the page (default: 0)")
    parser.add_argument(
        "--to",
        type=int,
        metavar="CYCLE",
        help=f"last cycle of the page (default: {DEFAULT_WINDOW} cycles of it)",
    )
    parser.add_argument(
        "--signals", metavar="PATTERN", help="only signals whose name holds this, or matches it with * and ?"
    )


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A run with its waves: its folder, what was run, the waves, its groups of signals."""

    folder: Path
    summary: dict[str, Any]
    trace: Trace
    groups: list[Group]


def run(args: argparse.Namespace) -> int:
    """Open or write the waves; always 0. Raises UserError."""
    if args.html is None and (args.first is not None or args.to is not None):
        raise UserError("--from and --to must come with --html: a viewer shows the whole run")
    if args.html is not None and args.html.is_dir():
        raise UserError(f"--html must name a file, not the folder {args.html}")
    recorded = _read(args.run or _latest(), args.signals)
    if args.html is not None:
        _write_page(recorded, args)
    else:
        _open_viewer(recorded)
    return 0


def _latest() -> Path:
    """The folder of the run recorded last under ``runs/``."""
    found = sorted(RUNS.glob(f"*/{RUN_FILE}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise UserError(f"there is no run in {RUNS}/; record one: mtia run gemm --waves")
    return found[-1].parent


def _read(folder: Path, pattern: str | None) -> Recorded:
    if not (folder / RUN_FILE).is_file():
        raise UserError(f"RUN must be the folder of a run recorded with --waves, not {folder} (it has no {RUN_FILE})")
    with user_errors():
        try:
            summary = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
            ports = json.loads((folder / summary["ports"]).read_text(encoding="utf-8"))
            contents = Contents(formats=summary["streams"], rows=summary["rows_per_beat"])
            trace = Trace(folder / summary["waves"])
            groups = groups_of(trace, ports, contents)
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{RUN_FILE} of {folder} must be as `mtia run --waves` wrote it, not without {error}"
            ) from error
        if pattern is not None:
            groups = matching(trace, groups, ports, pattern)
    return Recorded(folder=folder, summary=summary, trace=trace, groups=groups)


def _write_page(recorded: Recorded, args: argparse.Namespace) -> None:
    cycles = recorded.trace.cycles
    first = args.first or 0
    last = min(first + DEFAULT_WINDOW, cycles) - 1 if args.to is None else args.to
    if not 0 <= first < cycles:
        raise UserError(f"--from must be a cycle of the run, 0 to {cycles - 1}, not {first}")
    if not first <= last < cycles:
        raise UserError(f"--to must be a cycle from {first} to {cycles - 1}, the run's last, not {last}")
    text = page(recorded.trace, recorded.groups, first=first, end=last + 1, heading=_heading(recorded, first, last))
    write_text(args.html, text, "--html")
    print(f"{args.html}: cycles {first} to {last} of {cycles}, {len(text) / 1e6:.1f} MB; open it in a browser")


def _heading(recorded: Recorded, first: int, last: int) -> Heading:
    run = recorded.summary
    if run["work"] == "hbm":
        return _channel_heading(run, first, last)
    if run["work"] == "collective":
        return _collective_heading(run, first, last)
    sizes = f"{run['m']} x {run['n']} x {run['k']}"
    what = f"GEMM {sizes}" if run["work"] == "gemm" else f"{run['model']}, {run['name']}"
    facts = [
        f"A {run['format_a']}, B {run['format_b']}",
        f"M x N x K = {sizes}",
        f"{run['mac_lanes']} MAC/cycle",
        f"{run['cycles']} cycles, {run['utilization'] * 100:.4g} % utilised",
        f"seed {run['seed']}" if run["seed"] is not None else "",
        f"shown: cycles {first} to {last}",
    ]
    return Heading(
        title=f"{what} on the {_chip(run)}",
        badge="PASS" if run["match"] else "FAIL",
        facts=" · ".join(fact for fact in facts if fact),
    )


def _chip(run: dict[str, Any]) -> str:
    """Name of the generation as people write it."""
    return str(run["generation"]).upper().replace("MTIA", "MTIA ")


def _collective_heading(run: dict[str, Any], first: int, last: int) -> Heading:
    facts = [
        f"{run['algorithm']}, {run['bytes']} bytes, {run['dtype']}",
        f"{run['cycles']} cycles, bound {run['bound_cycles']:.0f}",
        f"{run['retransmissions']} frames sent again",
        f"seed {run['seed']}",
        f"shown: cycles {first} to {last}",
    ]
    return Heading(
        title=f"A node of {run['ranks']} in {run['op']} on the {_chip(run)}",
        badge="PASS" if run["match"] else "FAIL",
        facts=" · ".join(facts),
    )


def _channel_heading(run: dict[str, Any], first: int, last: int) -> Heading:
    facts = [
        f"{run['requests']} requests, {run['source']}",
        f"{run['cycles']} cycles, {run['bandwidth_fraction'] * 100:.4g} % of the peak",
        f"refresh {run['refresh']['mode']}",
        f"seed {run['seed']}",
        f"shown: cycles {first} to {last}",
    ]
    right = run["match"] and not run["violations"]
    return Heading(title=f"HBM channel, {run['timing']}", badge="PASS" if right else "FAIL", facts=" · ".join(facts))


def _open_viewer(recorded: Recorded) -> None:
    """Start a viewer that outlives the command; without one say where the files are."""
    waves = recorded.trace.path.resolve()
    place = recorded.folder if os.access(recorded.folder, os.W_OK) else Path(tempfile.mkdtemp(prefix="mtia-waves-"))
    with user_errors():
        save = write_save_files(place, recorded.trace, recorded.groups)
    commands = {
        "gtkwave": ["gtkwave", str(waves), str(save)],
        "surfer": ["surfer", str(waves), "--command-file", str(save.with_name(SURFER_FILE))],
    }
    for name, command in commands.items():
        if shutil.which(name) and _has_display():
            with user_errors():
                _start(command)
            print(f"opened {waves} in {name}")
            return
    print(f"waves: {waves}\nsave file of GTKWave: {save}\n")
    if _has_display():
        print("neither gtkwave nor surfer is on PATH (apt install gtkwave). When one is:")
    else:
        print("there is no display to open a viewer on (DISPLAY is not set). Where there is one:")
    for command in commands.values():
        print(f"  {' '.join(command)}")
    print(f"Without a viewer, as a page:\n  mtia waves {recorded.folder} --html waves.html")


def _has_display() -> bool:
    return not sys.platform.startswith("linux") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _start(command: list[str]) -> None:
    """Start a program that lives on by itself, apart from the terminal."""
    silent = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_RDWR, 0) for stream in range(3)]
    os.posix_spawnp(command[0], command, os.environ, file_actions=silent, setpgroup=0)

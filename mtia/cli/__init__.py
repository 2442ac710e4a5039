"""The command line: one module a command, imported only when its command is typed.

A command is a row of `COMMANDS` and a module of this package with the same name, which offers

- ``add_parser(subparsers)``: adds its parser (best with `mtia.cli.common.command_parser`);
- ``run(args) -> int``: does the work and returns the exit status.

Exit status: 0 done, 1 the thing asked about failed (a mismatch, a missing tool), 2 the command could
not be carried out as typed: then one line on standard error says why, and nothing else is printed.
"""

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from mtia.formats import unknown

from .common import Parser, UserError

#: name under which the project is installed
DISTRIBUTION = "open-mtia"

#: name of a command, and of its module here -> what `mtia --help` says about it
COMMANDS: dict[str, str] = {
    "generations": "the four chips: published figures, structure, engine sizes",
    "formats": "the number formats: layout, range, block, which chip has them",
    "run": "run a GEMM or a neural network's layer on the engine's RTL, compared bit for bit",
    "verilog": "write a block of a generation as Verilog",
    "waves": "open the waveform of a run, or write it as a page",
    "doctor": "check the tools this project needs and say how to mend each",
}

EXAMPLES = """\
examples:
  mtia doctor                     is everything installed?
  mtia generations                the four chips side by side
  mtia generations mtia450        one chip, with the source of each figure
  mtia formats --gen mtia450      what its tensor engine multiplies
  mtia COMMAND --help             options and examples of a command
"""


def available() -> dict[str, str]:
    """The rows of `COMMANDS` whose module is installed."""
    return {name: text for name, text in COMMANDS.items() if importlib.util.find_spec(f"{__name__}.{name}")}


class _Version(argparse.Action):
    """``--version``: reads the version only when asked, since that costs more than the rest of the start."""

    def __call__(self, parser: argparse.ArgumentParser, *_args: Any) -> None:
        from importlib import metadata

        try:
            version = metadata.version(DISTRIBUTION)
        except metadata.PackageNotFoundError:
            version = "not installed"
        print(f"{parser.prog} {version}")
        parser.exit()


def build_parser(command: ModuleType | None = None) -> Parser:
    """The parser of the command line, with the options of one command's module."""
    rows = "\n".join(f"  {name:<13} {text}" for name, text in available().items())
    parser = Parser(
        prog="mtia",
        description="The open MTIA family: four AI accelerators as data, golden models and RTL.",
        epilog=f"commands:\n{rows}\n\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", nargs=0, action=_Version, help="show the version and exit")
    subparsers = parser.add_subparsers(
        metavar="COMMAND", dest="command", required=True, help="one of the commands below; each has its own --help"
    )
    if command:
        command.add_parser(subparsers)
    return parser


def _load(name: str) -> ModuleType:
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ImportError as error:
        hint = "" if name == "doctor" else " (try: mtia doctor)"
        raise UserError(f"command {name} lacks a part of the installation: {error}{hint}") from error


def dispatch(argv: Sequence[str]) -> int:
    """Parse the words after `mtia` and run the command; its exit status. Raises UserError."""
    if not argv:
        build_parser().print_help()
        return 0
    if argv[0] in ("-h", "--help", "--version"):
        build_parser().parse_args(argv[:1])
    if argv[0] not in available():
        raise UserError(unknown("Command", argv[0], list(available())))
    command = _load(argv[0])
    args, extra = build_parser(command).parse_known_args(argv)
    if extra:
        raise UserError(f"unrecognized arguments: {' '.join(extra)} (see: mtia {argv[0]} --help)")
    status: int = command.run(args)
    sys.stdout.flush()
    return status


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: exit status of the command line `argv` (default: of this process)."""
    try:
        return dispatch(sys.argv[1:] if argv is None else argv)
    except UserError as error:
        print(f"mtia: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of a pipe has gone (`mtia formats | head`): leave without a word, as other tools do.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130

"""What the commands share: errors, parsers, arguments, tables and JSON."""

import argparse
import contextlib
import json
import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from mtia import formats, generations

#: columns that a table may take
WIDTH = 100


class UserError(Exception):
    """The command cannot be carried out as typed; the message is one line that says why.

    `mtia.cli.main` prints it after ``mtia: error:`` and exits with status 2.
    """


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """Turn a ValueError or OSError of the block into a UserError.

    Put it around the lines that read, check or write what the user named, never around the work in
    between, whose errors are ours.
    """
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise UserError(f"{where}{error.strerror or error}") from error
    except ValueError as error:
        raise UserError(str(error)) from error


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are UserErrors and name the nearest of the allowed choices."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        # argparse has nearest choices from Python 3.14 on; this hook serves subcommands and `choices=` alike.
        if action.choices is not None and value not in action.choices:
            kind = str(action.metavar or action.dest).replace("_", " ").capitalize()
            raise argparse.ArgumentError(None, formats.unknown(kind, value, [str(choice) for choice in action.choices]))

    def error(self, message: str) -> NoReturn:
        """Raise the message as a UserError."""
        raise UserError(f"{message} (see: {self.prog} --help)")


def command_parser(
    subparsers: "argparse._SubParsersAction[Any]", name: str, *, description: str, examples: str
) -> Parser:
    """Add the parser of a command, whose ``--help`` prints `description`, the options and `examples`.

    Both texts may be indented as the code is; their lines are printed as they stand.
    """
    parser: Parser = subparsers.add_parser(
        name,
        description=textwrap.dedent(description).strip(),
        epilog="examples:\n" + textwrap.indent(textwrap.dedent(examples).strip("\n"), "  "),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``; the command then prints one object with `print_json` and nothing else."""
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def _argument(convert: Callable[[str], Any]) -> Callable[[str], Any]:
    def checked(text: str) -> Any:
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return checked


#: ``type=`` of an argument that names a generation; gives the Generation
generation_argument: Callable[[str], generations.Generation] = _argument(generations.get)

#: ``type=`` of an argument that names a number format; gives the Format
format_argument: Callable[[str], formats.Format] = _argument(formats.get)


def add_generation(parser: argparse.ArgumentParser, *, required: bool = False, default: str | None = None) -> None:
    """Add ``--gen``; `args.gen` is the Generation, or None where none was named and there is no default."""
    parser.add_argument(
        "--gen",
        type=generation_argument,
        required=required,
        default=default,
        metavar="GEN",
        help=f"generation: {', '.join(generations.GENERATIONS)}" + (f" (default: {default})" if default else ""),
    )


def add_profile(parser: argparse.ArgumentParser, *, default: str = "sim") -> None:
    """Add ``--profile``; `args.profile` is a name of `generations.PROFILES`."""
    sizes = "; ".join(f"{name}: {row.summary}" for name, row in generations.PROFILES.items())
    parser.add_argument(
        "--profile",
        choices=list(generations.PROFILES),
        default=default,
        help=f"size to build (default: {default}). {sizes}",
    )


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object; numbers that JSON has no word for (infinite, NaN) become null."""
    print(json.dumps(_plain(value), indent=2, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def number(value: float, digits: int = 4) -> str:
    """A number in at most so many significant digits, without trailing zeros; whole numbers in full."""
    if float(value).is_integer() and abs(value) < 1e9:
        return str(int(value))
    return f"{value:.{digits}g}"


def cell(value: object) -> str:
    """What a table prints for a value: numbers by `number`, truth as yes or no, None as "-", the rest by str."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, (int, float)) else str(value)


def table(header: Sequence[str], rows: Sequence[Sequence[object]], *, width: int = WIDTH) -> str:
    """Text of a table: columns aligned (numbers to the right), the last one wrapped to fit `width`.

    Values are printed by `cell`.
    """
    cells = [[cell(value) for value in row] for row in rows]
    right = [
        any(_is_number(row[column]) for row in rows)
        and all(_is_number(row[column]) or row[column] is None for row in rows)
        for column in range(len(header))
    ]
    widths = [max(len(row[column]) for row in [list(header), *cells]) for column in range(len(header))]
    before = sum(widths[:-1]) + 2 * (len(widths) - 1)
    widths[-1] = min(widths[-1], max(width - before, 10))
    lines: list[str] = []
    for row in [list(header), ["-" * size for size in widths], *cells]:
        wrapped = textwrap.wrap(row[-1], widths[-1]) or [""]
        lines.append(_line([*row[:-1], wrapped[0]], widths, right))
        lines.extend(" " * before + more for more in wrapped[1:])
    return "\n".join(lines)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    parts = [
        cell.rjust(size) if flag else cell.ljust(size) for cell, size, flag in zip(cells, widths, right, strict=True)
    ]
    return "  ".join(parts).rstrip()

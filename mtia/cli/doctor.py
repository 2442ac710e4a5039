"""``mtia doctor``: is every tool here, and if not, how to mend it."""

import argparse
import dataclasses
from typing import Any

import tb.doctor as doctor

from .common import add_json, command_parser, print_json


def add_parser(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the parser of ``mtia doctor``."""
    parser = command_parser(
        subparsers,
        "doctor",
        description="""
            Look for every tool that the commands and the tests need (simulator, compiler, libraries,
            synthesis), print what was found, and for each one missing the line to type. Exit status 1
            when one that simulations need is missing; the others only cost a feature.
        """,
        examples="""
            mtia doctor             what is here and what is missing
            mtia doctor --json      the same for a script
        """,
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the checks; 0 when all the needed ones pass, 1 otherwise."""
    checks = doctor.checks()
    ok = all(check.ok or not check.needed for check in checks)
    if args.json:
        print_json({"ok": ok, "checks": [dataclasses.asdict(check) for check in checks]})
    else:
        print(doctor.render(checks))
    return 0 if ok else 1

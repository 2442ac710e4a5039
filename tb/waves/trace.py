"""Recorded waves by clock cycle."""

from bisect import bisect_right
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pywellen

#: the top module of every model a testbench builds, and its clock
TOP = "top"
CLOCK = f"{TOP}.clk"


class Run(NamedTuple):
    """A value and the cycles for which it holds: `first` to before `end`. None: not known."""

    first: int
    end: int
    value: int | None


class Trace:
    """Waves of a design with one clock, read from FST or VCD.

    path:  the file
    clock: full name of the clock

    A cycle ends with a rising edge of the clock; the value of a signal in a cycle is the one that the
    edge sees. Cycles count from 0, at the first edge in the file.

    Raises ValueError for a file that is no waves or holds no such clock, OSError for one that cannot be
    read.
    """

    def __init__(self, path: Path, *, clock: str = CLOCK) -> None:
        path.open("rb").close()
        try:
            waves = pywellen.Waveform(str(path))
        except Exception as error:  # the reader raises bare exceptions of its own
            raise ValueError(f"Waves must be an FST or VCD file, not {path}: {error}") from error
        self.path = path
        self._variables: dict[str, Any] = {
            variable.full_name: variable for variable in waves.all_vars() if "$" not in variable.full_name
        }
        self.scopes: frozenset[str] = frozenset(
            scope.full_name for scope in waves.all_scopes() if not set("$[") & set(scope.full_name)
        )
        if clock not in self._variables:
            raise ValueError(f"Waves must hold the clock {clock}, not only {len(self._variables)} other signals")
        self._edges = [time for time, value in self._variables[clock].tv if value == 1]

    @property
    def cycles(self) -> int:
        """Cycles recorded."""
        return len(self._edges)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Full names of the signals that the design named, sorted."""
        return tuple(sorted(self._variables))

    @cached_property
    def structs(self) -> frozenset[str]:
        """Full names of the signals whose parts are signals too."""
        owners = {name.rpartition(".")[0] for name in self._variables}
        return frozenset(owner for owner in owners if owner in self._variables)

    def __contains__(self, name: str) -> bool:
        return name in self._variables

    def width(self, name: str) -> int:
        """Bits of a signal; KeyError where there is none of that name."""
        return int(self._variables[name].bitwidth)

    def edge(self, cycle: int) -> int:
        """Time of the edge that ends a cycle, in units of the file."""
        return int(self._edges[cycle])

    def runs(self, name: str, first: int, end: int) -> list[Run]:
        """Values of a signal from cycle `first` to before `end`, each with the cycles for which it holds."""
        starts: list[tuple[int, int | None]] = [(first, None)]
        for time, value in self._variables[name].tv:
            cycle = max(bisect_right(self._edges, time), first)
            if cycle >= end:
                break
            known = value if isinstance(value, int) else None
            if starts[-1][0] == cycle:
                starts.pop()
            if not starts or starts[-1][1] != known:
                starts.append((cycle, known))
        if starts[0][0] > first:
            starts.insert(0, (first, None))
        ends = [start for start, _ in starts[1:]] + [end]
        return [Run(start, stop, value) for (start, value), stop in zip(starts, ends, strict=True)]

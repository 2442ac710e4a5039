"""The folder of a run with waves: the waves, what their bits mean, and how the run was made."""

import argparse
import contextlib
import functools
import sys
from pathlib import Path
from typing import Any

from tb.tensor.gemm import GemmLane
from tb.tensor.plan import plan
from tb.verilator import trace_format, trace_notice
from tb.waves.design import describe_design

from .run_files import RUN_FILE, RUNS, RunFolder, run_folder
from .run_product import Product, whole

#: file of a run's folder with the ports and streams of the engine
PORTS_FILE = "ports.json"
#: cycles recorded unless more are asked for: about 16 KB each
DEFAULT_CYCLES = 4000


def add_arguments(parser: argparse.ArgumentParser, *, what: str = "engine") -> None:
    """Add ``--waves`` and ``--waves-cycles``; `what` is recorded."""
    parser.add_argument(
        "--waves",
        nargs="?",
        const=True,
        metavar="FOLDER",
        help=f"record every signal of the {what} into the folder of the run (default: runs/NAME; see: mtia waves)",
    )
    parser.add_argument(
        "--waves-cycles",
        type=functools.partial(whole, "Cycles", least=1),
        default=DEFAULT_CYCLES,
        metavar="N",
        help=f"stop recording after about so many cycles (default: {DEFAULT_CYCLES})",
    )


class WaveRecorder:
    """Records the first cycles of an engine into the folder of a run.

    folder: of the run
    limit:  cycles after which recording stops, at the next set of results
    cycles: recorded
    """

    def __init__(self, folder: RunFolder, *, limit: int) -> None:
        self.folder = folder
        self.limit = limit
        self.cycles = 0
        self._engine: GemmLane | None = None

    @property
    def wave_name(self) -> str:
        """File name of the waves."""
        return f"waves.{trace_format()}"

    def begin(self, engine: GemmLane) -> None:
        """Start to record; also writes the engine's ports into the folder."""
        self.folder.write(PORTS_FILE, describe_design(engine.lane.design))
        engine.lane.trace(self.folder.stage / self.wave_name)
        self._engine = engine

    def step(self) -> None:
        """Stop once the limit is reached."""
        if self._engine is not None and self._engine.lane.cycles >= self.limit:
            self.end()

    def end(self) -> None:
        """Stop."""
        if self._engine is not None:
            self.cycles = self._engine.lane.cycles
            self._engine.lane.trace(None)
            self._engine = None

    def describe(self, product: Product, summary: dict[str, Any]) -> None:
        """Write what was run: the summary that ``--json`` prints, and what the streams carried."""
        m, n, k = product.shape
        work = plan(product.parameters, product.a.format, product.b.format, m, n, k)
        names = (product.a.format.name, product.b.format.name)
        swapped = work.jobs[0].swapped  # of all jobs, if the formats differ
        streamed, stationary = names[::-1] if swapped else names
        extra = {
            "command": ["mtia", *sys.argv[1:]],
            "waves": self.wave_name,
            "recorded_cycles": self.cycles,
            "ports": PORTS_FILE,
            "streamed_operand": "both" if len(work.roles) == 2 else "b" if swapped else "a",
            "streams": {"streamed": streamed, "stationary": stationary},
            "rows_per_beat": work.rows_per_beat,
        }
        self.folder.write(RUN_FILE, extra | summary)


def open_recorder(stack: contextlib.ExitStack, args: argparse.Namespace, name: str) -> WaveRecorder | None:
    """What ``--waves`` asks for: a recorder into the folder that it names, or ``runs/NAME``. Raises UserError."""
    if args.waves is None:
        return None
    if notice := trace_notice():
        print(notice, file=sys.stderr)
    folder = stack.enter_context(run_folder(RUNS / name if args.waves is True else Path(args.waves)))
    return WaveRecorder(folder, limit=args.waves_cycles)

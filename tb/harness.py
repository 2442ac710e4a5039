"""Builds what a lane drives: the model's ports as C++ types, Verilator's options, the cache."""

import ctypes
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import verilator
from .compile import Recipe
from .models.cpp import CppModel, models_files, models_header
from .ports import TOP, Design, Port, StreamPort

_SOURCES = Path(__file__).parent / "cpp"

#: Of each function of a library: its result type and its argument types, of ctypes.
EntryPoints = Mapping[str, tuple[Any, Sequence[Any]]]

#: Options of the compiler for a library that Python loads.
_LIBRARY = ("-fPIC", "-fvisibility=hidden")


def library(design: Design, *, models: Sequence[CppModel] = (), trace: bool = False, optimise: str = "-O1") -> Path:
    """Shared library of ``design`` with the lane's entry points, from the cache or built now.

    ``models`` stand beside the design. ``optimise`` is the compiler's option for all of it: the tensor engine ran no
    faster with -O2 than with -O1 and took 1.8 times as long to compile. Raises ``verilator.BuildError``, and for
    models ``ValueError`` or ``KeyError`` where they do not fit the design.
    """
    extra = {"lane_models.h": models_header(design, models, member), **models_files(models)}
    return build(design, "lane.cpp", "lane.so", shared=True, extra=extra, trace=trace, optimise=optimise)


def bind(path: Path, entry_points: EntryPoints) -> ctypes.CDLL:
    """Load a library and give each entry point named its result type and its argument types."""
    loaded = ctypes.CDLL(str(path))
    for name, (result, arguments) in entry_points.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


@functools.cache
def load(path: Path) -> ctypes.CDLL:
    """Load a lane's library, once a process, with the argument and result types of its entry points."""
    pointer, integer, index = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_int
    entry_points: EntryPoints = {
        "lane_new": (pointer, []),
        "lane_free": (None, [pointer]),
        "lane_cycle": (integer, [pointer]),
        "lane_culprit": (index, [pointer]),
        "lane_message": (ctypes.c_char_p, [pointer]),
        "lane_reset": (index, [pointer, integer]),
        "lane_push": (None, [pointer, index, pointer, integer, integer, pointer]),
        "lane_pull": (None, [pointer, index, pointer, integer]),
        "lane_waiting": (integer, [pointer, index]),
        "lane_transfers": (integer, [pointer, index]),
        "lane_transfer_cycles": (integer, [pointer, index, pointer]),
        "lane_begin": (None, [pointer, pointer, integer, index]),
        "lane_run": (index, [pointer, pointer, index, index, integer, integer]),
        "lane_settle": (index, [pointer]),
        "lane_state": (None, [pointer, index, pointer]),
        "lane_set": (None, [pointer, index, ctypes.c_char_p]),
        "lane_get": (index, [pointer, index, ctypes.c_char_p]),
        "lane_model_call": (index, [pointer, index, index, ctypes.c_char_p, integer, pointer, pointer]),
        "lane_trace": (None, [pointer, ctypes.c_char_p]),
    }
    return bind(path, entry_points)


def plain_executable(design: Design, *, optimise: str = "-O1") -> Path:
    """Executable of ``design`` under a plain C++ ``main``: what the lane's speed is compared with."""
    return build(design, "main.cpp", "main", shared=False, extra={}, trace=False, optimise=optimise)


def build(
    design: Design,
    harness: str,
    product: str,
    *,
    shared: bool,
    extra: Mapping[str, str],
    trace: bool,
    optimise: str,
    apart: Sequence[str] = (),
) -> Path:
    """The file ``product`` that Verilator and the C++ compiler make of a design and ``harness``, a file of ``tb/cpp``.

    It is ``shared`` if Python loads it. ``extra`` are the headers that the harness includes beside ``lane_ports.h``,
    ``bench.h``, ``streams.h`` and ``wave.h``: name -> text. Instances of the modules named ``apart``, or of those that
    a pattern with ``?`` and ``*`` names, are evaluated each by itself instead of all in step. From the cache or built
    now; raises ``verilator.BuildError``.
    """
    files = {
        "lint.vlt": verilator.lint_file() + "".join(f'no_inline -module "{name}"\n' for name in apart),
        "top.v": design.verilog if trace else with_registered_reset(design),
        "lane_ports.h": ports_header(design, trace=trace),
        "bench.h": (_SOURCES / "bench.h").read_text(),
        **{name: (_SOURCES / name).read_text() for name in ("streams.h", "wave.h")},
        harness: (_SOURCES / harness).read_text(),
        **extra,
    }
    recipe = Recipe(
        product=product,
        sources=[harness, "lint.vlt", "top.v"],
        options=["--timescale", "1ns/1ns", *verilator.warning_options(), *verilator.trace_options(trace)],
        flags=["-std=c++17", "-DVL_USER_FATAL", "-DVL_USER_STOP", *(_LIBRARY if shared else ())],
        link=["-shared"] if shared else [],
        optimise=optimise,
    )
    return recipe.fetch(files)


def with_registered_reset(design: Design) -> str:
    """Verilog of a design inside a module that gives it the reset a cycle later, from a register.

    Verilator evaluates what depends on an input twice a cycle, and what a register may be reset to depends on the
    reset: as an input it costs a third of the speed. A harness lets one cycle more pass after a reset.
    """
    if design.reset is None or design.clock is None:
        return design.verilog
    inner, count = re.subn(rf"^module {TOP}\(", f"module {TOP}_inner(", design.verilog, flags=re.MULTILINE)
    if count != 1:
        raise ValueError(f"Verilog of {design.name!r} must have one module {TOP!r}, not {count!r}")
    ports = [(design.clock, 1, True), (design.reset, 1, True)]
    ports += [(port.name, port.width, port.driven) for port in design.plain]
    for stream in design.streams:
        ports.append((stream.payload.name, stream.payload.width, stream.driven))
        handshake = ((stream.valid, stream.driven), (stream.ready, not stream.driven))
        ports += [(name, 1, driven) for name, driven in handshake if name is not None]
    ways = {True: "input", False: "output"}
    # escaped, as a port may be called like a keyword
    declared = ",\n".join(f"  {ways[driven]} [{width - 1}:0] \\{name} " for name, width, driven in ports)
    inside = {name: f"\\{name} " for name, _, _ in ports} | {design.reset: "reset_register"}
    connected = ", ".join(f".\\{name} ({value})" for name, value in inside.items())
    return f"""{inner}
module {TOP}(
{declared}
);
  reg reset_register = 1'b0;
  always @(posedge \\{design.clock} ) reset_register <= \\{design.reset} ;
  {TOP}_inner inner({connected});
endmodule
"""


def ports_header(design: Design, *, trace: bool) -> str:
    """C++ of ``lane_ports.h``: a type for each stream, a case for each plain port, the clock and the reset."""
    inputs = [stream for stream in design.streams if stream.driven]
    outputs = [stream for stream in design.streams if not stream.driven]
    wave = verilator.trace_format() if trace else ""
    lines = [
        f"#define LANE_TRACE_FST {int(wave == 'fst')}",
        f"#define LANE_TRACE_VCD {int(wave == 'vcd')}",
        f"#define LANE_RESET_REGISTERED {int(not trace and None not in (design.clock, design.reset))}",
        "template <class...> struct Types {};",
        *(line for index, stream in enumerate(inputs) for line in _input_type(index, stream)),
        *(line for index, stream in enumerate(outputs) for line in _output_type(index, stream)),
        f"using Inputs = Types<{', '.join(f'In{index}' for index in range(len(inputs)))}>;",
        f"using Outputs = Types<{', '.join(f'Out{index}' for index in range(len(outputs)))}>;",
        f"inline void set_clock(Vtop& m, bool v) {{ {_assignment(design.clock)} }}",
        f"inline void set_reset(Vtop& m, bool v) {{ {_assignment(design.reset)} }}",
        *_plain_access("inline void set_plain(Vtop& m, int index, const uint32_t* words)", "store", design.plain),
        *_plain_access("inline void get_plain(Vtop& m, int index, uint32_t* words)", "load", design.plain),
    ]
    return "\n".join(lines) + "\n"


def member(name: str) -> str:
    """Member of the model's class for a Verilog port: Verilator escapes each pair of underscores."""
    return "m." + name.replace("__", "___05F")


def _assignment(port: str | None) -> str:
    return f"{member(port)} = v;" if port else ""


def _value(port: str | None) -> str:
    return member(port) if port else "true"


def _input_type(index: int, stream: StreamPort) -> Iterable[str]:
    top_bits = stream.payload.width - 32 * (stream.words - 1)
    yield f"struct In{index} {{"
    yield f"    static constexpr int words = {stream.words};"
    yield f"    static constexpr uint32_t top_mask = {hex((1 << top_bits) - 1)};"
    yield f"    static auto& payload(Vtop& m) {{ return {member(stream.payload.name)}; }}"
    yield f"    static void set_valid(Vtop& m, bool v) {{ {_assignment(stream.valid)} }}"
    yield f"    static bool ready(Vtop& m) {{ return {_value(stream.ready)}; }}"
    yield "};"


def _output_type(index: int, stream: StreamPort) -> Iterable[str]:
    yield f"struct Out{index} {{"
    yield f"    static constexpr int words = {stream.words};"
    yield f"    static constexpr bool has_ready = {'true' if stream.ready else 'false'};"
    yield f"    static auto& payload(Vtop& m) {{ return {member(stream.payload.name)}; }}"
    yield f"    static bool valid(Vtop& m) {{ return {_value(stream.valid)}; }}"
    yield f"    static void set_ready(Vtop& m, bool v) {{ {_assignment(stream.ready)} }}"
    yield "};"


def _plain_access(signature: str, function: str, ports: Iterable[Port]) -> Iterable[str]:
    yield f"{signature} {{"
    yield "    switch (index) {"
    for index, port in enumerate(ports):
        yield f"        case {index}: {function}({member(port.name)}, words); break;"
    yield "        default: break;"
    yield "    }"
    yield "}"

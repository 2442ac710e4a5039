"""A scale-up domain in simulation: many objects of one Verilated node, their memories, wires and the switch, in C++.

The node is a component with the streams and plain ports of `ROLES`: the message engine with its link, and the far end
of that link. Everything between the nodes is C++ (``tb/cpp/domain*.h``): the wires with their latency and errors, the
switch with multicast and reductions. The switch is held to the RTL by a test at 8 ports.
"""

import ctypes
import functools
import os
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from amaranth.lib import wiring
from numpy.typing import NDArray

from mtia import message
from mtia.link import COUNTERS
from mtia.message_profiles import MessageParameters
from mtia.switch import SWITCH_SOURCE

from .. import harness
from ..lane import SimulationError
from ..ports import Design, design_of
from . import golden_header

_SOURCES = Path(__file__).parents[1] / "cpp"
_HEADERS = (
    "domain_golden.h",
    "domain_golden_receiver.h",
    "domain_golden_tables.h",
    "domain_golden_units.h",
    "domain_memory.h",
    "domain_reduce.h",
    "domain_switch.h",
    "domain_wire.h",
)

#: what the harness calls a stream of the node -> its name in the node's signature
STREAM_ROLES: Mapping[str, str] = {
    "DoorbellPort": "doorbell",
    "ConfigurePort": "configure",
    "CompletionPort": "completion",
    "ReadPort": "read",
    "ReadDataPort": "read_data",
    "SumReadPort": "sum_read",
    "SumDataPort": "sum_data",
    "WritePort": "write",
    "SumWritePort": "sum_write",
    "Up0": "up__0",
    "Up1": "up__1",
    "Down0": "down__0",
    "Down1": "down__1",
}

#: and the ends of its wires, `valid` and `frame` each; a node without them speaks to the switch directly
WIRE_ROLES: Mapping[str, str] = {
    "NearOut": "near_out",
    "NearIn": "near_in",
    "FarOut": "far_out",
    "FarIn": "far_in",
}

#: Lanes of the reducer: all in step, what each has under way would not stay in the processor's registers.
_APART = ("OrderedLane_??????????",)

#: cycles between two looks at Python's signals and at the progress
_SLICE_CYCLES = 512

_COMPLETED, _CYCLES, _QUIET, _BROKEN = range(4)


@dataclass(frozen=True, kw_only=True)
class DomainSettings:
    """What stands between the nodes.

    memory_latency: cycles from a read to its data; wire_latency: cycles a frame takes; flit_error_rate: chance of a
    flipped bit in a frame; queue_flits: depth of each virtual output queue; multicast_flits: of each output's queue of
    multicast flits; pieces: reductions that a port's unit holds; seed: decides the errors.
    """

    memory_latency: int = 16
    wire_latency: int = 8
    flit_error_rate: float = 0.0
    queue_flits: int = 64
    multicast_flits: int = 16
    pieces: int = 16
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("memory_latency", "wire_latency", "queue_flits", "multicast_flits", "pieces"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)!r}")
        if not 0 <= self.flit_error_rate < 1:
            raise ValueError(f"flit_error_rate must be from 0 to below 1, not {self.flit_error_rate!r}")

    def words(self) -> NDArray[np.int64]:
        """As the C++ takes them."""
        rate = int(self.flit_error_rate * (1 << 32))
        queues = (self.queue_flits, self.multicast_flits, self.pieces)
        return np.array([self.memory_latency, self.wire_latency, rate, self.seed & (1 << 32) - 1, *queues], np.int64)


@dataclass(frozen=True, kw_only=True)
class Completion:
    """A completion of a node: the fields of `mtia.message.COMPLETION` and the cycle in which it came."""

    node: int
    cycle: int
    command: int
    status: message.Status
    detail: int
    partition: int
    bytes: int
    cycles: int
    phase: int


class Domain:
    """Many nodes around one switch.

    Parameters
    ----------
    node : the component of a node, or what ``tb.ports.design_of`` made of it.
    nodes : how many, 1 to 72; node i is at port i of the switch.
    memory_bytes : memory of each.
    settings : latencies, errors and depths between them.
    waves : index of an RTL node whose waves can be written; None builds without.
    rtl : indices of the nodes that are RTL; None: all. The others are golden: a model of packets and jobs in C++, many
        times as fast, which does what the RTL does, though not to the cycle, behind a link without errors.
    parameters : of the golden nodes' engines, those of the RTL's; needed only where there are golden ones.

    Raises ``ValueError`` for counts and indices out of range, and for golden nodes without parameters; ``KeyError`` for
    a node without a port of its role, ``tb.verilator.BuildError`` if it does not build.
    """

    def __init__(
        self,
        node: wiring.Component | Design,
        *,
        nodes: int,
        memory_bytes: int,
        settings: DomainSettings | None = None,
        waves: int | None = None,
        rtl: Collection[int] | None = None,
        parameters: MessageParameters | None = None,
    ) -> None:
        if not 1 <= nodes <= message.MAX_RANKS:
            raise ValueError(f"Nodes must be from 1 to {message.MAX_RANKS}, not {nodes!r}")
        if waves is not None and not 0 <= waves < nodes:
            raise ValueError(f"Node of the waves must be from 0 to {nodes - 1}, not {waves!r}")
        self._rtl = frozenset(range(nodes) if rtl is None else rtl)
        if not self._rtl <= frozenset(range(nodes)):
            raise ValueError(f"RTL nodes must be from 0 to {nodes - 1}, not {sorted(self._rtl)!r}")
        if waves is not None and waves not in self._rtl:
            raise ValueError(f"Node of the waves must be RTL, as {sorted(self._rtl)!r} are, not {waves!r}")
        if len(self._rtl) < nodes and parameters is None:
            raise ValueError("Parameters must be those of the engine where there are golden nodes, not None")
        self._nodes, self._bytes, self._waves = nodes, memory_bytes, waves
        self._settings = settings or DomainSettings()
        self._design = design_of(node, name="domain")
        self._library = _load(_library(self._design, trace=waves is not None))
        wave = -1 if waves is None else waves
        words, sizes = self._settings.words(), _sizes(parameters or MessageParameters())
        kinds = np.array([node_index in self._rtl for node_index in range(nodes)], np.uint8)
        tables = (words.ctypes.data, kinds.ctypes.data, sizes.ctypes.data)
        self._handle = ctypes.c_void_p(self._library.domain_new(nodes, memory_bytes, wave, *tables))
        self._close = weakref.finalize(self, self._library.domain_free, self._handle)
        self._library.domain_reset(self._handle, 2)
        self._completed: list[Completion] = []
        self._seconds = 0.0

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return self._nodes

    @property
    def rtl(self) -> frozenset[int]:
        """Indices of the nodes that are RTL; the others are golden."""
        return self._rtl

    @property
    def design(self) -> Design:
        """The node's Verilog and ports."""
        return self._design

    @property
    def cycles(self) -> int:
        """Cycles since the reset."""
        return int(self._library.domain_cycle(self._handle))

    @property
    def cpu_seconds(self) -> float:
        """CPU time of this process in `run` since the reset: that of the simulation alone."""
        return self._seconds

    def memory(self, node: int) -> NDArray[np.uint8]:
        """The memory of a node, to read and to write between two runs."""
        self._check(node)
        address = self._library.domain_memory(self._handle, node)
        array = np.ctypeslib.as_array(ctypes.cast(address, ctypes.POINTER(ctypes.c_uint8)), (self._bytes,))
        weakref.finalize(array, lambda domain: None, self)  # the memory lives as long as someone looks at it
        return array

    def configure(self, node: int, word: int) -> None:
        """Queue a word on the node's `configure` stream."""
        self._feed(node, 1, "configure", word, 0)

    def doorbell(self, node: int, word: int, *, not_before: int = 0) -> None:
        """Queue a word on the node's `doorbell` stream, not offered before that cycle."""
        self._feed(node, 0, "doorbell", word, not_before)

    def group(self, number: int, ports: Iterable[int]) -> None:
        """Make the ports the members of a multicast group of the switch."""
        bitmap = np.zeros(4, np.uint32)
        for port in ports:
            bitmap[port // 32] |= np.uint32(1 << port % 32)
        self._library.domain_group(self._handle, number, bitmap.ctypes.data)

    def run(
        self,
        *,
        completions: int = 0,
        cycles: int = 1 << 40,
        quiet: int = 20_000,
        progress: Callable[[int, int], None] | None = None,
    ) -> int:
        """Advance until so many completions more came in, of all nodes together (0: exactly `cycles`); the cycles run.

        `progress` is told now and then of the completions that came, and of those to come.

        Raises ``SimulationError`` when nothing moved for `quiet` cycles, or `cycles` are over, before they came.
        """
        start = self.cycles
        self._collect()
        wanted = len(self._completed) + completions
        while self.cycles - start < cycles:
            left = wanted - len(self._completed) if completions else 0
            budget = min(_SLICE_CYCLES, cycles - (self.cycles - start))
            started = time.process_time()
            end = self._library.domain_run(self._handle, left, budget, quiet if completions else 1 << 62)
            self._seconds += time.process_time() - started
            self._collect()
            if end == _BROKEN:
                raise SimulationError(f"domain: {self._library.domain_message(self._handle).decode()}")
            if completions and len(self._completed) >= wanted:
                return self.cycles - start
            if progress is not None:
                progress(completions - (wanted - len(self._completed)), completions)
            if end == _QUIET:
                break
        if completions:
            came = completions - (wanted - len(self._completed))
            raise SimulationError(f"domain: {came} of {completions} completions after {self.cycles - start} cycles")
        return self.cycles - start

    def completions(self) -> list[Completion]:
        """Those that came since the last call, in the order of nodes within a run."""
        self._collect()
        taken, self._completed = self._completed, []
        return taken

    def first_flit(self, node: int) -> int | None:
        """Cycle of the first flit of the node on channel REQUEST at the switch since the last call."""
        return self._moment(node, 0)

    def first_write(self, node: int) -> int | None:
        """Cycle of the first write that came to the node over the network since the last call."""
        return self._moment(node, 1)

    def last_write(self, node: int) -> int | None:
        """Cycle of the last such write since the last call."""
        return self._moment(node, 2)

    def _moment(self, node: int, which: int) -> int | None:
        self._check(node)
        return int(self._library.domain_moment(self._handle, node, which)) or None

    def counts(self) -> dict[str, int]:
        """Flits into and out of the switch, frames with an error, contributions that the switch reduced."""
        values = np.zeros(4, np.uint64)
        self._library.domain_counts(self._handle, values.ctypes.data)
        names = ("flits_in", "flits_out", "errors", "reduced")
        return dict(zip(names, map(int, values), strict=True))

    def refused(self, node: int) -> int:
        """Packets that a node has refused."""
        self._check(node)
        if node in self._rtl:
            return self.plain(node, "refused")
        return int(self._library.domain_refused(self._handle, node))

    def plain(self, node: int, port: str) -> int:
        """Value of a plain output of an RTL node; ValueError for a golden one, which has no ports."""
        self._check(node)
        if node not in self._rtl:
            raise ValueError(f"Node of port {port} must be RTL, as {sorted(self._rtl)!r} are, not {node!r}")
        found = self._design.port(port)
        words = np.zeros(found.words + 1, np.uint32)
        self._library.domain_plain(self._handle, node, self._design.plain.index(found), words.ctypes.data)
        return int.from_bytes(words.tobytes(), "little") & (1 << found.width) - 1

    def links(self) -> dict[str, int]:
        """The counters of the links of RTL nodes, both ends, summed: `mtia.link.COUNTERS`."""
        layout = tuple((name, 32) for name in COUNTERS)
        total = dict.fromkeys(COUNTERS, 0)
        for node in self._rtl:
            for port in ("near_counters", "far_counters"):
                for name, value in message.unpack(layout, self.plain(node, port)).items():
                    total[name] += value
        return total

    def trace(self, path: str | os.PathLike[str] | None) -> None:
        """Write waves of the node chosen at the start to `path` until ``trace(None)``.

        Raises ``ValueError`` where none was chosen, ``OSError`` when the file cannot be written.
        """
        if self._waves is None:
            raise ValueError("Domain must be built with the node of the waves to write them, not without")
        if path is not None:
            open(path, "wb").close()  # Verilator would say nothing
        self._library.domain_trace(self._handle, None if path is None else os.fsencode(path))

    def close(self) -> None:
        """Free the nodes and end the waves."""
        self._close()

    def _check(self, node: int) -> None:
        if not 0 <= node < self._nodes:
            raise ValueError(f"Node must be from 0 to {self._nodes - 1}, not {node!r}")

    def _feed(self, node: int, which: int, stream: str, word: int, not_before: int) -> None:
        self._check(node)
        port = self._design.stream(stream)
        words = np.frombuffer(word.to_bytes(4 * port.words, "little"), np.uint32)
        self._library.domain_feed(self._handle, node, which, words.ctypes.data, not_before)

    def _collect(self) -> None:
        words_each = self._design.stream("completion").words
        for node in range(self._nodes):
            count = int(self._library.domain_completions(self._handle, node, None, None))
            if not count:
                continue
            words = np.zeros((count, words_each), np.uint32)
            cycles = np.zeros(count, np.uint64)
            self._library.domain_completions(self._handle, node, words.ctypes.data, cycles.ctypes.data)
            for row, cycle in zip(words, cycles, strict=True):
                fields = message.unpack(message.COMPLETION, int.from_bytes(row.tobytes(), "little"))
                del fields["reserved"]
                status = message.Status(fields.pop("status"))
                self._completed.append(Completion(node=node, cycle=int(cycle), status=status, **fields))


def _sizes(parameters: MessageParameters) -> NDArray[np.int64]:
    """Of golden nodes, as the C++ takes them."""
    names = ("mtu", "windows", "communicators", "partitions", "completions")
    return np.array([*(getattr(parameters, name) for name in names), message.DIRECTORY_ENTRIES], np.int64)


def _library(design: Design, *, trace: bool) -> Path:
    """Shared library of a domain of such nodes, from the cache or built now."""
    return harness.build(
        design,
        "domain.cpp",
        "domain.so",
        shared=True,
        extra=_headers(design),
        trace=trace,
        optimise="-O2",
        apart=_APART,
    )


def _headers(design: Design) -> dict[str, str]:
    """The headers beside the harness, the node's ports by their roles among them."""
    texts = {name: (_SOURCES / name).read_text() for name in _HEADERS}
    inputs = [stream.name for stream in design.streams if stream.driven]
    outputs = [stream.name for stream in design.streams if not stream.driven]
    lines = ["namespace {"]
    for role, name in STREAM_ROLES.items():
        stream = design.stream(name)
        kind = f"In{inputs.index(name)}" if stream.driven else f"Out{outputs.index(name)}"
        lines.append(f"using {role} = {kind};")
    plain = {port.name: port for port in design.plain}
    if any(f"{name}__frame" in plain for name in WIRE_ROLES.values()):
        lines.append("#define DOMAIN_WIRES 1")
        for role, name in WIRE_ROLES.items():
            valid, frame = (design.port(f"{name}__{part}") for part in ("valid", "frame"))
            lines += [
                f"struct {role} {{",
                f"    static constexpr int width = {frame.width};",
                f"    static auto& valid(Vtop& m) {{ return {harness.member(valid.name)}; }}",
                f"    static auto& frame(Vtop& m) {{ return {harness.member(frame.name)}; }}",
                "};",
            ]
    texts["domain_names.h"] = "\n".join([*lines, "}", ""])
    texts["domain_header.h"] = _header_fields()
    texts["domain_golden_layouts.h"] = golden_header.text()
    return texts


def _header_fields() -> str:
    lines = ["#pragma once", "namespace {", "struct HeaderField {", "    int offset, width;", "};"]
    offset = 0
    for name, bits in message.HEADER:
        lines.append(f"constexpr HeaderField {golden_header.camel(name)}{{{offset}, {bits}}};")
        offset += bits
    lines += [f"constexpr int {golden_header.camel(op.name)}Op = {op.value};" for op in message.PacketOp]
    lines += [f"constexpr int {golden_header.camel(channel.name)} = {channel.value};" for channel in message.Channel]
    lines.append(f"constexpr int kSwitchSource = {SWITCH_SOURCE};")
    return "\n".join([*lines, "}", ""])


@functools.cache
def _load(path: Path) -> ctypes.CDLL:
    """Load a domain's library, once a process, with the types of its entry points."""
    pointer, integer, index, text = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p
    entry_points: harness.EntryPoints = {
        "domain_new": (pointer, [index, integer, index, pointer, pointer, pointer]),
        "domain_free": (None, [pointer]),
        "domain_reset": (None, [pointer, index]),
        "domain_cycle": (integer, [pointer]),
        "domain_message": (text, [pointer]),
        "domain_memory": (pointer, [pointer, index]),
        "domain_feed": (None, [pointer, index, index, pointer, integer]),
        "domain_group": (None, [pointer, index, pointer]),
        "domain_run": (index, [pointer, integer, integer, integer]),
        "domain_completions": (integer, [pointer, index, pointer, pointer]),
        "domain_moment": (integer, [pointer, index, index]),
        "domain_counts": (None, [pointer, pointer]),
        "domain_plain": (None, [pointer, index, index, pointer]),
        "domain_refused": (integer, [pointer, index]),
        "domain_trace": (None, [pointer, text]),
    }
    return harness.bind(path, entry_points)

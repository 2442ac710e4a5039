"""Bulk simulation: beats go in and out of a Verilated component as numpy buffers, at the model's own speed."""

import ctypes
import operator
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from amaranth.hdl import ShapeLike
from amaranth.lib import wiring
from numpy.typing import NDArray

from .beats import pack, unpack
from .buffers import as_cycles, as_words
from .harness import library, load
from .models.cpp import Call, CppModel
from .ports import TOP, Design, StreamPort, design_of

_DONE, _SLICE, _STALLED, _MAX_CYCLES, _WITHDRAWN, _UNSTABLE, _FAILED = range(7)

#: Cycles between two looks at Python's signals, so that an interrupt is served.
_SLICE_CYCLES = 1 << 18


class SimulationError(RuntimeError):
    """A run ended otherwise than asked: stalled, out of cycles, a stream rule broken, an assertion failed."""


class Lane:
    """One Verilated instance of a component, driven over buffers.

    Every stream of the component's signature has a queue: ``push`` fills an input's, ``run`` moves beats, ``pull``
    empties an output's. The model is built once for its Verilog and shared through ``tb.cache``; instances are
    independent of each other. A beat is the payload's bits in 32-bit words, least significant word first.

    The rising edge of a cycle takes every beat whose valid and ready are high before it. Without pauses inputs are
    offered and outputs accepted in every cycle.

    Parameters
    ----------
    component : the design, or what ``tb.ports.design_of`` made of it; its ports decide streams and plain ports.
    name : names the design in messages.
    models : C++ models that run beside the design, each called every cycle (see ``tb.models.cpp``).
    trace : build the model with waves (slower; another entry of the cache).
    optimise : optimisation option of the C++ compiler.

    Raises ``TypeError`` if ``component`` is no component, ``tb.verilator.BuildError`` if it does not build.
    """

    def __init__(
        self,
        component: wiring.Component | Design,
        *,
        name: str = TOP,
        models: Sequence[CppModel] = (),
        trace: bool = False,
        optimise: str = "-O1",
    ) -> None:
        self._design = design_of(component, name=name)
        self._trace = trace
        self._library = load(library(self._design, models=models, trace=trace, optimise=optimise))
        self._streams = _ordered(self._design)
        self._handle = ctypes.c_void_p(self._library.lane_new())
        self._close = weakref.finalize(self, self._library.lane_free, self._handle)
        for index, model in enumerate(models):
            model.attach(self._call_of(index))
        self.reset()

    @property
    def design(self) -> Design:
        """The design's Verilog and ports."""
        return self._design

    @property
    def cycles(self) -> int:
        """Clock cycles since the last reset."""
        return int(self._library.lane_cycle(self._handle))

    def layout(self, stream: str) -> ShapeLike:
        """Shape of a stream's payload, for ``tb.beats.pack`` and ``unpack``."""
        return self._design.stream(stream).payload.shape

    def reset(self, cycles: int = 2) -> None:
        """Hold reset for ``cycles``; drop all beats, queued or waiting; count cycles from 0 again."""
        self._check(self._library.lane_reset(self._handle, cycles))

    def push(
        self, stream: str, beats: NDArray[Any] | Mapping[str, Any], *, not_before: NDArray[Any] | None = None
    ) -> None:
        """Queue beats on an input.

        ``beats`` is uint32 (n, words), or uint8 (n, bytes) with the payload's bytes little-endian, or a mapping of
        the payload's fields to arrays as ``tb.beats.pack`` takes it. ``not_before`` (n,) holds the cycle, counted
        from the last reset, before which each beat is not offered; beats stay in order, and a run that waits for
        such a cycle does not stall. Raises ``ValueError`` on another shape or on bits past the payload's width,
        ``TypeError`` on another type.
        """
        index, port = self._find(stream, driven=True)
        words = pack(port.payload.shape, beats) if isinstance(beats, Mapping) else as_words(port, beats)
        cycles = None if not_before is None else as_cycles(port, not_before, len(words))
        first = None if cycles is None else cycles.ctypes.data
        self._library.lane_push(self._handle, index, words.ctypes.data, len(words), port.words, first)

    def pull(self, stream: str, count: int | None = None) -> NDArray[np.uint32]:
        """Take ``count`` beats (all by default) that an output has given: uint32 (n, words).

        Raises ``ValueError`` when fewer wait.
        """
        index, port = self._find(stream, driven=False)
        waiting = self.waiting(stream)
        wanted = waiting if count is None else operator.index(count)
        if not 0 <= wanted <= waiting:
            raise ValueError(f"Count must be at most the {waiting} beats waiting on {stream!r}, not {count!r}")
        words = np.empty((wanted, port.words), np.uint32)
        self._library.lane_pull(self._handle, index, words.ctypes.data, words.size)
        return words

    def pull_fields(self, stream: str, count: int | None = None) -> Any:
        """As ``pull``, unpacked by ``tb.beats.unpack`` into the payload's fields."""
        return unpack(self.layout(stream), self.pull(stream, count))

    def waiting(self, stream: str) -> int:
        """Beats in a stream's queue: not yet taken by the design (input), not yet pulled (output)."""
        index, port = self._find(stream)
        return int(self._library.lane_waiting(self._handle, index)) // port.words

    def run(
        self,
        until: Mapping[str, int] | None = None,
        *,
        cycles: int | None = None,
        max_cycles: int = 1 << 40,
        stall_cycles: int = 100_000,
        pauses: Mapping[str, float] | None = None,
        seed: int = 1,
        record: bool = False,
        watch: Callable[[], None] | None = None,
        every: int = _SLICE_CYCLES,
    ) -> int:
        """Advance the clock; returns the cycles run.

        Parameters
        ----------
        until : for each output named, the beats that must wait to be pulled; the run ends with the cycle that
            brings the last of them. By default the run ends when every input has been taken.
        cycles : run exactly so many cycles instead.
        max_cycles : the most cycles this run may take.
        stall_cycles : the most cycles in a row without a transfer on any stream.
        pauses : for each stream named, the chance (0 to below 1) that in a cycle an input's next beat is held back
            or an output is not ready. An offered beat stays until taken; while an input pauses its payload is
            random bits.
        seed : decides the pauses.
        record : keep the cycle number of each transfer for ``transfer_cycles``.
        watch, every : called after each so many cycles, for progress and the like; it may look, and end a trace.

        Raises ``SimulationError`` with the state of every stream when the run stalls, runs out of cycles, an
        assertion fails, or (watched where there are pauses or waves) an output withdraws its valid or changes its
        payload before it was accepted.
        """
        needs = self._needs(until or {})
        drain = until is None
        fixed = cycles is not None
        thresholds = self._thresholds(pauses or {})
        start = self.cycles
        end = start + (operator.index(cycles) if cycles is not None else max_cycles)
        self._library.lane_begin(self._handle, thresholds, seed & (1 << 64) - 1, record)
        stall = (1 << 63) if fixed else stall_cycles
        status = _SLICE
        while status == _SLICE and self.cycles < end:
            limit = min(end, self.cycles + every)
            status = self._library.lane_run(self._handle, needs, drain, fixed, limit, stall)
            if watch is not None:
                watch()
        if status == _SLICE and not fixed:
            status = _MAX_CYCLES
        if status not in (_DONE, _SLICE):
            raise SimulationError(self._explain(status, self.cycles - start))
        self._check(self._library.lane_settle(self._handle))
        return self.cycles - start

    def transfers(self, stream: str) -> int:
        """Beats transferred on a stream since the last reset."""
        return int(self._library.lane_transfers(self._handle, self._find(stream)[0]))

    def transfer_cycles(self, stream: str) -> NDArray[np.uint64]:
        """Cycle number of each transfer on a stream during runs with ``record``, oldest first."""
        index, _ = self._find(stream)
        out = np.empty(self._library.lane_transfer_cycles(self._handle, index, None), np.uint64)
        self._library.lane_transfer_cycles(self._handle, index, out.ctypes.data)
        return out

    def set(self, port: str, value: int) -> None:
        """Drive a plain input from the next cycle on; negative values are two's complement."""
        found = self._design.port(port)
        if not found.driven:
            raise ValueError(f"Port must be an input of the design, not {port!r}")
        if not -(1 << found.width - 1) <= value < 1 << found.width:
            raise ValueError(f"Value of {port!r} must fit {found.width} bits, not {value!r}")
        data = (value & (1 << found.width) - 1).to_bytes(8 * -(-found.width // 64), "little")
        self._library.lane_set(self._handle, self._design.plain.index(found), data)

    def get(self, port: str) -> int:
        """Value of a plain port after the last cycle, unsigned."""
        found = self._design.port(port)
        buffer = ctypes.create_string_buffer(8 * -(-found.width // 64))
        self._check(self._library.lane_get(self._handle, self._design.plain.index(found), buffer))
        return int.from_bytes(buffer.raw, "little") & (1 << found.width) - 1

    def trace(self, path: str | os.PathLike[str] | None) -> None:
        """Write waves to ``path`` (FST, or VCD where ``tb.verilator.trace_notice`` says so) until ``trace(None)``.

        A cycle is 10 ns. Raises ``ValueError`` when the lane was not built with ``trace=True``, ``OSError`` when the
        file cannot be written.
        """
        if not self._trace:
            raise ValueError(f"Lane must be built with trace=True to write waves, not {self._trace!r}")
        if path is not None:
            open(path, "wb").close()  # Verilator would say nothing
        self._library.lane_trace(self._handle, None if path is None else os.fsencode(path))

    def close(self) -> None:
        """Free the instance and end its waves; a lane that is no longer referenced closes by itself."""
        self._close()

    def state(self) -> str:
        """One line for each stream: its valid and ready, beats queued and transferred."""
        lines = []
        for index, stream in enumerate(self._streams):
            out = (ctypes.c_uint64 * 4)()
            self._library.lane_state(self._handle, index, out)
            queue = "to send" if stream.driven else "to pull"
            lines.append(
                f"  {stream.name}: valid={out[0]} ready={out[1]}, "
                f"{out[2] // stream.words} {queue}, {out[3]} transferred"
            )
        return "\n".join(lines)

    def _call_of(self, index: int) -> Call:
        """The way to the model of that index; it does not keep the lane alive by itself."""
        lane = weakref.ref(self)

        def call(operation: int, data: bytes) -> bytes:
            if (owner := lane()) is None:
                raise RuntimeError("Lane must be kept while its models are called")
            answer, length = ctypes.c_void_p(), ctypes.c_uint64()
            owner._check(
                owner._library.lane_model_call(
                    owner._handle, index, operation, data, len(data), ctypes.byref(answer), ctypes.byref(length)
                )
            )
            return ctypes.string_at(answer, length.value) if length.value else b""

        return call

    def _find(self, name: str, *, driven: bool | None = None) -> tuple[int, StreamPort]:
        stream = self._design.stream(name)
        if driven is not None and stream.driven != driven:
            raise ValueError(f"Stream must be an {'input' if driven else 'output'} of the design, not {name!r}")
        return self._streams.index(stream), stream

    def _needs(self, until: Mapping[str, int]) -> ctypes.Array[ctypes.c_uint64]:
        outputs = [stream for stream in self._streams if not stream.driven]
        needs = (ctypes.c_uint64 * max(1, len(outputs)))()
        for name, beats in until.items():
            _, stream = self._find(name, driven=False)
            if operator.index(beats) < 0:
                raise ValueError(f"Beats to wait for on {name!r} must be at least 0, not {beats!r}")
            needs[outputs.index(stream)] = beats * stream.words
        return needs

    def _thresholds(self, pauses: Mapping[str, float]) -> ctypes.Array[ctypes.c_uint32]:
        thresholds = (ctypes.c_uint32 * max(1, len(self._streams)))()
        for name, chance in pauses.items():
            index, _ = self._find(name)
            if not 0 <= chance < 1:
                raise ValueError(f"Pause of {name!r} must be a chance from 0 to below 1, not {chance!r}")
            thresholds[index] = int(chance * (1 << 32))
        return thresholds

    def _check(self, status: int) -> None:
        if status != _DONE:
            raise SimulationError(self._explain(status, 0))

    def _explain(self, status: int, cycles: int) -> str:
        culprit = self._library.lane_culprit(self._handle)
        stream = self._streams[culprit].name if culprit >= 0 else ""
        reason = {
            _STALLED: f"stalled after {cycles} cycles: no stream has moved for long",
            _MAX_CYCLES: f"took more than its {cycles} cycles",
            _WITHDRAWN: f"withdrew valid of {stream!r} before the beat was accepted",
            _UNSTABLE: f"changed the payload of {stream!r} before it was accepted",
            _FAILED: self._library.lane_message(self._handle).decode(errors="replace"),
        }[status]
        return f"{self._design.name} {reason} (cycle {self.cycles})\n{self.state()}"


def _ordered(design: Design) -> list[StreamPort]:
    """Streams in the order of the library's indices: inputs, then outputs."""
    return sorted(design.streams, key=lambda stream: not stream.driven)

"""Streams under cocotb: a source, a sink, pauses for both, and a monitor of the four rules of a stream.

All of them look at the signals as they are at a rising edge of the clock, before it takes effect, and drive what
holds from then on. Payloads are values of the RTL's own types (see ``tb.payload``).
"""

import itertools
import random
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import cocotb
from amaranth.hdl import Shape, ShapeLike
from cocotb.clock import Clock
from cocotb.handle import LogicObject
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge, Timer
from cocotb.utils import get_sim_time

from .payload import decode, encode

#: Cycles that ``receive`` and ``drain`` wait for the next transfer, unless told otherwise.
STALL_CYCLES = 2_000


class StreamError(AssertionError):
    """A stream broke one of its rules, or nothing moved for too long."""


def never() -> Iterator[bool]:
    """No pauses."""
    return itertools.repeat(False)


def chance(probability: float) -> Iterator[bool]:
    """In each cycle a pause with ``probability``, independent of all others."""
    if not 0 <= probability < 1:
        raise ValueError(f"Probability must be from 0 to below 1, not {probability!r}")
    generator = random.Random(random.getrandbits(64))
    return (generator.random() < probability for _ in itertools.count())


def bursts(active: int, paused: int) -> Iterator[bool]:
    """Runs of cycles without and with pauses, of random lengths up to ``active`` and ``paused``."""
    for name, length in (("Active", active), ("Paused", paused)):
        if length < 1:
            raise ValueError(f"{name} cycles must be at least 1, not {length!r}")
    generator = random.Random(random.getrandbits(64))
    lengths = ((pause, generator.randint(1, paused if pause else active)) for pause in itertools.cycle((False, True)))
    return itertools.chain.from_iterable(itertools.repeat(pause, length) for pause, length in lengths)


async def start(dut: Any, *, period_ns: int = 10, reset_cycles: int = 2) -> None:
    """Start the clock and hold reset; returns just after the edge that ends reset."""
    dut.clk.value = 0
    Clock(dut.clk, period_ns, "ns").start()
    reset = getattr(dut, "rst", None)
    if reset is not None:
        reset.value = 1
    for _ in range(reset_cycles):
        await RisingEdge(dut.clk)
    if reset is not None:
        reset.value = 0


class _Stream:
    """The three signals of a stream and its payload's shape."""

    def __init__(self, dut: Any, name: str, shape: ShapeLike) -> None:
        self.name = name
        self.shape = shape
        self.clock: LogicObject = dut.clk
        self.payload = getattr(dut, f"{name}__payload")
        self.valid = getattr(dut, f"{name}__valid", None)
        self.ready = getattr(dut, f"{name}__ready", None)
        width = Shape.cast(shape).width
        if len(self.payload) != width:
            raise ValueError(f"Shape of {name!r} must have {len(self.payload)} bits, not {width!r}")

    def is_valid(self) -> bool:
        return self.valid is None or bool(self.valid.value)

    def is_ready(self) -> bool:
        return self.ready is None or bool(self.ready.value)

    def bits(self) -> int:
        return self.payload.value.to_unsigned()


class StreamSource:
    """Drives an input stream of the design: values in the order sent, valid kept until each is taken.

    While nothing is offered the payload is random bits. Transfers at most one item a cycle, the first at the second
    edge after ``send``.

    Parameters
    ----------
    dut, name : the design and the stream's name in it.
    shape : shape of the payload.
    pause : for each cycle with something to offer, whether to hold it back.
    """

    def __init__(self, dut: Any, name: str, *, shape: ShapeLike, pause: Iterator[bool] | None = None) -> None:
        self._stream = _Stream(dut, name, shape)
        self._queue: deque[int] = deque()
        self._random = random.Random(random.getrandbits(64))
        self.pause = never() if pause is None else pause
        if self._stream.valid is not None:
            self._stream.valid.value = 0
        cocotb.start_soon(self._drive())

    def send(self, values: Iterable[Any]) -> None:
        """Queue values; the call does not wait."""
        self._queue.extend(encode(self._stream.shape, value) for value in values)

    async def drain(self, *, stall_cycles: int = STALL_CYCLES) -> None:
        """Wait until everything queued has been taken.

        Raises ``StreamError`` when nothing was taken for ``stall_cycles``.
        """
        quiet, left = 0, len(self._queue)
        while self._queue:
            await RisingEdge(self._stream.clock)
            quiet = 0 if len(self._queue) != left else quiet + 1
            left = len(self._queue)
            if quiet > stall_cycles:
                raise StreamError(f"stream {self._stream.name!r} took nothing for {quiet} cycles; {left} items wait")

    async def _drive(self) -> None:
        stream = self._stream
        width = Shape.cast(stream.shape).width
        offered = False
        while True:
            await RisingEdge(stream.clock)
            if offered and stream.is_ready():
                self._queue.popleft()
                offered = False
            if offered:
                continue
            if self._queue and not next(self.pause):
                stream.payload.value = self._queue[0]
                offered = True
            else:
                stream.payload.value = self._random.getrandbits(width)
            if stream.valid is not None:
                stream.valid.value = int(offered)


class StreamSink:
    """Accepts an output stream of the design and keeps what it gave.

    Parameters
    ----------
    dut, name : the design and the stream's name in it.
    shape : shape of the payload.
    pause : for each cycle, whether ready is low.
    probe : chance that in a cycle ready is flipped between the edges, where valid must not follow it.
    patient : raise ready only in the cycle after valid was seen: a design that waits for ready stalls.
    """

    def __init__(
        self,
        dut: Any,
        name: str,
        *,
        shape: ShapeLike,
        pause: Iterator[bool] | None = None,
        probe: float = 0.0,
        patient: bool = False,
    ) -> None:
        self._stream = _Stream(dut, name, shape)
        self._received: deque[int] = deque()
        self._patient = patient
        self.pause = never() if pause is None else pause
        if self._stream.ready is not None:
            self._stream.ready.value = 0
        cocotb.start_soon(self._accept())
        if probe and self._stream.ready is not None:
            cocotb.start_soon(self._probe(chance(probe)))

    def __len__(self) -> int:
        """Items received and not yet fetched."""
        return len(self._received)

    async def receive(self, count: int, *, stall_cycles: int = STALL_CYCLES) -> list[Any]:
        """The next ``count`` items, decoded; waits for them.

        Raises ``StreamError`` when nothing came for ``stall_cycles``.
        """
        quiet, have = 0, len(self._received)
        while len(self._received) < count:
            await RisingEdge(self._stream.clock)
            quiet = 0 if len(self._received) != have else quiet + 1
            have = len(self._received)
            if quiet > stall_cycles:
                raise StreamError(
                    f"stream {self._stream.name!r} gave nothing for {quiet} cycles: {have} of {count} items"
                )
        return [decode(self._stream.shape, self._received.popleft()) for _ in range(count)]

    async def _accept(self) -> None:
        stream = self._stream
        accepting = stream.ready is None
        while True:
            await RisingEdge(stream.clock)
            valid = stream.is_valid()
            if accepting and valid:
                self._received.append(stream.bits())
            if stream.ready is not None:
                accepting = not next(self.pause) and not (self._patient and (accepting or not valid))
                stream.ready.value = int(accepting)

    async def _probe(self, chosen: Iterator[bool]) -> None:
        stream = self._stream
        assert stream.ready is not None
        for flip in chosen:
            await FallingEdge(stream.clock)
            if not flip:
                continue
            before, ready = stream.is_valid(), stream.is_ready()
            stream.ready.value = int(not ready)
            await ReadOnly()
            after = stream.is_valid()
            await Timer(1, "ns")
            stream.ready.value = int(ready)
            if after != before:
                raise StreamError(f"{_when()}: valid of {stream.name!r} must not depend on ready in the same cycle")


class StreamMonitor:
    """Watches a stream in either direction and fails the test when it breaks a rule.

    At every rising edge outside reset: valid and ready are 0 or 1; a payload with valid has no undefined bit; valid
    that met no ready stays; so does the payload. That valid does not depend on ready in the same cycle is seen by
    ``StreamSink(probe=...)``, and that it does not wait for ready by ``StreamSink(patient=True)``.

    Parameters
    ----------
    dut, name : the design and the stream's name in it.
    shape : shape of the payload.
    """

    def __init__(self, dut: Any, name: str, *, shape: ShapeLike) -> None:
        self._stream = _Stream(dut, name, shape)
        self._reset = getattr(dut, "rst", None)
        self.transfers = 0  #: items that passed
        self.pauses = 0  #: cycles in which valid met no ready
        cocotb.start_soon(self._watch())

    async def _watch(self) -> None:
        stream = self._stream
        waiting: Any = None
        while True:
            await RisingEdge(stream.clock)
            if self._reset is not None and self._reset.value != 0:
                waiting = None
                continue
            for signal, what in ((stream.valid, "valid"), (stream.ready, "ready")):
                if signal is not None and not signal.value.is_resolvable:
                    raise StreamError(f"{_when()}: {what} of {stream.name!r} must be 0 or 1, not {signal.value}")
            valid, ready, payload = stream.is_valid(), stream.is_ready(), stream.payload.value
            if valid and not payload.is_resolvable:
                raise StreamError(f"{_when()}: payload of {stream.name!r} must be defined, not {payload}")
            if waiting is not None and not valid:
                raise StreamError(f"{_when()}: valid of {stream.name!r} must stay until ready")
            if waiting is not None and payload != waiting:
                raise StreamError(
                    f"{_when()}: payload of {stream.name!r} must stay until ready, "
                    f"not change from {_hex(waiting)} to {_hex(payload)}"
                )
            waiting = payload if valid and not ready else None
            self.transfers += valid and ready
            self.pauses += valid and not ready


def _when() -> str:
    return f"at {get_sim_time('ns'):g} ns"


def _hex(value: Any) -> str:
    return hex(value.to_unsigned())

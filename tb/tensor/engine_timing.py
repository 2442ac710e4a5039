"""When a tensor engine must be ready and valid, predicted cycle by cycle from the transfers on its streams alone."""

from collections import Counter, deque
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hdl.tensor.ports import pass_layout, stationary_layout
from hdl.tensor.shape import SliceShape

from ..payload import decode

#: what a beat may have to wait for
REASONS = ("pass", "block", "hazard", "credit")
_STREAMS = ("passes", "stationary", "streamed", "results")


class TimingError(AssertionError):
    """An engine waited without a reason, or did not wait for one."""


class EngineTiming:
    """Holds an engine to its documented timing: no cycle lost without a reason, none gained.

    A beat is taken in the cycle in which its pass was taken before, its block is complete (2 cycles after its last
    row, in a deep engine 1, and 1 after the block before was taken over), its accumulator was last used `interval`
    cycles ago or starts from +0, and, in a last pass, fewer than `credits` results are on their way (a deep engine
    counts one as that for a cycle more). Its result is offered `latency` cycles later, behind those before it. A pass
    is taken when none runs or with the last beat of the one before; a row unless it would be the second one behind a
    complete block that stays (in a deep engine, the first one behind any complete block).

    dut:      the engine
    shape:    of its data path
    latency, interval, credits: its figures

    stalls: cycles in which a beat waited, for each set of `REASONS`
    """

    def __init__(self, dut: Any, *, shape: SliceShape, latency: int, interval: int, credits: int):
        self._dut, self._shape = dut, shape
        self.latency, self.interval, self.credits = latency, interval, credits
        self._pass_layout = pass_layout(shape)
        self._deep = shape.parameters.deep
        self._end_mark = stationary_layout(shape)["last"].offset
        self.stalls: Counter[frozenset[str]] = Counter()
        self._clear()
        cocotb.start_soon(self._watch())

    def count(self, reason: str) -> int:
        """Cycles in which a beat waited for this reason and for no other."""
        return self.stalls[frozenset({reason})]

    @property
    def outstanding(self) -> int:
        """Results on their way: those in the pipeline and those offered."""
        return len(self._results)

    def _clear(self) -> None:
        self._cycle = 0
        self._current: Any = None
        self._done = 0
        self._used: dict[int, int] = {}
        self._results: deque[int] = deque()
        self._returning = 0  # taken in the cycle before, by a deep engine not yet known to be
        self._blocks: deque[int] = deque()
        self._rows = 0
        self._swapped = -2

    async def _watch(self) -> None:
        while True:
            await RisingEdge(self._dut.clk)
            if self._dut.rst.value != 0:
                self._clear()
                continue
            self._step({name: (self._is(name, "valid"), self._is(name, "ready")) for name in _STREAMS})
            self._cycle += 1

    def _is(self, name: str, signal: str) -> bool:
        return bool(getattr(self._dut, f"{name}__{signal}").value)

    def _reasons(self) -> frozenset[str]:
        """Why a beat could not be taken in this cycle."""
        current = self._current
        if current is None:
            return frozenset({"pass"})
        last_use = self._used.get(current.address + self._done, -self.interval)
        waits = {
            "block": self._done == 0 and not self._is_complete(),
            "hazard": not current.first and self._cycle - last_use < self.interval,
            "credit": bool(current.last) and len(self._results) + self._returning >= self.credits,
        }
        return frozenset(reason for reason, waiting in waits.items() if waiting)

    def _is_complete(self) -> bool:
        wait = 1 if self._deep else 2
        return bool(self._blocks) and self._cycle >= max(self._blocks[0] + wait, self._swapped + 1)

    def _step(self, seen: dict[str, tuple[bool, bool]]) -> None:
        """Check a cycle's handshakes and note its transfers."""
        reasons = self._reasons()
        offered = seen["streamed"][0]
        issue = offered and not reasons
        swap = issue and self._done == 0
        ends = issue and self._done + 1 == self._current.beats
        behind = self._rows + max(len(self._blocks) - 1, 0)
        self._expect("ready of 'streamed'", seen["streamed"][1], not reasons, reasons)
        self._expect("ready of 'passes'", seen["passes"][1], self._current is None or ends, reasons)
        full = self._is_complete() and (self._deep or (behind and not swap))
        self._expect("ready of 'stationary'", seen["stationary"][1], not full)
        due = bool(self._results) and self._cycle >= self._results[0] + self.latency
        self._expect("valid of 'results'", seen["results"][0], due)
        if offered and reasons:
            self.stalls[reasons] += 1
        self._note(issue, swap, ends, {name for name, both in seen.items() if all(both)})

    def _expect(self, what: str, actual: bool, expected: bool, reasons: frozenset[str] = frozenset()) -> None:
        if actual != expected:
            waits = f"; a beat waits for {', '.join(sorted(reasons))}" if reasons else ""
            raise TimingError(f"cycle {self._cycle} since reset: {what} must be {int(expected)}{waits}")

    def _note(self, issue: bool, swap: bool, ends: bool, moved: set[str]) -> None:
        self._returning = int(self._deep and "results" in moved)
        if "results" in moved:
            self._results.popleft()
        if swap:
            self._blocks.popleft()
            self._swapped = self._cycle
        if issue:
            self._used[self._current.address + self._done] = self._cycle
            if self._current.last:
                self._results.append(self._cycle)
            self._done += 1
        if ends:
            self._current = None
        if "passes" in moved:
            self._current, self._done = decode(self._pass_layout, self._bits("passes")), 0
        if "stationary" in moved:
            self._rows += 1
            if self._bits("stationary") >> self._end_mark & 1:
                self._blocks.append(self._cycle)
                self._rows = 0

    def _bits(self, name: str) -> int:
        return getattr(self._dut, f"{name}__payload").value.to_unsigned()

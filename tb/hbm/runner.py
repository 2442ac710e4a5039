"""Requests into the memory ports of an HBM controller at given cycles, with the device model behind it.

>>> run = HbmRun(Channel(timing=timing, tag_bits=16), timing=timing)
>>> result = run.run([Requests(op=op, address=address, cycle=issue_cycles(len(op), load=0.75)), None])
>>> result.ports[0].latency, result.bandwidth_fraction()
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from amaranth.lib import data, wiring
from numpy.typing import ArrayLike, NDArray

from hdl.hbm.commands import RefreshMode
from mtia.hbm import TimingSet

from ..beats import pack
from ..lane import Lane, SimulationError
from ..models.hbm import HbmDevice
from ..ports import Design

Cycles = NDArray[np.int64]

_PORTS = 2
_WORDS = 8
_MODES = {"off": RefreshMode.OFF, "per-bank": RefreshMode.PER_BANK, "all-bank": RefreshMode.ALL_BANK}

#: Cycles between two calls of ``progress``.
_PROGRESS = 500

#: Cycles between two looks at whether the controller is idle.
_LOOK = 8


def issue_cycles(count: int, *, load: float, seed: int | None = None) -> Cycles:
    """Cycles at which ``count`` requests are issued to one port: ``load`` of them a cycle on average.

    Evenly, or with ``seed`` at random: each cycle has one with chance ``load``. Raises ``ValueError`` for a load
    that is not above 0 and at most 1.
    """
    if not 0 < load <= 1:
        raise ValueError(f"Load must be above 0 and at most 1, not {load!r}")
    if seed is None:
        return np.floor(np.arange(count) / load).astype(np.int64)
    return np.cumsum(np.random.default_rng(seed).geometric(load, count)) - 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Requests:
    """Requests to one port, in order: arrays of the same length n, or one value for all.

    ``op``, ``kind`` and ``format`` are the codes of the port's fields; ``address`` counts atoms of the pseudo-channel;
    ``data`` is uint32 (n, 8), ``mask`` a bit a byte. ``cycle`` is when each is issued, from the start of the run: it
    is offered no earlier, and in order. Raises ``ValueError`` for arrays whose lengths differ.
    """

    op: ArrayLike
    address: ArrayLike
    data: ArrayLike = 0
    mask: ArrayLike = 0xFFFFFFFF
    kind: ArrayLike = 0
    format: ArrayLike = 0
    cycle: ArrayLike = 0
    fields: dict[str, NDArray[Any]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = ("op", "address", "mask", "kind", "format", "cycle")
        arrays = {name: np.atleast_1d(np.asarray(getattr(self, name))) for name in names}
        words = np.asarray(self.data)
        lengths = {len(array) for array in arrays.values()} | ({len(words)} if words.ndim == 2 else set())
        count = max(lengths)
        if not lengths <= {1, count}:
            raise ValueError(f"Requests must have fields of one length, not {sorted(lengths)!r}")
        filled = {name: np.broadcast_to(array, count) for name, array in arrays.items()}
        object.__setattr__(self, "fields", {**filled, "data": np.broadcast_to(words, (count, _WORDS))})

    def __len__(self) -> int:
        return len(self.fields["op"])


@dataclass(frozen=True, kw_only=True, eq=False)
class PortResult:
    """What became of the requests to one port, in their order: arrays of n.

    issued, accepted, answered : cycles, from the start of the run; status : codes; data : uint32 (n, 8).
    """

    issued: Cycles
    accepted: Cycles
    answered: Cycles
    status: NDArray[Any]
    data: NDArray[np.uint32]

    @property
    def latency(self) -> Cycles:
        """Cycles from a request's issue to its answer, the wait before the port among them."""
        return self.answered - self.issued

    @property
    def service(self) -> Cycles:
        """Cycles from a request's acceptance to its answer."""
        return self.answered - self.accepted


@dataclass(frozen=True, kw_only=True, eq=False)
class HbmResult:
    """A run: both ports, its cycles until all was done, the commands of each pseudo-channel, the timing set."""

    ports: tuple[PortResult, ...]
    cycles: int
    commands: tuple[dict[str, int], ...]
    timing: TimingSet

    def bandwidth_fraction(self, *, skip: float = 0.0) -> float:
        """Requests answered a cycle and port in use, of the peak of one.

        ``skip`` leaves out that part of the run at its start and at its end: what is measured is between. Without
        it, the whole run until the last write was done. Raises ``ValueError`` unless it is from 0 to below 0.5.
        """
        if not 0 <= skip < 0.5:
            raise ValueError(f"Skip must be from 0 to below 0.5, not {skip!r}")
        first, last = int(skip * self.cycles), self.cycles - int(skip * self.cycles)
        used = [port.answered for port in self.ports if len(port.answered)]
        answered = sum(int(((first <= cycles) & (cycles < last)).sum()) for cycles in used)
        return answered / (max(1, last - first) * max(1, len(used)))

    def column_fraction(self) -> float:
        """Column commands a cycle and port in use, of the peak of one."""
        used = [row for row, port in zip(self.commands, self.ports, strict=True) if len(port.answered)]
        return sum(row["RD"] + row["WR"] for row in used) / (max(1, self.cycles) * max(1, len(used)))

    def nanoseconds(self, cycles: Any) -> Any:
        """Controller cycles as time."""
        return cycles * 2 * self.timing.tck_ns


class HbmRun:
    """A controller of a channel and the device behind it, in one lane.

    Parameters
    ----------
    controller : a component (or emitted design) with streams ``request_0``, ``response_0``, ``request_1``,
        ``response_1`` and the device's ports; ``refresh_mode`` and ``idle`` are used where it has them.
    timing : what the device checks.
    refresh, strict : as ``HbmDevice`` takes them; the controller's ``refresh_mode`` is set to it.
    prefix : before the names of all ports.
    trace : build with waves.
    """

    def __init__(
        self,
        controller: wiring.Component | Design,
        *,
        timing: TimingSet,
        refresh: str = "per-bank",
        strict: bool = True,
        channel: int = 0,
        prefix: str = "",
        trace: bool = False,
    ) -> None:
        self._prefix = prefix
        self._refresh = refresh
        self._device = HbmDevice(timing=timing, refresh=refresh, strict=strict, channel=channel, prefix=prefix)
        self._lane = Lane(controller, name="channel", models=[self._device], trace=trace)
        self.reset()

    @property
    def device(self) -> HbmDevice:
        """The device model."""
        return self._device

    @property
    def lane(self) -> Lane:
        """The lane, for waves and plain ports."""
        return self._lane

    def reset(self) -> None:
        """Reset controller and device; what the device stores stays."""
        self._lane.reset()
        if self._has("refresh_mode"):
            self._lane.set(f"{self._prefix}refresh_mode", _MODES[self._refresh].value)

    def run(
        self,
        requests: Sequence[Requests | None],
        *,
        pauses: Mapping[str, float] | None = None,
        seed: int = 1,
        max_cycles: int = 1 << 40,
        stall_cycles: int = 20_000,
        progress: Callable[[int, int], None] | None = None,
    ) -> HbmResult:
        """Give each port its requests, wait for all answers, then until the controller is idle.

        ``pauses`` and ``seed`` are those of ``Lane.run``. ``progress`` is told now and then how many of the requests
        are answered, and how many there are. Raises ``SimulationError`` when the device sees a
        violation, when answers are missing or too many, and when tags are so narrow that an answer may be taken for
        that of a later request.
        """
        given = [each if each is not None and len(each) else None for each in requests]
        if len(given) != _PORTS:
            raise ValueError(f"Requests must be given for {_PORTS} ports, not {len(given)!r}")
        start, before = self._lane.cycles, self._device.counts()
        seen = [len(self._lane.transfer_cycles(self._name("request", pc))) for pc in range(_PORTS)]
        tags = [self._push(pc, each, start) for pc, each in enumerate(given)]
        until = {self._name("response", pc): len(each) for pc, each in enumerate(given) if each is not None}
        limits: dict[str, Any] = {"max_cycles": max_cycles, "stall_cycles": stall_cycles}
        if progress is not None:
            limits |= {"watch": lambda: progress(sum(map(self._lane.waiting, until)), sum(until.values()))}
            limits["every"] = _PROGRESS
        self._lane.run(until, pauses=pauses, seed=seed, record=True, **limits)
        self._finish(pauses, seed, max_cycles)
        ports = tuple(self._collect(pc, each, tags[pc], start, seen[pc]) for pc, each in enumerate(given))
        after = self._device.counts()
        return HbmResult(
            ports=ports,
            cycles=self._lane.cycles - start,
            commands=tuple(
                {name: row[name] - old[name] for name in row} for row, old in zip(after, before, strict=True)
            ),
            timing=self._device.timing,
        )

    def _name(self, what: str, pc: int) -> str:
        return f"{self._prefix}{what}_{pc}"

    def _has(self, port: str) -> bool:
        return self._prefix + port in [each.name for each in self._lane.design.plain]

    def _push(self, pc: int, requests: Requests | None, start: int) -> NDArray[np.int64]:
        if requests is None:
            return np.zeros(0, np.int64)
        name = self._name("request", pc)
        layout = data.Layout.cast(self._lane.layout(name))
        tags = np.arange(len(requests)) & (1 << layout["tag"].width) - 1
        values = {key: value for key, value in {**requests.fields, "tag": tags}.items() if key != "cycle"}
        self._lane.push(name, pack(layout, values), not_before=requests.fields["cycle"] + start)
        return tags

    def _finish(self, pauses: Mapping[str, float] | None, seed: int, max_cycles: int) -> None:
        """Run until the controller is idle, if it tells."""
        left = max_cycles
        while self._has("idle") and not self._lane.get(f"{self._prefix}idle"):
            if left <= 0:
                raise SimulationError(f"channel was not idle within {max_cycles} cycles after its last answer")
            left -= self._lane.run(cycles=_LOOK, pauses=pauses, seed=seed + left, record=True)
        self._lane.run(cycles=_LOOK, pauses=pauses, seed=seed, record=True)  # the last write may be on its way

    def _collect(
        self, pc: int, requests: Requests | None, tags: NDArray[np.int64], start: int, seen: int
    ) -> PortResult:
        """The answers to one port's requests, in the order of the requests."""
        count, name = len(tags), self._name("response", pc)
        fields = self._lane.pull_fields(name)
        answers = np.asarray(fields["tag"], np.int64)
        order, found = np.argsort(tags, kind="stable"), np.argsort(answers, kind="stable")
        if len(answers) != count or (tags[order] != answers[found]).any():
            odd = [int(tag) for tag in np.unique(np.r_[tags, answers]) if (tags == tag).sum() != (answers == tag).sum()]
            raise SimulationError(f"channel answered {name} {len(answers)} times to {count} requests, tags {odd[:10]}")
        times = self._lane.transfer_cycles(name)[-count:].astype(np.int64) - start if count else answers
        accepted = self._lane.transfer_cycles(self._name("request", pc))[seen:].astype(np.int64) - start
        answered, where = np.empty(count, np.int64), np.empty(count, np.int64)
        where[order], answered[order] = found, times[found]
        turn = int(tags.max(initial=0)) + 1
        if (answered[:-turn] >= accepted[turn:]).any():
            raise SimulationError(f"channel must have wider tags: one of {turn} came again before its answer")
        return PortResult(
            issued=np.array(requests.fields["cycle"] if requests is not None else [], np.int64),
            accepted=accepted,
            answered=answered,
            status=np.asarray(fields["status"])[where],
            data=np.asarray(fields["data"], np.uint32).reshape(count, _WORDS)[where],
        )

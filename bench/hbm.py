"""How near does an HBM channel come to what its timing allows?"""

from collections.abc import Iterator

import numpy as np

from golden.hbm import REFRESH
from mtia import hbm
from mtia.cli.run_hbm_measurement import Measurement
from mtia.cli.run_hbm_session import Session
from mtia.hbm import TimingSet
from mtia.hbm_bounds import batch_efficiency, read_latency_ns
from mtia.hbm_patterns import Pattern
from mtia.hbm_requests import Accesses

from .hbm_bound import WINDOW, read_bound
from .hbm_client import SumRun
from .report import Figure, Report

#: the set whose targets are in per cent of the peak; the others are held against their own bounds
FIRST = "HBM3-6.4"
SETS = (FIRST, "HBM3E-9.0", "HBM4-9.0", "HBM4E-13.5")

#: requests of a measurement, of a stride, of the sums
REQUESTS, STRIDE_REQUESTS, SUMS = 30_000, 10_000, 4_000

#: REFIs of a stream of which the cost of refresh is taken, and the part of it that counts: refreshes may be owed for
#: eight REFIs, so that at first a busy channel has none
REFRESH_INTERVALS, REFRESH_PART = 24, (0.45, 0.95)

#: pattern -> per cent of the peak to reach on FIRST, and what public simulators reach there
TARGETS: dict[str, tuple[float, str]] = {
    "stream": (95.0, "public 89.4, 69.5"),
    "stream-write": (95.0, "public 89.4, 69.5"),
    "triad": (80.0, "public 56.8, 76.6"),
    "random": (32.0, "public 29.3, 29.6"),
    "gather:64": (63.0, "public 59"),
    "gather:128": (88.0, "public 85"),
    "gather:256": (92.0, "public 87"),
}

#: per cent of the bound of every power-of-two stride; points that refresh may cost on a stream
STRIDE_TARGET, REFRESH_TARGET = 95.0, 4.0
#: load at which the latency of a stream is taken, and ns of p50 and p99 to stay within on FIRST
LOAD, P50_TARGET, P99_TARGET = 0.75, 45.0, 250.0
#: times a client's rate, and per cent of the bound, for sums in the memory
SUM_TARGET, SUM_BOUND_TARGET = 1.9, 86.0
#: atoms of a client's batch, of which the best counts; cycles that the controller may add to a read
CLIENT_BATCHES, LATENCY_TARGET = (64, 256, 1024), 8.0

NOTES = [
    "one channel, both pseudo-channels, per-bank refresh unless said otherwise; pools of 64 reads and 64 writes a "
    "pseudo-channel; requests as fast as they are taken; every answer and the contents in the end are compared with "
    "the golden memory, every command is checked by the device model and by golden.hbm",
    "per cent of the peak: requests a cycle between the first and the last tenth of the answers; whole: with the start "
    "of the run, and its end until the last write is in the memory",
    "bound of reads: data bus, bank groups, RC, and ACTs as often as FAW, RRD and refreshes between them allow, for "
    f"a controller that knows what comes and lets no request wait for {WINDOW} others (bench/hbm_bound.py); of the "
    "triad: 128 reads and 64 writes between turnarounds; of sums: 64 reads and 64 writes",
    "public: figures of Ramulator 2.1 and DRAMsim3 at HBM3-6.4 with their own schedulers; of streams with all-bank and "
    "with per-bank refresh",
    f"cost of refresh: over {REFRESH_INTERVALS} REFI, of which the first {100 * REFRESH_PART[0]:.0f} % do not count, "
    "because a refresh may be owed for eight",
    "sums: FP32 into atoms in the order of addresses, pseudo-channel 0 alone, until the last one is in the memory; a "
    "client that receives writes each contribution to the memory as it comes, reads it and the destination, and writes "
    "the sum: 4 column commands an atom; one with the data at hand reads and writes: 2, as the memory itself. Clients "
    f"add in no time and work through batches of {', '.join(map(str, CLIENT_BATCHES))} atoms, of which the best "
    f"counts; one with the buffers of the memory's own unit, {CLIENT_BATCHES[0]} atoms, is named too",
]


def measure() -> Report:
    """Figures of each set of SETS."""
    report = Report(question=str(__doc__), notes=list(NOTES))
    for name in SETS:
        session = Session(hbm.get(name))
        report.figures += of_session(session)
    return report


def of_session(
    session: Session,
    *,
    requests: int = REQUESTS,
    strides: int = STRIDE_REQUESTS,
    intervals: int = REFRESH_INTERVALS,
) -> list[Figure]:
    """All figures of one channel."""
    name = session.timing.name
    figures = [bandwidth(session, word, requests) for word in TARGETS]
    figures.append(worst_stride(session, strides))
    figures += refresh(session, intervals)
    figures += loaded(session, requests)
    figures += sums(session)
    figures.append(unloaded(session))
    return [each if each.what.startswith(name) else _named(name, each) for each in figures]


def _named(name: str, figure: Figure) -> Figure:
    plain = {key: value for key, value in vars(figure).items() if key != "what"}
    return Figure(what=f"{name} {figure.what}", **plain)


def checked(session: Session, accesses: Accesses, **options: float) -> Measurement:
    """A measurement; RuntimeError if an atom or a command was wrong."""
    found = session.measure(accesses, **options)  # type: ignore[arg-type]
    if not found.match or found.violation_count:
        raise RuntimeError(
            f"Channel must be right before it is fast, not with {found.mismatches} atoms wrong and "
            f"{found.violation_count} violations"
        )
    return found


def _accesses(session: Session, word: str, count: int) -> Accesses:
    return Pattern.parse(word).accesses(count, capacity=session.capacity)


def bound(accesses: Accesses, word: str, timing: TimingSet) -> float:
    """Fraction of the peak that the timing allows for a pattern."""
    if word == "triad":
        return batch_efficiency(timing, 3 * WINDOW)
    return read_bound(accesses, timing)


def bandwidth(session: Session, word: str, requests: int) -> Figure:
    """Share of the peak that a pattern gets."""
    accesses = _accesses(session, word, requests)
    found = checked(session, accesses)
    limit = 100 * bound(accesses, word, session.timing)
    target, public = TARGETS[word] if session.timing.name == FIRST else (None, "")
    note = f"whole {100 * found.bandwidth_fraction:.1f}, bound {limit:.1f}" + (f"; {public}" if public else "")
    return Figure(what=word, value=100 * found.steady_fraction, unit="%", target=target, note=note)


def strides(capacity: int) -> Iterator[int]:
    """Every power of two from an atom to half of the channel."""
    size = 32
    while size < capacity:
        yield size
        size *= 2


def worst_stride(session: Session, requests: int) -> Figure:
    """The power-of-two stride that is furthest from its bound."""
    shares = {}
    for size in strides(session.capacity):
        accesses = _accesses(session, f"stride:{size}", requests)
        share = checked(session, accesses).steady_fraction
        shares[size] = share / bound(accesses, "stride", session.timing), share
    worst = min(shares, key=lambda size: shares[size][0])
    reached = sum(100 * share >= STRIDE_TARGET for share, _ in shares.values())
    note = (
        f"{reached} of {len(shares)} strides reach {STRIDE_TARGET:.0f} %; the worst is {worst} B, "
        f"{100 * shares[worst][1]:.1f} % of the peak"
    )
    return Figure(
        what="worst stride, of its bound", value=100 * shares[worst][0], unit="%", target=STRIDE_TARGET, note=note
    )


def refresh(session: Session, intervals: int) -> list[Figure]:
    """What refresh costs a stream over so many REFI: of each bank, and of all at once."""
    accesses = _accesses(session, "stream", intervals * session.timing["REFI"])  # at the peak one a CK
    rates = {}
    for mode in REFRESH:
        run = session if mode == session.refresh else session.sibling(mode)
        rates[mode] = rate_between(checked(run, accesses), *REFRESH_PART)
    first = session.timing.name == FIRST
    return [
        Figure(
            what=f"stream, cost of {mode} refresh",
            value=100 * (rates["off"] - rates[mode]),
            unit="points",
            target=REFRESH_TARGET if first and mode == "per-bank" else None,
            at_most=True,
            note=f"without {100 * rates['off']:.1f} %" + ("; public 10 points" if first else ""),
        )
        for mode in ("per-bank", "all-bank")
    ]


def rate_between(found: Measurement, first: float, last: float) -> float:
    """Share of the peak between two parts of the answers, each from 0 to 1."""
    times = np.sort(found.answered)
    low, high = (int(part * (len(times) - 1)) for part in (first, last))
    return (high - low) / (2 * float(times[high] - times[low]))


def loaded(session: Session, requests: int) -> list[Figure]:
    """Latency of a stream at LOAD, from issue to answer."""
    found = checked(session, _accesses(session, "stream", requests), load=LOAD)
    first = session.timing.name == FIRST
    public = "; public 42" if first else ""
    what = f"stream at {100 * LOAD:.0f} % load"
    note = f"mean {found.latency_ns.mean():.1f} ns, largest {found.latency_ns.max():.0f} ns"
    p50, p99 = np.percentile(found.latency_ns, [50, 99])
    return [
        Figure(
            what=f"{what}, p50",
            value=float(p50),
            unit="ns",
            target=P50_TARGET if first else None,
            at_most=True,
            note=note + public,
        ),
        Figure(
            what=f"{what}, p99",
            value=float(p99),
            unit="ns",
            target=P99_TARGET if first else None,
            at_most=True,
            note="public 432" if first else "",
        ),
    ]


def sums(session: Session, atoms: int = SUMS) -> list[Figure]:
    """Sums that the memory does itself, against a client's and against their bound."""
    run = SumRun(session.sibling(session.refresh).run, session.timing, atoms)
    near = run.near_memory()
    receiver = [run.receiver(batch) for batch in CLIENT_BATCHES]
    holder = [run.holder(batch) for batch in CLIENT_BATCHES]
    limit = batch_efficiency(session.timing, 2 * WINDOW) / 2

    def told(rates: list[float]) -> str:
        return f"{near:.3f} atoms a cycle, client " + ", ".join(f"{rate:.3f}" for rate in rates)

    return [
        Figure(
            what="sum, against a client that receives",
            value=near / max(receiver),
            unit="times",
            target=SUM_TARGET,
            note=told(receiver),
        ),
        Figure(what="sum, against one with equal buffers", value=near / receiver[0], unit="times"),
        Figure(
            what="sum, against one with the data at hand", value=near / max(holder), unit="times", note=told(holder)
        ),
        Figure(
            what="sum, of its bound",
            value=100 * near / limit,
            unit="%",
            target=SUM_BOUND_TARGET,
            note=f"bound {limit:.3f} atoms a cycle",
        ),
    ]


def unloaded(session: Session) -> Figure:
    """Cycles that the controller adds to a read of a closed bank while nothing else goes on."""
    cycle = 2 * session.timing.tck_ns
    alone, device = session.unloaded_ns() / cycle, read_latency_ns(session.timing, "closed") / cycle
    note = f"{alone * cycle:.1f} ns, of which the device {device * cycle:.1f} ns"
    return Figure(
        what="one read, beyond the device",
        value=alone - device,
        unit="cycles",
        target=LATENCY_TARGET,
        at_most=True,
        note=note,
    )

"""How near do collectives come to what their links allow?"""

from collections.abc import Iterator
from dataclasses import dataclass

from mtia import generations
from mtia.cli.common import table
from mtia.cli.run_collective_session import PROFILE, Measured, Request, Session
from mtia.collectives import Algorithm, Collective
from mtia.link import RECEIVE_CYCLES, SEND_CYCLES, LinkParameters
from mtia.message import ATOM_BYTES, FLIT_BYTES, flits, width
from mtia.message_profiles import of
from mtia.near_memory import ReduceFormat, ReduceKind
from tb.message.collective import first_flit_latency, last_byte_to_completion
from tb.message.domain import DomainSettings

from .report import Figure, Report

GENERATION = "mtia400"
RANKS = (2, 8, 16, 72)
#: bytes, rounded up so that every rank has whole atoms
SIZES = (256, 4096, 65_536, 1 << 20)
LARGEST = SIZES[-1]


@dataclass(frozen=True, kw_only=True)
class Aim:
    """A collective, and the most cycles: `factor` times its figure, and `extra` more."""

    collective: Collective
    algorithm: Algorithm
    factor: float
    extra: int


AIMS = (
    Aim(collective=Collective.ALLGATHER, algorithm=Algorithm.LINEAR, factor=1.05, extra=64),
    Aim(collective=Collective.REDUCESCATTER, algorithm=Algorithm.LINEAR, factor=1.05, extra=64),
    Aim(collective=Collective.ALLTOALL, algorithm=Algorithm.LINEAR, factor=1.10, extra=64),
    Aim(collective=Collective.ALLREDUCE, algorithm=Algorithm.TWO_SHOT, factor=1.05, extra=128),
    Aim(collective=Collective.ALLREDUCE, algorithm=Algorithm.IN_SWITCH, factor=1.10, extra=128),
)
#: shares of the bound at the largest size and number of ranks, and system cycles a CPU-second with RTL nodes
ENDPOINT_SHARE, SWITCH_SHARE, SPEED_TARGET = 0.94, 0.88, 5000.0
#: cycles from a doorbell to the first flit, from the last byte to the completion
FIRST_FLIT_TARGET, COMPLETION_TARGET = 16.0, 16.0
#: flits between the doorbell and the switch that are not the engine's: register slices of the simulated node
_SLICES = 2

NOTES = [
    "all ranks RTL: message engine and link at `sim` size, wires of 8 cycles, memories that answer after 16; the "
    "switch in C++; BF16; every byte of every rank compared with the golden model",
    "cycles from the first doorbell to the last completion; n is rounded up to whole atoms of 32 bytes a rank",
    "L: cycles of a first byte, from the doorbell of a PUT to the peer's memory; B: 64 bytes a cycle; f = (p - 1) / p",
    "of two-shot 2 L + 2 f n / B; in the switch L + n / B; of the others L + f n / B; the figure is the cycles less "
    "the fixed part, in units of that, of the size that comes out worst",
    "speed: system cycles a CPU-second of the simulation alone, without the comparison with golden",
]


def measure() -> Report:
    """Figures of every aim at every number of ranks, then latencies and the speed of the simulation."""
    report = Report(question=str(__doc__), notes=list(NOTES))
    session = Session(generations.get(GENERATION))
    largest: dict[Algorithm, Measured] = {}
    body: list[list[object]] = []
    for aim in AIMS:
        for ranks in RANKS:
            rows = [_run(session, aim, ranks, size) for size in SIZES]
            report.figures.append(_figure(aim, ranks, rows))
            largest[aim.algorithm] = rows[-1]
            body += [
                [f"{aim.collective} {aim.algorithm}", ranks, each.request.bytes, each.cycles, round(each.bound)]
                for each in rows
            ]
    report.details.append(table(["collective", "ranks", "bytes", "cycles", "bound"], body))
    report.figures += _shares(largest)
    report.figures += _latencies(session)
    return report


def _run(session: Session, aim: Aim, ranks: int, size: int) -> Measured:
    unit = ranks * ATOM_BYTES
    request = Request(
        collective=aim.collective,
        algorithm=aim.algorithm,
        ranks=ranks,
        bytes=-(-size // unit) * unit,
        format=ReduceFormat.BF16,
        kind=ReduceKind.SUM,
    )
    found = session.measure(request)
    if not found.match:
        raise RuntimeError(f"Collective must give golden's bytes, not those of {request!r}")
    return found


def least(found: Measured, algorithm: Algorithm) -> float:
    """Cycles that the aim is a multiple of."""
    twice = algorithm is Algorithm.TWO_SHOT
    return found.bound + found.latency if twice else found.bound


def _figure(aim: Aim, ranks: int, rows: list[Measured]) -> Figure:
    shares = [(each.cycles - aim.extra) / least(each, aim.algorithm) for each in rows]
    worst = max(range(len(rows)), key=shares.__getitem__)
    each = rows[worst]
    return Figure(
        what=f"{aim.collective} {aim.algorithm}, p = {ranks}: (cycles - {aim.extra}) / least",
        value=round(shares[worst], 3),
        target=aim.factor,
        at_most=True,
        note=f"{each.request.bytes} bytes: {each.cycles} of {least(each, aim.algorithm):.0f}",
    )


def _shares(largest: dict[Algorithm, Measured]) -> Iterator[Figure]:
    two, one = largest[Algorithm.TWO_SHOT], largest[Algorithm.IN_SWITCH]
    ranks = RANKS[-1]
    yield Figure(
        what=f"allreduce two-shot, p = {ranks}, 1 MB: share of its bound",
        value=round(two.bound / two.cycles, 3),
        target=ENDPOINT_SHARE,
        note=f"L + 2 f n / B = {two.bound:.0f} cycles, L = {two.latency}",
    )
    yield Figure(
        what=f"allreduce in-switch, p = {ranks}, 1 MB: share of n / B",
        value=round(one.request.bytes / FLIT_BYTES / one.cycles, 3),
        target=SWITCH_SHARE,
        note="published GPU racks reach 0.47",
    )
    yield Figure(
        what=f"simulation, {ranks} RTL nodes: two-shot allreduce of 1 MB",
        value=round(two.cycles_per_second),
        unit="cycles/CPU-s",
        target=SPEED_TARGET,
    )


def _latencies(session: Session) -> Iterator[Figure]:
    parameters, link = of(PROFILE), LinkParameters()
    quick = DomainSettings(memory_latency=1, wire_latency=1)
    outside = _SLICES + SEND_CYCLES + quick.wire_latency + 1 + RECEIVE_CYCLES
    first = first_flit_latency(session.node, parameters=parameters, settings=quick)
    yield Figure(
        what="doorbell to first flit, memory that answers in the next cycle",
        value=float(first - outside),
        unit="cycles",
        target=FIRST_FLIT_TARGET,
        at_most=True,
        note=f"{first} to the switch, {outside} of them link, wire and register slices of the simulation",
    )
    # a piece, and one more that is a flit alone: the wait for it begins when that for the piece before has ended
    short = last_byte_to_completion(session.node, parameters=parameters, bytes=parameters.mtu + ATOM_BYTES)
    yield Figure(
        what="last byte in memory to completion, of a message received",
        value=float(last_byte_to_completion(session.node, parameters=parameters)),
        unit="cycles",
        target=COMPLETION_TARGET,
        at_most=True,
        note=f"{short} where its last piece is a flit, a cycle behind the one before",
    )
    frame, longest = width(link.frame) // 8, flits(parameters.mtu)
    yield Figure(
        what="framing: payload in what a wire carries, longest packets",
        value=round(100 * parameters.mtu / (longest * frame), 1),
        unit="%",
        note=f"{FLIT_BYTES} of {frame} bytes of a frame; a packet of {parameters.mtu} bytes is {longest} flits",
    )

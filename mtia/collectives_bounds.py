"""Lower bounds of collectives, what each algorithm can reach, and the choice between them.

With p ranks, n bytes, B payload bytes a cycle each way at every rank, f = (p - 1) / p, and a first byte that takes L
cycles from a rank to another, in cycles:

- broadcast, reduce, send and receive: L + n / B; the bytes have to leave a rank, or all reach one
- all-reduce at the endpoints: L + 2 f n / B, as each rank has to send and receive f n twice; in the switch L + n / B
- all-gather, reduce-scatter, all-to-all: L + f n / B
- barrier: L

>>> round(bound(Collective.ALLREDUCE, ranks=8, bytes=65536, latency=50, bytes_per_cycle=64))
1842
"""

from collections.abc import Collection

from .collectives import PROGRAMS, Algorithm, Collective, number
from .collectives_geometry import DIVISIBLE, REDUCING, landing_bytes, most_bytes
from .message import FLIT_BYTES, MAX_PACKET, MAX_RANKS
from .near_memory import ReduceFormat

#: collectives in which a rank sends or receives a chunk of each other rank
_EXCHANGES = (Collective.ALLGATHER, Collective.REDUCESCATTER, Collective.ALLTOALL, Collective.ALLTOALLV)


def bound(
    collective: Collective,
    *,
    ranks: int,
    bytes: int,
    latency: float,
    bytes_per_cycle: float,
    switch_reduces: bool = False,
) -> float:
    """Cycles that no algorithm can beat from the first start to the last end.

    `bytes` as in `mtia.collectives_geometry.geometry`. ValueError for figures out of range.
    """
    _check(ranks, bytes, latency, bytes_per_cycle)
    fraction = (ranks - 1) / ranks
    if collective is Collective.BARRIER:
        return latency
    if collective in _EXCHANGES:
        return latency + fraction * bytes / bytes_per_cycle
    if collective is Collective.ALLREDUCE and not switch_reduces:
        return latency + 2 * fraction * bytes / bytes_per_cycle
    return latency + bytes / bytes_per_cycle


def expected(
    collective: Collective,
    algorithm: Algorithm,
    *,
    ranks: int,
    bytes: int,
    latency: float,
    bytes_per_cycle: float,
) -> float:
    """Cycles of an algorithm if nothing but bytes and first-byte latency took time: no bubbles, no headers.

    A greeting counts with its head flits. ValueError for figures out of range or where there is no such program.
    """
    _check(ranks, bytes, latency, bytes_per_cycle)
    number(collective, algorithm)
    others, time, first = ranks - 1, bytes / bytes_per_cycle, latency
    part = time / ranks
    if collective is Collective.BARRIER:
        return first + others * FLIT_BYTES / bytes_per_cycle
    if collective is Collective.ALLGATHER and algorithm is Algorithm.RING:
        return others * (first + part)
    if collective in _EXCHANGES:
        return first * (2 if algorithm is Algorithm.RENDEZVOUS else 1) + others * part
    linear = others * time
    return {
        Algorithm.LINEAR: first + linear,
        Algorithm.ONE_SHOT: first + linear,
        Algorithm.TWO_SHOT: 2 * (first + others * part),
        Algorithm.RING: others * (first + time),
        Algorithm.SCATTER: 2 * first + time,
        Algorithm.MULTICAST: first + time,
        Algorithm.IN_SWITCH: first + time,
        Algorithm.EAGER: first + time,
        Algorithm.RENDEZVOUS: 2 * first + linear,
    }[algorithm]


def choose(
    collective: Collective,
    *,
    ranks: int,
    bytes: int,
    latency: float,
    bytes_per_cycle: float,
    switch_formats: Collection[ReduceFormat] = (),
    format: ReduceFormat = ReduceFormat.FP32,
    multicast: bool = False,
    degraded: bool = False,
    landing: int | None = None,
    piece_limit: int = MAX_PACKET,
) -> Algorithm:
    """The algorithm for a size and a topology. The bits do not depend on it.

    On a topology that has lost links (`degraded`), the ring where there is one. Else, if the switch adds numbers of the
    format, in the switch; else the quickest by `expected` (so the one-shot all-reduce below a size), of those that
    fit: MULTICAST only with a switch that can, what lands in slots only where there are enough `landing` bytes (a
    parity's; None: always), and no RENDEZVOUS, which is slower and only for outputs that are free late. Where one
    collective cannot hold the bytes, `mtia.collectives_geometry.split` says how many do.

    ValueError for figures out of range, and where nothing fits.
    """
    _check(ranks, bytes, latency, bytes_per_cycle)
    adds = collective in REDUCING and format in switch_formats

    def fits(algorithm: Algorithm) -> bool:
        slots = landing_bytes(collective, algorithm, ranks=ranks, bytes=bytes)
        most = most_bytes(collective, algorithm, ranks=ranks, piece_limit=piece_limit)
        return (
            (algorithm is not Algorithm.MULTICAST or multicast)
            and (algorithm is not Algorithm.IN_SWITCH or adds)
            and (algorithm is not Algorithm.RENDEZVOUS or collective is Collective.SENDRECV)
            and (landing is None or slots <= landing)
            and (bytes <= most or collective in DIVISIBLE)
        )

    there = [algorithm for name, algorithm in PROGRAMS if name is collective and fits(algorithm)]
    if degraded:
        there = [Algorithm.RING] if Algorithm.RING in there else there
    elif Algorithm.IN_SWITCH in there:
        return Algorithm.IN_SWITCH
    if not there:
        raise ValueError(f"bytes of {collective} must fit {landing!r} bytes of landing slots, not {bytes!r}")
    figures = {"ranks": ranks, "bytes": bytes, "latency": latency, "bytes_per_cycle": bytes_per_cycle}
    return min(there, key=lambda algorithm: expected(collective, algorithm, **figures))  # type: ignore[arg-type]


def crossover(*, ranks: int, latency: float, bytes_per_cycle: float) -> float:
    """Bytes from which the two-shot all-reduce is quicker than the one-shot; infinite for 2 ranks."""
    _check(ranks, 1, latency, bytes_per_cycle)
    return latency * bytes_per_cycle / ((ranks - 1) * (1 - 2 / ranks)) if ranks > 2 else float("inf")


def _check(ranks: int, bytes: int, latency: float, bytes_per_cycle: float) -> None:
    if not isinstance(ranks, int) or not 2 <= ranks <= MAX_RANKS:
        raise ValueError(f"ranks must be from 2 to {MAX_RANKS}, not {ranks!r}")
    if not isinstance(bytes, int) or bytes < 0:
        raise ValueError(f"bytes must be at least 0, not {bytes!r}")
    if latency < 0:
        raise ValueError(f"latency must be at least 0, not {latency!r}")
    if not bytes_per_cycle > 0:
        raise ValueError(f"bytes_per_cycle must be above 0, not {bytes_per_cycle!r}")

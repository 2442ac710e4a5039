"""How long the pieces of a collective should be: short ones are added sooner, long ones have fewer headers.

>>> from mtia.collectives import Algorithm, Collective
>>> best_piece(Collective.ALLGATHER, Algorithm.LINEAR, ranks=72, bytes=1 << 20, mtu=1056)
1056
>>> best_piece(Collective.ALLREDUCE, Algorithm.TWO_SHOT, ranks=72, bytes=1 << 20, mtu=4064)
928
"""

from .collectives import WINDOW, Algorithm, Collective
from .collectives_entries import Cut
from .collectives_geometry import MAX_PIECE, REDUCING, Geometry, geometry, most_bytes, program_for
from .message import FLIT_BYTES, MAX_PACKET, flits
from .near_memory import ReduceFormat

#: of a step of one flit, of a reduce-scatter or an in-switch reduction, with its share of what lies between two entries
_STEP_CYCLES = 2


def send_cycles(
    collective: Collective, algorithm: Algorithm, cut: Geometry, *, ranks: int, mtu: int, step_cycles: int = 6
) -> int:
    """Cycles in which the busiest rank sends its messages, a flit a cycle, a step at least every `step_cycles`."""
    whole = program_for(collective, algorithm, ranks).cut is Cut.WHOLE
    steps = ranks if algorithm is Algorithm.IN_SWITCH else 1 if algorithm is Algorithm.MULTICAST else ranks - 1
    phases = 2 if algorithm is Algorithm.TWO_SHOT else 1
    lengths = [cut.whole_length(piece) if whole else cut.length(0, piece) for piece in range(cut.pieces)]
    return phases * steps * sum(max(step_cycles, _message_flits(length, mtu)) for length in lengths)


def best_piece(
    collective: Collective,
    algorithm: Algorithm,
    *,
    ranks: int,
    bytes: int,
    mtu: int = MAX_PACKET,
    lines: int = 1,
    step_cycles: int = 6,
    sum_cycles: int = 50,
    wait_cycles: int = 11,
    trip_cycles: int = 80,
    format: ReduceFormat = ReduceFormat.FP32,
) -> int:
    """The `piece_limit` of `mtia.collectives_geometry.geometry` with which the least cycles are expected.

    A collective takes `send_cycles`, or the time to add all its pieces if that is more, and the time to add one piece
    at the end: until then adding hides behind arrivals. In a reduce-scatter nothing waits for a sum but the end, so
    that sums follow each other closely and a piece costs whole lines only, or the time to wait for the next.
    A switch adds as contributions come; its ranks wait for the result of the piece `mtia.collectives.WINDOW` before.
    A ring takes the longest pieces, because each waits for the one before at every rank. Pieces fill their last flit:
    32 + 64 k bytes. Those of an in-switch reduction that is too long for one are for its parts.

    mtu:         most payload bytes of a packet (of a contribution, where the switch adds)
    lines:       flits that are added a cycle
    step_cycles: from step to step
    sum_cycles:  of a sum beside those for its flits, from the arrival to the first step behind it
    wait_cycles: from the end of one wait for arrivals to that of the next
    trip_cycles: of a contribution to the switch and its result to all, beside those for their flits
    """
    if algorithm is Algorithm.RING:
        return MAX_PIECE

    def cycles(limit: int) -> float:
        count = min(bytes, most_bytes(collective, algorithm, ranks=ranks, piece_limit=limit))
        figures = {"ranks": ranks, "piece_limit": limit}
        cut = geometry(collective, algorithm, bytes=count, format=format, **figures)
        if collective is Collective.REDUCESCATTER:
            return _scatter_cycles(cut, ranks=ranks, mtu=mtu, line=FLIT_BYTES * lines, wait_cycles=wait_cycles)
        if algorithm is Algorithm.IN_SWITCH:
            return _in_switch_cycles(cut, ranks=ranks, mtu=mtu, trip_cycles=trip_cycles) * bytes / count
        send = send_cycles(collective, algorithm, cut, ranks=ranks, mtu=mtu, step_cycles=step_cycles)
        if collective not in REDUCING:
            return send + cut.piece / FLIT_BYTES
        add = ranks * cut.piece / (FLIT_BYTES * lines) + sum_cycles
        return (max(send, cut.pieces * add) + add) * bytes / count

    limits = range(mtu, 0, -FLIT_BYTES)
    if collective not in REDUCING and algorithm is not Algorithm.SCATTER:
        return mtu
    return min(limits, key=cycles)


def _scatter_cycles(cut: Geometry, *, ranks: int, mtu: int, line: int, wait_cycles: int) -> int:
    """Cycles until the last piece is added: pieces arrive and are added one after the other."""
    arrived = added = 0
    for piece in range(cut.pieces):
        length = cut.length(0, piece)
        arrived += (ranks - 1) * max(_STEP_CYCLES, _message_flits(length, mtu))
        added = max(arrived, added) + max(wait_cycles, ranks * -(-length // line))
    return added


def _in_switch_cycles(cut: Geometry, *, ranks: int, mtu: int, trip_cycles: int) -> float:
    """Cycles until the last result is there: contributions leave one after the other, as far as the window lets them.

    A piece goes round when all ranks have sent to all units and all have taken all results.
    """
    lengths = [_message_flits(cut.length(0, piece), mtu) for piece in range(cut.pieces)]
    send = ranks * sum(max(_STEP_CYCLES, length) for length in lengths)
    trips = sum(trip_cycles + 2 * ranks * length for length in lengths)
    return max(send, trips / WINDOW) + ranks * max(lengths) + trip_cycles


def _message_flits(length: int, mtu: int) -> int:
    """Flits of the packets of a message; none for one that is not sent."""
    whole, rest = divmod(length, mtu)
    return whole * flits(mtu) + (flits(rest) if rest else 0)

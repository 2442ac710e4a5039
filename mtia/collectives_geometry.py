"""How a collective is cut into chunks and pieces, and the descriptor that starts it.

>>> from mtia.collectives import Algorithm, Collective
>>> geometry(Collective.ALLREDUCE, Algorithm.TWO_SHOT, ranks=72, bytes=65536, piece_limit=4064)
Geometry(bytes=65536, chunk=928, last=576, owners=71, piece=928, pieces=1, landing_bytes=66816)
"""

from typing import NamedTuple

from .collectives import PROGRAMS, Algorithm, Collective, number
from .collectives_entries import Cut, Program
from .message import ATOM_BYTES, DESCRIPTOR, MAX_PACKET, MAX_PIECES, MAX_RANKS, DescriptorOp
from .near_memory import ReduceFormat, ReduceKind

#: most bytes of a piece: a multiple of an atom in 16 bits
MAX_PIECE = (1 << 16) - ATOM_BYTES
#: most of a descriptor's timeout
LONGEST_TIMEOUT = (1 << dict(DESCRIPTOR)["timeout"]) - 1
#: collectives that add
REDUCING = (Collective.REDUCE, Collective.ALLREDUCE, Collective.REDUCESCATTER)
#: collectives that treat every byte by its place only, so that a long one may be done in parts one after the other
DIVISIBLE = (Collective.BROADCAST, Collective.REDUCE, Collective.ALLREDUCE, Collective.SENDRECV)


class Geometry(NamedTuple):
    """The figures of a descriptor, and the bytes of landing slots that it needs, for each of the two parities."""

    bytes: int
    chunk: int
    last: int
    owners: int
    piece: int
    pieces: int
    landing_bytes: int

    def size(self, chunk: int) -> int:
        """Bytes of a chunk: none where there are fewer owners."""
        return self.chunk if chunk < self.owners - 1 else self.last if chunk == self.owners - 1 else 0

    def length(self, chunk: int, piece: int) -> int:
        """Bytes of a piece of a chunk."""
        return max(0, min(self.piece, self.size(chunk) - piece * self.piece))

    def whole_length(self, piece: int) -> int:
        """Bytes of a piece of the whole."""
        return max(0, min(self.piece, self.bytes - piece * self.piece))


def geometry(
    collective: Collective,
    algorithm: Algorithm,
    *,
    ranks: int,
    bytes: int,
    piece_limit: int = MAX_PACKET,
    format: ReduceFormat = ReduceFormat.FP32,
) -> Geometry:
    """The cut of a collective of so many bytes over so many ranks.

    `bytes`: of the whole that is broadcast or reduced, of the output of an all-gather, of the input of a
    reduce-scatter or an all-to-all; for ALLTOALLV what an input has room for. A chunk is the smallest multiple of 32
    bytes that gives every rank one at most; if there are few bytes the last ranks have none. `piece_limit` is the
    most that a piece should hold; it holds more where a chunk would have more than 32 of them, unless a piece must fit
    a packet. `format` decides which sizes hold whole numbers. BARRIER takes any `bytes` and needs none.

    ValueError for another number of ranks, of bytes, for a piece limit that is no multiple of 32, where there is no
    such program, and for more bytes than 32 pieces hold (`split` tells what to do then).
    """
    program = program_for(collective, algorithm, ranks)
    if piece_limit % ATOM_BYTES or not ATOM_BYTES <= piece_limit <= MAX_PIECE:
        raise ValueError(f"piece_limit must be a multiple of {ATOM_BYTES} up to {MAX_PIECE}, not {piece_limit!r}")
    if collective is Collective.BARRIER:
        return Geometry(0, ATOM_BYTES, ATOM_BYTES, 1, ATOM_BYTES, 1, 0)
    unit = unit_bytes(collective, format)
    if not 1 <= bytes < 1 << 32 or bytes % unit:
        raise ValueError(f"bytes must be a multiple of {unit} from {unit} to 2^32 - 1, not {bytes!r}")
    chunk = equal_chunk(bytes, _parts(program, ranks))
    owners = -(-bytes // chunk)
    if collective is Collective.ALLTOALLV:
        owners, last = ranks, chunk
    else:
        last = bytes - (owners - 1) * chunk
    piece = min(chunk, piece_limit if program.one_packet else max(piece_limit, _up(-(-chunk // MAX_PIECES))))
    pieces = -(-chunk // piece)
    if piece > MAX_PIECE or pieces > MAX_PIECES:
        most = most_bytes(collective, algorithm, ranks=ranks, piece_limit=piece_limit)
        raise ValueError(f"bytes must be at most {most}, not {bytes!r}")
    return Geometry(bytes, chunk, last, owners, piece, pieces, _landing(program, ranks, bytes))


def landing_bytes(collective: Collective, algorithm: Algorithm, *, ranks: int, bytes: int) -> int:
    """Bytes of landing slots that a collective of so many bytes needs, for each of the two parities."""
    return _landing(program_for(collective, algorithm, ranks), ranks, bytes)


def most_bytes(collective: Collective, algorithm: Algorithm, *, ranks: int, piece_limit: int = MAX_PACKET) -> int:
    """Most bytes of one collective."""
    program = program_for(collective, algorithm, ranks)
    return min(
        _parts(program, ranks) * MAX_PIECES * (piece_limit if program.one_packet else MAX_PIECE), (1 << 32) - ATOM_BYTES
    )


def split(
    collective: Collective, algorithm: Algorithm, *, ranks: int, bytes: int, piece_limit: int = MAX_PACKET
) -> list[int]:
    """Bytes of each of the fewest collectives, one after the other, that do one of `bytes`; their sum is `bytes`.

    ValueError where it does not fit one and the collective cannot be done in parts.
    """
    most = most_bytes(collective, algorithm, ranks=ranks, piece_limit=piece_limit)
    if bytes <= most:
        return [bytes]
    if collective not in DIVISIBLE:
        raise ValueError(f"bytes must be at most {most}, not {bytes!r}")
    count = -(-bytes // most)
    part = equal_chunk(bytes, count)
    return [part] * (count - 1) + [bytes - part * (count - 1)]


def descriptor(
    collective: Collective,
    algorithm: Algorithm,
    cut: Geometry,
    *,
    command: int,
    communicator: int = 0,
    partition: int = 0,
    root: int = 0,
    kind: ReduceKind = ReduceKind.SUM,
    format: ReduceFormat = ReduceFormat.FP32,
    input: int = 0,
    output: int = 0,
    sizes: int = 0,
    program: int | None = None,
    timeout: int = LONGEST_TIMEOUT,
    **fields: int,
) -> dict[str, int]:
    """Fields of the descriptor of a collective; `fields` are further ones (`comparison`, `semaphore`, `value`).

    `timeout` is the longest by default, so that a rank whose peer has failed hears of it: 268 million cycles.
    `sizes` is the address of the table of ALLTOALLV. `program`: its number in the directory, if it is not that of
    `mtia.collectives.number`.
    """
    return {
        "op": DescriptorOp.COLLECTIVE,
        "partition": partition,
        "command": command,
        "communicator": communicator,
        "kind": kind,
        "format": format,
        "program": number(collective, algorithm) if program is None else program,
        "root": root,
        "owners": cut.owners,
        "bytes": cut.bytes,
        "chunk": cut.chunk,
        "last": cut.last,
        "piece": cut.piece,
        "pieces": cut.pieces,
        "input": input,
        "output": output,
        "immediate": sizes & 0xFFFF_FFFF,
        "event": sizes >> 32,
        "timeout": timeout,
        **fields,
    }


def program_for(collective: Collective, algorithm: Algorithm, ranks: int) -> Program:
    """The program of an algorithm; ValueError where there is none, or none for so many ranks."""
    number(collective, algorithm)
    program = PROGRAMS[collective, algorithm]
    most = program.most_ranks or MAX_RANKS
    if not isinstance(ranks, int) or not 2 <= ranks <= most:
        raise ValueError(f"ranks must be from 2 to {most}, not {ranks!r}")
    return program


def _parts(program: Program, ranks: int) -> int:
    """Most chunks of a program."""
    return {Cut.CHUNKS: ranks, Cut.OTHERS: ranks - 1, Cut.WHOLE: 1}[program.cut]


def _landing(program: Program, ranks: int, bytes: int) -> int:
    """Bytes of its landing slots: a chunk a rank."""
    return ranks * equal_chunk(bytes, _parts(program, ranks)) if program.landing else 0


def equal_chunk(bytes: int, ranks: int) -> int:
    """The least multiple of an atom that gives every rank at most one chunk of so many bytes."""
    return _up(-(-bytes // ranks))


def unit_bytes(collective: Collective, format: ReduceFormat) -> int:
    """Bytes that must not be cut: a collective is of a multiple of them."""
    if collective not in REDUCING:
        return 1
    return ATOM_BYTES if format.operand is not None else format.memory.width // 8


def _up(bytes: int) -> int:
    """The next multiple of an atom."""
    return -(-bytes // ATOM_BYTES) * ATOM_BYTES

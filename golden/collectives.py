"""What collectives give, by their definition: no programs, no messages.

Inputs and outputs are bytes. Of a collective of n bytes over p ranks, chunk c is the bytes from ``c * chunk``; a chunk
is a whole number of 32-byte atoms, so the last ones may be shorter or empty. Sums are those of
`golden.near_memory.tree` over the rank index: in FP32, rounded once.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mtia.collectives import Collective
from mtia.message import ATOM_BYTES
from mtia.near_memory import ReduceFormat, ReduceKind

from . import near_memory

Bytes = NDArray[np.uint8]


def chunk_sizes(bytes: int, ranks: int, chunk: int) -> list[int]:
    """Bytes of each rank's chunk."""
    return [max(0, min(chunk, bytes - rank * chunk)) for rank in range(ranks)]


def input_bytes(collective: Collective, *, rank: int, ranks: int, bytes: int, chunk: int, root: int = 0) -> int:
    """Bytes that a rank gives."""
    if collective is Collective.BARRIER:
        return 0
    if collective in (Collective.BROADCAST, Collective.SENDRECV):
        return bytes if rank == root else 0
    if collective is Collective.ALLGATHER:
        return chunk_sizes(bytes, ranks, chunk)[rank]
    return bytes


def outcome(
    collective: Collective,
    inputs: Sequence[Bytes],
    *,
    chunk: int,
    root: int = 0,
    kind: ReduceKind = ReduceKind.SUM,
    format: ReduceFormat = ReduceFormat.FP32,
    sizes: NDArray[np.uint32] | None = None,
) -> list[dict[int, Bytes]]:
    """For each rank what its output holds: bytes by their place, from which on. Bytes elsewhere stay as they were.

    inputs: those of each rank, as long as `input_bytes` says. sizes (ranks, ranks): of an ALLTOALLV, the bytes that
    row's rank sends to the column's, at most a chunk. ValueError for an ALLTOALLV without sizes.
    """
    ranks = len(inputs)
    if collective is Collective.BARRIER:
        return [{} for _ in inputs]
    if collective is Collective.BROADCAST:
        return [{0: inputs[root]} for _ in inputs]
    if collective is Collective.SENDRECV:
        return [{0: inputs[root]} if rank != root else {} for rank in range(ranks)]
    if collective is Collective.ALLGATHER:
        return [{rank * chunk: each for rank, each in enumerate(inputs) if len(each)} for _ in inputs]
    if collective in (Collective.ALLTOALL, Collective.ALLTOALLV):
        return _exchanged(collective, inputs, chunk, sizes)
    total = combined(inputs, kind=kind, format=format)
    if collective is Collective.ALLREDUCE:
        return [{0: total} for _ in inputs]
    if collective is Collective.REDUCE:
        return [{0: total} if rank == root else {} for rank in range(ranks)]
    parts = [total[rank * chunk : (rank + 1) * chunk] for rank in range(ranks)]
    return [{0: part} if len(part) else {} for part in parts]


def combined(inputs: Sequence[Bytes], *, kind: ReduceKind, format: ReduceFormat) -> Bytes:
    """The sum, maximum or minimum of the ranks' numbers, in the bytes that they take in memory."""
    length = len(inputs[0])
    slots = np.zeros((len(inputs), -(-length // ATOM_BYTES) * ATOM_BYTES), np.uint8)
    for slot, each in zip(slots, inputs, strict=True):
        slot[:length] = each
    atoms = slots.reshape(len(inputs), -1, ATOM_BYTES)
    return near_memory.tree(kind, format, atoms).reshape(-1)[:length]


def _exchanged(
    collective: Collective, inputs: Sequence[Bytes], chunk: int, sizes: NDArray[np.uint32] | None
) -> list[dict[int, Bytes]]:
    ranks = len(inputs)
    if collective is Collective.ALLTOALLV and sizes is None:
        raise ValueError("sizes must be an array of the bytes that ranks send to each other, not None")
    outputs: list[dict[int, Bytes]] = [{} for _ in inputs]
    for source, each in enumerate(inputs):
        for target in range(ranks):
            part = each[target * chunk : (target + 1) * chunk]
            if sizes is not None:
                part = part[: sizes[source, target]]
            if len(part):
                outputs[target][source * chunk] = part
    return outputs

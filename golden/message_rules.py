"""Which descriptors an engine refuses to start."""

from collections.abc import Mapping, Sequence

from mtia.message import (
    ATOM_BYTES,
    MAX_PIECES,
    MAX_RANKS,
    PROGRAM,
    SUBGRAPHS,
    Comparison,
    DescriptorOp,
    unpack,
)
from mtia.near_memory import ReduceFormat


def malformed(
    descriptor: Mapping[str, int], communicators: Mapping[int, Mapping[str, int]], directory: Sequence[int]
) -> bool:
    """Whether a descriptor names what does not exist or is out of range, so that nothing of it is done.

    Any: the operation, the comparison, a semaphore's address that is no multiple of 4. PUT, COPY and COLLECTIVE: input
    and output that are no multiples of 32. PUT: a peer past the switch. COLLECTIVE: see `_collective`.
    """
    op = descriptor["op"]
    if op not in list(DescriptorOp) or descriptor["comparison"] not in list(Comparison) or descriptor["semaphore"] % 4:
        return True
    if op == DescriptorOp.NOOP:
        return False
    if descriptor["input"] % ATOM_BYTES or descriptor["output"] % ATOM_BYTES:
        return True
    if op == DescriptorOp.PUT:
        return descriptor["peer"] >= MAX_RANKS
    return op == DescriptorOp.COLLECTIVE and _collective(descriptor, communicators, directory)


def _collective(
    descriptor: Mapping[str, int], communicators: Mapping[int, Mapping[str, int]], directory: Sequence[int]
) -> bool:
    """Whether a communicator is not there or another partition's, a program is not there, or the cut makes no sense."""
    communicator = communicators.get(descriptor["communicator"], {})
    ranks = communicator.get("ranks", 0)
    if not communicator.get("valid", 0) or communicator["partition"] != descriptor["partition"]:
        return True
    if not 1 <= ranks <= MAX_RANKS or communicator["rank"] >= ranks or descriptor["root"] >= ranks:
        return True
    if descriptor["program"] >= len(directory):
        return True
    if not 1 <= unpack(PROGRAM, directory[descriptor["program"]])["subgraphs"] <= SUBGRAPHS:
        return True
    return (
        descriptor["owners"] > ranks
        or descriptor["chunk"] % ATOM_BYTES > 0
        or descriptor["piece"] % ATOM_BYTES > 0
        or descriptor["output"] < communicator["output"]
        or descriptor["last"] > descriptor["chunk"]
        or not 1 <= descriptor["pieces"] <= MAX_PIECES
        or descriptor["format"] not in list(ReduceFormat)
    )

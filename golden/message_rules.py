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
    Fault,
    unpack,
)
from mtia.near_memory import ReduceFormat


def malformed(
    descriptor: Mapping[str, int], communicators: Mapping[int, Mapping[str, int]], directory: Sequence[int]
) -> Fault:
    """What of a descriptor names what does not exist or is out of range, so that nothing of it is done; NONE is false.

    Any: the operation, the comparison, a semaphore's address that is no multiple of 4. PUT, COPY and COLLECTIVE: input
    and output that are no multiples of 32. PUT: a peer past the switch. COLLECTIVE: see `_collective`.
    """
    op = descriptor["op"]
    if op not in list(DescriptorOp):
        return Fault.OPERATION
    if descriptor["comparison"] not in list(Comparison):
        return Fault.COMPARISON
    if descriptor["semaphore"] % 4:
        return Fault.SEMAPHORE
    if op == DescriptorOp.NOOP:
        return Fault.NONE
    if descriptor["input"] % ATOM_BYTES:
        return Fault.INPUT
    if descriptor["output"] % ATOM_BYTES:
        return Fault.OUTPUT
    if op == DescriptorOp.PUT and descriptor["peer"] >= MAX_RANKS:
        return Fault.PEER
    return _collective(descriptor, communicators, directory) if op == DescriptorOp.COLLECTIVE else Fault.NONE


def _collective(
    descriptor: Mapping[str, int], communicators: Mapping[int, Mapping[str, int]], directory: Sequence[int]
) -> Fault:
    """Whether a communicator is not there or another partition's, a program is not there, or the cut makes no sense."""
    communicator = communicators.get(descriptor["communicator"], {})
    ranks = communicator.get("ranks", 0)
    if not communicator.get("valid", 0) or communicator["partition"] != descriptor["partition"]:
        return Fault.COMMUNICATOR
    if not 1 <= ranks <= MAX_RANKS or communicator["rank"] >= ranks or communicator["output"] % ATOM_BYTES:
        return Fault.COMMUNICATOR
    number = descriptor["program"]
    subgraphs = unpack(PROGRAM, directory[number])["subgraphs"] if number < len(directory) else 0
    wrong = {
        Fault.PROGRAM: not 1 <= subgraphs <= SUBGRAPHS,
        Fault.OUTPUT: descriptor["output"] < communicator["output"],
        Fault.ROOT: descriptor["root"] >= ranks,
        Fault.OWNERS: descriptor["owners"] > ranks,
        Fault.CHUNK: descriptor["chunk"] % ATOM_BYTES > 0,
        Fault.PIECE: descriptor["piece"] % ATOM_BYTES > 0 or not 1 <= descriptor["pieces"] <= MAX_PIECES,
        Fault.LAST: descriptor["last"] > descriptor["chunk"],
        Fault.FORMAT: descriptor["format"] not in list(ReduceFormat),
    }
    return next((fault for fault, holds in wrong.items() if holds), Fault.NONE)

"""Requests and responses of a memory port of HBM, as the golden memory takes and gives them."""

import enum
from typing import NamedTuple

from mtia.near_memory import ATOM_BYTES, ReduceFormat, ReduceKind

#: byte enables that enable all
FULL_MASK = (1 << ATOM_BYTES) - 1


class Op(enum.IntEnum):
    """What a request asks of an atom."""

    RD = 0
    WR = 1
    RED = 2
    TREE = 3


class Status(enum.IntEnum):
    """How a request ended."""

    OK = 0
    CORRECTED = 1  #: a flipped bit was corrected; a memory without faults never says so
    POISON = 2
    UNCORRECTABLE = 3
    ADDRESS = 4  #: beyond the capacity


class Request(NamedTuple):
    """A request of the memory port; kind and format are those of a RED or TREE, data not of a RD, mask of WR and RED.

    The address of a TREE is its destination, its data `mtia.near_memory.tree_operand`.
    """

    op: Op
    address: int
    tag: int = 0
    data: bytes = bytes(ATOM_BYTES)
    mask: int = FULL_MASK  #: bit i enables byte i
    kind: ReduceKind = ReduceKind.COPY
    format: ReduceFormat = ReduceFormat.FP32


class Response(NamedTuple):
    """The answer to a request; data is None where the port does not promise any."""

    tag: int
    status: Status
    data: bytes | None


def check_request(index: int, request: Request) -> None:
    """Raises ValueError, which names the request by its index, for one that no port can be given."""
    if request.op not in list(Op):
        raise ValueError(f"op of request {index} must be RD, WR, RED or TREE, not {request.op!r}")
    if request.address < 0:
        raise ValueError(f"address of request {index} must be at least 0, not {request.address!r}")
    if len(request.data) != ATOM_BYTES:
        raise ValueError(f"data of request {index} must be {ATOM_BYTES} bytes, not {len(request.data)!r}")
    if not 0 <= request.mask <= FULL_MASK:
        raise ValueError(f"mask of request {index} must be of {ATOM_BYTES} bits, not {request.mask!r}")
    if request.op in (Op.RED, Op.TREE) and (
        request.kind not in list(ReduceKind) or request.format not in list(ReduceFormat)
    ):
        raise ValueError(f"kind and format of request {index} must be known, not {request.kind!r}, {request.format!r}")
    if request.op == Op.TREE and request.kind == ReduceKind.COPY:
        raise ValueError(f"kind of request {index} must be SUM, MAX or MIN for a TREE, not {request.kind!r}")

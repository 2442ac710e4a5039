"""Types of the memory port of a pseudo-channel."""

from dataclasses import dataclass

from amaranth.hdl import Shape
from amaranth.lib import data
from amaranth.utils import ceil_log2

from mtia.near_memory import TREE_FIELDS

from ..core.checks import require_int
from .commands import Geometry, MemoryOp, Status
from .reduce_format import ReduceFormat, ReduceKind

#: bits of an atom and of its byte enables
DATA_BITS, MASK_BITS = 256, 32


@dataclass(frozen=True, kw_only=True)
class MemoryPort:
    """Widths of a memory port: address of an atom, tag that comes back with the response.

    A request is {op, kind, format, address, tag, mask, data}: `kind` and `format` matter for RED
    and TREE, `mask` (a bit a byte) and `data` for WR and RED. The data of a TREE is `tree_layout`:
    its address is the destination, its `kind` SUM, MAX or MIN. A response is {tag, status, data};
    every request has one: a read its data, the others when they are ordered before all that follow.

    With id_bits a request has a further field `id`, and the responses of reads with the same id
    come in the order in which the reads were accepted; without, responses come in any order. Tags
    are for the requester alone: several requests may have the same.

    Parameters
    ----------
    address_bits : 1 to 64; addresses count atoms of 32 bytes.
    tag_bits : 1 to 32.
    id_bits : 0 to 12.

    Raises TypeError or ValueError for a width that is not so.
    """

    address_bits: int
    tag_bits: int = 8
    id_bits: int = 0

    def __post_init__(self) -> None:
        require_int("Memory port address bits", self.address_bits, low=1, high=64)
        require_int("Memory port tag bits", self.tag_bits, low=1, high=32)
        require_int("Memory port id bits", self.id_bits, low=0, high=12)

    @classmethod
    def of(cls, geometry: Geometry, *, tag_bits: int = 8, id_bits: int = 0) -> "MemoryPort":
        """The port of a pseudo-channel of that geometry."""
        atoms = geometry.bank_count * geometry.rows * geometry.columns
        return cls(address_bits=ceil_log2(atoms), tag_bits=tag_bits, id_bits=id_bits)

    def request(self) -> data.StructLayout:
        """Type of a request.

        op : of `MemoryOp`.
        kind, format : of a RED or TREE, see `mtia.near_memory`.
        address : of the atom, in atoms.
        tag : comes back with the response.
        id : reads of one id are answered in order (only with `id_bits`).
        mask : a bit a byte, byte 0 lowest: bytes of a WR that are written, of a RED that may
            change.
        data : the atom, byte 0 in the low bits.
        """
        return data.StructLayout(
            {
                "op": MemoryOp,
                "kind": ReduceKind,
                "format": ReduceFormat,
                "address": self.address_bits,
                "tag": self.tag_bits,
                **({"id": self.id_bits} if self.id_bits else {}),
                "mask": MASK_BITS,
                "data": DATA_BITS,
            }
        )

    def response(self) -> data.StructLayout:
        """Type of a response.

        tag : of the request.
        status : of `Status`.
        data : of a read with status OK or CORRECTED; means nothing otherwise.
        """
        return data.StructLayout({"tag": self.tag_bits, "status": Status, "data": DATA_BITS})


def tree_layout() -> data.StructLayout:
    """Type of the operand of a TREE, in the low bits of its data.

    first : address of the first slot, in atoms.
    stride : atoms from a slot to the next.
    slots : their number, 1 to `mtia.near_memory.TREE_SLOTS`.
    """
    return data.StructLayout({name: 8 * size for name, size in TREE_FIELDS.items()})


def steps_layout(port: MemoryPort) -> data.StructLayout:
    """Type of what `ExpandTree` makes of the requests of a port: the request's fields, and

    slot : the read is of a slot.
    last : of the last one.
    beyond : the TREE names what there is not.
    """
    return data.StructLayout({**port.request().members, "slot": 1, "last": 1, "beyond": 1})


def slot_layout(slots: int) -> data.StructLayout:
    """Type of a slot's atom that was read.

    valid : there is one.
    entry : its place in the buffer.
    bad : it could not be read.
    data : the atom.
    """
    return data.StructLayout({"valid": 1, "entry": Shape.cast(range(slots)), "bad": 1, "data": DATA_BITS})


def result_layout(lines: int) -> data.StructLayout:
    """Type of the result of an ordered reduction.

    line : of the near-memory unit, that waits for it.
    bad : a slot was lost, and with it the result.
    data : the atom.
    """
    return data.StructLayout({"line": Shape.cast(range(lines)), "bad": 1, "data": DATA_BITS})


def update_layout(geometry: Geometry) -> data.StructLayout:
    """Type of a request that reads an atom, changes it and writes it back.

    place : of the atom.
    kind, format : how it changes (`mtia.near_memory`); COPY writes bytes.
    tree : the atom gets the result of an ordered reduction, and is not read.
    mask, data : bytes that may change, and the operand.
    """
    return data.StructLayout(
        {
            "place": geometry.place(),
            "kind": ReduceKind,
            "format": ReduceFormat,
            "tree": 1,
            "mask": MASK_BITS,
            "data": DATA_BITS,
        }
    )


def fetch_layout(geometry: Geometry, lines: int) -> data.StructLayout:
    """Type of a read on behalf of a line of the near-memory unit: the atom's `place`, and the `line`."""
    return data.StructLayout({"place": geometry.place(), "line": Shape.cast(range(lines))})


def store_layout(geometry: Geometry) -> data.StructLayout:
    """Type of a write of a whole atom; `poison` marks its data as lost."""
    return data.StructLayout({"place": geometry.place(), "poison": 1, "data": DATA_BITS})

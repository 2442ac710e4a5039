"""Commands of a pseudo-channel and their widths."""

from dataclasses import dataclass

from amaranth.hdl import Value
from amaranth.lib import data, enum
from amaranth.utils import ceil_log2

from mtia.hbm import Organization


class MaintainOp(enum.Enum, shape=3):
    """Row commands other than ACT: precharge (a bank, all), refresh (a bank, all), refresh management of a bank."""

    NOP = 0
    PRE = 1
    PREA = 2
    REFPB = 3
    REFAB = 4
    RFMPB = 5


class ColumnOp(enum.Enum, shape=2):
    """Column commands."""

    NOP = 0
    RD = 1
    WR = 2


class MemoryOp(enum.Enum, shape=2):
    """Requests of a memory port: read, write, reduce into memory, reduce slots in their order (`MemoryPort`)."""

    RD = 0
    WR = 1
    RED = 2
    TREE = 3


class Status(enum.Enum, shape=3):
    """How a request ended.

    OK: as asked. CORRECTED: a wrong bit was put right. POISON: the word was written as lost.
    UNCORRECTABLE: more is wrong than can be put right. ADDRESS: there is no such atom, and nothing
    was done. The data of the last three means nothing.
    """

    OK = 0
    CORRECTED = 1
    POISON = 2
    UNCORRECTABLE = 3
    ADDRESS = 4


class RefreshMode(enum.Enum, shape=2):
    """What refreshes the banks: nothing (the device loses its data), REFPB one by one, or REFAB all at once."""

    OFF = 0
    PER_BANK = 1
    ALL_BANK = 2


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Widths of the address fields of a pseudo-channel, and the types made of them.

    A bank is named by one number, `bank_index`: bank, bank group and SID from the lowest bit up.
    Where the SIDs are no power of two, the indices at the end have no bank.

    Parameters
    ----------
    sids : stack IDs, the ranks of a stack.
    bank_groups : of each SID.
    banks : of each group.
    rows : of a bank.
    columns : atoms of a row.
    """

    sids: int
    bank_groups: int
    banks: int
    rows: int
    columns: int

    @classmethod
    def of(cls, organization: Organization) -> "Geometry":
        """The geometry of a pseudo-channel of an organization."""
        return cls(
            sids=organization.sids,
            bank_groups=organization.bank_groups,
            banks=organization.banks_per_group,
            rows=organization.rows,
            columns=organization.columns,
        )

    @property
    def sid_bits(self) -> int:
        """Bits of a SID (0 where there is one)."""
        return ceil_log2(self.sids)

    @property
    def group_bits(self) -> int:
        """Bits of a bank group's number within its SID."""
        return ceil_log2(self.bank_groups)

    @property
    def bank_bits(self) -> int:
        """Bits of a bank's number within its group."""
        return ceil_log2(self.banks)

    @property
    def index_bits(self) -> int:
        """Bits of a bank's index."""
        return self.bank_bits + self.group_bits + self.sid_bits

    @property
    def bank_count(self) -> int:
        """Banks of a pseudo-channel, over all SIDs."""
        return self.sids * self.bank_groups * self.banks

    @property
    def row_bits(self) -> int:
        """Bits of a row."""
        return ceil_log2(self.rows)

    @property
    def column_bits(self) -> int:
        """Bits of an atom's place in its row."""
        return ceil_log2(self.columns)

    @property
    def bank_fields(self) -> dict[str, int]:
        """Fields that name a bank in a command; each has a bit at least."""
        bits = {"bank": self.bank_bits, "bank_group": self.group_bits, "sid": self.sid_bits}
        return {name: max(1, width) for name, width in bits.items()}

    def split(self, index: Value) -> dict[str, Value]:
        """The fields of `bank_fields` from a bank's index; no logic, only bits."""
        group = index[self.bank_bits :]
        return {
            "bank": index[: self.bank_bits],
            "bank_group": group[: self.group_bits],
            "sid": group[self.group_bits :],
        }

    def column_groups(self, *, by_sid: bool) -> int:
        """Groups of banks whose column commands follow each other more slowly: of all SIDs, or of each."""
        return self.bank_groups * (self.sids if by_sid else 1)

    def column_group(self, index: Value, *, by_sid: bool) -> Value:
        """Which of `column_groups` the bank of an index is in."""
        return index[self.bank_bits :] if by_sid else self.split(index)["bank_group"]

    def activate(self) -> data.StructLayout:
        """Type of the ACT slot.

        valid : there is one.
        pc : the pseudo-channel.
        bank, bank_group, sid, row : the row that it opens.
        """
        return data.StructLayout({"valid": 1, "pc": 1, **self.bank_fields, "row": self.row_bits})

    def maintain(self) -> data.StructLayout:
        """Type of the slot of the other row commands.

        op : which; NOP where there is none.
        pc : the pseudo-channel.
        bank, bank_group, sid : the bank; mean nothing with PREA and REFAB.
        """
        return data.StructLayout({"op": MaintainOp, "pc": 1, **self.bank_fields})

    def column(self) -> data.StructLayout:
        """Type of the column slot of a pseudo-channel.

        op : RD, WR, or NOP where there is none.
        bank, bank_group, sid, column : the atom, in the row that is open there.
        """
        return data.StructLayout({"op": ColumnOp, **self.bank_fields, "column": self.column_bits})

    def place(self) -> data.StructLayout:
        """Type of an atom's place in a pseudo-channel.

        index : of its bank.
        row, column : of the atom in its bank.
        """
        return data.StructLayout({"index": self.index_bits, "row": self.row_bits, "column": self.column_bits})

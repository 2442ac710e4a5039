"""Rows of HBM command traces, written by hand in tests."""

from mtia import hbm
from mtia.hbm_timing import TimingSet

#: ck, channel, pc, command, sid, bank_group, bank, row, column
Row = tuple[int, int, int, str, int | None, int | None, int | None, int | None, int | None]
Bank = tuple[int, int, int]

#: a bank; another of its bank group; one of another bank group; one of another SID
A: Bank = (0, 0, 0)
GROUP: Bank = (0, 0, 1)
OTHER: Bank = (0, 1, 0)
SID: Bank = (1, 0, 0)

#: command -> whether it names a bank, a row, a column
FIELDS = {
    "ACT": (True, True, False),
    "PRE": (True, False, False),
    "PREA": (False, False, False),
    "REFPB": (True, False, False),
    "REFAB": (False, False, False),
    "RFMPB": (True, False, False),
    "RD": (True, False, True),
    "WR": (True, False, True),
}


def row(ck: int, name: str, bank: Bank = A, *, pc: int = 0, channel: int = 0, at: int = 3) -> Row:
    """A command in which row and column are `at`; fields that it has not are empty."""
    has_bank, has_row, has_column = FIELDS[name]
    place = bank if has_bank else (None, None, None)
    return (ck, channel, pc, name, *place, at if has_row else None, at if has_column else None)


def sets() -> list[TimingSet]:
    """All timing sets, with at least two SIDs."""
    found = [hbm.get(name) for name in hbm.names()]
    return [item.with_stack(16) if item.organization.sids == 1 else item for item in found]

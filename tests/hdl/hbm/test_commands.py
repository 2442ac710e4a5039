"""Types of the commands: fields, widths, the fields of a bank's index."""

import itertools

import pytest
from amaranth.hdl import Const, Shape
from amaranth.lib import data

from golden.hbm_memory import Op, Status as GoldenStatus
from hdl.hbm.commands import ColumnOp, Geometry, MaintainOp, MemoryOp, RefreshMode, Status
from mtia import hbm

from ..pysim import logic, run
from .parts import GEOMETRY, ODD

ONE = Geometry(sids=1, bank_groups=1, banks=1, rows=2, columns=4)


def codes(kind):
    """Name and code of each member."""
    return {member.name: member.value for member in kind}


def test_codes():
    """The codes that device, trace and golden memory know by number."""
    assert codes(MaintainOp) == {"NOP": 0, "PRE": 1, "PREA": 2, "REFPB": 3, "REFAB": 4, "RFMPB": 5}
    assert codes(ColumnOp) == {"NOP": 0, "RD": 1, "WR": 2}
    assert codes(MemoryOp) == codes(Op)
    assert codes(Status) == codes(GoldenStatus)
    assert codes(RefreshMode) == {"OFF": 0, "PER_BANK": 1, "ALL_BANK": 2}
    assert [Shape.cast(kind).width for kind in (MaintainOp, ColumnOp, MemoryOp, Status, RefreshMode)] == [3, 2, 2, 3, 2]


@pytest.mark.parametrize("name", hbm.names())
def test_geometry_of(name):
    of = hbm.get(name).organization
    geometry = Geometry.of(of)
    assert geometry.bank_count == of.banks
    assert (1 << geometry.row_bits) >= of.rows > (1 << geometry.row_bits) // 2
    assert 1 << geometry.column_bits == of.columns
    assert geometry.index_bits == geometry.sid_bits + geometry.group_bits + geometry.bank_bits


@pytest.mark.parametrize(
    ("geometry", "widths", "banks"),
    [(GEOMETRY, (1, 1, 1), 8), (ODD, (2, 1, 1), 12), (ONE, (0, 0, 0), 1)],
)
def test_widths(geometry, widths, banks):
    assert (geometry.sid_bits, geometry.group_bits, geometry.bank_bits) == widths
    assert geometry.index_bits == sum(widths)
    assert geometry.bank_count == banks
    assert geometry.bank_fields == dict(
        zip(("sid", "bank_group", "bank"), (max(1, each) for each in widths), strict=True)
    )


@pytest.mark.parametrize("geometry", [GEOMETRY, ODD, ONE])
def test_split(geometry):
    """A bank's index is ((sid * groups) + group) * banks + bank, over powers of two."""
    m, inputs, outputs = logic(lambda m, index: list(geometry.split(index[: geometry.index_bits]).values()), 8)
    places = list(itertools.product(range(geometry.sids), range(geometry.bank_groups), range(geometry.banks)))
    rows = [((sid * geometry.bank_groups + group) * geometry.banks + bank,) for sid, group, bank in places]
    assert [index for (index,) in rows] == list(range(geometry.bank_count))
    found = run(m, inputs, outputs, rows)
    assert found == [(bank, group, sid) for sid, group, bank in places]
    assert list(geometry.split(Const(0, geometry.index_bits))) == ["bank", "bank_group", "sid"]


def test_slots():
    """Fields and widths of the device's slots."""

    def widths(layout: data.StructLayout) -> dict[str, int]:
        return {name: Shape.cast(shape).width for name, shape in layout.members.items()}

    bank = {"bank": 1, "bank_group": 1, "sid": 2}
    assert widths(ODD.activate()) == {"valid": 1, "pc": 1, **bank, "row": 4}
    assert widths(ODD.maintain()) == {"op": 3, "pc": 1, **bank}
    assert widths(ODD.column()) == {"op": 2, **bank, "column": 3}
    assert widths(ODD.place()) == {"index": 4, "row": 4, "column": 3}
    assert widths(ONE.activate()) == {"valid": 1, "pc": 1, "bank": 1, "bank_group": 1, "sid": 1, "row": 1}

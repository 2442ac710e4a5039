"""Codes of the reductions: rows of the formats' table, numbered by a rule."""

import pytest

from mtia.formats import MX_FORMATS
from mtia.near_memory import ATOM_BYTES, SCALE_BYTE, TREE_FIELDS, ReduceFormat, ReduceKind, tree_operand

MEMORIES = ("FP32", "BF16", "FP16")


def test_kinds() -> None:
    assert [(item.name, item.value) for item in ReduceKind] == [("COPY", 0), ("SUM", 1), ("MAX", 2), ("MIN", 3)]


def test_formats_are_every_memory_with_every_operand() -> None:
    expected = {
        f"{memory}_{operand}".removesuffix("_"): place + 4 * index
        for index, operand in enumerate(["", *MX_FORMATS])
        for place, memory in enumerate(MEMORIES)
    }
    assert {item.name: item.value for item in ReduceFormat} == expected


@pytest.mark.parametrize("item", ReduceFormat)
def test_layout(item: ReduceFormat) -> None:
    operands = [None, *MX_FORMATS]
    assert item.memory.name == MEMORIES[item & 3]
    assert (item.operand and item.operand.name) == operands[item >> 2]
    assert item.lanes * item.memory.width == 8 * ATOM_BYTES
    assert item.lanes <= SCALE_BYTE
    if item.operand is not None:
        assert item.operand.element.width <= 8


def test_tree_operand() -> None:
    found = tree_operand(first=0x0102, stride=3, slots=72)
    assert found == bytes([2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 72, 0]) + bytes(14)
    assert sum(TREE_FIELDS.values()) <= len(found) == ATOM_BYTES


@pytest.mark.parametrize("name, value", [("first", -1), ("stride", 1 << 64), ("slots", 65536)])
def test_tree_operand_wrong(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must fit {TREE_FIELDS[name]} bytes, not {value}$"):
        tree_operand(**{"first": 0, "stride": 0, "slots": 0, name: value})

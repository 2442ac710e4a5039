"""Codes of the reductions: rows of the formats' table, numbered by a rule."""

import pytest

from mtia.formats import MX_FORMATS
from mtia.near_memory import ATOM_BYTES, SCALE_BYTE, ReduceFormat, ReduceKind

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

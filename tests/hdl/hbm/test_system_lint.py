"""Verilator has nothing to say about what stands around the channels but what the flow silences by name."""

import pytest

from hdl.emit import emit
from hdl.hbm.order import InOrder
from hdl.hbm.port import MemoryPort
from hdl.hbm.registers import Registers
from hdl.hbm.route import Entrance
from hdl.hbm.spread import Collect
from mtia import hbm_profiles
from mtia.hbm_map import AddressMap
from mtia.hbm_system import SystemMap
from tb import verilator


def entrance(generation: str, size: str, *, id_bits: int = 0) -> Entrance:
    """A port of a generation's memory system."""
    shape = hbm_profiles.memory(generation, size)
    layout = SystemMap(stacks=shape.stacks, stack=AddressMap.of(shape.timing.organization, level="stack"))
    return Entrance(map=layout, port=MemoryPort(address_bits=layout.address_bits, id_bits=id_bits), slots=24)


def stack_entrance(generation: str, size: str) -> Entrance:
    """A port of a generation's stack."""
    layout = AddressMap.of(hbm_profiles.memory(generation, size).timing.organization, level="stack")
    return Entrance(map=layout, port=MemoryPort(address_bits=layout.address_bits), slots=24)


BLOCKS = {
    "registers": Registers,
    "order": lambda: InOrder(port=MemoryPort(address_bits=20, id_bits=3), slots=24),
    "order_one_bit": lambda: InOrder(port=MemoryPort(address_bits=20, id_bits=1), slots=16),
    "system_of_6": lambda: entrance("mtia300", "full"),
    "system_of_8": lambda: entrance("mtia500", "full", id_bits=4),
    "system_of_1": lambda: entrance("mtia300", "fpga"),
    "stack": lambda: stack_entrance("mtia300", "full"),
    "stack_of_1": lambda: stack_entrance("mtia300", "sim"),
    "collect_1": lambda: Collect(port=MemoryPort(address_bits=20), ports=1),
    "collect_3": lambda: Collect(port=MemoryPort(address_bits=20), ports=3),
}


@pytest.mark.sim
@pytest.mark.parametrize("block", BLOCKS)
def test_lint(block):
    verilator.lint(emit(BLOCKS[block](), name="top").verilog)

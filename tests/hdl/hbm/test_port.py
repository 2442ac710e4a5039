"""Types of the memory port."""

import pytest
from amaranth.hdl import Shape

from hdl.hbm.commands import Geometry
from hdl.hbm.port import MemoryPort, fetch_layout, store_layout, update_layout
from mtia import hbm
from mtia.hbm_map import AddressMap

from .parts import GEOMETRY, ODD


def widths(layout):
    """Name and width of each field."""
    return {name: Shape.cast(shape).width for name, shape in layout.members.items()}


def test_port():
    port = MemoryPort.of(GEOMETRY, tag_bits=5)
    assert port == MemoryPort(address_bits=10, tag_bits=5)  # 8 banks of 16 rows of 8 atoms
    fields = {"op": 2, "kind": 2, "format": 5, "address": 10, "tag": 5, "mask": 32, "data": 256}
    assert widths(port.request()) == fields
    assert widths(port.response()) == {"tag": 5, "status": 3, "data": 256}
    assert MemoryPort.of(ODD).address_bits == 11  # 12 banks of 12 rows of 8 atoms
    assert MemoryPort.of(ODD).tag_bits == 8


@pytest.mark.parametrize("name", hbm.names())
def test_addresses_reach_every_atom(name):
    """As many bits as the address map has, or fewer by those that no address needs."""
    of = hbm.get(name).organization
    assert MemoryPort.of(Geometry.of(of)).address_bits == AddressMap.of(of, level="pseudo_channel").address_bits


def test_inner_types():
    place = {"index": 3, "row": 4, "column": 3}
    assert widths(update_layout(GEOMETRY)) == {"place": 10, "kind": 2, "format": 5, "mask": 32, "data": 256}
    assert widths(update_layout(GEOMETRY)["place"].shape) == place
    assert widths(fetch_layout(GEOMETRY, 5)) == {"place": 10, "line": 3}
    assert widths(store_layout(GEOMETRY)) == {"place": 10, "poison": 1, "data": 256}


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"address_bits": 0}, ValueError, "Memory port address bits must be in 1 to 64, not 0"),
        ({"address_bits": 65}, ValueError, "Memory port address bits must be in 1 to 64, not 65"),
        ({"address_bits": None}, TypeError, "Memory port address bits must be an integer, not None"),
        ({"address_bits": 8, "tag_bits": 0}, ValueError, "Memory port tag bits must be in 1 to 32, not 0"),
        ({"address_bits": 8, "tag_bits": 33}, ValueError, "Memory port tag bits must be in 1 to 32, not 33"),
        ({"address_bits": 8, "tag_bits": 1.0}, TypeError, r"Memory port tag bits must be an integer, not 1\.0"),
    ],
)
def test_parameters_wrong(parameters, error, message):
    with pytest.raises(error, match=message):
        MemoryPort(**parameters)

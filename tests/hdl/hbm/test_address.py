# amaranth: UnusedElaboratable=no
# (a component whose parameters are refused is never elaborated)
"""The RTL's places against the golden model: all of small memories, and all rests of a 36 GB stack."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from golden.hbm_map import decode, split
from hdl.emit import emit
from hdl.hbm.address import MapAddress, RouteAddress
from hdl.hbm.commands import Geometry
from mtia import hbm
from mtia.hbm_map import LEVELS, AddressMap
from mtia.hbm_organization import Organization
from tb.lane import Lane
from tests.hdl.pysim import run

from .timed import Timed

STACKS = {
    f"{standard} {size}": hbm.organization_of(standard, size)
    for standard, size in (("HBM2", 8), ("HBM3", 16), ("HBM3E", 36), ("HBM4", 36), ("HBM4E", 64))
}
SMALL = dataclasses.replace(STACKS["HBM3 16"], channels=4, sids=3, bank_groups=2, banks_per_group=2, rows=6, columns=4)
#: what fields of one value leave: a bank of a SID, one channel
TINY = dataclasses.replace(SMALL, channels=1, sids=1, bank_groups=1, banks_per_group=1, rows=8)


def simulate(layout: AddressMap, addresses: Iterable[int]) -> dict[str, NDArray[np.int64]]:
    """Outputs of MapAddress by name."""
    dut = MapAddress(map=layout)
    names = [name for name in dut.signature.members if name != "address"]
    rows = run(dut, [dut.address], [getattr(dut, name) for name in names], ([int(value)] for value in addresses))
    return dict(zip(names, np.array(rows).T, strict=True))


def check(layout: AddressMap, addresses: NDArray[np.int64], found: Mapping[str, NDArray[Any]]) -> None:
    """Compare outputs for addresses that have places with the golden model."""
    place = decode(addresses, layout)
    for name, value in place.items():
        np.testing.assert_array_equal(found[name], value, name)
    widths = layout.widths
    index = (place["sid"] << widths["bank_group"] | place["bank_group"]) << widths["bank"] | place["bank"]
    np.testing.assert_array_equal(found["index"], index)
    assert not np.any(found["beyond"])


class TestMapAddress:
    @pytest.mark.parametrize("organization", [SMALL, TINY], ids=["small", "tiny"])
    @pytest.mark.parametrize("level", LEVELS)
    def test_every_address(self, organization: Organization, level: str) -> None:
        layout = AddressMap.of(organization, level=level)
        addresses = np.arange(1 << layout.address_bits)
        found = simulate(layout, addresses)
        inside = addresses < layout.atoms
        check(layout, addresses[inside], {name: value[inside] for name, value in found.items()})
        assert found["beyond"][~inside].all()

    @pytest.mark.parametrize("name", STACKS)
    @pytest.mark.parametrize("level", LEVELS)
    def test_random(self, name: str, level: str, seed: int) -> None:
        layout = AddressMap.of(STACKS[name], level=level)
        addresses = np.random.default_rng(seed).integers(0, layout.atoms, 300)
        addresses[:2] = 0, layout.atoms - 1
        check(layout, addresses, simulate(layout, addresses))

    def test_widths(self) -> None:
        dut = MapAddress(map=AddressMap.of(STACKS["HBM3E 36"], level="pseudo_channel"))
        geometry = Geometry.of(STACKS["HBM3E 36"])
        assert dut.latency == 0
        assert len(dut.index) == geometry.index_bits
        assert (len(dut.row), len(dut.column)) == (geometry.row_bits, geometry.column_bits)
        assert not {"pc", "channel"} & set(dut.signature.members)

    def test_no_port_without_bits(self) -> None:
        dut = MapAddress(map=AddressMap.of(TINY, level="stack"))
        assert all(len(getattr(dut, name)) >= 1 for name in dut.signature.members)

    def test_beyond_at_the_edge(self) -> None:
        layout = AddressMap.of(STACKS["HBM3E 36"])
        found = simulate(layout, [layout.atoms - 1, layout.atoms, (1 << layout.address_bits) - 1])
        assert found["beyond"].tolist() == [0, 1, 1]

    def test_emits(self) -> None:
        text = emit(MapAddress(map=AddressMap.of(STACKS["HBM3E 36"])), name="map_address").verilog
        assert "module map_address" in text
        assert "[-1:0]" not in text

    @pytest.mark.parametrize("value", [None, "HBM3", STACKS["HBM3 16"]])
    def test_map_wrong(self, value: Any) -> None:
        with pytest.raises(TypeError, match=r"^Map must be an AddressMap, not "):
            MapAddress(map=value)


class TestRouteAddress:
    @pytest.mark.parametrize("organization", [SMALL, TINY, *STACKS.values()])
    @pytest.mark.parametrize("level", ["channel", "stack"])
    def test_split(self, organization: Organization, level: str, seed: int) -> None:
        layout = AddressMap.of(organization, level=level)
        addresses = np.random.default_rng(seed).integers(0, layout.atoms, 300)
        dut = RouteAddress(map=layout)
        rows = run(dut, [dut.address], [dut.where, dut.inner, dut.beyond], ([int(value)] for value in addresses))
        where, inner = split(addresses, layout)
        np.testing.assert_array_equal(np.array(rows), np.stack([where, inner, 0 * where], axis=1))

    def test_beyond(self) -> None:
        layout = AddressMap.of(SMALL, level="stack")
        dut = RouteAddress(map=layout)
        rows = run(dut, [dut.address], [dut.beyond], [[layout.atoms - 1], [layout.atoms]])
        assert rows == [(0,), (1,)]

    def test_map_wrong(self) -> None:
        with pytest.raises(TypeError, match=r"^Map must be an AddressMap, not 3$"):
            RouteAddress(map=3)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"^level must be stack or channel, not 'pseudo_channel'$"):
            RouteAddress(map=AddressMap.of(SMALL, level="pseudo_channel"))


@pytest.mark.sim
class TestVerilated:
    def test_every_rest_of_three_sids(self, seed: int) -> None:
        """All 73,728 rests of a channel of a 36 GB stack, each with random low bits."""
        layout = AddressMap.of(STACKS["HBM3E 36"])
        low = np.random.default_rng(seed).integers(0, 1 << layout.rest_at, layout.rests)
        addresses = np.arange(layout.rests) << layout.rest_at | low
        lane = Lane(Timed(inner=MapAddress(map=layout)), name="map_address")
        lane.push("i", {"address": addresses.astype(np.uint32)})
        assert lane.run({"o": layout.rests}) == layout.rests + MapAddress.latency
        check(layout, addresses, lane.pull_fields("o"))

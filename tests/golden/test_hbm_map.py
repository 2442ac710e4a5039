"""Addresses to places and back: every place once, and what strides do to the banks.

The first 64 accesses of each power-of-two stride to a channel, with the default maps; 32 banks are all
that its two pseudo-channels have without the SIDs:

accesses   those that fit into the channel; strides of less than 128 bytes meet a row several times
banks      distinct pseudo-channel, bank group and bank
with SID   distinct banks, the SID included
same %     columns of a pseudo-channel that follow one of another row in the same bank group and SID

STRIDES HBM3E 36
      32 B     64  16  16   0
      64 B     64  32  32   7
     128 B     64  32  32   6
     256 B     64  32  32   0
     512 B     64  32  32  10
     1 KiB     64  32  64   0
     2 KiB     64  32  48   0
     4 KiB     64  32  48   0
     8 KiB     64  32  56   0
    16 KiB     64  32  52   0
    32 KiB     64  32  54   0
    64 KiB     64  32  54   2
   128 KiB     64  32  54   3
   256 KiB     64  32  54   0
   512 KiB     64  32  54   0
     1 MiB     64  32  54   0
     2 MiB     64  32  54   2
     4 MiB     64  32  54   6
     8 MiB     64  32  54   0
    16 MiB     64  32  54   0
    32 MiB     64  32  54  13
    64 MiB     36  32  34   0
   128 MiB     18  18  18   0
   256 MiB      9   9   9   0
   512 MiB      5   5   5  33
     1 GiB      3   3   3   0

STRIDES HBM4E 64
      32 B     64  16  16  14
      64 B     64  32  32  20
     128 B     64  32  32  19
     256 B     64  32  32  16
     512 B     64  32  32  16
     1 KiB     64  32  64  26
     2 KiB     64  32  64  26
     4 KiB     64  32  64  29
     8 KiB     64  32  64   0
    16 KiB     64  32  64  13
    32 KiB     64  32  64  26
    64 KiB     64  32  64   0
   128 KiB     64  32  64   0
   256 KiB     64  32  64   6
   512 KiB     64  32  64   0
     1 MiB     64  32  64   0
     2 MiB     64  32  64   0
     4 MiB     64  32  64   3
     8 MiB     64  32  64   3
    16 MiB     64  32  64   0
    32 MiB     64  32  64   0
    64 MiB     32  32  32   0
   128 MiB     16  16  16  43
   256 MiB      8   8   8  33
   512 MiB      4   4   4   0
     1 GiB      2   2   2   0
"""

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from golden.hbm_map import Addresses, decode, encode, join, split
from mtia import hbm
from mtia.hbm_map import LEVELS, AddressMap
from mtia.hbm_organization import Organization

SMALL = dataclasses.replace(
    hbm.get("HBM3-6.4").organization, channels=4, sids=3, bank_groups=2, banks_per_group=2, rows=6, columns=8
)
SMALLS = {
    "three SIDs": SMALL,
    "four SIDs": dataclasses.replace(SMALL, sids=4, rows=5),
    "one SID, one group": dataclasses.replace(SMALL, sids=1, bank_groups=1, rows=16),
    "one channel": dataclasses.replace(SMALL, channels=1, sids=5, banks_per_group=4, rows=3, columns=16),
}
STACKS = {
    f"{standard} {size}": hbm.organization_of(standard, size)
    for standard, size in (("HBM2", 8), ("HBM3", 16), ("HBM3E", 36), ("HBM4", 36), ("HBM4E", 48), ("HBM4E", 64))
}
STACKS["HBM4 36, 4 groups"] = hbm.organization_of("HBM4", 36).with_bank_groups(4)
STRIDES = range(26)  # log2 of a stride in atoms: 32 bytes to 1 GiB


def table(name: str) -> list[tuple[int, ...]]:
    """The rows of a table of this file's docstring: accesses, banks, banks with SID, percent."""
    (block,) = re.findall(rf"^STRIDES {name}\n((?: .+\n)+)", __doc__ or "", re.MULTILINE)
    units = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
    rows = [line.split() for line in block.splitlines()]
    assert [int(row[0]) * units[row[1]] for row in rows] == [32 << power for power in STRIDES]
    return [tuple(int(word) for word in row[2:]) for row in rows]


def strided(layout: AddressMap, power: int, count: int = 64, start: int = 0) -> Addresses:
    """The first accesses of a stride of 2**power atoms, as many as fit into the addresses."""
    return np.arange(start, start + min(count << power, layout.atoms), 1 << power) % layout.atoms


def bank_of(place: dict[str, Addresses]) -> Addresses:
    """One number for pseudo-channel, bank group and bank."""
    return (place.get("pc", 0) * 16 + place["bank_group"]) * 16 + place["bank"]


def same_group(address: Addresses, place: dict[str, Addresses]) -> float:
    """Percent of a pseudo-channel's columns that follow one of another chunk in the same bank group and SID."""
    same = total = 0
    for pc in (0, 1):
        here = place["pc"] == pc
        group, chunk = (place["bank_group"] + 16 * place["sid"])[here], address[here] >> 2
        other = chunk[1:] != chunk[:-1]
        same += int(((group[1:] == group[:-1]) & other).sum())
        total += int(other.sum())
    return 100 * same / max(1, total)


def maps(organization: Organization) -> list[AddressMap]:
    return [AddressMap.of(organization, level=level) for level in LEVELS]


class TestBijection:
    @pytest.mark.parametrize("name", SMALLS)
    @pytest.mark.parametrize("level", LEVELS)
    def test_every_place_once(self, name: str, level: str) -> None:
        organization = SMALLS[name]
        layout = AddressMap.of(organization, level=level)
        addresses = np.arange(layout.atoms)
        place = decode(addresses, layout)
        counts = {"row": organization.rows, "sid": organization.sids}
        number = np.zeros_like(addresses)
        total = 1
        for field, bits in layout.widths.items():
            count = counts.get(field, 1 << bits)
            assert place[field].min() == 0
            assert place[field].max() == count - 1
            number = number * count + place[field]
            total *= count
        np.testing.assert_array_equal(np.sort(number), np.arange(total))
        np.testing.assert_array_equal(encode(place, layout), addresses)

    @pytest.mark.parametrize("name", STACKS)
    @pytest.mark.parametrize("level", LEVELS)
    def test_inverse_at_random(self, name: str, level: str, seed: int) -> None:
        layout = AddressMap.of(STACKS[name], level=level)
        random = np.random.default_rng(seed)
        addresses = np.concatenate([random.integers(0, layout.atoms, 50_000), [0, layout.atoms - 1]])
        place = decode(addresses, layout)
        np.testing.assert_array_equal(encode(place, layout), addresses)
        counts = {"row": STACKS[name].rows, "sid": STACKS[name].sids}
        drawn = {
            field: random.integers(0, counts.get(field, 1 << bits), 50_000) for field, bits in layout.widths.items()
        }
        back = decode(encode(drawn, layout), layout)
        for field in layout.widths:
            np.testing.assert_array_equal(back[field], drawn[field])

    def test_fields_in_any_order(self, seed: int) -> None:
        layout = AddressMap(
            organization=STACKS["HBM3 16"],
            fields=(("bank", 1), ("column", 4), ("bank_group", 2), ("pc", 1), ("bank", 1), ("column", 1)),
            masks={"pc": (1 << 0 | 1 << 5 | 1 << 24,), "sid": (1 << 11,), "bank": (1 << 1, 1 << 10)},
        )
        addresses = np.random.default_rng(seed).integers(0, layout.atoms, 20_000)
        np.testing.assert_array_equal(encode(decode(addresses, layout), layout), addresses)

    def test_by_hand(self) -> None:
        """Plain fields and one mask, read off the bits."""
        layout = AddressMap(
            organization=STACKS["HBM3E 36"],
            fields=(("column", 2), ("pc", 1), ("bank_group", 2), ("bank", 2), ("column", 3)),
            masks={"bank": (0, 0b101 << 9)},
        )
        rest = 3 * 20_001 + 2
        place = decode((rest << 10) | 0b101_10_01_1_11, layout)
        flipped = (0b101 >> 2) ^ (rest >> 1 & 1)
        assert {name: int(value) for name, value in place.items()} == {
            "column": 0b10111,
            "pc": 1,
            "bank_group": 1,
            "bank": 0b10 ^ flipped << 1,
            "sid": 2,
            "row": 20_001,
        }


class TestLevels:
    @pytest.mark.parametrize("name", [*STACKS, *SMALLS])
    def test_split_and_join(self, name: str, seed: int) -> None:
        organization = {**STACKS, **SMALLS}[name]
        for layout in maps(organization)[1:]:
            addresses = np.random.default_rng(seed).integers(0, layout.atoms, 20_000)
            where, inner = split(addresses, layout)
            np.testing.assert_array_equal(join(where, inner, layout), addresses)
            place, below = decode(addresses, layout), decode(inner, layout.inner())
            for field, value in below.items():
                np.testing.assert_array_equal(value, place[field])

    def test_split_takes_each_once(self) -> None:
        layout = AddressMap.of(SMALL, level="stack")
        where, inner = split(np.arange(layout.atoms), layout)
        assert len(set(zip(where.tolist(), inner.tolist(), strict=True))) == layout.atoms
        assert inner.max() == layout.inner().atoms - 1

    def test_split_of_the_innermost(self) -> None:
        with pytest.raises(ValueError, match=r"^level must be stack or channel, not 'pseudo_channel'$"):
            split([0], AddressMap.of(SMALL, level="pseudo_channel"))


class TestSpread:
    @pytest.mark.parametrize("name", STACKS)
    def test_chunk_stays_in_a_row(self, name: str, seed: int) -> None:
        for layout in maps(STACKS[name]):
            chunks = np.random.default_rng(seed).integers(0, layout.atoms >> 2, 5000) << 2
            places = [decode(chunks + atom, layout) for atom in range(4)]
            for field in layout.widths:
                values = np.array([place[field] for place in places])
                if field == "column":
                    np.testing.assert_array_equal(values & 3, np.arange(4)[:, None] + 0 * values)
                    values = values >> 2
                np.testing.assert_array_equal(values, values[:1] + 0 * values)

    @pytest.mark.parametrize("name", ["HBM3E 36", "HBM4E 64"])
    def test_table(self, name: str) -> None:
        layout = AddressMap.of(STACKS[name])
        measured = []
        for power in STRIDES:
            address = strided(layout, power)
            place = decode(address, layout)
            bank = bank_of(place)
            both = len(np.unique(bank * 8 + place["sid"]))
            measured.append((len(address), len(np.unique(bank)), both, round(same_group(address, place))))
        assert measured == table(name)

    @pytest.mark.parametrize("name", STACKS)
    @pytest.mark.parametrize("power", STRIDES)
    def test_strides_reach_every_bank(self, name: str, power: int) -> None:
        """As many banks as there are chunks, up to all 32, in 32 and in 64 accesses; both pseudo-channels alike."""
        layout = AddressMap.of(STACKS[name])
        for count in (32, 64):
            address = strided(layout, power, count)
            place = decode(address, layout)
            chunks = len(np.unique(address >> 2))
            assert len(np.unique(bank_of(place))) == min(32, chunks)
            if len(address) == count:
                assert abs(int(place["pc"].sum()) * 2 - count) == 0

    @pytest.mark.parametrize("name", STACKS)
    @pytest.mark.parametrize("power", STRIDES)
    def test_strides_within_a_pseudo_channel(self, name: str, power: int) -> None:
        layout = AddressMap.of(STACKS[name], level="pseudo_channel")
        address = strided(layout, power)
        place = decode(address, layout)
        assert len(np.unique(bank_of(place))) >= min(16, len(np.unique(address >> 2)) // 2)

    @pytest.mark.parametrize("name", STACKS)
    @pytest.mark.parametrize("power", STRIDES)
    def test_strides_over_channels(self, name: str, power: int) -> None:
        """Every channel gets the same number of the first accesses, four for each."""
        layout = AddressMap.of(STACKS[name], level="stack")
        channels = STACKS[name].channels
        address = strided(layout, power, 4 * channels)
        if power == 0 or len(address) < 4 * channels:
            return
        share = np.bincount(decode(address, layout)["channel"], minlength=channels)
        assert share.tolist() == [4] * channels

    @pytest.mark.parametrize("name", STACKS)
    def test_groups_alternate(self, name: str) -> None:
        limit = {"HBM2 8": 66, "HBM4 36": 30, "HBM4E 48": 30, "HBM4E 64": 30}.get(name, 14)
        layout = AddressMap.of(STACKS[name])
        for power in range(20):
            address = strided(layout, power)
            assert same_group(address, decode(address, layout)) <= limit, power

    def test_other_strides(self) -> None:
        """Strides of 1 to 1024 chunks, rows padded by one chunk among them: no bank gets them all."""
        layout = AddressMap.of(STACKS["HBM3E 36"])
        strides = np.arange(1, 1025)[:, None]
        bank = bank_of(decode(strides * np.arange(64) << 2, layout))
        distinct = np.array([len(np.unique(row)) for row in bank])
        assert distinct.min() >= 16
        assert distinct.mean() > 28


class TestWrong:
    def test_addresses(self) -> None:
        layout = AddressMap.of(SMALL)
        for address in (-1, layout.atoms):
            message = f"^addresses must be below {layout.atoms}, not {min(0, address)} to {max(0, address)}$"
            with pytest.raises(ValueError, match=message):
                decode([0, address], layout)
        assert decode([], layout)["row"].shape == (0,)

    @pytest.mark.parametrize("field, count", [("row", 6), ("sid", 3), ("bank", 2), ("column", 8), ("pc", 2)])
    def test_place(self, field: str, count: int) -> None:
        layout = AddressMap.of(SMALL)
        place: dict[str, Any] = dict.fromkeys(layout.widths, 0)
        for value in (-1, count):
            with pytest.raises(ValueError, match=f"^{field} must be below {count}, not {value} to {value}$"):
                encode({**place, field: value}, layout)
        encode({**place, field: count - 1}, layout)

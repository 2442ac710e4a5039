"""Address maps as data: widths, levels, defaults, and every map that is refused."""

import dataclasses
import re
from typing import Any

import pytest

from mtia import hbm
from mtia.hbm_map import LEVELS, ORDER, AddressMap
from mtia.hbm_organization import Organization

HBM3 = hbm.get("HBM3-6.4").organization  # 16 GB: two SIDs
HBM3E = hbm.get("HBM3E-9.0").organization  # 36 GB: three SIDs, 24,576 rows
HBM4E = hbm.organization_of("HBM4E", 64)  # four SIDs
FIELDS = (("column", 2), ("pc", 1), ("bank_group", 2), ("bank", 2), ("column", 3))


def plain(organization: Organization = HBM3, **changes: Any) -> AddressMap:
    """A channel's map, without masks unless they are given."""
    return AddressMap(**{"organization": organization, "fields": FIELDS, **changes})


class TestSizes:
    def test_channel(self) -> None:
        made = AddressMap.of(HBM3E)
        assert (made.level, made.fields, made.rest_at) == ("channel", FIELDS, 10)
        assert made.atoms == 24576 * 3 << 10
        assert made.address_bits == 27
        assert made.atoms * 32 == 2 * HBM3E.pseudo_channel_bytes
        assert made.widths == {"column": 5, "pc": 1, "bank_group": 2, "bank": 2, "sid": 2, "row": 15}

    def test_levels(self) -> None:
        stack = AddressMap.of(HBM4E, level="stack")
        assert stack.atoms * 32 == HBM4E.stack_bytes
        assert stack.positions("channel") == (3, 4, 5, 6, 7)
        assert stack.inner() == AddressMap.of(HBM4E)
        assert stack.inner().inner() == AddressMap.of(HBM4E, level="pseudo_channel")
        assert stack.inner().inner().atoms * 32 == HBM4E.pseudo_channel_bytes

    def test_positions(self) -> None:
        made = AddressMap.of(HBM3)
        assert made.positions("column") == (0, 1, 7, 8, 9)
        assert (made.positions("pc"), made.positions("bank_group"), made.positions("bank")) == ((2,), (3, 4), (5, 6))
        assert made.positions("channel") == ()

    def test_inner_of_the_innermost(self) -> None:
        message = "^level must be stack or channel, not 'pseudo_channel'$"
        with pytest.raises(ValueError, match=message):
            AddressMap.of(HBM3, level="pseudo_channel").inner()

    def test_inner_moves_masks(self) -> None:
        made = plain(masks={"pc": (1 << 10,), "bank_group": (1 << 0 | 1 << 5 | 1 << 24, 0)}).inner()
        assert made.masks == {"bank_group": (1 << 0 | 1 << 4 | 1 << 23, 0)}
        assert made.fields == tuple(item for item in FIELDS if item[0] != "pc")


class TestDefaults:
    def test_no_mask_reads_the_chunk(self) -> None:
        for timing in hbm.SETS.values():
            for level in LEVELS:
                made = AddressMap.of(timing.organization, level=level)
                assert all(mask & 3 == 0 for masks in made.masks.values() for mask in masks)

    def test_sid_only_where_it_is_a_power_of_two(self) -> None:
        assert AddressMap.of(HBM3E).mask("sid") == (0, 0)
        assert AddressMap.of(HBM3).mask("sid") == (0x1FFF800,)

    def test_every_division_has_a_default(self) -> None:
        for groups in (1, 2, 4, 8, 16):
            for banks in (1, 2, 4, 8, 16):
                for sids in (1, 2, 3, 4, 5, 8):
                    organization = dataclasses.replace(
                        HBM3, channels=1, bank_groups=groups, banks_per_group=banks, sids=sids, rows=64
                    )
                    assert AddressMap.of(organization).atoms == 2 * organization.banks * 64 * 32

    def test_masks_read_the_fields_before(self) -> None:
        made = AddressMap.of(HBM3E, level="stack")
        read = dict.fromkeys(ORDER, 0)
        for name, masks in made.masks.items():
            for mask in masks:
                read[name] |= mask
        for place, name in enumerate(ORDER):
            for later in ORDER[place:]:
                assert not any(read[name] >> bit & 1 for bit in made.positions(later)), (name, later)

    def test_level_wrong(self) -> None:
        with pytest.raises(ValueError, match=r"^level must be one of .*, not 'chanel'; did you mean channel"):
            AddressMap.of(HBM3, level="chanel")


class TestWrong:
    @pytest.mark.parametrize(
        "changes, message",
        [
            ({"level": "bank"}, "level must be one of pseudo_channel, channel, stack, not 'bank'"),
            ({"fields": FIELDS[:-1]}, "Field column must have 5 bits, not 2"),
            ({"fields": FIELDS[1:]}, "Field column must have 5 bits, not 3"),
            ({"fields": (*FIELDS[:1], *FIELDS[2:])}, "Field pc must have 1 bits, not 0"),
            ({"fields": (*FIELDS, ("bank", 1))}, "Field bank must have 2 bits, not 3"),
            ({"fields": (*FIELDS, ("bank", -1))}, "Bits of bank must be at least 0, not -1"),
            ({"fields": (*FIELDS, ("bank", 1.0))}, "Bits of bank must be at least 0, not 1.0"),
            (
                {"fields": (*FIELDS, ("row", 4))},
                "Field must be one of column, pc, bank_group, bank, not 'row'",
            ),
            (
                {"level": "stack"},
                "Field channel must have 4 bits, not 0",
            ),
            (
                {"fields": (*FIELDS, ("channel", 4))},
                "Field must be one of column, pc, bank_group, bank, not 'channel'",
            ),
            (
                {"masks": {"column": (0,) * 5}},
                "Field of a mask must be one of pc, bank_group, bank, sid, not 'column'",
            ),
            ({"masks": {"row": (0,) * 14}}, "Field of a mask must be one of pc, bank_group, bank, sid, not 'row'"),
            ({"masks": {"bank": (0,)}}, "masks of bank must be 2, one for each bit, not 1"),
            ({"masks": {"bank": (0, 1 << 25)}}, f"Mask of bank must be of 25 bits, not {1 << 25}"),
            ({"masks": {"bank": (0, -1)}}, "Mask of bank must be of 25 bits, not -1"),
            ({"masks": {"bank": (0, 1.0)}}, "Mask of bank must be of 25 bits, not 1.0"),
            (
                {"masks": {"bank": (1 << 5, 0)}},  # a bit that is flipped by itself is always 0
                "Mask of bank must be of bits that can be known again, not 0x20: bit 5",
            ),
            (
                {"masks": {"bank": (1 << 6, 0)}},
                "Mask of bank must be of bits that can be known again, not 0x40: bit 6",
            ),
            (
                {"masks": {"bank": (0, 1 << 10 | 1 << 3)}},
                "Mask of bank must be of bits that can be known again, not 0x408: bit 3",
            ),
            (
                {"masks": {"bank_group": (1 << 2, 0)}},
                "Mask of bank_group must be of bits that can be known again, not 0x4: bit 2",
            ),
            (
                {"masks": {"sid": (1 << 10,)}},
                "Mask of sid must be of bits that can be known again, not 0x400: bit 10",
            ),
            ({"masks": {"sid": (1,)}}, "Mask of sid must be of bits that can be known again, not 0x1: bit 0"),
        ],
    )
    def test_refused(self, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=rf"^{re.escape(message)}($|; did you mean )"):
            plain(**changes)

    def test_mask_of_three_sids(self) -> None:
        message = "^Mask of sid must be 0 where sids is no power of two, not 0x1000$"
        with pytest.raises(ValueError, match=message):
            plain(HBM3E, masks={"sid": (1 << 12, 0)})

    def test_channel_must_not_read_itself(self) -> None:
        made = AddressMap.of(HBM3, level="stack")
        message = "^Mask of channel must be of bits that can be known again, not 0x10: bit 4$"
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(made, masks={"channel": (1 << 4, 0, 0, 0)})

    def test_accepted(self) -> None:
        """What the rules leave free: any order of the fields, masks of pc that read banks."""
        made = plain(
            fields=(("bank", 1), ("column", 4), ("bank_group", 2), ("pc", 1), ("bank", 1), ("column", 1)),
            masks={"pc": (1 << 0 | 1 << 5 | 1 << 24,), "sid": (1 << 11,), "bank": (1 << 1, 1 << 10)},
        )
        assert made.positions("bank") == (0, 8)

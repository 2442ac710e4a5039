"""How an address becomes a place in the memory: fields from the lowest bit up, and XOR masks.

Addresses count atoms of 32 bytes. The lowest bits are fields of fixed width; what is above them is
`rest = row * sids + sid`, which needs no power of two. A bit of `sid`, `bank`, `bank_group`, `pc`
or `channel` is then flipped by the parity of the address bits in its mask. A mask reads bits of the
column, of the rest, and of fields that stand before its own in that order, so that every map can be
inverted field by field; those of `sid` read the row alone, and there are some only where the SIDs
are a power of two.

The default masks make pseudo-channel, bank group and bank the remainder of the address above its
128-byte chunk by a polynomial over GF(2), mixed among themselves so that accesses that follow each
other alternate between bank groups. The powers of x in any window as long as the degree are
independent: every power-of-two stride visits all banks before it meets one again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .formats import unknown
from .hbm_organization import Organization

#: what the addresses of a map count through -> the fields of its addresses below the rest
LEVELS: dict[str, tuple[str, ...]] = {
    "pseudo_channel": ("column", "bank_group", "bank"),
    "channel": ("column", "pc", "bank_group", "bank"),
    "stack": ("column", "pc", "channel", "bank_group", "bank"),
}

#: bits of the column below every other field: 4 atoms, 128 bytes, stay in one row
CHUNK_BITS = 2

#: fields with masks, each of which may read the fields before it
ORDER = ("sid", "bank", "bank_group", "pc", "channel")

#: degree -> polynomial over GF(2), bit i the coefficient of x**i; of the banks, of channels, of SIDs
BANK_POLYNOMIALS = {
    0: 1,
    1: 0b11,
    2: 0b111,
    3: 0b1011,
    4: 0b10011,
    5: 0b101001,
    6: 0b1000011,
    7: 0b10000011,
    8: 0b100011101,
    9: 0b1000010001,
}
CHANNEL_POLYNOMIALS = {0: 1, 1: 0b11, 2: 0b111, 3: 0b1101, 4: 0b11001, 5: 0b111011, 6: 0b1011011}
SID_POLYNOMIALS = {0: 1, 1: 0b11, 2: 0b111, 3: 0b1011}

#: bits of bank group, of bank -> polynomial; and for pc, each bit of the group and each of the bank,
#: the bits of the remainder in it. Of all such, those with the fewest columns of one bank group in a row
MIXES = {
    (2, 2): (0b110111, (0b01001, 0b10010, 0b01100, 0b01000, 0b10000)),
    (1, 3): (0b101001, (0b11111, 0b01010, 0b00100, 0b01000, 0b10000)),
}


def _powers(polynomial: int, degree: int) -> Iterator[int]:
    """1, x, x**2 and so on, modulo the polynomial."""
    value = 1 if degree else 0
    while True:
        yield value
        value <<= 1
        if value >> degree & 1:
            value ^= polynomial


def bits_of(count: int) -> int:
    """Bits that number `count` things."""
    return (count - 1).bit_length()


@dataclass(frozen=True, kw_only=True)
class AddressMap:
    """How the atom addresses of a pseudo-channel, a channel or a stack become places.

    organization: whose; level: a key of `LEVELS`; fields: (name, bits) from the lowest bit up, a
    field in several parts or one; masks: name -> one mask of address bits for each bit of the field,
    none for a field that is left as it is.

    Raises ValueError for a level, field or mask of an unknown name (with the nearest), a field
    that is missing or has another width than the organization asks, and a mask that reads a bit
    which the place would not give back.
    """

    organization: Organization
    level: str = "channel"
    fields: tuple[tuple[str, int], ...]
    masks: Mapping[str, tuple[int, ...]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(unknown("level", self.level, list(LEVELS)))
        self._check_fields()
        for name, masks in self.masks.items():
            if name not in self.widths or name in ("column", "row"):
                allowed = [item for item in self.widths if item not in ("column", "row")]
                raise ValueError(unknown("Field of a mask", name, allowed))
            if len(masks) != self.widths[name]:
                raise ValueError(f"masks of {name} must be {self.widths[name]}, one for each bit, not {len(masks)!r}")
            for mask in masks:
                self._check_mask(name, mask)

    def _check_fields(self) -> None:
        found = dict.fromkeys(LEVELS[self.level], 0)
        for name, bits in self.fields:
            if name not in found:
                raise ValueError(unknown("Field", name, list(found)))
            if not isinstance(bits, int) or bits < 0:
                raise ValueError(f"Bits of {name} must be at least 0, not {bits!r}")
            found[name] += bits
        for name, bits in found.items():
            if bits != self.widths[name]:
                raise ValueError(f"Field {name} must have {self.widths[name]} bits, not {bits!r}")

    def _check_mask(self, name: str, mask: int) -> None:
        if not isinstance(mask, int) or mask < 0 or mask >> self.address_bits:
            raise ValueError(f"Mask of {name} must be of {self.address_bits} bits, not {mask!r}")
        if name == "sid" and mask and self.organization.sids & (self.organization.sids - 1):
            raise ValueError(f"Mask of sid must be 0 where sids is no power of two, not {mask:#x}")
        for bit in range(self.address_bits):
            if mask >> bit & 1 and not self._may_read(name, bit):
                raise ValueError(f"Mask of {name} must be of bits that can be known again, not {mask:#x}: bit {bit}")

    def _may_read(self, name: str, bit: int) -> bool:
        """Whether a mask of the field may read the address bit."""
        if name == "sid":
            return bit >= self.rest_at + self.widths["sid"]
        before = ("column", *ORDER[1 : ORDER.index(name)])
        return bit >= self.rest_at or any(bit in self.positions(item) for item in before)

    @property
    def widths(self) -> dict[str, int]:
        """Bits of each field of a place; `channel` and `pc` only at the levels that have them."""
        of = self.organization
        counts = {"column": of.columns, "pc": of.pseudo_channels, "channel": of.channels}
        counts |= {"bank_group": of.bank_groups, "bank": of.banks_per_group}
        found = {name: bits_of(counts[name]) for name in LEVELS[self.level]}
        return found | {"sid": bits_of(of.sids), "row": bits_of(of.rows)}

    @property
    def rest_at(self) -> int:
        """Lowest bit of the rest."""
        return sum(bits for _, bits in self.fields)

    @property
    def rests(self) -> int:
        """Values of the rest: rows x sids."""
        return self.organization.rows * self.organization.sids

    @property
    def atoms(self) -> int:
        """Addresses; those from here on have no place."""
        return self.rests << self.rest_at

    @property
    def address_bits(self) -> int:
        """Bits of an address."""
        return self.rest_at + bits_of(self.rests)

    def positions(self, name: str) -> tuple[int, ...]:
        """Address bits of a field of `fields`, its lowest first."""
        found: list[int] = []
        low = 0
        for item, bits in self.fields:
            if item == name:
                found += range(low, low + bits)
            low += bits
        return tuple(found)

    def mask(self, name: str) -> tuple[int, ...]:
        """The field's masks, zeros where it has none."""
        return tuple(self.masks.get(name, (0,) * self.widths[name]))

    def inner(self) -> "AddressMap":
        """The map one level down: of a channel of this stack, of a pseudo-channel of this channel.

        Its addresses are those of this map without the bits of `channel`, or of `pc`; the place is
        the same. Raises ValueError for the map of a pseudo-channel.
        """
        down = {"stack": ("channel", "channel"), "channel": ("pseudo_channel", "pc")}
        if self.level not in down:
            raise ValueError(f"level must be stack or channel, not {self.level!r}")
        level, gone = down[self.level]
        removed = self.positions(gone)
        fields = tuple(item for item in self.fields if item[0] != gone)
        masks = {
            name: tuple(_without(mask, removed) for mask in rows) for name, rows in self.masks.items() if name != gone
        }
        return replace(self, level=level, fields=fields, masks=masks)

    @classmethod
    def of(cls, organization: Organization, *, level: str = "channel") -> "AddressMap":
        """The default map of an organization at a level.

        128-byte chunks alternate between the pseudo-channels, then go through the channels (stack),
        bank groups and banks, before the column advances.
        """
        if level not in LEVELS:
            raise ValueError(unknown("level", level, list(LEVELS)))
        whole = cls(organization=organization, level="stack", fields=_default_fields(organization))
        made = replace(whole, masks=_default_masks(whole))
        while made.level != level:
            made = made.inner()
        return made


def _without(mask: int, removed: tuple[int, ...]) -> int:
    """The mask with address bits taken out, those above moved down."""
    for bit in sorted(removed, reverse=True):
        mask = (mask >> (bit + 1) << bit) | (mask & ((1 << bit) - 1))
    return mask


def _default_fields(organization: Organization) -> tuple[tuple[str, int], ...]:
    return (
        ("column", CHUNK_BITS),
        ("pc", bits_of(organization.pseudo_channels)),
        ("channel", bits_of(organization.channels)),
        ("bank_group", bits_of(organization.bank_groups)),
        ("bank", bits_of(organization.banks_per_group)),
        ("column", bits_of(organization.columns) - CHUNK_BITS),
    )


def _default_masks(whole: AddressMap) -> dict[str, tuple[int, ...]]:
    """Masks of a stack's map without any: remainders of what is above the chunk."""
    widths, channel = whole.widths, whole.positions("channel")
    banks = [bit for bit in range(CHUNK_BITS, whole.address_bits) if bit not in channel]
    channels = range(channel[0], whole.address_bits) if channel else ()
    rest = range(whole.rest_at, whole.address_bits)
    hashed = {name: widths[name] for name in ("pc", "bank_group", "bank")}
    plain = BANK_POLYNOMIALS[sum(hashed.values())], ()
    made = _remainder(banks, hashed, *MIXES.get((widths["bank_group"], widths["bank"]), plain))
    made |= _remainder(channels, {"channel": widths["channel"]}, CHANNEL_POLYNOMIALS[widths["channel"]])
    if whole.organization.sids == 1 << widths["sid"]:
        made |= _remainder(rest, {"sid": widths["sid"]}, SID_POLYNOMIALS[widths["sid"]])
    return made


def _remainder(
    bits: Sequence[int], widths: dict[str, int], polynomial: int, mix: Sequence[int] = ()
) -> dict[str, tuple[int, ...]]:
    """Masks that make the fields, the lowest first, the remainder of the number that `bits` form, mixed."""
    degree = sum(widths.values())
    rows = [0] * degree
    for bit, power in zip(bits, _powers(polynomial, degree), strict=False):
        for row in range(degree):
            rows[row] |= (power >> row & 1) << bit
    masks = []
    for row, chosen in enumerate(mix or [1 << row for row in range(degree)]):
        mask = 1 << bits[row]  # the bit itself is no part of its mask
        for item in range(degree):
            mask ^= rows[item] if chosen >> item & 1 else 0
        masks.append(mask)
    made, low = {}, 0
    for name, width in widths.items():
        made[name] = tuple(masks[low : low + width])
        low += width
    return made

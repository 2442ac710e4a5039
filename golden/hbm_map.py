"""Addresses to places and back, over arrays; the data is in `mtia.hbm_map`."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mtia.hbm_map import LEVELS, ORDER, AddressMap

Addresses = NDArray[np.int64]


def decode(addresses: ArrayLike, layout: AddressMap) -> dict[str, Addresses]:
    """The place of each address: field -> int64 array of the addresses' shape.

    Fields: column, bank_group, bank, sid, row, and pc and channel where the map's level has them.
    Raises ValueError for an address that has no place.
    """
    address = np.asarray(addresses, dtype=np.int64)
    if address.size and not (address.min() >= 0 and address.max() < layout.atoms):
        raise ValueError(f"addresses must be below {layout.atoms}, not {address.min()} to {address.max()}")
    place = {name: _gather(address, layout.positions(name)) for name in LEVELS[layout.level]}
    rest = address >> layout.rest_at
    place["row"], place["sid"] = np.divmod(rest, layout.organization.sids)
    for name in ORDER:
        if name in place:
            place[name] = place[name] ^ _parities(address, layout.mask(name))
    return place


def encode(place: Mapping[str, ArrayLike], layout: AddressMap) -> Addresses:
    """The address of each place: the inverse of `decode`, of whose fields it takes all.

    Raises ValueError for a place outside the organization.
    """
    values = {name: np.asarray(place[name], dtype=np.int64) for name in layout.widths}
    counts = {"row": layout.organization.rows, "sid": layout.organization.sids}
    for name, value in values.items():
        count = counts.get(name, 1 << layout.widths[name])
        if value.size and not (value.min() >= 0 and value.max() < count):
            raise ValueError(f"{name} must be below {count}, not {value.min()} to {value.max()}")
    # a mask reads only what stands before it: row, sid; column; then the fields in order
    sids = layout.organization.sids
    sid = values["sid"] ^ _parities(values["row"] * sids << layout.rest_at, layout.mask("sid"))
    address = (values["row"] * sids + sid) << layout.rest_at
    address = address | _scatter(values["column"], layout.positions("column"))
    for name in ORDER[1:]:
        if name in values:
            raw = values[name] ^ _parities(address, layout.mask(name))
            address = address | _scatter(raw, layout.positions(name))
    return address


def split(addresses: ArrayLike, layout: AddressMap) -> tuple[Addresses, Addresses]:
    """Where each address goes one level down, and its address there.

    A stack's addresses give a channel and an address of `layout.inner()`, a channel's a
    pseudo-channel and the same. Raises ValueError as `decode` and `AddressMap.inner` do.
    """
    layout.inner()
    name = "channel" if layout.level == "stack" else "pc"
    address = np.asarray(addresses, dtype=np.int64)
    return decode(address, layout)[name], _gather(address, _others(layout, name))


def join(where: ArrayLike, inner: ArrayLike, layout: AddressMap) -> Addresses:
    """The address that `split` takes to a channel, or a pseudo-channel, and an address there."""
    name = "channel" if layout.level == "stack" else "pc"
    return encode({**decode(inner, layout.inner()), name: where}, layout)


def _others(layout: AddressMap, name: str) -> tuple[int, ...]:
    gone = layout.positions(name)
    return tuple(bit for bit in range(layout.address_bits) if bit not in gone)


def _gather(address: Addresses, bits: tuple[int, ...]) -> Addresses:
    """The number that the named bits of an address form."""
    made = np.zeros_like(address)
    for index, bit in enumerate(bits):
        made |= (address >> bit & 1) << index
    return made


def _scatter(value: Addresses, bits: tuple[int, ...]) -> Addresses:
    """An address in which the bits of a value stand where they are named."""
    made = np.zeros_like(value)
    for index, bit in enumerate(bits):
        made |= (value >> index & 1) << bit
    return made


def _parities(address: Addresses, masks: tuple[int, ...]) -> Addresses:
    """The number whose bits are the parities of the address under each mask."""
    made = np.zeros_like(address)
    for index, mask in enumerate(masks):
        made |= (np.bitwise_count(address & mask).astype(np.int64) & 1) << index
    return made

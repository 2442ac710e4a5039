"""Addresses to places, and to the channel or pseudo-channel that has them; the data is in `mtia.hbm_map`."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia.hbm_map import AddressMap

from .divide import DivideByConstant


def _parities(address: Value, masks: tuple[int, ...]) -> Value:
    """A number whose bits are the parities of the address under each mask."""
    return Cat((address & Const(mask, len(address))).xor() for mask in masks)


def _named(address: Value, map: AddressMap, name: str) -> Value:
    """The bits of a field of the address, before its masks."""
    return Cat(address[bit] for bit in map.positions(name))


class MapAddress(wiring.Component):
    """The place of an atom, from its address in a pseudo-channel, a channel or a stack.

    Combinational. Rows and SIDs come from the address's rest by `DivideByConstant` where the SIDs are
    no power of two. Fields of one value are 1 bit wide, and 0.

    Parameters
    ----------
    map : the fields and masks; its level decides whether there are outputs `pc` and `channel`.

    Members
    -------
    address : of the map.
    column, bank_group, bank, sid, row, pc, channel : the place.
    index : bank, bank group and SID from the lowest bit up, without the bits of fields of one value.
    beyond : the address has no place; the place is then meaningless.

    Raises TypeError for a map of another kind.
    """

    latency = 0

    def __init__(self, *, map: AddressMap):
        self._map = _require_map(map)
        widths = map.widths
        index = widths["bank"] + widths["bank_group"] + widths["sid"]
        super().__init__(
            {
                "address": In(map.address_bits),
                **{name: Out(max(1, width)) for name, width in widths.items()},
                "index": Out(max(1, index)),
                "beyond": Out(1),
            }
        )

    @property
    def map(self) -> AddressMap:
        """The map from addresses to places."""
        return self._map

    def elaborate(self, platform: object) -> Module:
        m = Module()
        map = self.map
        rest = Signal(len(self.address) - map.rest_at)
        sid = Signal(max(1, map.widths["sid"]))
        m.d.comb += [
            rest.eq(self.address[map.rest_at :]),
            self.beyond.eq(rest >= map.rests),
            self.column.eq(_named(self.address, map, "column")),
            self.index.eq(Cat(getattr(self, name)[: map.widths[name]] for name in ("bank", "bank_group", "sid"))),
            self.sid.eq(sid ^ _parities(self.address, map.mask("sid"))),
        ]
        sids = map.organization.sids
        if sids == 1 << map.widths["sid"]:
            m.d.comb += [sid.eq(rest[: map.widths["sid"]]), self.row.eq(rest[map.widths["sid"] :])]
        else:
            m.submodules.divide = divide = DivideByConstant(width=len(rest), divisor=sids)
            m.d.comb += [divide.dividend.eq(rest), sid.eq(divide.remainder), self.row.eq(divide.quotient)]
        for name in ("bank_group", "bank", "pc", "channel"):
            if name in map.widths:
                hashed = _named(self.address, map, name) ^ _parities(self.address, map.mask(name))
                m.d.comb += getattr(self, name).eq(hashed)
        return m


class RouteAddress(wiring.Component):
    """Where an address goes one level down: to a channel of a stack, or a pseudo-channel of a channel.

    Combinational. What it gives there is an address of `map.inner()`, with the same place.

    Parameters
    ----------
    map : of a stack, or of a channel.

    Members
    -------
    address : of the map.
    where : number of the channel, or of the pseudo-channel.
    inner : address there.
    beyond : the address has no place.

    Raises TypeError for a map of another kind, ValueError for that of a pseudo-channel.
    """

    latency = 0

    def __init__(self, *, map: AddressMap):
        self._map = _require_map(map)
        self._inner = map.inner()
        self._field = "channel" if map.level == "stack" else "pc"
        super().__init__(
            {
                "address": In(map.address_bits),
                "where": Out(max(1, map.widths[self._field])),
                "inner": Out(self._inner.address_bits),
                "beyond": Out(1),
            }
        )

    @property
    def map(self) -> AddressMap:
        """The map from addresses to places."""
        return self._map

    def elaborate(self, platform: object) -> Module:
        m = Module()
        gone = self.map.positions(self._field)
        kept = [self.address[bit] for bit in range(len(self.address)) if bit not in gone]
        m.d.comb += [
            self.where.eq(
                _named(self.address, self.map, self._field) ^ _parities(self.address, self.map.mask(self._field))
            ),
            self.inner.eq(Cat(kept)),
            self.beyond.eq(self.address[self.map.rest_at :] >= self.map.rests),
        ]
        return m


def _require_map(map: object) -> AddressMap:
    if not isinstance(map, AddressMap):
        raise TypeError(f"Map must be an AddressMap, not {map!r}")
    return map

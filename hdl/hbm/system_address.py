"""Addresses of a memory system to stacks; the data is in `mtia.hbm_system`."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia.hbm_map import CHUNK_BITS, bits_of
from mtia.hbm_system import SystemMap

from .divide import DivideByConstant


class RouteSystem(wiring.Component):
    """The stack that has an atom of the memory system, and the atom's address there.

    Combinational.

    Parameters
    ----------
    map : of the system.

    Members
    -------
    address : of the system.
    where : number of the stack.
    inner : address there.
    beyond : the address has no atom; the others are then meaningless.

    Raises TypeError for a map of another kind.
    """

    latency = 0

    def __init__(self, *, map: SystemMap):
        if not isinstance(map, SystemMap):
            raise TypeError(f"Map must be a SystemMap, not {map!r}")
        self._map = map
        super().__init__(
            {
                "address": In(map.address_bits),
                "where": Out(max(1, bits_of(map.stacks))),
                "inner": Out(map.stack.address_bits),
                "beyond": Out(1),
            }
        )

    @property
    def map(self) -> SystemMap:
        """The map of the system."""
        return self._map

    def elaborate(self, platform: object) -> Module:
        m = Module()
        map = self.map
        chunk = self.address[CHUNK_BITS:]
        quotient = Signal(map.quotient_bits)
        remainder = Signal(max(1, bits_of(map.odd)))
        if map.odd == 1:
            m.d.comb += quotient.eq(chunk)
        else:
            m.submodules.divide = divide = DivideByConstant(width=len(chunk), divisor=map.odd)
            m.d.comb += [divide.dividend.eq(chunk), quotient.eq(divide.quotient), remainder.eq(divide.remainder)]
        low = bits_of(map.even)
        flipped = Signal(max(1, low))
        parities = [(quotient & Const(mask, len(quotient))).xor() for mask in map.masks]
        m.d.comb += [
            flipped.eq(Cat(quotient[bit] ^ parity for bit, parity in enumerate(parities))),
            self.where.eq(flipped * map.odd + remainder if map.odd > 1 else flipped),
            self.inner.eq(Cat(self.address[:CHUNK_BITS], quotient[low:])),
            self.beyond.eq(self.address >= map.atoms if not map.full else 0),
        ]
        return m

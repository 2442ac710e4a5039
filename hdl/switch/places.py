"""The pieces that a reduction unit holds: which they are, and which of their slots are there."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from ..core.checks import require_int
from ..hbm.select import index_of, lowest, read
from ..message.layouts import Header

#: What tells pieces apart.
KEY = ("group", "event", "sequence")
#: The key, and what else all contributions to a piece must have in common.
Piece = data.StructLayout(
    {
        name: Header.members[name]
        for name in (
            *KEY,
            *("kind", "format", "ranks", "length", "partition", "window", "epoch", "key", "offset", "immediate"),
        )
    }
)


class Places(wiring.Component):
    """Table of pieces. Outputs follow the inputs combinationally, changes hold from the next cycle on.

    After reset all places are free.

    Parameters
    ----------
    places : pieces at once, at least 2.
    ranks : slots of a piece, at least 2.

    Members
    -------
    piece, slot : of a contribution that looks for its place; the slot is one bit high.
    found : the place of that key, one bit high; where there is none, a free place; 0 where none is
        free.
    at : a place, one bit high, that all of the following are about.
    fits : the piece there is the same in all fields and has not that slot, or is new.
    is_new : nothing is there.
    take : `piece` is there from now on, without slots.
    enter : `slot` is there from now on.
    leave : the place is free again if no slot is there.
    has_partner : the slot beside `slot`, of the same pair, is there.
    is_alone : there is none, as `slot` is the last.
    asked : two places.
    told : the pieces there.
    released : places that are free from the next cycle on, one bit each.

    Raises TypeError or ValueError for a parameter that is not so.
    """

    def __init__(self, *, places: int, ranks: int):
        self._places = require_int("Places", places, low=2)
        self._ranks = require_int("Ranks", ranks, low=2)
        super().__init__(
            {
                "piece": In(Piece),
                "slot": In(ranks),
                "found": Out(places),
                "at": In(places),
                "fits": Out(1),
                "is_new": Out(1),
                "take": In(1),
                "enter": In(1),
                "leave": In(1),
                "has_partner": Out(1),
                "is_alone": Out(1),
                "asked": In(range(places)).array(2),
                "told": Out(Piece).array(2),
                "released": In(places),
            }
        )

    @property
    def places(self) -> int:
        """Pieces at once."""
        return self._places

    @property
    def ranks(self) -> int:
        """Slots of a piece."""
        return self._ranks

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.pieces = pieces = memory.Memory(shape=Piece, depth=self.places, init=[])
        write, kept = pieces.write_port(), pieces.read_port(domain="comb")
        valid, hits = Signal(self.places), Signal(self.places)
        keys = [Signal(40, name=f"key_{place}") for place in range(self.places)]
        slots = [Signal(self.ranks, name=f"slots_{place}") for place in range(self.places)]
        key, came, there, ranks = Signal(40), Signal(self.ranks), Signal(self.ranks), Signal(8)
        index = index_of(m, self.at, name="index")
        m.d.comb += [
            key.eq(Cat(self.piece[name] for name in KEY)),
            hits.eq(Cat(key == other for other in keys) & valid),
            self.found.eq(Mux(hits != 0, hits, lowest(~valid))),
            self.is_new.eq((self.at & valid) == 0),
            *(kept.addr.eq(index), write.addr.eq(index), write.data.eq(self.piece), write.en.eq(self.take)),
            came.eq(Mux(self.is_new, 0, read(m, self.at, slots, name="slots_there"))),
            there.eq(came | self.slot),
            self.fits.eq(self.is_new | ((kept.data.as_value() == self.piece.as_value()) & ((came & self.slot) == 0))),
            self.has_partner.eq(Cat(came[rank ^ 1] & self.slot[rank] for rank in range(self.ranks & ~1)).any()),
            ranks.eq(Mux(self.take, self.piece.ranks, kept.data.ranks)),
            self.is_alone.eq(Cat(self.slot[rank] & (ranks == rank + 1) for rank in range(0, self.ranks, 2)).any()),
        ]
        for asked, told in zip(self.asked, self.told, strict=True):
            port = pieces.read_port(domain="comb")
            m.d.comb += [port.addr.eq(asked), told.eq(port.data)]
        left = Mux(self.leave & (came == 0), self.at, 0)
        m.d.sync += valid.eq((valid | Mux(self.take, self.at, 0)) & ~left & ~self.released)
        for place in range(self.places):
            with m.If(self.at[place]):
                with m.If(self.take):
                    m.d.sync += [keys[place].eq(key), slots[place].eq(0)]
                with m.If(self.enter):
                    m.d.sync += slots[place].eq(there)
        return m

"""What of the ordered sum meets what, and when: the same for all lanes."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..core.arith import delay
from ..core.checks import require_int
from ..core.fifo import Queue
from .ordered_lane import PENDING, OrderedLane
from .reduce_format import ReduceFormat, ReduceKind


class OrderedControl(wiring.Component):
    """Steers the `OrderedLane`s of an `OrderedSum`.

    A partial result is known by its level, its index in the level and whether it is the level's
    last. An even one that is not the last is kept. An odd one goes to the adder beside the one kept
    before it; an even one that is the last goes there alone. Both come back one level up, with half
    the index; the last of index 0 is the result. Slots are the partial results of level 0. The
    adder serves slots first, until three pairs wait for it.

    Parameters
    ----------
    levels : levels of the tree, at least 1.
    token_bits : width of what travels with a slot, at least 1.

    Members
    -------
    slot : {kind, format, last, token}.
    valid, taken : its handshake.
    room : a last slot may be taken: there is room for its result.
    lane : {first, keep, push, pending, level, write_at, read_at, kind}, as `OrderedLane` takes
        them.
    back : {kind, format, last, token, ...} of what the adder gives back, `OrderedLane.latency`
        cycles after a pair was chosen.
    is_result : it is a result.

    Raises TypeError or ValueError for a parameter that is no such number.
    """

    def __init__(self, *, levels: int, token_bits: int):
        self._levels = require_int("Levels", levels, low=1)
        self._token_bits = require_int("Token bits", token_bits, low=1)
        slot = {"kind": ReduceKind, "format": ReduceFormat, "last": 1, "token": token_bits}
        self._partial = data.StructLayout({**slot, "index": levels, "level": range(levels + 1)})
        bits = {"first": 1, "keep": 1, "push": 1, "pending": 1, "level": range(levels + 1)}
        places = {"write_at": range(PENDING), "read_at": range(PENDING)}
        super().__init__(
            {
                "slot": In(data.StructLayout(slot)),
                "valid": In(1),
                "taken": Out(1),
                "room": In(1),
                "lane": Out(data.StructLayout({**bits, **places, "kind": ReduceKind})),
                "back": Out(self._partial),
                "is_result": Out(1),
            }
        )

    @property
    def levels(self) -> int:
        """Levels of the tree."""
        return self._levels

    @property
    def token_bits(self) -> int:
        """Width of what travels with a slot."""
        return self._token_bits

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.waiting = waiting = Queue(shape=self._partial, depth=PENDING)
        slot, source, chosen = (Signal(self._partial, name=name) for name in ("current", "source", "chosen"))
        index = Signal(self.levels)
        keeps, direct, pending, valid = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            *(slot[name].eq(self.slot[name]) for name in ("kind", "format", "last", "token")),
            slot.index.eq(index),
            keeps.eq(self.valid & ~slot.last & ~index[0]),
            # The last place is for a pair that comes back while slots already wait.
            direct.eq(self.valid & (slot.last | index[0]) & (waiting.level != PENDING - 1) & (self.room | ~slot.last)),
            self.taken.eq(keeps | direct),
            pending.eq(waiting.o.valid & ~direct),
            waiting.o.ready.eq(~direct),
            valid.eq(pending | direct),
            source.eq(Mux(direct, slot, waiting.o.payload)),
            chosen.eq(source),
            chosen.index.eq(source.index >> 1),
            chosen.level.eq(source.level + 1),
        ]
        with m.If(self.taken):
            m.d.sync += index.eq(Mux(slot.last, 0, index + 1))
        back_valid = delay(m, valid, OrderedLane.latency, name="valid", reset_less=False)
        m.d.comb += Value.cast(self.back).eq(delay(m, chosen.as_value(), OrderedLane.latency, name="back"))
        self._return(m, back_valid, waiting)
        write_at, read_at = Signal(range(PENDING)), Signal(range(PENDING))
        m.d.sync += [write_at.eq(write_at + self.lane.push), read_at.eq(read_at + pending)]
        kind = Signal(ReduceKind, reset_less=True)
        m.d.sync += kind.eq(Mux(source.index[0], source.kind, ReduceKind.COPY))
        m.d.comb += [
            *(self.lane.first.eq(keeps), self.lane.pending.eq(pending), self.lane.kind.eq(kind)),
            *(self.lane.write_at.eq(write_at), self.lane.read_at.eq(read_at), self.lane.level.eq(self.back.level)),
        ]
        return m

    def _return(self, m: Module, valid: Value, waiting: Queue) -> None:
        """What becomes of what the adder gives back."""
        back = self.back
        alone = Signal()
        m.d.comb += [
            alone.eq(back.last & (back.index == 0)),
            self.is_result.eq(valid & alone),
            self.lane.keep.eq(valid & ~back.last & ~back.index[0]),
            self.lane.push.eq(valid & ~alone & (back.last | back.index[0])),
            Value.cast(waiting.i.payload).eq(Value.cast(back)),
            waiting.i.valid.eq(self.lane.push),
        ]

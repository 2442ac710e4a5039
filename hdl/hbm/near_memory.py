"""Near-memory unit: reads an atom, changes it and writes it back."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from ..core.arith import delay
from ..core.checks import require_int, stream_in
from ..core.clock_gate import ClockGated
from .commands import Geometry
from .parts import WithGeometry
from .port import DATA_BITS, MASK_BITS, fetch_layout, result_layout, store_layout, update_layout
from .reduce_format import ReduceFormat, ReduceKind
from .reduce_lanes import ReduceLanes
from .select import RoundRobin, index_of, lowest, read


class NearMemory(WithGeometry, wiring.Component):
    """Combining buffer of a pseudo-channel, and the arithmetic behind it.

    An update (a reduction, or a write of some bytes) takes a line and fetches its atom; further
    updates of the atom are applied in the line, in the order in which they come, each as if it had
    been read and written by itself. The atom is written back when lines run short, when no update
    has come for `window` cycles, or when a request for the atom waits. An atom that could not be
    read is written back as poison. An update with `tree` takes a line as well, which waits for a
    result instead of being fetched.

    Latency: that of the memory and `ReduceLanes.latency` + 2 cycles from the atom to its new value,
    which may then be changed or written back. Throughput: an update a cycle of different atoms; one
    of the same atom every `ReduceLanes.latency` + 2 cycles. An update that cannot be taken waits,
    and those behind it.

    Parameters
    ----------
    geometry : address fields.
    lines : atoms held, at least 2.
    window : cycles, at least 1.

    Members
    -------
    update : stream of updates, taken when it has a line.
    lookup, holds : whether a line holds that atom, in the same cycle.
    waits : a request for it waits, so write it back.
    line : which an update takes.
    sealed : all slots of the last `tree` are accepted; until then its own line is held from none of
        them.
    result : stream of `result_layout`.
    fetch, fetch_valid, fetched : {place, line} a read asked for; it is accepted. It may be another
        one each cycle.
    store, store_valid, stored : {place, poison, data} a write asked for; it is accepted.
    data : {valid, line, bad, data} an atom that was fetched; bad: it could not be read. It must be
        taken.
    idle : no line is in use.
    combined : an update is applied in a line that holds its atom already.

    Raises TypeError or ValueError for `lines` or a `window` out of range.
    """

    def __init__(self, *, geometry: Geometry, lines: int = 64, window: int = 64):
        self._geometry = geometry
        self._lines = require_int("Near-memory lines", lines, low=2)
        self._window = require_int("Near-memory window", window, low=1)
        line = Shape.cast(range(lines))
        super().__init__(
            {
                "update": stream_in(update_layout(geometry)),
                "lookup": In(geometry.place()),
                "holds": Out(1),
                "waits": In(1),
                "line": Out(line),
                "sealed": In(1),
                "result": stream_in(result_layout(lines)),
                "fetch": Out(fetch_layout(geometry, lines)),
                "fetch_valid": Out(1),
                "fetched": In(1),
                "store": Out(store_layout(geometry)),
                "store_valid": Out(1),
                "stored": In(1),
                "data": In(data.StructLayout({"valid": 1, "line": line, "bad": 1, "data": DATA_BITS})),
                "idle": Out(1),
                "combined": Out(1),
            }
        )

    @property
    def lines(self) -> int:
        """Atoms held."""
        return self._lines

    @property
    def window(self) -> int:
        """Cycles without an update after which lines are written back."""
        return self._window

    def elaborate(self, platform: object) -> Module:
        m = Module()
        n = self.lines
        used, fetching, ready = Signal(n), Signal(n), Signal(n)
        places = [Signal(self.geometry.place(), name=f"place_{i}", reset_less=True) for i in range(n)]
        free, same, allocated, combined = Signal(n), Signal(n), Signal(n), Signal(n)
        held, freed, fetched, left = Signal(n), Signal(n), Signal(n), Signal(n)
        hidden, by_tree, tree = Signal(n), Signal(n), self.update.payload.tree
        for i, place in enumerate(places):
            m.d.comb += [
                same[i].eq(used[i] & (place.as_value() == self.update.payload.place.as_value())),
                held[i].eq(used[i] & ~hidden[i] & (place.as_value() == self.lookup.as_value())),
            ]
            with m.If(allocated[i]):
                m.d.sync += place.eq(self.update.payload.place)
        is_combined = Signal()
        m.d.comb += [
            free.eq(lowest(~used)),
            self.holds.eq(held.any()),
            self.idle.eq(used == 0),
            self.combined.eq(combined.any()),
            is_combined.eq((same & ready).any() & ~self.data.valid & ~tree),
            self.update.ready.eq(Mux(same.any(), is_combined, ~used.all())),
            allocated.eq(Mux(self.update.valid & ~same.any(), free, 0)),
            combined.eq(Mux(self.update.valid & is_combined, same, 0)),
            by_tree.eq(Mux(tree, allocated, 0)),
        ]
        with m.If(by_tree.any()):
            m.d.sync += hidden.eq(by_tree)
        with m.Elif(self.sealed):
            m.d.sync += hidden.eq(0)
        m.submodules.values = values = memory.Memory(shape=1 + DATA_BITS, depth=n, init=[])
        changed = self._change(m, values, free=free, combined=combined)
        self._fetch(m, places, fetching=fetching, fetched=fetched)
        self._store(
            m, places, values, allocated=allocated, combined=combined, ready=ready, held=held, left=left, freed=freed
        )
        m.d.sync += [
            used.eq((used | allocated) & ~freed),
            fetching.eq((fetching | (allocated & ~by_tree)) & ~fetched),
            ready.eq((ready & ~combined & ~left) | changed),
        ]
        return m

    def _change(self, m: Module, values: memory.Memory, *, free: Signal, combined: Signal) -> Signal:
        """Apply updates to atoms from memory or in a line, and take results; returns the lines with new values."""
        line_bits = len(self.data.line)
        update = data.StructLayout({"kind": ReduceKind, "format": ReduceFormat, "mask": MASK_BITS, "data": DATA_BITS})
        m.submodules.operands = operands = memory.Memory(shape=update.size, depth=self.lines, init=[])
        m.submodules.lanes = lanes = ClockGated(ReduceLanes(token_bits=1 + line_bits))
        new, waiting = Signal(update), Signal(update)
        keep, recall = operands.write_port(), operands.read_port()
        put, get = values.write_port(), values.read_port()
        payload, combined_line = self.update.payload, index_of(m, combined, name="combined_line")
        m.d.comb += [
            *(new[name].eq(payload[name]) for name in ("kind", "format", "mask", "data")),
            keep.en.eq(self.update.valid & self.update.ready & ~combined.any()),
            self.line.eq(index_of(m, free, name="free_line")),
            keep.addr.eq(self.line),
            keep.data.eq(new),
            recall.addr.eq(self.data.line),
            get.addr.eq(combined_line),
        ]
        is_combined = delay(m, combined.any(), 1, name="is_combined", reset_less=False)
        fetched = data.View(self.data.shape(), delay(m, self.data.as_value(), 1, name="fetched", reset_less=False))
        line = Mux(is_combined, delay(m, combined_line, 1, name="combined_line"), fetched.line)
        m.d.comb += [
            waiting.eq(Mux(is_combined, delay(m, new.as_value(), 1, name="update"), recall.data)),
            *(lanes.i[name].eq(waiting[name]) for name in ("kind", "format", "mask")),
            lanes.i.operand.eq(waiting.data),
            lanes.i.memory.eq(Mux(is_combined, get.data[:DATA_BITS], fetched.data)),
            lanes.i.token.eq(Cat(line, Mux(is_combined, get.data[-1], fetched.bad))),
        ]
        under_way = Signal(ReduceLanes.latency)
        m.d.sync += under_way.eq(Cat(is_combined | fetched.valid, under_way))
        m.d.comb += lanes.awake.eq(is_combined | fetched.valid | (under_way != 0))
        valid = under_way[-1]
        changed, result = Signal(self.lines), self.result.payload
        m.d.comb += [
            self.result.ready.eq(~valid),
            put.en.eq(valid | self.result.valid),
            put.addr.eq(Mux(valid, lanes.o.token[:line_bits], result.line)),
            put.data.eq(Mux(valid, Cat(lanes.o.result, lanes.o.token[line_bits]), Cat(result.data, result.bad))),
            changed.eq(Mux(put.en, 1 << put.addr, 0)),
        ]
        return changed

    def _fetch(self, m: Module, places: list[data.View], *, fetching: Signal, fetched: Signal) -> None:
        """Ask for the atoms of new lines, for another one each cycle, so that none blocks the rest."""
        m.submodules.fetch_turn = turn = RoundRobin(inputs=self.lines)
        m.d.comb += [
            turn.requests.eq(fetching),
            turn.taken.eq(1),
            self.fetch_valid.eq(fetching.any()),
            self.fetch.line.eq(index_of(m, turn.picked, name="fetch_line")),
            self.fetch.place.eq(read(m, turn.picked, places, name="fetch_place")),
            fetched.eq(Mux(self.fetched, turn.picked, 0)),
        ]

    def _store(
        self,
        m: Module,
        places: list[data.View],
        values: memory.Memory,
        *,
        allocated: Signal,
        combined: Signal,
        ready: Signal,
        held: Signal,
        left: Signal,
        freed: Signal,
    ) -> None:
        """Write lines back, through a register that holds one."""
        m.submodules.store_turn = turn = RoundRobin(inputs=self.lines)
        get = values.read_port()
        quiet = Signal(range(self.window + 1))
        level = Signal(range(self.lines + 1))
        wanted, leaving, asked = Signal(self.lines), Signal(self.lines), Signal()
        with m.If(self.update.valid):
            m.d.sync += quiet.eq(0)
        with m.Elif(quiet != self.window):
            m.d.sync += quiet.eq(quiet + 1)
        m.d.sync += level.eq(level + allocated.any() - freed.any())
        m.d.comb += [
            asked.eq(self.waits & (held & ready).any()),
            wanted.eq(Mux((level >= self.lines // 2) | (quiet == self.window), ready, 0)),
            turn.requests.eq(Mux(asked, held & ready, wanted) & ~combined),
            turn.taken.eq(left.any()),
            left.eq(Mux(~self.store_valid | self.stored, turn.picked, 0)),
            get.en.eq(left.any()),
            get.addr.eq(index_of(m, turn.picked, name="store_line")),
            freed.eq(Mux(self.stored, leaving, 0)),
            self.store.data.eq(get.data[:DATA_BITS]),
            self.store.poison.eq(get.data[-1]),
        ]
        with m.If(left.any()):
            m.d.sync += [
                leaving.eq(left),
                self.store_valid.eq(1),
                self.store.place.eq(read(m, left, places, name="store_place")),
            ]
        with m.Elif(self.stored):
            m.d.sync += self.store_valid.eq(0)

"""Counters of a channel behind an address and a data port."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from mtia.hbm_registers import ADDRESS_BITS, BINS, COUNTERS, FIRST_BIN, NUMBER_BITS, WIDTH

from ..core.arith import delay

#: what is given of each pseudo-channel: the counters that do not follow from others
COUNTED = tuple(name for name in COUNTERS if name not in ("cycles", "hits"))

#: registers, all addresses
_PLACES = 1 << ADDRESS_BITS


def latency_layout() -> data.StructLayout:
    """Type of a read's latency.

    valid : its data is there in this cycle.
    cycles : since it was accepted, modulo its width.
    """
    return data.StructLayout({"valid": 1, "cycles": BINS})


class Registers(wiring.Component):
    """Counts what happens in both pseudo-channels; the registers are those of `mtia.hbm_registers`.

    Each event has a counter of a few bits. These are visited in turn, one a cycle, and their counts
    moved into a memory of wide words: one wide adder serves all. So a word is at most
    `mtia.hbm_registers.LAG` cycles behind, and counters wrap. Events enter through registers. All
    begin from 0 after reset.

    Members
    -------
    counted_0, counted_1 : {name: 1} the events of `COUNTED` in this cycle.
    latency_0, latency_1 : {valid, cycles} of a read whose data is there.
    clear : all counters begin again from 0; what the words say before a round of visits is over
        means nothing.
    address, data : the register of that address, a cycle later.
    """

    def __init__(self):
        counted = In(data.StructLayout(dict.fromkeys(COUNTED, 1)))
        latency = In(latency_layout())
        super().__init__(
            {
                **{f"counted_{pc}": counted for pc in range(2)},
                **{f"latency_{pc}": latency for pc in range(2)},
                "clear": In(1),
                "address": In(ADDRESS_BITS),
                "data": Out(WIDTH),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.words = words = memory.Memory(shape=WIDTH, depth=_PLACES, init=[])
        old, shown, put = words.read_port(), words.read_port(), words.write_port()
        visited = Signal(ADDRESS_BITS)
        clearing = Signal(range(_PLACES + 1), init=_PLACES)  # so many words are still to begin from 0
        moved = Signal(signed(ADDRESS_BITS + 2), reset_less=True)
        total = Signal(WIDTH, reset_less=True)
        m.d.sync += [
            visited.eq(visited + 1),
            clearing.eq(Mux(self.clear, _PLACES, Mux(clearing == 0, 0, clearing - 1))),
            total.eq(Mux(delay(m, clearing != 0, 1, name="begins"), 0, old.data) + moved),
            moved.eq(0),
        ]
        counters = {}
        for address, event in self._events(m).items():
            width = ADDRESS_BITS + 1
            shape = signed(width + 1) if event.shape().signed else unsigned(width)
            counters[address] = counter = Signal(shape, name=f"counter_{address}")
            m.d.sync += counter.eq(counter + event)
            with m.If(visited == address):
                m.d.sync += [moved.eq(counter), counter.eq(event)]
        with m.If(self.clear):
            m.d.sync += [counter.eq(0) for counter in counters.values()]
        m.d.comb += [
            old.addr.eq(visited),
            put.addr.eq(delay(m, visited, 2, name="visited")),
            put.data.eq(total),
            put.en.eq(1),
            shown.addr.eq(self.address),
            self.data.eq(shown.data),
        ]
        return m

    def _events(self, m: Module) -> dict[int, Signal]:
        """For the address of each register what it counts in this cycle."""
        events = {}
        for pc in range(2):
            given, latency = getattr(self, f"counted_{pc}"), getattr(self, f"latency_{pc}")
            seen = Signal(given.shape(), name=f"seen_{pc}")
            taken = Signal(latency.shape(), name=f"taken_{pc}")
            bins = Signal(BINS, name=f"bins_{pc}")
            hits = Signal(signed(2), name=f"hits_{pc}")
            always = Signal(name=f"always_{pc}", init=1)
            m.d.comb += hits.eq((seen.reads | seen.writes) - seen.activations)
            m.d.sync += [seen.eq(given), taken.eq(latency)]
            for number in range(BINS):
                m.d.sync += bins[number].eq(taken.valid & taken.cycles[number] & ~taken.cycles[number + 1 :].any())
            named = {"cycles": always, "hits": hits, **{name: seen[name] for name in COUNTED}}
            for number, name in enumerate(COUNTERS):
                events[pc << NUMBER_BITS | number] = named[name]
            for number in range(BINS):
                events[pc << NUMBER_BITS | (FIRST_BIN + number)] = bins[number]
        return events

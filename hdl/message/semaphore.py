"""Conditions on words in memory that commands wait for."""

from amaranth import *
from amaranth.lib import data, enum, memory, wiring
from amaranth.lib.wiring import In, Out

from mtia.message import ATOM_BYTES, Comparison

from ..core.checks import require_int, stream_in, stream_out
from ..hbm.select import RoundRobin, index_of
from .command_table import Admit
from .jobs import SLOT_BITS, Loaded, LoadRequest
from .ports import ADDRESS_BITS

_Kept = data.StructLayout({"address": ADDRESS_BITS, "value": 32, "comparison": 3})


class _State(enum.Enum, shape=2):
    IDLE = 0
    ASK = 1
    ANSWER = 2
    PAUSE = 3


class Semaphores(wiring.Component):
    """Reads the semaphores of the command slots that wait, in turn, until their conditions are true.

    After a word whose condition is false come `interval` cycles without a read, so that waiting
    takes next to nothing from the memory. Words and values are unsigned. One read is under way at a
    time. A condition that never comes true is read for ever, unless its command fails.

    Parameters
    ----------
    slots : command slots, 2 to 16.
    interval : cycles, at least 1.

    Members
    -------
    admit : of the command table: the condition of a slot.
    wanted : a bit a slot: somebody waits for it.
    load, loaded : streams of `LoadRequest` and `Loaded`.
    met : a bit a slot: its condition is true; for one cycle.

    Raises TypeError or ValueError for a parameter that is no such number.
    """

    def __init__(self, *, slots: int, interval: int):
        self._slots = require_int("Command slots", slots, low=2, high=1 << SLOT_BITS)
        self._interval = require_int("Semaphore interval", interval, low=1)
        super().__init__(
            {
                "admit": In(Admit),
                "wanted": In(slots),
                "load": stream_out(LoadRequest),
                "loaded": stream_in(Loaded),
                "met": Out(slots),
            }
        )

    @property
    def slots(self) -> int:
        """Command slots."""
        return self._slots

    @property
    def interval(self) -> int:
        """Cycles between two reads."""
        return self._interval

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.kept = kept = memory.Memory(shape=_Kept, depth=self.slots, init=[])
        m.submodules.turn = turn = RoundRobin(inputs=self.slots)
        write, look = kept.write_port(), kept.read_port(domain="comb")
        state, slot, pause, is_met = Signal(_State), Signal(SLOT_BITS), Signal(range(self.interval + 1)), Signal()
        descriptor = self.admit.command.descriptor
        m.d.comb += [
            *(write.en.eq(self.admit.valid), write.addr.eq(self.admit.slot), look.addr.eq(slot)),
            *(write.data.address.eq(descriptor.semaphore), write.data.value.eq(descriptor.value)),
            write.data.comparison.eq(descriptor.comparison),
            *(turn.requests.eq(self.wanted), turn.taken.eq(state == _State.IDLE)),
            *(self.load.valid.eq(state == _State.ASK), self.load.payload.address.eq(look.data.address)),
            self.loaded.ready.eq(state == _State.ANSWER),
        ]
        m.d.comb += is_met.eq(self._compare(m, look.data))
        with m.Switch(state):
            with m.Case(_State.IDLE):
                with m.If(turn.picked.any()):
                    m.d.sync += [slot.eq(index_of(m, turn.picked, name="picked")), state.eq(_State.ASK)]
            with m.Case(_State.ASK):
                with m.If(self.load.ready):
                    m.d.sync += state.eq(_State.ANSWER)
            with m.Case(_State.ANSWER):
                with m.If(self.loaded.valid):
                    m.d.comb += self.met.eq(Cat(is_met & (slot == index) for index in range(self.slots)))
                    m.d.sync += [state.eq(Mux(is_met, _State.IDLE, _State.PAUSE)), pause.eq(self.interval - 1)]
            with m.Default():
                m.d.sync += pause.eq(pause - 1)
                with m.If(pause == 0):
                    m.d.sync += state.eq(_State.IDLE)
        return m

    def _compare(self, m: Module, kept: data.View) -> Signal:
        """Whether the word that is read fulfils the condition."""
        word, result = Signal(32), Signal(name="fulfilled")
        m.d.comb += word.eq((self.loaded.payload.data[: 8 * ATOM_BYTES] >> Cat(Const(0, 5), kept.address[2:5]))[:32])
        with m.Switch(kept.comparison):
            with m.Case(Comparison.ALWAYS):
                m.d.comb += result.eq(1)
            with m.Case(Comparison.EQUAL):
                m.d.comb += result.eq(word == kept.value)
            with m.Case(Comparison.NOT_EQUAL):
                m.d.comb += result.eq(word != kept.value)
            with m.Case(Comparison.GREATER_EQUAL):
                m.d.comb += result.eq(word >= kept.value)
            with m.Case(Comparison.LESS):
                m.d.comb += result.eq(word < kept.value)
        return result

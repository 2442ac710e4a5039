"""Issues the steps of a thread's entry, one a cycle, and moves the thread on."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from mtia.message import Sync, WorkOp

from ..core.checks import require_int, stream_in
from ..hbm.select import bit_of
from .command_table import ChosenSlot
from .jobs import PIECE_BITS, RANK_BITS, SLOT_BITS, Chosen, Leave, Place, Step, ThreadState
from .sizes import SizeWanted
from .step import StepMaker
from .visit import Visit, Wait

#: steps after which another thread that is ready has its turn
BURST = 16
_STATE = ("over", "stepwise", "tries", "is_wait", "watches")


class Issue(wiring.Component):
    """Goes through the steps of a visit.

    A step a cycle, left out or issued, while there is room for its job. Without room the thread
    stays if no other has come, and leaves to wait for it otherwise; after `BURST` steps it lets
    another go first. A step that has to wait for its own peer leaves for that. After the last step
    the thread leaves for the next entry, the next piece, or its end, and can be fetched in the next
    cycle.

    Parameters
    ----------
    slots : command slots, 1 to 16.
    sends, works : messages and jobs of the reducer that may wait, at least 2.

    Members
    -------
    visit : stream of `Visit`.
    failed : a bit a command slot: its threads end.
    release, place, advance : to the thread table.
    wait : with `release`, what for.
    step : {valid, step}: a step becomes a job; no back-pressure, the places for it are counted
        here.
    look, hit, word, want : sizes in memory, see `Sizes`.
    begin, begin_work : to the thread table, with `step`.
    acknowledge, messages : to the command table: so many more messages are to be acknowledged.
    send_left, work_left : a job has left its queue.
    can_send, can_work : there is room for jobs.

    Raises TypeError or ValueError for a parameter that is no such number.
    """

    def __init__(self, *, slots: int, sends: int, works: int):
        self._slots = require_int("Slots", slots, low=1, high=1 << SLOT_BITS)
        self._sends = require_int("Sends", sends, low=2)
        self._works = require_int("Works", works, low=2)
        super().__init__(
            {
                "visit": stream_in(Visit),
                "failed": In(slots),
                "release": Out(Leave),
                "place": Out(Place),
                "advance": Out(1),
                "wait": Out(Wait),
                "look": Out(SizeWanted),
                "hit": In(1),
                "word": In(32),
                "want": Out(SizeWanted),
                "step": Out(data.StructLayout({"valid": 1, "step": Step})),
                "begin": Out(Chosen),
                "begin_work": Out(1),
                "acknowledge": Out(ChosenSlot),
                "messages": Out(RANK_BITS),
                "send_left": In(1),
                "work_left": In(1),
                "can_send": Out(1),
                "can_work": Out(1),
            }
        )

    @property
    def slots(self) -> int:
        """Command slots."""
        return self._slots

    @property
    def sends(self) -> int:
        """Messages that may wait."""
        return self._sends

    @property
    def works(self) -> int:
        """Jobs of the reducer that may wait."""
        return self._works

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.maker = maker = StepMaker()
        visit, busy, synced = Signal(Visit, reset_less=True), Signal(), Signal()
        step, burst = Signal(RANK_BITS, reset_less=True), Signal(range(BURST))
        fails, waits, stalls, issues, moves, ends = (
            Signal(name=name) for name in ("fails", "waits", "stalls", "issues", "moves", "ends")
        )
        over, stepwise, tries, is_wait, watches = (Signal(name=name) for name in _STATE)
        full, runs = self._rooms(m, maker, issues), Signal()
        unknown, misses = self._size(m, visit, maker, runs, moves)
        m.d.comb += [
            self.visit.ready.eq(~busy | self.release.valid),
            *(Value.cast(maker.visit).eq(Value.cast(visit)), maker.number.eq(step)),
            over.eq(visit.steps == 0),
            stepwise.eq((visit.sync == Sync.SEND_SYNC) | (visit.sync == Sync.FORWARD_SYNC)),
            fails.eq(busy & bit_of(self.failed, visit.place.slot)),
            runs.eq(busy & ~fails & ~over),
            tries.eq(runs & ~unknown & (maker.is_send | maker.is_work) & ~maker.left_out),
            waits.eq(tries & stepwise & ~synced & ~((visit.sync == Sync.FORWARD_SYNC) & visit.wait_over)),
            stalls.eq(tries & ~waits & full),
            issues.eq(tries & ~waits & ~full),
            moves.eq(runs & ~unknown & ~waits & ~stalls),
            is_wait.eq(visit.op == WorkOp.WAIT),
            watches.eq(runs & is_wait & (step == 0)),
            ends.eq(((busy & ~fails & over) | (moves & (is_wait | (step + 1 == visit.steps)))) & ~watches),
            self.advance.eq(ends | (stepwise & (issues | ~synced))),
        ]
        with m.If(self.visit.ready):
            m.d.sync += busy.eq(self.visit.valid)
        with m.If(self.visit.ready & self.visit.valid):
            taken = self.visit.payload
            m.d.sync += [
                *(Value.cast(visit).eq(Value.cast(taken)), step.eq(taken.place.step)),
                *(synced.eq(taken.synced), burst.eq(0)),
            ]
        with m.Else():
            m.d.sync += [step.eq(step + moves), burst.eq(burst + moves), synced.eq(synced & ~(stepwise & issues))]
        self._issue(m, visit, maker, issues)
        self._place(m, visit, step, moves, ends)
        cases = {"fails": fails, "ends": ends, "moves": moves, "waits": waits, "stalls": stalls}
        cases |= {"watches": watches, "misses": misses}
        self._leave(m, visit, maker, burst, cases)
        return m

    def _size(
        self, m: Module, visit: data.View, maker: StepMaker, runs: Signal, moves: Signal
    ) -> tuple[Signal, Signal]:
        """Bytes of a step whose size is in memory, a cycle after it is found: whether they are not known yet, and
        whether the size has to be read first."""
        unknown, misses, known, length = Signal(), Signal(), Signal(), Signal(PIECE_BITS, reset_less=True)
        size, left = Signal(32), Signal(34)
        look = self.look
        m.d.comb += [
            *(look.valid.eq(runs & unknown), look.thread.eq(visit.thread), look.command.eq(visit.command)),
            look.address.eq(visit.sizes + (maker.chunk_index << 2)),
            *(self.want.eq(look), self.want.valid.eq(misses)),
            *(unknown.eq(visit.sized & ~known), misses.eq(look.valid & ~self.hit)),
            size.eq(Mux(self.word < visit.chunk, self.word, visit.chunk)),
            left.eq(size - visit.place.offset),
            maker.sized_length.eq(length),
        ]
        with m.If(look.valid & self.hit):
            m.d.sync += [
                known.eq(1),
                length.eq(Mux(left[-1], 0, Mux(left[:-1] > visit.piece_bytes, visit.piece_bytes, left))),
            ]
        with m.If(moves | self.visit.ready):
            m.d.sync += known.eq(0)
        return unknown, misses

    def _rooms(self, m: Module, maker: StepMaker, issues: Signal) -> Signal:
        """Whether there is no room for the step's job; places in the two queues and on the way to them."""
        send_room, work_room = (
            Signal(range(self.sends + 1), init=self.sends),
            Signal(range(self.works + 1), init=self.works),
        )
        m.d.sync += [
            send_room.eq(send_room - (issues & maker.is_send) + self.send_left),
            work_room.eq(work_room - (issues & maker.is_work) + self.work_left),
        ]
        full = Signal()
        m.d.comb += [
            full.eq(Mux(maker.is_work, work_room == 0, send_room == 0)),
            # Who has left comes back for several messages at once.
            self.can_send.eq(send_room >= min(4, self.sends)),
            self.can_work.eq(work_room != 0),
        ]
        return full

    def _issue(self, m: Module, visit: data.View, maker: StepMaker, issues: Signal) -> None:
        """The job, and who has to know of it."""
        m.d.comb += [
            *(self.step.valid.eq(issues), self.step.step.eq(maker.step)),
            *(self.begin.valid.eq(issues), self.begin.thread.eq(visit.thread), self.begin_work.eq(maker.is_work)),
            self.acknowledge.valid.eq(issues & maker.is_send & visit.acknowledge),
            self.acknowledge.slot.eq(visit.place.slot),
            self.messages.eq(Mux(visit.multicast, visit.ranks - 1, 1)),
        ]

    def _place(self, m: Module, visit: data.View, step: Signal, moves: Signal, ends: Signal) -> None:
        """Where the thread is when it leaves in this cycle."""
        place = self.place
        m.d.comb += [place.eq(visit.place), place.step.eq(step + moves)]
        with m.If(ends):
            m.d.comb += [place.step.eq(0), place.entry.eq(visit.place.entry + 1)]
        with m.If(ends & visit.closes & ~visit.is_last_piece):
            m.d.comb += [
                place.entry.eq(visit.place.begin),
                place.piece.eq(visit.place.piece + 1),
                place.offset.eq(visit.place.offset + visit.piece_bytes),
            ]

    def _leave(
        self,
        m: Module,
        visit: data.View,
        maker: StepMaker,
        burst: Signal,
        case: dict[str, Signal],
    ) -> None:
        """Whether the thread leaves in this cycle, and what for."""
        leaves, to, wait, own = self.release.valid, self.release.to, self.wait, Signal(len(self.wait.mask))
        repeats = Signal()
        m.d.comb += [
            self.release.thread.eq(visit.thread),
            repeats.eq(visit.closes & ~visit.is_last_piece),
            *(own[rank].eq(maker.source_index == rank) for rank in range(len(own))),
            *(wait.valid.eq(case["waits"]), wait.thread.eq(visit.thread), wait.event.eq(visit.wait_event)),
            *(wait.sequence.eq(visit.sequence), wait.mask.eq(own), wait.port.eq(maker.port)),
        ]
        with m.If(case["fails"]):
            m.d.comb += [leaves.eq(1), to.eq(ThreadState.END)]
        with m.Elif(case["ends"]):
            m.d.comb += [leaves.eq(1), to.eq(Mux(visit.ends & ~repeats, ThreadState.END, ThreadState.READY))]
        with m.Elif(case["watches"]):  # a WAIT has two steps: to go and wait, and to come back
            m.d.comb += [leaves.eq(1), to.eq(ThreadState.SEMAPHORE)]
        with m.Elif(case["misses"]):
            m.d.comb += [leaves.eq(1), to.eq(ThreadState.SIZE)]
        with m.Elif(case["moves"]):
            m.d.comb += [leaves.eq((burst == BURST - 1) & self.visit.valid), to.eq(ThreadState.READY)]
        with m.Elif(case["waits"]):
            m.d.comb += leaves.eq(1)
            m.d.comb += to.eq(Mux(visit.sync == Sync.SEND_SYNC, ThreadState.TOKEN, ThreadState.EVENT))
        with m.Elif(case["stalls"] & self.visit.valid):  # another could go on
            m.d.comb += [leaves.eq(1), to.eq(Mux(maker.is_work, ThreadState.MEMORY, ThreadState.SEND))]

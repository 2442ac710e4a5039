"""Fetches the entry at which a thread is, and lets it wait for what the entry synchronises with."""

from amaranth import *
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from mtia.message import Base, Predicate, Repeat, Sync, WorkOp

from ..core.checks import require_int, stream_out
from ..hbm.select import bit_of
from .expect import ExpectMask
from .geometry import PieceLengths
from .index import IndexBase
from .jobs import ENTRY_BITS, RANK_BITS, SLOT_BITS, THREAD_BITS, Command, Leave, Place, ThreadState
from .layouts import Communicator, Entry, Event
from .ports import ADDRESS_BITS
from .visit import INDICES, Visit, Wait


class _State(enum.Enum, shape=2):
    IDLE = 0
    LOADED = 1
    READY = 2


class Fetch(wiring.Component):
    """Takes READY threads one by one: reads their entries, and works out what the steps share.

    A thread whose entry has to wait before its first step leaves for the state in which it waits;
    one that is `synced` has waited and goes on; one whose command has failed leaves for its end. A
    `Sync` of each step is not looked at here. Until the thread has left or its visit is taken this
    is decided anew each cycle, so a visit that waits may be withdrawn.

    Latency: 2 cycles from `take` to `visit` or `block`. Throughput: a thread every 3 cycles. Idle
    after reset.

    Parameters
    ----------
    threads : 4 to 16.
    slots : command slots, 1 to 16.

    Members
    -------
    pick, take : of the thread table: a READY thread {valid, thread, place, synced}, and that it is
        taken.
    block : to the thread table: {valid, thread, to}, the thread waits or ends.
    passes : with `block` for EVENT: that is all that is left of its entry, which need not be
        fetched again.
    next_place, closes : where it goes on then; its subgraph ends instead.
    wait : with `block` for EVENT: which arrivals, for `Arrivals`.
    hold : no thread leaves for EVENT in this cycle, as `Arrivals` is told of another.
    slot, communicator_index, entry_index, look : what to read, and when.
    command, communicator, entry : what is there, from the next cycle to the next `look`.
    idle, last_idle : a bit a thread: no job under way; none of the kind issued last.
    settled, failed : a bit a command slot: nothing to be acknowledged; it has failed.
    visit : stream of `Visit`.

    Raises TypeError or ValueError for a parameter that is no such number.
    """

    def __init__(self, *, threads: int, slots: int):
        self._threads = require_int("Threads", threads, low=4, high=1 << THREAD_BITS)
        self._slots = require_int("Slots", slots, low=1, high=1 << SLOT_BITS)
        pick = {"valid": 1, "thread": THREAD_BITS, "place": Place, "synced": 1}
        super().__init__(
            {
                "pick": In(data.StructLayout(pick)),
                "take": Out(1),
                "block": Out(Leave),
                **{name: Out(1) for name in ("passes", "closes")},
                "next_place": Out(Place),
                "wait": Out(Wait),
                "hold": In(1),
                "slot": Out(SLOT_BITS),
                "communicator_index": Out(4),
                "entry_index": Out(ENTRY_BITS),
                "look": Out(1),
                "command": In(Command),
                "communicator": In(Communicator),
                "entry": In(Entry),
                **{name: In(threads) for name in ("idle", "last_idle")},
                **{name: In(slots) for name in ("settled", "failed")},
                "visit": stream_out(Visit),
            }
        )

    @property
    def threads(self) -> int:
        """Threads."""
        return self._threads

    @property
    def slots(self) -> int:
        """Command slots."""
        return self._slots

    def elaborate(self, platform: object) -> Module:
        m = Module()
        state = Signal(_State)
        place, thread, synced = Signal(Place, reset_less=True), Signal(THREAD_BITS, reset_less=True), Signal()
        m.d.comb += [
            self.take.eq(self.pick.valid & (state == _State.IDLE)),
            self.look.eq(self.take),
            self.slot.eq(self.pick.place.slot),
            self.communicator_index.eq(self.pick.place.communicator),
            self.entry_index.eq(self.pick.place.entry),
            *(self.block.thread.eq(thread), self.visit.payload.thread.eq(thread)),
            *(self.visit.payload.synced.eq(synced), self.visit.payload.place.eq(place)),
        ]
        with m.If(self.take):
            m.d.sync += [
                *(place.eq(self.pick.place), thread.eq(self.pick.thread), synced.eq(self.pick.synced)),
                state.eq(_State.LOADED),
            ]
        with m.If(state == _State.LOADED):
            m.d.sync += state.eq(_State.READY)
        loaded = Signal()
        m.d.comb += loaded.eq(state == _State.LOADED)
        lengths = self._lengths(m, place, loaded)
        runs = self._indices(m, loaded)
        self._addresses(m, place, loaded)
        self._fields(m, place)
        self._wait(m, place, thread, lengths)
        leaves, blocked = Signal(), Signal()
        self._block(m, place, thread, synced, runs, blocked)
        m.d.comb += [
            self.visit.valid.eq((state == _State.READY) & ~blocked),
            # Who waits for arrivals writes down for which, and has to find the table free.
            leaves.eq((state == _State.READY) & blocked & ~((self.block.to == ThreadState.EVENT) & self.hold)),
            self.block.valid.eq(leaves),
            self.wait.valid.eq(leaves & (self.block.to == ThreadState.EVENT)),
        ]
        with m.If(leaves | (self.visit.valid & self.visit.ready)):
            m.d.sync += state.eq(_State.IDLE)
        return m

    def _lengths(self, m: Module, place: data.View, loaded: Signal) -> PieceLengths:
        m.submodules.lengths = lengths = PieceLengths()
        descriptor, visit = self.command.descriptor, self.visit.payload
        m.d.comb += [
            *(lengths.enable.eq(loaded), lengths.offset.eq(place.offset)),
            *(getattr(lengths, name).eq(descriptor[name]) for name in ("piece", "chunk", "last", "bytes")),
            *(visit[name].eq(getattr(lengths, name)) for name in ("full_length", "last_length", "whole_length")),
        ]
        return lengths

    def _indices(self, m: Module, loaded: Signal) -> Signal:
        """Indices at step 0, and how many steps there are; whether this rank runs the entry."""
        entry, visit, ranks, rank = self.entry, self.visit.payload, self.communicator.ranks, self.communicator.rank
        for name in INDICES:
            index = IndexBase()
            m.submodules[f"{name}_index"] = index
            m.d.comb += [
                *(index.enable.eq(loaded), index.ranks.eq(ranks), index.rank.eq(rank)),
                *(index.root.eq(self.command.descriptor.root), index.by_rank.eq(entry[f"{name}_rank"])),
                *(index.by_root.eq(entry[f"{name}_root"]), index.offset.eq(entry[f"{name}_offset"])),
                *(visit[f"{name}_base"].eq(index.base), visit[f"{name}_step"].eq(entry[f"{name}_step"])),
            ]
        steps, is_root, runs = Signal(RANK_BITS), Signal(), Signal()
        m.d.comb += is_root.eq(rank == self.command.descriptor.root)
        with m.Switch(entry.predicate):
            with m.Case(Predicate.ALWAYS):
                m.d.comb += runs.eq(1)
            with m.Case(Predicate.ROOT):
                m.d.comb += runs.eq(is_root)
            with m.Default():
                m.d.comb += runs.eq(~is_root)
        with m.Switch(entry.repeat):
            with m.Case(Repeat.ONE):
                m.d.comb += steps.eq(1)
            with m.Case(Repeat.PEERS):
                m.d.comb += steps.eq(ranks - 1)
            with m.Case(Repeat.RANKS):
                m.d.comb += steps.eq(ranks)
            with m.Default():
                m.d.comb += steps.eq(Mux(ranks > 2, ranks - 2, 0))
        m.d.comb += [
            visit.steps.eq(Mux(runs, steps, 0)),
            visit.spares_root.eq(entry.predicate == Predicate.AMONG_OTHERS),
        ]
        return runs

    def _addresses(self, m: Module, place: data.View, loaded: Signal) -> None:
        """Addresses of the operands at index 0."""
        descriptor, communicator, entry = self.command.descriptor, self.communicator, self.entry
        parity, landing = Signal(ADDRESS_BITS), Signal(ADDRESS_BITS, reset_less=True)
        m.d.comb += parity.eq(Mux(self.command.sequence[0], communicator.parity_bytes, 0))
        output = Signal(ADDRESS_BITS, reset_less=True)  # place of the output in its window
        with m.If(loaded):
            m.d.sync += [
                landing.eq(communicator.landing + parity),
                output.eq(descriptor.output - communicator.output),
            ]
        source, target, is_local = Signal(ADDRESS_BITS), Signal(ADDRESS_BITS), Signal()
        m.d.comb += is_local.eq((entry.op == WorkOp.SUM) | (entry.op == WorkOp.COPY))
        for operand, base in ((source, entry.source_base), (target, entry.target_base)):
            is_source = Const(1) if operand is source else is_local
            with m.Switch(base):
                with m.Case(Base.INPUT):
                    m.d.comb += operand.eq(Mux(is_source, descriptor.input, 0))
                with m.Case(Base.OUTPUT):
                    m.d.comb += operand.eq(Mux(is_source, descriptor.output, output))
                with m.Case(Base.LANDING):
                    m.d.comb += operand.eq(Mux(is_source, landing, parity))
                with m.Default():
                    m.d.comb += operand.eq(descriptor.semaphore)
        at_source, at_target = Signal(len(place.offset)), Signal(len(place.offset))
        visit = self.visit.payload
        m.d.comb += [
            at_source.eq(Mux(entry.source_pieced, place.offset, 0)),
            at_target.eq(Mux(entry.target_pieced, place.offset, 0)),
            visit.source.eq(source + at_source),
            visit.target.eq(target + at_target),
            visit.slots_base.eq(landing + at_source),
            visit.window.eq(
                Mux(entry.target_base == Base.LANDING, communicator.landing_window, communicator.output_window)
            ),
        ]

    def _fields(self, m: Module, place: data.View) -> None:
        """What the visit takes as it stands."""
        descriptor, communicator, entry, visit = (
            self.command.descriptor,
            self.communicator,
            self.entry,
            self.visit.payload,
        )
        taken = ("op", "sync", "extent", "closes", "ends", "multicast", "acknowledge", "sized")
        event = Signal(Event)
        m.d.comb += [
            *(visit[name].eq(entry[name]) for name in (*taken, "source_scaled", "target_scaled")),
            *(visit[name].eq(descriptor[name]) for name in ("owners", "root", "chunk", "kind", "format")),
            visit.sizes.eq(Cat(descriptor.immediate, descriptor.event)),
            *(visit[name].eq(communicator[name]) for name in ("rank", "ranks", "partition", "epoch", "key", "group")),
            *(visit.first_port.eq(communicator.first_port), visit.piece_bytes.eq(descriptor.piece)),
            *(visit.sequence.eq(self.command.sequence), visit.command.eq(self.command.tag)),
            visit.is_last_piece.eq(place.piece + 1 >= descriptor.pieces),
            *(event.piece.eq(place.piece), event.phase.eq(entry.set_phase), event.parity.eq(self.command.sequence[0])),
            event.communicator.eq(place.communicator),
            visit.set_event.eq(Value.cast(event)),
        ]

    def _wait(self, m: Module, place: data.View, thread: Signal, lengths: PieceLengths) -> None:
        """Which arrivals the entry waits for."""
        m.submodules.expect = expect = ExpectMask()
        descriptor, communicator, entry = self.command.descriptor, self.communicator, self.entry
        event, piece = Signal(Event), Signal(6)
        m.d.comb += [
            *(getattr(expect, name).eq(entry[name]) for name in ("expect", "expect_self")),
            *(getattr(expect, name).eq(communicator[name]) for name in ("rank", "ranks")),
            *(getattr(expect, name).eq(descriptor[name]) for name in ("root", "owners")),
            *(expect.full.eq(lengths.full_length != 0), expect.last.eq(lengths.last_length != 0)),
            piece.eq(place.piece - entry.wait_lag),
            *(event.piece.eq(piece), event.phase.eq(entry.wait_phase), event.parity.eq(self.command.sequence[0])),
            event.communicator.eq(place.communicator),
            *(self.wait.thread.eq(thread), self.wait.event.eq(Value.cast(event))),
            *(self.wait.sequence.eq(self.command.sequence), self.wait.mask.eq(expect.mask)),
            *(self.visit.payload.wait_event.eq(Value.cast(event)), self.visit.payload.wait_over.eq(piece[-1])),
        ]

    def _block(
        self,
        m: Module,
        place: data.View,
        thread: Signal,
        synced: Signal,
        runs: Signal,
        blocked: Signal,
    ) -> None:
        """Whether the thread leaves, and for what."""
        waits, to, visit = Signal(), self.block.to, self.visit.payload
        with m.Switch(self.entry.sync):
            with m.Case(Sync.FENCE):
                m.d.comb += [waits.eq(~bit_of(self.settled, place.slot)), to.eq(ThreadState.FENCE)]
            with m.Case(Sync.SYNC):
                m.d.comb += [waits.eq(~bit_of(self.idle, thread)), to.eq(ThreadState.JOBS)]
            with m.Case(Sync.WQE_SYNC):
                m.d.comb += [waits.eq(~bit_of(self.last_idle, thread)), to.eq(ThreadState.LAST)]
            with m.Case(Sync.RECEIVE_SYNC):
                m.d.comb += [waits.eq(self.wait.mask.any() & ~visit.wait_over), to.eq(ThreadState.EVENT)]
        m.d.comb += blocked.eq(waits & ~synced & (place.step == 0) & runs)
        with m.If(bit_of(self.failed, place.slot)):
            m.d.comb += [blocked.eq(1), to.eq(ThreadState.END)]
        self._pass(m, place)

    def _pass(self, m: Module, place: data.View) -> None:
        """An entry that does nothing but wait for arrivals need not be fetched again when they are there."""
        entry, visit, following = self.entry, self.visit.payload, self.next_place
        repeats = Signal()
        m.d.comb += [
            repeats.eq(entry.closes & ~visit.is_last_piece),
            self.passes.eq((entry.op == WorkOp.NOOP) & (self.block.to == ThreadState.EVENT)),
            *(self.closes.eq(entry.ends & ~repeats), following.eq(place), following.entry.eq(place.entry + 1)),
        ]
        with m.If(repeats):
            m.d.comb += [
                *(following.entry.eq(place.begin), following.piece.eq(place.piece + 1)),
                following.offset.eq(place.offset + self.command.descriptor.piece),
            ]

"""Issue logic of a tensor engine: when a beat may enter the pipeline."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..core.arith import delay
from .ports import pass_layout
from .shape import SliceShape


class Sequencer(wiring.Component):
    """Runs passes: pairs each with a complete stationary block and issues its beats.

    A beat is issued when its block is there, no earlier beat still computes its accumulator, and,
    in the last pass over an accumulator, there is room for its result. So nothing in the pipeline
    ever has to stop. A pass with `first` does not wait for its accumulators: it reads none.

    Latency: a pass is taken in one cycle and its first beat may be issued in the next; passes
    follow each other without a gap. Throughput: one beat a cycle. `issue`, `swap` and
    `passes.ready` follow `valid` combinationally, `ready` does not. After reset no pass is under
    way and all credits are free. A pass of 0 beats is taken and issues nothing, not even `swap`.

    Parameters
    ----------
    shape : of the engine.
    interval : least cycles between two uses of an accumulator, at least 1.
    credits : results that fit behind the pipeline, at least 1.

    Members
    -------
    passes : stream of the passes (`pass_layout`), run in order; one is taken when none is under
        way, or while the last beat of that before is issued.
    valid : a beat is offered.
    issue : the offered beat enters the pipeline in this cycle.
    ready : a beat would be issued if it were offered.
    loaded : a stationary block is complete; asked only for the first beat of a pass.
    starts : the beat is the first of its pass.
    swap : it is issued, so the pass takes over the block.
    release : a result left; never more of them than beats of passes with `last` were issued.
    current : the pass of the beat. Its `beats` and `address` are those that it began with.
    address : accumulator of the beat.
    ends : the beat is the last of its pass.

    Raises ValueError for an `interval` or `credits` below 1.
    """

    def __init__(self, *, shape: SliceShape, interval: int, credits: int):
        if interval < 1:
            raise ValueError(f"Interval must be at least 1, not {interval!r}")
        if credits < 1:
            raise ValueError(f"Credits must be at least 1, not {credits!r}")
        self.shape, self.interval, self.credits = shape, interval, credits
        depth = shape.parameters.depth
        super().__init__(
            {
                "passes": In(stream.Signature(pass_layout(shape))),
                "valid": In(1),
                "issue": Out(1),
                "ready": Out(1),
                "loaded": In(1),
                "swap": Out(1),
                "release": In(1),
                "starts": Out(1),
                "current": Out(pass_layout(shape)),
                "address": Out(range(depth)),
                "ends": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        active, starts, ends, room, hazard, takes = Signal(), Signal(), Signal(), Signal(init=1), Signal(), Signal()
        left = Signal.like(self.current.beats)
        current = Signal.like(self.current)
        address = Signal.like(self.address)
        m.d.comb += [
            self.starts.eq(starts),
            self.current.eq(current),
            self.address.eq(address),
            self.ends.eq(ends),
            self.ready.eq(active & (self.loaded | ~starts) & (room | ~current.last) & ~hazard),
            self.issue.eq(self.ready & self.valid),
            self.swap.eq(self.issue & starts),
            self.passes.ready.eq(~active | (self.issue & ends)),
            takes.eq(self.passes.valid & self.passes.ready),
        ]
        with m.If(self.issue):
            m.d.sync += [left.eq(left - 1), address.eq(address + 1), starts.eq(0), active.eq(~ends)]
            m.d.sync += ends.eq(left == 2)
        with m.If(takes):
            taken = self.passes.payload
            m.d.sync += [current.eq(taken), left.eq(taken.beats), address.eq(taken.address)]
            m.d.sync += [starts.eq(1), ends.eq(taken.beats == 1), active.eq(taken.beats != 0)]
        self._credit(m, room, current)
        self._scoreboard(m, hazard, current, address, takes)
        return m

    def _credit(self, m: Module, room: Signal, current: Value) -> None:
        """Count the free places behind the pipeline."""
        free = Signal(range(self.credits + 1), init=self.credits)
        taken = Signal()
        m.d.comb += taken.eq(self.issue & current.last)
        # Both are late signals: they choose between sums that do not wait for them.
        with m.If(taken ^ self.release):
            m.d.sync += [free.eq(Mux(self.release, free + 1, free - 1)), room.eq(self.release | (free != 1))]

    def _scoreboard(self, m: Module, hazard: Signal, current: Value, address: Signal, taken: Signal) -> None:
        """Hold a beat back while one of the last `interval` - 1 beats has its accumulator.

        The beat of the next cycle is the first of a pass, the one after the present one, or the present
        one again. Each is looked up now and the issue, a late signal, only chooses among registers.
        """
        offered = self.passes.payload.address
        came, issued, again = Signal(), Signal(), Signal(reset_less=True)
        m.d.sync += [came.eq(taken), issued.eq(self.issue), again.eq(offered == address)]
        ages: list[tuple[Value, Value]] = []
        used, held = Value.cast(address), Value.cast(issued)
        for age in range(1, self.interval - 1):
            used = delay(m, used, 1, name=f"used_{age}")
            held = delay(m, held, 1, name=f"held_{age}", reset_less=False) if age > 1 else held
            ages.append((held, used))
        busy = []
        for name, candidate in (("first", offered), ("next", address + 1), ("same", address)):
            found = Signal(name=f"busy_{name}", reset_less=True)
            m.d.sync += found.eq(Cat(held & (used == candidate) for held, used in ages).any())
            busy.append(found)
        first, following, same = busy
        if self.interval > 1:
            waits = Mux(came, first | (issued & again), Mux(issued, following, same))
            m.d.comb += hazard.eq(waits & ~current.first)

"""One command slot: how far its command is."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia.message import DESCRIPTOR, Fault, Status

from .jobs import SLOT_BITS

#: bits of a slot's count of uses: what tells an answer to its command from a late one to the command before
GENERATION_BITS = 12
#: bits of the count of messages to be acknowledged
ACKNOWLEDGE_BITS = 14
#: bits of a timeout
TIMEOUT_BITS = dict(DESCRIPTOR)["timeout"]


class CommandSlot(wiring.Component):
    """State of a command from its descriptor to its completion.

    Admitted, a collective waits until none is `ahead` of it; then, or at once, a command waits for
    its semaphore, then it is `startable`. It has finished when nothing of it runs and every message that asks for it is
    acknowledged; or at once when it fails. The slot is free again when its completion is taken and
    nothing of it runs.

    It fails when it is admitted with a fault, and otherwise before it has finished when a message
    is refused, when it is remote and the link is down, and at the tick after `timeout` ticks of
    running. The first counts; of those in one cycle, in this order. All inputs count from the next
    cycle on. Free after reset.

    Members
    -------
    allocate : the slot is in use.
    admit : its descriptor is known, as the next six tell.
    fault : why it may not be started, a `Fault`; NONE if it may.
    is_collective : it runs a program.
    is_remote : it needs the link.
    has_condition : it waits for its semaphore.
    communicator, timeout : fields of the descriptor; a timeout of 0 is none.
    ahead : commands that have to leave before its turn.
    passed : one of them leaves. Not in the cycle of `admit`.
    met : its semaphore's condition is true; counts while it is `wanted`.
    start, parts, asks : it runs, so many things of it; one of them is a message to be acknowledged.
    part_ended : one of them has ended.
    begin, messages : so many messages more are to be acknowledged. Not with `start`.
    acknowledged : one is.
    refused, reason : one is refused, and why.
    link_down : nothing gets through.
    tick : a unit of the timeout is over.
    reported : its completion is taken.
    free : the slot is to be free. Only when it is `freeable`.
    held : it is about to start, and cannot be free.
    used : the slot is in use.
    collective : by a collective without a fault.
    on : its communicator.
    startable : it may start.
    wanted : it waits for its semaphore, and nothing else.
    settled : nothing is to be acknowledged.
    failed : it has failed.
    finished : its completion may leave.
    freeable : it may be free.
    status, detail : how it ended: a `Status`, and the fault or the reason.
    generation : how often the slot was used before, modulo 2**12.
    """

    def __init__(self) -> None:
        taken = (
            "allocate",
            "admit",
            "is_collective",
            "is_remote",
            "has_condition",
            "passed",
            "met",
            "start",
            "asks",
        )
        later = ("part_ended", "begin", "acknowledged", "refused", "link_down", "tick", "reported", "free", "held")
        given = ("used", "collective", "startable", "wanted", "settled", "failed", "finished", "freeable")
        super().__init__(
            {
                **{name: In(1) for name in (*taken, *later)},
                "fault": In(4),
                "communicator": In(4),
                "timeout": In(TIMEOUT_BITS),
                "ahead": In(SLOT_BITS),
                "parts": In(3),
                "messages": In(7),
                "reason": In(4),
                **{name: Out(1) for name in given},
                "on": Out(4),
                "status": Out(4),
                "detail": Out(4),
                "generation": Out(GENERATION_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        known, running, remote, condition, is_reported = (
            Signal(name=name) for name in ("known", "running", "remote", "condition", "is_reported")
        )
        parts, before, unsettled = Signal(3), Signal(SLOT_BITS), Signal(ACKNOWLEDGE_BITS)
        alive, turn, faulty = Signal(), Signal(), Signal()
        left, timed = Signal(TIMEOUT_BITS, reset_less=True), Signal()
        m.d.comb += [
            alive.eq(known & ~self.failed & ~is_reported),
            *(turn.eq(before == 0), faulty.eq(self.fault != Fault.NONE)),
            self.wanted.eq(alive & turn & condition & ~running),
            self.startable.eq(alive & turn & ~condition & ~running),
            self.settled.eq(unsettled == 0),
            self.finished.eq(known & ~is_reported & (self.failed | (running & (parts == 0) & self.settled))),
            self.freeable.eq(known & is_reported & (parts == 0) & ~self.held),
        ]
        with m.If(self.allocate):
            m.d.sync += self.used.eq(1)
        with m.If(self.admit):
            m.d.sync += [
                *(known.eq(1), self.failed.eq(faulty | (self.link_down & self.is_remote))),
                self.status.eq(
                    Mux(faulty, Status.MALFORMED, Mux(self.link_down & self.is_remote, Status.LINK_DOWN, Status.OK))
                ),
                *(self.collective.eq(self.is_collective & ~faulty), self.on.eq(self.communicator)),
                *(remote.eq(self.is_remote), condition.eq(self.has_condition)),
                before.eq(Mux(self.is_collective, self.ahead, 0)),  # only collectives wait for each other
                *(running.eq(0), is_reported.eq(0), self.detail.eq(self.fault), unsettled.eq(0), parts.eq(0)),
                *(left.eq(self.timeout), timed.eq(self.timeout != 0)),
            ]
        with m.Elif(known):
            m.d.sync += [
                parts.eq(Mux(self.start, self.parts, parts - self.part_ended)),
                unsettled.eq(unsettled + Mux(self.begin, self.messages, self.start & self.asks) - self.acknowledged),
                *(before.eq(before - self.passed), left.eq(left - (running & self.tick & (left != 0)))),
            ]
            with m.If(self.start):
                m.d.sync += running.eq(1)
            with m.If(self.met & self.wanted):
                m.d.sync += condition.eq(0)
            with m.If(self.reported):
                m.d.sync += is_reported.eq(1)
            with m.If(alive & ~self.finished & ~self.reported):
                self._failures(m, remote, running & timed & self.tick & (left == 0))
            with m.If(self.free):
                m.d.sync += [
                    *(self.used.eq(0), known.eq(0), self.collective.eq(0), self.failed.eq(0)),
                    self.generation.eq(self.generation + 1),
                ]
        return m

    def _failures(self, m: Module, remote: Signal, late: Value) -> None:
        """What ends a command before it is through; the first counts."""
        with m.If(self.refused):
            m.d.sync += [self.failed.eq(1), self.status.eq(Status.REFUSED), self.detail.eq(self.reason)]
        with m.Elif(self.link_down & remote):
            m.d.sync += [self.failed.eq(1), self.status.eq(Status.LINK_DOWN)]
        with m.Elif(late):
            m.d.sync += [self.failed.eq(1), self.status.eq(Status.TIMEOUT)]

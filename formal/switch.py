"""Properties of the switch's control, for all inputs."""

from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.hbm.select import RoundRobin
from hdl.switch.matching import Matching
from hdl.switch.meeting import Meeting
from hdl.switch.output_port import EXIT_FLITS, OutputPort
from hdl.switch.places import Places
from hdl.switch.tree_lane import TreeLane
from mtia.message import Channel
from mtia.switch import SwitchParameters

from .parts import at_most_one, begin


class TurnsProof(wiring.Component):
    """A round robin of requests that come and go, its picks used or not.

    Asserted: it picks one that asks, and one if any does; who keeps asking is picked before any other is used twice.

    Parameters
    ----------
    inputs : of the round robin.
    """

    def __init__(self, *, inputs: int):
        self._inputs = inputs
        super().__init__({"requests": In(inputs), "taken": In(1), "clk": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = begin(self)
        m.submodules.turns = turns = RoundRobin(inputs=self._inputs)
        picked = turns.picked
        m.d.comb += [
            *(turns.requests.eq(self.requests), turns.taken.eq(self.taken)),
            Assert(at_most_one(picked) & ((picked & ~self.requests) == 0)),
            Assert(picked.any() == self.requests.any()),
        ]
        for waiting in range(self._inputs):
            used = Signal(self._inputs, name=f"used_{waiting}")  # by others, while it asks
            m.d.sync += used.eq(Mux(self.requests[waiting] & ~picked[waiting], used | Mux(self.taken, picked, 0), 0))
            m.d.comb += Assert(~self.requests[waiting] | ((used & picked) == 0))
        return m


class MatchingProof(wiring.Component):
    """A crossbar's scheduler under inputs that ask for what they like and end what they hold when they like.

    Asserted: no output goes to two inputs, or to one while it is another's that does not end; no input gets two at
    once, one that it has not asked for, or one while it is not free. An input that is free and asks one output alone
    has it before any other input gets it twice.

    Parameters
    ----------
    inputs, outputs : of the scheduler.
    """

    def __init__(self, *, inputs: int, outputs: int):
        self._inputs, self._outputs = inputs, outputs
        bits = inputs * outputs
        super().__init__({"request": In(bits), "ends": In(bits), "is_free": In(inputs), "clk": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = begin(self)
        m.submodules.matching = matching = Matching(inputs=self._inputs, outputs=self._outputs)
        m.d.comb += matching.is_free.eq(self.is_free)
        kept = []
        for index, start in enumerate(matching.start):
            owned = Signal(self._outputs, name=f"owned_{index}")
            request, ends = (bits.word_select(index, self._outputs) for bits in (self.request, self.ends))
            m.d.comb += [
                *(matching.request[index].eq(request), matching.ends[index].eq(ends)),
                Assume(at_most_one(ends) & ((ends & ~owned) == 0)),
                Assert(at_most_one(start) & ((start & ~request) == 0)),
                Assert(~start.any() | self.is_free[index]),
            ]
            m.d.sync += owned.eq((owned & ~ends) | start)
            kept.append(owned & ~ends)
        for output in range(self._outputs):
            started = Cat(start[output] for start in matching.start)
            held = Cat(each[output] for each in kept)
            m.d.comb += Assert(at_most_one(Cat(started, held)))
            for waiting in range(self._inputs):
                self._bound(m, matching, started, waiting, output)
        return m

    def _bound(self, m: Module, matching: Matching, started: Value, waiting: int, output: int) -> None:
        """Who waits for one output alone is passed by each other input once at most."""
        asks = (matching.request[waiting] == 1 << output) & self.is_free[waiting] & ~started[waiting]
        passed = Signal(self._inputs, name=f"passed_{waiting}_{output}")
        m.d.sync += passed.eq(Mux(asks, passed | started, 0))
        m.d.comb += Assert(~asks | ((passed & started) == 0))


class RoomProof(wiring.Component):
    """An output of the switch beside a crossbar that fetches a flit whenever there is `room`, a link that may stop.

    Asserted: what leaves is what was fetched, in order, none lost, so the queue behind the crossbar never overflows;
    with every flit fetched but four at most on their way.
    """

    def __init__(self) -> None:
        super().__init__({name: In(1) for name in ("fetch", "ready", "clk")})

    def elaborate(self, platform: object) -> Module:
        m = begin(self)
        parameters = SwitchParameters(ports=2, queue_flits=4, groups=1, buses=0, pieces=0)
        m.submodules.port = port = OutputPort(parameters=parameters, channel=Channel.REQUEST)
        fetched, left = Signal(4), Signal(4)
        comes, number, inside = Signal(), Signal(4), Signal(4)
        m.d.comb += [
            *(port.up.eq(1), port.i_valid.eq(comes), port.i.data.eq(number), port.i.head.eq(1), port.i.last.eq(1)),
            *(port.o.ready.eq(self.ready), inside.eq(fetched - left)),
            Assert(inside <= EXIT_FLITS),
            Assert(~port.o.valid | ((port.o.payload.data == left) & (inside != 0))),
            Assert(port.o.valid | (inside <= comes)),
        ]
        m.d.sync += [
            *(comes.eq(self.fetch & port.room), number.eq(fetched)),
            fetched.eq(fetched + (self.fetch & port.room)),
            left.eq(left + (port.o.valid & self.ready)),
        ]
        return m


class PlacesProof(wiring.Component):
    """The table of pieces of a reduction unit under contributions as `Contributions` brings them.

    Asserted: a place that is taken is never given to another piece, nor a piece a second place; a piece's own place is
    found; none is refused while one is free; a slot that is there never fits again, and its partner is told.

    Parameters
    ----------
    places, ranks : of the table.
    """

    def __init__(self, *, places: int, ranks: int):
        self._places, self._ranks = places, ranks
        ports = {"key": 2, "slot": range(ranks), "enter": 1, "released": places, "clk": 1}
        super().__init__({name: In(shape) for name, shape in ports.items()})

    def elaborate(self, platform: object) -> Module:
        m = begin(self)
        count = self._places
        m.submodules.table = table = Places(places=count, ranks=self._ranks)
        valid, hits = Signal(count), Signal(count)
        keys = [Signal(2, name=f"key_{place}") for place in range(count)]
        slots = [Signal(self._ranks, name=f"slots_{place}") for place in range(count)]
        found, enters, there = table.found, Signal(), Signal(self._ranks)
        m.d.comb += [
            *(table.piece.event.eq(self.key), table.piece.ranks.eq(self._ranks), table.slot.eq(1 << self.slot)),
            *(table.at.eq(found), table.take.eq(table.is_new & found.any()), table.released.eq(self.released)),
            *(enters.eq(self.enter & table.fits & found.any()), table.enter.eq(enters), table.leave.eq(~enters)),
            hits.eq(Cat(key == self.key for key in keys) & valid),
            there.eq(self._there(hits, slots)),
            Assume((self.released & (~valid | found)) == 0),
            Assert(at_most_one(found) & at_most_one(hits)),
            Assert(~hits.any() | (found == hits)),
            Assert(hits.any() | ((found & valid) == 0)),
            Assert(found.any() | valid.all()),
            Assert(~found.any() | (table.is_new == ~hits.any())),
            Assert(~found.any() | (table.fits == ((there & table.slot) == 0))),
            Assert(~found.any() | (table.has_partner == (there >> (self.slot ^ 1))[0])),
        ]
        stays = Mux(enters | there.any(), found, 0)
        m.d.sync += valid.eq(((valid & ~found) | stays) & ~self.released)
        for place in range(count):
            with m.If(found[place]):
                m.d.sync += [keys[place].eq(self.key), slots[place].eq(there | Mux(enters, table.slot, 0))]
        return m

    @staticmethod
    def _there(hits: Value, slots: list[Signal]) -> Value:
        """Slots that are there of the piece asked for."""
        total: Value = Mux(hits[0], slots[0], 0)
        for index, bits in enumerate(slots[1:], 1):
            total = total | Mux(hits[index], bits, 0)
        return total


class MeetingProof(wiring.Component):
    """Pairs of contributions to pieces of five ranks and one flit, each pair once, in any order and at any time.

    Asserted: a piece gives one result, not before all of its pairs have gone to the adders and at most three times the
    adders' latency after them; a result of a place is of that place.
    """

    #: level-1 nodes of a tree for up to eight ranks: pairs (0, 1), (2, 3), and 4 alone
    _NODES = (4, 5, 6)
    _PLACES = 2

    def __init__(self) -> None:
        super().__init__({"offer": In(1), "place": In(1), "pair": In(range(3)), "clk": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = begin(self)
        parameters = SwitchParameters(ports=8, queue_flits=4, groups=1, buses=1, pieces=self._PLACES, slot_bytes=32)
        m.submodules.meeting = meeting = Meeting(parameters=parameters)
        valid, sent = Signal(), [Signal(3, name=f"sent_{place}") for place in range(self._PLACES)]
        here = Mux(self.place, sent[1], sent[0])
        m.d.comb += [
            valid.eq(self.offer & meeting.cleared & (self.pair < 3) & ~(here >> self.pair)[0]),
            *(meeting.valid.eq(valid), meeting.slot.place.eq(self.place), meeting.slot.node.eq(4 + self.pair)),
            *(meeting.slot.last.eq(self.pair == 2), meeting.alone.eq(self.pair == 2), meeting.slot.ends.eq(1)),
            Assert(~(meeting.again & meeting.keep) & ~(meeting.again & meeting.taken)),
        ]
        bound = 3 * TreeLane.latency
        for place, bits in enumerate(sent):
            since, done = Signal(range(bound + 1), name=f"since_{place}"), Signal(name=f"done_{place}")
            gives = Signal(name=f"gives_{place}")
            m.d.comb += [
                gives.eq(meeting.is_result & (meeting.back.place == place)),
                Assert(~gives | (bits.all() & ~done)),
                Assert(done | (since != bound)),
            ]
            with m.If(meeting.taken & (self.place == place)):
                m.d.sync += bits.eq(bits | (1 << self.pair)[:3])
            with m.If(gives):
                m.d.sync += done.eq(1)
            with m.If(bits.all() & (since != bound)):
                m.d.sync += since.eq(since + 1)
        return m

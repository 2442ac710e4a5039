"""Adds the contributions to pieces along their trees, as they come."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from mtia.switch import SwitchParameters

from ..core.arith import delay
from ..core.checks import stream_in
from ..core.shared import Shared
from ..hbm.reduce_float32 import Narrow
from ..hbm.reduce_format import ReduceFormat
from ..hbm.reduce_lanes import ATOM_BITS
from ..hbm.reduce_widen import LANES, WIDE_LANES, Widen, widen_ports
from .contributions import FLIT_BITS, flits_of, slot_address, slot_pair
from .meeting import Meeting, partial_address, token
from .parts import WithParameters
from .places import Piece
from .tree_lane import TreeLane


def result_flit(parameters: SwitchParameters) -> data.StructLayout:
    """A flit of a result.

    place : of the piece.
    flit : which one, 0 the head, whose header means nothing.
    ends : it is the last of the piece.
    data : rounded numbers, as the contributions have them.
    """
    return data.StructLayout(
        {
            "place": range(parameters.pieces),
            "flit": range(max(2, parameters.slot_flits)),
            "ends": 1,
            "data": FLIT_BITS,
        }
    )


class Tree(WithParameters, wiring.Component):
    """Adds pairs of contributions, and what comes of them, until one is left of a piece; it is rounded once.

    At each level of the tree neighbours are paired, and an odd one at the end passes up. A pair is
    added when both are there (`Meeting`), whatever the order, so little is left to add when the
    last contribution comes. Both halves of a flit are added; the first half of the first flit is
    the header, and what comes of it is not used.

    Throughput: a pair a cycle of contributions or of what comes of them: p contributions of so many
    flits take p - 1 times as many cycles, or p where p is odd. Latency: ``4 + 5 * max(1,
    ceil(log2(p)))`` cycles from the read of a pair to the flit of the result, where nothing else is
    under way. The flits of a piece come in order.

    Parameters
    ----------
    parameters : of the switch.

    Members
    -------
    pairs : stream of `slot_pair`, each taken when its last flit is read.
    piece : what is at its place, in the same cycle.
    read, address : of both banks of the memory of slots.
    data : of each bank the flit, in the cycle after `read` and until the next.
    o, valid : flits of results (`result_flit`); nothing stops them.
    """

    def __init__(self, *, parameters: SwitchParameters):
        self._parameters = parameters
        super().__init__(
            {
                "pairs": stream_in(slot_pair(parameters)),
                "piece": In(Piece),
                "read": Out(1),
                "address": Out(slot_address(parameters)),
                "data": In(FLIT_BITS).array(2),
                "o": Out(result_flit(parameters)),
                "valid": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.meeting = meeting = Meeting(parameters=self.parameters)
        enable, fetched = self._fetch(m, meeting)
        lanes = [Shared(TreeLane(depth=len(partial_address(self.parameters)))) for _ in range(2 * LANES)]
        halves: list[Value] = []
        words: list[Value] = []
        for index, lane in enumerate(lanes):
            m.submodules[f"lane_{index}"] = lane
            half, place = divmod(index, LANES)
            m.d.comb += [
                *(lane.format.eq(fetched.format), lane.enable.eq(enable)),
                *(getattr(lane, name).eq(getattr(meeting, name)) for name in ("keep", "at", "again", "look", "looks")),
                *(lane.kind.eq(meeting.kind), lane.fp16.eq(meeting.back.format[:2] == ReduceFormat.FP16)),
            ]
            for bank, number in zip(self.data, (lane.even, lane.odd), strict=True):
                m.d.comb += widen_ports(number, bank.word_select(half, ATOM_BITS), place)
            halves.append(lane.half_result)
            words += [lane.word_result] if place < WIDE_LANES else []
        self._output(m, meeting, words, halves)
        return m

    def _fetch(self, m: Module, meeting: Meeting) -> tuple[Signal, data.View]:
        """Reads pairs, a flit a cycle; what is on its way moves while its end is free or taken."""
        size, pair = self.parameters, self.pairs.payload
        enable, ends, flit = Signal(), Signal(), Signal(range(max(2, size.slot_flits)))
        first = Signal(token(size))
        m.d.comb += [
            ends.eq(flit == flits_of(self.piece.length) - 1),
            self.read.eq(self.pairs.valid & meeting.cleared & enable),
            self.pairs.ready.eq(self.read & ends),
            self.address.eq((pair.place * -(-size.ports // 2) + pair.number) * size.slot_flits + flit),
            *(first.place.eq(pair.place), first.flit.eq(flit), first.ends.eq(ends)),
            first.node.eq((1 << ceil_log2(size.ports) >> 1) + pair.number),
            first.last.eq(pair.number == (self.piece.ranks - 1) >> 1),
            *(first.kind.eq(self.piece.kind), first.format.eq(self.piece.format)),
        ]
        with m.If(self.read):
            m.d.sync += flit.eq(Mux(ends, 0, flit + 1))
        stages = [Signal(token(size), name=f"slot_{stage}", reset_less=True) for stage in range(1 + Widen.latency)]
        alone = [Signal(name=f"alone_{stage}", reset_less=True) for stage in range(1 + Widen.latency)]
        valid = [Signal(name=f"valid_{stage}") for stage in range(1 + Widen.latency)]
        with m.If(enable):
            for line, source in ((stages, first), (alone, pair.alone), (valid, self.read)):
                for here, target in zip((source, *line), line, strict=False):
                    m.d.sync += target.eq(here)
        m.d.comb += [
            enable.eq(~valid[-1] | meeting.taken),
            *(meeting.slot.eq(stages[-1]), meeting.alone.eq(alone[-1]), meeting.valid.eq(valid[-1])),
        ]
        return enable, stages[0]

    def _output(self, m: Module, meeting: Meeting, words: list[Value], halves: list[Value]) -> None:
        """Roots, rounded."""
        back, wait = meeting.back, Narrow.latency
        is_word = delay(m, back.format[:2] == ReduceFormat.FP32, wait, name="is_word")
        m.d.comb += [
            self.valid.eq(delay(m, meeting.is_result, wait, name="is_result", reset_less=False)),
            *(self.o[name].eq(delay(m, back[name], wait, name=name)) for name in ("place", "flit", "ends")),
            self.o.data.eq(Mux(is_word, Cat(words), Cat(halves))),
        ]

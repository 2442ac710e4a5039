"""Who meets whom in the trees of a reduction unit: the same for all lanes."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from mtia.switch import SwitchParameters

from ..core.arith import delay
from ..hbm.reduce_format import ReduceFormat, ReduceKind
from .parts import WithParameters
from .tree_lane import TreeLane


def token(parameters: SwitchParameters) -> data.StructLayout:
    """A flit of a node of a piece's tree.

    place : of the piece.
    node : numbered from the root, 1, where there are as many ranks as ports; below n are 2 n and 2
        n + 1.
    flit : of the packet, 0 the head.
    last : it is the last of its level.
    ends : it is the last flit.
    kind, format : of the reduction.
    """
    return data.StructLayout(
        {
            "place": range(parameters.pieces),
            "node": range(1 << ceil_log2(parameters.ports)),
            "flit": range(max(2, parameters.slot_flits)),
            "last": 1,
            "ends": 1,
            "kind": ReduceKind,
            "format": ReduceFormat,
        }
    )


def partial_address(parameters: SwitchParameters) -> range:
    """Addresses of partial results: a flit of each node that is not made of contributions alone."""
    return range(parameters.pieces * _nodes(parameters) * parameters.slot_flits)


def _nodes(parameters: SwitchParameters) -> int:
    """Numbers of nodes above the lowest two levels, 0 included."""
    return max(2, (1 << ceil_log2(parameters.ports) >> 2) + -(-parameters.ports // 4))


class Meeting(WithParameters, wiring.Component):
    """Steers what goes to the adders of a reduction unit.

    What comes from them is a flit of a node. Where the other node below the same one has not come
    yet it is kept, else both go to the adders again and come back as that node. The last node of a
    level that has none beside it is the node above: this goes on until it has one, or is the root,
    a result. Flits of contributions go to the adders where nothing else does, so nothing that comes
    back ever waits, and the adders rest only when there is nothing to add. Which of two nodes comes
    first is free, and that is all that a tree has of the order of arrival.

    What is kept is noted by a bit, and every bit that is set is cleared again; after reset all are,
    one a cycle.

    Latency: `TreeLane.latency` cycles through the adders, a pair a cycle.

    Parameters
    ----------
    parameters : of the switch: trees at once, ranks and flits of each.

    Members
    -------
    cleared : all bits are cleared; nothing may be `valid` before.
    slot : `token` of the flits of contributions, made the node of both.
    alone : there is but one: it goes through as it is.
    valid, taken : the handshake of both; `taken` follows what comes back, not `valid` alone.
    keep, at, again, look, looks, kind : as `TreeLane` takes them.
    back : what comes from the adders in this cycle.
    is_result : and it is a root.
    """

    def __init__(self, *, parameters: SwitchParameters):
        self._parameters = parameters
        layout, address = token(parameters), partial_address(parameters)
        super().__init__(
            {
                "cleared": Out(1),
                "slot": In(layout),
                "alone": In(1),
                "valid": In(1),
                "taken": Out(1),
                "keep": Out(1),
                "at": Out(address),
                "again": Out(1),
                "look": Out(address),
                "looks": Out(1),
                "kind": Out(ReduceKind),
                "back": Out(layout),
                "is_result": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        goes = Signal(token(self.parameters))
        goes_valid = Signal()
        m.d.comb += [
            self.taken.eq(self.valid & ~self.again),
            goes_valid.eq(self.valid | self.again),
            goes.eq(Mux(self.again, self.back, self.slot)),
        ]
        m.d.sync += self.kind.eq(Mux(self.alone & ~self.again, ReduceKind.COPY, goes.kind))
        comes, is_root, address = self._climb(m, goes)
        valid = delay(m, goes_valid, TreeLane.latency - 1, name="valid", reset_less=False)
        there, last = self._note(m, address, valid & ~is_root, comes.last)
        m.d.comb += [self.look.eq(address), self.looks.eq(valid)]
        m.d.sync += [
            *(self.back.eq(comes), self.back.last.eq(comes.last | (last & ~is_root)), self.at.eq(address)),
            *(self.again.eq(valid & ~is_root & there), self.keep.eq(valid & ~is_root & ~there)),
            self.is_result.eq(valid & is_root),
        ]
        return m

    def _climb(self, m: Module, goes: data.View) -> tuple[data.View, Value, Value]:
        """What will come back in the next cycle: its parent as the node, whether it is a root, the parent's address."""
        layout, size = token(self.parameters), self.parameters
        stages = [Signal(layout, name=f"stage_{index}", reset_less=True) for index in range(TreeLane.latency - 1)]
        address = Signal(partial_address(size), reset_less=True)
        node, is_root = stages[0].node, Signal()
        raised = Signal.like(node)
        m.d.comb += [raised.eq(node), is_root.eq(stages[0].last & ((node & (node - 1)) == 0))]
        with m.If(stages[0].last):
            for steps in range(1, len(node)):  # an odd node has one beside it
                with m.If(node[: steps + 1] == 1 << steps):
                    m.d.comb += raised.eq(node >> steps)
        for source, target in zip((goes, *stages), stages, strict=False):
            m.d.sync += target.eq(source)
        m.d.sync += stages[1].node.eq(raised >> 1)
        before = stages[-2]
        m.d.sync += address.eq((before.place * _nodes(size) + before.node) * size.slot_flits + before.flit)
        return stages[-1], delay(m, is_root, TreeLane.latency - 2, name="is_root"), address

    def _note(self, m: Module, address: Value, changes: Value, last: Value) -> tuple[Value, Value]:
        """Whether one is kept there, and is the last of its level; if not it is from now on, else no longer."""
        depth = len(partial_address(self.parameters))
        m.submodules.notes = notes = memory.Memory(shape=2, depth=depth, init=[])
        write, read = notes.write_port(), notes.read_port(domain="comb")
        cleared = Signal(range(depth + 1))
        m.d.comb += [
            self.cleared.eq(cleared == depth),
            *(read.addr.eq(address), write.addr.eq(Mux(self.cleared, address, cleared))),
            write.data.eq(Mux(self.cleared & ~read.data[0], Cat(1, last), 0)),
            write.en.eq(~self.cleared | changes),
        ]
        with m.If(~self.cleared):
            m.d.sync += cleared.eq(cleared + 1)
        return read.data[0], read.data[1]

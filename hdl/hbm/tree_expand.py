"""Ordered reductions of a memory port, taken apart into reads of their slots."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from mtia.hbm_map import AddressMap
from mtia.near_memory import TREE_SLOTS

from ..core.checks import stream_in, stream_out
from .commands import MemoryOp
from .parts import WithPort
from .port import MemoryPort, steps_layout, tree_layout


class ExpandTree(WithPort, wiring.Component):
    """Hands requests on; of a TREE it makes one for the destination and a read of each slot, in order.

    A TREE that has no slot or more than `mtia.near_memory.TREE_SLOTS`, and one with an address that
    is past the memory's end, is marked `beyond` and its slots are not read.

    Latency: 0 cycles; of a TREE 2. Throughput: a request a cycle; a TREE of p slots takes p + 3
    cycles, in which no other request is taken.

    Parameters
    ----------
    port, address_map : as `Front` takes them.

    Members
    -------
    i : stream of the port's requests.
    o : stream of `steps_layout`.
    idle : no TREE is here.
    """

    def __init__(self, *, port: MemoryPort, address_map: AddressMap):
        self._port, self._map = port, address_map
        super().__init__({"i": stream_in(port.request()), "o": stream_out(steps_layout(port)), "idle": Out(1)})

    @property
    def address_map(self) -> AddressMap:
        """Map from addresses to places."""
        return self._map

    def elaborate(self, platform: object) -> Module:
        m = Module()
        here = Signal(self.port.request(), reset_less=True)
        tree = data.View(tree_layout(), here.data[: tree_layout().size])
        address = Signal(self.port.address_bits, reset_less=True)
        left = Signal(range(TREE_SLOTS + 1), reset_less=True)
        beyond, last = Signal(), Signal()
        m.d.comb += [*(self.o.payload[name].eq(here[name]) for name in here.shape().members), last.eq(left == 1)]
        with m.FSM():
            with m.State("PASS"):
                is_tree = self.i.payload.op == MemoryOp.TREE
                m.d.comb += [
                    self.idle.eq(1),
                    *(self.o.payload[name].eq(self.i.payload[name]) for name in here.shape().members),
                    self.o.valid.eq(self.i.valid & ~is_tree),
                    self.i.ready.eq(is_tree | self.o.ready),
                ]
                with m.If(self.i.valid & is_tree):
                    m.d.sync += here.eq(self.i.payload)
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += [beyond.eq(self._is_beyond(m, here.address, tree)), address.eq(tree.first)]
                m.d.sync += left.eq(tree.slots)
                m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.beyond.eq(beyond)]
                with m.If(self.o.ready):
                    m.next = "SLOTS"
                    with m.If(beyond):
                        m.next = "PASS"
            with m.State("SLOTS"):
                m.d.comb += [
                    *(self.o.valid.eq(1), self.o.payload.op.eq(MemoryOp.RD), self.o.payload.address.eq(address)),
                    *(self.o.payload.slot.eq(1), self.o.payload.last.eq(last)),
                ]
                with m.If(self.o.ready):
                    m.d.sync += [address.eq(address + tree.stride), left.eq(left - 1)]
                    with m.If(last):
                        m.next = "PASS"
        return m

    def _is_beyond(self, m: Module, destination: Value, tree: data.View) -> Value:
        """Whether the destination or a slot is past the end, or the number of slots is none that can be."""
        bits = self.port.address_bits
        end = Signal(2 * bits)
        m.d.comb += end.eq(tree.first[:bits] + tree.stride[:bits] * (tree.slots - 1)[: len(Const(TREE_SLOTS))])
        far = tree.first[bits:].any() | tree.stride[bits:].any()
        several = (tree.slots == 0) | (tree.slots > TREE_SLOTS)
        return far | several | (end >= self.address_map.atoms) | (destination >= self.address_map.atoms)

"""Alignment of products to a common exponent, before they are added."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from ..core.arith import delay, reduce_tree
from .shape import LANES, SliceShape


class WindowMaximum(wiring.Component):
    """The largest product of a wide group, and how far below it each product of the even lanes lies.

    Steps 2 and 3 of docs/numerics.md, "Wide groups", for `Align` and `PlacedSum`. Wide formats are
    in the even lanes only, of which there are `LANES` / 2 = 16. A distance is the sum of two
    elements' distances from their largest exponent (`hdl.formats.element.DecodedElement`): the
    least distance is the largest product.

    Latency: 0 (combinational).

    Parameters
    ----------
    shape : of the engine; it must have wide formats.

    Members
    -------
    distances : of the product of each even lane.
    zero : one bit for each of these lanes: the product is zero and counts as farthest.
    wide : the formats are wide: the path begins at the largest product that is not zero; at
        distance 0 otherwise.
    top : the distance at which the path begins (of a wide group of zeros, any).
    amount : how far each product is to be shifted; `window` or more shifts it out. Of a product
        that is zero and nearer than `top` it wraps and means nothing.
    """

    def __init__(self, *, shape: SliceShape):
        half = LANES // 2
        self.shape = shape
        super().__init__(
            {
                "distances": In(shape.even_exponent + 1).array(half),
                "zero": In(half),
                "wide": In(1),
                "top": Out(shape.even_exponent + 1),
                "amount": Out(shape.even_exponent + 1).array(half),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        candidates = []
        for lane in range(LANES // 2):
            candidates.append(Cat(self.distances[lane], self.zero[lane]))
            m.d.comb += self.amount[lane].eq(self.distances[lane] - self.top)
        least = reduce_tree(m, candidates, lambda a, b: Mux(a > b, b, a), name="least")
        m.d.comb += self.top.eq(Mux(self.wide, least[:-1], 0))
        return m


class Align(wiring.Component):
    """Shifts every product to its place and applies its sign by inverting it.

    Step 4 of docs/numerics.md, "Wide groups"; for narrow formats the path is wide enough that
    nothing is cut. `SignedSum` adds what leaves it.

    Latency: 1 cycle. Throughput: one group a cycle, no back-pressure. No register has a reset.

    Parameters
    ----------
    shape : of the engine: `shape.width` is the path, `shape.near` and `shape.far` its two parts.

    Members
    -------
    even, odd : products, top-aligned: the top bit is that of the largest product that the lane can
        have.
    even_amount, odd_amount : right shifts; an even amount of the path's width or more gives zero.
    sign : one bit a lane, 1 for a negative product.
    wide : keep only the `window` upper bits (formats of more than 8 bits).
    near, far : upper and lower part of each aligned product, inverted where negative; the missing
        ones of the two's complement are added by `SignedSum`. `far` only where `shape.far` is not
        0.
    """

    def __init__(self, *, shape: SliceShape):
        self.shape = shape
        half = LANES // 2
        ports = {
            "even": In(2 * shape.even_bits).array(half),
            "odd": In(2 * shape.odd_bits).array(half),
            "even_amount": In(shape.even_exponent + 1).array(half),
            "odd_amount": In(shape.odd_exponent + 1).array(half),
            "sign": In(LANES),
            "wide": In(1),
            "near": Out(shape.near).array(LANES),
        }
        super().__init__(ports | ({"far": Out(shape.far).array(LANES)} if shape.far else {}))

    #: cycles from products to aligned products
    latency = 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for lane in range(LANES):
            half, odd = divmod(lane, 2)
            product = self.odd[half] if odd else self.even[half]
            amount = self.odd_amount[half] if odd else self.even_amount[half]
            aligned = self._shift(m, product, amount, lane)
            negative = self.sign[lane]
            near = aligned[self.shape.far :]
            m.d.comb += self.near[lane].eq(delay(m, near ^ negative.replicate(len(near)), 1, name=f"near_{lane}"))
            if self.shape.far:
                far = aligned[: self.shape.far]
                m.d.comb += self.far[lane].eq(delay(m, far ^ negative.replicate(len(far)), 1, name=f"far_{lane}"))
        return m

    def _shift(self, m: Module, product: Value, amount: Value, lane: int) -> Signal:
        """`product` at the top of the path, shifted right by `amount`, cut to the window."""
        width = self.shape.width
        bits = bits_for(width - 1)
        wide = self.shape.wide and lane % 2 == 0
        kept = Signal(len(product), name=f"kept_{lane}")
        placed = Signal(width, name=f"placed_{lane}")
        aligned = Signal(width, name=f"aligned_{lane}")
        m.d.comb += kept.eq(Mux(amount[bits:].any(), 0, product) if wide else product)
        above = width - len(product)
        m.d.comb += placed.eq(kept << above if above >= 0 else kept >> -above)
        shifted = Signal(width, name=f"shifted_{lane}")
        m.d.comb += shifted.eq(placed >> amount[:bits])
        below = max(0, width - self.shape.parameters.window)
        mask = (
            Cat((~self.wide).replicate(below), Const(-1, signed(width - below))) if wide and below else Const(-1, width)
        )
        m.d.comb += aligned.eq(shifted & mask if wide and below else shifted)
        return aligned

"""Exact sum of placed products on the carry cells of an ECP5 (`hdl.core.carry`)."""

from collections.abc import Sequence

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..core.arith import delay
from ..core.carry import CARRY_AND, CARRY_XOR, XOR, XOR_ADD_XOR, Bit, Chains, add, and_add_and
from .shape import GROWTH, LANES, SliceShape

#: shifts of a product inside a part of the path; the parts begin so many bits apart
PART = 32


def magnitude(chains: Chains, total: Value, carry: Value, *, name: str) -> tuple[Value, Value]:
    """Sign and magnitude of total + carry; the sign of a zero means nothing."""
    negative = total[-1]
    bits = [Bit(table=CARRY_XOR, inputs=(negative, carry, 0, 1))]
    bits += [Bit(table=XOR, inputs=(bit, negative, 0, 1)) for bit in total[:-1]]
    return negative, chains.sum(bits, name=name)[1:]


class CarryTree:
    """Sum of 32 terms, each of them a magnitude and a sign, in two's complement.

    A negative term is inverted, has ones above and a one added at the bottom. Each adder of the tree takes
    one of the added ones as its carry from below; one is left.

    terms: magnitudes of one width
    signs: one bit a term
    gates: without, the first adders invert. With gates, the terms are inverted where negative already, and
           count where their gate is set

    total: the sum, less `left`, after `registered` levels of registers
    left:  a one that is to be added
    """

    def __init__(
        self,
        m: Module,
        chains: Chains,
        terms: Sequence[Value],
        signs: Sequence[Value],
        *,
        gates: Sequence[Value] | None = None,
        registered: tuple[int, ...],
        name: str,
    ):
        self._m, self._chains, self._name = m, chains, name
        ones = list(zip(signs, gates or [Const(1)] * len(signs), strict=True))
        nodes: list[Value] = []
        for lane in range(0, len(terms), 2):
            pair = slice(lane, lane + 2)
            if gates is None:
                bits = self._inverting(terms[pair], signs[pair])
            else:
                bits = self._gated(terms[pair], signs[pair], gates[pair])
            nodes.append(self._add(bits, ones.pop(0), f"1_{lane // 2}"))
            ones.append(ones.pop(0))
        level = 1
        while True:
            if level in registered:
                nodes = [delay(m, node, 1, name=f"{name}_{level}_{at}") for at, node in enumerate(nodes)]
                ones = [
                    (delay(m, sign & gate, 1, name=f"{name}_one_{level}_{at}"), Const(1))
                    for at, (sign, gate) in enumerate(ones)
                ]
            if len(nodes) == 1:
                break
            level += 1
            nodes = [
                self._add(
                    [add(*pair) for pair in self._extended(*nodes[at : at + 2])], ones.pop(0), f"{level}_{at // 2}"
                )
                for at in range(0, len(nodes), 2)
            ]
        self.total = nodes[0]
        ((sign, gate),) = ones
        self.left = sign & gate

    def _add(self, bits: list[Bit], one: tuple[Value, Value], name: str) -> Value:
        carry = Bit(table=CARRY_AND, inputs=(*one, 0, 1))
        return self._chains.sum([carry, *bits], name=f"{self._name}_{name}")[1:]

    @staticmethod
    def _inverting(terms: Sequence[Value], signs: Sequence[Value]) -> list[Bit]:
        width = len(terms[0])
        pairs = [(terms[0][i], terms[1][i]) for i in range(width)] + [(Const(0), Const(0))] * 2
        return [Bit(table=XOR_ADD_XOR, inputs=(a, signs[0], b, signs[1])) for a, b in pairs]

    @staticmethod
    def _gated(terms: Sequence[Value], signs: Sequence[Value], gates: Sequence[Value]) -> list[Bit]:
        columns = [[*term, sign, sign] for term, sign in zip(terms, signs, strict=True)]
        return [and_add_and(a, gates[0], b, gates[1]) for a, b in zip(*columns, strict=True)]

    @staticmethod
    def _extended(a: Value, b: Value) -> list[tuple[Value, Value]]:
        """Pairs of bits of two signed numbers of one width, with one bit more."""
        return [*zip(a, b, strict=True), (a[-1], b[-1])]


class PlacedSum(wiring.Component):
    """Shifts every product to its place and adds them all (`Align` and `SignedSum` in one, for the same sums).

    The path is cut in parts of `PART` places. A product is shifted inside a part; the part it is in is told by
    gates in the first adders, which cost nothing there. The parts are added by trees of their own, and then to
    each other.

    even, odd:       products, the top bit of the largest at the top
    even_amount, odd_amount: right shifts; an even amount past the path gives zero
    sign:            one bit a lane
    wide:            keep only the `window` upper bits (formats of more than 8 bits)
    negative, magnitude: the sum; the sign of a zero means nothing

    Latency: 5 cycles. Throughput: one group a cycle.
    """

    #: cycles from products to their sum
    latency = 5

    def __init__(self, *, shape: SliceShape):
        self.shape = shape
        half = LANES // 2
        super().__init__(
            {
                "even": In(2 * shape.even_bits).array(half),
                "odd": In(2 * shape.odd_bits).array(half),
                "even_amount": In(shape.even_exponent + 1).array(half),
                "odd_amount": In(shape.odd_exponent + 1).array(half),
                "sign": In(LANES),
                "wide": In(1),
                "negative": Out(1),
                "magnitude": Out(shape.width + GROWTH),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chains = Chains(m, platform)
        widths = self.shape.part_widths
        placed, gates = zip(*(self._place(m, lane, widths) for lane in range(LANES)), strict=True)
        signs = list(delay(m, self.sign, 1, name="signs"))
        trees = [
            CarryTree(
                m,
                chains,
                [term[len(term) - width :] for term in placed],
                signs,
                gates=[of_lane[part] for of_lane in gates],
                registered=(2, 5),
                name=f"part_{part}",
            )
            for part, width in enumerate(widths)
        ]
        total, left = trees[-1].total, trees[-1].left
        for part in reversed(range(len(widths) - 1)):
            place = self.shape.width - PART * part - widths[part]
            upper = trees[part].total
            size = max(len(upper), len(total) - place) + 1
            columns = [(self._bit(upper, i), self._bit(total[place:], i)) for i in range(size)]
            carry = Bit(table=CARRY_AND, inputs=(trees[part].left, 1, 0, 1))
            total = Cat(total[:place], chains.sum([carry, *(add(a, b) for a, b in columns)], name=f"total_{part}")[1:])
        total, left = (delay(m, value, 1, name=name) for value, name in ((total, "total"), (left, "left")))
        total = Cat(total[: len(self.magnitude)], total[-1])
        negative, absolute = magnitude(chains, total, left, name="absolute")
        m.d.comb += self.negative.eq(delay(m, negative, 1, name="negative"))
        m.d.comb += self.magnitude.eq(delay(m, absolute, 1, name="magnitude"))
        return m

    @staticmethod
    def _bit(value: Value, index: int) -> Value:
        """A bit of a signed number, its sign above its top."""
        return value[min(index, len(value) - 1)]

    def _place(self, m: Module, lane: int, widths: list[int]) -> tuple[Value, list[Value]]:
        """A product in its part, inverted where negative, and for each part whether it is there."""
        half, odd = divmod(lane, 2)
        product, amount = (self.odd, self.odd_amount) if odd else (self.even, self.even_amount)
        current, shift = product[half], amount[half]
        may_be_wide = bool(self.shape.wide) and not odd
        for step in range(4):
            width = min(len(current) + (1 << step), max(widths))
            wider = Signal(width, name=f"step_{step}_{lane}")
            # numbers have their top bit fixed, so a longer one is shifted up
            top = Cat(Const(0, 1 << step), current)[len(current) + (1 << step) - width :]
            down = Cat(current, Const(0, 1 << step))[len(current) + (1 << step) - width :]
            m.d.comb += wider.eq(Mux(shift[step], down, top))
            current = wider
        parts = len(widths)
        in_part = [Signal(name=f"in_{part}_{lane}") for part in range(parts)]
        above = shift[5:]
        m.d.comb += [flag.eq(above == part) for part, flag in enumerate(in_part)]
        if may_be_wide:
            current = self._cut(m, lane, current, shift)
        placed = Signal(max(widths), name=f"placed_{lane}")
        down = Cat(current, Const(0, 16))
        top = Cat(Const(0, 16), current)
        drop = len(current) + 16 - len(placed)
        chosen = Mux(shift[4], down[max(drop, 0) :], top[max(drop, 0) :]) << max(-drop, 0)
        m.d.comb += placed.eq(chosen ^ self.sign[lane].replicate(len(placed)))
        gates = [delay(m, flag, 1, name=f"gate_{part}_{lane}") for part, flag in enumerate(in_part)]
        return delay(m, placed, 1, name=f"term_{lane}"), gates

    def _cut(self, m: Module, lane: int, current: Signal, shift: Value) -> Value:
        """The window of wide formats: zero where a bit is going to lie below it."""
        masks: dict[tuple[tuple[int, int], ...], Signal] = {}
        kept: list[Value] = []
        window, parts = self.shape.parameters.window, len(self.shape.part_widths)
        for index, bit in enumerate(current):
            depth = len(current) - 1 - index
            lost = tuple(
                (part, up) for part in range(parts) for up in range(2) if PART * part + 16 * up + depth >= window
            )
            if lost not in masks:
                masks[lost] = Signal(name=f"lost_{len(masks)}_{lane}")
                m.d.comb += masks[lost].eq(
                    self.wide & Cat(shift[4:] == (2 * part + up) for part, up in lost).any() if lost else 0
                )
            kept.append(bit & ~masks[lost])
        result = Signal(len(current), name=f"kept_{lane}")
        m.d.comb += result.eq(Cat(kept))
        return result

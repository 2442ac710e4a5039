"""Exact sum of placed products on the carry cells of an ECP5 (`hdl.core.carry`)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..core.arith import delay
from ..core.carry import CARRY_AND, CARRY_XOR, XOR, XOR_ADD_XOR, Bit, Chains, add, and_add_and
from .shape import GROWTH, LANES, SliceShape

#: shifts of a product inside a part of the path; the parts begin so many bits apart
PART = 16
#: the last step of a shift inside a part
_LAST = PART // 2


def part_widths(shape: SliceShape) -> tuple[list[int], list[int]]:
    """Bits of each part of the path from the top, for even and odd lanes: how far a product from there reaches.

    A part that no product of a lane reaches has width 0; parts below the last that an even lane
    reaches are left out.
    """
    narrow = [
        (sum(shape.distance_range(row.element) for row in pair), sum(row.element.significand_bits for row in pair))
        for pair in shape.pairs
        if not pair[0].is_wide
    ]
    even, odd = [], []
    # what significands are shifted by before comes on top
    spare = (1 << shape.odd_shift) - 1
    for start in range(0, shape.width, PART):
        ends = [min(most, start + PART - 1) + bits - start for most, bits in narrow if most >= start]
        later = [min(most, start + PART - 1 + spare) + bits - start for most, bits in narrow if most >= start]
        wide = [min(shape.parameters.window - start, PART - 1 + 2 * shape.even_bits)] if shape.wide else []
        odd.append(max(later, default=0))
        even.append(max(ends + wide, default=0))
    parts = max(at + 1 for at, width in enumerate(even) if width > 0)
    return even[:parts], odd[:parts]


def magnitude(chains: Chains, total: Value, carry: Value, *, name: str) -> tuple[Value, Value]:
    """Sign and magnitude of total + carry, combinational; the sign of a zero means nothing.

    Parameters
    ----------
    chains : of the module that it is added to.
    total : a two's complement number; it must have room for the sum.
    carry : one bit, added at the bottom.
    name : of the chain.
    """
    negative = total[-1]
    bits = [Bit(table=CARRY_XOR, inputs=(negative, carry, 0, 1))]
    bits += [Bit(table=XOR, inputs=(bit, negative, 0, 1)) for bit in total[:-1]]
    return negative, chains.sum(bits, name=name)[1:]


class CarryTree:
    """Sum of a power of two of terms, each of them a magnitude and a sign, in two's complement.

    A negative term is inverted, has ones above and a one added at the bottom. Each adder of the
    tree takes one of the added ones as its carry from below; one is left. Latency: a cycle for each
    level in `registered`.

    Parameters
    ----------
    m, chains : the module, and the carry cells in it.
    terms : magnitudes of one width, a power of two of them.
    signs : one bit a term.
    gates : without, the first adders invert. With gates, the terms are inverted where negative
        already, and count where their gate is set.
    registered : levels of the tree, 1 at the leaves, that end in registers without reset.
    name : begins the names of the signals.

    Attributes
    ----------
    total : the sum, less `left`.
    left : a one that is to be added at the bottom.
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
        pairs = [slice(lane, lane + 2) for lane in range(0, len(terms), 2)]
        if gates is None:
            adders = [self._inverting(terms[pair], signs[pair]) for pair in pairs]
        else:
            adders = [self._gated(terms[pair], signs[pair], gates[pair]) for pair in pairs]
        nodes, ones = self._add(adders, ones[::2], 1), ones[1::2]
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
            adders = [[add(*pair) for pair in self._extended(*nodes[at : at + 2])] for at in range(0, len(nodes), 2)]
            nodes, ones = self._add(adders, ones[: len(adders)], level), ones[len(adders) :]
        self.total = nodes[0]
        ((sign, gate),) = ones
        self.left = sign & gate

    def _add(self, adders: Iterable[list[Bit]], ones: Iterable[tuple[Value, Value]], level: int) -> list[Value]:
        """A level of adders, each with its one."""
        named = {
            f"{self._name}_{level}_{at}": [Bit(table=CARRY_AND, inputs=(*one, 0, 1)), *bits]
            for at, (bits, one) in enumerate(zip(adders, ones, strict=True))
        }
        return [total[1:] for total in self._chains.sums(named)]

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


@dataclass(frozen=True)
class _Partial:
    """A sum of some terms: `total` and a one, `left`, both times 2**bottom."""

    total: Value
    left: Value
    bottom: int

    def plus(self, other: "_Partial", chains: Chains, *, name: str) -> "_Partial":
        """The sum of two; the one that is left of the upper is added with it."""
        high, low = (self, other) if self.bottom > other.bottom else (other, self)
        place = high.bottom - low.bottom
        rest = low.total[place:]
        size = max(len(high.total), len(rest)) + 1
        bits = [add(high.total[min(i, len(high.total) - 1)], rest[min(i, len(rest) - 1)]) for i in range(size)]
        carry = Bit(table=CARRY_AND, inputs=(high.left, 1, 0, 1))
        return _Partial(Cat(low.total[:place], chains.sum([carry, *bits], name=name)[1:]), low.left, low.bottom)


class PlacedSum(wiring.Component):
    """Shifts every product to its place and adds them all (`Align` and `SignedSum` in one, for the same sums).

    The path is cut in parts of `PART` places. A product is shifted inside a part; the part it is in
    is told by gates in the first adders, which cost nothing there. The parts are added by trees of
    their own, and then to each other; so are the even lanes of a part, which reach further, and its
    odd ones. For paths that are long (`SliceShape.placed`).

    Latency: 5 cycles. Throughput: one group a cycle, no back-pressure. No register has a reset.

    Parameters
    ----------
    shape : of the engine.

    Members
    -------
    even, odd : products, the top bit of the largest at the top.
    even_amount, odd_amount : right shifts, of odd lanes in units of 2**`odd_shift`; an even amount
        past the path gives zero.
    sign : one bit a lane, 1 for a negative product.
    wide : keep only the `window` upper bits (formats of more than 8 bits).
    negative, magnitude : the sum; the sign of a zero means nothing.
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
        widths = part_widths(self.shape)
        signs = delay(m, self.sign, 1, name="signs")
        placed = [
            [self._place(m, lane, of_side) for lane in range(at, LANES, 2)] if any(of_side) else []
            for at, of_side in enumerate(widths)
        ]
        total: _Partial | None = None
        for part in range(len(widths[0])):
            for at, side in enumerate(("even", "odd")):
                if width := widths[at][part]:
                    tree = CarryTree(
                        m,
                        chains,
                        [term[len(term) - width :] for term, _gates in placed[at]],
                        list(signs[at::2]),
                        gates=[gates[part] for _term, gates in placed[at]],
                        registered=(2, 4),
                        name=f"{side}_{part}",
                    )
                    found = _Partial(tree.total, tree.left, self.shape.width - PART * part - width)
                    total = found if total is None else total.plus(found, chains, name=f"total_{side}_{part}")
        assert total is not None
        assert total.bottom == 0
        whole, left = (delay(m, value, 1, name=name) for value, name in ((total.total, "total"), (total.left, "left")))
        whole = Cat(whole[: len(self.magnitude)], whole[-1])
        negative, absolute = magnitude(chains, whole, left, name="absolute")
        m.d.comb += self.negative.eq(delay(m, negative, 1, name="negative"))
        m.d.comb += self.magnitude.eq(delay(m, absolute, 1, name="magnitude"))
        return m

    def _place(self, m: Module, lane: int, widths: list[int]) -> tuple[Value, list[Value]]:
        """A product in its part, inverted where negative, and for each part whether it is there."""
        half, odd = divmod(lane, 2)
        product, amount = (self.odd, self.odd_amount) if odd else (self.even, self.even_amount)
        done = self.shape.odd_shift if odd else 0
        missing = _LAST.bit_length() + 1 - done - len(amount[half])
        current, shift = product[half], Cat(Const(0, done), amount[half], Const(0, max(0, missing)))
        for step in range(done, _LAST.bit_length() - 1):
            width = min(len(current) + (1 << step), max(widths))
            wider = Signal(width, name=f"step_{step}_{lane}")
            m.d.comb += wider.eq(self._step(current, 1 << step, width, shift[step]))
            current = wider
        low, above = shift[_LAST.bit_length() - 1], shift[_LAST.bit_length() :]
        in_part = [Signal(name=f"in_{part}_{lane}") for part in range(len(widths))]
        for part, flag in enumerate(in_part):
            there = above == part
            if self.shape.wide and not odd:
                # where the product of a wide format begins below the window
                rest = self.shape.parameters.window - PART * part
                if rest <= _LAST:
                    there &= ~(self.wide & (low if rest > 0 else 1))
            m.d.comb += flag.eq(there)
        if self.shape.wide and not odd:
            current = self._cut(m, lane, current, low, in_part, widths)
        placed = Signal(max(widths), name=f"placed_{lane}")
        moved = self._step(current, _LAST, len(placed), low)
        m.d.comb += placed.eq(moved ^ self.sign[lane].replicate(len(placed)))
        gates = [delay(m, flag, 1, name=f"gate_{part}_{lane}") for part, flag in enumerate(in_part)]
        return delay(m, placed, 1, name=f"term_{lane}"), gates

    @staticmethod
    def _step(current: Value, distance: int, width: int, taken: Value) -> Value:
        """The upper `width` bits of a number that is shifted right by a distance or not; their top bit is fixed."""
        drop = len(current) + distance - width
        moved = Mux(
            taken, Cat(current, Const(0, distance))[max(drop, 0) :], Cat(Const(0, distance), current)[max(drop, 0) :]
        )
        return Cat(Const(0, max(-drop, 0)), moved)

    def _cut(self, m: Module, lane: int, current: Value, low: Value, in_part: list[Signal], widths: list[int]) -> Value:
        """The window of wide formats: zero where a bit is going to lie in a part, but below the window."""
        window = self.shape.parameters.window
        masks: dict[tuple[tuple[int, int], ...], Value] = {(): Const(0, 1)}
        kept: list[Value] = []
        for index, bit in enumerate(current):
            depth = len(current) - 1 - index
            lost = []
            for part, width in enumerate(widths):
                ups = [up for up in range(2) if PART * part + _LAST * up < window]
                cut = [up for up in ups if depth + _LAST * up < width and PART * part + _LAST * up + depth >= window]
                if cut:
                    lost.append((part, cut[0] if len(cut) < len(ups) else 2))
            key = tuple(lost)
            if key not in masks:
                masks[key] = Signal(name=f"lost_{len(masks)}_{lane}")
                terms = [in_part[part] & (1 if up == 2 else low == up) for part, up in key]
                m.d.comb += masks[key].eq(self.wide & Cat(terms).any())
            kept.append(bit & ~masks[key] if key else bit)
        result = Signal(len(current), name=f"kept_{lane}")
        m.d.comb += result.eq(Cat(kept))
        return result

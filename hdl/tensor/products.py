"""First stage of a group sum: 32 products of two decoded rows."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..core.arith import delay
from ..core.carry import Chains, multiply
from .shape import LANES, SliceShape


class Products(wiring.Component):
    """Multiplies the significands of all lanes and adds their exponents.

    Lanes 0, 2, 4, ... are the even lanes: they are as wide as the engine's widest element and take
    its wide formats; the odd lanes take elements of up to 8 bits. Products are exact, twice as wide
    as the significands.

    Latency: 1 cycle. Throughput: one group a cycle, no back-pressure. No register has a reset.

    Parameters
    ----------
    shape : of the engine.

    Members
    -------
    stationary, streamed : decoded rows (`SliceShape.general_signature`).
    even, odd : products, the top bit of the largest product at the top.
    even_exponent, odd_exponent : sums of both distances (`hdl.formats.element.DecodedElement`).
    sign, zero : one bit a lane: the product is negative, is zero.
    nan, pos_inf, neg_inf : the group's value if it is decided by elements that are not numbers;
        `nan` covers infinity times zero and the NaN of either row, not yet the meeting of both
        infinities.
    """

    def __init__(self, *, shape: SliceShape):
        self.shape = shape
        half = LANES // 2
        super().__init__(
            {
                "stationary": In(shape.general_signature),
                "streamed": In(shape.general_signature),
                "even": Out(2 * shape.even_bits).array(half),
                "odd": Out(2 * shape.odd_bits).array(half),
                "even_exponent": Out(shape.even_exponent + 1).array(half),
                "odd_exponent": Out(shape.odd_exponent + 1).array(half),
                "sign": Out(LANES),
                "zero": Out(LANES),
                "nan": Out(1),
                "pos_inf": Out(1),
                "neg_inf": Out(1),
            }
        )

    #: cycles from a pair of rows to its products
    latency = 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chains = Chains(m, platform)
        a, b = self.stationary, self.streamed
        sign = Signal(LANES)
        inf = Signal(LANES)
        m.d.comb += [sign.eq(a.sign ^ b.sign), inf.eq(a.inf | b.inf)]
        for side in ("even", "odd"):
            for lane, exact in enumerate(self._multiply(chains, side)):
                exponents = [getattr(row, f"{side}_exponent")[lane] for row in (a, b)]
                product, exponent = getattr(self, side)[lane], getattr(self, f"{side}_exponent")[lane]
                m.d.comb += product.eq(delay(m, exact, 1, name=f"{side}_{lane}"))
                m.d.comb += exponent.eq(delay(m, exponents[0] + exponents[1], 1, name=f"{side}_exponent_{lane}"))
        flags = {
            "sign": sign,
            "zero": a.zero | b.zero,
            "nan": ((a.inf & b.zero) | (b.inf & a.zero)).any() | a.scale.nan | b.scale.nan,
            "pos_inf": (inf & ~sign).any(),
            "neg_inf": (inf & sign).any(),
        }
        m.d.comb += [getattr(self, name).eq(delay(m, value, 1, name=name)) for name, value in flags.items()]
        return m

    def _multiply(self, chains: Chains, side: str) -> list[Value]:
        """Products of the even or the odd lanes, on the carry cells of the engine's FPGA if it names one."""
        pairs = zip(*(getattr(row, f"{side}_significand") for row in (self.stationary, self.streamed)), strict=True)
        if self.shape.parameters.cells == "generic":
            return [a * b for a, b in pairs]
        return multiply(chains, {f"{side}_{lane}": pair for lane, pair in enumerate(pairs)})

"""Numbers of an atom or of an operand as FP32.

Ref: OCP Microscaling Formats (MX) Specification v1.0, sections 5.1 and 5.3.
Ref: IEEE 754-2019, section 3.4.
"""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia.formats import ELEMENTS
from mtia.near_memory import SCALE_BYTE, ReduceFormat as _Format

from ..core.arith import leading_zeros
from ..core.checks import require_bool
from ..formats.element import Choice, DecodedElement, ElementRules
from ..formats.float32 import CANONICAL_NAN, Float32
from .reduce_format import ReduceFormat

#: numbers of an atom whose format is two bytes wide
LANES = 16
#: of these, numbers of an FP32 atom
WIDE_LANES = 8
_FP16 = ELEMENTS["FP16"]
#: exponent of a number times its scale, biased by 127
_EXPONENT = 10


class Widen(wiring.Component):
    """One number of an operand in FP32: exact, but infinite where an MX number is past FP32's range.

    Latency: 2 enabled cycles. Throughput: one number a cycle.

    Parameters
    ----------
    mx : whether operands may be elements of MX blocks; otherwise only the format in memory counts.

    Members
    -------
    format : of the operand.
    word, half, code : the bits of the number where the format is 32, 16 or at most 8 bits wide
        (`code` and `scale` only with `mx`).
    scale : E8M0 scale of an MX operand.
    enable : 0 holds all registers.
    result : `Float32`; a NaN is 0x7FC00000.

    Raises TypeError for an `mx` that is no bool.
    """

    #: cycles from a number to its FP32
    latency = 2

    def __init__(self, *, mx: bool):
        self._mx = require_bool("Widen mx", mx)
        blocks = {"code": In(8), "scale": In(8)} if mx else {}
        super().__init__(
            {
                "enable": In(1, init=1),
                "format": In(ReduceFormat),
                "word": In(32),
                "half": In(16),
                **blocks,
                "result": Out(Float32),
            }
        )

    @property
    def mx(self) -> bool:
        """Whether operands may be elements of MX blocks."""
        return self._mx

    def elaborate(self, platform: object) -> Module:
        m = Module()
        number, selected, scale = self._decode(m)
        count, normalized = leading_zeros(m, number.significand, name="zeros")
        plain, plain_nan = self._plain(m)
        significand, exponent = Signal(24, reset_less=True), Signal(signed(_EXPONENT), reset_less=True)
        sign, inf, nan, is_plain = (Signal(name=name, reset_less=True) for name in ("sign", "inf", "nan", "is_plain"))
        bits = Signal(32, reset_less=True)
        result = Signal(Float32, reset_less=True)
        packed = self._pack(m, sign, exponent, significand, inf)
        with m.If(self.enable):
            m.d.sync += [
                significand.eq(normalized << (24 - len(normalized))),
                exponent.eq(number.biased + scale - 127 - count),
                sign.eq(number.sign),
                inf.eq(number.inf),
                nan.eq(Mux(selected, number.nan | (scale == 0xFF), plain_nan)),
                is_plain.eq(~selected),
                bits.eq(plain),
                result.eq(packed),
            ]
            with m.If(nan):
                m.d.sync += result.eq(CANONICAL_NAN)
            with m.Elif(is_plain):
                m.d.sync += result.eq(bits)
        m.d.comb += self.result.eq(result)
        return m

    def _decode(self, m: Module) -> tuple[DecodedElement, Value, Value]:
        """The element, whether the format has one (not FP32 or BF16), and the scale."""
        memory, operand = self.format[:2], self.format[2:]
        choices = [Choice(element=_FP16, code=self.half)]
        if self.mx:
            elements = {item >> 2: item.operand.element for item in _Format if item.operand is not None}
            choices += [Choice(element=row, code=self.code, cases=(index,)) for index, row in elements.items()]
        choice = operand if self.mx else Const(0, 1)
        rules = ElementRules(m, choices, choice, name="rules")
        number = DecodedElement(m, choices, choice, rules=rules, width=_FP16.significand_bits, name="number")
        is_mx, scale, selected = Signal(), Signal(8), Signal()
        if self.mx:
            m.d.comb += [is_mx.eq(operand.any()), scale.eq(Mux(is_mx, self.scale, 127))]
        else:
            m.d.comb += scale.eq(127)
        m.d.comb += selected.eq(is_mx | (memory == ReduceFormat.FP16))
        return number, selected, scale

    def _plain(self, m: Module) -> tuple[Signal, Signal]:
        """FP32 and BF16, whose bits are the upper ones of FP32; whether that is NaN."""
        plain, nan = Signal(Float32), Signal()
        is_bf16 = self.format[:2] == ReduceFormat.BF16
        m.d.comb += [
            plain.eq(Mux(is_bf16, self.half << 16, self.word)),
            nan.eq(plain.exponent.all() & plain.mantissa.any()),
        ]
        return plain.as_value(), nan

    def _pack(self, m: Module, sign: Signal, exponent: Signal, significand: Signal, inf: Signal) -> Signal:
        """FP32 bits; below the normal numbers the significand shifts right, and loses nothing."""
        packed = Signal(32)
        below, amount, shifted, field, infinite = Signal(), Signal(5), Signal(24), Signal(8), Signal()
        if self.mx:
            m.d.comb += [
                below.eq(exponent < 1),
                amount.eq(Mux(below, 1 - exponent, 0)),
                infinite.eq(inf | ((exponent > 254) & significand.any())),
            ]
        else:
            m.d.comb += infinite.eq(inf)
        m.d.comb += [
            shifted.eq(significand >> amount),
            # The hidden bit adds one to the field.
            field.eq(Mux(below | ~significand.any(), 0, exponent - 1)),
            packed.eq(
                Mux(
                    infinite,
                    Cat(Const(0, 23), Const(0xFF, 8), sign),
                    Cat((Cat(Const(0, 23), field) + shifted)[:31], sign),
                )
            ),
        ]
        return packed


def widen_ports(widen: wiring.Component, atom: Value, lane: int) -> list[Any]:
    """Statements that give a lane's `Widen`, shared or not, its bits of an atom or operand.

    widen : the component, or one that has its ports. atom : 256 bits. lane : 0 to `LANES` - 1.
    """
    wide = lane < WIDE_LANES
    statements = [
        widen.word.eq(atom[32 * lane :][:32] if wide else 0),
        widen.half.eq(atom[16 * lane :][:16]),
    ]
    if "scale" in widen.signature.members:
        statements += [widen.code.eq(atom[8 * lane :][:8]), widen.scale.eq(atom[8 * SCALE_BYTE :][:8])]
    return statements

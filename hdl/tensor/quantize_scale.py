"""Scale of a block: the largest magnitude, a rule, an E8M0 code, and what it means for the elements.

Ref: OCP Microscaling Formats (MX) Specification v1.0, sections 5.2 and 6.3.
"""

from collections.abc import Mapping

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from mtia.formats import Element

from ..core.arith import delay, maximum_tree
from ..formats.code import FormatCode
from ..formats.float32 import Float32
from .quantize_shape import QuantizerShape, Rounding, ScaleRule

#: largest code of a scale that is a number
_MAX_CODE = 254
_NAN_CODE = 255
_MANTISSA = 23


class BlockScale(wiring.Component):
    """Scale code of a block and the settings of its lanes (docs/numerics.md, "Scale rules").

    The maximum is taken over the leading bits that the rules look at and one bit that stands for
    all lower ones; leaving those out keeps the order, so the result is exact. No logarithm and no
    division: a rule is a threshold on the fraction of the maximum, above which its exponent is one
    more.

    Latency: `QuantizerShape.scale_latency` cycles (2; deep, for 32 lanes, 6). Throughput: one block
    a cycle, no back-pressure. No register has a reset.

    Parameters
    ----------
    shape : what the quantiser is built for.

    Members
    -------
    values, format, scale_rule, rounding : fields of the block (`QuantizerShape.input_layout`), all
        in one cycle; `rounding` only if `shape.stochastic`.
    code : E8M0 code, 0 to 254; 255 where a value is Inf or NaN, or the format or the rule is not
        built.
    control : settings of the lanes (`QuantizerShape.control_layout`), in the cycle of `code`; void
        where that is 255.
    """

    def __init__(self, *, shape: QuantizerShape):
        self._shape = shape
        ports = {
            "values": In(data.ArrayLayout(Float32, shape.lanes)),
            "format": In(FormatCode),
            "scale_rule": In(ScaleRule),
            "code": Out(8),
            "control": Out(shape.control_layout),
        }
        super().__init__(ports | ({"rounding": In(Rounding)} if shape.stochastic else {}))

    @property
    def shape(self) -> QuantizerShape:
        """What the quantiser is built for."""
        return self._shape

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shape = self.shape
        largest = maximum_tree(m, self._keys(m), name="largest", registered=shape.maximum_levels)
        tables = self._tables(m)
        exponent = largest[-8:]
        special = self._cut(m, exponent.all(), "special")
        raised = self._cut(m, self._raised(m, largest, tables), "raised")
        void = Signal()
        m.d.comb += void.eq(special | ~tables["known"])

        control = Signal(shape.control_layout, reset_less=True)
        code = Signal(8, reset_less=True)
        lowest = Signal()
        for name, register in ("code", code), ("origin", control.origin), ("limit", control.limit):
            start = self._cut(m, exponent + tables[f"{name}_start"], f"{name}_start")
            value = Signal(signed(10), name=f"{name}_value")
            m.d.comb += value.eq(start + raised)
            if name == "code":
                m.d.comb += lowest.eq(value[-1])
            m.d.sync += register.eq(Mux(lowest, tables[f"{name}_lowest"], value))
        with m.If(void):
            m.d.sync += code.eq(_NAN_CODE)
        m.d.sync += control.void.eq(void)
        m.d.sync += [control[name].eq(tables[name]) for name in control.shape().members if name in tables]
        m.d.comb += [self.code.eq(code), self.control.eq(control)]
        return m

    def _cut(self, m: Module, value: Value, name: str) -> Signal:
        """A signal for `value`; in a deep quantiser a register."""
        signal = Signal(value.shape(), name=name, reset_less=True)
        domain = m.d.sync if self.shape.deep else m.d.comb
        domain += signal.eq(value)
        return signal

    def _keys(self, m: Module) -> list[Signal]:
        """What the maximum is taken over: of each magnitude the leading bits and whether any other is set."""
        shape = self.shape
        cut = _MANTISSA - shape.key_fraction - shape.key_subnormal
        keys = []
        for lane in range(shape.lanes):
            magnitude = self.values[lane].as_value()[:31]
            sticky = [magnitude[:cut].any()] if shape.key_sticky else []
            key = Signal(31 - cut + len(sticky), name=f"key_{lane}")
            m.d.comb += key.eq(Cat(*sticky, magnitude[cut:]))
            keys.append(key)
        return keys

    def _raised(self, m: Module, largest: Value, tables: Mapping[str, Value]) -> Value:
        """Whether the rule takes the exponent above that of the largest magnitude."""
        shape, threshold = self.shape, tables["threshold"]
        sticky = largest[0] if shape.key_sticky else Const(0, 1)
        fraction = largest[int(shape.key_sticky) : -8]
        compared = Signal(shape.key_fraction + 1)
        raised = Signal()
        if shape.key_subnormal:
            # FP32's subnormals in [2**-127, 2**-126) have their leading one in the mantissa; smaller
            # ones have scale code 0 under any rule.
            subnormal = Signal()
            m.d.comb += subnormal.eq(largest[-8:] == 0)
            with m.If(subnormal):
                m.d.comb += compared.eq(Cat(sticky, fraction[:-1]))
                m.d.comb += raised.eq(fraction[-1] & (compared > threshold))
            with m.Else():
                m.d.comb += compared.eq(Cat(sticky | fraction[0], fraction[1:]))
                m.d.comb += raised.eq(compared > threshold)
        else:
            m.d.comb += compared.eq(Cat(sticky, fraction))
            m.d.comb += raised.eq(compared > threshold)
        if min(element.emax for element in shape.elements) == 0:
            # the only exponent above that of the largest code
            with m.If((largest[-8:] == _MAX_CODE) & (tables["code_start"] == 0)):
                m.d.comb += raised.eq(0)
        return raised

    def _threshold(self, rule: ScaleRule, element: Element) -> int:
        """Largest `compared` (fraction bits above a sticky bit) under which the rule keeps the exponent."""
        bits = self.shape.key_fraction
        ones = (2 << bits) - 1
        match rule:
            case ScaleRule.FLOOR:
                return ones
            case ScaleRule.CEIL:
                return 0
            case ScaleRule.RCEIL:
                fraction = element.max_code & ((1 << element.mantissa_bits) - 1)
                return fraction << (bits - element.mantissa_bits + 1)
            case ScaleRule.EVEN:
                return ones - (1 << (bits - element.mantissa_bits))

    def _tables(self, m: Module) -> dict[str, Value]:
        """Figures of the block's format and rule.

        `threshold` and the ``_start`` come in the cycle in which the maximum is known, the others with what follows
        from it, which is in the next if deep.
        For the scale code, the lanes' origin and their limit, ``_start`` is what they are more than the
        exponent of the largest magnitude, and ``_lowest`` what they are where that gives a code below 0.
        """
        shape = self.shape
        early = len(shape.maximum_levels) - 1
        chosen = Signal(FormatCode)
        rule = Signal(ScaleRule)
        m.d.comb += chosen.eq(delay(m, self.format, early, name="format"))
        m.d.comb += rule.eq(delay(m, self.scale_rule, early, name="scale_rule"))
        late = delay(m, Cat(rule, chosen), int(shape.deep), name="late")
        codes = [FormatCode[name].value for name in shape.formats]

        def by_format(name: str, selector: Value, kind: ShapeLike, values: list[int]) -> Value:
            return _lookup(m, selector, dict(zip(codes, values, strict=True)), name=name, kind=kind)

        thresholds = {
            code << 2 | rule.value: self._threshold(rule, element)
            for code, element in zip(codes, shape.elements, strict=True)
            for rule in shape.rules
        }
        bits = shape.key_fraction + 1
        tables = {"threshold": _lookup(m, Cat(rule, chosen), thresholds, name="threshold", kind=bits)}
        origins = [element.emin for element in shape.elements]
        limits = [element.emin + shape.mantissa - element.mantissa_bits for element in shape.elements]
        for name, lowest in ("code", [0] * len(origins)), ("origin", origins), ("limit", limits):
            start = [value - element.emax for value, element in zip(lowest, shape.elements, strict=True)]
            tables[f"{name}_start"] = by_format(f"{name}_offset", Value.cast(chosen), signed(7), start)
            tables[f"{name}_lowest"] = by_format(f"{name}_lowest", late[2:], signed(7), lowest)
        known = Signal(reset_less=True)
        with m.Switch(late):
            with m.Case(*thresholds):
                m.d.sync += known.eq(1)
            with m.Default():
                m.d.sync += known.eq(0)
        tables["known"] = known
        for name, (bits, values) in shape.lane_settings.items():
            tables[name] = by_format(name, late[2:], bits, values)
        if shape.stochastic:
            rounding = delay(m, self.rounding, early + 1 + shape.deep, name="rounding")
            tables["random"] = Value.cast(rounding == Rounding.STOCHASTIC)
        return tables


def _lookup(m: Module, selector: Value, table: Mapping[int, int], *, name: str, kind: ShapeLike) -> Value:
    """The table's value for a selector, a cycle later; a constant where all values are the same.

    A selector that is not in the table gives any of its values.
    """
    *cases, last = table.items()
    if len(set(table.values())) == 1:
        return Const(last[1], kind)
    value = Signal(kind, name=f"{name}_value", reset_less=True)
    with m.Switch(selector):
        for key, entry in cases:
            with m.Case(key):
                m.d.sync += value.eq(entry)
        with m.Default():
            m.d.sync += value.eq(last[1])
    return value

"""Arithmetic of the reductions in memory: an atom a cycle."""

from amaranth import *
from amaranth.hdl import ValueLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from mtia.near_memory import ATOM_BYTES

from ..core.arith import delay
from ..core.checks import require_int
from ..core.shared import Shared
from .reduce_float32 import CombineFloat32, Narrow
from .reduce_format import ReduceFormat, ReduceKind
from .reduce_widen import LANES, WIDE_LANES, Widen, widen_ports

ATOM_BITS = 8 * ATOM_BYTES


class ReduceLanes(wiring.Component):
    """Combines atoms with operands, bit for bit as `golden.near_memory.apply`.

    16 lanes of FP32, of which FP32 atoms use 8. COPY enables byte by byte; SUM, MAX and MIN change
    a number only where all its bytes are enabled. A format that is none leaves the atom as it is.

    Latency: 9 cycles: its inputs are registered first, so that nothing in it changes while its
    clock is stopped. Throughput: one atom a cycle. No back-pressure.

    Parameters
    ----------
    token_bits : width of what travels with an atom, at least 1.

    Members
    -------
    i : {kind, format, memory, operand, mask, token}: the atom in memory, the operand, byte enables.
    o : {result, token}: the atom's new value. The token's registers are reset to 0, so a bit of it
        may say valid.

    Raises TypeError or ValueError for `token_bits` that are no such number.
    """

    #: cycles from an atom to its new value
    latency = 1 + Widen.latency + CombineFloat32.latency + Narrow.latency + 1

    def __init__(self, *, token_bits: int):
        self._token_bits = require_int("Token bits", token_bits, low=1)
        taken = {
            "kind": ReduceKind,
            "format": ReduceFormat,
            "memory": ATOM_BITS,
            "operand": ATOM_BITS,
            "mask": ATOM_BYTES,
            "token": token_bits,
        }
        given = {"result": ATOM_BITS, "token": token_bits}
        super().__init__({"i": In(data.StructLayout(taken)), "o": Out(data.StructLayout(given))})

    @property
    def token_bits(self) -> int:
        """Width of what travels with an atom."""
        return self._token_bits

    def elaborate(self, platform: object) -> Module:
        m = Module()
        here = Signal(self.i.shape(), reset_less=True)
        m.d.sync += here.eq(self.i)
        words, halves = self._lanes(m, here)
        base, enabled = self._bypass(m, here)
        until = self.latency - 2
        base = delay(m, base, until, name="base")
        enabled = delay(m, enabled, until, name="enabled")
        is_word = delay(m, here.format[:2] == ReduceFormat.FP32, until, name="is_word")
        computed, result = Signal(ATOM_BITS), Signal(ATOM_BITS, reset_less=True)
        m.d.comb += computed.eq(Mux(is_word, Cat(words), Cat(halves)))
        m.d.sync += [
            result.word_select(byte, 8).eq(Mux(enabled[byte], computed.word_select(byte, 8), base.word_select(byte, 8)))
            for byte in range(ATOM_BYTES)
        ]
        token = delay(m, self.i.token, self.latency, name="token", reset_less=False)
        m.d.comb += [self.o.result.eq(result), self.o.token.eq(token)]
        return m

    def _lanes(self, m: Module, here: data.View) -> tuple[list[Value], list[Value]]:
        """Results of the lanes in FP32 and in two bytes, a cycle before the last."""
        kind = delay(m, here.kind, Widen.latency, name="kind")
        wide = Widen.latency + CombineFloat32.latency
        fp16 = delay(m, here.format[:2] == ReduceFormat.FP16, wide, name="fp16")
        words: list[Value] = []
        halves: list[Value] = []
        for lane in range(LANES):
            m.submodules[f"memory_{lane}"] = memory = Shared(Widen(mx=False))
            m.submodules[f"operand_{lane}"] = operand = Shared(Widen(mx=True))
            m.submodules[f"combine_{lane}"] = combine = Shared(CombineFloat32())
            m.submodules[f"narrow_{lane}"] = narrow = Shared(Narrow())
            m.d.comb += [
                *widen_ports(memory, here.memory, lane),
                *widen_ports(operand, here.operand, lane),
                *(port.eq(1) for port in (memory.enable, operand.enable)),
                *(port.eq(here.format) for port in (memory.format, operand.format)),
                *(combine.kind.eq(kind), combine.a.eq(memory.result), combine.b.eq(operand.result)),
                *(narrow.fp16.eq(fp16), narrow.number.eq(combine.result)),
            ]
            halves.append(narrow.result)
            if lane < WIDE_LANES:
                words.append(delay(m, combine.result.as_value(), Narrow.latency, name=f"word_{lane}"))
        return words, halves

    def _bypass(self, m: Module, i: data.View) -> tuple[Signal, Signal]:
        """What the bytes are that no lane gives, and the bytes that a lane gives."""
        base, enabled, full = Signal(ATOM_BITS), Signal(ATOM_BYTES), Signal(ATOM_BYTES)
        is_plain, is_format = Signal(), Signal()
        m.d.comb += [is_plain.eq(~i.format[2:].any()), is_format.eq(~(i.format[:2].all() | i.format[2:].all()))]
        m.d.comb += full.eq(Mux(i.format[:2] == ReduceFormat.FP32, self._full(i, 4), self._full(i, 2)))
        m.d.comb += base.eq(i.memory)
        with m.If(is_format & (i.kind != ReduceKind.COPY)):
            m.d.comb += enabled.eq(full)
        with m.Elif(is_format & ~is_plain):
            m.d.comb += enabled.eq(i.mask)
        with m.Elif(is_format):
            for byte in range(ATOM_BYTES):
                with m.If(i.mask[byte]):
                    m.d.comb += base.word_select(byte, 8).eq(i.operand.word_select(byte, 8))
        return base, enabled

    def _full(self, here: data.View, size: int) -> ValueLike:
        """Byte enables of the numbers of so many bytes whose enables are all set."""
        return Cat(here.mask[byte : byte + size].all().replicate(size) for byte in range(0, ATOM_BYTES, size))

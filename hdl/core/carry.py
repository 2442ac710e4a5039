"""Sums on the carry cells of an ECP5, with logic of their operands in the same cells.

Ref: ECP5 and ECP5-5G Family Data Sheet (FPGA-DS-02012), "Modes of Operation": the ripple mode of a slice;
the cell is CCU2C of the ECP5 library.

Half a cell adds one bit: a look-up table of four inputs gives the propagate signal and a table of two
of them, its first four entries, what is generated where nothing propagates. Synthesis infers plain
additions only and spends look-up tables of their own on what they add. The tables have room for more:

- a + (b and c), a row of a multiplication added to those before it
- (a and b) + (c and d), two rows at once
- (a xor b) + (c xor d), two numbers that are inverted where negative

Built for anything but emission, a chain is the same cells as plain logic.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from amaranth import *
from amaranth.hdl import ValueLike

from .shared import SharedLibrary

#: what the cell does, for simulators; synthesis has it in its library (and defines SYNTHESIS)
MODEL = """
`ifndef SYNTHESIS
module CCU2C(input CIN, A0, B0, C0, D0, A1, B1, C1, D1, output S0, S1, COUT);
  parameter [15:0] INIT0 = 16'h0000;
  parameter [15:0] INIT1 = 16'h0000;
  parameter INJECT1_0 = "NO";
  parameter INJECT1_1 = "NO";
  wire p0 = INIT0[{D0, C0, B0, A0}];
  wire p1 = INIT1[{D1, C1, B1, A1}];
  wire g0 = INJECT1_0 != "YES" && INIT0[{2'b00, B0, A0}];
  wire g1 = INJECT1_1 != "YES" && INIT1[{2'b00, B1, A1}];
  wire inner = p0 ? CIN : g0;
  assign S0 = p0 ^ (INJECT1_0 != "YES" && CIN);
  assign S1 = p1 ^ (INJECT1_1 != "YES" && inner);
  assign COUT = p1 ? inner : g1;
endmodule
`endif
"""

#: a table's value for its four inputs
Function = Callable[[int, int, int, int], int]


def table(function: Function) -> int:
    """The 16 entries of a look-up table, that of input a = 1, others 0, in bit 1."""
    return sum((function(n & 1, n >> 1 & 1, n >> 2 & 1, n >> 3 & 1) & 1) << n for n in range(16))


#: a + b
ADD = table(lambda a, b, c, d: a ^ b if d else a)
#: a + (b and c)
ADD_AND = table(lambda a, b, c, d: a ^ (b & c))
#: (a and b) + (c and d)
AND_ADD_AND = table(lambda a, b, c, d: (a & b) ^ (c & d))
#: (a xor b) + (c xor d)
XOR_ADD_XOR = table(lambda a, b, c, d: a ^ b ^ c ^ d)
#: a xor b, and what is carried from below
XOR = table(lambda a, b, c, d: a ^ b if d else 0)
#: nothing of its own, and carries (a and b), or (a xor b), up
CARRY_AND = table(lambda a, b, c, d: 0 if d else a & b)
CARRY_XOR = table(lambda a, b, c, d: 0 if d else a ^ b)


@dataclass(frozen=True, kw_only=True)
class Bit:
    """Half a carry cell: its table and inputs a to d."""

    table: int
    inputs: tuple[ValueLike, ValueLike, ValueLike, ValueLike]


def add(a: ValueLike, b: ValueLike) -> Bit:
    """One bit of a + b."""
    return Bit(table=ADD, inputs=(a, b, 0, 1))


def add_and(a: ValueLike, b: ValueLike, c: ValueLike) -> Bit:
    """One bit of a + (b and c)."""
    return Bit(table=ADD_AND, inputs=(a, b, c, 0))


def and_add_and(a: ValueLike, b: ValueLike, c: ValueLike, d: ValueLike) -> Bit:
    """One bit of (a and b) + (c and d)."""
    return Bit(table=AND_ADD_AND, inputs=(a, b, c, d))


class Chains:
    """Adds chains of carry cells to a module.

    m:        the module
    platform: what the module is elaborated for; cells are instantiated in emission
    """

    def __init__(self, m: Module, platform: object):
        self._m = m
        self._instances = isinstance(platform, SharedLibrary)

    def sum(self, bits: Sequence[Bit], *, name: str) -> Value:
        """The sum bits of a chain, the lowest first; its carry out is lost."""
        total = Signal(len(bits) + len(bits) % 2, name=name)
        inputs = Signal(4 * len(total), name=f"{name}_operands")
        self._m.d.comb += inputs.eq(Cat(Value.cast(item)[:1] for bit in bits for item in bit.inputs))
        tables = [bit.table for bit in bits] + [0] * (len(total) - len(bits))
        (self._cells if self._instances else self._logic)(tables, inputs, total)
        return total[: len(bits)]

    def _cells(self, tables: Sequence[int], inputs: Signal, total: Signal) -> None:
        carried: Value = Const(0, 1)
        for cell in range(len(tables) // 2):
            following = Signal(name=f"{total.name}_carry_{cell}")
            ports: list[tuple[str, str, ValueLike]] = [("i", "CIN", carried), ("o", "COUT", following)]
            for half in range(2):
                index = 2 * cell + half
                ports.append(("p", f"INIT{half}", Const(tables[index], 16)))
                ports.append(("p", f"INJECT1_{half}", "NO"))
                ports += [("i", f"{letter}{half}", inputs[4 * index + at]) for at, letter in enumerate("ABCD")]
                ports.append(("o", f"S{half}", total[index]))
            self._m.submodules[f"{total.name}_cell_{cell}"] = Instance("CCU2C", *ports)
            carried = following

    def _logic(self, tables: Sequence[int], inputs: Signal, total: Signal) -> None:
        carried: Value = Const(0, 1)
        for index, entries in enumerate(tables):
            a_to_d = inputs[4 * index :][:4]
            propagate, following = (Signal(name=f"{total.name}_{what}_{index}") for what in ("propagate", "carry"))
            self._m.d.comb += [
                propagate.eq(Const(entries, 16).bit_select(a_to_d, 1)),
                total[index].eq(propagate ^ carried),
                following.eq(Mux(propagate, carried, Const(entries & 15, 4).bit_select(a_to_d[:2], 1))),
            ]
            carried = following


def multiply(chains: Chains, x: Value, y: Value, *, name: str) -> Value:
    """x * y of unsigned numbers: rows of x, one for each bit of y, added to each other as they are made.

    Two halves of the rows are added one row after the other, and then to each other.
    """
    if len(y) > 4:
        half = len(y) // 2
        parts = [_rows(chains, x, part, name=f"{name}_{index}") for index, part in enumerate((y[:half], y[half:]))]
        low, high = parts
        width = len(x) + len(y) - half
        bits = [add(low[half + i] if half + i < len(low) else 0, high[i] if i < len(high) else 0) for i in range(width)]
        return Cat(low[:half], chains.sum(bits, name=f"{name}_product"))
    return _rows(chains, x, y, name=name)


def _rows(chains: Chains, x: Value, y: Value, *, name: str) -> Value:
    """x * y of a few bits of y."""
    if len(y) == 1:
        return Cat(x & y.replicate(len(x)), Const(0, 1))
    x_up = [x[i - 1] if 0 < i <= len(x) else Const(0, 1) for i in range(len(x) + 2)]
    x_low = [x[i] if i < len(x) else Const(0, 1) for i in range(len(x) + 2)]
    bits = [and_add_and(x_low[i], y[0], x_up[i], y[1]) for i in range(len(x) + 2)]
    done: list[Value] = []
    if len(bits) % 2:
        done.append(x[0] & y[0])  # nothing is carried from here
        bits = bits[1:]
    done += list(chains.sum(bits, name=f"{name}_rows_1"))
    for row in range(2, len(y)):
        bits = [add_and(done[row + i] if row + i < len(done) else 0, x_low[i], y[row]) for i in range(len(x) + 1)]
        done[row:] = list(chains.sum(bits, name=f"{name}_rows_{row}"))
    return Cat(done)

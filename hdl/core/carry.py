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

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from amaranth import *
from amaranth.hdl import ValueLike

from .shared import SharedLibrary

#: what the cell does, for simulators; synthesis has it in its library (and defines SYNTHESIS). A table is written as
#: the sum modulo 2 of those products of its inputs that it needs: of a look-up two or three operations are left.
MODEL = """
`ifndef SYNTHESIS
module CCU2C(input CIN, A0, B0, C0, D0, A1, B1, C1, D1, output S0, S1, COUT);
  parameter [15:0] INIT0 = 16'h0000;
  parameter [15:0] INIT1 = 16'h0000;
  parameter INJECT1_0 = "NO";
  parameter INJECT1_1 = "NO";
  localparam [15:0] M0 = products(INIT0);
  localparam [15:0] M1 = products(INIT1);
  function automatic [15:0] products(input [15:0] init);
    products = init;
    products = products ^ (products & 16'h5555) << 1;
    products = products ^ (products & 16'h3333) << 2;
    products = products ^ (products & 16'h0F0F) << 4;
    products = products ^ (products & 16'h00FF) << 8;
  endfunction
  // of two inputs: the sum of the products that `m` names
  function automatic pair(input [3:0] m, input a, b);
    pair = m[0] ^ (m[1] & a) ^ (m[2] & b) ^ (m[3] & a & b);
  endfunction
  wire g0 = pair(M0[3:0], A0, B0);
  wire g1 = pair(M1[3:0], A1, B1);
  wire p0 = g0 ^ (C0 & pair(M0[7:4], A0, B0)) ^ (D0 & pair(M0[11:8], A0, B0)) ^ (C0 & D0 & pair(M0[15:12], A0, B0));
  wire p1 = g1 ^ (C1 & pair(M1[7:4], A1, B1)) ^ (D1 & pair(M1[11:8], A1, B1)) ^ (C1 & D1 & pair(M1[15:12], A1, B1));
  wire inner = p0 ? CIN : INJECT1_0 != "YES" && g0;
  assign S0 = p0 ^ (INJECT1_0 != "YES" && CIN);
  assign S1 = p1 ^ (INJECT1_1 != "YES" && inner);
  assign COUT = p1 ? inner : INJECT1_1 != "YES" && g1;
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
    """Half a carry cell: one place of a chain.

    Parameters
    ----------
    table : 16 entries (`table`). Entry d c b a is the propagate signal: the sum bit is that XOR
        what is carried from below, which is carried on where it is 1; where it is 0, entry b a of
        the first four is carried instead.
    inputs : a to d, of each the lowest bit. A constant 0 or 1 tells what can never be carried
        (`passes`, `carries`).
    """

    table: int
    inputs: tuple[ValueLike, ValueLike, ValueLike, ValueLike]

    @property
    def passes(self) -> bool:
        """Whether what is carried to it can be carried on; a bit that passes nothing adds nothing of its own."""
        return any(self.table >> entry & 1 for entry in self._entries())

    @property
    def carries(self) -> bool:
        """Whether anything can be carried from it."""
        return self.passes or any(self.table >> (entry & 3) & 1 for entry in self._entries())

    def _entries(self) -> Iterator[int]:
        """Entries of the table that its inputs can select, of which some are constants."""
        values = [Value.cast(item) for item in self.inputs]
        for entry in range(16):
            wanted = zip(values, range(4), strict=True)
            if all(not isinstance(value, Const) or value.value & 1 == entry >> at & 1 for value, at in wanted):
                yield entry


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
    """Adds chains of carry cells to a module. Combinational: a caller puts registers where it wants them.

    Parameters
    ----------
    m : the module.
    platform : what the module is elaborated for: cells are instantiated in emission
        (:class:`SharedLibrary`), for all else they are logic that gives the same bits.
    """

    def __init__(self, m: Module, platform: object):
        self._m = m
        self._instances = isinstance(platform, SharedLibrary)

    def sums(self, named: Mapping[str, Sequence[Bit]]) -> list[Value]:
        """The sum bits of several chains, as `sum` gives those of one.

        The half of a cell that one chain leaves is the first of another, if nothing can be carried between them. Where
        the first bit of that other is only there to carry, its own sum bit means nothing.
        """
        found: dict[str, Value] = {}
        alone: str | None = None
        for name, bits in named.items():
            if len(bits) % 2 == 0:
                found[name] = self.sum(bits, name=name)
            elif alone is None:
                alone = name
            elif named[alone][-1].carries and bits[0].passes:
                found[name] = self.sum(bits, name=name)
            else:
                both = self.sum([*named[alone], *bits], name=alone)
                found[alone], found[name] = both[: len(named[alone])], both[len(named[alone]) :]
                alone = None
        if alone is not None:
            found[alone] = self.sum(named[alone], name=alone)
        return [found[name] for name in named]

    def sum(self, bits: Sequence[Bit], *, name: str) -> Value:
        """The sum bits of a chain, as many as `bits`, the lowest first; its carry out is lost.

        bits : places from the lowest up; for a sum that does not wrap the caller adds one above.
            name : of the signal of the sums, from which the names of the cells are made.
        """
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


def multiply(chains: Chains, factors: Mapping[str, tuple[Value, Value]]) -> list[Value]:
    """x * y of each named pair of unsigned numbers, as wide as both together, in the order of the mapping.

    Rows of x, one for each bit of y, are added one after the other to the first two: the fewest
    cells and the longest path. Products of one size share cells (`Chains.sums`). Combinational.

    chains : of the module. factors : for each name x and y.
    """
    done = {name: [*(x & y[0].replicate(len(x))), Const(0, 1)] for name, (x, y) in factors.items()}
    for row in range(1, max(len(y) for _x, y in factors.values())):
        taking = {name: pair for name, pair in factors.items() if row < len(pair[1])}
        rows = [_first_rows(x, y) if row == 1 else _row(x, y[row], done[name][row:]) for name, (x, y) in taking.items()]
        sums = chains.sums({f"{name}_rows_{row}": bits for name, bits in zip(taking, rows, strict=True)})
        for (name, (x, _y)), total in zip(taking.items(), sums, strict=True):
            done[name][len(x) % 2 if row == 1 else row :] = total
    return [Cat(bits) for bits in done.values()]


def _first_rows(x: Value, y: Value) -> list[Bit]:
    """The rows of the two lowest bits of y; without its lowest bit, which carries nothing, where that makes it even."""
    low, up = [*x, Const(0, 1), Const(0, 1)], [Const(0, 1), *x, Const(0, 1)]
    return [and_add_and(a, y[0], b, y[1]) for a, b in zip(low, up, strict=True)][len(x) % 2 :]


def _row(x: Value, y: Value, above: Sequence[Value]) -> list[Bit]:
    """The row of a further bit of y, added to what is done of the product from there on."""
    return [add_and(a, b, y) for a, b in zip([*above, Const(0, 1)], [*x, Const(0, 1)], strict=True)]

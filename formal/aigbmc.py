"""Bounded model checking of an AIGER circuit, spoken to as SymbiYosys speaks to `aigbmc`.

``python aigbmc.py DEPTH FILE`` searches steps 0 to DEPTH for a bad state. Each step is added with constants and equal
gates folded away, so what is settled at the start (a link that comes up) costs nothing, and only gates that a bad state
depends on reach the SAT solver. Prints ``u STEP`` for a step without, ``2`` if there is none at all, or ``1`` and the
inputs that lead there.

Ref: Biere, "The AIGER And-Inverter Graph Format", 2007, and its extension 1.9 (bad states, constraints, resets).
"""

import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: solver of python-sat
_SOLVER = "cadical153"


@dataclass(frozen=True, kw_only=True)
class Circuit:
    """An and-inverter graph. A literal is twice a variable, plus 1 if inverted; variables of inputs come first, then
    those of latches, then those of gates, each gate after its inputs.

    inputs : how many. latches : next state and reset value of each. gates : both inputs of each. bad : literals that
    must never be 1. constraints : literals that are always 1.
    """

    inputs: int
    latches: list[tuple[int, int]]
    gates: list[tuple[int, int]]
    bad: list[int]
    constraints: list[int]


def read(path: Path) -> Circuit:
    """A binary AIGER file. ValueError for another format, or a latch without a reset value."""
    data = path.read_bytes()
    end = data.index(b"\n")
    words = data[:end].split()
    if words[0] != b"aig":
        raise ValueError(f"Circuit must be in binary AIGER format, not {words[0]!r}")
    variables, inputs, latch_count, outputs, gate_count, *more = map(int, words[1:])
    bad_count, constraint_count, *_ = [*more, 0, 0]
    lines = data[end + 1 :].split(b"\n", latch_count + outputs + bad_count + constraint_count)
    body = lines.pop() if latch_count + outputs + bad_count + constraint_count else data[end + 1 :]
    latches = []
    for line in lines[:latch_count]:
        following, *reset = map(int, line.split())
        value = reset[0] if reset else 0
        if value not in (0, 1):
            raise ValueError(f"Reset of a latch must be 0 or 1, not {value!r}")
        latches.append((following, value))
    literals = [int(line) for line in lines[latch_count:]]
    first_bad, first_constraint = outputs, outputs + bad_count
    bad = literals[first_bad:first_constraint] if bad_count else literals[:outputs]
    deltas = _deltas(body)
    gates = []
    for index in range(gate_count):
        own = 2 * (variables - gate_count + index + 1)
        high = own - next(deltas)
        gates.append((high, high - next(deltas)))
    return Circuit(inputs=inputs, latches=latches, gates=gates, bad=bad, constraints=literals[first_constraint:])


def _deltas(data: bytes) -> Iterator[int]:
    """Numbers in 7 bits a byte, lowest first, a byte with its high bit set is not the last."""
    value, shift = 0, 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            yield value
            value, shift = 0, 0


class Unrolling:
    """Steps of a circuit as gates without constants and without repetitions, given to a SAT solver as needed.

    Literals here are twice a node, plus 1 if inverted; 0 is false and 1 true.
    """

    def __init__(self, circuit: Circuit) -> None:
        self.circuit = circuit
        self.solver: Any = importlib.import_module("pysat.solvers").Solver(name=_SOLVER)  # it ships no types
        self.inputs: list[list[int]] = []
        self._nodes: list[tuple[int, int] | None] = [None]  # None: false, or an input
        self._known: dict[tuple[int, int], int] = {}
        self._told: set[int] = set()
        self._state = [reset for _, reset in circuit.latches]

    def step(self) -> tuple[list[int], list[int]]:
        """One step more; its bad states and constraints."""
        circuit = self.circuit
        own = [self._input() for _ in range(circuit.inputs)]
        self.inputs.append(own)
        values = [0, *own, *self._state]
        for one, other in circuit.gates:
            values.append(self._and(values[one >> 1] ^ one & 1, values[other >> 1] ^ other & 1))
        self._state = [values[literal >> 1] ^ literal & 1 for literal, _ in circuit.latches]
        bad, constraints = (
            [values[literal >> 1] ^ literal & 1 for literal in group] for group in (circuit.bad, circuit.constraints)
        )
        return bad, constraints

    def tell(self, literal: int) -> int:
        """The solver's literal of one of these, not of a constant; its cone is told first."""
        waiting = [literal >> 1]
        while waiting:
            node = waiting.pop()
            if node in self._told:
                continue
            self._told.add(node)
            if (gate := self._nodes[node]) is not None:
                one, other = map(self._literal, gate)
                self.solver.add_clause([-node, one])
                self.solver.add_clause([-node, other])
                self.solver.add_clause([node, -one, -other])
                waiting += [gate[0] >> 1, gate[1] >> 1]
        return self._literal(literal)

    @staticmethod
    def _literal(literal: int) -> int:
        return -(literal >> 1) if literal & 1 else literal >> 1

    def _input(self) -> int:
        self._nodes.append(None)
        return 2 * (len(self._nodes) - 1)

    def _and(self, one: int, other: int) -> int:
        if one > other:
            one, other = other, one
        if one == 0 or one == other ^ 1:
            return 0
        if one == 1 or one == other:
            return other
        found = self._known.get((one, other))
        if found is None:
            self._nodes.append((one, other))
            found = self._known[one, other] = 2 * (len(self._nodes) - 1)
        return found


def check(circuit: Circuit, depth: int) -> list[list[int]] | None:
    """Inputs of the steps to the first bad state within steps 0 to `depth`, or None. Prints a line a step without."""
    unrolling = Unrolling(circuit)
    solver = unrolling.solver
    for step in range(depth + 1):
        bad, constraints = unrolling.step()
        for literal in constraints:
            if literal == 0:
                return None
            if literal != 1:
                solver.add_clause([unrolling.tell(literal)])
        for literal in bad:
            if literal == 0:
                continue
            assumptions = [] if literal == 1 else [unrolling.tell(literal)]
            if solver.solve(assumptions=assumptions):
                model = {abs(value): value > 0 for value in solver.get_model()}
                return [[int(model.get(literal >> 1, False)) for literal in row] for row in unrolling.inputs]
            if assumptions:
                solver.add_clause([-assumptions[0]])
        print(f"u{step}", flush=True)
    return None


def main(arguments: list[str]) -> int:
    """The command line; returns the exit status."""
    depth, path = int(arguments[0]), Path(arguments[1])
    circuit = read(path)
    trace = check(circuit, depth)
    if trace is None:
        print("2")
        return 0
    print("1", "b0", "".join(str(reset) for _, reset in circuit.latches), sep="\n")
    print(*("".join(map(str, row)) for row in trace), ".", sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

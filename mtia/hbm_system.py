"""How the addresses of a memory system become a stack and an address there.

Addresses count atoms of 32 bytes; a chunk of 4 stays in one stack. The number of the chunk is divided by the
odd part of the number of stacks: the remainder is one part of the stack's number. For the other part, a
power of two, as many of the quotient's lowest bits are flipped by the parity of the quotient under masks,
so that power-of-two strides go through all stacks; above them is the chunk's number in its stack.

    chunk = (inner * even + low) * odd + remainder
    stack = (low ^ parities(quotient)) * odd + remainder
"""

from dataclasses import dataclass

from .checks import check_count
from .hbm_map import CHUNK_BITS, AddressMap, bits_of

#: bits of the stack's number -> polynomial over GF(2) whose remainder they are, bit i the coefficient of x**i
POLYNOMIALS = {0: 0b1, 1: 0b11, 2: 0b111, 3: 0b1101, 4: 0b11001}
#: (bits of the stack's number, of the channel's) -> another one, where that one and the channels' go together badly
OTHERS = {(3, 5): 0b1011}


@dataclass(frozen=True, kw_only=True)
class SystemMap:
    """Addresses of `stacks` stacks, whose own addresses are those of `stack`.

    Raises TypeError for a number of stacks that is no integer, ValueError for one that is not in
    1 to 16 or a map that is not one of a stack.
    """

    stacks: int
    stack: AddressMap

    def __post_init__(self) -> None:
        check_count("stacks", self.stacks, 1, 16)
        if self.stack.level != "stack":
            raise ValueError(f"Map of a stack must be of level stack, not {self.stack.level!r}")

    @property
    def even(self) -> int:
        """The power of two in the number of stacks."""
        return self.stacks & -self.stacks

    @property
    def odd(self) -> int:
        """The odd part of the number of stacks."""
        return self.stacks // self.even

    @property
    def atoms(self) -> int:
        """Addresses that have an atom: those below this."""
        return self.stacks * self.stack.atoms

    @property
    def address_bits(self) -> int:
        """Bits of an address."""
        return bits_of(self.atoms)

    @property
    def full(self) -> bool:
        """Whether every address has an atom."""
        return self.atoms == 1 << self.address_bits

    @property
    def quotient_bits(self) -> int:
        """Bits of a chunk's number divided by `odd`."""
        return max(1, (((1 << (self.address_bits - CHUNK_BITS)) - 1) // self.odd).bit_length())

    @property
    def polynomial(self) -> int:
        """Whose remainder of the quotient is the even part of the stack's number."""
        degree = bits_of(self.even)
        return OTHERS.get((degree, self.stack.widths["channel"]), POLYNOMIALS[degree])

    @property
    def masks(self) -> tuple[int, ...]:
        """For each bit of `low` the bits of the quotient, its own not among them, whose parity flips it."""
        degree = bits_of(self.even)
        rows, power = [0] * degree, 1
        for bit in range(self.quotient_bits if degree else 0):
            for row in range(degree):
                rows[row] |= (power >> row & 1) << bit
            power <<= 1
            if power >> degree & 1:
                power ^= self.polynomial
        return tuple(row & -(1 << degree) for row in rows)

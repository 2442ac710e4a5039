"""The code that protects a 32-byte atom of HBM: the columns of its parity check matrix.

Ref: M. Y. Hsiao, "A Class of Optimal Minimum Odd-weight-column SEC-DED Codes", IBM Journal of
Research and Development 14 (1970), pp. 395-401.

266 bits: 256 of data (bit i is bit ``i % 8`` of byte ``i // 8``), then 10 check bits. Every column has
an odd weight and all are distinct, so the sum of two columns is even and no column: single errors
are corrected, double errors detected. The columns of the data are all 120 of weight 3 and 136 of
weight 5: of the 126 pairs of a vector of weight 5 and its complement, the 68 whose smaller half is
largest. A pair adds one to each row, so every check bit is the parity of exactly 104 data bits. Of
the choices tried this one leaves the fewest double errors that turn poison into a column (15,300 of
35,245).

The golden model and the RTL read `COLUMNS` and `POISON` from here and nothing else.
"""

import itertools

DATA_BITS = 256
CHECK_BITS = 10


def _weight(ones: int) -> list[int]:
    """Vectors of `CHECK_BITS` bits with so many ones, ascending."""
    return sorted(sum(1 << bit for bit in bits) for bits in itertools.combinations(range(CHECK_BITS), ones))


def _data_columns() -> tuple[int, ...]:
    full = (1 << CHECK_BITS) - 1
    light = _weight(3)
    halves = [vector for vector in _weight(5) if vector <= full >> 1]
    chosen = halves[-(DATA_BITS - len(light)) // 2 :]
    return (*light, *sorted(chosen + [full ^ vector for vector in chosen]))


#: syndrome of an error in each bit of the codeword alone: 256 data bits, then 10 check bits
COLUMNS: tuple[int, ...] = (*_data_columns(), *(1 << bit for bit in range(CHECK_BITS)))
#: syndrome of a word that is marked as lost: its check bits are those of its data, XOR this. Its
#: weight is 9, so it is no column, and XOR any column it is neither 0, a column nor itself.
POISON: int = 0x3FE

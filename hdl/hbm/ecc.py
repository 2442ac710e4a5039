"""SECDED with poison over the 32-byte atoms of HBM.

Ref: M. Y. Hsiao, "A Class of Optimal Minimum Odd-weight-column SEC-DED Codes", IBM Journal of
Research and Development 14 (1970), pp. 395-401.
"""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia.hbm_ecc import CHECK_BITS, COLUMNS, DATA_BITS, POISON

from ..core.arith import delay
from .commands import Status


def check_bits(data: Value) -> Value:
    """Check bits of an atom: each the parity of 104 of its bits, a tree of 7 two-input XORs' depth."""
    parities = []
    for row in range(CHECK_BITS):
        mask = sum(1 << bit for bit, column in enumerate(COLUMNS[:DATA_BITS]) if column >> row & 1)
        parities.append((data & Const(mask, DATA_BITS)).xor())
    return Cat(parities)


class Encode(wiring.Component):
    """Check bits of an atom that is written.

    Latency: 1 cycle. Throughput: one atom a cycle. No back-pressure and no valid.

    Members
    -------
    data : the atom, byte 0 in the low bits.
    poison : mark the word as lost, whatever its data.
    check : the check bits to store beside it.
    """

    data: In(DATA_BITS)
    poison: In(1)
    check: Out(CHECK_BITS)

    #: cycles from an atom to its check bits
    latency = 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        check = Signal(CHECK_BITS, reset_less=True)
        m.d.sync += check.eq(check_bits(self.data) ^ (self.poison.replicate(CHECK_BITS) & POISON))
        m.d.comb += self.check.eq(check)
        return m


class Decode(wiring.Component):
    """An atom that was read, corrected, and how it was found.

    A poisoned word with one wrong bit is UNCORRECTABLE, never taken for data. Three wrong bits and
    more may be taken for one, as of every code of this strength.

    Latency: 2 cycles (the syndrome, the correction). Throughput: one atom a cycle. No back-pressure
    and no valid.

    Members
    -------
    data, check : as stored.
    result : the atom with a single wrong bit put right; as stored where nothing was corrected.
    status : OK, CORRECTED (also where the wrong bit is a check bit), POISON or UNCORRECTABLE.
    syndrome : names the wrong bit for logs: the entry of `mtia.hbm_ecc.COLUMNS` that it equals.
    """

    data: In(DATA_BITS)
    check: In(CHECK_BITS)
    result: Out(DATA_BITS)
    status: Out(Status)
    syndrome: Out(CHECK_BITS)

    #: cycles from a stored word to the corrected atom
    latency = 2

    def elaborate(self, platform: object) -> Module:
        m = Module()
        syndrome = Signal(CHECK_BITS, reset_less=True)
        wrong = Signal(len(COLUMNS))
        result = Signal(DATA_BITS, reset_less=True)
        status = Signal(Status, reset_less=True)
        data = delay(m, self.data, 1, name="data")
        m.d.comb += wrong.eq(Cat(syndrome == column for column in COLUMNS))
        m.d.sync += [
            syndrome.eq(check_bits(self.data) ^ self.check),
            result.eq(data ^ wrong[:DATA_BITS]),
        ]
        with m.If(~syndrome.any()):
            m.d.sync += status.eq(Status.OK)
        with m.Elif(wrong.any()):
            m.d.sync += status.eq(Status.CORRECTED)
        with m.Elif(syndrome == POISON):
            m.d.sync += status.eq(Status.POISON)
        with m.Else():
            m.d.sync += status.eq(Status.UNCORRECTABLE)
        m.d.comb += [
            self.result.eq(result),
            self.status.eq(status),
            self.syndrome.eq(delay(m, syndrome, 1, name="syndrome")),
        ]
        return m

"""Whether a descriptor may be started."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia.message import ATOM_BYTES, MAX_PIECES, MAX_RANKS, SUBGRAPHS, Comparison, DescriptorOp, Fault

from ..core.checks import require_int
from .layouts import Communicator, Descriptor, Program

_ATOM_BITS = (ATOM_BYTES - 1).bit_length()


class DescriptorCheck(wiring.Component):
    """Finds what a descriptor names that does not exist, or is out of range. Latency 0.

    What is checked: the operation and the comparison; the partition, which is that of the ring; the semaphore's
    address, a multiple of 4. Of PUT, COPY and COLLECTIVE the addresses, multiples of 32. Of PUT the peer, below 72.
    Of COLLECTIVE the communicator (valid, of the same partition, its rank below its ranks, these 1 to 72), the program
    (1 to 4 subgraphs), the root and the owners (of the ranks), chunk and piece (multiples of 32, `last` at most the
    chunk), pieces (1 to 32), and the format, which has to be one.

    Parameters
    ----------
    communicators, programs : entries of the tables.

    Members
    -------
    descriptor : what is checked. partition : of the ring. communicator, program : the entries it names.
    fault : the `Fault` for which it may not be started, the first that holds.
    """

    def __init__(self, *, communicators: int, programs: int):
        self._communicators = require_int("Communicators", communicators, low=1, high=16)
        self._programs = require_int("Programs", programs, low=1, high=256)
        super().__init__(
            {
                "descriptor": In(Descriptor),
                "partition": In(8),
                "communicator": In(Communicator),
                "program": In(Program),
                "fault": Out(4),
            }
        )

    @property
    def communicators(self) -> int:
        """Entries of the communicator table."""
        return self._communicators

    @property
    def programs(self) -> int:
        """Entries of the program directory."""
        return self._programs

    def elaborate(self, platform: object) -> Module:
        m = Module()
        d = self.descriptor
        put, moves, collective = Signal(), Signal(), Signal()
        m.d.comb += [
            *(put.eq(d.op == DescriptorOp.PUT), collective.eq(d.op == DescriptorOp.COLLECTIVE)),
            moves.eq(put | collective | (d.op == DescriptorOp.COPY)),
        ]
        wrong: list[tuple[Fault, Value]] = [
            (Fault.OPERATION, d.op > max(DescriptorOp)),
            (Fault.COMPARISON, d.comparison > max(Comparison)),
            (Fault.PARTITION, d.partition != self.partition),
            (Fault.SEMAPHORE, d.semaphore[:2].any()),
            (Fault.INPUT, moves & d.input[:_ATOM_BITS].any()),
            (Fault.OUTPUT, moves & d.output[:_ATOM_BITS].any()),
            (Fault.PEER, put & (d.peer >= MAX_RANKS)),
            *((fault, collective & holds) for fault, holds in self._collective()),
        ]
        for fault, holds in reversed(wrong):  # the first counts
            with m.If(holds):
                m.d.comb += self.fault.eq(fault)
        return m

    def _collective(self) -> list[tuple[Fault, Value]]:
        """What of a collective may be wrong."""
        d, c, subgraphs = self.descriptor, self.communicator, self.program.subgraphs
        no_communicator = (
            (d.communicator >= self.communicators)
            | ~c.valid
            | (c.partition != d.partition)
            | (c.ranks == 0)
            | (c.ranks > MAX_RANKS)
            | (c.rank >= c.ranks)
            | c.output[:_ATOM_BITS].any()
        )
        return [
            (Fault.COMMUNICATOR, no_communicator),
            (Fault.PROGRAM, (d.program >= self.programs) | (subgraphs == 0) | (subgraphs > SUBGRAPHS)),
            (Fault.OUTPUT, d.output < c.output),
            (Fault.ROOT, d.root >= c.ranks),
            (Fault.OWNERS, d.owners > c.ranks),
            (Fault.CHUNK, d.chunk[:_ATOM_BITS].any()),
            (Fault.PIECE, d.piece[:_ATOM_BITS].any() | (d.pieces == 0) | (d.pieces > MAX_PIECES)),
            (Fault.LAST, d.last > d.chunk),
            (Fault.FORMAT, d.format[:2].all() | d.format[2:5].all() | d.format[5]),
        ]

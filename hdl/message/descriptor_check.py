"""Whether a descriptor may be started."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia.message import ATOM_BYTES, MAX_PIECES, MAX_RANKS, SUBGRAPHS, Comparison, DescriptorOp

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
    fault : it may not be started.
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
                "fault": Out(1),
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
        always, put, copied, collective = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            always.eq(
                (d.op > max(DescriptorOp))
                | (d.comparison > max(Comparison))
                | (d.partition != self.partition)
                | d.semaphore[:2].any()
            ),
            copied.eq(d.input[:_ATOM_BITS].any() | d.output[:_ATOM_BITS].any()),
            put.eq(copied | (d.peer >= MAX_RANKS)),
            collective.eq(copied | self._communicator() | self._geometry()),
        ]
        with m.Switch(d.op):
            with m.Case(DescriptorOp.PUT):
                m.d.comb += self.fault.eq(always | put)
            with m.Case(DescriptorOp.COPY):
                m.d.comb += self.fault.eq(always | copied)
            with m.Case(DescriptorOp.COLLECTIVE):
                m.d.comb += self.fault.eq(always | collective)
            with m.Default():
                m.d.comb += self.fault.eq(always)
        return m

    def _communicator(self) -> Value:
        """The communicator or the program is none, or none of the descriptor's."""
        d, c, subgraphs = self.descriptor, self.communicator, self.program.subgraphs
        return (
            (d.communicator >= self.communicators)
            | ~c.valid
            | (c.partition != d.partition)
            | (c.ranks == 0)
            | (c.ranks > MAX_RANKS)
            | (c.rank >= c.ranks)
            | (d.program >= self.programs)
            | (subgraphs == 0)
            | (subgraphs > SUBGRAPHS)
        )

    def _geometry(self) -> Value:
        """Something of the geometry is out of range."""
        d, c = self.descriptor, self.communicator
        return (
            (d.root >= c.ranks)
            | (d.output < c.output)
            | c.output[:_ATOM_BITS].any()
            | (d.owners > c.ranks)
            | d.chunk[:_ATOM_BITS].any()
            | d.piece[:_ATOM_BITS].any()
            | (d.last > d.chunk)
            | (d.pieces == 0)
            | (d.pieces > MAX_PIECES)
            | d.format[:2].all()
            | d.format[2:5].all()
            | d.format[5]
        )

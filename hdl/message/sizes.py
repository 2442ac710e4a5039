"""Sizes of chunks that are read from memory when they are needed."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from ..core.checks import require_int, stream_in, stream_out
from ..hbm.select import RoundRobin, bit_of, index_of
from .jobs import TAG_BITS, THREAD_BITS, Chosen, Loaded, LoadRequest
from .ports import ADDRESS_BITS, FLIT_BITS

#: bits of an atom's number that tell the atoms of one table apart: a table of 72 words lies in 10 of them
_ATOM_BITS = 5
#: A word of a command's table that a thread wants.
SizeWanted = data.StructLayout({"valid": 1, "thread": THREAD_BITS, "command": TAG_BITS, "address": ADDRESS_BITS})
_Known = data.StructLayout({"command": TAG_BITS, "atom": _ATOM_BITS})


class Sizes(wiring.Component):
    """Keeps 64 bytes of a table of sizes for each thread, read when it first wants one of them.

    A word that is there is found in the same cycle; one that is not is read when the thread has
    left to wait for it, and found when it comes again. Words are read once a command: a table must
    not change while its command runs. One read is under way at a time; threads have theirs in turn.

    Parameters
    ----------
    threads : 4 to 16.

    Members
    -------
    look : {valid, thread, command, address} of a word.
    hit, word : it is kept for that thread; it. Both in the same cycle.
    want : as `look`, of a thread that leaves to wait.
    load, loaded : streams of `LoadRequest` and `Loaded`.
    sized : the thread's word is there.
    asked : the thread for which is read.

    Raises TypeError or ValueError for `threads` that are no such number.
    """

    def __init__(self, *, threads: int):
        self._threads = require_int("Threads", threads, low=4, high=1 << THREAD_BITS)
        super().__init__(
            {
                "look": In(SizeWanted),
                "hit": Out(1),
                "word": Out(32),
                "want": In(SizeWanted),
                "load": stream_out(LoadRequest),
                "loaded": stream_in(Loaded),
                "sized": Out(Chosen),
                "asked": Out(Chosen),
            }
        )

    @property
    def threads(self) -> int:
        """Threads."""
        return self._threads

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.lines = lines = memory.Memory(shape=FLIT_BITS, depth=self.threads, init=[])
        m.submodules.known = known = memory.Memory(shape=_Known, depth=self.threads, init=[])
        m.submodules.wants = wants = memory.Memory(shape=SizeWanted, depth=self.threads, init=[])
        m.submodules.turn = turn = RoundRobin(inputs=self.threads)
        pending, valid = Signal(self.threads), Signal(self.threads)
        busy, sent, thread = Signal(), Signal(), Signal(THREAD_BITS)
        note, wanted = wants.write_port(), wants.read_port(domain="comb")
        fill, line = lines.write_port(), lines.read_port(domain="comb")
        mark, tag = known.write_port(), known.read_port(domain="comb")
        look, filled, distance = self.look, Signal(), Signal(_ATOM_BITS)
        m.d.comb += [
            *(note.en.eq(self.want.valid), note.addr.eq(self.want.thread), note.data.eq(self.want)),
            *(wanted.addr.eq(thread), line.addr.eq(look.thread), tag.addr.eq(look.thread)),
            *(turn.requests.eq(pending), turn.taken.eq(~busy)),
            self.load.valid.eq(busy & ~sent),
            self.load.payload.address.eq(wanted.data.address),
            self.loaded.ready.eq(busy & sent),
            filled.eq(self.loaded.valid & self.loaded.ready),
            *(fill.en.eq(filled), fill.addr.eq(thread), fill.data.eq(self.loaded.payload.data)),
            *(mark.en.eq(filled), mark.addr.eq(thread), mark.data.command.eq(wanted.data.command)),
            mark.data.atom.eq(wanted.data.address[5:]),
            *(self.sized.valid.eq(filled), self.sized.thread.eq(thread)),
            *(self.asked.valid.eq(busy), self.asked.thread.eq(thread)),
            distance.eq(look.address[5:] - tag.data.atom),
            self.hit.eq(bit_of(valid, look.thread) & (tag.data.command == look.command) & (distance[1:] == 0)),
            self.word.eq((line.data >> Cat(Const(0, 5), look.address[2:5], distance[0]))[:32]),
        ]
        with m.If(~busy & turn.picked.any()):
            m.d.sync += [busy.eq(1), sent.eq(0), thread.eq(index_of(m, turn.picked, name="picked"))]
        with m.If(self.load.valid & self.load.ready):
            m.d.sync += sent.eq(1)
        with m.If(filled):
            m.d.sync += busy.eq(0)
        for index in range(self.threads):
            with m.If(self.want.valid & (self.want.thread == index)):
                m.d.sync += pending[index].eq(1)
            with m.Elif(~busy & turn.picked[index]):
                m.d.sync += pending[index].eq(0)
            with m.If(filled & (thread == index)):
                m.d.sync += valid[index].eq(1)
        return m

"""The sequencer's reads of memory, of several who ask."""

from amaranth import *
from amaranth.lib import wiring

from ..core.arbiter import Arbiter
from ..core.checks import require_int, stream_in, stream_out
from ..core.fifo import Queue
from .jobs import Loaded, LoadRequest


class Loads(wiring.Component):
    """Passes reads on, in turn, and what is read back to whom it belongs, in order.

    Latency 0 both ways, throughput a read a cycle; at most 4 reads under way. Who does not take
    what was read for it holds up the others.

    Parameters
    ----------
    inputs : who may ask, at least 2.

    Members
    -------
    i, o : arrays of `inputs` streams of `LoadRequest` and of `Loaded`.
    load, loaded : streams of the same, to and from memory.

    Raises TypeError or ValueError for `inputs` that are no such number.
    """

    def __init__(self, *, inputs: int):
        self._inputs = require_int("Loads inputs", inputs, low=2)
        super().__init__(
            {
                "i": stream_in(LoadRequest).array(inputs),
                "o": stream_out(Loaded).array(inputs),
                "load": stream_out(LoadRequest),
                "loaded": stream_in(Loaded),
            }
        )

    @property
    def inputs(self) -> int:
        """Who may ask."""
        return self._inputs

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.arbiter = arbiter = Arbiter(shape=LoadRequest, inputs=self.inputs)
        m.submodules.asked = asked = Queue(shape=range(self.inputs), depth=4)
        for index, (request, answer) in enumerate(zip(self.i, self.o, strict=True)):
            chosen = asked.o.valid & (asked.o.payload == index)
            m.d.comb += [
                *(arbiter.i[index].valid.eq(request.valid), arbiter.i[index].payload.eq(request.payload)),
                request.ready.eq(arbiter.i[index].ready),
                *(answer.valid.eq(self.loaded.valid & chosen), answer.payload.eq(self.loaded.payload)),
            ]
            with m.If(chosen):
                m.d.comb += self.loaded.ready.eq(answer.ready)
        m.d.comb += [
            *(self.load.valid.eq(arbiter.o.valid & asked.i.ready), self.load.payload.eq(arbiter.o.payload)),
            *(asked.i.valid.eq(arbiter.o.valid & self.load.ready), asked.i.payload.eq(arbiter.source)),
            arbiter.o.ready.eq(self.load.ready & asked.i.ready),
            asked.o.ready.eq(self.loaded.valid & self.loaded.ready),
        ]
        return m

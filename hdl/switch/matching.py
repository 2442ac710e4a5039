"""Which input sends to which output: the scheduler of the crossbar."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..core.checks import require_int
from ..core.shared import Shared
from ..hbm.select import RoundRobin, index_of


class Matching(wiring.Component):
    """Gives each output to an input for a whole packet, in one round of grant and accept a cycle.

    Every output that is free grants the next of the free inputs that request it, in turn; every
    input accepts the next of its grants, in turn. An output's turn moves on only where its grant
    was accepted, so an input that waits is served after at most one packet of each of the others at
    its own end and at the output's (iSLIP). Nothing is random. An output is free in the cycle in
    which its packet's last flit leaves the queue: packets follow without a gap. An input takes at
    most one output a cycle, while it says that it is free.

    Latency: 0 from `request`, `is_free` and `ends` to `start`; `select` is a register. After reset
    all outputs are free and the lowest inputs and outputs come first.

    Ref: N. McKeown, "The iSLIP Scheduling Algorithm for Input-Queued Switches", IEEE/ACM Trans.
    Networking 7(2), 1999.

    Parameters
    ----------
    inputs, outputs : how many, at least 2 each.

    Members
    -------
    request : for each input, the outputs that it has flits for.
    is_free : inputs that take another output.
    start : for each input, the output that is its from the next cycle on, one bit high, or 0.
    ends : for each input, the output of whose packet the last flit leaves now, one bit high, or 0.
    select : for each output, the input whose it was in the cycle before.

    Raises TypeError or ValueError for a parameter that is not so.
    """

    def __init__(self, *, inputs: int, outputs: int):
        self._inputs = require_int("Matching inputs", inputs, low=2)
        self._outputs = require_int("Matching outputs", outputs, low=2)
        super().__init__(
            {
                "request": In(outputs).array(inputs),
                "is_free": In(inputs),
                "start": Out(outputs).array(inputs),
                "ends": In(outputs).array(inputs),
                "select": Out(range(inputs)).array(outputs),
            }
        )

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return self._inputs

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return self._outputs

    def elaborate(self, platform: object) -> Module:
        m = Module()
        accepts = [Shared(RoundRobin(inputs=self.outputs)) for _ in range(self.inputs)]
        grants = [self._grant(m, output, accepts) for output in range(self.outputs)]
        for index, accept in enumerate(accepts):
            m.submodules[f"accept_{index}"] = accept
            m.d.comb += [
                accept.requests.eq(Cat(grant.picked[index] for grant in grants)),
                accept.taken.eq(1),
                self.start[index].eq(accept.picked),
            ]
        return m

    def _grant(self, m: Module, output: int, accepts: list[Shared]) -> Shared:
        """The turn of one output, and the input whose it is."""
        m.submodules[f"grant_{output}"] = grant = Shared(RoundRobin(inputs=self.inputs))
        owner, accepted = (Signal(self.inputs, name=f"{name}_{output}") for name in ("owner", "accepted"))
        is_free = Signal(name=f"is_free_{output}")
        m.d.comb += [
            is_free.eq((owner & ~Cat(ends[output] for ends in self.ends)) == 0),
            grant.requests.eq(Mux(is_free, Cat(request[output] for request in self.request) & self.is_free, 0)),
            accepted.eq(Cat(accept.picked[output] for accept in accepts)),
            grant.taken.eq(accepted.any()),
        ]
        with m.If(is_free):
            m.d.sync += owner.eq(accepted)
        m.d.sync += self.select[output].eq(index_of(m, owner, name=f"owner_index_{output}"))
        return grant

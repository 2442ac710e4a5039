"""Addresses of a step's operands: base plus index times chunk."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .jobs import RANK_BITS, MemoryJob, Step
from .ports import ADDRESS_BITS, SendJob

_STEP = data.StructLayout({"valid": 1, "step": Step})
_OPERANDS = ("source", "target")


class Operands(wiring.Component):
    """Makes a job of a step: adds index times chunk to both addresses.

    The multiplication of a rank's 7 bits is two levels of additions with registers between. Latency
    2 cycles, throughput a step a cycle, no back-pressure. Without steps nothing changes.

    Members
    -------
    i : {valid, step}.
    send, work : {valid, job} of `SendJob` and `MemoryJob`; one of the two is valid.
    busy : a step is on its way.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(_STEP),
                "send": Out(data.StructLayout({"valid": 1, "job": SendJob})),
                "work": Out(data.StructLayout({"valid": 1, "job": MemoryJob})),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        first, second = Signal(Step, reset_less=True), Signal(Step, reset_less=True)
        first_valid, second_valid = Signal(), Signal()
        m.d.sync += [first_valid.eq(self.i.valid), second_valid.eq(first_valid)]
        m.d.comb += self.busy.eq(first_valid | second_valid)
        parts = {name: self._parts(m, name) for name in _OPERANDS}
        addresses = {name: Signal(ADDRESS_BITS, name=f"{name}_address", reset_less=True) for name in _OPERANDS}
        with m.If(self.i.valid):
            m.d.sync += first.eq(self.i.step)
        with m.If(first_valid):
            m.d.sync += second.eq(first)
            for name in _OPERANDS:
                low, high = parts[name]
                m.d.sync += addresses[name].eq(first[name] + low + high)
        self._jobs(m, second, second_valid, addresses)
        return m

    def _parts(self, m: Module, name: str) -> tuple[Signal, Signal]:
        """Index times chunk in two terms: of the low three bits of the index, and of the others."""
        index, chunk = self.i.step[f"{name}_index"], self.i.step.chunk
        terms = [Signal(32 + RANK_BITS, name=f"{name}_term_{bit}") for bit in range(RANK_BITS)]
        m.d.comb += [term.eq(Mux(index[bit], chunk << bit, 0)) for bit, term in enumerate(terms)]
        low, high = (Signal(32 + RANK_BITS, name=f"{name}_{part}", reset_less=True) for part in ("low", "high"))
        with m.If(self.i.valid):
            m.d.sync += [
                low.eq(terms[0] + terms[1] + terms[2]),
                high.eq((terms[3] + terms[4]) + (terms[5] + terms[6])),
            ]
        return low, high

    def _jobs(self, m: Module, step: data.View, valid: Signal, addresses: dict[str, Signal]) -> None:
        """The step as the job of the sender, and as that of the reducer."""
        message, work, header = self.send.job, self.work.job, step.header
        m.d.comb += [
            *(self.send.valid.eq(valid & step.is_send), self.work.valid.eq(valid & ~step.is_send)),
            *(message.thread.eq(step.thread), message.header.eq(header), message.header.offset.eq(addresses["target"])),
            *(message.source.eq(addresses["source"]), message.length.eq(step.length)),
            *(work[name].eq(step[name]) for name in ("thread", "op", "base", "length")),
            *(work[name].eq(header[name]) for name in ("kind", "format")),
            *(work.slots.eq(header.ranks), work.own.eq(step.rank), work.stride.eq(step.chunk)),
            *(work.own_address.eq(addresses["source"]), work.target.eq(addresses["target"])),
            work.value.eq(header.immediate),
        ]

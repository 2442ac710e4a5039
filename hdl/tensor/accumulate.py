"""Accumulators of a dot-product unit."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ..core.arith import delay
from ..formats.float32 import Float32
from .add_float32 import AddFloat32


class AccumulatorBank(wiring.Component):
    """`depth` FP32 accumulators, to which `groups` values are added one after the other.

    ``acc = RNE_fp32(acc + g)`` for each group in turn (docs/numerics.md, "Accumulate"), so the bits
    do not depend on how many groups come in a cycle. A bank is in every unit of an engine, one for
    each row of a beat.

    Latency: `latency` cycles, those of the read and of an addition for each group. Throughput: one
    address a cycle, in order, without back-pressure. The same address may come again after
    `interval_of(...)` cycles at the earliest; sooner it is read before the new value is written,
    which nothing here notices: the engine's `Sequencer` keeps the distance. After reset the
    accumulators hold what they held: the first use of an address has `first`.

    Parameters
    ----------
    depth : accumulators, at least 2.
    groups : values that are added in a cycle, at least 1.
    deep : a register between the storage and the first addition too, and deep additions
        (`EngineParameters.deep`).

    Members
    -------
    address : accumulator of this cycle.
    first : start from +0 instead of the accumulator.
    enable : write the result back; without it the result is computed all the same.
    groups : FP32 values, in the order in which they are added. All come `read_latency_of(...)`
        cycles after their address.
    result : the accumulator's new value, `latency` cycles after its address.

    Raises ValueError for a `depth` or `groups` out of range.
    """

    def __init__(self, *, depth: int, groups: int, deep: bool = False):
        if depth < 2:
            raise ValueError(f"Depth must be at least 2, not {depth!r}")
        if groups < 1:
            raise ValueError(f"Groups must be at least 1, not {groups!r}")
        self.depth = depth
        self.deep = deep
        self._count = groups
        super().__init__(
            {
                "address": In(range(depth)),
                "first": In(1),
                "enable": In(1),
                "groups": In(Float32).array(groups),
                "result": Out(Float32),
            }
        )

    @property
    def parameters(self) -> dict[str, int | bool]:
        """What the bank was built from."""
        return {"depth": self.depth, "groups": self._count, "deep": self.deep}

    @property
    def latency(self) -> int:
        """Cycles from an address to its new value."""
        return self.latency_of(groups=self._count, deep=self.deep)

    @staticmethod
    def latency_of(*, groups: int, deep: bool = False) -> int:
        """`latency` of a bank that adds so many groups a cycle: 1 + 4 `groups`, deep 2 + 8 `groups`."""
        return AccumulatorBank.read_latency_of(deep=deep) + AddFloat32.latency_of(deep=deep) * groups

    @staticmethod
    def read_latency_of(*, deep: bool) -> int:
        """Cycles from an address to the first addition: 1, deep 2."""
        return 1 + deep

    @staticmethod
    def interval_of(*, groups: int, deep: bool = False) -> int:
        """Least cycles between two uses of an address: the new value is read from the cycle after `result` on."""
        return AccumulatorBank.latency_of(groups=groups, deep=deep) + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.storage = storage = memory.Memory(shape=32, depth=self.depth, init=[])
        read, write = storage.read_port(domain="comb"), storage.write_port()
        # A register that starts from zero needs no logic between the storage and itself.
        m.d.comb += read.addr.eq(self.address)
        current = delay(m, Mux(self.first, 0, read.data), self.read_latency_of(deep=self.deep), name="start")
        for index in range(self._count):
            m.submodules[f"add_{index}"] = add = AddFloat32(deep=self.deep)
            group = delay(m, self.groups[index].as_value(), add.latency * index, name=f"group_{index}")
            m.d.comb += [add.a.eq(current), add.b.eq(group)]
            current = add.result.as_value()
        m.d.comb += [
            self.result.eq(current),
            write.data.eq(current),
            write.addr.eq(delay(m, self.address, self.latency, name="write_address")),
            write.en.eq(delay(m, self.enable, self.latency, name="write_enable", reset_less=False)),
        ]
        return m

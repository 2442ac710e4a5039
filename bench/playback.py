"""A component with its traffic beside it: streams are fed from memories, so that a test bench only lets time pass."""

from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

#: bits of the counters of results and repetitions, and of the digest
COUNTER = 32


def digest_of(words: list[int], state: int = 0) -> int:
    """What `Playback` makes of a result beat, given as 32-bit words: rotate, then XOR all words."""
    state = (state << 1 | state >> COUNTER - 1) & (1 << COUNTER) - 1
    for word in words:
        state ^= word
    return state


class Playback(wiring.Component):
    """Plays recorded beats into every input stream of a component, over and over, and digests its output.

    inner:  a component with plain streams only, one of them an output
    depths: beats that the memory of each input stream holds

    load__STREAM: a stream; its beats are kept, in order, until `go`
    go:     play
    repeats: how often everything that was loaded is played
    taken:  result beats taken
    digest: of the results (`digest_of`, beat after beat)

    Throughput: a beat a cycle on every stream.
    """

    def __init__(self, *, inner: wiring.Component, depths: dict[str, int]):
        self._inner, self._depths = inner, dict(depths)
        members = inner.signature.members
        self._inputs = {name: member.signature for name, member in members.items() if member.flow is In}
        (self._output,) = (name for name, member in members.items() if member.flow is Out)
        if set(self._inputs) != set(depths):
            raise ValueError(f"Depths must be those of {sorted(self._inputs)!r}, not of {sorted(depths)!r}")
        loads = {f"load__{name}": In(stream.Signature(_payload(inner, name))) for name in self._inputs}
        counters = {"taken": Out(COUNTER), "digest": Out(COUNTER)}
        super().__init__(loads | {"go": In(1), "repeats": In(COUNTER)} | counters)

    @property
    def parameters(self) -> dict[str, object]:
        """What it was built from."""
        return {"inner": self._inner, "depths": self._depths}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.inner = self._inner
        for name in self._inputs:
            self._play(m, name)
        output = getattr(self._inner, self._output)
        bits = Value.cast(output.payload)
        digest: Value = self.digest.rotate_left(1)
        for start in range(0, len(bits), COUNTER):
            digest = digest ^ bits[start : start + COUNTER]
        m.d.comb += output.ready.eq(1)
        with m.If(output.valid):
            m.d.sync += [self.taken.eq(self.taken + 1), self.digest.eq(digest)]
        return m

    def _play(self, m: Module, name: str) -> None:
        load, target = getattr(self, f"load__{name}"), getattr(self._inner, name)
        depth = self._depths[name]
        bits = Value.cast(load.payload)
        m.submodules[f"{name}_beats"] = beats = memory.Memory(shape=len(bits), depth=depth, init=[])
        write, read = beats.write_port(), beats.read_port(domain="comb")
        count, place = Signal(range(depth + 1), name=f"{name}_count"), Signal(range(depth + 1), name=f"{name}_place")
        left = Signal(COUNTER, name=f"{name}_left")
        m.d.comb += [load.ready.eq(~self.go), write.addr.eq(count), write.data.eq(bits)]
        m.d.comb += write.en.eq(load.valid & load.ready)
        m.d.sync += count.eq(count + write.en)
        m.d.comb += [read.addr.eq(place), Value.cast(target.payload).eq(read.data)]
        m.d.comb += target.valid.eq(self.go & (left != 0))
        with m.If(~self.go):
            m.d.sync += [place.eq(0), left.eq(self.repeats)]
        with m.Elif(target.valid & target.ready):
            m.d.sync += place.eq(place + 1)
            with m.If(place == count - 1):
                m.d.sync += [place.eq(0), left.eq(left - 1)]


def _payload(inner: wiring.Component, name: str) -> Any:
    return inner.signature.members[name].signature.members["payload"].shape

# amaranth: UnusedElaboratable=no
"""Playing recorded beats into a component."""

import numpy as np
import pytest
from amaranth.hdl import unsigned

from bench.playback import Playback, digest_of
from hdl.core.stream import Skid
from tests.hdl.pysim import simulate

WORDS = 2


def words_of(beat):
    return [beat & 0xFFFFFFFF, beat >> 32]


def play(beats, repeats):
    """Results taken and their digest, once a skid buffer has been fed with the beats so often."""
    dut = Playback(inner=Skid(shape=unsigned(40)), depths={"i": len(beats)})
    found: dict[str, int] = {}

    async def bench(ctx):
        ctx.set(dut.repeats, repeats)
        for beat in beats:
            ctx.set(dut.load__i.payload, beat)
            ctx.set(dut.load__i.valid, 1)
            await ctx.tick()
        ctx.set(dut.load__i.valid, 0)
        ctx.set(dut.go, 1)
        for cycle in range(1, repeats * len(beats) + 10):
            await ctx.tick()
            if ctx.get(dut.taken) == repeats * len(beats):
                found.setdefault("cycles", cycle)
        found["taken"], found["digest"] = ctx.get(dut.taken), ctx.get(dut.digest)

    simulate(dut, bench)
    return found


def test_beats_are_played_in_order_and_over_again(seed):
    beats = [int(beat) for beat in np.random.default_rng(seed).integers(0, 1 << 40, 7)]
    wanted = 0
    for beat in beats * 3:
        wanted = digest_of(words_of(beat), wanted)
    found = play(beats, 3)
    assert (found["taken"], found["digest"]) == (21, wanted)
    assert found["cycles"] == 21 + 1  # a beat a cycle, after one of latency


def test_digest_depends_on_the_order():
    assert play([1, 2, 3], 1)["digest"] != play([3, 2, 1], 1)["digest"]


def test_digest_rotates_and_takes_every_word():
    assert digest_of([5, 3], 0x80000001) == 3 ^ 5 ^ 3
    assert digest_of([0], 1) == 2


def test_depths_wrong():
    with pytest.raises(ValueError, match=r"Depths must be those of \['i'\], not of \['j'\]"):
        Playback(inner=Skid(shape=unsigned(8)), depths={"j": 4})

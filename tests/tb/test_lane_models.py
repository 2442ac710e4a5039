"""C++ models beside a design: when they are called, what they may ask and answer, and beats that wait for a cycle."""

import dataclasses

import numpy as np
import pytest
from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tb.lane import Lane, SimulationError
from tb.models.cpp import CppModel
from tb.ports import design_of

from .designs import Adder

pytestmark = pytest.mark.sim

SLOT = data.StructLayout({"skip": 3, "flag": 1, "low": 7, "wide": 64, "long": 70, "high": 30})


class Socket(wiring.Component):
    """A register each way between streams and plain ports: what a model stands behind.

    Members
    -------
    i : values for ``slot``, which shows them a cycle later; o : what ``answer`` was a cycle before.
    """

    i: In(stream.Signature(SLOT, always_ready=True))
    o: Out(stream.Signature(100, always_ready=True))
    slot: Out(SLOT)
    answer: In(100)
    answered: In(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += Value.cast(self.slot).eq(Mux(self.i.valid, Value.cast(self.i.payload), 0))
        m.d.sync += [self.o.valid.eq(self.answered), self.o.payload.eq(self.answer)]
        return m


ECHO = """
#include <stdexcept>
#include <vector>

template <class P> class Echo {
  public:
    void reset(Vtop& m) {
        ++resets;
        seen = seen_in = 0;
        answer(m, false);
    }
    void sample(Vtop& m, uint64_t cycle) {
        seen = P::slot::flag::get(m);
        if (!seen) return;
        seen_in = cycle;
        low = P::slot::low::get(m);
        wide = P::slot::wide::get(m);
        high = P::slot::high::get(m);
        if (low == limit) throw std::runtime_error("low is " + std::to_string(low));
    }
    void drive(Vtop& m) { answer(m, seen); }
    void call(int operation, const uint8_t* data, size_t size, std::vector<uint8_t>& out) {
        if (operation == 0) out.assign(data, data + size), out.push_back(P::slot::width);
        else if (operation == 1) limit = data[0];
        else if (operation == 2) out = {uint8_t(resets), uint8_t(seen_in)};
        else throw std::runtime_error("no such operation");
    }

  private:
    void answer(Vtop& m, bool valid) {
        const uint32_t flag = valid;
        const uint32_t words[4] = {uint32_t(wide), uint32_t(wide >> 32), uint32_t(high), uint32_t(low & 15)};
        store(P::answered::value(m), &flag);
        store(P::answer::value(m), words);
    }
    uint64_t low = 0, wide = 0, high = 0, limit = 1000, seen = 0, seen_in = 0;
    int resets = 0;
};
"""


def echo(*, prefix="", **changes):
    ports = {name: prefix + name for name in ("slot", "answer", "answered")}
    arguments = {"type": "Echo", "files": {"echo.h": ECHO}, "ports": ports, "driven": ("answer", "answered"), **changes}
    return CppModel(**arguments)


@pytest.fixture
def model():
    return echo()


@pytest.fixture
def lane(model):
    return Lane(Socket(), name="socket", models=[model])


def beats(random, count):
    top = {"low": 7, "wide": 64, "high": 30}
    values = {name: random.integers(0, 1 << bits, count, np.uint64) for name, bits in top.items()}
    return {**values, "flag": np.ones(count, np.uint64), "long": np.full((count, 3), [1, 2, 3], np.uint64)}


def test_fields_and_cycles(model, lane, seed):
    """Seen in the cycle after the beat, answered for the next, in the register one later: three cycles."""
    sent = beats(np.random.default_rng(seed), 50)
    lane.push("i", sent)
    lane.run({"o": 50}, record=True)
    words = lane.pull("o")
    np.testing.assert_array_equal(words[:, 0], sent["wide"] & np.uint64(0xFFFFFFFF))
    np.testing.assert_array_equal(words[:, 1], sent["wide"] >> np.uint64(32))
    np.testing.assert_array_equal(words[:, 2], sent["high"])
    np.testing.assert_array_equal(words[:, 3], sent["low"] & np.uint64(15))
    np.testing.assert_array_equal(lane.transfer_cycles("o"), lane.transfer_cycles("i") + 3)


def test_call(model, lane):
    assert model.call(0, b"abc") == b"abc" + bytes([175])
    assert model.call(2) == bytes([1, 0])
    lane.push("i", {"flag": np.array([1])})
    lane.run(cycles=5)
    assert model.call(2) == bytes([1, 1])
    lane.reset()
    assert model.call(2) == bytes([2, 0])


def test_exception_ends_the_run(model, lane):
    model.call(1, bytes([9]))
    lane.push("i", {"flag": np.ones(12, int), "low": np.arange(12)})
    with pytest.raises(SimulationError, match=r"socket low is 9 \(cycle 10\)\n  i: valid=") as error:
        lane.run()
    assert "11 transferred" in str(error.value)
    with pytest.raises(SimulationError, match="no such operation"):
        model.call(7)


def test_two_models_of_one_type(seed):
    class Two(wiring.Component):
        def __init__(self):
            self.sockets = {"a": Socket(), "b": Socket()}
            super().__init__({name: Out(socket.signature) for name, socket in self.sockets.items()})

        def elaborate(self, platform):
            m = Module()
            for name, socket in self.sockets.items():
                m.submodules[name] = socket
                wiring.connect(m, socket, wiring.flipped(getattr(self, name)))
            return m

    models = [echo(prefix="a__"), echo(prefix="b__")]
    lane = Lane(Two(), models=models)
    models[1].call(1, bytes([3]))
    for name in "ab":
        wide = np.arange(3) + 5 * (name == "b")
        lane.push(f"{name}__i", {"flag": np.ones(3, int), "wide": wide, "low": np.arange(3)})
    lane.run({"a__o": 3, "b__o": 3})
    assert lane.pull("a__o")[:, 0].tolist() == [0, 1, 2]
    assert lane.pull("b__o")[:, 0].tolist() == [5, 6, 7]
    lane.push("b__i", {"flag": np.array([1]), "low": np.array([3])})
    with pytest.raises(SimulationError, match="low is 3"):
        lane.run(cycles=5)


def test_trace_with_models(tmp_path):
    model = echo()
    lane = Lane(Socket(), models=[model], trace=True)
    lane.trace(tmp_path / "waves")
    lane.push("i", {"flag": np.array([1]), "wide": np.array([77])})
    lane.run({"o": 1})
    assert lane.pull("o")[0, 0] == 77


def test_model_before_its_lane(model):
    with pytest.raises(RuntimeError, match="Model 'Echo' must be given to a lane before it is called"):
        model.call(0)


def test_model_after_its_lane():
    model = echo()
    Lane(Socket(), models=[model])
    with pytest.raises(RuntimeError, match="Lane must be kept while its models are called"):
        model.call(0)


def test_model_in_two_lanes_wrong(model, lane):
    with pytest.raises(ValueError, match="Model 'Echo' must stand beside one design, not two"):
        Lane(Socket(), models=[model])


def test_ports_wrong():
    with pytest.raises(ValueError, match=r"Driven ports of model 'Echo' must be among .*, not 'x'"):
        echo(driven=("x",))
    with pytest.raises(ValueError, match="Port driven by model 'Echo' must be an input of the design, not 'slot'"):
        Lane(Socket(), models=[echo(driven=("slot",))])
    with pytest.raises(KeyError, match=r"Port must be one of .*, not 'p__slot'"):
        Lane(Socket(), models=[echo(prefix="p__")])


def test_files_wrong():
    with pytest.raises(ValueError, match=r"Files of model 'Echo' must name a header, not \{\}"):
        echo(files={})
    with pytest.raises(ValueError, match="Headers of models must be the same under one name, not differ"):
        Lane(Socket(), models=[echo(), echo(files={"echo.h": ECHO + "\n"})])


def test_source_decides_the_library(monkeypatch):
    """Another header is another entry of the cache; other configuration is not."""
    from tb import cache
    from tb.harness import library

    design = dataclasses.replace(design_of(Adder()), plain=design_of(Socket()).plain)
    asked = []

    def fetch(parts, build):
        asked.append(cache.key(parts))
        raise InterruptedError

    monkeypatch.setattr(cache, "fetch", fetch)
    for models in ([], [echo()], [echo()], [echo(files={"echo.h": ECHO + "\n"})]):
        with pytest.raises(InterruptedError):
            library(design, models=models)
    assert asked[1] == asked[2]
    assert len(set(asked)) == 3


# Beats that wait for their cycle


def test_not_before():
    lane = Lane(Adder())
    cycles = np.array([5, 6, 6, 3, 40])
    fields = {"a": np.zeros((5, 50), np.uint8)}
    lane.push("i", fields, not_before=cycles)
    lane.run(record=True)
    assert lane.transfer_cycles("i").tolist() == [5, 6, 7, 8, 40]


def test_not_before_after_beats_without():
    """Beats pushed with and without cycles, before and after some were taken, keep each its own."""
    lane = Lane(Adder())
    some = {"a": np.zeros((3, 50), np.uint8)}
    lane.push("i", some)
    lane.run({"o": 1}, record=True)
    lane.push("i", some, not_before=np.array([20, 30, 40]))
    lane.run({"o": 5}, record=True)
    lane.push("i", some)
    lane.push("i", some, not_before=np.array([0, 50, 60]))
    lane.run({"o": 12}, record=True)
    assert lane.transfer_cycles("i").tolist() == [0, 1, 2, 20, 30, 40, 41, 42, 43, 44, 50, 60]


def test_not_before_is_no_stall():
    lane = Lane(Adder())
    lane.push("i", {"a": np.zeros((2, 50), np.uint8)}, not_before=np.array([0, 500]))
    lane.run({"o": 2}, stall_cycles=20)
    with pytest.raises(SimulationError, match="stalled"):
        lane.run({"o": 3}, stall_cycles=20)
    lane.push("i", {"a": np.zeros((1, 50), np.uint8)}, not_before=np.array([5000]))
    lane.reset()
    lane.push("i", {"a": np.zeros((1, 50), np.uint8)})
    lane.run({"o": 1}, max_cycles=10)


def test_not_before_wrong():
    lane = Lane(Adder())
    fields = {"a": np.zeros((2, 50), np.uint8)}
    with pytest.raises(ValueError, match="Cycles of 'i' must be 2 numbers from 0 on"):
        lane.push("i", fields, not_before=np.array([1]))
    with pytest.raises(ValueError, match="Cycles of 'i' must be 2 numbers from 0 on"):
        lane.push("i", fields, not_before=np.array([1, -1]))
    with pytest.raises(TypeError, match="Cycles of 'i' must be integers, not"):
        lane.push("i", fields, not_before=np.array([1.0, 2.0]))

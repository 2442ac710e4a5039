"""cocotb tests that the simulation benchmark times: products on an engine's RTL, fed in two ways."""

from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge, Timer

from hdl.tensor.ports import pass_layout, result_layout, stationary_layout, streamed_layout
from hdl.tensor.shape import SliceShape
from mtia.generations import EngineParameters
from tb.runner import parameters
from tb.streams import StreamMonitor, StreamSink, StreamSource, start

LAYOUTS = {"passes": pass_layout, "stationary": stationary_layout, "streamed": streamed_layout}

#: nanoseconds of a clock cycle
PERIOD = 10


def _recorded(folder: Path) -> dict[str, np.ndarray]:
    return {name: np.load(folder / f"{name}.npy") for name in (*LAYOUTS, "results")}


def _integers(beats: np.ndarray) -> list[int]:
    return [int.from_bytes(beat.tobytes(), "little") for beat in np.ascontiguousarray(beats, np.uint32)]


@cocotb.test()
async def played(dut: Any) -> None:
    """Loads the beats once, lets the clock run for as long as all repetitions take, and compares the digest."""
    given = parameters()
    recorded = _recorded(Path(given["beats"]))
    dut.go.value = 0
    dut.repeats.value = given["repeats"]
    await start(dut, period_ns=PERIOD)
    for name in LAYOUTS:
        valid, payload = getattr(dut, f"load__{name}__valid"), getattr(dut, f"load__{name}__payload")
        valid.value = 1
        for beat in _integers(recorded[name]):
            payload.value = beat
            await RisingEdge(dut.clk)
        valid.value = 0
    dut.go.value = 1
    await Timer(given["cycles"] * PERIOD, "ns")
    await ReadOnly()
    found = dut.taken.value.to_unsigned(), dut.digest.value.to_unsigned()
    assert found == (given["taken"], given["digest"])


@cocotb.test()
async def driven(dut: Any) -> None:
    """Drives and monitors every beat from Python, as tests of the protocol do."""
    given = parameters()
    recorded = _recorded(Path(given["beats"]))
    fields = given["parameters"]
    shape = SliceShape(EngineParameters(**(fields | {"formats": tuple(fields["formats"])})))
    sources = {name: StreamSource(dut, name, shape=layout(shape)) for name, layout in LAYOUTS.items()}
    sink = StreamSink(dut, "results", shape=result_layout(shape))
    monitors = [StreamMonitor(dut, name, shape=layout(shape)) for name, layout in LAYOUTS.items()]
    await start(dut, period_ns=PERIOD)
    for name, source in sources.items():
        source.send(_integers(recorded[name]))
    wanted = _integers(recorded["results"])
    assert [value.as_bits() for value in await sink.receive(len(wanted))] == wanted
    assert [monitor.transfers for monitor in monitors] == [len(recorded[name]) for name in LAYOUTS]

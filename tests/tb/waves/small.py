"""A small recorded design, written by hand: a stream in, a block, two units with FP32."""

import struct
from pathlib import Path
from typing import Any

from vcd import VCDWriter

#: what `tb.waves.design.describe_design` would say of it
PORTS: dict[str, Any] = {
    "module": "small",
    "clocks": [{"domain": "sync", "clock": "clk", "reset": "rst"}],
    "ports": [],
    "streams": [
        {
            "name": "streamed",
            "direction": "in",
            "payload": "streamed__payload",
            "valid": "streamed__valid",
            "ready": "streamed__ready",
            "layout": {
                "kind": "struct",
                "width": 32,
                "fields": [
                    {
                        "name": "codes",
                        "offset": 0,
                        "shape": {
                            "kind": "array",
                            "width": 16,
                            "length": 1,
                            "element": {"kind": "unsigned", "width": 16},
                        },
                    },
                    {
                        "name": "scales",
                        "offset": 16,
                        "shape": {
                            "kind": "array",
                            "width": 16,
                            "length": 2,
                            "element": {
                                "kind": "array",
                                "width": 8,
                                "length": 1,
                                "element": {"kind": "unsigned", "width": 8},
                            },
                        },
                    },
                ],
            },
        },
    ],
    "enums": {"mode": {"name": "Mode", "width": 2, "values": {"IDLE": 0, "BUSY": 2}}},
}

#: cycles recorded
CYCLES = 6


def bits_of(value: float) -> int:
    """The bits of an FP32 number."""
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


#: full name -> width, and the value in each cycle
SIGNALS: dict[str, tuple[int, list[int]]] = {
    "top.streamed__valid": (1, [0, 1, 1, 1, 1, 0]),
    "top.streamed__ready": (1, [1, 1, 0, 0, 1, 1]),
    "top.streamed__payload": (32, [9, 0x827F38C0, 0x817E3838, 0x817E3838, 0x817E3838, 0]),
    "top.count": (4, [0, 1, 2, 3, 4, 5]),
    "top.$1": (1, [0, 0, 0, 0, 0, 0]),
    "top.sequencer.mode": (2, [0, 2, 2, 2, 1, 0]),
    "top.sequencer.mode_1": (2, [0, 0, 2, 2, 2, 1]),
    "top.sequencer.row__sign__inf": (1, [0, 0, 0, 0, 0, 0]),
    "top.sequencer.wide": (40, [0, 0x123456789A, 0, 0, 0, 0]),
    "top.sequencer.clk": (1, [0, 0, 0, 0, 0, 0]),
    "top.unit_0.total": (32, [bits_of(value) for value in (0.0, 1.5, 1.5, -2.25, float("nan"), float("-inf"))]),
    "top.unit_0.total.mantissa": (23, [0] * 6),
    "top.unit_0.total.exponent": (8, [0] * 6),
    "top.unit_0.total.sign": (1, [0] * 6),
    "top.unit_0.pair": (3, [0, 1, 2, 3, 4, 5]),
    "top.unit_0.pair.low": (2, [0, 1, 2, 3, 0, 1]),
    "top.unit_0.pair.high": (1, [0, 0, 0, 0, 1, 1]),
    "top.unit_10.total": (32, [0, 0, 0, 0, 0, bits_of(3.0)]),
    "top.unit_2.total": (32, [0, 0, 0, 0, 0, 0]),
    "top.unit_0.deep.er.signal": (1, [0, 1, 0, 1, 0, 1]),
}


def write(path: Path, *, clock: str = "clk") -> Path:
    """Write the waves as VCD, with the times that a lane gives them: a cycle is 10 ns, its edge at its end."""
    with path.open("w") as file, VCDWriter(file, timescale="1 ns") as writer:
        clk = writer.register_var("top", clock, "wire", size=1, init=0)
        variables = {}
        for name, (width, values) in SIGNALS.items():
            # "unit_0.total.sign" is a signal of unit_0 called "total.sign"
            owner = next((other for other in SIGNALS if name.startswith(f"{other}.")), name)
            scope = owner.rpartition(".")[0]
            local = name.removeprefix(f"{scope}.")
            variables[name] = writer.register_var(scope, local, "wire", size=width, init=values[0])
        for cycle in range(CYCLES):
            writer.change(clk, 10 * cycle + 5, 0)
            for name, (_, values) in SIGNALS.items():
                writer.change(variables[name], 10 * cycle + 5, values[cycle])
            writer.change(clk, 10 * cycle + 10, 1)
    return path

"""The ports and enumerations of a simulated design as plain data, to lie beside its waves."""

import re
from typing import Any

from hdl.core.shapes import describe_shape

from ..ports import Design

_NAME = re.compile(r'\(\* enum_base_type = "([^"]*)" \*\)')
_VALUE = re.compile(r'\(\* enum_value_([01]+) = "([^"]*)" \*\)')
_DECLARATION = re.compile(r"(?:input|output|wire|reg)\b *(?:\[(\d+):0\])? *\\?([^\s;]+)")


def describe_design(design: Design) -> dict[str, Any]:
    """Module, clocks, ports and streams of a design, as in the ``ports.json`` of `hdl.emit`, and its enumerations.

    ``enums``: for each signal whose shape is an enumeration, by its name: the enumeration's ``name``,
    ``width`` and ``values``, a map from the names of values to the values.
    """
    streams = [
        {
            "name": stream.name,
            "direction": "in" if stream.driven else "out",
            "payload": stream.payload.name,
            "valid": stream.valid,
            "ready": stream.ready,
            "layout": describe_shape(stream.payload.shape),
        }
        for stream in design.streams
    ]
    ports = [
        {
            "name": port.name,
            "direction": "in" if port.driven else "out",
            "width": port.width,
            "shape": describe_shape(port.shape),
        }
        for port in (*design.plain, *(stream.payload for stream in design.streams))
    ]
    clocks = [{"domain": "sync", "clock": design.clock, "reset": design.reset}] if design.clock else []
    return {
        "module": design.name,
        "clocks": clocks,
        "ports": ports,
        "streams": streams,
        "enums": enumerations(design.verilog),
    }


def enumerations(verilog: str) -> dict[str, dict[str, Any]]:
    """Names of the signals that a Verilog text marks as enumerations, with the enumeration's name, width and values.

    Amaranth writes an attribute for each value before the declaration. A name that stands for different
    enumerations in different modules is left out.
    """
    found: dict[str, dict[str, Any]] = {}
    ambiguous: set[str] = set()
    name, values = "", dict[str, int]()
    for line in map(str.strip, verilog.splitlines()):
        if match := _NAME.fullmatch(line):
            name = match[1]
        elif match := _VALUE.fullmatch(line):
            values[match[2]] = int(match[1], 2)
        elif not line.startswith("(*"):
            if values and (declared := _DECLARATION.match(line)):
                entry = {"name": name, "width": int(declared[1] or 0) + 1, "values": values}
                if found.setdefault(declared[2], entry) != entry:
                    ambiguous.add(declared[2])
            name, values = "", {}
    return {name: entry for name, entry in sorted(found.items()) if name not in ambiguous and "$" not in name}

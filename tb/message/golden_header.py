"""The tables of `mtia.message` as C++: all that a golden node shares with the RTL."""

import enum
from collections.abc import Mapping

from mtia import message

#: layouts by the name of their namespace; a field of more than 64 bits becomes two
_LAYOUTS: Mapping[str, message.Layout] = {
    "header": message.HEADER,
    "window": message.WINDOW,
    "communicator": message.COMMUNICATOR,
    "descriptor": message.DESCRIPTOR,
    "completion": message.COMPLETION,
    "entry": message.ENTRY,
    "program": message.PROGRAM,
    "event": message.EVENT,
}
_CODES: Mapping[str, type[enum.IntEnum] | type[enum.IntFlag]] = {
    "packet_op": message.PacketOp,
    "reason": message.Reason,
    "right": message.Right,
    "descriptor_op": message.DescriptorOp,
    "comparison": message.Comparison,
    "status": message.Status,
    "fault": message.Fault,
    "work_op": message.WorkOp,
    "sync": message.Sync,
    "expect": message.Expect,
    "predicate": message.Predicate,
    "repeat": message.Repeat,
    "base": message.Base,
    "extent": message.Extent,
}
_CONSTANTS = ("ATOM_BYTES", "MAX_RANKS", "MAX_PIECES", "SUBGRAPHS", "ENTRY_ADDRESS_BITS", "TIMEOUT_CYCLES")


def text() -> str:
    """The header: of each layout the numbers of its fields and where they are; codes; constants."""
    lines = ["#pragma once", '#include "domain_header.h"', "namespace {", "namespace golden {"]
    for name, layout in _LAYOUTS.items():
        parts = [part for field in layout for part in _parts(*field)]
        places, offset = [], 0
        for _, bits in parts:
            places.append(f"{{{offset}, {bits}}}")
            offset += bits
        numbers = ", ".join(camel(part) for part, _ in parts)
        lines += [
            f"namespace {name} {{",
            f"enum Field : int {{ {numbers}, kFields }};",
            f"constexpr HeaderField kLayout[kFields] = {{{', '.join(places)}}};",
            "}",
        ]
    for name, codes in _CODES.items():
        values = ", ".join(f"{camel(code.name or '')} = {code.value}" for code in codes)
        lines.append(f"namespace {name} {{ enum Code : int {{ {values} }}; }}")
    lines += [f"constexpr int {camel(name)} = {getattr(message, name)};" for name in _CONSTANTS]
    responses = [op for op, channel in message.CHANNEL_OF.items() if channel is message.Channel.RESPONSE]
    lines.append(f"constexpr uint32_t kResponseOps = {sum(1 << op for op in responses)}u;")
    return "\n".join([*lines, "}", "}", ""])


def camel(name: str) -> str:
    """A C++ constant's name."""
    return "k" + "".join(part.capitalize() for part in name.split("_"))


def _parts(name: str, bits: int) -> message.Layout:
    if bits <= 64:
        return ((name, bits),)
    return ((f"{name}_0", 64), (f"{name}_1", bits - 64))

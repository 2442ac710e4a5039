"""Which signals of a recorded design are shown, in which groups, and how their bits read.

First come the streams of the design, beat by beat; then, block by block, the signals that a person
named: copies that only delay another, and the parts of wide buses, are left out unless asked for.
"""

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mtia import formats

from .decode import Decoder, Enumeration, Float32, Number, ScaleCode, elements_of
from .trace import TOP, Trace

#: levels of blocks below the top whose signals are shown without being asked for
DEPTH = 2
#: blocks that are open from the start, where a design has them: the control and the first of equal units
OPEN = ("sequencer", "unit_0", "unit_0.dot", "unit_0.bank_0")
#: plain names, with nothing but numbers after a double underscore; a number after a single one marks a delayed copy
_PLAIN = re.compile(r"[a-z][a-z0-9]*(?:_[a-z][a-z0-9]*)*(?:__\d+)*")
_HIDDEN = ("clk", "rst")


@dataclass(frozen=True)
class Contents:
    """What the streams of a run carry.

    formats: name of the format of the codes and scales of a stream, by the stream's name
    rows:    rows of a beat that are in use, of those that its layout has room for
    """

    formats: Mapping[str, str] = field(default_factory=dict)
    rows: int = 1


@dataclass(frozen=True)
class Row:
    """A line of the picture: bits `offset` and up, `width` of them, of a signal.

    decoder: None for a single bit, which is drawn as a line
    valid:   signal outside of which the bits mean nothing
    ready:   given for the line of a stream's transfers: `signal` is then its valid
    """

    label: str
    signal: str
    width: int
    offset: int = 0
    decoder: Decoder | None = None
    valid: str | None = None
    ready: str | None = None

    def bits(self, value: int) -> int:
        """The row's bits of a value of the signal."""
        return value >> self.offset & (1 << self.width) - 1


@dataclass(frozen=True)
class Group:
    """Lines that belong together; `is_open`: shown from the start."""

    name: str
    rows: tuple[Row, ...]
    is_open: bool = True


def groups_of(trace: Trace, ports: Mapping[str, Any], contents: Contents) -> list[Group]:
    """Groups of a recorded design; `ports` is what `tb.waves.design.describe_design` said of it."""
    streams = [_stream_group(trace, stream, contents) for stream in ports["streams"]]
    in_streams = {row.signal for group in streams for row in group.rows}
    floats = _float_names(trace)
    blocks = [
        Group(
            name=(name := scope.removeprefix(f"{TOP}.") if scope != TOP else ports["module"]),
            rows=tuple(_block_rows(trace, scope, ports["enums"], floats, in_streams)),
            is_open=name in OPEN,
        )
        for scope in sorted(trace.scopes, key=_order)
        if (scope == TOP or scope.startswith(f"{TOP}.")) and scope.count(".") <= DEPTH
    ]
    return [group for group in (*streams, *blocks) if group.rows]


def matching(trace: Trace, groups: Sequence[Group], ports: Mapping[str, Any], pattern: str) -> list[Group]:
    """Only the lines whose full name matches a pattern, signals that are not shown otherwise among them.

    pattern: with ``*``, ``?`` or ``[``, as a shell's; any other is looked for anywhere in the name. Case
             does not matter.

    Raises ValueError if nothing matches.
    """
    wanted = pattern.lower() if set("*?[") & set(pattern) else f"*{pattern.lower()}*"

    def fits(name: str) -> bool:
        plain = name.lower().removeprefix(f"{TOP}.")
        return fnmatch.fnmatchcase(plain, wanted) or fnmatch.fnmatchcase(name.lower(), wanted)

    kept = [
        replace(group, rows=tuple(row for row in group.rows if fits(_full_name(row))), is_open=True) for group in groups
    ]
    shown = {row.signal for group in kept for row in group.rows}
    floats = _float_names(trace)
    more: dict[str, list[Row]] = {}
    for name in trace.names:
        if name.startswith(f"{TOP}.") and name not in shown and fits(name):
            scope = _scope_of(trace, name)
            row = _row(trace, name, name.removeprefix(f"{scope}."), ports["enums"], floats)
            more.setdefault(scope, []).append(row)
    kept += [
        Group(name=f"{scope.removeprefix(f'{TOP}.')} (like {pattern})", rows=tuple(more[scope]))
        for scope in sorted(more, key=_order)
    ]
    kept = [group for group in kept if group.rows]
    if not kept:
        raise ValueError(f"Pattern must match a signal, not {pattern!r}; the signals are named like {trace.names[-1]}")
    return kept


def _scope_of(trace: Trace, name: str) -> str:
    """The block that a signal is in."""
    scope = name.rpartition(".")[0]
    while scope not in trace.scopes:
        scope = scope.rpartition(".")[0]
    return scope


def _full_name(row: Row) -> str:
    return row.signal if row.offset == 0 and row.label in row.signal else f"{row.signal}.{row.label}"


def _order(scope: str) -> list[tuple[str, int]]:
    """Blocks in the order of their names, numbers by value."""
    parts = re.findall(r"([^\d]+)(\d*)", scope)
    return [(text, int(digits or -1)) for text, digits in parts]


def _stream_group(trace: Trace, stream: Mapping[str, Any], contents: Contents) -> Group:
    names = {part: f"{TOP}.{stream[part]}" for part in ("payload", "valid", "ready") if stream[part]}
    valid = names.get("valid")
    rows = []
    if valid:
        rows.append(Row("transfers", valid, 1, valid=valid, ready=names.get("ready", "")))
    rows += [Row(part, names[part], 1) for part in ("valid", "ready") if part in names]
    if names["payload"] in trace:
        rows += [
            Row(label, names["payload"], width, offset, decoder, valid=valid)
            for label, offset, width, decoder in _fields(stream["layout"], "", 0, stream["name"], contents)
        ]
    arrow = "→ in" if stream["direction"] == "in" else "out →"
    return Group(name=f"stream {stream['name']} ({arrow})", rows=tuple(rows))


_Field = tuple[str, int, int, Decoder | None]


def _fields(shape: Mapping[str, Any], label: str, offset: int, stream: str, contents: Contents) -> Iterator[_Field]:
    """Leaves of a payload's layout: label, first bit, bits, decoder."""
    width, kind = shape["width"], shape["kind"]
    fmt = contents.formats.get(stream)
    if _is_float(shape):
        yield label, offset, width, Float32()
    elif kind == "enum":
        yield label, offset, width, Enumeration.of(shape["name"].rpartition(".")[2], shape["values"])
    elif "fields" in shape:
        for part in shape["fields"]:
            inner = f"{label}.{part['name']}" if label else part["name"]
            yield from _fields(part["shape"], inner, offset + part["offset"], stream, contents)
    elif kind == "array":
        element = shape["element"]
        used = contents.rows if element["kind"] == "array" else shape["length"]  # an array of arrays is one of rows
        for index in range(min(used, shape["length"])):
            inner = f"{label}[{index}]"
            yield from _fields(element, inner, offset + index * element["width"], stream, contents)
    elif fmt and label.startswith("codes["):
        yield from _codes(label, offset, width, fmt, contents.rows if stream == "streamed" else 1)
    elif fmt and label.startswith("scales["):
        scale = formats.get(fmt).scale
        yield label, offset, width, ScaleCode(scale) if scale is not formats.Scale.NONE else Number(width)
    else:
        yield label, offset, width, Number(width) if width > 1 else None


def _codes(label: str, offset: int, width: int, fmt: str, rows: int) -> Iterator[_Field]:
    for row in range(rows):
        yield f"{label} row {row}" if rows > 1 else label, offset, width, elements_of(fmt, width, row)


def _is_float(shape: Mapping[str, Any]) -> bool:
    return str(shape.get("name", "")).endswith(".Float32")


def _block_rows(
    trace: Trace, scope: str, enums: Mapping[str, Any], floats: frozenset[str], in_streams: set[str]
) -> Iterator[Row]:
    """Lines of a block, without those in blocks inside it."""
    prefix = f"{scope}."
    for name in trace.names:
        local = name.removeprefix(prefix)
        if not name.startswith(prefix) or name in in_streams:
            continue
        owner, _, last = local.rpartition(".")
        if owner:
            struct = f"{prefix}{owner}"
            is_shown = struct in trace.structs and not _is_float_signal(trace, struct) and _is_shown(owner)
        else:
            is_shown = name not in trace.structs or _is_float_signal(trace, name)
        if is_shown and _is_shown(last):
            yield _row(trace, name, local, enums, floats)


def _is_shown(name: str) -> bool:
    return _PLAIN.fullmatch(name) is not None and name not in _HIDDEN


def _is_float_signal(trace: Trace, name: str) -> bool:
    return all(f"{name}.{part}" in trace for part in ("mantissa", "exponent", "sign")) and trace.width(name) == 32


def _float_names(trace: Trace) -> frozenset[str]:
    """Names, without the block, of FP32 signals: some block tells their fields apart, others may not."""
    return frozenset(name.rpartition(".")[2] for name in trace.structs if _is_float_signal(trace, name))


def _row(trace: Trace, name: str, label: str, enums: Mapping[str, Any], floats: frozenset[str]) -> Row:
    width = trace.width(name)
    local = name.rpartition(".")[2]
    entry = enums.get(label) or enums.get(local)
    decoder: Decoder | None = Number(width) if width > 1 else None
    if width == 32 and local in floats:
        decoder = Float32()
    elif entry and entry["width"] == width:
        decoder = Enumeration.of(entry["name"], entry["values"])
    return Row(label, name, width, decoder=decoder)

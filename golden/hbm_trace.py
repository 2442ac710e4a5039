"""HBM command traces as arrays: the CSV that `golden.hbm` checks, read strictly and quickly.

Header ``ck,channel,pc,command,sid,bank_group,bank,row,column``, then one command a line. Numbers are
decimal; a field that a command has not is empty. Lines end with LF or CRLF.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from mtia.formats import unknown

HEADER = ("ck", "channel", "pc", "command", "sid", "bank_group", "bank", "row", "column")
NUMBERS = tuple(name for name in HEADER if name != "command")
_BANK = ("sid", "bank_group", "bank")

#: command -> the fields that it must have beyond ck, channel and pc
COMMANDS: dict[str, tuple[str, ...]] = {
    "ACT": (*_BANK, "row"),
    "PRE": _BANK,
    "PREA": (),
    "REFPB": _BANK,
    "REFAB": (),
    "RFMPB": _BANK,
    "RD": (*_BANK, "column"),
    "WR": (*_BANK, "column"),
}
#: fields that a command may have: a row of a column command must then be the open one
OPTIONAL: dict[str, tuple[str, ...]] = {"RD": ("row",), "WR": ("row",)}
NAMES = tuple(COMMANDS)

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]
#: a command as a row: the fields of `HEADER`, None or "" for those it has not
Row = Sequence[int | str | None]

_COMMA, _NEWLINE, _ZERO = ord(","), ord("\n"), ord("0")
_MOST_DIGITS = 18


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Commands in the order of the file: arrays of one length.

    line: of the file, from 1 (of rows: their index); kind: index into `NAMES`; the fields, -1 where empty.
    """

    line: Numbers
    kind: NDArray[np.int8]
    ck: Numbers
    channel: Numbers
    pc: Numbers
    sid: Numbers
    bank_group: Numbers
    bank: Numbers
    row: Numbers
    column: Numbers

    def __len__(self) -> int:
        return len(self.line)

    def take(self, chosen: Numbers | Mask) -> "Trace":
        """These commands alone, in this order."""
        return Trace(**{name: getattr(self, name)[chosen] for name in ("line", "kind", *NUMBERS)})

    def any_of(self, *names: str) -> Mask:
        """Which commands are of these names."""
        table = np.array([name in names for name in NAMES])
        found: Mask = table[self.kind]
        return found

    def describe(self, index: int) -> str:
        """A command in words."""
        name = NAMES[self.kind[index]]
        fields = [f"pc {self.pc[index]}"]
        for item in COMMANDS[name]:
            fields.append(f"{item} {getattr(self, item)[index]}")
        return f"{name} ({', '.join(fields)}) at {self.ck[index]}"


def read(source: str | os.PathLike[str] | Iterable[Row]) -> Trace:
    """The trace in a file, or of rows; ValueError with the line, or the index of the row, and the reason."""
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            text = file.read().replace(b"\r\n", b"\n")
        header = ",".join(HEADER)
        first, _, rest = text.partition(b"\n")
        if first != header.encode():
            raise ValueError(f"Line 1 must be {header!r}, not {first[:80].decode(errors='replace')!r}")
        return _Parser(rest, "Line", 2).trace()
    lines = [",".join("" if item is None else str(item) for item in row) for row in source]
    return _Parser("".join(f"{line}\n" for line in lines).encode(), "Row", 0).trace()


class _Parser:
    """Text of lines of nine fields, parsed a column at a time."""

    def __init__(self, text: bytes, subject: str, first: int) -> None:
        if text and not text.endswith(b"\n"):
            text += b"\n"
        self._text, self._subject, self._first = text, subject, first
        self._bytes = np.frombuffer(text, np.uint8)
        ends = np.flatnonzero((self._bytes == _COMMA) | (self._bytes == _NEWLINE))
        is_last = np.flatnonzero(self._bytes[ends] == _NEWLINE)
        counts = np.diff(is_last, prepend=-1)
        wrong = np.flatnonzero(counts != len(HEADER))
        if len(wrong):
            self._refuse(wrong[0], f"must have {len(HEADER)} fields, not {counts[wrong[0]]}")
        starts = np.concatenate([[0], ends + 1])[:-1]
        self._starts = dict(zip(HEADER, starts.reshape(-1, len(HEADER)).T, strict=True))
        self._lengths = dict(zip(HEADER, (ends - starts).reshape(-1, len(HEADER)).T, strict=True))
        self._lines = len(is_last)

    def trace(self) -> Trace:
        kind = self._kinds()
        fields = {name: self._numbers(name) for name in NUMBERS}
        for name in NUMBERS:
            always = name in ("ck", "channel", "pc")
            needed = np.array([always or name in COMMANDS[item] for item in NAMES])[kind]
            allowed = needed | np.array([name in OPTIONAL.get(item, ()) for item in NAMES])[kind]
            for wrong, reason in ((needed & (fields[name] < 0), "a number"), (~allowed & (fields[name] >= 0), "empty")):
                at = np.flatnonzero(wrong)
                if len(at):
                    self._refuse(at[0], f"{name} of {NAMES[kind[at[0]]]} must be {reason}", name)
        return Trace(line=np.arange(self._lines) + self._first, kind=kind, **fields)

    def _kinds(self) -> NDArray[np.int8]:
        start, length = self._starts["command"], self._lengths["command"]
        longest = max(map(len, NAMES))
        codes = np.zeros(self._lines, np.int64)
        for index in range(longest):
            at = np.flatnonzero(length > index)
            codes[at] |= self._bytes[start[at] + index].astype(np.int64) << (8 * index)
        kind = np.full(self._lines, -1, np.int8)
        for index, name in enumerate(NAMES):
            kind[(codes == int.from_bytes(name.encode(), "little")) & (length == len(name))] = index
        wrong = np.flatnonzero(kind < 0)
        if len(wrong):
            text = self._field(int(wrong[0]), "command")
            raise ValueError(f"{self._subject} {self._first + wrong[0]}: {unknown('command', text, list(NAMES))}")
        return kind

    def _numbers(self, name: str) -> Numbers:
        """The field's numbers, -1 where it is empty."""
        start, length = self._starts[name], self._lengths[name]
        values = np.where(length > 0, 0, -1)
        bad = length > _MOST_DIGITS
        for index in range(min(int(length.max(initial=0)), _MOST_DIGITS)):
            at = np.flatnonzero(length > index)
            digits = self._bytes[start[at] + index].astype(np.int64) - _ZERO
            bad[at[(digits < 0) | (digits > 9)]] = True
            values[at] = values[at] * 10 + digits
        wrong = np.flatnonzero(bad)
        if len(wrong):
            self._refuse(wrong[0], f"{name} must be a decimal number", name)
        return values

    def _field(self, line: int, name: str) -> str:
        start = int(self._starts[name][line])
        return self._text[start : start + int(self._lengths[name][line])].decode(errors="replace")

    def _refuse(self, line: np.int64, reason: str, name: str = "") -> NoReturn:
        if name:
            reason += f", not {self._field(int(line), name)!r}"
        raise ValueError(f"{self._subject} {self._first + line}: {reason}")

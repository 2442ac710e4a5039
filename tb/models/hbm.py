"""The HBM device behind one channel: a C++ model that checks every command, keeps the data and returns reads in time.

Each command is checked in CK against the state of its bank and all distances of the timing set, by code of its own
(``hbm_rules.h``). A violation ends the simulation with one line, or is counted and logged where ``strict`` is off.

Atoms are found by a 64-bit key that packs their place in the device, from the lowest bit up::

    column 8, row 20, bank 4, bank_group 4, sid 3, pc 1, channel 6 bits

An atom that was never written holds the hash of its place that ``golden.hbm_memory`` defines, with right check bits.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtia.hbm import MEANINGS, TimingSet
from mtia.hbm_ecc import CHECK_BITS, COLUMNS, DATA_BITS

from .cpp import CppModel

_FOLDER = Path(__file__).parent
_HEADERS = ("hbm_device.h", "hbm_report.h", "hbm_rules.h", "hbm_table.h", "hbm_memory.h")
_OPERATIONS = ("configure", "read", "write", "inject", "clear_faults", "trace", "strict", "counts", "violations")
_CODES = {name: code for code, name in enumerate((*_OPERATIONS, "rule_names", "written"))}

#: Commands of the device, in the order of its counts.
COMMANDS = ("ACT", "PRE", "PREA", "REFPB", "REFAB", "RFMPB", "RD", "WR")

#: Fields of a key with their widths, from the lowest bit up.
KEY_FIELDS = {"column": 8, "row": 20, "bank": 4, "bank_group": 4, "sid": 3, "pc": 1, "channel": 6}

#: Values of ``refresh``: whether the device holds the controller to its refreshes, and by which command.
REFRESH_MODES = ("off", "per-bank", "all-bank")

#: Kinds of bit errors; a stuck bit has the value that is given with it.
FAULT_KINDS = ("transient", "upset", "stuck")

_EVERYWHERE = (1 << 64) - 1
_FOREVER = (1 << 62) - 1
_ATOM = np.dtype([("key", "<u8"), ("data", "<u4", 8), ("check", "<u8")])
_COMPUTE = (1 << 64) - 1
_VIOLATION = ("ck", "pc", "command", "sid", "bank_group", "bank", "row", "column", "rule", "distance", "minimum")


def pack_key(**fields: Any) -> Any:
    """Keys of atoms from ints or integer arrays named as in ``KEY_FIELDS``, 0 where absent: uint64.

    Raises ``ValueError`` for another field or a value that does not fit.
    """
    key: Any = np.uint64(0)
    offset = 0
    for name in fields:
        if name not in KEY_FIELDS:
            raise ValueError(f"Field of a key must be one of {', '.join(KEY_FIELDS)}, not {name!r}")
    for name, width in KEY_FIELDS.items():
        value = np.asarray(fields.get(name, 0))
        if (value < 0).any() or (value >> width).any():
            raise ValueError(f"{name} of a key must be from 0 to {(1 << width) - 1}, not {fields[name]!r}")
        key = key | value.astype(np.uint64) << np.uint64(offset)
        offset += width
    return key


def unpack_key(keys: Any) -> dict[str, Any]:
    """The fields of keys, named as in ``KEY_FIELDS``."""
    fields, keys, offset = {}, np.asarray(keys, np.uint64), 0
    for name, width in KEY_FIELDS.items():
        fields[name] = (keys >> np.uint64(offset) & np.uint64((1 << width) - 1)).astype(np.int64)
        offset += width
    return fields


@dataclass(frozen=True, kw_only=True)
class HbmViolation:
    """A command that broke a rule.

    ``command`` is empty where time alone did (REFI). ``rule`` is a parameter, or OPEN (ACT on an open bank), CLOSED
    (RD or WR on a closed one), REFRESH (refresh of an open one), RANGE, ROWBUS, REFI (refreshes owed), AHEAD (refreshes
    ahead), RAAMMT (activations). ``distance`` and ``minimum`` are CK; for the last three the count and its limit.
    """

    ck: int
    pc: int
    command: str
    sid: int
    bank_group: int
    bank: int
    row: int
    column: int
    rule: str
    distance: int
    minimum: int


@dataclass(frozen=True, kw_only=True)
class RuleCount:
    """How often a rule was tried, met at its minimum (a cycle earlier would have broken it), and broken."""

    tried: int
    at_minimum: int
    broken: int


class HbmDevice(CppModel):
    """The device of one channel, both pseudo-channels; give it to a lane: ``Lane(channel, models=[device])``.

    The design's plain ports are ``activate``, ``maintain``, ``column_0``, ``column_1``, ``write_data_0``, ... as
    ``hdl.hbm`` has them, each with ``prefix`` before its name. Data of a WR is taken in the cycle of the command, and
    data of an RD returned with ``read_valid`` exactly ceil((CL + BL) / 2) cycles after it; in other cycles the data
    is junk. A reset of the lane closes all banks, forgets distances, counts and violations, and begins the command
    trace again; what is stored and the bit errors stay.

    Parameters
    ----------
    timing : the set, with its organization.
    refresh : of ``REFRESH_MODES``; unless "off" no bank may be owed more than ``timing.refresh_postpone`` refreshes, or
        be further ahead, where every bank is owed one more at every multiple of REFI.
    strict : whether a violation ends the simulation.
    channel : number of the channel, in keys and traces.
    prefix : what stands before the names of the ports.
    """

    def __init__(
        self,
        *,
        timing: TimingSet,
        refresh: str = "per-bank",
        strict: bool = True,
        channel: int = 0,
        prefix: str = "",
    ) -> None:
        if refresh not in REFRESH_MODES:
            raise ValueError(f"Refresh must be one of {', '.join(REFRESH_MODES)}, not {refresh!r}")
        if not 0 <= channel < 1 << KEY_FIELDS["channel"]:
            raise ValueError(f"Channel must be from 0 to {(1 << KEY_FIELDS['channel']) - 1}, not {channel!r}")
        driven = [f"read_{what}_{pc}" for pc in range(2) for what in ("valid", "data", "check")]
        outputs = [f"{what}_{pc}" for pc in range(2) for what in ("column", "write_data", "write_check")]
        super().__init__(
            type="HbmDevice",
            files={name: (_FOLDER / name).read_text() for name in _HEADERS},
            ports={name: prefix + name for name in ("activate", "maintain", *outputs, *driven)},
            driven=driven,
        )
        self._timing = timing
        self._channel = channel
        self._table = _table(timing, refresh=refresh, strict=strict, channel=channel)

    @property
    def timing(self) -> TimingSet:
        """The timing set that the device checks."""
        return self._timing

    @property
    def read_latency(self) -> int:
        """Cycles from an RD to its data."""
        return -(-(self._timing["CL"] + self._timing["BL"]) // 2)

    def attached(self) -> None:
        """Give the model its table and read the names of its rules."""
        self._ask("configure", self._table.tobytes())
        lines = self._ask("rule_names").decode().splitlines()
        self._rules = [tuple(line.split(",")) for line in lines]

    def key(self, **fields: Any) -> Any:
        """``pack_key`` in this channel."""
        return pack_key(channel=self._channel, **fields)

    def read(self, keys: Any) -> tuple[NDArray[np.uint32], NDArray[np.uint16]]:
        """What is stored by back door: data uint32 (n, 8) and check bits uint16 (n,) for keys (n,)."""
        answer = self._ask("read", np.asarray(keys, "<u8").reshape(-1).tobytes())
        atoms = np.frombuffer(answer, _ATOM)
        return atoms["data"].astype(np.uint32), atoms["check"].astype(np.uint16)

    def write(self, keys: Any, data: NDArray[Any], check: NDArray[Any] | None = None) -> None:
        """Store uint32 (n, 8) by back door at keys (n,), with the data's own check bits unless ``check`` is given.

        Raises ``ValueError`` on another shape.
        """
        keys = np.asarray(keys, np.uint64).reshape(-1)
        data = np.asarray(data)
        if data.shape != (len(keys), DATA_BITS // 32):
            raise ValueError(f"Data must be of shape ({len(keys)}, {DATA_BITS // 32}), not {data.shape!r}")
        atoms = np.zeros(len(keys), _ATOM)
        atoms["key"], atoms["data"] = keys, data
        atoms["check"] = _COMPUTE if check is None else np.asarray(check, np.uint64) & np.uint64((1 << CHECK_BITS) - 1)
        self._ask("write", atoms.tobytes())

    def written(self) -> NDArray[np.uint64]:
        """Keys of all atoms that were written or upset, ascending."""
        return np.sort(np.frombuffer(self._ask("written"), "<u8")).astype(np.uint64)

    def inject(
        self,
        key: int | None = None,
        *,
        bit: int,
        kind: str = "transient",
        value: int = 0,
        start: int = 0,
        stop: int | None = None,
        once: bool = False,
    ) -> None:
        """A bit error of the atom of that key, or of every atom.

        Parameters
        ----------
        bit : 0 to 255 in the data, 256 to 265 in the check bits.
        kind : "transient": reads return the bit inverted, what is stored stays; "upset": the stored bit is inverted
            once, until the atom is written (a key is needed); "stuck": reads return ``value``.
        start, stop : the error is there in the CK from ``start`` to before ``stop``.
        once : the error ends with the first read that it changes.

        Raises ``ValueError`` for values out of range.
        """
        if not 0 <= bit < len(COLUMNS):
            raise ValueError(f"Bit must be from 0 to {len(COLUMNS) - 1}, not {bit!r}")
        if kind not in FAULT_KINDS:
            raise ValueError(f"Kind must be one of {', '.join(FAULT_KINDS)}, not {kind!r}")
        if kind == "upset" and key is None:
            raise ValueError("Key of an upset must be that of one atom, not None")
        if value not in (0, 1):
            raise ValueError(f"Value must be 0 or 1, not {value!r}")
        code = FAULT_KINDS.index(kind) + (value if kind == "stuck" else 0)
        where = _EVERYWHERE if key is None else int(key)
        end = _FOREVER if stop is None else stop
        self._ask("inject", np.array([where, bit, code, start, end, once], np.uint64).tobytes())

    def clear_faults(self) -> None:
        """End all bit errors; stored bits that were upset stay so until they are written."""
        self._ask("clear_faults")

    def trace(self, path: str | os.PathLike[str] | None) -> None:
        """Write the commands from now on to a CSV at ``path``, until ``trace(None)`` completes it."""
        self._ask("trace", b"" if path is None else os.fsencode(path))

    def set_strict(self, strict: bool) -> None:
        """Whether a violation ends the simulation from now on."""
        self._ask("strict", bytes([strict]))

    def counts(self) -> list[dict[str, int]]:
        """Commands of each pseudo-channel since the last reset."""
        numbers = self._numbers()[: 2 * len(COMMANDS)].reshape(2, -1)
        return [dict(zip(COMMANDS, row, strict=True)) for row in numbers.tolist()]

    def rules(self) -> dict[tuple[str, str, str], RuleCount]:
        """What each rule saw since the last reset, both pseudo-channels together.

        The name of a rule is (parameter, command before, command now): ("RP", "PRE", "ACT"). Rules of PRE hold for
        PREA, RREFD and those from ACT to REFPB for RFMPB; rules that are no distance have empty commands.
        """
        numbers = self._numbers()[2 * len(COMMANDS) :].reshape(2, len(self._rules), 3).sum(axis=0).tolist()
        counts = (RuleCount(tried=row[0], at_minimum=row[1], broken=row[2]) for row in numbers)
        return dict(zip(self._rules, counts, strict=True))  # type: ignore[arg-type]

    def violations(self) -> list[HbmViolation]:
        """The violations since they were last asked for, oldest first (at most 100,000 are kept)."""
        rows = np.frombuffer(self._ask("violations"), "<i8").reshape(-1, len(_VIOLATION)).tolist()
        found = []
        for row in rows:
            values = dict(zip(_VIOLATION, row, strict=True))
            values["command"] = (*COMMANDS, "")[values["command"]]
            values["rule"] = self._rules[values["rule"]][0]
            found.append(HbmViolation(**values))
        return found

    def _numbers(self) -> NDArray[np.uint64]:
        return np.frombuffer(self._ask("counts"), "<u8")

    def _ask(self, operation: str, data: bytes = b"") -> bytes:
        return self.call(_CODES[operation], data)


def _table(timing: TimingSet, *, refresh: str, strict: bool, channel: int) -> NDArray[np.int64]:
    """What configures the model: ``Parameters`` and ``Options`` of ``hbm_table.h``, then channel, strict, columns."""
    parameters: Sequence[int] = [timing[name] for name in MEANINGS]
    shape = timing.organization
    options: Mapping[str, int] = {
        "sids": shape.sids,
        "bank_groups": shape.bank_groups,
        "banks": shape.banks_per_group,
        "rows": shape.rows,
        "columns": shape.columns,
        "act_bus_half_ck": round(2 * shape.act_bus_ck),
        "row_bus_half_ck": round(2 * shape.row_bus_ck),
        "faw_per_sid": timing.faw_scope == "sid",
        "raaimt": timing.raaimt,
        "raammt": timing.raammt,
        "postpone": timing.refresh_postpone,
        "refresh": refresh != "off",
    }
    return np.array([*parameters, *options.values(), channel, strict, *COLUMNS[:DATA_BITS]], np.int64)

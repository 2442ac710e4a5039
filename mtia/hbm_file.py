"""Timing sets of a user's own, from TOML.

    name = "ours"              # the file's name without its suffix where it is left out
    base = "HBM3E-9.0"         # optional: everything not stated here is as there
    pin_gbps = 9.2             # with a base: its ns are held and rounded up to CK
    stack_gb = 24              # a known stack of the standard
    faw_scope = "sid"
    rtw_rule = true            # RTW = CL + BL + 2 - CWL
    raaimt = 64
    [organization]             # fields of `Organization`
    bank_groups = 8
    [parameters]
    CL = 31                    # CK
    RFCAB = { ns = 380, source = "data sheet 7" }

Without a base every parameter and every field without a default must be there.
"""

import dataclasses
import pathlib
import tomllib
from typing import Any

from .formats import unknown
from .hbm_organization import Organization
from .hbm_sets import SETS
from .hbm_timing import MEANINGS, Parameter, TimingSet, clocks

_OPTIONS = ("faw_scope", "raaimt", "raammt", "refresh_postpone")
_KEYS = ("name", "base", "pin_gbps", "stack_gb", "rtw_rule", *_OPTIONS, "organization", "parameters")
_FIELDS = {item.name: item for item in dataclasses.fields(Organization)}


def load(path: str | pathlib.Path) -> TimingSet:
    """The timing set of a TOML file, validated.

    Raises ValueError, one line with the file and the key: for a file that cannot be read or is no
    TOML, unknown keys (with the nearest), missing ones, values of the wrong kind or out of range,
    and values that contradict each other.
    """
    file = pathlib.Path(path)
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{file}: file must be readable, not: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: file must be TOML, not: {error}") from error
    try:
        return _build(table, file.stem)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file}: {error}") from error


def _known(where: str, table: object, allowed: list[str]) -> dict[str, Any]:
    """The table, all of whose keys are allowed."""
    if not isinstance(table, dict):
        raise ValueError(f"{where} must be a table, not {table!r}")
    for key in table:
        if key not in allowed:
            raise ValueError(unknown("Key" if where == "file" else f"Key in {where}", key, allowed))
    return table


def _require(table: dict[str, Any], *keys: str) -> None:
    missing = [key for key in keys if key not in table]
    if missing:
        raise ValueError(f"{missing[0]} must be given where there is no base")


def _build(table: dict[str, Any], stem: str) -> TimingSet:
    _known("file", table, list(_KEYS))
    base = _base(table)
    organization = _organization(table, base)
    parameters = _known("parameters", table.get("parameters", {}), list(MEANINGS))
    if base is None:
        _require(table, "pin_gbps", "raaimt", "raammt")
        _require(parameters, *MEANINGS)
    pin_gbps, tck = _rate(table, base, organization, parameters)
    rows = dict(base.parameters) if base else {}
    for name, value in parameters.items():
        rows[name] = _parameter(name, value, tck)
    options = {key: getattr(base, key) for key in _OPTIONS} if base else {}
    options.update({key: table[key] for key in _OPTIONS if key in table})
    made = TimingSet(
        name=table.get("name", stem),
        organization=organization,
        pin_gbps=pin_gbps,
        tck_ns=tck,
        parameters=rows,
        **options,
    )
    rule = table.get("rtw_rule", False)
    if not isinstance(rule, bool):
        raise ValueError(f"rtw_rule must be true or false, not {rule!r}")
    return made.with_options(rtw_rule=rule)


def _base(table: dict[str, Any]) -> TimingSet | None:
    """The set that the file starts from, at the file's pin rate."""
    if "base" not in table:
        return None
    if not isinstance(table["base"], str) or table["base"] not in SETS:
        raise ValueError(unknown("base", table["base"], list(SETS)))
    base = SETS[table["base"]]
    if table.get("pin_gbps", base.pin_gbps) == base.pin_gbps:
        return base
    return base.at_rate(table["pin_gbps"])


def _organization(table: dict[str, Any], base: TimingSet | None) -> Organization:
    fields = _known("organization", table.get("organization", {}), list(_FIELDS))
    if base is not None:
        start = base.organization.with_stack(table["stack_gb"]) if "stack_gb" in table else base.organization
        return dataclasses.replace(start, **fields)
    _require(fields, *(name for name, item in _FIELDS.items() if item.default is dataclasses.MISSING))
    made = Organization(**fields)
    return made.with_stack(table["stack_gb"]) if "stack_gb" in table else made


def _rate(
    table: dict[str, Any], base: TimingSet | None, organization: Organization, parameters: dict[str, Any]
) -> tuple[float, float]:
    """Gb/s a pin and ns of a CK."""
    if base is not None:
        return base.pin_gbps, base.tck_ns
    pin_gbps, burst = table["pin_gbps"], parameters["BL"]
    if not isinstance(pin_gbps, (int, float)) or not pin_gbps > 0:
        raise ValueError(f"pin_gbps must be a positive number, not {pin_gbps!r}")
    if not isinstance(burst, int) or burst < 1:
        raise ValueError(f"BL must be a positive number of CK, not {burst!r}")
    return pin_gbps, organization.burst_length / burst / pin_gbps


def _parameter(name: str, value: object, tck: float) -> Parameter:
    """A parameter from CK, or from a table of `ck` or `ns` and perhaps a `source`."""
    entry: dict[str, Any] = _known(name, value, ["ck", "ns", "source"]) if isinstance(value, dict) else {"ck": value}
    source, ns = str(entry.get("source", "user")), entry.get("ns")
    if ("ck" in entry) == (ns is not None):
        raise ValueError(f"{name} must have ck or ns, not {value!r}")
    if ns is not None:
        if not isinstance(ns, (int, float)) or isinstance(ns, bool) or not 0 < ns < 1e6:
            raise ValueError(f"{name} must be a positive number of ns, not {ns!r}")
        return Parameter(name=name, ck=clocks(ns, tck), ns=ns, source=source, meaning=MEANINGS[name])
    ck = entry["ck"]
    if not isinstance(ck, int) or isinstance(ck, bool):
        raise TypeError(f"{name} must be an integer number of CK, not {ck!r}")
    return Parameter(name=name, ck=ck, ns=ck * tck, source=source, meaning=MEANINGS[name])

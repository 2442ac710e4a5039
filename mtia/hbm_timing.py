"""What an HBM timing set is made of: parameters, options and an organization; validated.

`mtia.hbm` offers these types with the sets of the family. Standard library only.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from .checks import check_count
from .formats import unknown
from .hbm_organization import Organization

#: name -> what it says, in CK; from command to command within a pseudo-channel
MEANINGS: dict[str, str] = {
    "CL": "RD to the first data",
    "CWL": "WR to the first data",
    "BL": "data of a column command",
    "RCDRD": "ACT to RD, same bank",
    "RCDWR": "ACT to WR, same bank",
    "RP": "PRE to ACT or REFPB, same bank; PREA to REFAB",
    "RAS": "ACT to PRE, same bank",
    "RC": "ACT to ACT, same bank",
    "RRDS": "ACT to ACT, other bank group or SID",
    "RRDL": "ACT to ACT, same SID and bank group",
    "FAW": "window that holds at most four ACTs",
    "CCDS": "column command to one of its kind, other bank group of the SID",
    "CCDL": "column command to one of its kind, same SID and bank group",
    "CCDR": "column command to one of its kind, other SID",
    "WTRS": "WR to RD beyond CWL + BL, other bank group or SID",
    "WTRL": "WR to RD beyond CWL + BL, same SID and bank group",
    "RTP": "RD to PRE, same bank",
    "WR": "WR to PRE beyond CWL + BL, same bank",
    "RTW": "RD to WR",
    "RFCAB": "REFAB to any command",
    "RFCPB": "REFPB to ACT or REFPB, same bank",
    "RREFD": "REFPB to REFPB or ACT, and ACT to REFPB, other bank",
    "PPD": "PRE to PRE",
    "REFI": "time in which every bank is owed one refresh",
    "RFM": "RFMPB to ACT, same bank",
}

#: parameters that keep their CK when the clock changes; the others keep their ns
FLOORS: tuple[str, ...] = ("BL", "CCDS", "CCDL", "CCDR", "PPD")

#: where the limit of four ACTs in FAW holds
FAW_SCOPES: tuple[str, ...] = ("pseudo_channel", "sid")

#: pairs of parameters: the first is below the second, or at most equal to it
BELOW = (
    ("RCDRD", "RAS"),
    ("RCDWR", "RAS"),
    ("RAS", "RC"),
    ("RP", "RC"),
    ("RTP", "RAS"),
    ("RFCAB", "REFI"),
    ("RFCPB", "REFI"),
    ("RFM", "REFI"),
)
AT_MOST = (
    ("BL", "CCDS"),
    ("CCDS", "CCDL"),
    ("CCDS", "CCDR"),
    ("RRDS", "RRDL"),
    ("RRDL", "FAW"),
    ("WTRS", "WTRL"),
    ("RFCPB", "RFCAB"),
)


def clocks(ns: float, tck_ns: float) -> int:
    """CK that cover a time: both are taken as the nearest ratios of small numbers, so that 6 CK stay 6."""
    ratio = Fraction(ns).limit_denominator(1_000_000) / Fraction(tck_ns).limit_denominator(1_000_000)
    return math.ceil(ratio)


def _check_rate(pin_gbps: object) -> None:
    if not isinstance(pin_gbps, (int, float)) or isinstance(pin_gbps, bool) or not 0.1 <= pin_gbps <= 64:
        raise ValueError(f"pin_gbps must be in 0.1 to 64, not {pin_gbps!r}")


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A timing parameter: CK, the ns that the CK cover, and where it is from.

    name: of `MEANINGS`; ck: what controllers and checkers count; ns: what is held when the clock
    changes; source: a public file, or the word derived and from what; meaning: in words.
    """

    name: str
    ck: int
    ns: float
    source: str
    meaning: str = ""


@dataclass(frozen=True, kw_only=True)
class TimingSet:
    """The timing of a pseudo-channel, with the organization it belongs to; `timing["RCDRD"]` is in CK.

    name; organization; pin_gbps: Gb/s a pin; tck_ns: ns of a CK, in which a pseudo-channel moves
    half an atom; parameters: by the names of `MEANINGS`; faw_scope: of `FAW_SCOPES`; raaimt: a
    refresh of a bank, or an RFMPB, lowers the bank's count of ACTs by this; raammt: the count may
    not pass this (both 0: the standard has no RFM); refresh_postpone: refreshes a bank may be owed.

    Raises TypeError for an organization or a count of another kind; ValueError for unknown names (with the nearest),
    missing ones, values out of range and values that contradict each other.
    """

    name: str
    organization: Organization
    pin_gbps: float
    tck_ns: float
    parameters: Mapping[str, Parameter] = field(hash=False)
    faw_scope: str = "pseudo_channel"
    raaimt: int
    raammt: int
    refresh_postpone: int = 8

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"name must be a word, not {self.name!r}")
        if not isinstance(self.organization, Organization):
            raise TypeError(f"organization must be an Organization, not {self.organization!r}")
        _check_rate(self.pin_gbps)
        for item in self.parameters:
            if item not in MEANINGS:
                raise ValueError(unknown("Parameter", item, list(MEANINGS)))
        missing = [item for item in MEANINGS if item not in self.parameters]
        if missing:
            raise ValueError(f"parameters must be complete, not without {', '.join(missing)}")
        for item in MEANINGS:
            self._check_parameter(item)
        if self.faw_scope not in FAW_SCOPES:
            raise ValueError(f"faw_scope must be one of {', '.join(FAW_SCOPES)}, not {self.faw_scope!r}")
        check_count("raaimt", self.raaimt, 0, 1 << 16)
        check_count("raammt", self.raammt, 0, 1 << 16)
        check_count("refresh_postpone", self.refresh_postpone, 1, 8)
        self._check_consistency()

    def _check_parameter(self, name: str) -> None:
        row = self.parameters[name]
        check_count(name, row.ck, 1, (1 << 16) - 1)
        if row.ck < clocks(row.ns, self.tck_ns):
            raise ValueError(f"{name} must cover {row.ns:g} ns of {self.tck_ns:.4g} ns, not {row.ck!r} CK")

    def _check_consistency(self) -> None:
        expected = self.organization.burst_length / self["BL"] / self.pin_gbps
        if abs(self.tck_ns - expected) > 1e-6:
            raise ValueError(f"tck_ns must be burst_length / BL / pin_gbps = {expected:.6g}, not {self.tck_ns!r}")
        for low, high in BELOW:
            if self[low] >= self[high]:
                raise ValueError(f"{low} must be below {high} = {self[high]}, not {self[low]!r}")
        for low, high in AT_MOST:
            if self[low] > self[high]:
                raise ValueError(f"{low} must be at most {high} = {self[high]}, not {self[low]!r}")
        if self["RTW"] < self["CL"] + self["BL"] - self["CWL"]:
            least = self["CL"] + self["BL"] - self["CWL"]
            raise ValueError(f"RTW must be at least CL + BL - CWL = {least}, not {self['RTW']!r}")
        if self.organization.banks * self["RREFD"] >= self["REFI"]:
            raise ValueError(f"REFI must leave RREFD to each of {self.organization.banks} banks, not {self['REFI']!r}")
        if self.raammt < self.raaimt:
            raise ValueError(f"raammt must be at least raaimt = {self.raaimt}, not {self.raammt!r}")

    def __getitem__(self, name: str) -> int:
        if name not in self.parameters:
            raise KeyError(unknown("Parameter", name, list(MEANINGS)))
        return self.parameters[name].ck

    @property
    def pseudo_channel_gbs(self) -> float:
        """Peak of a pseudo-channel, GB/s."""
        return self.organization.dq * self.pin_gbps / 8

    @property
    def stack_gbs(self) -> float:
        """Peak of a stack, GB/s."""
        return self.organization.channels * self.organization.pseudo_channels * self.pseudo_channel_gbs

    def with_stack(self, gigabytes: int) -> "TimingSet":
        """This set on a stack of so many GiB; ValueError for a size that the standard's table lacks."""
        return replace(self, organization=self.organization.with_stack(gigabytes))

    def with_parameters(self, **ck: int) -> "TimingSet":
        """This set with some parameters, in CK, replaced (`timing.with_parameters(CCDL=6)`); checked as ever."""
        rows = dict(self.parameters)
        for name, value in ck.items():
            if name not in MEANINGS:
                raise ValueError(unknown("Parameter", name, list(MEANINGS)))
            check_count(name, value, 1, (1 << 16) - 1)
            rows[name] = replace(rows[name], ck=value, ns=value * self.tck_ns, source="user")
        return replace(self, parameters=rows)

    def with_options(
        self, *, faw_scope: str | None = None, rtw_rule: bool = False, bank_groups: int | None = None
    ) -> "TimingSet":
        """This set with the disputed points decided otherwise.

        faw_scope: where FAW holds; rtw_rule: RTW as the bus needs it, CL + BL + 2 - CWL, in place of
        the set's value; bank_groups: the SID's banks in so many groups (HBM4: 2 by default, or 4).
        """
        changed = self
        if faw_scope is not None:
            changed = replace(changed, faw_scope=faw_scope)
        if rtw_rule:
            rows = dict(changed.parameters)
            ck = self["CL"] + self["BL"] + 2 - self["CWL"]
            rows["RTW"] = replace(rows["RTW"], ck=ck, ns=ck * self.tck_ns, source="derived: CL + BL + 2 - CWL")
            changed = replace(changed, parameters=rows)
        if bank_groups is not None:
            changed = replace(changed, organization=self.organization.with_bank_groups(bank_groups))
        return changed

    def at_rate(self, pin_gbps: float, *, name: str | None = None) -> "TimingSet":
        """This set at another pin rate: ns held and rounded up to CK, those of `FLOORS` kept in CK."""
        _check_rate(pin_gbps)
        tck = self.organization.burst_length / self["BL"] / pin_gbps
        rows = {}
        for row in self.parameters.values():
            if row.name in FLOORS:
                ck, ns = row.ck, row.ck * tck
            else:
                ck, ns = clocks(row.ns, tck), row.ns
            rows[row.name] = replace(row, ck=ck, ns=ns, source=f"derived from {self.name}")
        name = name or f"{self.organization.standard}-{pin_gbps:.1f}"
        return replace(self, name=name, pin_gbps=pin_gbps, tck_ns=tck, parameters=rows)

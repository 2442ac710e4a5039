"""The HBM timing sets of the family, one column each. Second-hand: no vendor's figures are public.

Ref: Ramulator 2.1, `python/ramulator/dram/hbm2.py`, `hbm3.py`, `hbm4.py`: the presets HBM2 2.0 Gb/s,
HBM3 6.4 Gb/s (16 Gb, 8 dies) and HBM4 8.0 Gb/s (32 Gb, 8 dies).
Ref: `ini/HBM2_samsung_2M_16B_x64.ini` of Samsung's PIM simulator, for what HBM2 lacks there.

The other sets are derived: HBM3E from HBM3-6.4, HBM4 and HBM4E from HBM4-8.0, with ns held and
rounded up to CK, and with the CK of `mtia.hbm_timing.FLOORS` kept.
"""

from .hbm_organization import Organization
from .hbm_timing import FLOORS, MEANINGS, Parameter, TimingSet

_NAMES = ("HBM2-2.0", "HBM3-6.4", "HBM4-8.0", "HBM3E-8.0", "HBM3E-9.0", "HBM4-9.0", "HBM4E-13.5")

#: CK of each parameter, in the order of `_NAMES`
_CK: dict[str, tuple[int, int, int, int, int, int, int]] = {
    "CL": (14, 20, 20, 25, 29, 23, 34),
    "CWL": (5, 10, 10, 13, 15, 12, 17),
    "BL": (2, 2, 2, 2, 2, 2, 2),
    "RCDRD": (14, 31, 39, 39, 44, 44, 66),
    "RCDWR": (12, 15, 19, 19, 22, 22, 33),
    "RP": (14, 26, 33, 33, 37, 38, 56),
    "RAS": (34, 45, 57, 57, 64, 65, 97),
    "RC": (48, 72, 90, 90, 102, 102, 152),
    "RRDS": (4, 4, 5, 5, 6, 6, 9),
    "RRDL": (4, 5, 7, 7, 8, 8, 12),
    "FAW": (15, 24, 30, 30, 34, 34, 51),
    "CCDS": (2, 2, 2, 2, 2, 2, 2),
    "CCDL": (4, 4, 4, 4, 4, 4, 4),
    "CCDR": (3, 3, 2, 3, 3, 2, 2),
    "WTRS": (6, 7, 9, 9, 10, 11, 16),
    "WTRL": (8, 10, 13, 13, 15, 15, 22),
    "RTP": (5, 9, 12, 12, 13, 14, 21),
    "WR": (16, 33, 42, 42, 47, 48, 71),
    "RTW": (13, 20, 25, 25, 29, 29, 43),
    "RFCAB": (350, 560, 900, 700, 788, 1013, 1519),
    "RFCPB": (160, 320, 560, 400, 450, 630, 945),
    "RREFD": (8, 13, 16, 16, 18, 18, 27),
    "PPD": (1, 2, 2, 2, 2, 2, 2),
    "REFI": (3900, 6240, 7800, 7800, 8775, 8775, 13163),
    "RFM": (160, 320, 560, 400, 450, 630, 945),
}

#: set -> the set it is derived from
DERIVED: dict[str, str] = {
    "HBM3E-8.0": "HBM3-6.4",
    "HBM3E-9.0": "HBM3-6.4",
    "HBM4-9.0": "HBM4-8.0",
    "HBM4E-13.5": "HBM4-8.0",
}

#: times stated in ns that are no whole number of CK
_NS: dict[tuple[str, str], float] = {("HBM3-6.4", "RREFD"): 8.0}

_FILES = {"HBM2-2.0": "Ramulator 2.1 hbm2.py", "HBM3-6.4": "Ramulator 2.1 hbm3.py", "HBM4-8.0": "Ramulator 2.1 hbm4.py"}

#: sources that are not the set's own
_SOURCES: dict[tuple[str, str], str] = {
    ("HBM2-2.0", "CCDR"): "Samsung PIM simulator, HBM2_samsung_2M_16B_x64.ini",
    ("HBM2-2.0", "RTW"): "Ramulator 2.1 hbm2.py, CL + BL + 2 - CWL",
    ("HBM2-2.0", "PPD"): "derived: no limit beyond the row bus",
    ("HBM2-2.0", "RFM"): "derived: RFCPB, though HBM2 has no RFM",
    ("HBM3-6.4", "RREFD"): "Ramulator 2.1 hbm3.py, its rule max(3 CK, 8 ns); a preset of it has 8 CK",
    ("HBM3-6.4", "RFM"): "Ramulator 2.1 hbm3.py, equal to RFCPB",
    ("HBM4-8.0", "RREFD"): "Ramulator 2.1 hbm4.py, its rule max(3 CK, 8 ns)",
    ("HBM4-8.0", "RFM"): "Ramulator 2.1 hbm4.py, equal to RFCPB",
}

_SECOND_HAND = "second-hand: Ramulator 2.1 and the counts of channels that are public; stacks of 24 Gb dies are derived"


def _hbm3(standard: str, stack_gb: int) -> Organization:
    return Organization(
        standard=standard,
        channels=16,
        sids=1,
        bank_groups=4,
        banks_per_group=4,
        rows=16384,
        dq=32,
        burst_length=8,
        stack_height=4,
        act_bus_ck=1.5,
        row_bus_ck=0.5,
        source=_SECOND_HAND,
    ).with_stack(stack_gb)


def _hbm4(standard: str, stack_gb: int) -> Organization:
    return Organization(
        standard=standard,
        channels=32,
        sids=1,
        bank_groups=2,
        banks_per_group=8,
        rows=16384,
        dq=32,
        burst_length=8,
        stack_height=4,
        act_bus_ck=1.5,
        row_bus_ck=0.5,
        source=f"{_SECOND_HAND}; HBM4E is taken to be divided as HBM4",
    ).with_stack(stack_gb)


_HBM2 = Organization(
    standard="HBM2",
    channels=8,
    sids=1,
    bank_groups=4,
    banks_per_group=4,
    rows=32768,
    dq=64,
    burst_length=4,
    stack_height=4,
    act_bus_ck=2,
    row_bus_ck=1,
    source=_SECOND_HAND,
)

_ORGANIZATIONS = {
    "HBM2-2.0": _HBM2,
    "HBM3-6.4": _hbm3("HBM3", 16),
    "HBM4-8.0": _hbm4("HBM4", 36),
    "HBM3E-8.0": _hbm3("HBM3E", 36),
    "HBM3E-9.0": _hbm3("HBM3E", 36),
    "HBM4-9.0": _hbm4("HBM4", 36),
    "HBM4E-13.5": _hbm4("HBM4E", 48),
}

#: RAAIMT and RAAMMT: the threshold of Ramulator's RFM manager, and three times it (derived)
_RFM = {"HBM2": (0, 0)}
_RFM_DEFAULT = (80, 240)


def _tck(name: str) -> float:
    organization = _ORGANIZATIONS[name]
    return organization.burst_length / 2 / float(name.split("-")[1])


def _parameter(name: str, item: str) -> Parameter:
    origin = DERIVED.get(name, name)
    owner = name if item in FLOORS else origin
    ns = _NS.get((origin, item), _CK[item][_NAMES.index(owner)] * _tck(owner))
    source = f"derived from {origin}" if name in DERIVED else _SOURCES.get((name, item), _FILES[name])
    return Parameter(name=item, ck=_CK[item][_NAMES.index(name)], ns=ns, source=source, meaning=MEANINGS[item])


def _timing_set(name: str) -> TimingSet:
    organization = _ORGANIZATIONS[name]
    raaimt, raammt = _RFM.get(organization.standard, _RFM_DEFAULT)
    return TimingSet(
        name=name,
        organization=organization,
        pin_gbps=float(name.split("-")[1]),
        tck_ns=_tck(name),
        parameters={item: _parameter(name, item) for item in MEANINGS},
        raaimt=raaimt,
        raammt=raammt,
    )


#: the sets by name; the first three are public presets, the others derived from them
SETS: dict[str, TimingSet] = {name: _timing_set(name) for name in _NAMES}

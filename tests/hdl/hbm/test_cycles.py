"""Distances in controller cycles: each is the least that the commands' places in their cycles allow."""

from dataclasses import fields, replace

import pytest

from hdl.hbm.cycles import Cycles
from mtia import hbm

#: field -> its CK, from what to what; places: column commands at the pseudo-channel's number
ROWS = {
    "rcd_read": ("RCDRD", "act", "column"),
    "rcd_write": ("RCDWR", "act", "column"),
    "ras": ("RAS", "act", "maintain"),
    "rc": ("RC", "act", "act"),
    "rp": ("RP", "maintain", "act"),
    "rp_refresh": ("RP", "maintain", "maintain"),
    "rrd_short": ("RRDS", "act", "act"),
    "rrd_long": ("RRDL", "act", "act"),
    "faw": ("FAW", "act", "act"),
    "ccd_long": ("CCDL", "column", "column"),
    "ccd_sid": ("CCDR", "column", "column"),
    "read_to_write": ("RTW", "column", "column"),
    "write_to_read_short": ("CWL+BL+WTRS", "column", "column"),
    "write_to_read_long": ("CWL+BL+WTRL", "column", "column"),
    "read_to_pre": ("RTP", "column", "maintain"),
    "write_to_pre": ("CWL+BL+WR", "column", "maintain"),
    "rfc_bank": ("RFCPB", "maintain", "act"),
    "rfc_all": ("RFCAB", "maintain", "act"),
    "rfm": ("RFM", "maintain", "act"),
    "rfc_bank_refresh": ("RFCPB", "maintain", "maintain"),
    "rfm_refresh": ("RFM", "maintain", "maintain"),
    "refresh_gap": ("RREFD", "maintain", "maintain"),
    "refresh_to_act": ("RREFD", "maintain", "act"),
    "rc_refresh": ("RC", "act", "maintain"),
}


def ck(timing, words):
    """The sum of the parameters that are named."""
    return sum(timing[word] for word in words.split("+"))


@pytest.mark.parametrize("pc", [0, 1])
@pytest.mark.parametrize("name", hbm.names())
def test_least_distance(name, pc):
    """A command so many cycles later keeps the constraint; one cycle earlier it would not."""
    timing = hbm.get(name)
    cycles = Cycles.of(timing, pc=pc)
    places = {"act": 0, "maintain": 1, "column": pc}
    for field, (words, start, end) in ROWS.items():
        apart = 2 * getattr(cycles, field) + places[end] - places[start]
        assert apart >= ck(timing, words), field
        assert apart - 2 < ck(timing, words), field


@pytest.mark.parametrize("name", hbm.names())
def test_what_is_no_distance(name):
    timing = hbm.get(name)
    cycles = Cycles.of(timing, pc=0)
    assert cycles.refi == timing["REFI"] // 2
    assert cycles.postpone == timing.refresh_postpone
    assert (cycles.raaimt, cycles.raammt) == (timing.raaimt, timing.raammt)
    latency = timing["CL"] + timing["BL"]
    assert latency <= 2 * cycles.read_latency < latency + 2
    # an ACT may be followed by a refresh of another bank as by an ACT of its bank group
    assert timing["RRDL"] <= 2 * cycles.act_to_refresh + 1 < timing["RRDL"] + 2


def test_hbm3_by_hand():
    """HBM3-6.4: RCDRD is 31 CK, an RD of pseudo-channel 0 starts with its cycle, one of 1 a CK later."""
    timing = hbm.get("HBM3-6.4")
    assert [Cycles.of(timing, pc=pc).rcd_read for pc in (0, 1)] == [16, 15]
    assert [Cycles.of(timing, pc=pc).read_to_pre for pc in (0, 1)] == [4, 5]
    assert Cycles.of(timing, pc=0).rp == 14
    assert Cycles.of(timing, pc=0).rp_refresh == 13


@pytest.mark.parametrize("field", [each.name for each in fields(Cycles)])
@pytest.mark.parametrize("value", [-1, 1.5, None])
def test_values_wrong(field, value):
    with pytest.raises(ValueError, match=f"{field} must be at least 0, not {value!r}"):
        replace(Cycles.of(hbm.get("HBM3-6.4"), pc=0), **{field: value})


@pytest.mark.parametrize("field", ["rcd_read", "rcd_write"])
def test_row_open_too_short(field):
    cycles = Cycles.of(hbm.get("HBM3-6.4"), pc=0)
    with pytest.raises(ValueError, match=f"ras must be at least rcd_read and rcd_write, not {cycles.ras}"):
        replace(cycles, **{field: cycles.ras + 1})

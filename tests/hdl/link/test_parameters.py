"""Parameters of a link: ranges, widths, bounds that follow."""

import pytest

from mtia.link import CrcParameters, LinkParameters
from mtia.message import width


def test_frame_is_72_bytes():
    assert width(LinkParameters().frame) == 576
    assert width(LinkParameters().control) == 32


def test_bounds():
    """Wire 32: an answer is 2 x 32 and the turns at both ends away; what waits, waits for coalescing as well."""
    p = LinkParameters()
    assert (p.replay_gap, p.round_trip, p.timeout) == (74, 80, 168)
    assert p.down_bound == 32 + 8 * 168 + 3
    assert p.recovery_bound == 80 + 168 + 32 + 5 + 3
    assert LinkParameters(timeout_cycles=500).timeout == 500


def test_rate():
    p = LinkParameters()
    assert p.rate(0) == 1
    assert p.rate(0.01) == pytest.approx(0.99 / 1.73)
    assert LinkParameters(wire=200).rate(0) == pytest.approx(128 / 416)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("flit_bits", 0, "in 1 to 512"),
        ("sequence_bits", 10, "in 2 to 9"),
        ("credit_bits", 1, "in 2 to 8"),
        ("replay", 512, "in 2 to 256"),
        ("replay", 96, "a power of two"),
        ("buffer", 256, "in 2 to 128"),
        ("buffer", 100, "a power of two"),
        ("wire", -1, "in 0 to 4096"),
        ("coalesce", 65, "in 0 to 64"),
        ("retries", 0, "in 1 to 64"),
        ("timeout_cycles", 79, "at least the round trip of 80"),
    ],
)
def test_wrong(name, value, rule):
    with pytest.raises(ValueError, match=f"Link {name} must be {rule}, not {value}"):
        LinkParameters(**{name: value})


def test_crc_wrong():
    with pytest.raises(ValueError, match="CRC bits must be in 1 to 64, not 0"):
        CrcParameters(bits=0)
    with pytest.raises(ValueError, match="CRC polynomial must fit 8 bits and not be 0, not 256"):
        CrcParameters(bits=8, polynomial=256)

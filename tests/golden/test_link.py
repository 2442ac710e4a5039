"""Frames of a link and go-back-N, against published values and code of others."""

import zlib

import numpy as np
import pytest

from golden import link
from mtia.link import CRC32C, CrcParameters, LinkParameters
from mtia.message import width

PARAMETERS = LinkParameters()
#: CRC-32/ISO-HDLC, which zlib has
CRC32 = CrcParameters(polynomial=0x04C11DB7)


def test_crc_check_value():
    """The check value of CRC-32/ISCSI in the catalogue of parametrised CRC algorithms."""
    assert link.crc(b"123456789") == 0xE3069283


def test_crc_published_blocks():
    """Ref: RFC 3720 B.4: 32 bytes of zeros, of ones, ascending, descending."""
    for data, value in (
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(reversed(range(32))), 0x113FDB5C),
    ):
        assert link.crc(data) == value


def test_crc_of_zlib(seed):
    rng = np.random.default_rng(seed)
    for length in (0, 1, 7, 68, 200):
        data = rng.bytes(length)
        assert link.crc(data, parameters=CRC32) == zlib.crc32(data)


def test_crc_of_bits(seed):
    word = int.from_bytes(np.random.default_rng(seed).bytes(9), "little")
    assert link.crc(word, bits=72) == link.crc(word.to_bytes(9, "little"))
    assert link.crc(5, bits=3, parameters=CrcParameters(bits=1, polynomial=1)) == 1 ^ 1 ^ 0 ^ 1 ^ 1


def test_crc_wrong():
    with pytest.raises(TypeError, match="Bits must be given with an integer, not None"):
        link.crc(3)
    with pytest.raises(ValueError, match="Data must fit 3 bits, not 8"):
        link.crc(8, bits=3)


def test_frame(seed):
    """The CRC covers all 68 bytes before it; what was encoded is decoded; no few wrong bits pass."""
    rng = np.random.default_rng(seed)
    fields = {"data": int.from_bytes(rng.bytes(64), "little"), "kind": 0, "vc": 1, "head": 1, "last": 0}
    fields |= {"sequence": 300, "acknowledge": 511, "credit_vc": 0, "credit": 129}
    frame = link.encode(PARAMETERS, fields)
    assert frame.bit_length() <= width(PARAMETERS.frame) == 576
    data = frame.to_bytes(72, "little")
    assert int.from_bytes(data[68:], "little") == link.crc(data[:68])
    assert link.decode(PARAMETERS, frame) == (fields, True)
    for wrong in range(1, 6):
        flips = sum(1 << int(bit) for bit in rng.choice(576, wrong, replace=False))
        assert not link.decode(PARAMETERS, frame ^ flips)[1]


def test_frame_wrong():
    with pytest.raises(ValueError, match="sequence must fit 9 bits, not 512"):
        link.encode(PARAMETERS, {"sequence": 512})
    with pytest.raises(ValueError, match="Field must be one of"):
        link.encode(PARAMETERS, {"crc": 1})
    with pytest.raises(ValueError, match="Word must be from 0"):
        link.decode(PARAMETERS, 1 << 576)


def test_go_back_n_by_hand():
    failures = np.array([0, 0, 1, 1, 1, 0, 1, 0, 0], bool)
    assert link.go_back_n(failures, gap=3) == 2 + 1 + 0
    assert link.go_back_n(failures, gap=1) == 5
    assert link.go_back_n(np.zeros(7, bool), gap=4) == 7
    with pytest.raises(ValueError, match="Gap must be at least 1, not 0"):
        link.go_back_n(failures, gap=0)


@pytest.mark.parametrize("error_rate", [0, 1e-4, 1e-3, 1e-2, 0.1])
def test_rate_is_that_of_the_slots(error_rate, seed):
    """The formula, against 10^6 slots with random failures: within 5 standard deviations of the failures' number."""
    slots, gap = 1_000_000, PARAMETERS.replay_gap
    failures = np.random.default_rng(seed).random(slots) < error_rate
    measured = link.go_back_n(failures, gap=gap) / slots
    rate = PARAMETERS.rate(error_rate)
    assert measured == pytest.approx(rate, abs=1e-6 + 5 * gap * np.sqrt(error_rate / slots) * rate)


def test_check_is_of_the_parameters():
    assert PARAMETERS.crc == CRC32C

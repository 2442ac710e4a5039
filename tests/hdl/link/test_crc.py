"""CRC as parities of masked words, against the golden bitwise one and Amaranth's."""

import random

import pytest
from amaranth.hdl import Cat
from amaranth.lib.crc import catalog

from golden import link
from hdl.link.crc import crc_bits, masks
from mtia.link import CRC32C, CrcParameters

from ..pysim import logic, run


@pytest.mark.parametrize("width", [9, 72, 544])
def test_against_golden(width, seed):
    rng = random.Random(seed)
    m, inputs, outputs = logic(lambda _m, word: [Cat(*crc_bits(CRC32C, word))], width)
    words = [0, (1 << width) - 1, *(rng.getrandbits(width) for _ in range(20))]
    results = run(m, inputs, outputs, [(word,) for word in words])
    assert results == [(link.crc(word, bits=width),) for word in words]


def test_against_library(seed):
    """Amaranth's CRC-32/ISCSI over the 68 bytes of a frame, a byte a step and all in one."""
    rng = random.Random(seed)
    rows, zeros = masks(CRC32C, 544)
    for _ in range(10):
        word = rng.getrandbits(544)
        mine = zeros ^ sum(((word & row).bit_count() & 1) << bit for bit, row in enumerate(rows))
        assert mine == catalog.CRC32_ISCSI(data_width=8).compute(word.to_bytes(68, "little"))
        assert mine == catalog.CRC32_ISCSI(data_width=544).compute([word])


@pytest.mark.parametrize("parameters", [CrcParameters(bits=1, polynomial=1), CrcParameters(bits=16, polynomial=0x1021)])
def test_other_crcs(parameters, seed):
    rng = random.Random(seed)
    rows, zeros = masks(parameters, 50)
    for _ in range(50):
        word = rng.getrandbits(50)
        mine = zeros ^ sum(((word & row).bit_count() & 1) << bit for bit, row in enumerate(rows))
        assert mine == link.crc(word, bits=50, parameters=parameters)

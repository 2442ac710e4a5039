"""Check bits and corrections of the RTL, bit for bit: every single and double error, poison, random words."""

import itertools

import numpy as np
import pytest

from golden import ecc as golden
from hdl.hbm.commands import Status
from hdl.hbm.ecc import Decode, Encode
from mtia.hbm_ecc import CHECK_BITS, COLUMNS, DATA_BITS, POISON
from tb.lane import Lane

from .timed import Timed

pytestmark = pytest.mark.sim

BITS = DATA_BITS + CHECK_BITS
PAIRS = np.array(list(itertools.combinations(range(BITS), 2)))


@pytest.fixture(scope="module")
def decoder():
    return Lane(Timed(inner=Decode()), name="ecc_decode")


def atoms(seed, count):
    return np.random.default_rng(seed).integers(0, 256, (count, 32), np.uint8)


def flip(data, check, *positions):
    """Stored words with a bit flipped at each position, one position an array and word."""
    data, check = data.copy(), check.copy()
    rows = np.arange(len(data))
    for place in positions:
        inside = place < DATA_BITS
        data[rows[inside], place[inside] >> 3] ^= np.left_shift(1, place[inside] & 7).astype(np.uint8)
        check[~inside] ^= np.left_shift(1, place[~inside] - DATA_BITS).astype(np.uint16)
    return data, check


def read(decoder, data, check):
    """Data (n, 32), status and syndrome of stored words."""
    decoder.reset()
    decoder.push("i", {"data": np.ascontiguousarray(data).view("<u4"), "check": check})
    assert decoder.run({"o": len(data)}) == len(data) + Decode.latency
    fields = decoder.pull_fields("o")
    return np.ascontiguousarray(fields["result"], "<u4").view(np.uint8), fields["status"], fields["syndrome"]


def test_encode(seed):
    data = atoms(seed, 3000)
    data[:256] = np.packbits(np.eye(256, dtype=np.uint8), axis=1, bitorder="little")
    data[256:258] = [[0], [255]]
    poison = np.random.default_rng(seed).integers(0, 2, len(data), np.uint8)
    lane = Lane(Timed(inner=Encode()), name="ecc_encode")
    lane.push("i", {"data": data.view("<u4"), "poison": poison})
    assert lane.run({"o": len(data)}) == len(data) + Encode.latency
    np.testing.assert_array_equal(lane.pull_fields("o")["check"], golden.encode(data, poison=poison == 1))


def test_clean_and_poisoned_words(decoder, seed):
    data = atoms(seed, 2000)
    for poison, status in ((False, Status.OK), (True, Status.POISON)):
        result, found, syndrome = read(decoder, data, golden.encode(data, poison=poison))
        np.testing.assert_array_equal(result, data)
        assert (found == status.value).all()
        assert (syndrome == POISON * poison).all()


def test_every_single_error_is_corrected(decoder, seed):
    data = np.repeat(atoms(seed, 4), BITS, axis=0)
    place = np.tile(np.arange(BITS), 4)
    result, status, syndrome = read(decoder, *flip(data, golden.encode(data), place))
    np.testing.assert_array_equal(result, data)
    assert (status == Status.CORRECTED.value).all()
    np.testing.assert_array_equal(syndrome, np.array(COLUMNS)[place])


def test_every_double_error_is_detected(decoder, seed):
    data = atoms(seed, len(PAIRS))
    stored = flip(data, golden.encode(data), PAIRS[:, 0], PAIRS[:, 1])
    result, status, _ = read(decoder, *stored)
    assert len(PAIRS) == 35_245
    assert (status == Status.UNCORRECTABLE.value).all()
    np.testing.assert_array_equal(result, stored[0])


def test_poison_with_an_error_is_never_taken_for_data(decoder, seed):
    data = atoms(seed, BITS)
    _, status, _ = read(decoder, *flip(data, golden.encode(data, poison=True), np.arange(BITS)))
    assert (status == Status.UNCORRECTABLE.value).all()


def test_any_word_is_as_golden_says(decoder, seed):
    """Every syndrome with random data, so most words hold three errors or more."""
    data = atoms(seed, 8 << CHECK_BITS)
    check = golden.encode(data) ^ np.tile(np.arange(1 << CHECK_BITS, dtype=np.uint16), 8)
    result, status, syndrome = read(decoder, data, check)
    expected = golden.decode(data, check)
    np.testing.assert_array_equal(result, expected.data)
    np.testing.assert_array_equal(status, expected.status)
    np.testing.assert_array_equal(syndrome, golden.encode(data) ^ check)


def test_status_codes_are_golden_s():
    assert {item.name: item.value for item in golden.Status} == {
        item.name: item.value for item in Status if item is not Status.ADDRESS
    }

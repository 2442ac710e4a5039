"""The code of an atom: its properties, every single and double error, poison, against bit matrices."""

import itertools

import numpy as np
import pytest

from golden.ecc import Status, decode, encode
from mtia.hbm_ecc import CHECK_BITS, COLUMNS, DATA_BITS, POISON

BITS = DATA_BITS + CHECK_BITS


def bits_of(values: np.ndarray, width: int) -> np.ndarray:
    """The low bits of integers, least significant first: (n, width)."""
    return (np.asarray(values)[:, None].astype(np.int64) >> np.arange(width)) & 1


#: parity check matrix (266, 10), a column of the code a row
MATRIX = bits_of(np.array(COLUMNS), CHECK_BITS)


def words(data: np.ndarray, check: np.ndarray) -> np.ndarray:
    """Codewords as bits (n, 266)."""
    return np.concatenate([np.unpackbits(data, axis=1, bitorder="little"), bits_of(check, CHECK_BITS)], axis=1)


def split(word: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Data (n, 32) and check bits (n,) of words (n, 266)."""
    data = np.packbits(word[:, :DATA_BITS].astype(np.uint8), axis=1, bitorder="little")
    return data, (word[:, DATA_BITS:] << np.arange(CHECK_BITS)).sum(axis=1).astype(np.uint16)


def atoms(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 32), np.uint8)


def flips(*positions: np.ndarray) -> np.ndarray:
    """Bits to flip (n, 266), one position an array and row."""
    error = np.zeros((len(positions[0]), BITS), np.int64)
    for column in positions:
        error[np.arange(len(column)), column] ^= 1
    return error


PAIRS = np.array(list(itertools.combinations(range(BITS), 2)))


def test_columns_are_distinct_and_odd() -> None:
    assert len(COLUMNS) == BITS == len(set(COLUMNS))
    weights = [column.bit_count() for column in COLUMNS]
    assert weights[:DATA_BITS].count(3) == 120
    assert weights[:DATA_BITS].count(5) == 136
    assert list(COLUMNS[DATA_BITS:]) == [1 << bit for bit in range(CHECK_BITS)]


def test_rows_are_balanced() -> None:
    assert MATRIX[:DATA_BITS].sum(axis=0).tolist() == [104] * CHECK_BITS


def test_poison_is_three_flips_from_the_code() -> None:
    assert POISON.bit_count() % 2 == 1
    assert POISON not in COLUMNS
    assert all(POISON ^ a ^ b for a, b in itertools.combinations(COLUMNS, 2))
    assert any(a ^ b ^ c == POISON for a, b, c in itertools.combinations(COLUMNS, 3))


def test_double_errors_that_hide_poison() -> None:
    """The figure that the choice of the columns rests on."""
    sums = np.array(COLUMNS)[PAIRS[:, 0]] ^ np.array(COLUMNS)[PAIRS[:, 1]] ^ POISON
    assert len(PAIRS) == 35_245
    assert np.isin(sums, COLUMNS).sum() == 15_300


def test_encode_is_the_matrix_product(seed: int) -> None:
    data = atoms(seed, 2000)
    data[:2] = [[0], [255]]
    product = np.unpackbits(data, axis=1, bitorder="little") @ MATRIX[:DATA_BITS] % 2
    np.testing.assert_array_equal(bits_of(encode(data), CHECK_BITS), product)
    assert not (words(data, encode(data)) @ MATRIX % 2).any()


def test_round_trip(seed: int) -> None:
    data = atoms(seed, 2000)
    found = decode(data, encode(data))
    np.testing.assert_array_equal(found.data, data)
    assert (found.status == Status.OK).all()
    assert (found.position == -1).all()


def test_every_single_error_is_corrected(seed: int) -> None:
    data = np.repeat(atoms(seed, 5), BITS, axis=0)
    place = np.tile(np.arange(BITS), 5)
    found = decode(*split(words(data, encode(data)) ^ flips(place)))
    np.testing.assert_array_equal(found.data, data)
    assert (found.status == Status.CORRECTED).all()
    np.testing.assert_array_equal(found.position, place)


def test_every_double_error_is_detected(seed: int) -> None:
    data = atoms(seed, len(PAIRS))
    stored = split(words(data, encode(data)) ^ flips(PAIRS[:, 0], PAIRS[:, 1]))
    found = decode(*stored)
    assert (found.status == Status.UNCORRECTABLE).all()
    np.testing.assert_array_equal(found.data, stored[0])
    assert (found.position == -1).all()


def test_poison_and_poison_with_an_error(seed: int) -> None:
    data = atoms(seed, BITS)
    poisoned = encode(data, poison=True)
    assert (decode(data, poisoned).status == Status.POISON).all()
    found = decode(*split(words(data, poisoned) ^ flips(np.arange(BITS))))
    assert (found.status == Status.UNCORRECTABLE).all()


def test_poison_is_chosen_for_each_word(seed: int) -> None:
    data, poison = atoms(seed, 4), np.array([False, True, True, False])
    assert decode(data, encode(data, poison=poison)).status.tolist() == [0, 2, 2, 0]


def test_every_syndrome() -> None:
    """Of words of zeros, whose check bits are the syndrome: status and data follow from the table alone."""
    check = np.arange(1 << CHECK_BITS, dtype=np.uint16)
    found = decode(np.zeros((len(check), 32), np.uint8), check)
    for syndrome in check.tolist():
        place = COLUMNS.index(syndrome) if syndrome in COLUMNS else -1
        expected = Status.CORRECTED if place >= 0 else {0: Status.OK, POISON: Status.POISON}.get(syndrome, 3)
        assert found.status[syndrome] == expected
        assert found.position[syndrome] == place
        data = np.unpackbits(found.data[syndrome], bitorder="little")
        assert np.nonzero(data)[0].tolist() == ([place] if 0 <= place < DATA_BITS else [])


def test_empty() -> None:
    none = np.zeros((0, 32), np.uint8)
    assert encode(none).shape == (0,)
    assert decode(none, encode(none)).data.shape == (0, 32)


GOOD = np.zeros((2, 32), np.uint8)


@pytest.mark.parametrize("data", [np.zeros((2, 31), np.uint8), np.zeros(32, np.uint8)])
def test_data_of_wrong_shape(data: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"^Data must be of shape \(n, 32\), not \("):
        encode(data)


def test_data_of_wrong_kind() -> None:
    with pytest.raises(TypeError, match=r"^Data must be of dtype uint8, not 'int64'$"):
        decode(GOOD.astype(np.int64), np.zeros(2, np.uint16))


def test_check_of_wrong_kind() -> None:
    with pytest.raises(TypeError, match=r"^Check bits must be of dtype uint16, not 'int64'$"):
        decode(GOOD, np.zeros(2, np.int64))


def test_check_of_wrong_shape() -> None:
    with pytest.raises(ValueError, match=r"^Check bits must be of shape \(2,\), not \(3,\)$"):
        decode(GOOD, np.zeros(3, np.uint16))


def test_check_of_wrong_range() -> None:
    with pytest.raises(ValueError, match=r"^Check bits must be below 1024, not 1024$"):
        decode(GOOD, np.array([0, 1024], np.uint16))

"""The checks of fields that the parameters of blocks share."""

from dataclasses import dataclass

import pytest

from mtia.checks import check_count, check_counts, check_powers


@dataclass
class Row:
    depth: object = 4


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (True, TypeError, r"^Row depth must be an integer, not True$"),
        ("4", TypeError, r"^Row depth must be an integer, not '4'$"),
        (4.0, TypeError, r"^Row depth must be an integer, not 4\.0$"),
        (1, ValueError, r"^Row depth must be in 2 to 8, not 1$"),
        (9, ValueError, r"^Row depth must be in 2 to 8, not 9$"),
    ],
)
def test_wrong(value, error, words):
    with pytest.raises(error, match=words):
        check_count("Row depth", value, 2, 8)
    with pytest.raises(error, match=words):
        check_counts("Row ", Row(value), {"depth": (2, 8)})


def test_no_power_of_two():
    with pytest.raises(ValueError, match=r"^Row depth must be a power of two, not 6$"):
        check_powers("Row ", Row(6), ["depth"])


def test_right():
    for value in (2, 8):
        check_counts("Row ", Row(value), {"depth": (2, 8)})
    for value in (0, 1, 8):
        check_powers("Row ", Row(value), ["depth"])

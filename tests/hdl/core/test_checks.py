"""The grammar of parameter errors."""

import pytest
from amaranth.hdl import unsigned

from hdl.core.checks import require_bool, require_int, require_shape


def test_values_come_back():
    assert require_int("Depth", 3, low=3, high=3) == 3
    assert require_bool("Switch", False) is False
    assert require_shape("Shape", unsigned(1)) == unsigned(1)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1, ValueError, "Depth must be in 2 to 4, not 1"),
        (5, ValueError, "Depth must be in 2 to 4, not 5"),
        (True, TypeError, "Depth must be an integer, not True"),
        ("3", TypeError, "Depth must be an integer, not '3'"),
    ],
)
def test_int_wrong(value, error, text):
    with pytest.raises(error, match=text):
        require_int("Depth", value, low=2, high=4)


def test_int_without_upper_bound():
    with pytest.raises(ValueError, match="Depth must be at least 2, not 1"):
        require_int("Depth", 1, low=2)


def test_bool_wrong():
    with pytest.raises(TypeError, match="Switch must be a bool, not 0"):
        require_bool("Switch", 0)


def test_shape_wrong():
    with pytest.raises(TypeError, match="Payload must be a shape, not 'x'"):
        require_shape("Payload", "x")
    with pytest.raises(ValueError, match=r"Payload must be at least one bit wide, not unsigned\(0\)"):
        require_shape("Payload", unsigned(0))

# amaranth: UnusedElaboratable=no
# (a component whose parameters are refused is never elaborated)
"""Division by a constant, proved for every dividend: in the simulator up to 8 bits, verilated for the widths in use."""

import numpy as np
import pytest

from hdl.hbm.divide import DivideByConstant
from tb.lane import Lane
from tests.hdl.pysim import run

from .timed import Timed


class Divide(DivideByConstant):
    """As a lane takes it."""

    latency = 0


@pytest.mark.parametrize("divisor", range(2, 17))
@pytest.mark.parametrize("width", [1, 2, 3, 7, 8])
def test_every_dividend(divisor: int, width: int) -> None:
    dut = DivideByConstant(width=width, divisor=divisor)
    rows = run(dut, [dut.dividend], [dut.quotient, dut.remainder], ([value] for value in range(1 << width)))
    assert rows == [divmod(value, divisor) for value in range(1 << width)]


@pytest.mark.sim
@pytest.mark.parametrize("divisor, width", [(3, 16), (3, 17), (7, 18)])
def test_every_wide_dividend(divisor: int, width: int) -> None:
    """16 and 17 bits are the rests of the 36 and 48 GB stacks; 7 has the widest tables of up to 8 SIDs."""
    dividend = np.arange(1 << width, dtype=np.uint32)
    lane = Lane(Timed(inner=Divide(width=width, divisor=divisor)), name="divide")
    lane.push("i", {"dividend": dividend})
    assert lane.run({"o": len(dividend)}) == len(dividend)
    found = lane.pull_fields("o")
    np.testing.assert_array_equal(found["quotient"], dividend // divisor)
    np.testing.assert_array_equal(found["remainder"], dividend % divisor)


def test_widths() -> None:
    dut = DivideByConstant(width=17, divisor=3)
    assert (dut.width, dut.divisor, len(dut.quotient), len(dut.remainder)) == (17, 3, 16, 2)
    assert len(DivideByConstant(width=1, divisor=16).quotient) == 1


@pytest.mark.parametrize(
    "width, divisor, message",
    [
        (0, 3, "Width of the dividend must be at least 1, not 0"),
        (8, 1, "Divisor must be in 2 to 16, not 1"),
        (8, 17, "Divisor must be in 2 to 16, not 17"),
    ],
)
def test_range_wrong(width: int, divisor: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        DivideByConstant(width=width, divisor=divisor)


def test_kind_wrong() -> None:
    with pytest.raises(TypeError, match=r"^Width of the dividend must be an integer, not 8\.0$"):
        DivideByConstant(width=8.0, divisor=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^Divisor must be an integer, not '3'$"):
        DivideByConstant(width=8, divisor="3")  # type: ignore[arg-type]

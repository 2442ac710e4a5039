# amaranth: UnusedElaboratable=no
"""A link as Verilog: nothing that Verilator has to say, the same text each time, two bits each of one flit type."""

import pytest

from hdl.emit import emit
from hdl.link.flit import Flit
from hdl.link.frame import flit, frame
from hdl.link.link import Link
from mtia.link import LinkParameters
from tb import verilator

from .benches import FULL, SMALL


@pytest.mark.sim
@pytest.mark.parametrize("parameters", [FULL, SMALL], ids=["full", "small"])
def test_lint(parameters):
    emitted = emit(Link(parameters=parameters), name="top")
    verilator.lint(emitted.verilog)
    assert emit(Link(parameters=parameters), name="top").verilog == emitted.verilog


def test_types():
    assert flit(FULL) == Flit
    assert frame(FULL).size == 576
    assert Link(parameters=FULL).parameters == LinkParameters()

"""Verilator has nothing to say about the emitted helpers but what the flow silences by name."""

import pytest
from amaranth.lib import wiring

from hdl.core.arbiter import Arbiter
from hdl.core.fifo import Queue
from hdl.core.stream import Fork, Join, Skid
from hdl.emit import emit
from tb import verilator

from .parts import Command, Nest

BLOCKS = {
    "queue": lambda: Queue(shape=Command, depth=5),
    "queue_buffered": lambda: Queue(shape=Command, depth=8, buffered=True),
    "skid": lambda: Skid(shape=Command),
    "fork": lambda: Fork(shape=Command, outputs=3),
    "join": lambda: Join(shape=Command),
    "arbiter_2": lambda: Arbiter(shape=Command, inputs=2),
    "arbiter_5": lambda: Arbiter(shape=Command, inputs=5),
    "shared": lambda: Nest(chains=3),
}


@pytest.mark.sim
@pytest.mark.parametrize("block", BLOCKS)
def test_lint(block):
    component: wiring.Component = BLOCKS[block]()
    verilator.lint(emit(component, name="top").verilog)

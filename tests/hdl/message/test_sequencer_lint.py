"""Verilator has nothing to say about the sequencer and the reducer but what the flow silences by name."""

import pytest

from hdl.emit import emit
from hdl.message.reducer import Reducer
from hdl.message.sequencer import Sequencer
from tb import verilator

BLOCKS = {
    "sequencer": Sequencer,
    "sequencer_small": lambda: Sequencer(
        partitions=2, depth=2, commands=1, communicators=1, programs=1, entries=2, threads=4, sends=2, works=2
    ),
    "sequencer_most": lambda: Sequencer(partitions=8, commands=2, communicators=16, programs=256, sends=64, works=16),
    "reducer": Reducer,
    "reducer_2": lambda: Reducer(width=2),
}


@pytest.mark.sim
@pytest.mark.parametrize("block", BLOCKS)
def test_lint(block):
    verilator.lint(emit(BLOCKS[block](), name="top").verilog)

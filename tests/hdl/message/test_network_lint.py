"""Verilator has nothing to say about receiver and sender but what the flow silences by name."""

import pytest

from hdl.emit import emit
from hdl.message.receiver import Receiver
from hdl.message.sender import Sender
from tb import verilator

BLOCKS = {
    "receiver": Receiver,
    "receiver_small": lambda: Receiver(windows=2, communicators=1, ports=2, mtu=32, replies=2),
    "sender": Sender,
    "sender_small": lambda: Sender(mtu=32, reads=2),
}


@pytest.mark.sim
@pytest.mark.parametrize("block", BLOCKS)
def test_lint(block):
    verilator.lint(emit(BLOCKS[block](), name="top").verilog)

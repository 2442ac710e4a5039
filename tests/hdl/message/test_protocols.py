"""Receiver and sender at their streams, under cocotb: rules, data and answers, whatever is taken when.

The tests themselves are in tb/message/receiver_tb.py and tb/message/sender_tb.py.
"""

import pytest

from hdl.message.receiver import Receiver
from hdl.message.sender import Sender
from tb.ports import design_of
from tb.runner import run_cocotb

pytestmark = pytest.mark.sim


@pytest.mark.parametrize(
    ("name", "part", "values", "tests"),
    [
        ("receiver", Receiver, {"mtu": 160, "communicators": 2, "windows": 4, "replies": 2}, 12),
        ("sender", Sender, {"mtu": 160, "reads": 9}, 22),
    ],
)
def test_protocol(name, part, values, tests, tmp_path, seed):
    done = run_cocotb(
        design_of(part(**values), name=name),
        module=f"tb.message.{name}_tb",
        name=name,
        parameters=values,
        folder=tmp_path,
        seed=seed,
    )
    assert len(done.tests) == tests
    assert done.seed == seed

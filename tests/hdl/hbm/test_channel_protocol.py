"""The HBM channel at its streams, under cocotb: rules, answers and data, whatever is taken when.

The tests themselves are in tb/hbm/channel_tb.py.
"""

import pytest

from hdl.hbm.channel import Channel
from hdl.hbm.pseudo_channel import PoolSizes
from mtia import hbm
from tb.ports import design_of
from tb.runner import run_cocotb

pytestmark = pytest.mark.sim

#: few banks and rows; past the end there are addresses without a place
TIMING = """
base = "HBM3-6.4"
[organization]
sids = 3
bank_groups = 2
banks_per_group = 2
rows = 24
"""


def test_protocol(tmp_path, seed):
    timing = tmp_path / "small.toml"
    timing.write_text(TIMING)
    sizes = PoolSizes(entries=8, lines=4, responses=16)
    design = design_of(Channel(timing=hbm.load(timing), tag_bits=8, sizes=sizes), name="channel")
    done = run_cocotb(
        design,
        module="tb.hbm.channel_tb",
        name="channel",
        parameters={"timing": str(timing)},
        folder=tmp_path,
        seed=seed,
    )
    assert len(done.tests) == 15
    assert done.seed == seed

"""The switches of the generations as Verilog: in 2 GB, and nothing for Verilator to say."""

import resource
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from amaranth.lib import wiring

from hdl.emit import emit
from hdl.link.flit import Flit
from hdl.switch.buses import Buses
from hdl.switch.crossbar import Crossbar
from hdl.switch.input_port import InputPort
from hdl.switch.matching import Matching
from hdl.switch.output_port import OutputPort
from hdl.switch.reduction import ReductionUnit
from hdl.switch.switch import Switch
from mtia import switch
from mtia.message import Channel
from mtia.switch import SwitchParameters
from tb import verilator

RACK = switch.of("mtia400")
#: Whole switches, and all that the rack's is made of: with its 2,304 lanes of adders it is too large to lint at once.
BLOCKS: dict[str, Callable[[], wiring.Component]] = {
    "of_300": lambda: Switch(parameters=switch.of("mtia300")),
    "two_ports": lambda: Switch(
        parameters=SwitchParameters(ports=2, queue_flits=4, groups=1, buses=1, pieces=2, slot_bytes=32)
    ),
    "many_buses": lambda: Switch(parameters=SwitchParameters(ports=5, queue_flits=4, groups=200, buses=8, pieces=0)),
    "rack_request_input": lambda: InputPort(parameters=RACK, channel=Channel.REQUEST),
    "rack_response_input": lambda: InputPort(parameters=RACK, channel=Channel.RESPONSE),
    "rack_request_output": lambda: OutputPort(parameters=RACK, channel=Channel.REQUEST),
    "rack_response_output": lambda: OutputPort(parameters=RACK, channel=Channel.RESPONSE),
    "rack_matching": lambda: Matching(inputs=RACK.ports, outputs=RACK.queues),
    "rack_crossbar": lambda: Crossbar(shape=Flit, inputs=RACK.ports, outputs=RACK.queues),
    "rack_request_buses": lambda: Buses(parameters=RACK, channel=Channel.REQUEST),
    "rack_response_buses": lambda: Buses(parameters=RACK, channel=Channel.RESPONSE),
    # with shorter slots: the text of its memories is most of the time
    "rack_unit": lambda: ReductionUnit(parameters=switch.of("mtia400", "sim")),
}


@pytest.mark.sim
@pytest.mark.parametrize("block", BLOCKS)
def test_lint(block):
    verilator.lint(emit(BLOCKS[block](), name="top").verilog)


@pytest.mark.long
def test_the_rack():
    """72 ports with all their units, at full size."""
    began = time.process_time()
    verilog = emit(Switch(parameters=RACK), name="top").verilog
    spent, most = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{spent:.0f} CPU-s without Yosys, {most:.0f} MB at most, {len(verilog) / 1e6:.1f} MB of Verilog")
    assert verilog.count("ReductionUnit_") >= RACK.ports
    assert most < 2048


def test_shared_parts_are_equal():
    """Every repetition of a shared part is the text of the first, so their parameters tell all."""
    small = SwitchParameters(ports=2, queue_flits=4, groups=2, buses=2, pieces=2, slot_bytes=32)
    assert emit(Switch(parameters=small), name="top", check_shared=True).verilog
    assert emit(Switch(parameters=replace(small, pieces=0)), name="top", check_shared=True).verilog

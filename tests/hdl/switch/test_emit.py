"""The switches of the generations as Verilog: within a minute and 2 GB, and nothing for Verilator to say."""

import resource
import time
from dataclasses import replace

import pytest

from hdl.emit import emit
from hdl.switch.switch import Switch
from mtia import switch
from mtia.switch import SwitchParameters
from tb import verilator

SIZES = {
    "of_300": switch.of("mtia300"),
    "of_400_sim": switch.of("mtia400", "sim"),
    "of_400": switch.of("mtia400"),
    "two_ports": SwitchParameters(ports=2, queue_flits=4, groups=1, buses=1, pieces=2, slot_bytes=32),
    "many_buses": SwitchParameters(ports=5, queue_flits=4, groups=200, buses=8, pieces=0),
}


@pytest.mark.sim
@pytest.mark.parametrize(
    "size", [pytest.param(size, marks=pytest.mark.long if size == "of_400" else ()) for size in SIZES]
)
def test_lint(size, tmp_path):
    began = time.process_time()
    verilog = emit(Switch(parameters=SIZES[size]), name="top").verilog
    spent, most = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{size}: {spent:.0f} CPU-s, at most {most:.0f} MB so far, {len(verilog) / 1e6:.1f} MB of Verilog")
    assert most < 2500
    (tmp_path / "lint.vlt").write_text(verilator.lint_file())
    (tmp_path / "top.v").write_text(verilog)
    options = ["--lint-only", *verilator.warning_options(), "--top-module", "top"]
    verilator.run([str(verilator.executable()), *options, "lint.vlt", "top.v"], cwd=tmp_path)


def test_shared_parts_are_equal():
    """Every repetition of a shared part is the text of the first, so their parameters tell all."""
    small = SwitchParameters(ports=3, queue_flits=4, groups=2, buses=2, pieces=2, slot_bytes=32)
    assert emit(Switch(parameters=small), name="top", check_shared=True).verilog
    assert emit(Switch(parameters=replace(small, pieces=0)), name="top", check_shared=True).verilog

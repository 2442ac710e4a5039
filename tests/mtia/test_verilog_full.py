"""Every generation as Verilog at its full size, through the command line, with nothing for Verilator to say."""

import subprocess
import sysconfig
from pathlib import Path

import pytest

from mtia.formats import MX_FORMATS
from mtia.generations import GENERATIONS
from tb import verilator

#: Engine and link are the same in all generations. Of the switch of 72 ports tests/hdl/switch lints the parts.
OF_ALL = [("mtia300", block) for block in ("message-engine", "link", "switch")]
#: Blocks that equal those of another generation come last: Verilator reads each text once.
BLOCKS = [
    *((name, block) for block in ("dpe", "hbm-channel", "dot") for name in GENERATIONS if name != "mtia500"),
    *OF_ALL,
    *((name, "quantizer") for name, row in GENERATIONS.items() if set(MX_FORMATS) & set(row.formats)),
    *(("mtia500", block) for block in ("hbm-channel", "dot", "dpe")),
]


@pytest.mark.emit
@pytest.mark.parametrize(("generation", "block"), BLOCKS)
def test_full_size(generation, block, tmp_path):
    command = Path(sysconfig.get_path("scripts"), "mtia")
    arguments = [generation, "--block", block, "--profile", "full", "-o", tmp_path / "out"]
    subprocess.run([command, "verilog", *arguments], check=True)
    (file,) = (tmp_path / "out").glob("*.v")
    verilator.lint(file.read_text().replace(file.stem, "top"))

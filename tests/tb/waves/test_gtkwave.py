"""The save files, and the filters that they name."""

import re
import subprocess
import sys
from pathlib import Path

from tb.waves.gtkwave import SURFER_FILE, write_save_files
from tb.waves.trace import Trace
from tb.waves.view import Contents, groups_of

from .small import PORTS, bits_of


def test_save_file(trace: Trace, tmp_path: Path) -> None:
    groups = groups_of(trace, PORTS, Contents(formats={"streamed": "MXFP8_E4M3"}))
    save = write_save_files(tmp_path, trace, groups)
    text = save.read_text()
    assert f'[dumpfile] "{trace.path.resolve()}"' in text
    assert "-sequencer\n" in text
    assert "+{mode} top.sequencer.mode[1:0]\n" in text
    assert "+{pair/low} top.unit_0.pair.low[1:0]\n" in text
    assert "+{valid} top.streamed__valid\n" in text
    assert "codes[0]" not in text, "no signal holds these bits alone"
    named = re.findall(r"\^>?\d+ (\S+)", text)
    assert {Path(name).name for name in named} == {"Mode.txt", "float32_filter.py"}
    assert all(Path(name).is_file() for name in named)
    assert (tmp_path / "Mode.txt").read_text() == "0 IDLE\n2 BUSY\n"


def test_float_filter(trace: Trace, tmp_path: Path) -> None:
    write_save_files(tmp_path, trace, groups_of(trace, PORTS, Contents()))
    numbers = f"{bits_of(1.5):08x}\n{bits_of(-3.25):08x}\nxxxxxxxx\n7fc00000\n"
    command = [sys.executable, str(tmp_path / "float32_filter.py")]
    run = subprocess.run(command, input=numbers, capture_output=True, text=True, check=True)
    assert run.stdout.split("\n") == ["1.5", "-3.25", "xxxxxxxx", "nan", ""]
    assert (tmp_path / "float32_filter.py").stat().st_mode & 0o100


def test_surfer(trace: Trace, tmp_path: Path) -> None:
    write_save_files(tmp_path, trace, groups_of(trace, PORTS, Contents()))
    lines = (tmp_path / SURFER_FILE).read_text().splitlines()
    assert "divider_add sequencer" in lines
    assert "variable_add top.unit_0.total" in lines
    assert "divider_add unit_2" not in lines

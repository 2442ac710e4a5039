"""`mtia verilog`: what it writes, that it is the same every time, and every way to type it wrong."""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from hdl.emit import Emitted
from mtia.cli import verilog
from mtia.formats import MX_FORMATS
from mtia.generations import GENERATIONS, PROFILES

Run = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]

#: the smallest block there is: it is written within seconds
SMALL = ("mtia300", "--block", "dot", "--profile", "fpga")


def test_writes_three_files(run: Run, tmp_path: pathlib.Path) -> None:
    status, out, _ = run("verilog", *SMALL, "-o", str(tmp_path / "a" / "b"))
    folder = tmp_path / "a" / "b"
    text = (folder / "mtia300_dot.v").read_text()
    manifest = json.loads((folder / "manifest.json").read_text())
    ports = json.loads((folder / "ports.json").read_text())
    assert status == 0
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "mtia300_dot.v", "ports.json"]
    assert re.search(r"^module mtia300_dot\(", text, re.MULTILINE)
    assert manifest["module"] == ports["module"] == "mtia300_dot"
    assert manifest["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert "'units': 2" in manifest["parameters"]["parameters"]
    assert out.startswith(f"dot of the MTIA 300, fpga size, in {folder}\n")
    assert re.search(r"^  mtia300_dot\.v +\d+\.\d KiB  \d+ modules$", out, re.MULTILINE)
    assert re.search(r"^written in \d+\.\d s$", out, re.MULTILINE)


def test_same_bytes_in_another_process(run: Run, tmp_path: pathlib.Path) -> None:
    run("verilog", *SMALL, "-o", str(tmp_path / "here"))
    command = [sys.executable, "-m", "mtia", "verilog", *SMALL, "-o", str(tmp_path / "there")]
    subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": "7"}, check=True, capture_output=True)
    for path in (tmp_path / "here").iterdir():
        assert path.read_bytes() == (tmp_path / "there" / path.name).read_bytes()


def test_again_and_json(run: Run, tmp_path: pathlib.Path) -> None:
    run("verilog", *SMALL, "-o", str(tmp_path))
    (tmp_path / "mtia300_dot.v").write_text("edited")
    status, out, err = run("verilog", *SMALL, "-o", str(tmp_path), "--json")
    found = json.loads(out)
    assert (status, err) == (0, "")
    assert (tmp_path / "mtia300_dot.v").stat().st_size == found["files"]["mtia300_dot.v"]
    assert found["modules"] == (tmp_path / "mtia300_dot.v").read_text().count("\nmodule ")
    assert (found["generation"], found["block"], found["profile"]) == ("mtia300", "dot", "fpga")


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The components that the command has emitted; the test writes no Verilog."""
    components: list[Any] = []

    def fake(component: Any, *, name: str) -> Emitted:
        component._MustUse__used = True  # Amaranth warns of a component that was never elaborated
        components.append(component)
        return Emitted(name=name, verilog="", ports={"ports": [], "streams": []}, manifest={"sha256": ""})

    monkeypatch.setattr(verilog, "emit", fake)
    return components


@pytest.mark.parametrize("gen", list(GENERATIONS))
@pytest.mark.parametrize("profile", list(PROFILES))
@pytest.mark.parametrize("block", ["dpe", "dot"])
def test_engine_of_every_generation_and_profile(
    run: Run, built: list[Any], tmp_path: pathlib.Path, gen: str, profile: str, block: str
) -> None:
    assert run("verilog", gen, "--block", block, "--profile", profile, "-o", str(tmp_path / "x"))[0] == 0
    (component,) = built
    assert type(component).__name__ == {"dpe": "Engine", "dot": "DotProduct"}[block]
    assert component.parameters == {"parameters": GENERATIONS[gen].engine(profile)}


@pytest.mark.parametrize("gen", ["mtia400", "mtia450", "mtia500"])
@pytest.mark.parametrize(
    ("profile", "formats"), [("full", MX_FORMATS), ("sim", MX_FORMATS), ("fpga", ("MXFP8_E4M3", "MXFP4"))]
)
def test_quantizer_has_the_formats_and_the_depth_of_the_engine(
    run: Run, built: list[Any], tmp_path: pathlib.Path, gen: str, profile: str, formats: tuple[str, ...]
) -> None:
    assert run("verilog", gen, "--block", "quantizer", "--profile", profile, "-o", str(tmp_path / "x"))[0] == 0
    assert built[0].formats == formats
    assert built[0].deep is (profile == "fpga")


@pytest.mark.parametrize("gen", list(GENERATIONS))
@pytest.mark.parametrize("profile", list(PROFILES))
def test_channel_has_the_generations_timing(
    run: Run, built: list[Any], tmp_path: pathlib.Path, gen: str, profile: str
) -> None:
    assert run("verilog", gen, "--block", "hbm-channel", "--profile", profile, "-o", str(tmp_path / "x"))[0] == 0
    (component,) = built
    memory = GENERATIONS[gen].structure.hbm
    assert component.parameters["timing"].name == memory.timing_set
    assert component.parameters["timing"].organization.stack_bytes == memory.stack_gb[0] << 30
    assert component.parameters["sizes"].entries == (16 if profile == "fpga" else 64)


def test_module_of_a_block_with_a_hyphen(run: Run, built: list[Any], tmp_path: pathlib.Path) -> None:
    out = run("verilog", "mtia300", "--block", "hbm-channel", "-o", str(tmp_path / "x"))[1]
    assert "mtia300_hbm_channel.v" in out


class TestWrong:
    """One clear line, status 2, and nothing written."""

    @pytest.fixture(autouse=True)
    def nothing_is_emitted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(verilog, "emit", lambda *_, **__: pytest.fail("emitted"))

    def test_generation(self, refused: Refused) -> None:
        assert "did you mean mtia450" in refused("verilog", "mita450", "-o", "x")

    def test_block(self, refused: Refused) -> None:
        assert "did you mean quantizer" in refused("verilog", "mtia450", "--block", "quantiser", "-o", "x")

    def test_profile(self, refused: Refused) -> None:
        assert "Profile must be one of full, sim, fpga" in refused("verilog", "450", "--profile", "big", "-o", "x")

    def test_no_folder(self, refused: Refused) -> None:
        assert "the following arguments are required: -o/--out" in refused("verilog", "mtia450")

    def test_block_that_the_generation_lacks(self, refused: Refused, tmp_path: pathlib.Path) -> None:
        text = refused("verilog", "mtia300", "--block", "quantizer", "-o", str(tmp_path / "x"))
        assert text == "mtia: error: MTIA 300 has no quantizer: it has no block formats (its blocks: dpe, dot)\n"
        assert not (tmp_path / "x").exists()

    def test_folder_of_something_else(self, refused: Refused, tmp_path: pathlib.Path) -> None:
        (tmp_path / "thesis.tex").write_text("years of work")
        text = refused("verilog", *SMALL, "-o", str(tmp_path))
        assert f"Output folder must be new, empty, or that of an earlier mtia300_dot, not {tmp_path}" in text

    @pytest.mark.parametrize("manifest", ["{", "[]", '{"module": "mtia450_dot"}'])
    def test_folder_of_another_block(self, refused: Refused, tmp_path: pathlib.Path, manifest: str) -> None:
        (tmp_path / "manifest.json").write_text(manifest)
        assert "must be new, empty, or that of an earlier mtia300_dot" in refused(
            "verilog", *SMALL, "-o", str(tmp_path)
        )

    def test_file(self, refused: Refused, tmp_path: pathlib.Path) -> None:
        (tmp_path / "x").write_text("")
        assert "Output must be a folder, not the file" in refused("verilog", *SMALL, "-o", str(tmp_path / "x"))

    @pytest.mark.skipif(not pathlib.Path("/proc/self").is_dir(), reason="no folder that even root cannot write to")
    def test_folder_that_cannot_be_written(self, refused: Refused) -> None:
        text = refused("verilog", *SMALL, "-o", "/proc/verilog/x")
        assert "Output folder must be writable, not /proc/verilog/x" in text


def test_help(run: Run) -> None:
    status, out, _ = run("verilog", "--help")
    assert status == 0
    assert "mtia verilog mtia450 --profile full" in out

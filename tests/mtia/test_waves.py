"""`mtia waves`: viewers and pages, and every way to type it wrong, on a run that was written by hand."""

import json
import os
import pathlib
import stat
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.tb.waves.small import CYCLES, PORTS, write

Run = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]

SUMMARY: dict[str, Any] = {
    "waves": "waves.vcd",
    "ports": "ports.json",
    "streams": {"streamed": "MXFP8_E4M3"},
    "rows_per_beat": 1,
    "work": "gemm",
    "generation": "mtia450",
    "format_a": "MXFP8_E4M3",
    "format_b": "MXFP4",
    "m": 3,
    "n": 4,
    "k": 5,
    "seed": 7,
    "match": True,
    "cycles": 6,
    "mac_lanes": 256,
    "utilization": 0.5,
}


@pytest.fixture
def recorded(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The folder of a run, in an empty current folder, with no viewer on the PATH."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("DISPLAY", ":0")
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    write(folder / "waves.vcd")
    (folder / "ports.json").write_text(json.dumps(PORTS))
    (folder / "run.json").write_text(json.dumps(SUMMARY))
    return folder


def add_viewer(tmp_path: pathlib.Path, name: str) -> pathlib.Path:
    """A viewer that writes down its arguments."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    program, log = tmp_path / "bin" / name, tmp_path / f"{name}.log"
    program.write_text(f'#!/bin/sh\necho "$@" > {log}.part\n/bin/mv {log}.part {log}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return log


def words_of(log: pathlib.Path) -> list[str]:
    for _ in range(500):
        if log.exists():
            return log.read_text().split()
        time.sleep(0.01)
    raise AssertionError("the viewer was not started")


class TestViewer:
    def test_gtkwave(self, run: Run, recorded: pathlib.Path, tmp_path: pathlib.Path) -> None:
        log = add_viewer(tmp_path, "gtkwave")
        add_viewer(tmp_path, "surfer")
        status, out, _ = run("waves", str(recorded))
        assert status == 0
        assert out == f"opened {recorded}/waves.vcd in gtkwave\n"
        assert words_of(log) == [f"{recorded}/waves.vcd", f"{recorded}/waves.gtkw"]
        assert "top.sequencer.mode[1:0]" in (recorded / "waves.gtkw").read_text()

    def test_surfer(self, run: Run, recorded: pathlib.Path, tmp_path: pathlib.Path) -> None:
        log = add_viewer(tmp_path, "surfer")
        assert run("waves", str(recorded))[0] == 0
        assert words_of(log) == [f"{recorded}/waves.vcd", "--command-file", f"{recorded}/waves.sucl"]
        assert "variable_add top.unit_0.total" in (recorded / "waves.sucl").read_text()

    def test_none(self, run: Run, recorded: pathlib.Path) -> None:
        status, out, _ = run("waves", str(recorded))
        assert status == 0
        assert f"waves: {recorded}/waves.vcd\n" in out
        assert f"  gtkwave {recorded}/waves.vcd {recorded}/waves.gtkw\n" in out
        assert f"  mtia waves {recorded} --html waves.html\n" in out

    def test_no_display(
        self, run: Run, recorded: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = add_viewer(tmp_path, "gtkwave")
        monkeypatch.delenv("DISPLAY")
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        _, out, _ = run("waves", str(recorded))
        assert "there is no display" in out
        assert f"  gtkwave {recorded}/waves.vcd" in out
        assert not log.exists()

    def test_signals(self, run: Run, recorded: pathlib.Path) -> None:
        run("waves", str(recorded), "--signals", "sequencer.mode_1")
        assert (recorded / "waves.gtkw").read_text().count(" top.") == 1


class TestPage:
    def test_whole_run(self, run: Run, recorded: pathlib.Path, tmp_path: pathlib.Path) -> None:
        status, out, _ = run("waves", str(recorded), "--html", "page.html")
        text = (tmp_path / "page.html").read_text()
        assert status == 0
        assert out.startswith(f"page.html: cycles 0 to 5 of {CYCLES}, ")
        assert "GEMM 3 x 4 x 5 on the MTIA 450" in text
        assert '"badge":"PASS"' in text
        assert '"texts":[' in text
        assert "seed 7 · shown: cycles 0 to 5" in text

    def test_window_and_pattern(self, run: Run, recorded: pathlib.Path, tmp_path: pathlib.Path) -> None:
        words = ("--html", "page.html", "--from", "2", "--to", "3", "--signals", "total")
        assert run("waves", str(recorded), *words)[1].startswith("page.html: cycles 2 to 3 of 6, ")
        text = (tmp_path / "page.html").read_text()
        assert "top.unit_10.total" in text
        assert "top.sequencer.mode" not in text

    def test_window_is_bounded(
        self, run: Run, recorded: pathlib.Path, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
    ) -> None:
        from mtia.cli import waves

        monkeypatch.setattr(waves, "DEFAULT_WINDOW", 2)
        assert run("waves", str(recorded), "--html", "page.html", "--from", "3")[1].startswith(
            "page.html: cycles 3 to 4 of 6, "
        )

    def test_failed_layer(self, run: Run, recorded: pathlib.Path, tmp_path: pathlib.Path) -> None:
        layer = {"work": "layer", "match": False, "model": "MiniLM", "name": "layer.0", "seed": None}
        (recorded / "run.json").write_text(json.dumps(SUMMARY | layer))
        run("waves", str(recorded), "--html", "page.html")
        text = (tmp_path / "page.html").read_text()
        assert '"badge":"FAIL"' in text
        assert "<title>MiniLM, layer.0 on the MTIA 450</title>" in text
        assert "seed" not in text.split('"facts":')[1].split('"first"')[0]

    def test_latest_run(self, run: Run, recorded: pathlib.Path, tmp_path: pathlib.Path) -> None:
        other = tmp_path / "runs" / "other"
        other.mkdir()
        for file in recorded.iterdir():
            (other / file.name).write_bytes(file.read_bytes())
        (other / "run.json").write_text(json.dumps(SUMMARY | {"k": 99}))
        os.utime(recorded / "run.json", (1, 1))
        run("waves", "--html", "page.html")
        assert "GEMM 3 x 4 x 99" in (tmp_path / "page.html").read_text()


class TestWrong:
    def test_no_run_yet(self, refused: Refused, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert "there is no run in runs/; record one: mtia run gemm --waves" in refused("waves")

    @pytest.mark.parametrize("name", ["none", "."])
    def test_no_run(self, refused: Refused, recorded: pathlib.Path, name: str) -> None:
        assert f"RUN must be the folder of a run recorded with --waves, not {name} " in refused("waves", name)

    @pytest.mark.parametrize("option", ["--from", "--to"])
    def test_window_without_page(self, refused: Refused, recorded: pathlib.Path, option: str) -> None:
        assert "--from and --to must come with --html" in refused("waves", str(recorded), option, "0")

    @pytest.mark.parametrize(
        ("words", "text"),
        [
            (("--from", "6"), "--from must be a cycle of the run, 0 to 5, not 6"),
            (("--from", "-1"), "--from must be a cycle of the run, 0 to 5, not -1"),
            (("--to", "6"), "--to must be a cycle from 0 to 5, the run's last, not 6"),
            (("--from", "3", "--to", "2"), "--to must be a cycle from 3 to 5, the run's last, not 2"),
            (("--signals", "unti"), "Pattern must match a signal, not 'unti'"),
            (("--from", "x"), "invalid int value: 'x'"),
        ],
    )
    def test_window(
        self, refused: Refused, recorded: pathlib.Path, tmp_path: pathlib.Path, words: tuple[str, ...], text: str
    ) -> None:
        assert text in refused("waves", str(recorded), "--html", "page.html", *words)
        assert not (tmp_path / "page.html").exists()

    def test_page_that_is_a_folder(self, refused: Refused, recorded: pathlib.Path) -> None:
        assert "--html must name a file, not the folder runs" in refused("waves", str(recorded), "--html", "runs")

    def test_page_in_a_missing_folder(self, refused: Refused, recorded: pathlib.Path) -> None:
        text = refused("waves", str(recorded), "--html", "none/page.html")
        assert "--html must be in a folder that can be written, not none/page.html (No such file" in text

    @pytest.mark.parametrize("key", ["waves", "ports", "streams", "rows_per_beat"])
    def test_run_that_lacks_something(self, refused: Refused, recorded: pathlib.Path, key: str) -> None:
        (recorded / "run.json").write_text(json.dumps({name: SUMMARY[name] for name in SUMMARY if name != key}))
        assert f"as `mtia run --waves` wrote it, not without '{key}'" in refused("waves", str(recorded))

    @pytest.mark.parametrize("name", ["run.json", "ports.json"])
    def test_damaged_file(self, refused: Refused, recorded: pathlib.Path, name: str) -> None:
        (recorded / name).write_text("{")
        assert "Expecting" in refused("waves", str(recorded))

    def test_damaged_waves(self, refused: Refused, recorded: pathlib.Path) -> None:
        (recorded / "waves.vcd").write_bytes(b"\0" * 100)
        assert "Waves must" in refused("waves", str(recorded))

    def test_missing_waves(self, refused: Refused, recorded: pathlib.Path) -> None:
        (recorded / "waves.vcd").unlink()
        assert "waves.vcd: No such file or directory" in refused("waves", str(recorded))


def test_help(run: Run) -> None:
    status, out, _ = run("waves", "--help")
    assert status == 0
    assert "mtia waves runs/NAME --html waves.html" in out

"""`mtia run gemm` typed wrong: one clear line, and nothing half-written."""

import pathlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from golden.mx import MXArray
from mtia.cli import run_product
from mtia.engine import EngineParameters
from tb.lane import SimulationError
from tb.verilator import BuildError
from tests.mtia.fake_engine import FakeEngine

Run = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]
Files = Callable[..., list[str]]

pytestmark = pytest.mark.usefixtures("engine")


class TestWrong:
    """One clear line, status 2, and no simulation started."""

    @pytest.fixture(autouse=True)
    def nothing_ran(self, engine: type[FakeEngine]) -> Iterator[None]:
        yield
        assert engine.runs == 0

    @pytest.mark.parametrize("option", ["--m", "--n", "--k"])
    @pytest.mark.parametrize("value", ["0", "-3", "x", "1.5"])
    def test_size(self, refused: Refused, option: str, value: str) -> None:
        name = option[2:].upper()
        assert f"{name} must be a whole number of at least 1, not '{value}'" in refused("run", "gemm", option, value)

    def test_seed(self, refused: Refused) -> None:
        assert "Seed must be a whole number of at least 0, not '-1'" in refused("run", "gemm", "--seed", "-1")

    def test_sizes_beyond_memory(self, refused: Refused) -> None:
        text = refused("run", "gemm", "--m", "1" + "0" * 15, "--k", "1000")
        assert "Operands must fit the memory, not have M=1000000000000000, N=64, K=1000" in text

    def test_unknown_generation(self, refused: Refused) -> None:
        assert "did you mean mtia450" in refused("run", "gemm", "--gen", "mita450")

    def test_unknown_format(self, refused: Refused) -> None:
        text = refused("run", "gemm", "--format-a", "MXFP8_E4M4")
        assert "Format must be one of" in text
        assert "did you mean MXFP8_E4M3" in text

    def test_format_that_the_generation_lacks(self, refused: Refused) -> None:
        assert refused("run", "gemm", "--gen", "mtia300", "--format-a", "MXFP4") == (
            "mtia: error: MTIA 300 has no MXFP4; its formats: FP8_E5M2, FP8_E4M3, BF16, FP16, TF32\n"
        )

    def test_pair_that_the_generation_lacks(self, refused: Refused) -> None:
        text = refused("run", "gemm", "--gen", "mtia400", "--format-a", "MXFP8_E4M3", "--format-b", "MXFP4")
        assert "MTIA 400 does not multiply MXFP8_E4M3 by MXFP4; with MXFP8_E4M3 it takes: MXFP8_E5M2" in text

    def test_pair_of_other_blocks(self, refused: Refused) -> None:
        assert "does not multiply MXFP4 by NVFP4" in refused(
            "run", "gemm", "--format-a", "MXFP4", "--format-b", "NVFP4"
        )

    def test_unknown_scale_rule(self, refused: Refused) -> None:
        assert "Rule must be one of floor, ceil, rceil, even" in refused("run", "gemm", "--scale-rule", "flor")

    def test_scale_rule_without_scales(self, refused: Refused) -> None:
        words = ("--format-a", "BF16", "--format-b", "BF16", "--scale-rule", "even")
        assert "--scale-rule must come with an MX format, not BF16" in refused("run", "gemm", *words)

    @pytest.mark.parametrize("there, missing", [("a", "b"), ("b", "a")])
    def test_one_operand(self, refused: Refused, there: str, missing: str) -> None:
        text = refused("run", "gemm", f"--{there}", "x.npy")
        assert f"--{there} must come with --{missing}" in text

    @pytest.mark.parametrize("option", ["m", "n", "k", "seed"])
    def test_files_and_sizes(self, refused: Refused, files: Files, option: str) -> None:
        words = files(np.ones((2, 2)), np.ones((2, 2)))
        assert f"--{option} must not come with --a and --b" in refused("run", "gemm", *words, f"--{option}", "3")

    def test_different_k(self, refused: Refused, files: Files) -> None:
        text = refused("run", "gemm", *files(np.ones((2, 3)), np.ones((2, 4))))
        assert "A (M, K) and B (N, K) must have the same K, not shapes (2, 3) and (2, 4)" in text

    def test_no_such_file(self, refused: Refused, tmp_path: pathlib.Path) -> None:
        path = str(tmp_path / "none.npy")
        assert f"{path}: No such file or directory" in refused("run", "gemm", "--a", path, "--b", path)

    def test_no_work(self, refused: Refused) -> None:
        assert "WORK" in refused("run")
        assert "did you mean gemm" in refused("run", "gem")

    @pytest.mark.skipif(not pathlib.Path("/proc/self").is_dir(), reason="no folder that even root cannot write to")
    def test_output_folder_that_cannot_be_written(self, refused: Refused) -> None:
        assert "--out must be in a folder that can be written, not /proc/c.npy" in refused(
            "run", "gemm", "--out", "/proc/c.npy"
        )
        assert "--waves must name a place that can be written, not /proc/run" in refused(
            "run", "gemm", "--waves", "/proc/run"
        )

    def test_output_folder_that_is_missing(self, refused: Refused, tmp_path: pathlib.Path) -> None:
        text = refused("run", "gemm", "--out", str(tmp_path / "none" / "c.npy"))
        assert "none/c.npy (No such file or directory)" in text
        assert list(tmp_path.iterdir()) == []

    def test_output_that_is_a_folder(self, refused: Refused, tmp_path: pathlib.Path) -> None:
        assert f"--out must name a file, not the folder {tmp_path}" in refused("run", "gemm", "--out", str(tmp_path))

    def test_waves_cycles(self, refused: Refused) -> None:
        assert "Cycles must be a whole number of at least 1, not '0'" in refused("run", "gemm", "--waves-cycles", "0")

    def test_model_that_does_not_build(self, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(parameters: EngineParameters, *, trace: bool) -> None:
            raise BuildError("C++ compiler must run, not fail as 'g++' does\nmore")

        monkeypatch.setattr(run_product, "GemmLane", fail)
        assert refused("run", "gemm") == (
            "mtia: error: C++ compiler must run, not fail as 'g++' does (see: mtia doctor)\n"
        )


def test_engine_that_hangs_leaves_nothing(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    def hang(self: FakeEngine, a: MXArray, b: MXArray, progress: object) -> None:
        raise SimulationError("engine stalled after 7 cycles")

    monkeypatch.setattr(FakeEngine, "multiply", hang)
    text = refused("run", "gemm", "--out", str(tmp_path / "c.npy"))
    assert "the engine did not finish: engine stalled after 7 cycles" in text
    assert list(tmp_path.iterdir()) == []

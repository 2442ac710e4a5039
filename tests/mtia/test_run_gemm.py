"""`mtia run gemm`: what it prints, The engine's place is taken by the golden model."""

import json
import math
import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from golden import tensor
from golden.mx import quantize
from mtia.cli import run_product
from mtia.formats import FORMATS
from tests.mtia.fake_engine import FakeEngine

Run = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]
Files = Callable[..., list[str]]

pytestmark = pytest.mark.usefixtures("engine")


class TestPrints:
    def test_defaults(self, run: Run) -> None:
        status, out, err = run("run", "gemm")
        assert (status, err) == (0, "")
        rows = {line[:13].strip(): line[15:].split("  ") for line in out.splitlines()}
        assert "PASS  all 4096 results equal the golden model, bit for bit" in out
        assert "MTIA 450" in out
        assert rows["A"][0] == rows["B"][0] == "64 x 64"
        assert out.count("MXFP8_E4M3: random, seed 1") == 2
        assert rows["cycles"][0] == "1024"
        assert rows["utilisation"][0] == "100 %"
        assert rows["engine"][0] == "256 MAC/cycle"
        assert max(map(len, out.splitlines())) <= 100

    def test_json(self, run: Run) -> None:
        _, out, _ = run(
            "run", "gemm", "--format-b", "mxfp4", "--m", "3", "--n", "5", "--k", "70", "--seed", "9", "--json"
        )
        found = json.loads(out)
        rng = np.random.default_rng(9)
        x, y = (rng.standard_normal((rows, 70), np.float32) for rows in (3, 5))
        a, b = quantize(x, "MXFP8_E4M3"), quantize(y, "MXFP4")
        exact = x.astype(np.float64) @ y.T.astype(np.float64)
        error = tensor.matmul(a, b) - exact
        assert found["match"] is True
        assert found["mismatches"] == 0
        assert found["first_mismatch"] is None
        assert (found["m"], found["n"], found["k"], found["seed"]) == (3, 5, 70, 9)
        assert (found["format_a"], found["format_b"], found["generation"]) == ("MXFP8_E4M3", "MXFP4", "mtia450")
        assert found["cycles"] == math.ceil(3 * 5 * 70 / 256)
        assert found["utilization"] == 3 * 5 * 70 / (256 * found["cycles"])
        assert found["macs_per_second"] > 0
        assert found["error"]["relative"] == pytest.approx(np.linalg.norm(error) / np.linalg.norm(exact), rel=1e-12)
        assert found["error"]["max_abs"] == pytest.approx(np.abs(error).max(), rel=1e-12)
        assert found["error"]["accumulation"] < 1e-6 < found["error"]["quantization"]

    def test_same_seed_same_operands(self, run: Run, tmp_path: pathlib.Path) -> None:
        results = []
        for seed, name in (("4", "x"), ("4", "y"), ("5", "z")):
            run("run", "gemm", "--m", "2", "--seed", seed, "--out", str(tmp_path / name))
            results.append((tmp_path / name).read_bytes())
        assert results[0] == results[1] != results[2]

    @pytest.mark.parametrize("gen, name", [("300", "FP8_E4M3"), ("400", "MXFP8_E4M3"), ("500", "MXFP8_E4M3")])
    def test_default_format_of_a_generation(self, run: Run, gen: str, name: str) -> None:
        found = json.loads(run("run", "gemm", "--gen", gen, "--m", "1", "--json")[1])
        assert found["format_a"] == found["format_b"] == name

    @pytest.mark.parametrize("rule", ["floor", "ceil", "rceil", "even"])
    def test_scale_rule(self, run: Run, rule: str, tmp_path: pathlib.Path) -> None:
        words = ("--m", "4", "--n", "4", "--seed", "2", "--scale-rule", rule, "--out", str(tmp_path / "c.npy"))
        assert run("run", "gemm", *words)[0] == 0
        rng = np.random.default_rng(2)
        a, b = (quantize(rng.standard_normal((4, 64), np.float32), "MXFP8_E4M3", scale_rule=rule) for _ in range(2))
        assert np.load(tmp_path / "c.npy").tobytes() == tensor.matmul(a, b).tobytes()

    def test_tensor_scales_are_applied_to_what_is_written(self, run: Run, tmp_path: pathlib.Path, files: Files) -> None:
        rng = np.random.default_rng(1)
        x, y = (rng.standard_normal((4, 40)).astype(np.float32) * 1e5 for _ in range(2))
        words = ("--format-a", "NVFP4", "--format-b", "NVFP4", "--out", str(tmp_path / "c.npy"))
        assert run("run", "gemm", *words, *files(x, y))[0] == 0
        a, b = quantize(x, "NVFP4"), quantize(y, "NVFP4")
        assert a.tensor_scale != 1
        assert np.load(tmp_path / "c.npy").tobytes() == tensor.matmul(a, b).tobytes()

    def test_zeros_have_no_error(self, run: Run, files: Files) -> None:
        found = json.loads(run("run", "gemm", "--json", *files(np.zeros((2, 3)), np.zeros((2, 3))))[1])
        assert found["error"] == {"relative": 0, "max_abs": 0, "quantization": 0, "accumulation": 0}
        assert found["seed"] is None

    def test_overflow_is_null(self, run: Run, files: Files) -> None:
        words = files(np.full((1, 64), 6e4), np.full((1, 64), 6e4))
        found = json.loads(run("run", "gemm", "--format-a", "BF16", "--format-b", "BF16", "--json", *words)[1])
        assert found["error"]["relative"] is not None
        huge = files(np.full((1, 64), 3e38), np.full((1, 64), 3e38))
        status, out, _ = run("run", "gemm", "--format-a", "BF16", "--format-b", "BF16", "--json", *huge)
        assert status == 0
        assert json.loads(out)["error"]["relative"] is None

    @pytest.mark.parametrize("work", [(), ("gemm",), ("layer",)])
    def test_help(self, run: Run, work: tuple[str, ...]) -> None:
        status, out, _ = run("run", *work, "--help")
        assert status == 0
        assert "examples:" in out
        assert f"mtia run {work[0] if work else 'layer'}" in out.split("examples:")[1]


class TestMismatch:
    def test_text(self, run: Run, engine: type[FakeEngine]) -> None:
        engine.flips = {(5, 3): 1, (5, 4): 1 << 31, (7, 0): 1}
        status, out, _ = run("run", "gemm", "--m", "8", "--n", "8")
        rng = np.random.default_rng(1)
        a, b = (quantize(rng.standard_normal((8, 64), np.float32), "MXFP8_E4M3") for _ in range(2))
        right = tensor.matmul(a, b)[5, 3]
        bits = int(right.view(np.uint32))
        wrong = np.uint32(bits ^ 1).view(np.float32)
        assert status == 1
        assert "FAIL  3 of 64 results differ from the golden model\n" in out
        assert f"first: row 5, column 3: engine 0x{bits ^ 1:08X} ({wrong}), golden 0x{bits:08X} ({right})\n" in out

    def test_json(self, run: Run, engine: type[FakeEngine], tmp_path: pathlib.Path) -> None:
        engine.flips = {(0, 1): 0x80000000}
        status, out, _ = run("run", "gemm", "--m", "2", "--n", "2", "--json", "--out", str(tmp_path / "c.npy"))
        found = json.loads(out)
        first = found["first_mismatch"]
        assert status == 1
        assert found["match"] is False
        assert found["mismatches"] == 1
        assert (first["row"], first["column"]) == (0, 1)
        assert int(first["engine_bits"], 16) ^ int(first["golden_bits"], 16) == 0x80000000
        assert first["engine"] == -first["golden"] != 0
        assert np.load(tmp_path / "c.npy")[0, 1] == first["engine"], "what is written is what the engine gave"

    def test_a_nan_of_other_bits_is_a_mismatch(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            FakeEngine, "multiply", lambda self, a, b, progress: (np.full((1, 1), 0x7FC00001, np.uint32).view("f4"), 1)
        )
        monkeypatch.setattr(
            run_product.tensor, "matmul", lambda a, b, **_: np.full((1, 1), 0x7FC00000, np.uint32).view("f4")
        )
        status, out, _ = run("run", "gemm", "--m", "1", "--n", "1", "--json")
        found = json.loads(out)
        assert status == 1
        assert found["first_mismatch"]["engine_bits"] == "0x7FC00001"
        assert found["first_mismatch"]["engine"] is None


def test_every_format_of_every_generation_has_a_partner(run: Run) -> None:
    """The default pair of each format with itself is accepted wherever the generation has it."""
    found = json.loads(run("formats", "--json")[1])["formats"]
    for name in FORMATS:
        for gen, partners in found[name]["multiplies"].items():
            if partners:
                words = ("--gen", gen, "--format-a", name, "--format-b", name, "--m", "1", "--n", "1", "--k", "3")
                assert run("run", "gemm", *words)[0] == 0

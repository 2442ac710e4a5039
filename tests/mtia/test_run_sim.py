"""`mtia run` on the RTL under Verilator, and the waves that it records."""

import functools
import json
import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from golden import tensor
from golden.mx import quantize
from mtia.cli import run_product, run_waves
from mtia.engine import EngineParameters
from tb.tensor.gemm import GemmLane
from tb.waves.decode import Float32
from tb.waves.trace import Trace
from tb.waves.view import Contents, Row, groups_of

Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.sim


@pytest.fixture
def one_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of these tests share an engine: its Verilog is emitted once."""
    monkeypatch.setattr(run_product, "build", shared_engine)


@functools.cache
def shared_engine(parameters: EngineParameters, *, trace: bool) -> GemmLane:
    return GemmLane(parameters, trace=trace)


def test_gemm(run: Run, seed: int, tmp_path: pathlib.Path) -> None:
    words = ("--format-b", "MXFP4", "--seed", str(seed), "--out", str(tmp_path / "c.npy"))
    status, out, _ = run("run", "gemm", "--m", "33", "--n", "70", "--k", "130", *words)
    rng = np.random.default_rng(seed)
    a = quantize(rng.standard_normal((33, 130), np.float32), "MXFP8_E4M3")
    b = quantize(rng.standard_normal((70, 130), np.float32), "MXFP4")
    assert status == 0
    assert "PASS  all 2310 results equal the golden model, bit for bit" in out
    assert np.load(tmp_path / "c.npy").tobytes() == tensor.matmul(a, b).tobytes()


@pytest.mark.usefixtures("one_engine")
def test_utilisation_at_64(run: Run) -> None:
    found = json.loads(run("run", "gemm", "--json")[1])
    assert found["match"] is True
    assert found["mac_lanes"] == 256
    assert 0.9 <= found["utilization"] <= 1


@pytest.mark.usefixtures("one_engine")
@pytest.mark.parametrize("a, b", [("NVFP4", "NVFP4"), ("BF16", "TF32"), ("MXINT8", "MXFP6_E2M3")])
def test_one_row_one_column(run: Run, a: str, b: str) -> None:
    words = ("--format-a", a, "--format-b", b, "--m", "1", "--n", "1", "--k", "1")
    assert run("run", "gemm", *words)[0] == 0


@pytest.mark.usefixtures("one_engine")
def test_a_wrong_golden_model_is_found(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    right = tensor.matmul

    def wrong(*args: object, **options: object) -> object:
        result = right(*args, **options)  # type: ignore[arg-type]
        result.view(np.uint32)[2, 5] ^= 1
        return result

    monkeypatch.setattr(run_product.tensor, "matmul", wrong)
    status, out, _ = run("run", "gemm", "--m", "4", "--n", "8")
    assert status == 1
    assert "FAIL  1 of 32 results differ from the golden model\n      first: row 2, column 5: engine 0x" in out


@pytest.mark.usefixtures("one_engine")
def test_layer(run: Run) -> None:
    found = json.loads(run("run", "layer", "--part", "value", "--text", "A chip.", "--json")[1])
    assert found["match"] is True
    assert (found["m"], found["n"], found["k"]) == (5, 384, 384)
    assert found["embedding_cosine"] > 0.999


class TestWaves:
    """Recorded at the size for a small FPGA, whose model with waves builds soonest."""

    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
        monkeypatch.setattr(run_product, "PROFILE", "fpga")
        monkeypatch.chdir(tmp_path)

    def row(self, folder: pathlib.Path, group: str, label: str) -> tuple[Trace, Row]:
        """A line of the picture, with the waves."""
        trace = Trace(folder / json.loads((folder / "run.json").read_text())["waves"])
        ports = json.loads((folder / "ports.json").read_text())
        groups = groups_of(trace, ports, Contents())
        (found,) = [row for item in groups if item.name.startswith(group) for row in item.rows if row.label == label]
        return trace, found

    def test_hold_what_was_computed(self, run: Run) -> None:
        words = ("--gen", "300", "--m", "4", "--n", "2", "--k", "40", "--seed", "3", "--waves", "--json")
        found = json.loads(run("run", "gemm", *words)[1])
        folder = pathlib.Path(found["waves"])
        assert found["match"] is True
        assert folder == pathlib.Path("runs/gemm-mtia300-FP8_E4M3-FP8_E4M3-4x2x40-seed3")
        assert json.loads((folder / "run.json").read_text())["recorded_cycles"] == found["cycles"]
        trace, first = self.row(folder, "stream results", "values[0][0]")
        assert trace.cycles == found["cycles"]
        assert first.decoder == Float32()
        rng = np.random.default_rng(3)
        a, b = (quantize(rng.standard_normal((rows, 40), np.float32), "FP8_E4M3") for rows in (4, 2))
        shown = [
            first.bits(run.value)
            for run in trace.runs(first.signal, 0, trace.cycles)
            if run.value is not None and trace.runs("top.results__valid", run.first, run.end)[-1].value
        ]
        assert shown == tensor.matmul(a, b)[:, 0].view(np.uint32).tolist()
        _, form = self.row(folder, "stream stationary", "format")
        assert form.decoder is not None
        assert {form.decoder.label(form.bits(run.value or 0)) for run in trace.runs(form.signal, 0, 1)} == {"FP8_E4M3"}

    def test_page_and_viewer(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        run("run", "gemm", "--gen", "300", "--m", "4", "--n", "4", "--waves", "one")
        monkeypatch.setenv("PATH", "")
        assert "one/waves.gtkw" in run("waves", "one")[1]
        assert run("waves", "one", "--html", "page.html")[0] == 0
        text = pathlib.Path("page.html").read_text()
        assert "FP8_E4M3" in text
        assert "sequencer" in text
        assert "unit_1" in text

    def test_stop_in_time(self, run: Run) -> None:
        words = ("--gen", "300", "--m", "64", "--n", "8", "--k", "64", "--waves", "run", "--waves-cycles", "100")
        found = json.loads(run("run", "gemm", *words, "--json")[1])
        recorded = json.loads(pathlib.Path("run/run.json").read_text())["recorded_cycles"]
        assert found["match"] is True
        assert 100 <= recorded < found["cycles"]

    def test_without_fst(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(run_waves, "trace_notice", lambda: "waves are written as VCD: install liblz4-dev")
        _, _, err = run("run", "gemm", "--gen", "300", "--m", "1", "--n", "1", "--k", "1", "--waves", "run")
        assert "waves are written as VCD: install liblz4-dev\n" in err

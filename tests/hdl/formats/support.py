"""Exact values of codes from libraries that we did not write."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtia.formats import Element
from tests.oracles import ORACLES


def values_of(codes: NDArray[Any], element: Element) -> NDArray[np.float64]:
    """Values of codes as ml_dtypes, numpy or two's complement give them."""
    if element.is_integer:
        return codes.astype(np.uint8).view(np.int8) / 64.0
    with np.errstate(invalid="ignore"):  # a signalling NaN is no error
        if element.name in ("TF32", "FP32"):
            return (codes.astype(np.uint32) << (32 - element.width)).view(np.float32).astype(np.float64)
        kind = np.dtype(ORACLES[element.name])
        return codes.astype(f"u{kind.itemsize}").view(kind).astype(np.float64)


def mixed_codes(elements: Sequence[Element], seed: int) -> list[tuple[int, int]]:
    """Up to 400 codes of each element with its place in the list, all in random order."""
    generator = np.random.default_rng(seed)
    rows = [
        (int(code), at)
        for at, element in enumerate(elements)
        for code in generator.permutation(sample_codes(element, generator, 200))[:400]
    ]
    return [rows[index] for index in generator.permutation(len(rows))]


def sample_codes(element: Element, generator: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Every code of an element of up to 8 bits; of a wider one the edges of every binade, and random codes."""
    if element.width <= 8:
        return np.arange(1 << element.width)
    steps = np.arange(0, 1 << element.width, 1 << element.mantissa_bits)
    edges = np.concatenate([steps, steps + 1, steps + (1 << element.mantissa_bits) - 1])
    return np.concatenate([edges, generator.integers(0, 1 << element.width, count)])

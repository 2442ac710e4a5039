"""Exact values of codes from libraries that we did not write."""

from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from mtia.formats import Element

#: numpy types of the elements that ml_dtypes or numpy itself has
ORACLES: dict[str, Any] = {
    "E5M2": ml_dtypes.float8_e5m2,
    "E4M3": ml_dtypes.float8_e4m3fn,
    "E3M2": ml_dtypes.float6_e3m2fn,
    "E2M3": ml_dtypes.float6_e2m3fn,
    "E2M1": ml_dtypes.float4_e2m1fn,
    "BF16": ml_dtypes.bfloat16,
    "FP16": np.float16,
}


def values_of(codes: NDArray[Any], element: Element) -> NDArray[np.float64]:
    """Values of codes as ml_dtypes, numpy or two's complement give them."""
    if element.is_integer:
        return codes.astype(np.uint8).view(np.int8) / 64.0
    with np.errstate(invalid="ignore"):  # a signalling NaN is no error
        if element.name in ("TF32", "FP32"):
            return (codes.astype(np.uint32) << (32 - element.width)).view(np.float32).astype(np.float64)
        kind = np.dtype(ORACLES[element.name])
        return codes.astype(f"u{kind.itemsize}").view(kind).astype(np.float64)


def sample_codes(element: Element, generator: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Every code of an element of up to 8 bits; of a wider one the edges of every binade, and random codes."""
    if element.width <= 8:
        return np.arange(1 << element.width)
    steps = np.arange(0, 1 << element.width, 1 << element.mantissa_bits)
    edges = np.concatenate([steps, steps + 1, steps + (1 << element.mantissa_bits) - 1])
    return np.concatenate([edges, generator.integers(0, 1 << element.width, count)])

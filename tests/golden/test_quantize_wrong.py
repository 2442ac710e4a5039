"""What the quantiser and `MXArray.from_codes` refuse, and in which words."""

import re
from typing import Any

import numpy as np
import pytest

from golden.mx import MXArray, quantize


def codes(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.uint8)


WRONG: list[tuple[str, type[Exception], str, tuple[Any, ...], dict[str, Any]]] = [
    (
        "format",
        ValueError,
        "Format must be one of .*, not 'MXFP5'; did you mean MXFP",
        (codes(32), codes(1), "MXFP5"),
        {},
    ),
    ("dtype", TypeError, "Codes must be of dtype uint8 for E4M3", (np.zeros(32), codes(1), "MXFP8_E4M3"), {}),
    ("wide", TypeError, "Codes must be of dtype uint16 for BF16", (codes(32), None, "BF16"), {}),
    ("range", ValueError, "Codes must be below 16 for E2M1, not 16", (codes(32) + 16, codes(1), "MXFP4"), {}),
    ("no axis", ValueError, r"Codes must have at least one axis, not \(\)", (codes(), codes(), "MXFP4"), {}),
    (
        "empty",
        ValueError,
        "Codes must have at least one element along axis -1",
        (codes(2, 0), codes(2, 0), "MXFP4"),
        {},
    ),
    ("axis", ValueError, "Axis must be in -1 to 0, not 1", (codes(32), codes(1), "MXFP4"), {"axis": 1}),
    ("axis kind", TypeError, "Axis must be an integer, not 0.5", (codes(32), codes(1), "MXFP4"), {"axis": 0.5}),
    ("scales", ValueError, "Scales must be an array for MXFP4, not None", (codes(32), None, "MXFP4"), {}),
    ("no scales", ValueError, "Scales must be None for FP8_E4M3", (codes(32), codes(1), "FP8_E4M3"), {}),
    (
        "scale shape",
        ValueError,
        r"Scales must be of shape \(2, 2\), not \(2, 1\)",
        (codes(2, 33), codes(2, 1), "MXFP4"),
        {},
    ),
    ("scale dtype", TypeError, "Scales must be of dtype uint8, not", (codes(32), np.zeros(1), "MXFP4"), {}),
    ("scale range", ValueError, "Scales must be below 128", (codes(16), codes(1) + 128, "NVFP4"), {}),
    ("factor", ValueError, "Tensor scale must be 1 for MXFP4, not 2.0", (codes(32), codes(1), "MXFP4", 2.0), {}),
    ("factor kind", TypeError, "Tensor scale must be a number, not '2'", (codes(16), codes(1), "NVFP4", "2"), {}),
    ("factor range", ValueError, "Tensor scale must be positive and finite", (codes(16), codes(1), "NVFP4", 0.0), {}),
]


@pytest.mark.parametrize(
    ("error", "words", "arguments", "keywords"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG]
)
def test_from_codes_wrong(error: type[Exception], words: str, arguments: Any, keywords: Any) -> None:
    with pytest.raises(error, match=words):
        MXArray.from_codes(*arguments, **keywords)


ONES = np.ones((2, 32), np.float32)
WRONG_QUANTIZE: list[tuple[str, type[Exception], str, dict[str, Any]]] = [
    ("format", ValueError, "not 'MXFP8_E4M4'; did you mean MXFP8_E4M3", {"fmt": "MXFP8_E4M4"}),
    ("integers", TypeError, "X must be of a floating-point dtype, not 'int64'", {"x": np.ones(32, np.int64)}),
    ("complex", TypeError, "X must be of a floating-point dtype, not 'complex128'", {"x": np.ones(32, complex)}),
    ("text", TypeError, "X must be of a floating-point dtype", {"x": "ones"}),
    ("no axis", ValueError, r"X must have at least one axis, not \(\)", {"x": np.float32(1)}),
    ("empty", ValueError, "X must have at least one element along axis -1", {"x": np.ones((2, 0), np.float32)}),
    ("axis", ValueError, "Axis must be in -2 to 1, not 2", {"axis": 2}),
    ("axis kind", TypeError, "Axis must be an integer, not None", {"axis": None}),
    ("rule", ValueError, "Scale rule must be one of .*, not 'flor'; did you mean floor", {"scale_rule": "flor"}),
    ("rounding", ValueError, "Rounding must be one of rne, stochastic, not 'up'", {"rounding": "up"}),
    ("bits missing", ValueError, "Random bits must be an array", {"rounding": "stochastic"}),
    ("bits unused", ValueError, "Random bits must be None", {"random_bits": np.zeros((2, 32), np.uint16)}),
    (
        "bits shape",
        ValueError,
        "Random bits must be of shape",
        {"rounding": "stochastic", "random_bits": np.zeros(32, np.uint16)},
    ),
    ("bits dtype", TypeError, "Random bits must be of dtype", {"rounding": "stochastic", "random_bits": ONES}),
    ("factor", ValueError, "Tensor scale must be 1 for MXFP8_E4M3, not 0.5", {"tensor_scale": 0.5}),
    ("factor range", ValueError, "Tensor scale must be positive", {"fmt": "NVFP4", "tensor_scale": -1.0}),
    ("factor nan", ValueError, "Tensor scale must be positive", {"fmt": "NVFP4", "tensor_scale": np.nan}),
    ("factor kind", TypeError, "Tensor scale must be a number, not True", {"fmt": "NVFP4", "tensor_scale": True}),
]


@pytest.mark.parametrize(
    ("error", "words", "changed"), [row[1:] for row in WRONG_QUANTIZE], ids=[row[0] for row in WRONG_QUANTIZE]
)
def test_quantize_wrong(error: type[Exception], words: str, changed: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"x": ONES, "fmt": "MXFP8_E4M3"}
    with pytest.raises(error, match=words):
        quantize(**(arguments | changed))


def test_errors_are_one_line() -> None:
    with pytest.raises(ValueError, match="Format") as raised:
        quantize(ONES, "nonsense")
    assert re.fullmatch(r"[^\n]+", str(raised.value))

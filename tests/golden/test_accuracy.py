"""Errors: of a product, no more than its quantisation explains; of the accumulation, 2**-23 a group."""

import numpy as np
import pytest

from golden.formats import decode_scale
from golden.mx import quantize
from golden.tensor import matmul
from mtia.formats import FORMATS, MX_FORMATS, Scale, get
from tests.golden.support import scales_of

SHAPE = (48, 56, 1024)


def gaussian(seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    m, n, k = SHAPE
    return generator.standard_normal((m, k)).astype(np.float32), generator.standard_normal((n, k)).astype(np.float32)


@pytest.mark.parametrize("name", MX_FORMATS)
def test_elements_are_within_half_a_place(name: str, seed: int) -> None:
    """With rceil nothing clips: half a unit in the last place, or half of the smallest number."""
    x, _ = gaussian(seed)
    array = quantize(x, name, scale_rule="rceil")
    element = array.format.element
    scale = np.repeat(decode_scale(scales_of(array), Scale.E8M0), 32, axis=1)
    relative = 0.0 if element.is_integer else 2.0 ** -(element.mantissa_bits + 1)
    error = np.abs(array.dequantize().astype(np.float64) - x)
    assert (error <= np.maximum(relative * np.abs(x), scale * element.min_subnormal / 2)).all()


@pytest.mark.parametrize("rule", ["floor", "ceil", "rceil", "even"])
@pytest.mark.parametrize("name", MX_FORMATS)
def test_product_is_within_what_quantisation_explains(name: str, rule: str, seed: int) -> None:
    """|C - XY| <= |dX| |Yq| + |X| |dY| + 2**-23 a group of the partial sums, and far less than |C|."""
    x, y = gaussian(seed)
    a, b = quantize(x, name, scale_rule=rule), quantize(y, name, scale_rule=rule)
    xq, yq = a.dequantize().astype(np.float64), b.dequantize().astype(np.float64)
    quantisation = np.abs(xq - x) @ np.abs(yq).T + np.abs(x).astype(np.float64) @ np.abs(yq - y).T
    accumulation = (SHAPE[2] // 32) * 2.0**-23 * np.abs(xq) @ np.abs(yq).T
    exact = x.astype(np.float64) @ y.astype(np.float64).T
    error = np.abs(matmul(a, b) - exact)
    assert (error <= quantisation + accumulation).all()
    # errors of many elements average out: a bound an all-zeros result fails by an order of magnitude
    ratio = np.sqrt((error**2).mean() / (exact**2).mean())
    assert ratio < {1: 0.25, 2: 0.10, 3: 0.06, 6: 0.03}[get(name).element.mantissa_bits]


@pytest.mark.parametrize("name", FORMATS)
def test_accumulation_adds_at_most_2_to_minus_23_a_group(name: str, seed: int) -> None:
    """Each group costs two roundings, each of half an ulp of what it rounds."""
    x, y = gaussian(seed)
    a, b = quantize(x, name), quantize(y, name)
    group = a.format.group
    left, right = a.scaled(), b.scaled()
    groups = [left[:, k : k + group] @ right[:, k : k + group].T for k in range(0, SHAPE[2], group)]
    partial = np.cumsum(groups, axis=0)
    window = (
        sum(np.abs(left).max() * np.abs(right).max() * 16 * 2.0 ** (2 - 40) for _ in groups) if a.format.is_wide else 0
    )
    bound = 2.0**-24 * (np.abs(groups).sum(axis=0) + np.abs(partial).sum(axis=0)) * (1 + 2.0**-18) + window
    result = matmul(a, b, epilogue=False).astype(np.float64)
    error = np.abs(result - partial[-1])
    assert (error <= bound).all()
    largest = np.maximum(np.abs(groups).max(axis=0), np.abs(partial).max(axis=0))
    assert (error <= len(groups) * 2.0**-23 * largest).all()
    assert np.median(bound) < 1e-5 * np.abs(result).max()

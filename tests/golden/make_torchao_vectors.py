"""Writes tests/golden/vectors/torchao_mx.npz: what torchao makes of stored inputs.

Needs the extra `oracle`. Run it from the root: ``python tests/golden/make_torchao_vectors.py``.

For each element and scale rule the file holds the codes and the scale codes; for NVFP4 the same with a
tensor scale. The inputs are drawn from a fixed seed and stored too, so reading needs neither torch nor
the same generator. torchao's name and version are in the file.
"""

import pathlib

import numpy as np
import torch
import torchao
from torchao.prototype.mx_formats.config import ScaleCalculationMode
from torchao.prototype.mx_formats.constants import DTYPE_FP6_E2M3, DTYPE_FP6_E3M2
from torchao.prototype.mx_formats.mx_tensor import to_mx
from torchao.prototype.mx_formats.nvfp4_tensor import nvfp4_quantize

OUTPUT = pathlib.Path(__file__).parent / "vectors" / "torchao_mx.npz"
BLOCK = 32
ELEMENTS = {
    "MXFP8_E5M2": torch.float8_e5m2,
    "MXFP8_E4M3": torch.float8_e4m3fn,
    "MXFP6_E3M2": DTYPE_FP6_E3M2,
    "MXFP6_E2M3": DTYPE_FP6_E2M3,
    "MXFP4": torch.float4_e2m1fn_x2,
}
RULES = {
    "floor": ScaleCalculationMode.FLOOR,
    "ceil": ScaleCalculationMode.CEIL,
    "rceil": ScaleCalculationMode.RCEIL,
    "even": ScaleCalculationMode.EVEN,
}


def inputs(generator: np.random.Generator) -> np.ndarray:
    """Blocks of FP32: spread exponents, powers of two and their neighbours as the largest, coarse values that tie."""
    normal = generator.standard_normal((64, BLOCK)) * 2.0 ** generator.integers(-100, 100, (64, 1))
    spread = generator.standard_normal((64, BLOCK)) * 2.0 ** generator.integers(-12, 1, (64, BLOCK))
    coarse = generator.integers(-63, 64, (64, BLOCK)) / 8.0
    blocks = np.concatenate([normal, spread, coarse]).astype(np.float32)
    edges = np.repeat(np.array([1.0, 1.5, 1.75, 1.875, 1.9375, 1.984375], np.float32), 3)
    edges[1::3], edges[2::3] = np.nextafter(edges[1::3], np.float32(0)), np.nextafter(edges[2::3], np.float32(2))
    small = generator.uniform(-0.5, 0.5, (len(edges), BLOCK)).astype(np.float32)
    small[:, 7] = edges
    zero = np.zeros((1, BLOCK), np.float32)
    zero[0, 1::2] = -0.0
    return np.concatenate([blocks, small, zero])


def unpacked(codes: torch.Tensor, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Codes one a byte; two of MXFP4 come in one, the first in the low half."""
    raw = codes.contiguous().view(torch.uint8).numpy()
    if name in ("MXFP4", "NVFP4"):
        raw = np.stack([raw & 0xF, raw >> 4], axis=-1)
    return raw.reshape(shape)


def main() -> None:
    """Write the file."""
    x = inputs(np.random.default_rng(20))
    arrays: dict[str, np.ndarray] = {"x": x, "torchao": np.array(torchao.__version__)}
    for name, dtype in ELEMENTS.items():
        for rule, mode in RULES.items():
            scales, codes = to_mx(torch.from_numpy(x), dtype, BLOCK, mode)
            arrays[f"{name}.{rule}.codes"] = unpacked(codes, name, x.shape)
            arrays[f"{name}.{rule}.scales"] = scales.view(torch.uint8).numpy().reshape(len(x), 1)
    small = x[64:-1]
    factor = np.float32(np.abs(small).max() / np.float32(448 * 6))
    scales, codes = nvfp4_quantize(torch.from_numpy(small), 16, torch.tensor(factor))
    arrays |= {
        "NVFP4.x": small,
        "NVFP4.tensor_scale": np.array(factor),
        "NVFP4.codes": unpacked(codes, "NVFP4", small.shape),
    }
    arrays["NVFP4.scales"] = scales.view(torch.uint8).numpy().reshape(len(small), 2)
    np.savez_compressed(OUTPUT, allow_pickle=False, **arrays)


if __name__ == "__main__":
    main()

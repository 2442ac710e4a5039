"""Tensors in block formats, and the quantiser that makes them from FP32.

Ref: OCP Microscaling Formats (MX) Specification v1.0, sections 5.1 to 5.4 and 6.3.

What the specification leaves open is decided in docs/numerics.md: the scale of an all-zero block,
the elements of a block with NaN or Inf, the rule of the scale, stochastic rounding.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtia.formats import ELEMENTS, Element, Format, Scale, get, unknown

from . import formats
from .rounding import to_fp32

#: how the shared exponent of an E8M0 block follows from its largest magnitude
SCALE_RULES: tuple[str, ...] = ("floor", "ceil", "rceil", "even")
_E8M0_BIAS = 127
_E8M0_MAX_CODE = 254
_E8M0_NAN = 0xFF
_E4M3_NAN = 0x7F
_FP32_SIGNIFICAND = 24
_HIDDEN = 1 << (_FP32_SIGNIFICAND - 1)
_MIN_FP32 = np.float32(2.0**-149)


@dataclass(frozen=True, kw_only=True, eq=False)
class MXArray:
    """A tensor of codes with the scales of its blocks; made by `quantize` or `from_codes`.

    codes:        uint8, uint16 or uint32 (`golden.formats.code_dtype`), in the shape of the tensor
    scales:       uint8, that shape with `axis` shortened to the number of blocks; None without scale
    format:       row of `mtia.formats`
    tensor_scale: FP32 factor of the whole tensor, 1 except for NVFP4
    axis:         the axis that is cut in blocks, counted from 0 (the last for formats without scale)
    """

    codes: NDArray[np.unsignedinteger] = field(repr=False)
    scales: NDArray[np.uint8] | None = field(repr=False)
    format: Format
    tensor_scale: np.float32
    axis: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return self.codes.shape

    @classmethod
    def from_codes(
        cls,
        codes: object,
        scales: object,
        fmt: str | Format,
        tensor_scale: float | np.float32 = 1.0,
        *,
        axis: int = -1,
    ) -> "MXArray":
        """A tensor from stored codes and scales, checked but not copied.

        codes: of `golden.formats.code_dtype`, at least one axis, at least one element along `axis`
        scales: uint8, one for each block along `axis` (the last may be ragged); None without scale

        TypeError for a wrong dtype, ValueError for a wrong shape, a code or scale out of range, an
        unknown format, or a tensor scale other than 1 where the format has none.
        """
        row = get(fmt)
        array = formats.check_codes(codes, row.element)
        place = _check_axis(array.shape, axis, "Codes")
        factor = _check_tensor_scale(tensor_scale, row)
        if not row.is_scaled:
            if scales is not None:
                raise ValueError(f"Scales must be None for {row.name}, not {type(scales).__name__!r}")
            return cls(codes=array, scales=None, format=row, tensor_scale=factor, axis=array.ndim - 1)
        if scales is None:
            raise ValueError(f"Scales must be an array for {row.name}, not None")
        scale_codes = np.asarray(scales)
        formats.decode_scale(scale_codes, row.scale)
        assert row.block is not None
        shape = (*array.shape[:place], -(-array.shape[place] // row.block), *array.shape[place + 1 :])
        if scale_codes.shape != shape:
            raise ValueError(f"Scales must be of shape {shape}, not {scale_codes.shape!r}")
        return cls(codes=array, scales=scale_codes, format=row, tensor_scale=factor, axis=place)

    def scaled(self) -> NDArray[np.float64]:
        """Exact values of the elements times their block scale, without the tensor scale, in float64.

        A NaN scale makes its block NaN.
        """
        values = formats.decode(self.codes, self.format.element)
        if self.scales is None:
            return values
        assert self.format.block is not None
        scale = formats.decode_scale(self.scales, self.format.scale)
        spread = np.repeat(scale, self.format.block, axis=self.axis)
        # Inf times a scale is Inf and no scale with an Inf under it is zero: NaN comes from NaN alone
        return values * spread[tuple(slice(length) for length in self.shape)]

    def dequantize(self) -> NDArray[np.float32]:
        """Values as FP32: element times block scale times tensor scale, exact in float64, then one RNE.

        Only a product outside FP32's range, or NVFP4's with its tensor scale, is changed by that
        rounding: overflow gives Inf and NaN is 0x7FC00000.
        """
        return to_fp32(self.scaled() * float(self.tensor_scale))


def quantize(
    x: object,
    fmt: str | Format,
    *,
    axis: int = -1,
    scale_rule: str = "floor",
    rounding: str = "rne",
    random_bits: object = None,
    tensor_scale: float | np.float32 | None = None,
) -> MXArray:
    """Convert an FP32 tensor to a format of `mtia.formats`.

    x:            float array of any shape with at least one element along `axis`. FP32 is the
                  quantiser's input: BF16 and FP16 are widened, float64 is rounded to it (RNE) first.
    fmt:          name or row. MX and NVFP4 give codes and scales; FP8 saturates, Inf too; BF16, FP16
                  and TF32 overflow to Inf; NaN becomes the one quiet NaN of those formats.
    axis:         cut in blocks from its start; a ragged last block counts as padded with zeros.
    scale_rule:   "floor", "ceil", "rceil" or "even" (see `shared_exponent`); only E8M0 scales use it.
    rounding:     "rne" or "stochastic" of the elements; scales never round stochastically.
    random_bits:  uint16 array in the shape of x for "stochastic", else None (see `golden.formats.encode`).
    tensor_scale: NVFP4's factor, FP32, positive; by default ``float32(amax / (448 * 6))``, not below
                  2**-149 and 1 for a tensor of zeros.

    A block with NaN or Inf gets a NaN scale and zero codes, and does not count in a tensor's amax.
    TypeError for a wrong dtype; ValueError for an unknown format (with the nearest names), rule or
    rounding, a wrong shape, axis or tensor scale.
    """
    row = get(fmt)
    values = _as_fp32(x)
    place = _check_axis(values.shape, axis, "X")
    if scale_rule not in SCALE_RULES:
        raise ValueError(unknown("Scale rule", scale_rule, list(SCALE_RULES)))
    bits = formats.check_rounding(rounding, random_bits, values.shape)
    factor = None if tensor_scale is None else _check_tensor_scale(tensor_scale, row)
    if row.block is None:
        codes = formats.encode(
            values, row.element, rounding=rounding, random_bits=bits, saturate=row.element.width <= 8
        )
        return MXArray(codes=codes, scales=None, format=row, tensor_scale=np.float32(1), axis=values.ndim - 1)

    blocks = _to_blocks(values, place, row.block)
    finite = np.isfinite(blocks).all(axis=-1)
    blocks = np.where(finite[..., None], blocks, np.float32(0)).astype(np.float64)
    amax = np.abs(blocks).max(axis=-1, initial=0.0)
    if row.scale is Scale.E8M0:
        scales, divisor = _e8m0_scales(amax, row.element, scale_rule)
        factor, nan_scale = np.float32(1), _E8M0_NAN
    else:
        factor = _default_tensor_scale(amax, row.element) if factor is None else factor
        scales, divisor = _e4m3_scales(amax, factor, row.element)
        nan_scale = _E4M3_NAN
    codes = formats.encode(
        _divide(blocks, divisor[..., None]),
        row.element,
        rounding=rounding,
        random_bits=None if bits is None else _to_blocks(bits, place, row.block),
    )
    scales = np.where(finite, scales, nan_scale).astype(np.uint8)
    return MXArray(
        codes=_from_blocks(codes, place, values.shape),
        scales=np.ascontiguousarray(np.moveaxis(scales, -1, place)),
        format=row,
        tensor_scale=factor,
        axis=place,
    )


def shared_exponent(amax: NDArray[np.float64], element: Element, scale_rule: str) -> NDArray[np.int64]:
    """Exponent of the block scale before clamping, for positive FP32 values of the largest magnitude.

    With ``amax = s * 2**E``, ``1 <= s < 2``, taken from the bits and never from a logarithm:

    floor: E - emax, as section 6.3 (s above the element's largest significand clips)
    ceil:  ceil(log2(amax)) - emax
    rceil: the smallest e with ``amax <= max_value * 2**e``: nothing clips
    even:  floor, once s is rounded to the element's mantissa bits, half up
    """
    fraction, exponent = np.frexp(amax)
    significand = np.ldexp(fraction, _FP32_SIGNIFICAND).astype(np.int64)
    base: NDArray[np.int64] = exponent.astype(np.int64) - 1 - element.emax
    if scale_rule == "floor":
        return base
    if scale_rule == "ceil":
        return base + (significand != _HIDDEN)
    if scale_rule == "rceil":
        return base + (significand > int(np.ldexp(element.max_value, _FP32_SIGNIFICAND - 1 - element.emax)))
    half = _HIDDEN >> (element.mantissa_bits + 1)
    return base + (significand + half >= 2 * _HIDDEN)


def _e8m0_scales(
    amax: NDArray[np.float64], element: Element, scale_rule: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    code = np.clip(shared_exponent(amax, element, scale_rule) + _E8M0_BIAS, 0, _E8M0_MAX_CODE)
    code = np.where(amax > 0, code, 0)
    return code, np.ldexp(1.0, (code - _E8M0_BIAS).astype(np.int32))


def _e4m3_scales(
    amax: NDArray[np.float64], factor: np.float32, element: Element
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    # 6 * factor has 26 bits and the quotient is compared with 5-bit ties: float64's rounding of the
    # quotient cannot reach or cross one, so this is the RNE of the exact quotient
    code = formats.encode(amax / (element.max_value * float(factor)), ELEMENTS["E4M3"])
    return code.astype(np.int64), formats.decode(code, ELEMENTS["E4M3"]) * float(factor)


def _divide(blocks: NDArray[np.float64], divisor: NDArray[np.float64]) -> NDArray[np.float64]:
    # exact for a power of two. For NVFP4 the divisor has 28 bits, and the ties (3 bits, or 19 with the
    # 16 random ones) are further from any other quotient than float64 rounds, so encode decides exactly
    quotient = blocks / np.where(divisor > 0, divisor, 1.0)
    return np.where(divisor > 0, quotient, np.copysign(0.0, blocks))


def _default_tensor_scale(amax: NDArray[np.float64], element: Element) -> np.float32:
    largest = np.float32(amax.max(initial=0.0))
    if largest == 0:
        return np.float32(1)
    with np.errstate(under="ignore"):
        factor = largest / np.float32(ELEMENTS["E4M3"].max_value * element.max_value)
    return np.float32(max(factor, _MIN_FP32))


def _as_fp32(x: object) -> NDArray[np.float32]:
    array = np.asarray(x)
    # bfloat16 comes from an extension, whose types numpy does not count as floating
    if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
        raise TypeError(f"X must be of a floating-point dtype, not {str(array.dtype)!r}")
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return array.astype(np.float32)


def _check_axis(shape: tuple[int, ...], axis: object, subject: str) -> int:
    if not shape:
        raise ValueError(f"{subject} must have at least one axis, not {shape!r}")
    if not isinstance(axis, int | np.integer) or isinstance(axis, bool):
        raise TypeError(f"Axis must be an integer, not {axis!r}")
    if not -len(shape) <= axis < len(shape):
        raise ValueError(f"Axis must be in {-len(shape)} to {len(shape) - 1}, not {axis!r}")
    if shape[axis] == 0:
        raise ValueError(f"{subject} must have at least one element along axis {axis}, not {shape!r}")
    return int(axis) % len(shape)


def _check_tensor_scale(tensor_scale: object, row: Format) -> np.float32:
    if isinstance(tensor_scale, bool) or not isinstance(tensor_scale, float | int | np.floating | np.integer):
        raise TypeError(f"Tensor scale must be a number, not {tensor_scale!r}")
    with np.errstate(over="ignore", under="ignore"):
        factor = np.float32(tensor_scale)
    if not (np.isfinite(factor) and factor > 0):
        raise ValueError(f"Tensor scale must be positive and finite in FP32, not {tensor_scale!r}")
    if row.scale is not Scale.E4M3 and factor != 1:
        raise ValueError(f"Tensor scale must be 1 for {row.name}, not {tensor_scale!r}")
    return factor


def _to_blocks(array: NDArray[Any], axis: int, block: int) -> NDArray[Any]:
    moved = np.moveaxis(array, axis, -1)
    pad = -moved.shape[-1] % block
    padded = np.pad(moved, [(0, 0)] * (moved.ndim - 1) + [(0, pad)])
    return padded.reshape(*moved.shape[:-1], padded.shape[-1] // block, block)


def _from_blocks(blocks: NDArray[Any], axis: int, shape: tuple[int, ...]) -> NDArray[Any]:
    flat = blocks.reshape(*blocks.shape[:-2], blocks.shape[-2] * blocks.shape[-1])
    return np.ascontiguousarray(np.moveaxis(flat[..., : shape[axis]], -1, axis))

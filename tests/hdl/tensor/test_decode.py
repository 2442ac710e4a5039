"""Decoding of every code and scale of a row, in every lane, against ml_dtypes and numpy."""

import functools
import random

import ml_dtypes
import numpy as np
import pytest

from hdl.formats.code import FormatCode
from hdl.tensor.decode import DecodeDense, DecodeGeneral, DecodeScale
from hdl.tensor.shape import LANES, SliceShape, signals
from mtia.formats import ELEMENTS, FORMATS, Scale
from mtia.generations import EngineParameters
from tests.hdl.formats.support import sample_codes, values_of
from tests.hdl.pysim import run

from .support import BUILDS, PARAMETERS

ALL = SliceShape(PARAMETERS)


def shape_of(*formats, dense_rows=3, **changes):
    return SliceShape(
        EngineParameters(units=1, slices=1, depth=2, dense_rows=dense_rows, formats=formats, mixed=True, **changes)
    )


@functools.cache
def scale_values(scale):
    """Values of all 256 scale codes; bit 7 of an E4M3 scale does not count."""
    codes = np.arange(256, dtype=np.uint8)
    if scale is Scale.E8M0:
        return codes.view(ml_dtypes.float8_e8m0fnu).astype(np.float64)
    return values_of(codes & 0x7F, ELEMENTS["E4M3"]) if scale is Scale.E4M3 else np.ones(256)


@pytest.mark.parametrize("shape", [SliceShape(build) for build in BUILDS.values()], ids=BUILDS)
@pytest.mark.parametrize("name", FORMATS)
def test_every_scale_code(name, shape):
    """Also of a format without scales, where the code means nothing."""
    fmt = FORMATS[name]
    dut = DecodeScale(shape=shape)
    rows = [(FormatCode[name].value, code) for code in range(256)]
    scale = dut.scale
    results = run(dut, [dut.format, dut.code], [scale.exponent, scale.nan, scale.significand], rows)
    for value, (exponent, nan, significand) in zip(scale_values(fmt.scale), results, strict=True):
        assert nan == np.isnan(value)
        if not nan:
            factor = significand / 8 if fmt.scale is Scale.E4M3 else 1
            assert factor * 2.0 ** (exponent - 127 - shape.top_exponent(fmt.element)) == value


@pytest.mark.parametrize("name", ["MXFP4", "NVFP4"])
def test_every_dense_code_in_every_lane(name, seed):
    """The upper 16 lanes of NVFP4 are zero, whatever is in them."""
    fmt, generator = FORMATS[name], random.Random(seed)
    dut = DecodeDense(shape=ALL)
    values = values_of(np.arange(16), fmt.element)
    vectors, rows = [], []
    for first in range(16):
        codes = [(first + 5 * lane) % 16 for lane in range(LANES)]
        rows.append(codes)
        packed = sum(code << 4 * lane for lane, code in enumerate(codes))
        vectors.append((FormatCode[name].value, generator.choice([0x38, 0x7F, 0xFF, 3]), packed))
    scale = DecodeScale(shape=ALL)
    scales = run(scale, [scale.format, scale.code], signals(scale.scale), [vector[:2] for vector in vectors])
    outputs = [dut.row.sign, *dut.row.magnitude, *signals(dut.row.scale)]
    for codes, scaled, (sign, *rest) in zip(
        rows, scales, run(dut, [dut.format, dut.code, dut.codes], outputs, vectors), strict=True
    ):
        for lane, code in enumerate(codes):
            expected = 0 if lane >= fmt.group else abs(values[code])
            assert rest[lane] / 2 == expected
            if expected:
                assert sign >> lane & 1 == np.signbit(values[code])
        assert tuple(rest[LANES:]) == scaled


def packed(codes, width, step, generator, bits):
    """Codes of `width` bits, one every `step` bits, the bits that no lane uses at random."""
    word = generator.getrandbits(bits)
    for lane, code in enumerate(codes):
        mask = (1 << width) - 1 << step * lane
        word = word & ~mask | code << step * lane
    return word & (1 << bits) - 1


def general_rows(dut, fmt, rows, generator, dense=False):
    """Decoded rows of codes: for each sign, zero and inf of all lanes, significands, exponents, NaN."""
    step = 4 if dense else max(8, fmt.element.width)
    vectors = [
        (FormatCode[fmt.name].value, 0x38, dense, packed(codes, fmt.element.width, step, generator, dut.bits))
        for codes in rows
    ]
    row = dut.row
    outputs = [
        *(row.sign, row.zero, row.inf, row.scale.nan),
        *(getattr(row, f"{side}_significand")[half] for half in range(LANES // 2) for side in ("even", "odd")),
        *(getattr(row, f"{side}_exponent")[half] for half in range(LANES // 2) for side in ("even", "odd")),
    ]
    results = run(dut, [dut.format, dut.code, dut.dense, dut.codes], outputs, vectors)
    return [(result[:4], result[4 : 4 + LANES], result[4 + LANES :]) for result in results]


_SHAPES = [
    *((ALL, name) for name in FORMATS),
    (shape_of("MXFP8_E4M3", "MXFP4"), "MXFP8_E4M3"),
    (shape_of("MXFP8_E4M3", "MXFP4", dense_rows=1), "MXFP4"),
    (shape_of("MXFP4", "NVFP4"), "NVFP4"),
    (shape_of("MXINT8", "MXFP6_E3M2"), "MXINT8"),
    (shape_of("BF16", "TF32"), "BF16"),
    *((SliceShape(BUILDS["ecp5"]), name) for name in ("MXINT8", "MXFP8_E5M2")),
    (shape_of("MXINT8", cells="ecp5"), "MXINT8"),
    (shape_of("FP16"), "FP16"),
]
#: engine, format, and whether in the packing of dense beats: each format in the engine of the 450, some in small ones
CASES = [
    pytest.param(
        shape, name, dense, id=f"{name}-of-{len(shape.formats)}-{shape.parameters.cells}" + ("-dense" if dense else "")
    )
    for shape, name in _SHAPES
    for dense in (False, True)
    if not dense or (shape.rows > 1 and FORMATS[name].element.name == "E2M1")
]


@pytest.mark.parametrize(("shape", "name", "dense"), CASES)
def test_every_code_in_every_lane(shape, name, dense, seed):
    """Wide formats: the edges of every binade and random codes."""
    fmt, generator = FORMATS[name], random.Random(seed)
    dut = DecodeGeneral(shape=shape, bits=shape.streamed_bits)
    codes = sample_codes(fmt.element, np.random.default_rng(seed), 300)
    values = values_of(codes, fmt.element)
    finite = np.flatnonzero(~np.isnan(values))  # NaN has a test of its own
    lanes = LANES // 2 if fmt.is_wide else LANES
    picks = [[finite[(first + 37 * lane) % len(finite)] for lane in range(lanes)] for first in range(len(finite))]
    if len(picks) > 300:
        picks = generator.sample(picks, 300)
    rows = [[int(codes[index]) for index in pick] for pick in picks]
    spread = 2 if fmt.is_wide else 1  # a wide element every second lane
    for pick, ((sign, zero, inf, nan), significands, exponents) in zip(
        picks, general_rows(dut, fmt, rows, generator, dense), strict=True
    ):
        expected = np.zeros(LANES)
        expected[: lanes * spread : spread] = values[pick]
        expected[fmt.group * spread :] = 0
        assert not nan
        for lane, value in enumerate(expected):
            assert inf >> lane & 1 == np.isinf(value)
            assert zero >> lane & 1 == (value == 0)
            if value:
                assert sign >> lane & 1 == np.signbit(value)
            if np.isfinite(value):
                bits = shape.odd_bits if lane % 2 else shape.even_bits
                exponent = shape.top_exponent(fmt.element) - exponents[lane]
                number = significands[lane] * 2.0 ** (1 - bits)
                assert number * 2.0**exponent == abs(value) or (number == 0 == value)


@pytest.mark.parametrize("name", [name for name, fmt in FORMATS.items() if fmt.element.specials.value != "none"])
def test_every_nan_in_every_lane(name, seed):
    """One NaN among zeros makes the row NaN; no NaN does not."""
    fmt, generator = FORMATS[name], random.Random(seed)
    dut = DecodeGeneral(shape=ALL, bits=ALL.streamed_bits)
    codes = sample_codes(fmt.element, np.random.default_rng(seed), 300)
    nans = codes[np.isnan(values_of(codes, fmt.element))].tolist()
    lanes = LANES // 2 if fmt.is_wide else LANES
    places = [(lane, nans[(lane + step) % len(nans)]) for lane in range(lanes) for step in range(min(6, len(nans)))]
    rows = [[code if at == lane else 0 for at in range(lanes)] for lane, code in places]
    results = general_rows(dut, fmt, [*rows, [0] * lanes], generator)
    assert [flags[3] for flags, *_ in results] == [1] * len(rows) + [0]


def test_a_nan_in_the_unused_lanes_of_nvfp4_or_a_nan_scale():
    """E2M1 has no NaN: only a scale can make such a row one."""
    dut = DecodeGeneral(shape=ALL, bits=ALL.streamed_bits)
    ones = (1 << ALL.streamed_bits) - 1
    for name, code, nan in (("NVFP4", 0x7E, 0), ("NVFP4", 0x7F, 1), ("NVFP4", 0xFF, 1), ("MXFP4", 0xFF, 1)):
        rows = [(FormatCode[name].value, code, dense, ones) for dense in (0, 1)]
        assert run(dut, [dut.format, dut.code, dut.dense, dut.codes], [dut.row.scale.nan], rows) == [(nan,)] * 2

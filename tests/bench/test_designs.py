"""What the area benchmark builds computes what it says: nothing that was measured is dead logic."""

import numpy as np
import pytest

from bench.designs import Accumulating, ExactDot, parameters_of_unit
from golden import reference
from golden.mx import MXArray
from golden.tensor import matmul
from hdl.formats.code import FormatCode
from hdl.tensor.accumulate import AccumulatorBank
from mtia.engine import CELLS
from mtia.formats import ELEMENTS
from mtia.generations import get
from tests.hdl.pysim import run

ROWS = 40


def codes_of(rng, element, rows):
    """Random codes of finite numbers, (rows, 32)."""
    row = ELEMENTS[element]
    codes = rng.integers(0, 1 << row.width, (rows, 32))
    return np.where(codes & (1 << row.width - 1) - 1 > row.max_code, row.max_code, codes)


def packed(codes, width):
    return [sum(int(code) << width * lane for lane, code in enumerate(row)) for row in codes]


@pytest.mark.parametrize("cells", CELLS)
@pytest.mark.parametrize("element, width", [("E4M3", 8), ("E2M1", 4)])
def test_exact_dot_products(seed, element, width, cells):
    rng = np.random.default_rng(seed)
    dense = element == "E2M1"
    names, rows = (("MXFP4",), 2) if dense else (("MXFP8_E4M3",), 1)
    parameters = parameters_of_unit(names, dense_rows=rows, cells=cells)
    dut = ExactDot(parameters=parameters, dense=dense)
    a, b = codes_of(rng, element, ROWS), codes_of(rng, element, ROWS)
    scales = rng.integers(100, 150, (2, ROWS))
    vectors = list(zip(packed(a, width), packed(b, width), *scales.tolist(), strict=True))
    inputs = [dut.a_codes, dut.b_codes, dut.a_scale, dut.b_scale]
    outputs = [dut.negative, dut.magnitude, dut.exponent, dut.nan]
    found = run(dut, inputs, outputs, vectors, latency=dut.latency)
    row = ELEMENTS[element]
    for index, (negative, magnitude, exponent, nan) in enumerate(found):
        wanted = reference.group_sum(a[index].tolist(), b[index].tolist(), row, row)
        # The top bit of the magnitude has the weight 2**(exponent - 248), both block exponents in it.
        block = int(scales[0, index] + scales[1, index]) - 2 * 127
        value = magnitude * 2.0 ** (exponent - 248 - (len(dut.magnitude) - 1) - block)
        assert not nan
        assert (-value if negative else value) == float(wanted)


@pytest.mark.parametrize(
    "name, cells",
    [
        ("MXFP8_E4M3", "generic"),
        ("MXFP8_E4M3", "ecp5"),
        pytest.param("mtia450", "ecp5", marks=pytest.mark.long),
    ],
)
def test_accumulating_products(seed, name, cells):
    rng = np.random.default_rng(seed)
    generation = get("mtia450")
    parameters = (
        parameters_of_unit(generation.formats, mixed=True, dense_rows=generation.dense_rows, cells=cells)
        if name == generation.name
        else parameters_of_unit((name,), cells=cells)
    )
    dut = Accumulating(parameters=parameters)
    groups = 6
    a, b = codes_of(rng, "E4M3", groups), codes_of(rng, "E4M3", groups)
    scales = rng.integers(110, 140, (2, groups))
    inputs = [dut.stationary_codes, dut.streamed_codes, dut.stationary_scale, dut.streamed_scales]
    inputs += [dut.address, dut.first, dut.enable]
    fixed = []
    if name == generation.name:
        inputs += [dut.stationary_format, dut.streamed_format]
        fixed = [FormatCode["MXFP8_E4M3"].value] * 2
    vectors = []
    idle = AccumulatorBank.interval_of(groups=1)
    for group, (left, right) in enumerate(zip(packed(a, 8), packed(b, 8), strict=True)):
        vectors.append([left, right, *scales[:, group].tolist(), 3, group == 0, 1, *fixed])
        vectors += [[0, 0, 0, 0, 0, 0, 0, *fixed]] * idle
    found = run(dut, inputs, [dut.results[0].as_value()], vectors, latency=dut.latency)
    arrays = [
        MXArray.from_codes(codes.reshape(1, -1).astype(np.uint8), scale.reshape(1, -1).astype(np.uint8), "MXFP8_E4M3")
        for codes, scale in ((a, scales[0]), (b, scales[1]))
    ]
    wanted = matmul(*arrays)
    assert found[(groups - 1) * (idle + 1)][0] == int(wanted.view(np.uint32)[0, 0])

"""What a pair of formats asks of the data path, and the decoding of beats and stationary rows."""

import random

import pytest

from hdl.formats.code import FormatCode
from hdl.tensor.beat import DecodeBeat, Mode
from hdl.tensor.decode import DecodeDense, DecodeGeneral
from hdl.tensor.load import DecodeRow
from hdl.tensor.places import places
from hdl.tensor.shape import LANES, SliceShape, signals
from mtia import generations
from mtia.formats import ELEMENTS, FORMATS
from mtia.generations import EngineParameters
from tests.hdl.pysim import run

from .support import PARAMETERS

ENGINES = {
    **{name: generations.get(name).engine("sim") for name in ("mtia300", "mtia400", "mtia450")},
    "fpga": generations.get("mtia450").engine("fpga"),
    "one row": EngineParameters(
        units=1, slices=1, depth=2, dense_rows=1, formats=("MXFP8_E4M3", "MXFP4", "NVFP4"), mixed=True
    ),
}
FORMATS_OF_SHAPE = ("MXFP8_E4M3", "MXFP4", "NVFP4")


def shape_of(*, deep=False):
    return SliceShape(
        EngineParameters(units=1, slices=1, depth=2, dense_rows=3, formats=FORMATS_OF_SHAPE, mixed=True, deep=deep)
    )


SHAPE = shape_of()


@pytest.mark.parametrize("engine", ENGINES)
def test_every_pair_of_codes(engine):
    """Also of formats that the engine lacks, and of codes that are no format: refused, and nothing else."""
    parameters = ENGINES[engine]
    dut = Mode(shape=SliceShape(parameters))
    rows = [(a, b) for a in range(32) for b in range(32)]
    names = list(FORMATS)
    for (a, b), result in zip(
        rows, run(dut, [dut.streamed, dut.stationary], [dut.refuse, dut.dense, dut.wide, dut.nvfp4], rows), strict=True
    ):
        known = max(a, b) < len(names)
        if not known or not parameters.supports(FORMATS[names[a]], FORMATS[names[b]]):
            assert result == (1, 0, 0, 0)
            continue
        left, right = FORMATS[names[a]], FORMATS[names[b]]
        both_e2m1 = left.element.name == right.element.name == "E2M1"
        assert result == (0, both_e2m1 and parameters.dense_rows > 1, left.is_wide, left.name == "NVFP4")


def beat_vectors(seed, count=60):
    generator = random.Random(seed)
    return [
        (
            FormatCode[generator.choice(FORMATS_OF_SHAPE)].value,
            generator.getrandbits(SHAPE.streamed_bits),
            *(generator.getrandbits(8) for _ in range(SHAPE.rows)),
        )
        for _ in range(count)
    ]


def nibbles(codes, row):
    """Codes of a row of E2M1, four bits a lane."""
    bits = [bit for lane in range(LANES) for bit in places(ELEMENTS["E2M1"], lane, row=row)]
    return sum((codes >> bit & 1) << at for at, bit in enumerate(bits))


@pytest.mark.parametrize("deep", [False, True])
def test_a_beat_a_cycle_later(deep, seed):
    """Row 0 as the general lanes decode it, the others as dense rows, each with its own scale; deep a cycle more."""
    vectors = beat_vectors(seed)
    dut = DecodeBeat(shape=shape_of(deep=deep))
    latency = DecodeBeat.latency_of(deep=deep)
    assert latency == 1 + deep
    scales = [dut.scales[row] for row in range(SHAPE.rows)]
    results = run(dut, [dut.format, dut.codes, *scales], signals(dut.row), vectors, latency=latency)
    general = DecodeGeneral(shape=SHAPE, bits=SHAPE.streamed_bits)
    expected = run(
        general,
        [general.format, general.codes, general.code],
        signals(general.row),
        [vector[:3] for vector in vectors],
    )
    for row in range(1, SHAPE.rows):
        dense = DecodeDense(shape=SHAPE)
        rows = [(fmt, nibbles(codes, row), scale[row]) for fmt, codes, *scale in vectors]
        part = run(dense, [dense.format, dense.codes, dense.code], signals(dense.row), rows)
        expected = [(*left, *right) for left, right in zip(expected, part, strict=True)]
    order = [path[0] for path, _member, _signal in dut.row.signature.flatten(dut.row)]
    assert sorted(set(order), key=order.index) == ["general", "dense_1", "dense_2"]
    assert results == expected


@pytest.mark.parametrize("deep", [False, True])
def test_a_refused_beat_is_nan(deep, seed):
    dut = DecodeBeat(shape=shape_of(deep=deep))
    vectors = [(*vector, refuse) for vector in beat_vectors(seed, 20) for refuse in (1, 0)]
    scales = [dut.scales[row] for row in range(SHAPE.rows)]
    ports = [dut.format, dut.codes, *scales, dut.refuse]
    results = run(dut, ports, [dut.row.general.scale.nan], vectors, latency=1 + deep)
    assert all(nan for (nan,) in results[::2])
    assert not all(nan for (nan,) in results[1::2])


@pytest.mark.parametrize("deep", [False, True])
def test_a_stationary_row(deep, seed):
    """Decoded for the general lanes, and as E2M1 from the middle of every byte."""
    generator = random.Random(seed)
    vectors = [
        (
            FormatCode[generator.choice(FORMATS_OF_SHAPE)].value,
            generator.getrandbits(SHAPE.stationary_bits),
            generator.getrandbits(8),
        )
        for _ in range(60)
    ]
    dut = DecodeRow(shape=shape_of(deep=deep))
    results = run(dut, [dut.format, dut.codes, dut.scale], signals(dut.row), vectors, latency=int(deep))
    general = DecodeGeneral(shape=SHAPE, bits=SHAPE.stationary_bits)
    dense = DecodeDense(shape=SHAPE)
    low = [(fmt, nibbles(codes, 0), scale) for fmt, codes, scale in vectors]
    expected = {
        "general": run(general, [general.format, general.codes, general.code], signals(general.row), vectors),
        "dense": run(dense, [dense.format, dense.codes, dense.code], signals(dense.row), low),
    }
    order = [path[0] for path, _member, _signal in dut.row.signature.flatten(dut.row)]
    first, second = sorted(set(order), key=order.index)
    assert results == [(*left, *right) for left, right in zip(expected[first], expected[second], strict=True)]


def test_rows_without_dense_lanes():
    """An engine of one row has no dense decoder."""
    shape = SliceShape(ENGINES["one row"])
    assert list(shape.stationary_signature.members) == list(shape.streamed_signature.members) == ["general"]
    assert list(SliceShape(PARAMETERS).stationary_signature.members) == ["general", "dense"]
    dut = DecodeRow(shape=shape)
    row = (FormatCode["MXFP4"].value, 0x3C << 8, 127)
    assert run(dut, [dut.format, dut.codes, dut.scale], [dut.row.general.sign], [row]) == [(2,)]

"""Bits to text."""

import numpy as np
import pytest

from golden import mx
from hdl.tensor.places import places
from mtia.formats import FORMATS, Scale
from tb.waves.decode import Enumeration, Float32, Number, ScaleCode, elements_of, number_text

from .small import bits_of


@pytest.mark.parametrize(
    ("width", "value", "label", "detail"),
    [
        (4, 11, "11", ""),
        (8, 200, "200", "0xC8"),
        (16, 65535, "65535", "0xFFFF"),
        (17, 3, "00003", "0x00003"),
        (32, 0xDEADBEEF, "DEADBEEF", "0xDEADBEEF"),
        (40, 0x123456789A, "1234567…", "0x123456789A"),
    ],
)
def test_number(width: int, value: int, label: str, detail: str) -> None:
    assert (Number(width).label(value), Number(width).detail(value)) == (label, detail)


def test_enumeration() -> None:
    found = Enumeration.of("Mode", {"IDLE": 0, "BUSY": 2})
    assert [found.label(value) for value in (0, 1, 2)] == ["IDLE", "1", "BUSY"]
    assert found.detail(2) == "= 2"


@pytest.mark.parametrize(
    ("value", "label"),
    [(1.5, "1.5"), (-0.0, "-0"), (float("nan"), "NaN"), (float("-inf"), "-Inf"), (2.0**-149, "1.4013e-45")],
)
def test_float32(value: float, label: str) -> None:
    assert Float32().label(bits_of(value)) == label
    assert Float32().detail(bits_of(value)).endswith(f"0x{bits_of(value):08X}")


def test_float32_detail_tells_neighbours_apart() -> None:
    assert len({Float32().detail(bits).split(" =")[0] for bits in range(0x3F800000, 0x3F800040)}) == 64


def test_scales() -> None:
    power, small = ScaleCode(Scale.E8M0), ScaleCode(Scale.E4M3)
    assert [power.label(code) for code in (0, 127, 130, 254, 255)] == ["2^-127", "2^0", "2^3", "2^127", "NaN"]
    assert [small.label(code) for code in (0, 0x38, 0x7E, 0x7F)] == ["0", "1", "448", "NaN"]
    assert power.detail(127) == "scale code 0x7F (E8M0)"


@pytest.mark.parametrize("name", list(FORMATS))
def test_elements_of_every_format(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    row = FORMATS[name]
    codes = mx.quantize(rng.standard_normal(row.group).astype(np.float32), name).codes
    value = sum(
        (int(code) >> bit & 1) << place
        for lane, code in enumerate(codes)
        for bit, place in enumerate(places(row.element, lane))
    )
    decoder = elements_of(name, 384)
    assert decoder.lanes == row.group
    plain = mx.formats.decode(codes, row.element)
    assert decoder.values(value) == plain.tolist()
    assert decoder.label(value).split()[0] == number_text(plain[0], 3)
    assert decoder.detail(value).startswith(f"{name}\n  0: ")
    assert len(decoder.detail(value).splitlines()) == 1 + row.group // 8


def test_elements_of_a_dense_beat() -> None:
    """Row 0 in the middle of the bytes, row 1 around it, row 2 above both."""
    first, second, third = (elements_of("MXFP4", 384, row=row) for row in range(3))
    assert {decoder.lanes for decoder in (first, second, third)} == {32}
    assert first.values(0x7 << 2 | 0xA << 10 | 0xC3C3)[:2] == [6.0, -1.0]
    assert first.values(0x1 << 250)[31] == 0.5
    assert second.values(0xC3 | 0x42 << 8 | 0x3C3C)[:2] == [-6.0, 4.0]
    assert third.values(0x7 << 256 | 0x1 << 380 | (1 << 256) - 1)[::31] == [6.0, 0.5]

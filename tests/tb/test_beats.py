"""Packing of field arrays against Amaranth's own constants, over layouts of every kind."""

import numpy as np
import pytest
from amaranth.hdl import signed, unsigned
from amaranth.lib import data, enum

from tb.beats import pack, unpack, words_of
from tb.payload import decode, encode, plain


class Colour(enum.Enum, shape=3):
    RED = 1
    BLUE = 6


class Point(data.Struct):
    x: signed(5)
    y: unsigned(11)


LAYOUTS = {
    "aligned bytes": data.StructLayout({"a": data.ArrayLayout(8, 9), "b": 16}),
    "nibbles": data.StructLayout({"head": 3, "codes": data.ArrayLayout(4, 70)}),
    "six bits": data.StructLayout({"head": 1, "codes": data.ArrayLayout(unsigned(6), 100), "tail": 9}),
    "signed": data.StructLayout({"a": signed(1), "b": data.ArrayLayout(signed(7), 11), "c": signed(33)}),
    "wide fields": data.StructLayout({"a": 5, "b": data.ArrayLayout(unsigned(64), 3), "c": signed(64), "d": 47}),
    "structs in arrays": data.StructLayout({"pad": 7, "points": data.ArrayLayout(Point, 13), "colour": Colour}),
    "arrays in arrays": data.ArrayLayout(data.ArrayLayout(unsigned(10), 5), 7),
    "words": data.StructLayout({"a": 32, "b": data.ArrayLayout(signed(32), 4)}),
    "gaps": data.FlexibleLayout(100, {"a": data.Field(9, 3), "b": data.Field(data.ArrayLayout(2, 5), 77)}),
}


def random_values(shape, random, count, axes=()):
    if isinstance(shape, type) and issubclass(shape, data.Struct):
        shape = data.Layout.cast(shape)
    if isinstance(shape, data.ArrayLayout):
        return random_values(shape.elem_shape, random, count, (*axes, shape.length))
    if isinstance(shape, data.Layout):
        return {name: random_values(field.shape, random, count, axes) for name, field in shape}
    if shape is Colour:
        return random.choice([1, 6], (count, *axes))
    kind = unsigned(shape) if isinstance(shape, int) else shape
    low, high = (-(1 << kind.width - 1), 1 << kind.width - 1) if kind.signed else (0, 1 << kind.width)
    values = random.integers(low, high, (count, *axes), np.int64 if kind.signed else np.uint64)
    values[:2] = np.array([low, high - 1], values.dtype).reshape(2, *[1] * len(axes))
    return values


def row(values, index):
    if isinstance(values, dict):
        return {name: row(inner, index) for name, inner in values.items()}
    return values[index].tolist()


def transposed(shape, values):
    """A mapping of arrays as the list of mappings that Amaranth takes for an array of structs."""
    if isinstance(shape, data.ArrayLayout) and isinstance(values, dict):
        items = ({name: inner[i] for name, inner in values.items()} for i in range(shape.length))
        return [transposed(shape.elem_shape, item) for item in items]
    if isinstance(shape, data.Layout) and not isinstance(shape, data.ArrayLayout):
        return {name: transposed(field.shape, values[name]) for name, field in shape}
    return values


@pytest.mark.parametrize("name", LAYOUTS)
def test_as_amaranth(name, seed):
    layout = LAYOUTS[name]
    values = random_values(layout, np.random.default_rng(seed), 20)
    beats = pack(layout, values)
    assert beats.dtype == np.uint32
    assert beats.shape == (20, words_of(layout))
    for index, beat in enumerate(beats):
        expected = layout.const(transposed(layout, row(values, index))).as_bits()
        assert int.from_bytes(beat.tobytes(), "little") == expected


@pytest.mark.parametrize("name", LAYOUTS)
def test_unpack_inverts(name, seed):
    layout = LAYOUTS[name]
    values = random_values(layout, np.random.default_rng(seed), 20)
    assert_equal(unpack(layout, pack(layout, values)), values)


def assert_equal(actual, expected):
    if isinstance(expected, dict):
        assert list(actual) == list(expected)
        for name in expected:
            assert_equal(actual[name], expected[name])
    else:
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("shape", [unsigned(1), unsigned(8), signed(9), unsigned(33), signed(64)])
def test_plain_shape(shape, seed):
    values = random_values(shape, np.random.default_rng(seed), 20)
    np.testing.assert_array_equal(unpack(shape, pack(shape, values)), values)


def test_smallest_types():
    layout = data.StructLayout({"a": 8, "b": signed(9), "c": 17, "d": signed(40)})
    fields = unpack(layout, np.zeros((0, words_of(layout)), np.uint32))
    assert [array.dtype for array in fields.values()] == [np.uint8, np.int16, np.uint32, np.int64]


@pytest.mark.parametrize("width", [65, 96, 500])
def test_field_wider_than_64_bits(width, seed):
    layout = data.StructLayout({"head": 5, "raw": data.ArrayLayout(width, 3), "tail": 4})
    words = np.random.default_rng(seed).integers(0, 1 << 32, (10, 3, words_of(width)), np.uint32)
    words[..., -1] >>= np.uint32(-width % 32)
    values = {"head": np.arange(10), "raw": words, "tail": np.arange(10)}
    beats = pack(layout, values)
    for index, beat in enumerate(beats):
        raw = [int.from_bytes(item.tobytes(), "little") for item in words[index]]
        expected = layout.const({"head": index, "raw": raw, "tail": index}).as_bits()
        assert int.from_bytes(beat.tobytes(), "little") == expected
    assert_equal(unpack(layout, beats), values)


def test_absent_fields_are_zero():
    layout = data.StructLayout({"a": 8, "b": 8})
    assert pack(layout, {"b": np.array([3])}).tolist() == [[0x300]]


def test_pack_wrong():
    layout = data.StructLayout({"a": 8, "b": data.ArrayLayout(signed(4), 2), "wide": 65})
    one = np.zeros(1, np.uint8)
    with pytest.raises(ValueError, match=r"Field of payload must be one of \['a', 'b', 'wide'\], not 'z'"):
        pack(layout, {"z": one})
    with pytest.raises(ValueError, match="Values of payload must be a mapping of its fields, not ndarray"):
        pack(layout, one)
    with pytest.raises(ValueError, match=r"Values of payload.b must be of shape \('n', 2\), not \(1,\)"):
        pack(layout, {"b": one})
    with pytest.raises(ValueError, match=r"Values of payload.a must be integers, not dtype\('float64'\)"):
        pack(layout, {"a": np.zeros(1)})
    with pytest.raises(ValueError, match=r"Values of payload.a must be from 0 to 255, not 256 to 256"):
        pack(layout, {"a": np.array([256])})
    with pytest.raises(ValueError, match=r"Values of payload.b must be from -8 to 7, not -9 to 0"):
        pack(layout, {"b": np.array([[0, -9]])})
    with pytest.raises(ValueError, match=r"Fields must all have the same number of beats, not \[1, 2\]"):
        pack(layout, {"a": one, "b": np.zeros((2, 2), np.int8)})
    with pytest.raises(ValueError, match=r"Values of payload.wide must be of shape \('n', 3\), not \(1, 2\)"):
        pack(layout, {"wide": np.zeros((1, 2), np.uint32)})
    with pytest.raises(ValueError, match=r"Values of payload.wide must be from 0 to 1, not 2 to 2"):
        pack(layout, {"wide": np.full((1, 3), 2, np.uint32)})
    with pytest.raises(ValueError, match="Values must name at least one field"):
        pack(layout, {})


def test_unpack_wrong():
    with pytest.raises(ValueError, match=r"Beats must be of shape \(n, 2\), not \(3, 1\)"):
        unpack(data.StructLayout({"a": 33}), np.zeros((3, 1), np.uint32))


@pytest.mark.parametrize(
    "shape, value, bits",
    [
        (unsigned(8), 200, 200),
        (signed(8), -3, 0xFD),
        (Colour, Colour.BLUE, 6),
        (Point, {"x": -1, "y": 3}, 3 << 5 | 31),
        (Point, Point.const({"x": -1, "y": 3}), 3 << 5 | 31),
        (data.ArrayLayout(4, 3), [1, 2, 3], 0x321),
    ],
)
def test_encode(shape, value, bits):
    assert encode(shape, value) == bits
    assert plain(decode(shape, bits)) == plain(value)


def test_encode_wrong():
    with pytest.raises(ValueError, match="Payload must fit 8 bits, not 256"):
        encode(unsigned(8), 256)
    with pytest.raises(ValueError, match="Payload must fit 8 bits, not -129"):
        encode(signed(8), -129)
    with pytest.raises(TypeError, match="Payload must be an integer, not 'a'"):
        encode(unsigned(8), "a")

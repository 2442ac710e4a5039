"""Parameters read back and written as canonical text; shapes told as data."""

import dataclasses
import enum

import numpy as np
import pytest
from amaranth.hdl import Const, Shape, ShapeCastable, signed, unsigned
from amaranth.lib import data, stream, wiring

from hdl.core.parameters import describe, parameters_of, type_name
from hdl.core.shapes import describe_shape, shape_text, structure_of
from mtia.formats import ELEMENTS

from .parts import Command, Op


class Number(ShapeCastable):
    """A number format: a shape with a parameter."""

    def __init__(self, *, fraction):
        self.fraction = fraction

    def as_shape(self):
        return signed(8)

    def const(self, init):
        return Const(init, 8)

    def __call__(self, value):
        return value

    def from_bits(self, raw):
        return raw


class Plain:
    """An object with readable parameters."""

    def __init__(self, *, a, b=2):
        self.a = a
        self.b = b


class Offering:
    """An object that offers its parameters as pairs."""

    parameters = (("x", 1), ("y", None))


class Hidden:
    """An object that takes what it does not name."""

    def __init__(self, *args):
        self.args = args


class Color(enum.Enum):
    """A plain enumeration."""

    RED = 1


@dataclasses.dataclass(frozen=True)
class Size:
    """A dataclass."""

    rows: int
    columns: int


def struct_of(width):
    """Makes a local struct class."""

    class Local(data.Struct):
        value: unsigned(width)

    return Local


def test_parameters_of():
    assert parameters_of(Plain(a=1)) == {"a": 1, "b": 2}
    assert parameters_of(Size(3, 4)) == {"rows": 3, "columns": 4}
    assert parameters_of(Offering()) == {"x": 1, "y": None}
    assert parameters_of(object()) == {}


def test_parameters_of_hidden():
    with pytest.raises(TypeError, match=r"Constructor parameter 'args' of \S+Hidden must be readable as a property"):
        parameters_of(Hidden(1))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (True, "True"),
        (7, "7"),
        (np.int64(7), "7"),
        (0.5, "0.5"),
        ("a'b", '"a\'b"'),
        ((1, [2, "x"]), "[1, [2, 'x']]"),
        ({"k": 1}, "{'k': 1}"),
        ({3, 1, 2}, "set(1, 2, 3)"),
        (frozenset({"b", "a"}), "set('a', 'b')"),
        (unsigned(3), '{"kind": "unsigned", "width": 3}'),
        (range(9), '{"kind": "unsigned", "width": 4}'),
        (type_name, "hdl.core.parameters.type_name"),
    ],
)
def test_describe(value, text):
    assert describe(value) == text


def test_describe_objects():
    assert describe(Color.RED).endswith("Color.RED")
    assert describe(Size(3, 4)).endswith("Size{'rows': 3, 'columns': 4}")
    assert describe(ELEMENTS["E4M3"]) != describe(ELEMENTS["E5M2"])
    assert "'a': 1" in describe(Plain(a=1))
    assert describe(stream.Signature(4)) != describe(stream.Signature(5))
    assert describe(wiring.Signature({"a": wiring.In(4)})) != describe(wiring.Signature({"a": wiring.Out(4)}))


def test_describe_tells_local_structs_apart():
    assert describe(struct_of(3)) == describe(struct_of(3))
    assert describe(struct_of(3)) != describe(struct_of(4))


def test_describe_local_function():
    with pytest.raises(TypeError, match="Class or function in a parameter must be at module level, not"):
        describe(lambda: None)


def test_shape_of_struct():
    node = describe_shape(Command)
    assert (node["kind"], node["width"], node["name"].rsplit(".", 1)[-1]) == ("struct", 21, "Command")
    op, value, lanes = node["fields"]
    assert (op["name"], op["offset"]) == ("op", 0)
    assert op["shape"]["kind"] == "enum"
    assert op["shape"]["values"] == {"ADD": 0, "SUB": 1}
    assert (value["offset"], value["shape"]) == (2, {"kind": "signed", "width": 7})
    assert lanes["offset"] == 9
    assert lanes["shape"] == {
        "kind": "array",
        "width": 12,
        "length": 3,
        "element": {"kind": "unsigned", "width": 4},
    }


def test_shape_of_number_format():
    node = describe_shape(Number(fraction=6))
    assert node["kind"] == "custom"
    assert node["parameters"] == {"fraction": "6"}
    assert node["as"] == {"kind": "signed", "width": 8}
    assert shape_text(node) == "Number(fraction=6)"
    assert structure_of(node) != structure_of(describe_shape(Number(fraction=5)))


def test_shape_of_flexible_layout_and_enum():
    node = describe_shape(data.FlexibleLayout(8, {"low": data.Field(3, 0), 5: data.Field(Op, 4)}))
    assert (node["kind"], [field["name"] for field in node["fields"]]) == ("flexible", ["low", "5"])
    assert shape_text(node) == "flexible {low@0: unsigned(3), 5@4: enum Op(2)}"


def test_structure_ignores_struct_names_at_every_depth():
    one = data.StructLayout({"a": data.ArrayLayout(struct_of(3), 2)})
    other = data.StructLayout({"a": data.ArrayLayout(data.StructLayout({"value": 3}), 2)})
    assert describe_shape(one) != describe_shape(other)
    assert structure_of(describe_shape(one)) == structure_of(describe_shape(other))


def test_shape_wrong():
    with pytest.raises(TypeError, match="cannot be converted to an Amaranth shape"):
        describe_shape("shape")


def test_shape_object():
    assert describe_shape(Shape(5, True)) == {"kind": "signed", "width": 5}

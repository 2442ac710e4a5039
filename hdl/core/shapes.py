"""Shapes told as data: what a payload is made of, for error texts, port maps and module names.

One tree of plain values (:func:`describe_shape`) serves all three: written as JSON it is the ``shape`` of a port in
``ports.json``, from which a test bench of any language packs and unpacks; without the names of types
(:func:`structure_of`) two of them tell whether two streams may be connected; in one line (:func:`shape_text`) it is
what an error says.
"""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Const, Shape, ShapeCastable, ShapeLike
from amaranth.lib import data, enum

from .parameters import describe, parameters_of, type_name


def describe_shape(shape: ShapeLike) -> dict[str, Any]:
    """Tells a shape as a tree of plain values (JSON), the same in every run.

    Every node has ``kind``, ``width`` (bits) and, where there is one, ``name`` (the Python type).

    * ``unsigned``, ``signed``: nothing more.
    * ``enum``: ``signed`` and ``values``, a map from member name to integer.
    * ``struct``, ``union``, ``flexible``: ``fields``, a list of ``{name, offset, shape}`` by offset.
    * ``array``: ``length`` and ``element`` (a node).
    * ``custom``: any other shape-castable object: ``parameters`` (its constructor's) and ``as``,
      the node of the shape it is cast to.

    A struct of two nibbles is ``{"kind": "struct", "width": 8, "fields": [{"name": "low", "offset": 0, "shape":
    {"kind": "unsigned", "width": 4}}, {"name": "high", "offset": 4, "shape": ...}]}``.

    Raises :exc:`TypeError` for what is not a shape.
    """
    if isinstance(shape, enum.EnumType):
        cast = Shape.cast(shape)
        values = {member.name: Const.cast(member.value).value for member in list[enum.Enum](shape)}
        return {
            "kind": "enum",
            "name": type_name(shape),
            "width": cast.width,
            "signed": cast.signed,
            "values": values,
        }
    if isinstance(shape, data.Layout):
        return _describe_layout(shape)
    if isinstance(shape, type) and issubclass(shape, data.View):
        return {**_describe_layout(data.Layout.cast(shape)), "name": type_name(shape)}
    if isinstance(shape, ShapeCastable):
        inner = describe_shape(shape.as_shape())
        parameters = {name: describe(value) for name, value in parameters_of(shape).items()}
        return {
            "kind": "custom",
            "name": type_name(type(shape)),
            "width": inner["width"],
            "parameters": parameters,
            "as": inner,
        }
    cast = Shape.cast(shape)
    return {"kind": "signed" if cast.signed else "unsigned", "width": cast.width}


def _describe_layout(layout: data.Layout) -> dict[str, Any]:
    width = Shape.cast(layout).width
    if isinstance(layout, data.ArrayLayout):
        return {
            "kind": "array",
            "width": width,
            "length": layout.length,
            "element": describe_shape(layout.elem_shape),
        }
    kinds = {data.StructLayout: "struct", data.UnionLayout: "union"}
    fields = [
        {"name": str(name), "offset": field.offset, "shape": describe_shape(field.shape)} for name, field in layout
    ]
    return {"kind": kinds.get(type(layout), "flexible"), "width": width, "fields": fields}


def structure_of(node: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a node of :func:`describe_shape` without the names of struct types.

    Two shapes of equal structure mean the same bits: same fields at the same places, same enumerations,
    same number formats. What a struct type is called does not matter.
    """
    skipped = {"name"} if node["kind"] in ("struct", "union", "flexible") else set()
    result: dict[str, Any] = {key: value for key, value in node.items() if key not in skipped}
    if "fields" in result:
        result["fields"] = [{**field, "shape": structure_of(field["shape"])} for field in result["fields"]]
    if "element" in result:
        result["element"] = structure_of(result["element"])
    return result


def shape_text(node: Mapping[str, Any]) -> str:
    """Writes a node of :func:`describe_shape` in one line for a person to read.

    ``struct {low@0: unsigned(4), high@4: unsigned(4)}``; types are named without their module.
    """
    kind = node["kind"]
    if kind == "array":
        return f"array({shape_text(node['element'])}, {node['length']})"
    if "fields" in node:
        fields = ", ".join(
            f"{field['name']}@{field['offset']}: {shape_text(field['shape'])}" for field in node["fields"]
        )
        return f"{kind} {{{fields}}}"
    if kind == "enum":
        return f"enum {node['name'].rsplit('.', 1)[-1]}({node['width']})"
    if kind == "custom":
        parameters = ", ".join(f"{name}={value}" for name, value in node["parameters"].items())
        return f"{node['name'].rsplit('.', 1)[-1]}({parameters})"
    return f"{kind}({node['width']})"

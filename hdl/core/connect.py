"""Wiring of interfaces that compares what the payloads mean, not only how wide they are."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring

from .shapes import describe_shape, shape_text, structure_of


def connect(m: Module, a: Any, b: Any) -> None:
    """Connects two interface objects as :func:`amaranth.lib.wiring.connect` does, payload shapes checked first.

    A component connects its own ports with ``wiring.flipped(self.port)``. Every port member that
    both sides have must be of the same structure: same fields at the same places, same sign, same
    enumeration, same number format (:func:`hdl.core.shapes.structure_of`); names of struct types
    may differ. Combinational: a wire for each signal.

    Parameters
    ----------
    m : module that the connections are added to.
    a, b : interface objects, one the other's opposite; which is which does not matter.

    Raises :exc:`amaranth.lib.wiring.ConnectionError` whose text says both shapes, and what
    Amaranth's own raises.
    """
    shapes = {path: member.shape for path, member, _value in a.signature.flatten(a)}
    for path, member, _value in b.signature.flatten(b):
        if path not in shapes or shapes[path] is member.shape:
            continue
        one, other = describe_shape(shapes[path]), describe_shape(member.shape)
        if structure_of(one) != structure_of(other):
            name = ".".join(map(str, path))
            raise wiring.ConnectionError(
                f"Shapes of member {name!r} must be equal, not {shape_text(one)} and {shape_text(other)}"
            )
    wiring.connect(m, a, b)

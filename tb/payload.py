"""Values of a stream's payload to bits and back, by the RTL's own types, outside simulation."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Const, Shape, ShapeCastable, ShapeLike
from amaranth.lib import data


def encode(shape: ShapeLike, value: Any) -> int:
    """Bits of ``value`` as an unsigned integer.

    ``value`` is what the shape's own ``const`` takes (for a struct a mapping of fields, for an enumeration a member),
    a constant of the shape, or an integer that is the bits already (for a plain shape: the number).

    Raises ``ValueError`` for an integer that does not fit, and what the shape raises.
    """
    width = Shape.cast(shape).width
    if isinstance(value, data.Const):
        return value.as_bits()
    if isinstance(value, int):
        if not -(1 << width) <= 2 * value < 2 << width:
            raise ValueError(f"Payload must fit {width} bits, not {value!r}")
        return value & (1 << width) - 1
    if not isinstance(shape, ShapeCastable):
        raise TypeError(f"Payload must be an integer, not {value!r}")
    return Const.cast(shape.const(value)).value & (1 << width) - 1


def decode(shape: ShapeLike, bits: int) -> Any:
    """The value whose bits these are: what the shape's ``from_bits`` gives, or an integer for a plain shape."""
    if isinstance(shape, ShapeCastable):
        return shape.from_bits(bits)
    kind = Shape.cast(shape)
    return bits - (1 << kind.width) if kind.signed and bits >> kind.width - 1 else bits


def plain(value: Any) -> Any:
    """A decoded value as numbers, lists and dicts, for messages and comparisons."""
    if isinstance(value, data.Const):
        layout = value.shape()
        if isinstance(layout, data.ArrayLayout):
            return [plain(value[index]) for index in range(layout.length)]
        return {name: plain(value[name]) for name, _ in layout}
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value

"""Checks of constructor parameters, with one grammar for their errors.

"<Subject> must be <rule>, not <value>": TypeError for a wrong kind, ValueError for a wrong value. The subject begins
with the component, so that the line is enough to find the call: "Queue depth must be at least 2, not 1". A bool is no
integer here, and a shape is anything that Amaranth casts to one with bits in it.

Each check returns what it was given, to be kept in the same line: ``self._depth = require_int(...)``.
"""

from typing import Any

from amaranth.hdl import Shape, ShapeLike
from amaranth.lib import stream, wiring


def require_int(subject: str, value: Any, *, low: int, high: int | None = None) -> int:
    """Returns ``value`` if it is an integer of ``low`` to ``high``; TypeError or ValueError otherwise."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{subject} must be an integer, not {value!r}")
    if value < low or (high is not None and value > high):
        rule = f"at least {low}" if high is None else f"in {low} to {high}"
        raise ValueError(f"{subject} must be {rule}, not {value!r}")
    return value


def require_bool(subject: str, value: Any) -> bool:
    """Returns ``value`` if it is a bool; TypeError otherwise."""
    if not isinstance(value, bool):
        raise TypeError(f"{subject} must be a bool, not {value!r}")
    return value


def require_shape(subject: str, value: Any) -> ShapeLike:
    """Returns ``value`` if it is a shape of at least one bit; TypeError or ValueError otherwise."""
    try:
        width = Shape.cast(value).width
    except TypeError:
        raise TypeError(f"{subject} must be a shape, not {value!r}") from None
    if width < 1:
        raise ValueError(f"{subject} must be at least one bit wide, not {value!r}")
    return value


def stream_in(shape: ShapeLike) -> wiring.Member:
    """Returns the member of a stream that a component takes."""
    return wiring.In(stream.Signature(shape))


def stream_out(shape: ShapeLike) -> wiring.Member:
    """Returns the member of a stream that a component gives."""
    return wiring.Out(stream.Signature(shape))

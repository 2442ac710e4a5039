"""Parameters of an object read back from its constructor's names, and written as one canonical text."""

import dataclasses
import enum
import inspect
import json
import numbers
from collections.abc import Callable, Mapping, Sequence, Set as AbstractSet
from typing import Any

from amaranth.hdl import Shape, ShapeCastable
from amaranth.lib import data, wiring

_POSITIONAL = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def type_name(kind: type | Callable[..., Any]) -> str:
    """Returns the full dotted name of a class or function."""
    return f"{kind.__module__}.{kind.__qualname__}"


def parameters_of(obj: object) -> dict[str, Any]:
    """Returns what an object was built from, by name and in the constructor's order.

    The house rule is that a parameter is readable as a property of the same name: each name in the
    signature of ``__init__`` is read from the object. An object that cannot follow the rule offers
    ``parameters``, a mapping or a sequence of pairs. Frozen dataclasses give their fields.

    Raises :exc:`TypeError` when a parameter cannot be read back.
    """
    if dataclasses.is_dataclass(obj):
        return {field.name: getattr(obj, field.name) for field in dataclasses.fields(obj)}
    own = getattr(obj, "parameters", None)
    if isinstance(own, Mapping):
        return {str(name): value for name, value in own.items()}
    if isinstance(own, Sequence) and not isinstance(own, str):
        return {str(name): value for name, value in own}
    result = {}
    for parameter in list(inspect.signature(type(obj).__init__).parameters.values())[1:]:
        if parameter.name == "src_loc_at" or (type(obj).__init__ is object.__init__):
            continue
        if parameter.kind in _POSITIONAL or not hasattr(obj, parameter.name):
            raise TypeError(
                f"Constructor parameter {parameter.name!r} of {type_name(type(obj))} must be readable as a property "
                f"of that name, or the object must offer `parameters`"
            )
        result[parameter.name] = getattr(obj, parameter.name)
    return result


def describe(value: object) -> str:
    """Writes a parameter as text that is equal for equal values and the same in every run.

    Takes None, numbers, strings, bytes, enumeration members, tuples, lists, mappings, sets, dataclasses, shapes,
    layouts, signatures, classes, module-level functions, and any object that :func:`parameters_of` can read.

    Raises :exc:`TypeError` for local functions and for objects that do not tell what they were built from.
    """
    from .shapes import describe_shape  # the two describe each other's values

    if isinstance(value, enum.Enum):
        return f"{type_name(type(value))}.{value.name}"
    if value is None or isinstance(value, (bool, str, bytes)):
        return repr(value)
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, numbers.Real):
        return repr(float(value))
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(describe(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{describe(key)}: {describe(item)}" for key, item in value.items()) + "}"
    if isinstance(value, AbstractSet):
        return "set(" + ", ".join(sorted(describe(item) for item in value)) + ")"
    if isinstance(value, (Shape, range, data.Layout)) or (isinstance(value, type) and isinstance(value, ShapeCastable)):
        return json.dumps(describe_shape(value))
    if isinstance(value, wiring.Signature):
        return f"signature({_describe_members(value.members)})"
    if isinstance(value, type) or inspect.isfunction(value):
        if "<" in value.__qualname__:
            raise TypeError(f"Class or function in a parameter must be at module level, not {value!r}")
        return type_name(value)
    return f"{type_name(type(value))}{describe(parameters_of(value))}"


def _describe_members(members: Mapping[str, wiring.Member]) -> str:
    from .shapes import describe_shape

    parts = []
    for name, member in members.items():
        if member.is_port:
            text = f"{json.dumps(describe_shape(member.shape))} init {member.init!r}"
        else:
            text = describe(member.signature)
        parts.append(f"{name}: {member.flow.name} {list(member.dimensions)} {text}")
    return ", ".join(parts)

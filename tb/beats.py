"""Numpy arrays of fields to stream beats and back, by the payload's own layout, bits placed by whole columns.

A beat is the payload's bits in 32-bit words, least significant word first: uint32 (n, words).
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from amaranth.hdl import Shape, ShapeLike, unsigned
from amaranth.lib import data
from numpy.typing import NDArray

_MAX_FIELD = 64


def words_of(shape: ShapeLike) -> int:
    """32-bit words of a beat whose payload is ``shape``."""
    return -(-Shape.cast(shape).width // 32)


def pack(shape: ShapeLike, values: Any) -> NDArray[np.uint32]:
    """Beats from the values of each field: uint32 (n, words).

    ``values`` follows ``shape``: for a struct a mapping of field names (absent fields are 0), for an array an
    integer array whose next axis is the array's, for anything else integers; the first axis of every array is n.
    Fields of custom shapes (enumerations, number formats) are given as their codes. An array of structs is a
    mapping whose arrays have the array's axis second. A field of more than 64 bits has a last axis of its 32-bit
    words, least significant first.

    Raises ``ValueError`` on an unknown field, a wrong array shape, or a value that does not fit its field.
    """
    leaves = list(_leaves(shape, values))
    if not leaves:
        raise ValueError(f"Values must name at least one field of {shape!r}, not {values!r}")
    count = {len(array) for *_, array in leaves}
    if len(count) != 1:
        raise ValueError(f"Fields must all have the same number of beats, not {sorted(count)!r}")
    words = np.zeros((count.pop(), words_of(shape) + 2), np.uint32)
    for path, kind, positions, array in leaves:
        _place(words, path, kind, positions, array)
    return np.ascontiguousarray(words[:, : words_of(shape)])


def unpack(shape: ShapeLike, beats: NDArray[np.uint32]) -> Any:
    """Values of each field of uint32 (n, words) beats, in the form ``pack`` takes.

    A field becomes the smallest numpy integer type that holds it, signed if its shape is signed.
    Raises ``ValueError`` when ``beats`` is not (n, words).
    """
    beats = np.asarray(beats, np.uint32)
    if beats.ndim != 2 or beats.shape[1] != words_of(shape):
        raise ValueError(f"Beats must be of shape (n, {words_of(shape)}), not {beats.shape!r}")
    padded = np.zeros((len(beats), beats.shape[1] + 2), np.uint32)
    padded[:, : beats.shape[1]] = beats
    return _extract(shape, padded, 0, ())


def _layout(shape: ShapeLike) -> data.Layout | None:
    """The layout behind a shape, or ``None`` for a plain value."""
    try:
        return data.Layout.cast(shape)
    except TypeError:
        return None


def _leaves(
    shape: ShapeLike, values: Any, offset: int = 0, axes: tuple[tuple[int, int], ...] = (), path: str = "payload"
) -> Iterator[tuple[str, Shape, NDArray[np.int64], NDArray[Any]]]:
    """Path, shape, bit positions (flat) and values (n, positions) of every plain field in ``values``."""
    layout = _layout(shape)
    if isinstance(layout, data.ArrayLayout):
        stride = Shape.cast(layout.elem_shape).width
        yield from _leaves(layout.elem_shape, values, offset, (*axes, (layout.length, stride)), path)
    elif layout is not None:
        if not isinstance(values, Mapping):
            raise ValueError(f"Values of {path} must be a mapping of its fields, not {type(values).__name__}")
        fields = dict(layout)
        for name, inner in values.items():
            if name not in fields:
                raise ValueError(f"Field of {path} must be one of {list(fields)}, not {name!r}")
            field = fields[name]
            yield from _leaves(field.shape, inner, offset + field.offset, axes, f"{path}.{name}")
    else:
        yield from _plain_leaf(Shape.cast(shape), np.asarray(values), offset, axes, path)


def _plain_leaf(
    kind: Shape, array: NDArray[Any], offset: int, axes: tuple[tuple[int, int], ...], path: str
) -> Iterator[tuple[str, Shape, NDArray[np.int64], NDArray[Any]]]:
    """One field without fields; one wider than 64 bits becomes its words and the bits left over."""
    if array.dtype.kind not in "iub":
        raise ValueError(f"Values of {path} must be integers, not {array.dtype!r}")
    full, rest = divmod(kind.width, 32) if kind.width > _MAX_FIELD else (0, 0)
    lengths = (*(length for length, _ in axes), *([full + bool(rest)] if full else []))
    if array.shape[1:] != lengths or not array.ndim:
        raise ValueError(f"Values of {path} must be of shape {('n', *lengths)!r}, not {array.shape!r}")
    count = len(array)
    if not full:
        yield path, kind, _positions(offset, axes), array.reshape(count, -1)
    else:
        yield path, unsigned(32), _positions(offset, (*axes, (full, 32))), array[..., :full].reshape(count, -1)
    if rest:
        yield path, unsigned(rest), _positions(offset + 32 * full, axes), array[..., full].reshape(count, -1)


def _positions(offset: int, axes: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """Bit position of each element of an array of arrays, in C order."""
    grid = itertools.product(
        *(range(0, length * stride, stride) if stride else [0] * length for length, stride in axes)
    )
    return np.array([offset + sum(steps) for steps in grid], np.int64)


def _phases(positions: NDArray[np.int64]) -> Iterator[tuple[int, Any, Any]]:
    """Elements that share a bit offset within their word: that offset, their columns, their words."""
    groups: dict[int, list[int]] = defaultdict(list)
    for column, position in enumerate(positions.tolist()):
        groups[position % 32].append(column)
    for shift, columns in groups.items():
        words = [int(positions[column]) // 32 for column in columns]
        yield shift, _regular(columns), _regular(words)


def _regular(indices: list[int]) -> slice | list[int]:
    """The same indices as a slice, which numpy follows without a copy, when their steps are equal."""
    if len(indices) == 1:
        return slice(indices[0], indices[0] + 1)
    step = indices[1] - indices[0]
    if step > 0 and indices == list(range(indices[0], indices[-1] + 1, step)):
        return slice(indices[0], indices[-1] + 1, step)
    return indices


def _place(
    words: NDArray[np.uint32], path: str, kind: Shape, positions: NDArray[np.int64], array: NDArray[Any]
) -> None:
    """Put the values of one field, (n, positions), into the words."""
    _check_fit(path, kind, array)
    unit: Any = np.uint64 if kind.width > 32 else np.uint32
    values: Any = array.astype(unit)
    if kind.signed and kind.width < values.dtype.itemsize * 8:
        values &= unit((1 << kind.width) - 1)
    for shift, columns, targets in _phases(positions):
        part = values[:, columns]
        words[:, targets] |= part.astype(np.uint32, copy=False) << np.uint32(shift)
        for piece in range(1, -(-(shift + kind.width) // 32)):
            rest = part >> unit(32 * piece - shift)
            words[:, _moved(targets, piece)] |= rest.astype(np.uint32)


def _check_fit(path: str, kind: Shape, array: NDArray[Any]) -> None:
    low, high = (-(1 << kind.width - 1), (1 << kind.width - 1) - 1) if kind.signed else (0, (1 << kind.width) - 1)
    if array.dtype.kind == "b" or not array.size:
        return
    limits = np.iinfo(array.dtype)
    if (limits.min < low and array.min() < low) or (limits.max > high and array.max() > high):
        raise ValueError(f"Values of {path} must be from {low} to {high}, not {array.min()} to {array.max()}")


def _moved(targets: Any, by: int) -> Any:
    if isinstance(targets, slice):
        return slice(targets.start + by, targets.stop + by, targets.step)
    return [target + by for target in targets]


def _extract(shape: ShapeLike, words: NDArray[np.uint32], offset: int, axes: tuple[tuple[int, int], ...]) -> Any:
    layout = _layout(shape)
    if isinstance(layout, data.ArrayLayout):
        stride = Shape.cast(layout.elem_shape).width
        return _extract(layout.elem_shape, words, offset, (*axes, (layout.length, stride)))
    if layout is not None:
        return {name: _extract(field.shape, words, offset + field.offset, axes) for name, field in layout}
    kind = Shape.cast(shape)
    if kind.width > _MAX_FIELD:
        full, rest = divmod(kind.width, 32)
        parts = [_extract(unsigned(32), words, offset, (*axes, (full, 32)))]
        if rest:
            parts.append(_extract(unsigned(rest), words, offset + 32 * full, axes)[..., None].astype(np.uint32))
        return np.concatenate(parts, axis=-1)
    positions = _positions(offset, axes)
    bits = next(size for size in (8, 16, 32, 64) if kind.width <= size)
    unit: Any = np.uint64 if kind.width > 32 else np.uint32
    out = np.empty((len(words), len(positions)), np.dtype(f"{'i' if kind.signed else 'u'}{bits // 8}"))
    for shift, columns, targets in _phases(positions):
        part: Any = (words[:, targets] >> np.uint32(shift)).astype(unit)
        for piece in range(1, -(-(shift + kind.width) // 32)):
            part |= words[:, _moved(targets, piece)].astype(unit) << unit(32 * piece - shift)
        size = part.dtype.itemsize * 8
        if kind.signed:
            signed = (part << unit(size - kind.width)).astype(np.int64 if size == 64 else np.int32)
            out[:, columns] = signed >> (size - kind.width)
        elif kind.width < size:
            out[:, columns] = part & unit((1 << kind.width) - 1)
        else:
            out[:, columns] = part
    return out.reshape(len(words), *(length for length, _ in axes))

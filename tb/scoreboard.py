"""Expected against actual: item by item as they come, or whole arrays at once, told so that a person can act on it."""

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from amaranth.hdl import ShapeLike
from numpy.typing import NDArray

from .beats import unpack
from .payload import plain

#: Differing fields that a report shows.
SHOWN = 8


class Mismatch(AssertionError):
    """Actual items are not the expected ones; the message names the first difference."""


class Scoreboard:
    """Compares items in order, or in order per key where several flows share a stream.

    Parameters
    ----------
    name : heads every message.
    key : gives the flow an item belongs to, from expected and actual items alike; ``None`` for a single flow.
    """

    def __init__(self, name: str, *, key: Callable[[Any], Hashable] | None = None) -> None:
        self._name = name
        self._key = key
        self._expected: dict[Hashable, deque[Any]] = defaultdict(deque)
        self._checked: dict[Hashable, int] = defaultdict(int)

    @property
    def checked(self) -> int:
        """Items that matched so far."""
        return sum(self._checked.values())

    def expect(self, values: Iterable[Any]) -> None:
        """Append items that must come."""
        for value in values:
            item = plain(value)
            self._expected[self._flow(item)].append(item)

    def check(self, values: Iterable[Any]) -> None:
        """Compare items that came.

        Raises ``Mismatch`` at the first that is not the one expected next in its flow.
        """
        for value in values:
            item = plain(value)
            flow = self._flow(item)
            expected = self._expected[flow]
            if not expected:
                raise Mismatch(f"{self._label(flow)} came, but no more were expected: {_shown(item)}")
            if item != expected[0]:
                raise Mismatch("\n".join([f"{self._label(flow)} differs", *self._explain(expected, item)]))
            expected.popleft()
            self._checked[flow] += 1

    def finish(self) -> None:
        """Raises ``Mismatch`` when expected items have not come."""
        for flow, expected in self._expected.items():
            if expected:
                raise Mismatch(f"{self._label(flow)} and {len(expected) - 1} more did not come: {_shown(expected[0])}")

    def _flow(self, item: Any) -> Hashable:
        return None if self._key is None else self._key(item)

    def _label(self, flow: Hashable) -> str:
        of = "" if self._key is None else f" of {flow!r}"
        return f"{self._name}: item {self._checked[flow]}{of}"

    def _explain(self, expected: deque[Any], item: Any) -> Iterator[str]:
        differences = list(_differences("", expected[0], item))
        for path, want, have in differences[:SHOWN]:
            yield f"  {path or 'value'}: expected {_shown(want)}, got {_shown(have)}"
        if len(differences) > SHOWN:
            yield f"  and {len(differences) - SHOWN} more fields"
        later = next((distance for distance, other in enumerate(expected) if other == item), None)
        if later:
            yield f"  it is the item expected {later} later: {later} lost"


def compare_beats(
    name: str,
    shape: ShapeLike,
    expected: NDArray[np.uint32],
    actual: NDArray[np.uint32],
    *,
    describe: Callable[[int], str] | None = None,
) -> None:
    """Compare whole runs of beats, uint32 (n, words), bit for bit.

    ``describe`` tells in words what a beat of that index is. Raises ``Mismatch`` with the first differing beat, its
    differing fields, and how many beats differ; also when the lengths do.
    """
    length = min(len(expected), len(actual))
    wrong = np.flatnonzero((expected[:length] != actual[:length]).any(axis=1))
    if not len(wrong):
        if len(expected) != len(actual):
            raise Mismatch(
                f"{name}: {len(actual)} beats came, {len(expected)} were expected; the common ones are equal"
            )
        return
    first = int(wrong[0])
    what = f" ({describe(first)})" if describe else ""
    want, have = (_row(unpack(shape, beats[first : first + 1])) for beats in (expected, actual))
    differences = list(_differences("", want, have))
    lines = [f"{name}: beat {first}{what} differs, {len(wrong)} of {length} do"]
    lines += [f"  {path or 'value'}: expected {_shown(w)}, got {_shown(h)}" for path, w, h in differences[:SHOWN]]
    if len(differences) > SHOWN:
        lines.append(f"  and {len(differences) - SHOWN} more fields")
    raise Mismatch("\n".join(lines))


def _row(fields: Any) -> Any:
    """The only beat of unpacked fields, as lists and numbers."""
    if isinstance(fields, Mapping):
        return {name: _row(inner) for name, inner in fields.items()}
    return fields[0].tolist()


def _differences(path: str, expected: Any, actual: Any) -> Iterator[tuple[str, Any, Any]]:
    """Path, expected and actual of every leaf that differs."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for name in {**expected, **actual}:
            inner = f"{path}.{name}" if path else str(name)
            yield from _differences(inner, expected.get(name), actual.get(name))
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for index, (want, have) in enumerate(zip(expected, actual, strict=True)):
            yield from _differences(f"{path}[{index}]", want, have)
    elif expected != actual:
        yield path, expected, actual


def _shown(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 9:
        return f"{value} ({value:#x})"
    text = repr(value)
    return text if len(text) <= 200 else text[:197] + "..."

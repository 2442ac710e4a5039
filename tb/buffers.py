"""Arrays as a lane takes them: contiguous, of its types, checked against the stream they are for."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ports import StreamPort


def as_cycles(port: StreamPort, cycles: NDArray[Any], count: int) -> NDArray[np.uint64]:
    """Contiguous uint64 (count,) of the cycles for ``count`` beats of a stream.

    Raises ``TypeError`` for another kind of number, ``ValueError`` for another count or a negative cycle.
    """
    cycles = np.asarray(cycles)
    if cycles.dtype.kind not in "iu":
        raise TypeError(f"Cycles of {port.name!r} must be integers, not {cycles.dtype!r}")
    if cycles.shape != (count,) or (cycles < 0).any():
        raise ValueError(f"Cycles of {port.name!r} must be {count} numbers from 0 on, not {cycles!r}")
    return np.ascontiguousarray(cycles, np.uint64)


def as_words(port: StreamPort, beats: NDArray[Any]) -> NDArray[np.uint32]:
    """Contiguous uint32 (n, words) of ``beats``: words, or bytes as uint8 (n, bytes).

    Raises ``TypeError`` for another kind, ``ValueError`` for another shape or bits past the stream's width.
    """
    beats = np.asarray(beats)
    if beats.dtype == np.uint8:
        octets = -(-port.payload.width // 8)
        if beats.ndim != 2 or beats.shape[1] not in (octets, port.words * 4):
            raise ValueError(f"Beats of {port.name!r} must be bytes of shape (n, {octets}), not {beats.shape!r}")
        padded = np.zeros((len(beats), port.words * 4), np.uint8)
        padded[:, : beats.shape[1]] = beats
        words = padded.view("<u4")
    elif beats.dtype == np.uint32:
        words = np.ascontiguousarray(beats)
    else:
        raise TypeError(f"Beats of {port.name!r} must be uint32 or uint8, not {beats.dtype!r}")
    if words.ndim != 2 or words.shape[1] != port.words:
        raise ValueError(f"Beats of {port.name!r} must be words of shape (n, {port.words}), not {words.shape!r}")
    spare = port.payload.width % 32
    if spare and (words[:, -1] >> np.uint32(spare)).any():
        raise ValueError(f"Beats of {port.name!r} must fit {port.payload.width} bits, not have bits above them")
    return words

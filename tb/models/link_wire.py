"""The wires between two links: a C++ model that delays frames, and damages, loses and repeats them as it is told."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cpp import CppModel

_HEADER = Path(__file__).parent / "link_wire.h"
_CONFIGURE, _HIT, _COUNTS, _RECORD, _FRAMES = range(5)

#: what may happen to a frame, in the order of the counts
EFFECTS = ("none", "damaged", "lost", "repeated")
#: most cycles of latency
MAX_LATENCY = 511


class LinkWire(CppModel):
    """The wires of a `tb.link.pair.LinkPair`; give it to a lane: ``Lane(pair, models=[wire])``.

    Direction 0 goes from ``a`` to ``b``, 1 back. A reset of the lane empties the wires and forgets counts, hits and
    recorded frames; settings stay.
    """

    def __init__(self, *, frame_bits: int) -> None:
        driven = {f"{end}_in{tail}": f"{end}_line_in__{name}" for end in "ab" for tail, name in _PORTS}
        outputs = {f"{end}_out{tail}": f"{end}_line_out__{name}" for end in "ab" for tail, name in _PORTS}
        super().__init__(
            type="LinkWire", files={_HEADER.name: _HEADER.read_text()}, ports=driven | outputs, driven=tuple(driven)
        )
        words = -(-frame_bits // 64) * 2
        self._entry = np.dtype([("cycle", "<u8"), ("effect", "<u8"), ("words", "<u4", words)])

    def configure(
        self,
        direction: int,
        *,
        latency: int = 1,
        damage: float = 0,
        lose: float = 0,
        repeat: float = 0,
        lose_control: float = 0,
        burst: float = 0,
        burst_length: int = 8,
        stuck: bool = False,
        seed: int = 1,
    ) -> None:
        """How a direction treats frames from now on.

        Parameters
        ----------
        latency : cycles from `line_out` to `line_in`, 1 to `MAX_LATENCY`; to be changed only while nothing is sent.
        damage, lose, repeat : chances that a frame has some of its bits inverted, does not arrive, arrives again a few
            cycles later in place of what was sent then.
        lose_control : chance that a frame without a flit does not arrive.
        burst : chance that with this frame a burst begins, in which up to ``burst_length`` frames are damaged or lost.
        stuck : nothing arrives.
        seed : decides all of these.

        Raises ``ValueError`` for values out of range.
        """
        _check_direction(direction)
        if not 1 <= latency <= MAX_LATENCY:
            raise ValueError(f"Latency of a wire must be in 1 to {MAX_LATENCY}, not {latency!r}")
        if burst_length < 1:
            raise ValueError(f"Burst length of a wire must be at least 1, not {burst_length!r}")
        chances = {"damage": damage, "lose": lose, "repeat": repeat, "lose_control": lose_control, "burst": burst}
        for name, chance in chances.items():
            if not 0 <= chance <= 1:
                raise ValueError(f"Chance {name} of a wire must be from 0 to 1, not {chance!r}")
        thresholds = [int(chance * (1 << 32)) for chance in chances.values()]
        numbers = [direction, latency, *thresholds, burst_length, stuck, seed & (1 << 62) - 1]
        self.call(_CONFIGURE, np.array(numbers, np.uint64).tobytes())

    def hit(self, direction: int, frame: int, effect: str) -> None:
        """What happens to the frame of that number, counted from 0 since the reset, whatever else is set.

        Raises ``ValueError`` for an effect that is not of ``EFFECTS``.
        """
        _check_direction(direction)
        if effect not in EFFECTS:
            raise ValueError(f"Effect on a frame must be one of {', '.join(EFFECTS)}, not {effect!r}")
        self.call(_HIT, np.array([direction, frame, EFFECTS.index(effect)], np.uint64).tobytes())

    def counts(self, direction: int) -> dict[str, int]:
        """Frames that entered a direction since the reset, by what happened to them."""
        _check_direction(direction)
        numbers = np.frombuffer(self.call(_COUNTS, np.array([direction], np.uint64).tobytes()), "<u8")
        return dict(zip(EFFECTS, numbers.tolist(), strict=True))

    def record(self, direction: int, records: bool = True) -> None:
        """Keep the frames that enter a direction from now on, for ``frames``; or keep them no more."""
        _check_direction(direction)
        self.call(_RECORD, np.array([direction, records], np.uint64).tobytes())

    def frames(self, direction: int) -> NDArray[Any]:
        """The frames kept since they were last asked for: ``cycle``, ``effect`` (of ``EFFECTS``), ``words`` as sent."""
        _check_direction(direction)
        return np.frombuffer(self.call(_FRAMES, np.array([direction], np.uint64).tobytes()), self._entry)


_PORTS = (("_valid", "valid"), ("", "frame"))


def _check_direction(direction: int) -> None:
    if direction not in (0, 1):
        raise ValueError(f"Direction of a wire must be 0 or 1, not {direction!r}")

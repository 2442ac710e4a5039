"""Random passes for a tensor engine as the items of its streams, and a plain model of what it must answer."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.formats import code_dtype, decode, encode
from golden.mx import MXArray
from golden.rounding import CANONICAL_NAN, canonical
from golden.tensor import matmul
from hdl.formats.code import FormatCode
from hdl.tensor.places import places
from hdl.tensor.shape import SliceShape
from mtia import formats
from mtia.formats import Format, Scale

#: a format that no engine of the benches has, which their lanes have the bits for
ALIEN = "FP16"


@dataclass(frozen=True, kw_only=True)
class Pass:
    """A pass with its operands: rows of the block (n, K) and the streamed rows, those of a beat together.

    K is `slices` groups.
    """

    address: int
    beats: int
    first: bool
    last: bool
    stationary: MXArray
    streamed: MXArray

    @property
    def pair(self) -> tuple[str, str]:
        """Names of the formats: stationary, streamed."""
        return self.stationary.format.name, self.streamed.format.name


class Generator:
    """Draws passes for an engine, and lays them out for its streams; what formats leave unused is random bits.

    shape:  of the engine's data path
    random: source of everything
    """

    def __init__(self, shape: SliceShape, random: np.random.Generator):
        self.shape, self.random = shape, random
        names = [*shape.parameters.formats, ALIEN]
        both = [(a, b) for a in names for b in names]
        taken = {(a.name, b.name) for a, b in shape.pairs}
        #: (stationary, streamed) that the engine multiplies, and those that it refuses
        self.supported = [pair for pair in both if pair in taken]
        self.refused = [pair for pair in both if pair not in taken]

    def draw(self, **fixed: Any) -> Pass:
        """A random pass; `pair`, `rows`, `beats`, `address`, `first` and `last` may be given."""
        pick, engine = self.random, self.shape.parameters
        pairs = self.refused if pick.random() < 0.06 else self.supported
        stationary, streamed = (formats.get(name) for name in fixed.get("pair") or pairs[pick.integers(len(pairs))])
        # short ones half of the time: they are those that meet their own accumulators again
        longest = engine.depth if pick.random() < 0.5 else 2
        beats = fixed.get("beats") or int(pick.integers(1, longest + 1))
        spread = engine.depth - beats if pick.random() < 0.3 else min(1, engine.depth - beats)
        rows = fixed.get("rows") or (engine.units if pick.random() < 0.8 else int(pick.integers(1, engine.units + 1)))
        return Pass(
            address=fixed.get("address", int(pick.integers(spread + 1))),
            beats=beats,
            first=fixed.get("first", bool(pick.random() < 0.4)),
            last=fixed.get("last", bool(pick.random() < 0.6)),
            stationary=self._operand(stationary, rows),
            streamed=self._operand(streamed, beats * rows_of_beat(self.shape, stationary, streamed)),
        )

    def _operand(self, fmt: Format, rows: int) -> MXArray:
        """Numbers about 1 under scales about 1; one row in ten is any codes, one in twenty under any scales."""
        pick, slices = self.random, self.shape.parameters.slices
        size = (rows, slices * fmt.group)
        any_codes = pick.integers(0, 1 << fmt.element.width, size).astype(code_dtype(fmt.element))
        any_codes[~np.isfinite(decode(any_codes, fmt.element)) & (pick.random(size) < 0.98)] = 0
        numbers = encode(pick.standard_normal(size) * np.exp2(pick.integers(-4, 5, size)), fmt.element)
        codes = np.where(pick.random((rows, 1)) < 0.1, any_codes, numbers)
        if not fmt.is_scaled:
            return MXArray.from_codes(codes, None, fmt)
        near, far = ((120, 134), 0x100) if fmt.scale is Scale.E8M0 else ((0x28, 0x48), 0x80)
        wild = pick.random((rows, 1)) < 0.05
        scales = np.where(wild, pick.integers(0, far, (rows, slices)), pick.integers(*near, (rows, slices)))
        return MXArray.from_codes(codes, scales.astype(np.uint8), fmt)

    def pass_item(self, work: Pass) -> dict[str, Any]:
        """The item of stream `passes`."""
        return {
            "streamed": FormatCode[work.pair[1]],
            "address": work.address,
            "beats": work.beats,
            "first": work.first,
            "last": work.last,
        }

    def row_items(self, work: Pass) -> list[dict[str, Any]]:
        """The items of stream `stationary`."""
        array, bits = work.stationary, self.shape.stationary_bits
        slices = range(self.shape.parameters.slices)
        return [
            {
                "codes": [self._lanes([self._codes(array, row, index)], array.format, bits) for index in slices],
                "scales": [self._scale(array, row, index) for index in slices],
                "format": FormatCode[work.pair[0]],
                "last": row == len(array.codes) - 1,
            }
            for row in range(len(array.codes))
        ]

    def beat_items(self, work: Pass) -> list[dict[str, Any]]:
        """The items of stream `streamed`."""
        array, bits = work.streamed, self.shape.streamed_bits
        slices = range(self.shape.parameters.slices)
        count = len(array.codes) // work.beats
        items = []
        for start in range(0, len(array.codes), count):
            rows = range(start, start + count)
            words = [
                self._lanes([self._codes(array, row, index) for row in rows], array.format, bits) for index in slices
            ]
            scales = [[self._scale(array, row, index) for index in slices] for row in rows]
            unused = self.random.integers(0, 256, (self.shape.rows - count, len(slices))).tolist()
            items.append({"codes": words, "scales": scales + unused})
        return items

    @staticmethod
    def _codes(array: MXArray, row: int, index: int) -> list[int]:
        group = array.format.group
        codes: list[int] = array.codes[row, index * group : (index + 1) * group].tolist()
        return codes

    def _scale(self, array: MXArray, row: int, index: int) -> int:
        return int(self.random.integers(256)) if array.scales is None else int(array.scales[row, index])

    def _lanes(self, rows: list[list[int]], fmt: Format, bits: int) -> int:
        """Codes of the rows of a slice at their places in random bits."""
        word = int.from_bytes(self.random.bytes(-(-bits // 8)), "little") & ((1 << bits) - 1)
        for row, codes in enumerate(rows):
            for index, code in enumerate(codes):
                for at, place in enumerate(places(fmt.element, index, row=row)):
                    word = word & ~(1 << place) | (code >> at & 1) << place
        return word


def rows_of_beat(shape: SliceShape, stationary: Format, streamed: Format) -> int:
    """Streamed rows of a beat for these formats."""
    return shape.rows if shape.is_dense(stationary, streamed) and (stationary, streamed) in shape.pairs else 1


class PlainEngine:
    """What an engine answers, over golden group sums: ``acc = RNE_fp32(acc + g)``, group after group.

    An accumulator of a unit without a row in a pass, and that of a row that a beat does not have, holds nothing
    known until a pass starts it from +0 again.
    """

    def __init__(self, shape: SliceShape):
        engine = shape.parameters
        self._shape = shape
        self._values = np.zeros((shape.rows, engine.units, engine.depth), np.float32)
        self._known = np.zeros(self._values.shape, bool)

    def run(self, work: Pass) -> list[tuple[dict[str, Any], NDArray[np.bool_]]]:
        """The items of stream `results` in a last pass, each with which of its values are known (rows, units)."""
        units, rows = len(work.stationary.codes), len(work.streamed.codes) // work.beats
        span = slice(work.address, work.address + work.beats)
        values, known = self._values[:, :, span], self._known[:, :, span]
        if work.first:
            values[:], known[:] = 0, True
        known[rows:], known[:, units:] = False, False
        for index in range(self._shape.parameters.slices):
            sums = self._sums(work, index).reshape(units, work.beats, rows).transpose(2, 0, 1)
            with np.errstate(all="ignore"):
                values[:rows, :units] += sums
        canonical(values)
        bits = np.where(known, values.view(np.uint32), 0).transpose(2, 0, 1)
        marks = [{"dense": int(rows > 1), "last": int(beat == work.beats - 1)} for beat in range(work.beats)]
        items = [{"values": item.tolist()} | mark for item, mark in zip(bits, marks, strict=True)]
        return list(zip(items, known.transpose(2, 0, 1).copy(), strict=True)) if work.last else []

    def _sums(self, work: Pass, index: int) -> NDArray[np.float32]:
        """Sums of one slice's groups (units, streamed rows)."""
        a, b = (_slice(array, index) for array in (work.stationary, work.streamed))
        if (a.format, b.format) not in self._shape.pairs:
            return np.full((len(a.codes), len(b.codes)), CANONICAL_NAN)
        return matmul(a, b, window=self._shape.parameters.window, epilogue=False)


def _slice(array: MXArray, index: int) -> MXArray:
    group = array.format.group
    scales = None if array.scales is None else array.scales[:, index : index + 1]
    return MXArray.from_codes(array.codes[:, index * group : (index + 1) * group], scales, array.format)

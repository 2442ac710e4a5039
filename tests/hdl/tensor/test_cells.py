"""An engine on carry cells gives the bits of the generic one: their Verilog side by side, without golden between.

The generic engine is the one that is simulated everywhere else, the one on carry cells the one whose area is measured.
"""

import dataclasses

import numpy as np
import pytest

from hdl.formats.code import FormatCode
from mtia.formats import FORMATS, Scale
from mtia.generations import GENERATIONS
from tb.beats import pack
from tb.tensor.blocks import group_lane, group_layout, group_rows
from tb.tensor.gemm import GemmLane
from tests.golden.support import PAIRS, assert_same_bits, random_operand

from .support import BUILDS, PARAMETERS

pytestmark = pytest.mark.sim

#: beats of each kind of a pair of formats
EACH = 1500
#: bytes of which two elements of any format are zeros, ones, specials, the least or the largest numbers
CORNERS = (0x00, 0x01, 0x07, 0x08, 0x0F, 0x1F, 0x38, 0x3C, 0x3F, 0x7B, 0x7C, 0x7E, 0x7F, 0x80, 0x81, 0xBF, 0xF8, 0xFF)


def words(generator, count, bits, kind):
    """Rows (count, words) of `bits` bits: random, of corners only, or random with few bytes that are not zero."""
    size = -(-bits // 32) * 4
    row = generator.integers(0, 256, (count, size), np.uint8)
    if kind == "corners":
        row = generator.choice(np.array(CORNERS, np.uint8), (count, size))
    elif kind == "few":
        row *= generator.random((count, size)) < 0.1
    flags = np.unpackbits(row, axis=1, bitorder="little")
    flags[:, bits:] = 0
    return np.packbits(flags, axis=1, bitorder="little").view("<u4")


def beats(generator, shape, stationary, streamed):
    """Beats of any bits for a pair of formats; scales about one, anywhere and at their ends."""
    parts = []
    for kind in ("random", "corners", "few"):
        scales = generator.integers(0, 256, (EACH, 1 + shape.rows))
        near = generator.random(EACH) < 0.5
        middle = {Scale.E8M0: 127, Scale.E4M3: 0x38, Scale.NONE: 0}[stationary.scale]
        scales[near] = middle + generator.integers(-20, 20, (EACH, 1 + shape.rows))[near] & 0xFF
        ends = generator.random(EACH) < 0.1
        scales[ends] = generator.choice([0, 1, 0x7F, 0x80, 254, 255], (EACH, 1 + shape.rows))[ends]
        fields = {
            "stationary": words(generator, EACH, shape.stationary_bits, kind),
            "streamed": words(generator, EACH, shape.streamed_bits, kind),
            "scale": scales[:, 0].astype(np.uint8),
            "scales": scales[:, 1:].astype(np.uint8),
            "stationary_format": np.full(EACH, FormatCode[stationary.name].value),
            "streamed_format": np.full(EACH, FormatCode[streamed.name].value),
        }
        parts.append(pack(group_layout(shape), fields))
    return np.concatenate(parts)


@pytest.mark.parametrize("stationary", FORMATS)
def test_beats_of_any_bits(stationary, seed):
    """With every format that streams: also pairs that the engine refuses, codes that are not numbers, NaN scales."""
    generator = np.random.default_rng(seed)
    lanes = {cells: group_lane(parameters) for cells, parameters in BUILDS.items()}
    shape = lanes["generic"].shape
    for streamed in FORMATS:
        a, b = FORMATS[stationary], FORMATS[streamed]
        rows = group_rows(shape, a, b)
        sent = beats(generator, shape, a, b)
        found = {}
        for cells, lane in lanes.items():
            lane.lane.push("i", sent)
            lane.lane.run({"o": len(sent)})
            found[cells] = lane.lane.pull("o", len(sent))[:, :rows].copy()
        different = np.argwhere(found["ecp5"] != found["generic"])
        assert not len(different), (stationary, streamed, different[0], sent[different[0][0]])


@pytest.mark.long  # minutes to build
@pytest.mark.parametrize("name", ["mtia300", "mtia450"])
def test_products(name, seed):
    """Whole engines: every pair of the generation, over several passes, blocks and runs of beats."""
    generator = np.random.default_rng(seed)
    parameters = dataclasses.replace(GENERATIONS[name].engine("sim"), units=2, depth=4)
    engines = [GemmLane(dataclasses.replace(parameters, cells=cells)) for cells in BUILDS]
    for a, b in PAIRS:
        if not parameters.supports(FORMATS[a], FORMATS[b]):
            continue
        group = FORMATS[a].group
        x, y = random_operand(generator, FORMATS[a], 7, 3 * group), random_operand(generator, FORMATS[b], 3, 3 * group)
        results = [engine.multiply(x, y)[0] for engine in engines]
        assert_same_bits(results[1], results[0], (name, a, b))


def test_both_builds_are_of_the_450():
    assert {build.cells for build in BUILDS.values()} == {"generic", "ecp5"}
    assert all(dataclasses.replace(build, cells="generic") == PARAMETERS for build in BUILDS.values())

"""Places of elements in the codes of a slice: nothing overlaps, nothing lies outside, and what formats share."""

import itertools

import pytest

from hdl.tensor.decode import dense_codes
from hdl.tensor.places import LANES, WIDE_LANES, places
from hdl.tensor.shape import SliceShape
from mtia.formats import ELEMENTS
from mtia.generations import GENERATIONS
from tests.hdl.pysim import logic, run

ELEMENT_NAMES = [name for name in ELEMENTS if name != "FP32"]


def lanes(element):
    return WIDE_LANES if element.width > 8 else LANES


@pytest.mark.parametrize("name", ELEMENT_NAMES)
def test_every_bit_has_a_place_of_its_own(name):
    element = ELEMENTS[name]
    taken = list(itertools.chain.from_iterable(places(element, index) for index in range(lanes(element))))
    assert len(taken) == len(set(taken)) == element.width * lanes(element)
    assert max(taken) < max(8, element.width) * lanes(element)


@pytest.mark.parametrize("rows", [2, 3, 4])
def test_rows_of_a_dense_beat_fill_its_codes(rows):
    """Two rows share the bytes, each further one has four bits a lane above."""
    taken = [
        place for row in range(rows) for index in range(LANES) for place in places(ELEMENTS["E2M1"], index, row=row)
    ]
    assert sorted(taken) == list(range(4 * LANES * rows))


@pytest.mark.parametrize("name", GENERATIONS)
def test_a_slice_holds_every_format(name):
    shape = SliceShape(GENERATIONS[name].engine("sim"))
    for row in shape.formats:
        assert max(places(row.element, row.group - 1)) < min(shape.stationary_bits, shape.streamed_bits)


def test_formats_share_places():
    """E2M1 is E2M3 without its lower mantissa bits, TF32 is BF16 with more."""
    for index in range(LANES):
        assert places(ELEMENTS["E2M1"], index) == places(ELEMENTS["E2M3"], index)[2:]
    for index in range(WIDE_LANES):
        assert places(ELEMENTS["TF32"], index)[3:] == places(ELEMENTS["BF16"], index)


def test_dense_codes_are_nibbles_in_order():
    codes = [7 * index % 16 for index in range(LANES)]
    for row in range(3):
        word = sum(
            (code >> bit & 1) << place
            for index, code in enumerate(codes)
            for bit, place in enumerate(places(ELEMENTS["E2M1"], index, row=row))
        )
        m, inputs, outputs = logic(lambda _m, codes, row=row: [dense_codes(codes, row=row)], 384)
        wanted = sum(code << 4 * index for index, code in enumerate(codes))
        assert run(m, inputs, outputs, [[word]]) == [(wanted,)]

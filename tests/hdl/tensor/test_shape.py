"""Widths of the data path against the table of docs/numerics.md, and what follows from the parameters."""

import dataclasses
import itertools

import pytest

from hdl.tensor.ports import pass_layout, result_layout, stationary_layout, streamed_layout
from hdl.tensor.shape import GROWTH, LANES, SliceShape, assign, buffer
from mtia import generations
from mtia.formats import FORMATS, MX_FORMATS
from mtia.generations import EngineParameters

from .support import PARAMETERS

#: element and signed bits of a sum of 32 of its products: docs/numerics.md, "Dot product"
SIGNED_BITS = {"E2M1": 14, "E2M3": 18, "INT8": 21, "E3M2": 24, "E4M3": 42, "E5M2": 70}
OF_ELEMENT = {FORMATS[name].element.name: name for name in MX_FORMATS}


def shape_of(*names, **changes):
    return SliceShape(dataclasses.replace(PARAMETERS, formats=names, **changes))


def largest_sum(name):
    """The largest magnitude of a sum of 32 products, in units of the smallest product."""
    element = FORMATS[name].element
    largest = 2.0 if element.is_integer else element.max_value
    return 32 * int(largest / element.min_subnormal) ** 2


@pytest.mark.parametrize(("element", "signed"), SIGNED_BITS.items())
def test_sums_of_one_format(element, signed):
    """What the table says is what the largest sum needs, and what is carried; -128 leaves INT8 a bit to spare."""
    name = OF_ELEMENT[element]
    shape = shape_of(name)
    assert largest_sum(name).bit_length() + 1 == signed
    assert shape.sum_width + 1 == signed + (element == "INT8")
    assert shape.sum_width == shape.width + GROWTH
    assert shape.near + shape.far == shape.width


def test_products_of_e2m1_and_e5m2():
    assert (shape_of("MXFP4").width, shape_of("MXFP8_E5M2").width) == (8, 64)


def test_e4m3_with_e5m2():
    shape = shape_of("MXFP8_E4M3", "MXFP8_E5M2")
    assert SliceShape.exact_bits(FORMATS["MXFP8_E4M3"], FORMATS["MXFP8_E5M2"]) + GROWTH + 1 == 56
    assert shape.sum_width + 1 == 70, "the engine also multiplies E5M2 with itself"


def test_on_carry_cells_the_top_is_that_of_infinities():
    """Of both elements of E5M2; the others end where their largest number does."""
    for name, spare in (("MXFP8_E5M2", 2), ("MXFP8_E4M3", 0), ("MXINT8", 0)):
        assert shape_of(name, cells="ecp5").width == shape_of(name).width + spare
    cells, generic = (shape_of("MXFP8_E5M2", "BF16", cells=cells) for cells in ("ecp5", "generic"))
    for element in cells.narrow + cells.wide:
        assert cells.top_exponent(element) == generic.top_exponent(element) + 1
        assert cells.distance_range(element) == generic.distance_range(element) + 1


def test_a_path_of_42_bits_serves_all_but_e5m2():
    """Every pair of MX formats fits but E5M2 with anything wider than E2M1, which that engine refuses."""
    shape = shape_of(*MX_FORMATS, exact_e5m2=False)
    assert shape.sum_width + 1 == 42
    for a, b in itertools.product(map(FORMATS.get, MX_FORMATS), repeat=2):
        assert a is not None
        assert b is not None
        fits = SliceShape.exact_bits(a, b) <= shape.width
        assert ((a, b) in shape.pairs) is fits


@pytest.mark.parametrize("window", [24, 36, 37, 40, 64])
def test_wide_formats_take_the_window(window):
    shape = shape_of("BF16", "TF32", window=window)
    assert shape.width == window
    assert (shape.near, shape.far) == (min(window, 36), max(0, window - 36))
    assert (shape.even_bits, shape.even_exponent) == (11, 8)


def test_no_adder_is_longer_than_41_bits():
    """Those of both trees, each with the growth of 32 terms."""
    for name in generations.GENERATIONS:
        for profile in generations.PROFILES:
            shape = SliceShape(generations.get(name).engine(profile))
            assert max(shape.near, shape.far) + GROWTH <= 41


@pytest.mark.parametrize(
    ("names", "changes", "rows"),
    [
        (("MXFP4",), {}, 3),
        (("NVFP4",), {"dense_rows": 2}, 2),
        (("MXFP8_E4M3", "MXFP4"), {"dense_rows": 1}, 1),
        (("MXFP8_E4M3", "MXFP6_E2M3"), {}, 1),
        (("BF16",), {"dense_rows": 4}, 1),
    ],
)
def test_rows_of_a_beat(names, changes, rows):
    """Several only where an engine multiplies E2M1 with itself."""
    shape = shape_of(*names, **changes)
    assert shape.rows == rows
    assert ("dense" in shape.stationary_signature.members) is (rows > 1)
    assert [name for name in shape.streamed_signature.members if name != "general"] == [
        f"dense_{row}" for row in range(1, rows)
    ]


@pytest.mark.parametrize(
    ("names", "stationary", "streamed"),
    [
        (("MXFP8_E4M3",), 256, 256),
        (("MXFP4",), 256, 384),
        (("BF16",), 256, 256),
        (("TF32",), 304, 304),
        (("MXFP8_E4M3", "MXFP4", "TF32"), 304, 384),
    ],
)
def test_bits_of_a_slice(names, stationary, streamed):
    """A byte a lane, 16 or 19 bits an even lane, or four bits a lane and row."""
    shape = shape_of(*names)
    assert (shape.stationary_bits, shape.streamed_bits) == (stationary, streamed)


def test_what_formats_ask_for():
    assert not shape_of("MXFP4").has_nvfp4
    assert shape_of("NVFP4").has_nvfp4
    assert "significand" in shape_of("NVFP4").scale_signature.members
    assert [shape_of(name).has_inf for name in ("MXFP8_E4M3", "MXFP8_E5M2", "BF16")] == [False, True, True]


def test_sizes_of_the_ports():
    """The widths of the streams follow from slices, rows and units."""
    shape = SliceShape(
        EngineParameters(units=3, slices=2, depth=10, dense_rows=3, formats=("MXFP8_E4M3", "MXFP4"), mixed=True)
    )
    assert stationary_layout(shape).size == 2 * (256 + 8) + 5 + 1
    assert streamed_layout(shape).size == 2 * 384 + 3 * 2 * 8
    assert result_layout(shape).size == 3 * 3 * 32 + 2
    assert pass_layout(shape).size == 5 + 4 + 4 + 2


def test_rows_become_signals_and_are_assigned_by_name():
    row = shape_of("MXFP4", "NVFP4").dense_signature.create()
    kept = buffer(row, name="kept")
    assert all(signal.reset_less for signal in kept)
    assert len(kept) == LANES + 4
    assert [signal.name for signal in kept[:2]] == ["kept__sign", "kept__magnitude__0"]
    assert [len(signal) for signal in kept] == [len(statement.lhs) for statement in assign(row, kept)]


def test_without_a_pair_is_wrong():
    with pytest.raises(ValueError, match=r"^Formats must hold a pair that the engine multiplies, not \('FP8_E5M2',\)$"):
        shape_of("FP8_E5M2", exact_e5m2=False)

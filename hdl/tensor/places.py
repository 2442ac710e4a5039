"""Where in the codes of a slice the bits of its elements are.

Formats share places so that a decoder has little to select: E2M1 lies in its byte as E2M3 does, and TF32 as BF16 with
the rest of its mantissa above all others. A second row of E2M1 has the bits of the bytes that the first leaves.
"""

from mtia.formats import Element

#: one-byte elements of a slice, which is also the group of the MX and FP8 formats
LANES = 32
#: elements of more than a byte
WIDE_LANES = 16
#: bits of a wide element that stand together
_TOGETHER = 16


def places(element: Element, index: int, *, row: int = 0) -> list[int]:
    """The bits of an element of a group, its lowest bit first, within the bits of a slice.

    Both operands have them there; the layout of a slice is what `stationary_layout` and
    `streamed_layout` call `codes`.

    Parameters
    ----------
    element : a row of `mtia.formats.ELEMENTS`.
    index : of the element in its group, 0 to 31, or 15 for wide elements.
    row : of a beat of several rows of E2M1; 0 otherwise. Rows 0 and 1 share the bytes, further rows
        lie above them.
    """
    if element.name == "E2M1" and row < 2:
        return [8 * index + bit for bit in ((0, 1, 6, 7) if row else (2, 3, 4, 5))]
    if row:
        start = element.width * (LANES * row + index)
        return list(range(start, start + element.width))
    if element.width <= 8:
        return list(range(8 * index, 8 * index + element.width))
    rest = max(0, element.width - _TOGETHER)
    above = _TOGETHER * WIDE_LANES + rest * index
    start = _TOGETHER * index
    return [*range(above, above + rest), *range(start, start + element.width - rest)]

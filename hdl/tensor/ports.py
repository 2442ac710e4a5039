"""Payloads of a tensor engine's streams."""

from amaranth.hdl import unsigned
from amaranth.lib import data

from ..formats.code import FormatCode
from ..formats.float32 import Float32
from .shape import SliceShape


def pass_layout(shape: SliceShape) -> data.StructLayout:
    """One pass: a stationary block meets up to `depth` streamed beats.

    streamed : format of the beats; that of the block comes with its rows.
    address : accumulator of the first beat; each beat takes the next one.
    beats : how many beats, 1 to `depth` - `address`; 0 makes the pass one that does nothing.
    first : the accumulators start from +0.
    last : the accumulators are final: each beat gives a result.
    """
    depth = shape.parameters.depth
    return data.StructLayout(
        {
            "streamed": FormatCode,
            "address": range(depth),
            "beats": range(depth + 1),
            "first": unsigned(1),
            "last": unsigned(1),
        }
    )


def stationary_layout(shape: SliceShape) -> data.StructLayout:
    """One stationary row: for each slice its elements and the scale of its block.

    format : format of the row; the same in all rows of a block.
    codes : the elements of each slice where `places` has them; bits that the format does not use
        are ignored.
    scales : scale codes, ignored for a format without scales.
    last : the block is complete; the next row goes to unit 0 again.
    """
    slices = shape.parameters.slices
    return data.StructLayout(
        {
            "codes": data.ArrayLayout(shape.stationary_bits, slices),
            "scales": data.ArrayLayout(8, slices),
            "format": FormatCode,
            "last": unsigned(1),
        }
    )


def streamed_layout(shape: SliceShape) -> data.StructLayout:
    """One beat: a streamed row, or `rows` rows if both operands of the pass are E2M1.

    codes : the elements of each slice where `places` has them; bits that the format does not use
        are ignored.
    scales : scale codes, for each row and slice; ignored for a format without scales.
    """
    slices = shape.parameters.slices
    return data.StructLayout(
        {
            "codes": data.ArrayLayout(shape.streamed_bits, slices),
            "scales": data.ArrayLayout(data.ArrayLayout(8, slices), shape.rows),
        }
    )


def result_layout(shape: SliceShape) -> data.StructLayout:
    """One beat of results.

    values : FP32 for each row of the beat and each unit; rows past the first only in a dense beat.
    dense : the beat is dense.
    last : the last beat of its pass.
    """
    units = data.ArrayLayout(Float32, shape.parameters.units)
    return data.StructLayout({"values": data.ArrayLayout(units, shape.rows), "dense": unsigned(1), "last": unsigned(1)})

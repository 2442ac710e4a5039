"""Bytes of a step: how much of a chunk, or of the whole message, a piece holds."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .jobs import OFFSET_BITS, PIECE_BITS


class PieceLengths(wiring.Component):
    """Bytes in a piece of an owner's chunk, of the last owner's, and of the whole message:
    ``clamp(size - offset, 0, piece)``.

    Latency 1 cycle with `enable`, and held until the next.

    Members
    -------
    enable : take the numbers.
    piece : its bytes.
    offset : the piece's place in a chunk.
    chunk, last, bytes : sizes of an owner's chunk, of the last owner's, of the message.
    full_length, last_length, whole_length : the bytes of each.
    """

    def __init__(self) -> None:
        sizes = {name: In(32) for name in ("chunk", "last", "bytes")}
        lengths = {f"{name}_length": Out(PIECE_BITS) for name in ("full", "last", "whole")}
        super().__init__({"enable": In(1), "piece": In(PIECE_BITS), "offset": In(OFFSET_BITS), **sizes, **lengths})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pairs = ((self.chunk, self.full_length), (self.last, self.last_length), (self.bytes, self.whole_length))
        for name, (size, length) in zip(("full", "last", "whole"), pairs, strict=True):
            left = Signal(34, name=f"{name}_left")
            kept = Signal(PIECE_BITS, name=f"{name}_kept", reset_less=True)
            m.d.comb += [left.eq(size - self.offset), length.eq(kept)]
            with m.If(self.enable):
                m.d.sync += kept.eq(Mux(left[-1], 0, Mux(left[:-1] > self.piece, self.piece, left)))
        return m

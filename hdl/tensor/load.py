"""Loading of stationary blocks."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..core.arith import delay
from ..formats.code import FormatCode
from .decode import DecodeDense, DecodeGeneral, dense_codes
from .ports import stationary_layout
from .shape import LANES, SliceShape, assign, buffer


class DecodeRow(wiring.Component):
    """A slice of a stationary row, decoded for the general lanes and, if there are dense rows, as E2M1.

    Latency: 0 (combinational), deep 1. Throughput: one row a cycle. No register has a reset.

    Parameters
    ----------
    shape : of the engine.

    Members
    -------
    format, codes, scale : the slice as it arrives (`stationary_layout`).
    row : decoded (`SliceShape.stationary_signature`).
    nan : what makes the row of the general lanes NaN (`DecodeGeneral`).
    """

    def __init__(self, *, shape: SliceShape):
        self.shape = shape
        super().__init__(
            {
                "format": In(FormatCode),
                "codes": In(shape.stationary_bits),
                "scale": In(8),
                "row": Out(shape.stationary_signature),
                "nan": Out(LANES + 1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.general = general = DecodeGeneral(shape=self.shape, bits=self.shape.stationary_bits)
        m.d.comb += [
            general.format.eq(self.format),
            general.codes.eq(self.codes),
            general.code.eq(self.scale),
        ]
        m.d.comb += [*assign(self.row.general, general.row), self.nan.eq(general.nan)]
        if self.shape.rows > 1:
            m.submodules.dense = dense = DecodeDense(shape=self.shape)
            codes = dense_codes(self.codes, row=0)
            for name, value in (("format", self.format), ("code", self.scale), ("codes", codes)):
                m.d.comb += getattr(dense, name).eq(delay(m, value, int(self.shape.parameters.deep), name=name))
            m.d.comb += assign(self.row.dense, dense.row)
        return m


class Loader(wiring.Component):
    """Decodes stationary rows and fills the units' waiting rows with them, one after the other.

    The first row of the next block is loaded in the very cycle in which a block is taken over, so
    blocks of `units` rows follow each other every `units` cycles. In a deep engine a row is
    accepted only into a block that is not complete: a block takes a cycle more, and no register of
    a row waits for anything.

    A block is complete with the row that has `last`, and with its `units`-th row whether it has
    `last` or not. Row n of a block goes to unit n. One block is decoded ahead, no more: rows wait
    at the stream while it is complete.

    Latency: `load` comes a cycle after a row (deep two), `loaded` another later (deep, a cycle
    after the row). Throughput: one row a cycle. After reset no block is there.

    Parameters
    ----------
    shape : of the engine.

    Members
    -------
    rows : the stream of rows, `last` with the one that completes a block; a block has 1 to `units`
        rows of one format.
    swap : the waiting block is taken over in this cycle; only while `loaded`.
    row : the decoded row, a register, one `SliceShape.stationary_signature` a slice.
    load : one bit a unit: take `row` into waiting.
    loaded : the waiting block is complete (deep: will be in `lead_of(...)` cycles).
    format : its format, that of its last row.
    """

    def __init__(self, *, shape: SliceShape):
        self.shape = shape
        parameters = shape.parameters
        super().__init__(
            {
                "rows": In(stream.Signature(stationary_layout(shape))),
                "swap": In(1),
                "row": Out(shape.stationary_signature).array(parameters.slices),
                "load": Out(parameters.units),
                "loaded": Out(1),
                "format": Out(FormatCode),
            }
        )

    @staticmethod
    def lead_of(*, deep: bool) -> int:
        """Cycles from `loaded` until the units have the block: a swap must take at least as long to reach them."""
        return 2 * deep

    def elaborate(self, platform: object) -> Module:
        m = Module()
        parameters = self.shape.parameters
        units = parameters.units
        unit = Signal(range(max(2, units)))
        valid, last, loaded, ready, fire, ends = (
            Signal(name=name) for name in ("valid", "last", "is_loaded", "ready", "fire", "ends")
        )
        arriving, waiting = Signal(FormatCode, reset_less=True), Signal(FormatCode, reset_less=True)
        load = Signal(units)
        m.d.comb += [
            self.loaded.eq(loaded),
            self.format.eq(waiting),
            fire.eq(valid & ready),
            ends.eq(last | (unit == units - 1)),
            load.eq(fire << unit),
        ]
        with m.If(self.swap):
            m.d.sync += loaded.eq(0)
        with m.If(fire):
            m.d.sync += [unit.eq(Mux(ends, 0, unit + 1)), loaded.eq(ends), waiting.eq(arriving)]
        head = self.rows.payload
        if parameters.deep:
            m.d.comb += [ready.eq(~loaded), self.rows.ready.eq(ready), valid.eq(self.rows.valid)]
            m.d.comb += [last.eq(head.last), arriving.eq(head.format)]
            m.d.comb += self.load.eq(delay(m, load, 2, name="load", reset_less=False))
            self._decode(m, taken=Const(1))
        else:
            m.d.comb += [ready.eq(~loaded | self.swap), self.rows.ready.eq(~valid | ready), self.load.eq(load)]
            with m.If(self.rows.ready):
                m.d.sync += [valid.eq(self.rows.valid), last.eq(head.last), arriving.eq(head.format)]
            self._decode(m, taken=self.rows.ready)
        return m

    def _decode(self, m: Module, *, taken: Value) -> None:
        """Drive `row`: the row that is `taken` from the head of the stream."""
        head = self.rows.payload
        for index in range(self.shape.parameters.slices):
            m.submodules[f"decode_{index}"] = decode = DecodeRow(shape=self.shape)
            m.d.comb += [
                decode.format.eq(head.format),
                decode.codes.eq(head.codes[index]),
                decode.scale.eq(head.scales[index]),
            ]
            kept = buffer(decode.row, name=f"row_{index}")
            nan = Signal.like(decode.nan, name=f"nan_{index}", reset_less=True)
            with m.If(taken):
                m.d.sync += [*assign(kept, decode.row), nan.eq(decode.nan)]
            m.d.comb += assign(self.row[index], kept)
            # As in `DecodeBeat`: what makes the row NaN is brought together after the register.
            m.d.comb += self.row[index].general.scale.nan.eq(nan.any())

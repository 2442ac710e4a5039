"""Loading of stationary blocks."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..formats.code import FormatCode
from .decode import DecodeDense, DecodeGeneral
from .ports import stationary_layout
from .shape import LANES, SliceShape, assign, buffer


class DecodeRow(wiring.Component):
    """A slice of a stationary row, decoded for the general lanes and, if there are dense rows, as E2M1.

    format, codes, scale: the slice as it arrives
    row:                  decoded (`SliceShape.stationary_signature`)

    Latency: 0 (combinational).
    """

    def __init__(self, *, shape: SliceShape):
        self.shape = shape
        super().__init__(
            {
                "format": In(FormatCode),
                "codes": In(shape.stationary_bits),
                "scale": In(8),
                "row": Out(shape.stationary_signature),
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
        m.d.comb += assign(self.row.general, general.row)
        if self.shape.rows > 1:
            m.submodules.dense = dense = DecodeDense(shape=self.shape)
            m.d.comb += [dense.format.eq(self.format), dense.code.eq(self.scale)]
            m.d.comb += dense.codes.eq(Cat(self.codes[8 * lane :][:4] for lane in range(LANES)))
            m.d.comb += assign(self.row.dense, dense.row)
        return m


class Loader(wiring.Component):
    """Decodes stationary rows and fills the units' waiting rows with them, one after the other.

    rows:    the stream of rows, `last` with the one that completes a block; a block has 1 to `units` rows
    swap:    the waiting block is taken over in this cycle
    row:     the decoded row, a register, one `SliceShape.stationary_signature` a slice
    load:    one bit a unit: take `row` into waiting
    loaded:  the waiting block is complete
    format:  its format

    The first row of the next block is loaded in the very cycle in which a block is taken over, so
    blocks of `units` rows follow each other every `units` cycles. In a deep engine it is loaded one
    cycle later, which keeps the issue logic out of the path to the rows.

    Latency: 2 cycles from the last row to `loaded`. Throughput: one row a cycle.
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

    def elaborate(self, platform: object) -> Module:
        m = Module()
        parameters = self.shape.parameters
        units = parameters.units
        unit = Signal(range(max(2, units)))
        valid, last, loaded, ready, fire, ends = (
            Signal(name=name) for name in ("valid", "last", "is_loaded", "ready", "fire", "ends")
        )
        arriving, waiting = Signal(FormatCode, reset_less=True), Signal(FormatCode, reset_less=True)
        rows = self._decoded(m)
        m.d.comb += [
            self.loaded.eq(loaded),
            self.format.eq(waiting),
            ready.eq(~loaded if parameters.deep else ~loaded | self.swap),
            fire.eq(valid & ready),
            ends.eq(last | (unit == units - 1)),
            self.load.eq(fire << unit),
            self.rows.ready.eq(~valid | ready),
        ]
        with m.If(self.rows.ready):
            m.d.sync += [valid.eq(self.rows.valid), last.eq(self.rows.payload.last)]
            m.d.sync += arriving.eq(self.rows.payload.format)
            for kept, row in rows:
                m.d.sync += assign(kept, row)
        with m.If(self.swap):
            m.d.sync += loaded.eq(0)
        with m.If(fire):
            m.d.sync += [unit.eq(Mux(ends, 0, unit + 1)), loaded.eq(ends), waiting.eq(arriving)]
        return m

    def _decoded(self, m: Module) -> list[tuple[list[Signal], wiring.PureInterface]]:
        """For each slice its register, which drives `row`, and the row at the head of the stream, decoded."""
        pairs = []
        for index in range(self.shape.parameters.slices):
            m.submodules[f"decode_{index}"] = decode = DecodeRow(shape=self.shape)
            m.d.comb += [
                decode.format.eq(self.rows.payload.format),
                decode.codes.eq(self.rows.payload.codes[index]),
                decode.scale.eq(self.rows.payload.scales[index]),
            ]
            kept = buffer(decode.row, name=f"row_{index}")
            m.d.comb += assign(self.row[index], kept)
            pairs.append((kept, decode.row))
        return pairs

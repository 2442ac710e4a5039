"""Streamed beats: what their formats ask of the data path, and their decoding."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..core.arith import delay
from ..formats.code import FormatCode
from .decode import DecodeDense, DecodeGeneral, dense_codes
from .shape import SliceShape, assign, buffer


class Mode(wiring.Component):
    """What a pair of formats asks of the data path.

    A table of the engine's pairs: a pair that is not in it is refused, and all other outputs are 0.

    Latency: 0 (combinational).

    Parameters
    ----------
    shape : of the engine, whose `pairs` it knows.

    Members
    -------
    streamed, stationary : the formats; the order matters to none of the outputs.
    dense : both are E2M1, and the engine has rows for that: `shape.rows` streamed rows a beat.
    wide : both are BF16, FP16 or TF32.
    nvfp4 : both are NVFP4.
    refuse : the engine does not multiply the pair.
    """

    streamed: In(FormatCode)
    stationary: In(FormatCode)
    dense: Out(1)
    wide: Out(1)
    nvfp4: Out(1)
    refuse: Out(1)

    def __init__(self, *, shape: SliceShape):
        self.shape = shape
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.refuse.eq(1)
        with m.Switch(Cat(self.streamed, self.stationary)):
            for a, b in self.shape.pairs:
                with m.Case(FormatCode[a.name].value | FormatCode[b.name].value << len(Value.cast(self.streamed))):
                    m.d.comb += [
                        self.refuse.eq(0),
                        self.dense.eq(self.shape.rows > 1 and self.shape.is_dense(a, b)),
                        self.wide.eq(a.is_wide),
                        self.nvfp4.eq(a.name == "NVFP4"),
                    ]
        return m


class DecodeBeat(wiring.Component):
    """A slice of a beat, decoded for the general lanes and the dense rows.

    Row 0 is decoded for the general lanes, whatever the format; rows 1 and up as E2M1, whatever the
    format, as they count in dense beats only.

    Latency: 1 cycle, deep 2 (`latency_of(...)`). Throughput: one beat a cycle, no back-pressure. No
    register has a reset.

    Parameters
    ----------
    shape : of the engine.

    Members
    -------
    format : format of the beat.
    refuse : the pair is not one that the engine multiplies.
    codes : the slice's bits (`hdl.tensor.places.places`).
    scales : scale codes, one a row of the beat.
    row : decoded (`SliceShape.streamed_signature`); the row of the general lanes is NaN if the pair
        is refused.
    """

    def __init__(self, *, shape: SliceShape):
        self.shape = shape
        super().__init__(
            {
                "format": In(FormatCode),
                "refuse": In(1),
                "codes": In(shape.streamed_bits),
                "scales": In(data.ArrayLayout(8, shape.rows)),
                "row": Out(shape.streamed_signature),
            }
        )

    @staticmethod
    def latency_of(*, deep: bool) -> int:
        """Cycles from a beat to its decoded row."""
        return 1 + deep

    def elaborate(self, platform: object) -> Module:
        m = Module()
        deep = int(self.shape.parameters.deep)
        m.submodules.general = general = DecodeGeneral(shape=self.shape, bits=self.shape.streamed_bits)
        m.d.comb += [
            general.format.eq(self.format),
            general.codes.eq(self.codes),
            general.code.eq(self.scales[0]),
        ]
        decoded = self.shape.streamed_signature.create(path=("decoded",))
        kept = buffer(decoded, name="kept")
        m.d.comb += assign(decoded.general, general.row)
        m.d.comb += assign(self.row, kept)
        m.d.sync += assign(kept, decoded)
        # Whether any of its parts makes the row NaN is asked after the register: decoding is long enough.
        refuse = delay(m, self.refuse, deep, name="refuse")
        m.d.comb += self.row.general.scale.nan.eq(delay(m, Cat(general.nan, refuse), 1, name="nan").any())
        late, codes = (delay(m, getattr(self, name), deep, name=name) for name in ("format", "codes"))
        for index in range(1, self.shape.rows):
            m.submodules[f"row_{index}"] = dense = DecodeDense(shape=self.shape)
            m.d.comb += [
                dense.format.eq(late),
                dense.code.eq(delay(m, self.scales[index], deep, name=f"scale_{index}")),
                dense.codes.eq(dense_codes(codes, row=index)),
            ]
            m.d.comb += assign(getattr(decoded, f"dense_{index}"), dense.row)
        return m

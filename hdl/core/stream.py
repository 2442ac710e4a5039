"""Register slice, fork and join of streams."""

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from .checks import require_int, require_shape, stream_in, stream_out


class Skid(wiring.Component):
    """Register slice: cuts every combinational path between its two sides, ``valid``, ``payload`` and ``ready``.

    Latency 1 cycle, throughput one item a cycle, holds up to 2 items. Empty after reset.

    Parameters
    ----------
    shape : shape of an item, of at least one bit.

    Members
    -------
    i, o : streams of ``shape``.

    Raises TypeError or ValueError for what is no such shape.
    """

    def __init__(self, *, shape: ShapeLike):
        self._shape = require_shape("Skid shape", shape)
        super().__init__({"i": stream_in(shape), "o": stream_out(shape)})

    @property
    def shape(self) -> ShapeLike:
        """Shape of an item."""
        return self._shape

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = Shape.cast(self.shape).width
        front = Signal(width, reset_less=True)
        front_valid = Signal()
        spare = Signal(width, reset_less=True)
        spare_valid = Signal()
        m.d.comb += [
            self.i.ready.eq(~spare_valid),
            self.o.valid.eq(front_valid),
            Value.cast(self.o.payload).eq(front),
        ]
        with m.If(self.o.ready | ~front_valid):
            m.d.sync += [
                front.eq(Mux(spare_valid, spare, self.i.payload)),
                front_valid.eq(spare_valid | self.i.valid),
                spare_valid.eq(0),
            ]
        with m.Elif(~spare_valid):
            m.d.sync += [spare.eq(self.i.payload), spare_valid.eq(self.i.valid)]
        return m


class Fork(wiring.Component):
    """Gives each item to every one of its outputs; each may take it in a different cycle.

    The input is taken in the cycle in which the last output takes the item. Latency 0, throughput one item a cycle
    if all outputs are ready. ``o[k].valid`` follows ``i.valid`` and ``i.ready`` follows the outputs' ``ready``
    combinationally; no ``valid`` depends on a ``ready`` of the same cycle.

    Parameters
    ----------
    shape : shape of an item.
    outputs : number of outputs, at least 2.

    Members
    -------
    i : stream of ``shape``.
    o : array of ``outputs`` streams of ``shape``.
    """

    def __init__(self, *, shape: ShapeLike, outputs: int):
        self._shape = require_shape("Fork shape", shape)
        self._outputs = require_int("Fork outputs", outputs, low=2)
        super().__init__({"i": stream_in(shape), "o": stream_out(shape).array(outputs)})

    @property
    def shape(self) -> ShapeLike:
        """Shape of an item."""
        return self._shape

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return self._outputs

    def elaborate(self, platform: object) -> Module:
        m = Module()
        served = Signal(self.outputs)
        served_now = Signal(self.outputs)
        m.d.comb += self.i.ready.eq(served_now.all())
        for index, output in enumerate(self.o):
            m.d.comb += [
                Value.cast(output.payload).eq(self.i.payload),
                output.valid.eq(self.i.valid & ~served[index]),
                served_now[index].eq(served[index] | output.ready),
            ]
        with m.If(self.i.valid):
            m.d.sync += served.eq(Mux(self.i.ready, 0, served_now))
        return m


class Join(wiring.Component):
    """Zips one stream for each field of a struct into a stream of the struct.

    The n-th item out is made of the n-th items of all inputs. Latency 0, throughput one item a cycle. ``o.valid``
    follows the inputs' ``valid`` and each input's ``ready`` follows ``o.ready`` and the other inputs' ``valid``
    combinationally.

    Parameters
    ----------
    shape : ``data.Struct`` class or ``data.StructLayout`` of at least two fields without gaps or overlaps.

    Members
    -------
    i : interface with one stream a field, of the field's name and shape.
    o : stream of ``shape``.
    """

    def __init__(self, *, shape: ShapeLike):
        self._shape = require_shape("Join shape", shape)
        layout = data.Layout.cast(shape) if not isinstance(shape, (int, range, Shape)) else None
        if not isinstance(layout, data.StructLayout) or len(layout.members) < 2:
            raise TypeError(f"Join shape must be a struct of two fields or more, not {shape!r}")
        self._fields = dict(layout.members)
        inputs = wiring.Signature({name: stream_out(field) for name, field in self._fields.items()})
        super().__init__({"i": In(inputs), "o": stream_out(shape)})

    @property
    def shape(self) -> ShapeLike:
        """Shape of an item that leaves."""
        return self._shape

    def elaborate(self, platform: object) -> Module:
        m = Module()
        inputs = {name: getattr(self.i, name) for name in self._fields}
        valid = Signal(len(inputs))
        m.d.comb += [valid.eq(Cat(stream.valid for stream in inputs.values())), self.o.valid.eq(valid.all())]
        for name, stream in inputs.items():
            m.d.comb += [
                Value.cast(self.o.payload[name]).eq(stream.payload),
                stream.ready.eq(self.o.valid & self.o.ready),
            ]
        return m

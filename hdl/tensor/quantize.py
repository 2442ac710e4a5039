"""Quantiser: blocks of FP32 values in, blocks of an MX format out.

Ref: OCP Microscaling Formats (MX) Specification v1.0, sections 5.1 to 5.3 and 6.3.
"""

from amaranth import *
from amaranth.lib import wiring
from amaranth.utils import ceil_log2

from mtia.formats import MX_FORMATS

from ..core.arith import delay
from ..core.checks import stream_in, stream_out
from ..core.connect import connect
from ..core.fifo import Queue
from ..core.shared import Shared
from .quantize_element import ElementConverter
from .quantize_scale import BlockScale
from .quantize_shape import SCALE_RULES, QuantizerShape


class Quantizer(wiring.Component):
    """Quantises a block of FP32 values a cycle as docs/numerics.md ("Quantiser") says, bit for bit.

    Parameters
    ----------
    formats : names of the MX formats that a block may ask for; each costs multiplexers.
    scale_rules : names of the scale rules that a block may ask for.
    stochastic : whether a block may ask for stochastic rounding.
    deep : registers in the middle of the steps too: a longer latency, the same bits, and the clock rates of FPGAs
        (as :attr:`EngineParameters.deep` does for the engine).
    lanes : values of a block; must be the block of every format.

    Members
    -------
    i : stream of blocks, a struct of

        * ``format`` (:class:`FormatCode`), ``scale_rule`` (:class:`ScaleRule`): wanted for this block;
        * ``rounding`` (:class:`Rounding`) and ``random``, ``lanes`` x 16 bits: only if ``stochastic``;
        * ``values``: ``lanes`` x :class:`Float32`. BF16 comes as FP32 with a zero lower half.
    o : stream of blocks, a struct of

        * ``format``: as asked for;
        * ``scale``: E8M0 code; 0xFF where a value is Inf or NaN, and where the format or the rule asked
          for is not built: nothing passes in a format other than the one wanted;
        * ``codes``: ``lanes`` bytes, each a code in its lowest bits; all zero under scale 0xFF.

    Blocks leave in order. Throughput a block a cycle; latency through an empty quantiser `latency` cycles: 4;
    if ``deep`` 9, and one more if ``stochastic`` too. The pipeline never stops: a block enters only when the queue
    behind it is sure to have room, so neither ``valid`` nor ``ready`` passes through combinationally. Data registers
    have no reset.

    Raises TypeError or ValueError as :class:`QuantizerShape` says.
    """

    def __init__(
        self,
        *,
        formats: tuple[str, ...] = MX_FORMATS,
        scale_rules: tuple[str, ...] = SCALE_RULES,
        stochastic: bool = True,
        deep: bool = False,
        lanes: int = 32,
    ):
        self._shape = QuantizerShape(
            formats=formats, scale_rules=scale_rules, stochastic=stochastic, deep=deep, lanes=lanes
        )
        super().__init__({"i": stream_in(self._shape.input_layout), "o": stream_out(self._shape.output_layout)})

    @property
    def shape(self) -> QuantizerShape:
        """The parameters together, and what follows from them."""
        return self._shape

    @property
    def formats(self) -> tuple[str, ...]:
        """Names of the formats."""
        return self._shape.formats

    @property
    def scale_rules(self) -> tuple[str, ...]:
        """Names of the scale rules."""
        return self._shape.scale_rules

    @property
    def stochastic(self) -> bool:
        """Whether blocks may ask for stochastic rounding."""
        return self._shape.stochastic

    @property
    def deep(self) -> bool:
        """Whether there are registers in the middle of the steps."""
        return self._shape.deep

    @property
    def lanes(self) -> int:
        """Values of a block."""
        return self._shape.lanes

    @property
    def latency(self) -> int:
        """Cycles from a block taken to the block offered, when none is before it."""
        return self._shape.scale_latency + self._shape.element_latency + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shape, block = self.shape, self.i.payload
        m.submodules.scale = scale = BlockScale(shape=shape)
        depth = 1 << ceil_log2(self.latency + 1)
        m.submodules.queue = queue = Queue(shape=shape.output_layout, depth=depth)
        room = Signal(range(depth + 1), init=depth)
        taken = Signal()
        m.d.comb += [self.i.ready.eq(room != 0), taken.eq(self.i.valid & self.i.ready)]
        m.d.sync += room.eq(room + queue.credit - taken)
        m.d.comb += [
            scale.values.eq(block.values),
            scale.format.eq(block.format),
            scale.scale_rule.eq(block.scale_rule),
        ]
        if shape.stochastic:
            m.d.comb += scale.rounding.eq(block.rounding)
        for lane in range(shape.lanes):
            element = Shared(ElementConverter(shape=shape, early=shape.scale_latency))
            m.submodules[f"element_{lane}"] = element
            m.d.comb += [element.value.eq(block.values[lane]), element.control.eq(scale.control)]
            m.d.comb += queue.i.payload.codes[lane].eq(element.code)
            if shape.stochastic:
                m.d.comb += element.random.eq(block.random[lane])
        arrived = taken
        for stage in range(1, self.latency):
            moved = Signal(name=f"valid_{stage}")
            m.d.sync += moved.eq(arrived)
            arrived = moved
        m.d.comb += [
            queue.i.valid.eq(arrived),
            queue.i.payload.format.eq(delay(m, block.format, self.latency - 1, name="format")),
            queue.i.payload.scale.eq(delay(m, scale.code, shape.element_latency, name="scale")),
        ]
        connect(m, queue.o, wiring.flipped(self.o))
        return m

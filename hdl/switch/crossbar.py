"""The multiplexers between inputs and outputs."""

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..core.checks import require_int, require_shape


class Crossbar(wiring.Component):
    """Gives each output the item of the input that is selected for it. Combinational.

    Nothing here decides or checks: `Matching` sees to it that no output is the target of two inputs
    at once and that `select` names the one whose target it is.

    Parameters
    ----------
    shape : of an item.
    inputs, outputs : how many, at least 2 each.

    Members
    -------
    i : an item of each input.
    i_target : for each input, the output that its item is for, one bit high, or 0 where there is
        none.
    select : for each output, the input whose item it has if any is for it.
    o : an item for each output.
    o_valid : which are there.

    Raises TypeError or ValueError for a parameter that is not so.
    """

    def __init__(self, *, shape: ShapeLike, inputs: int, outputs: int):
        self._shape = require_shape("Crossbar shape", shape)
        self._inputs = require_int("Crossbar inputs", inputs, low=2)
        self._outputs = require_int("Crossbar outputs", outputs, low=2)
        super().__init__(
            {
                "i": In(shape).array(inputs),
                "i_target": In(outputs).array(inputs),
                "select": In(range(inputs)).array(outputs),
                "o": Out(shape).array(outputs),
                "o_valid": Out(outputs),
            }
        )

    @property
    def shape(self) -> ShapeLike:
        """Shape of an item."""
        return self._shape

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return self._inputs

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return self._outputs

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for index, (select, output) in enumerate(zip(self.select, self.o, strict=True)):
            m.d.comb += self.o_valid[index].eq(Cat(target[index] for target in self.i_target).any())
            with m.Switch(select):
                for source, item in enumerate(self.i):
                    with m.Case(source) if source + 1 < self.inputs else m.Default():
                        m.d.comb += Value.cast(output).eq(Value.cast(item))
        return m

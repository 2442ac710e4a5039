"""The quantiser's blocks for any driver, and cocotb tests of its streams: bits and order under back-pressure."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles
from numpy.typing import NDArray

from golden.mx import quantize
from hdl.formats.code import FormatCode
from hdl.tensor.quantize import Quantizer
from hdl.tensor.quantize_shape import QuantizerShape, Rounding, ScaleRule

from ..beats import pack
from ..scoreboard import Scoreboard
from ..streams import StreamMonitor, StreamSink, StreamSource, bursts, chance, never, start

#: Parameters of the quantiser that these tests run on: a float and an integer, every rule, both roundings.
PARAMETERS: dict[str, Any] = {"formats": ("MXFP8_E4M3", "MXINT8")}
PAUSES = {"never": never, "chance": lambda: chance(0.4), "bursts": lambda: bursts(30, 50)}

#: Scale code of a block that is not quantised.
NAN_SCALE = 0xFF


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """Blocks with what is asked for each: all arrays have a row a block.

    bits:      uint32 (n, lanes), FP32 patterns
    formats:   names of `mtia.formats`
    rules:     names of the golden model's scale rules
    roundings: names of its roundings
    random:    uint16 (n, lanes)
    """

    bits: NDArray[np.uint32]
    formats: Sequence[str]
    rules: Sequence[str]
    roundings: Sequence[str]
    random: NDArray[np.uint16]

    @classmethod
    def asking(
        cls, bits: NDArray[np.uint32], fmt: str, rule: str, rounding: str, random: NDArray[np.uint16]
    ) -> "Blocks":
        """Blocks that all ask for the same."""
        count = len(bits)
        return cls(bits=bits, formats=[fmt] * count, rules=[rule] * count, roundings=[rounding] * count, random=random)

    @classmethod
    def mixed(cls, bits: NDArray[np.uint32], shape: QuantizerShape, generator: np.random.Generator) -> "Blocks":
        """Blocks that each ask for something the quantiser is built for."""
        roundings = ("rne", "stochastic") if shape.stochastic else ("rne",)
        return cls(
            bits=bits,
            formats=generator.choice(shape.formats, len(bits)).tolist(),
            rules=generator.choice(shape.scale_rules, len(bits)).tolist(),
            roundings=generator.choice(roundings, len(bits)).tolist(),
            random=generator.integers(0, 1 << 16, bits.shape, dtype=np.uint16),
        )

    def beats(self, shape: QuantizerShape) -> NDArray[np.uint32]:
        """Beats of the quantiser's input."""
        bits = self.bits
        fields = {
            "format": np.array([FormatCode[name].value for name in self.formats]),
            "scale_rule": np.array([ScaleRule[name.upper()].value for name in self.rules]),
            "values": {"mantissa": bits & 0x7FFFFF, "exponent": bits >> 23 & 0xFF, "sign": bits >> 31},
        }
        if shape.stochastic:
            fields["rounding"] = np.array([Rounding[name.upper()].value for name in self.roundings])
            fields["random"] = self.random
        return pack(shape.input_layout, fields)

    def expected(self, shape: QuantizerShape) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Scales (n,) and codes (n, lanes) as the golden model has them; NaN for what is not built."""
        scales = np.full(len(self.bits), NAN_SCALE, np.uint8)
        codes = np.zeros(self.bits.shape, np.uint8)
        wanted = np.array(list(zip(self.formats, self.rules, self.roundings, strict=True)))
        for fmt, rule, rounding in np.unique(wanted, axis=0):
            if fmt not in shape.formats or rule not in shape.scale_rules:
                continue
            rows = np.flatnonzero((wanted == (fmt, rule, rounding)).all(axis=1))
            result = quantize(
                self.bits[rows].view(np.float32),
                str(fmt),
                scale_rule=str(rule),
                rounding=str(rounding),
                random_bits=self.random[rows] if rounding == "stochastic" else None,
            )
            assert result.scales is not None
            scales[rows], codes[rows] = result.scales[:, 0], result.codes
        return scales, codes


def random_values(generator: np.random.Generator, count: int, lanes: int) -> NDArray[np.uint32]:
    """FP32 patterns (count, lanes): blocks of any magnitude, of values near and far from each other.

    One in eight has subnormals or zeros, one in 32 an infinity or a NaN, one in four mantissas of few bits, whose
    elements are ties.
    """
    top = generator.integers(0, 255, (count, 1))
    low = generator.random((count, 1)) < 1 / 8
    top = np.where(low, generator.integers(0, 24, (count, 1)), top)
    below = np.abs(generator.normal(0, 1, (count, lanes)) * generator.choice([0, 2, 8, 30], (count, 1))).astype(int)
    exponent = np.clip(top - below, 0, 254)
    mantissa = generator.integers(0, 1 << 23, (count, lanes))
    few = generator.integers(0, 1 << 9, (count, lanes)) << 14
    mantissa = (
        np.where(generator.random((count, 1)) < 1 / 4, few, mantissa) >> generator.integers(0, 24, (count, 1)) * low
    )
    special = (generator.random((count, 1)) < 1 / 32) & (generator.random((count, lanes)) < 1 / 8)
    exponent = np.where(special, 255, exponent)
    mantissa = np.where(special & (generator.random((count, lanes)) < 1 / 2), 0, mantissa)
    sign = generator.integers(0, 2, (count, lanes))
    return (sign << 31 | exponent << 23 | mantissa).astype(np.uint32)


class Bench:
    """Source, sink, monitors and scoreboard around a quantiser."""

    def __init__(self, dut: Any, *, source: str, sink: str, **options: Any):
        self.dut = dut
        self.shape = Quantizer(**PARAMETERS).shape
        inputs, outputs = self.shape.input_layout, self.shape.output_layout
        self.source = StreamSource(dut, "i", shape=inputs, pause=PAUSES[source]())
        self.sink = StreamSink(dut, "o", shape=outputs, pause=PAUSES[sink](), **options)
        self.monitors = [StreamMonitor(dut, "i", shape=inputs), StreamMonitor(dut, "o", shape=outputs)]
        self.board = Scoreboard("quantizer")

    async def run(self, count: int) -> None:
        """Quantise random blocks, each asking for something else, and compare every one."""
        generator = np.random.default_rng(random.getrandbits(64))
        blocks = Blocks.mixed(random_values(generator, count, self.shape.lanes), self.shape, generator)
        await start(self.dut)
        self.source.send(int.from_bytes(beat.tobytes(), "little") for beat in blocks.beats(self.shape))
        for fmt, scale, codes in zip(blocks.formats, *blocks.expected(self.shape), strict=True):
            self.board.expect([{"format": FormatCode[fmt], "scale": int(scale), "codes": codes.tolist()}])
        for _ in range(count):
            self.board.check(await self.sink.receive(1))
        await self.source.drain()
        self.board.finish()
        await ClockCycles(self.dut.clk, 20)
        assert len(self.sink) == 0
        assert [monitor.transfers for monitor in self.monitors] == [count, count]


@cocotb.test()
@cocotb.parametrize(source=list(PAUSES), sink=list(PAUSES))
async def keeps_bits_and_order(dut, source, sink):
    """Whatever the pauses of either stream."""
    bench = Bench(dut, source=source, sink=sink)
    await bench.run(200)
    if sink == "bursts" and source == "never":
        assert bench.monitors[0].pauses > 0  # it filled up


@cocotb.test()
async def offers_without_looking_at_ready(dut):
    """Ready flips between the edges and valid does not follow."""
    bench = Bench(dut, source="chance", sink="chance", probe=0.5)
    await bench.run(100)
    assert bench.monitors[1].pauses > 0


@cocotb.test()
async def offers_before_it_is_asked(dut):
    """A sink that waits for valid before it is ready gets everything."""
    await Bench(dut, source="never", sink="never", patient=True).run(100)

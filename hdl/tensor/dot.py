"""Dot products of one stationary row with the rows of a beat, group by group."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mtia.generations import EngineParameters

from ..core.arith import delay
from ..core.carry import Chains, multiply
from ..core.shared import Shared
from ..formats.float32 import Float32
from .dense import DenseSum
from .group_sum import GroupSum
from .shape import SliceShape, assign
from .to_float32 import ToFloat32


def group_latency(shape: SliceShape) -> int:
    """Cycles from a pair of decoded rows to their group sum in FP32."""
    return GroupSum.latency_of(shape) + ToFloat32.latency_of(significand=shape.has_nvfp4, deep=shape.parameters.deep)


def _to_float32(shape: SliceShape, width: int) -> ToFloat32:
    parameters = shape.parameters
    return ToFloat32(width=width, significand=shape.has_nvfp4, deep=parameters.deep, cells=parameters.cells)


def _scale(m: Module, platform: object, shape: SliceShape, group: wiring.Component, convert: ToFloat32) -> None:
    """Hand the product of both scales' significands to `convert` when the sum gets there."""
    if shape.has_nvfp4:
        product = Signal(8, reset_less=True)
        factors = [row.scale.significand for row in (group.stationary, group.streamed)]
        generic = shape.parameters.cells == "generic"
        m.d.sync += product.eq(
            factors[0] * factors[1] if generic else multiply(Chains(m, platform), {"significands": tuple(factors)})[0]
        )
        rest = GroupSum.latency_of(shape) - 1
        m.d.comb += convert.scale.eq(delay(m, product, rest, name="significand"))
        m.d.comb += convert.scaled.eq(delay(m, group.nvfp4, rest + 1, name="scaled"))


class GeneralGroup(wiring.Component):
    """One group of the general lanes, from decoded rows to FP32: ``RNE_fp32(group sum * scale_a * scale_b)``.

    docs/numerics.md, "Dot product", from "Group sum" to the first line of "Accumulate".

    Latency: `group_latency(shape)` cycles. Throughput: one group a cycle, no back-pressure.

    Parameters
    ----------
    shape : of the engine.

    Members
    -------
    stationary, streamed : decoded rows (`SliceShape.general_signature`).
    wide, nvfp4 : what the formats are, in the cycle of the rows (`nvfp4` only with NVFP4 among the
        engine's formats).
    result : the group's scaled sum, rounded once; NaN and infinities as docs/numerics.md,
        "Specials".
    """

    def __init__(self, *, shape: SliceShape):
        self.shape = shape
        row = In(shape.general_signature)
        ports = {"stationary": row, "streamed": row, "wide": In(1), "result": Out(Float32)}
        super().__init__(ports | ({"nvfp4": In(1)} if shape.has_nvfp4 else {}))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.sum = total = GroupSum(shape=self.shape)
        m.submodules.convert = convert = _to_float32(self.shape, self.shape.sum_width)
        m.d.comb += assign(total.stationary, self.stationary) + assign(total.streamed, self.streamed)
        m.d.comb += total.wide.eq(self.wide)
        for name in ("negative", "magnitude", "exponent", "nan", "pos_inf", "neg_inf"):
            m.d.comb += getattr(convert, name).eq(getattr(total, name))
        _scale(m, platform, self.shape, self, convert)
        m.d.comb += self.result.eq(convert.result)
        return m


class DenseGroup(wiring.Component):
    """One group of E2M1 elements, from decoded rows to FP32, in step with `GeneralGroup` and with the same bits.

    Latency: `group_latency(shape)` cycles, of which the shorter sum waits some. Throughput: one
    group a cycle, no back-pressure.

    Parameters
    ----------
    shape : of the engine.

    Members
    -------
    stationary, streamed : decoded rows (`SliceShape.dense_signature`).
    nvfp4 : the blocks' scales have significands, in the cycle of the rows (only with NVFP4 among
        the engine's formats).
    result : the group's scaled sum, rounded once.
    """

    def __init__(self, *, shape: SliceShape):
        self.shape = shape
        row = In(shape.dense_signature)
        ports = {"stationary": row, "streamed": row, "result": Out(Float32)}
        super().__init__(ports | ({"nvfp4": In(1)} if shape.has_nvfp4 else {}))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.sum = total = DenseSum(shape=self.shape)
        m.submodules.convert = convert = _to_float32(self.shape, len(total.magnitude))
        wait = GroupSum.latency_of(self.shape) - DenseSum.latency
        m.d.comb += assign(total.stationary, self.stationary) + assign(total.streamed, self.streamed)
        for name in ("negative", "magnitude", "exponent", "nan"):
            m.d.comb += getattr(convert, name).eq(delay(m, getattr(total, name), wait, name=name))
        _scale(m, platform, self.shape, self, convert)
        m.d.comb += self.result.eq(convert.result)
        return m


class DotProduct(wiring.Component):
    """Group sums of all slices and rows of a beat, scaled and rounded to FP32.

    Latency: `group_latency(shape)` cycles. Throughput: one beat a cycle, no back-pressure and no
    valid: every cycle's rows are multiplied.

    Parameters
    ----------
    parameters : of the engine.

    Members
    -------
    stationary : a decoded row, one `SliceShape.stationary_signature` a slice.
    streamed : a decoded beat, one `SliceShape.streamed_signature` a slice.
    wide : the formats are BF16, FP16 or TF32.
    nvfp4 : the blocks' scales have significands (only with NVFP4 among the formats).
    groups : FP32 for each row and slice; rows past the first only where the beat is dense.

    Raises ValueError as `SliceShape` does.
    """

    def __init__(self, *, parameters: EngineParameters):
        self._engine = parameters
        self.shape = shape = SliceShape(parameters)
        slices = parameters.slices
        ports = {
            "stationary": In(shape.stationary_signature).array(slices),
            "streamed": In(shape.streamed_signature).array(slices),
            "wide": In(1),
            "groups": Out(Float32).array(shape.rows, slices),
        }
        super().__init__(ports | ({"nvfp4": In(1)} if shape.has_nvfp4 else {}))

    @property
    def parameters(self) -> dict[str, EngineParameters]:
        """What the unit was built from."""
        return {"parameters": self._engine}

    @property
    def latency(self) -> int:
        """Cycles from a beat to its group sums in FP32."""
        return group_latency(self.shape)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for index in range(self._engine.slices):
            general = Shared(GeneralGroup(shape=self.shape))
            m.submodules[f"slice_{index}"] = general
            stationary, streamed = self.stationary[index], self.streamed[index]
            m.d.comb += assign(general.stationary, stationary.general) + assign(general.streamed, streamed.general)
            m.d.comb += [general.wide.eq(self.wide), self.groups[0][index].eq(general.result)]
            parts = [general]
            for row in range(1, self.shape.rows):
                dense = Shared(DenseGroup(shape=self.shape))
                m.submodules[f"slice_{index}_row_{row}"] = dense
                m.d.comb += assign(dense.stationary, stationary.dense) + assign(
                    dense.streamed, getattr(streamed, f"dense_{row}")
                )
                m.d.comb += self.groups[row][index].eq(dense.result)
                parts.append(dense)
            if self.shape.has_nvfp4:
                m.d.comb += [part.nvfp4.eq(self.nvfp4) for part in parts]
        return m

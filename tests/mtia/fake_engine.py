"""Stands in for the simulated engine where a test is about the command and not about the RTL."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from golden import tensor
from golden.mx import MXArray
from mtia.engine import EngineParameters


class FakeEngine:
    """Gives what the golden model gives, at the full rate of the lanes; flips bits where a test asks.

    flips: place of a result -> bits to flip there; runs: products so far
    """

    flips: dict[tuple[int, int], int] = {}
    runs = 0

    def __init__(self, parameters: EngineParameters, *, trace: bool = False) -> None:
        self.parameters = parameters

    def multiply(
        self, a: MXArray, b: MXArray, *, progress: Callable[[int, int], None]
    ) -> tuple[NDArray[np.float32], int]:
        """The product and the cycles, as `tb.tensor.gemm.GemmLane` gives them."""
        type(self).runs += 1
        result = tensor.matmul(a, b, epilogue=False)
        for place, flip in self.flips.items():
            result.view(np.uint32)[place] ^= flip
        progress(result.size, result.size)
        return result, math.ceil(result.size * a.shape[1] / self.parameters.mac_lanes(a.format, b.format))

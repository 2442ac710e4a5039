"""Number types of libraries that we did not write, for tests of every part of the project."""

from typing import Any

import ml_dtypes
import numpy as np

#: numpy's type of each float element of up to 16 bits that ml_dtypes or numpy itself has
ORACLES: dict[str, Any] = {
    "E5M2": ml_dtypes.float8_e5m2,
    "E4M3": ml_dtypes.float8_e4m3fn,
    "E3M2": ml_dtypes.float6_e3m2fn,
    "E2M3": ml_dtypes.float6_e2m3fn,
    "E2M1": ml_dtypes.float4_e2m1fn,
    "BF16": ml_dtypes.bfloat16,
    "FP16": np.float16,
}

"""The tensor engine: decode, exact dot products, FP32 accumulation, and the quantiser."""

"""A small engine for the benchmarks' own tests."""

from mtia.generations import EngineParameters

#: the engine of tests/tb/test_gemm.py, so that both use one model
SMALL = EngineParameters(units=2, slices=2, depth=8, dense_rows=2, formats=("MXFP8_E4M3", "MXFP4", "NVFP4"), mixed=True)

#: an engine that builds fast
TINY = EngineParameters(units=1, slices=1, depth=4, dense_rows=1, formats=("MXFP8_E4M3",), mixed=False)

// The writer of waves that the model was built for; one that does nothing where it was built without.

#pragma once

#include <cstdint>

#include "bench.h"

#if LANE_TRACE_FST
#include "verilated_fst_c.h"
using Wave = VerilatedFstC;
#elif LANE_TRACE_VCD
#include "verilated_vcd_c.h"
using Wave = VerilatedVcdC;
#else
struct Wave {
    void open(const char*) {}
    void dump(uint64_t) {}
    void close() {}
};
#endif

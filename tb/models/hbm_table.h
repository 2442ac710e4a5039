// Commands and rules of HBM by name, the parameters and options that configure them, what is told of a rule.

#pragma once

#include <cstdint>

#include "hbm_memory.h"

namespace hbm {

enum Command : int { kAct, kPre, kPreA, kRefPb, kRefAb, kRfmPb, kRd, kWr, kCommands };
inline const char* const kCommandNames[] = {"ACT", "PRE", "PREA", "REFPB", "REFAB", "RFMPB", "RD", "WR"};

// name, command before, command now; from OPEN on the rules are no distances
#define HBM_RULES(X)                                                                                      \
    X(kRcdRd, "RCDRD", "ACT", "RD") X(kRcdWr, "RCDWR", "ACT", "WR") X(kRas, "RAS", "ACT", "PRE")          \
    X(kRc, "RC", "ACT", "ACT") X(kRrdS, "RRDS", "ACT", "ACT") X(kRrdL, "RRDL", "ACT", "ACT")              \
    X(kFaw, "FAW", "ACT", "ACT") X(kRpAct, "RP", "PRE", "ACT") X(kRpRefPb, "RP", "PRE", "REFPB")          \
    X(kRpRfmPb, "RP", "PRE", "RFMPB") X(kRpRefAb, "RP", "PRE", "REFAB") X(kRtp, "RTP", "RD", "PRE")       \
    X(kWr_, "WR", "WR", "PRE") X(kPpd, "PPD", "PRE", "PRE")                                               \
    X(kCcdSRd, "CCDS", "RD", "RD") X(kCcdLRd, "CCDL", "RD", "RD") X(kCcdRRd, "CCDR", "RD", "RD")          \
    X(kCcdSWr, "CCDS", "WR", "WR") X(kCcdLWr, "CCDL", "WR", "WR") X(kCcdRWr, "CCDR", "WR", "WR")          \
    X(kRtw, "RTW", "RD", "WR") X(kWtrS, "WTRS", "WR", "RD") X(kWtrL, "WTRL", "WR", "RD")                  \
    X(kRfcPbAct, "RFCPB", "REFPB", "ACT") X(kRfcPbRefPb, "RFCPB", "REFPB", "REFPB")                       \
    X(kRfcPbRfmPb, "RFCPB", "REFPB", "RFMPB") X(kRfcPbRefAb, "RFCPB", "REFPB", "REFAB")                   \
    X(kRfmAct, "RFM", "RFMPB", "ACT") X(kRfmRefPb, "RFM", "RFMPB", "REFPB")                               \
    X(kRfmRfmPb, "RFM", "RFMPB", "RFMPB") X(kRfmRefAb, "RFM", "RFMPB", "REFAB")                           \
    X(kRrefDRef, "RREFD", "REFPB", "REFPB") X(kRrefDAct, "RREFD", "REFPB", "ACT")                         \
    X(kRrdSRef, "RRDS", "ACT", "REFPB") X(kRrdLRef, "RRDL", "ACT", "REFPB") X(kRcRef, "RC", "ACT", "REFPB") \
    X(kRcRefAb, "RC", "ACT", "REFAB") X(kRfcAb, "RFCAB", "REFAB", "any")                                  \
    X(kOpen, "OPEN", "", "") X(kClosed, "CLOSED", "", "") X(kRefreshOpen, "REFRESH", "", "")              \
    X(kRange, "RANGE", "", "") X(kRowBus, "ROWBUS", "", "")                                               \
    X(kOwed, "REFI", "", "") X(kAhead, "AHEAD", "", "") X(kRaa, "RAAMMT", "", "")

enum Rule : int {
#define HBM_RULE(id, name, before, now) id,
    HBM_RULES(HBM_RULE)
#undef HBM_RULE
        kRules
};
struct RuleText {
    const char *name, *before, *now;
};
inline const RuleText kRuleTexts[] = {
#define HBM_RULE(id, name, before, now) {name, before, now},
    HBM_RULES(HBM_RULE)
#undef HBM_RULE
};

struct Parameters {  // in the order of the table that configures the device
    int64_t CL, CWL, BL, RCDRD, RCDWR, RP, RAS, RC, RRDS, RRDL, FAW, CCDS, CCDL, CCDR, WTRS, WTRL, RTP, WR, RTW, RFCAB,
        RFCPB, RREFD, PPD, REFI, RFM;
};

struct Options : Shape {
    int64_t act_bus_half_ck, row_bus_half_ck;  // that an ACT, and another row command, holds the row bus
    int64_t faw_per_sid, raaimt, raammt, postpone, refresh;
};

struct Violation {
    int64_t ck, pc, command, sid, bank_group, bank, row, column, rule, distance, minimum;
};

struct RuleCount {
    uint64_t tried = 0, at_minimum = 0, broken = 0;
};

}  // namespace hbm

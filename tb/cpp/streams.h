// One stream each: a queue between Python and the model, a handshake a cycle, and the pauses in between.

#pragma once

#include <vector>

#include "bench.h"

namespace {

enum Status : int { kDone = 0, kSlice = 1, kStalled = 2, kMaxCycles = 3, kWithdrawn = 4, kUnstable = 5, kFailed = 6 };

struct Random {  // xorshift64*
    uint64_t state = 1;
    void seed(uint64_t value) {  // splitmix64, so that neighbouring seeds share nothing
        value += 0x9e3779b97f4a7c15ULL;
        value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
        value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
        state = (value ^ (value >> 31)) | 1;
    }
    uint32_t next() {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return static_cast<uint32_t>((state * 0x2545f4914f6cdd1dULL) >> 32);
    }
};

struct Stream {  // what Python asks of any stream, input or output
    std::vector<uint32_t> words;  // input: beats not yet taken; output: beats not yet pulled
    size_t first = 0;             // index of the first such word
    std::vector<uint64_t> not_before;  // empty, or for each beat in `words` the first cycle it may be offered in
    std::vector<uint64_t> cycles;
    uint64_t transfers = 0;
    uint32_t pause = 0;  // chance of a pause in a cycle, in units of 2**-32
    Random random;

    size_t waiting() const { return words.size() - first; }
    void transferred(uint64_t cycle, bool record) {
        ++transfers;
        if (record) cycles.push_back(cycle);
    }
};

template <class P> struct Source : Stream {  // an input of the design
    bool offered = false;

    template <bool kPauses> void drive(Vtop& model, uint64_t cycle) {
        if (offered) return;
        const bool ready_to_offer = first != words.size() && !early(cycle);
        if (ready_to_offer && !(kPauses && random.next() < pause)) {
            store(P::payload(model), &words[first]);
            P::set_valid(model, true);
            offered = true;
            return;
        }
        P::set_valid(model, false);
        if (kPauses && pause) {  // a payload without valid means nothing: make its use visible
            uint32_t junk[P::words];
            for (uint32_t& word : junk) word = random.next();
            junk[P::words - 1] &= P::top_mask;
            store(P::payload(model), junk);
        }
    }
    bool sample(Vtop& model, uint64_t cycle, bool record) {
        if (!offered || !P::ready(model)) return false;
        offered = false;
        first += P::words;
        if (first == words.size()) {
            words.clear();
            not_before.clear();
            first = 0;
        }
        transferred(cycle, record);
        return true;
    }
    bool early(uint64_t cycle) const {  // whether the next beat may not be offered yet
        return !not_before.empty() && first != words.size() && not_before[first / P::words] > cycle;
    }
    void idle(Vtop& model) {
        if (!offered) P::set_valid(model, false);
    }
    void reset() {
        offered = false;
        not_before.clear();
        words.clear();
        cycles.clear();
        first = transfers = 0;
    }
    bool valid(Vtop&) const { return offered; }
    bool ready(Vtop& model) const { return P::ready(model); }
};

template <class P> struct Sink : Stream {  // an output of the design
    bool held = false;  // valid without ready in the cycle before
    bool accepting = true;
    uint32_t before[P::words];

    template <bool kPauses> void drive(Vtop& model) {
        accepting = !(kPauses && P::has_ready && random.next() < pause);
        P::set_ready(model, accepting);
    }
    template <bool kPauses> bool sample(Vtop& model, uint64_t cycle, bool record, Status& status) {
        const bool valid = P::valid(model);
        if constexpr (kPauses) {
            if (held && !valid) status = kWithdrawn;
            if (valid && (held || !accepting)) {
                uint32_t now[P::words];
                load(P::payload(model), now);
                if (held && std::memcmp(now, before, sizeof now) != 0) status = kUnstable;
                std::memcpy(before, now, sizeof now);
            }
            held = valid && !accepting;
        }
        if (!valid || !accepting) return false;
        uint32_t beat[P::words];
        load(P::payload(model), beat);
        words.insert(words.end(), beat, beat + P::words);
        transferred(cycle, record);
        return true;
    }
    void idle(Vtop& model) { P::set_ready(model, false); }
    void reset() {
        held = false;
        words.clear();
        cycles.clear();
        first = transfers = 0;
    }
    bool valid(Vtop& model) const { return P::valid(model); }
    bool ready(Vtop&) const { return accepting; }
};

}  // namespace

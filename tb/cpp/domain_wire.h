// One direction of a cable: frames arrive after a fixed latency, some with a flipped bit.

#pragma once

#include <cstdint>
#include <vector>

namespace {

struct Wire {
    uint64_t errors = 0;

    // `rate`: chance of an error in a frame, in units of 2^-32
    void configure(uint64_t latency, uint64_t rate, uint64_t seed) {
        ring_.resize(latency ? latency : 1);
        rate_ = rate;
        random_.seed(seed);
    }
#ifdef DOMAIN_WIRES
    template <class To> void drive(Vtop& m, uint64_t cycle) {
        Slot& slot = ring_[cycle % ring_.size()];
        if (slot.valid) store(To::frame(m), slot.words);
        To::valid(m) = slot.valid;
    }
    template <class From> void sample(Vtop& m, uint64_t cycle) {
        Slot& slot = ring_[cycle % ring_.size()];
        slot.valid = From::valid(m);
        if (!slot.valid) return;
        load(From::frame(m), slot.words);
        if (rate_ && random_.next() < rate_) {
            const uint32_t bit = random_.next() % From::width;
            slot.words[bit / 32] ^= 1u << (bit % 32);
            ++errors;
        }
    }
#endif

  private:
    struct Slot {
        bool valid = false;
        uint32_t words[20] = {};
    };
    std::vector<Slot> ring_{1};
    uint64_t rate_ = 0;
    Random random_;
};

#ifdef DOMAIN_WIRES
inline void wires_drive(Vtop& m, Wire& up, Wire& down, uint64_t cycle) {
    up.drive<FarIn>(m, cycle);
    down.drive<NearIn>(m, cycle);
}
inline void wires_sample(Vtop& m, Wire& up, Wire& down, uint64_t cycle) {
    up.sample<NearOut>(m, cycle);
    down.sample<FarOut>(m, cycle);
}
inline void wires_idle(Vtop& m) {
    FarIn::valid(m) = 0;
    NearIn::valid(m) = 0;
}
#else
inline void wires_drive(Vtop&, Wire&, Wire&, uint64_t) {}
inline void wires_sample(Vtop&, Wire&, Wire&, uint64_t) {}
inline void wires_idle(Vtop&) {}
#endif

}  // namespace

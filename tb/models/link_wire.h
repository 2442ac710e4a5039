// The wires of a link: each direction delays frames and, as it is told, damages, loses and repeats them.
//
// What goes wrong with a frame is decided as it enters. A repeated frame comes again up to 8 cycles later, in place of
// what was sent then. See tb/models/link_wire.py for what Python may ask.

#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

template <class P> class LinkWire {
  public:
    enum Operation : int { kConfigure, kHit, kCounts, kRecord, kFrames };

    void reset(Vtop& m) {
        for (Way& way : ways_) way.reset();
        give<typename P::b_in_valid, typename P::b_in>(m, Slot{});
        give<typename P::a_in_valid, typename P::a_in>(m, Slot{});
        now_ = 0;
    }

    void sample(Vtop& m, uint64_t cycle) {
        now_ = cycle;
        take<typename P::a_out_valid, typename P::a_out>(m, ways_[0]);
        take<typename P::b_out_valid, typename P::b_out>(m, ways_[1]);
    }

    void drive(Vtop& m) {
        give<typename P::b_in_valid, typename P::b_in>(m, ways_[0].slot(now_ + 1));
        give<typename P::a_in_valid, typename P::a_in>(m, ways_[1].slot(now_ + 1));
    }

    void call(int operation, const uint8_t* data, size_t size, std::vector<uint8_t>& answer) {
        std::array<uint64_t, 1 + kSettings> numbers{};
        if (size > sizeof numbers) throw std::runtime_error("wire is asked with too much");
        std::memcpy(numbers.data(), data, size);
        Way& way = ways_[numbers[0] & 1];
        switch (operation) {
            case kConfigure: way.configure(numbers.data() + 1); break;
            case kHit: way.hits[numbers[1]] = static_cast<Effect>(numbers[2]); break;
            case kCounts: append(answer, way.counts, sizeof way.counts); break;
            case kRecord: way.records = numbers[1]; break;
            case kFrames:
                append(answer, way.log.data(), way.log.size() * sizeof(Entry));
                way.log.clear();
                break;
            default: throw std::runtime_error("wire has no operation " + std::to_string(operation));
        }
    }

  private:
    enum Setting { kLatency, kDamage, kLose, kRepeat, kLoseControl, kBurst, kBurstLength, kStuck, kSeed, kSettings };
    enum Effect : uint64_t { kNone, kDamaged, kLost, kRepeated, kEffects };
    static constexpr int kBits = P::a_out::width, kWords = (kBits + 31) / 32;
    static constexpr size_t kMost = 512;  // cycles of latency

    struct Slot {
        bool valid = false;
        std::array<uint32_t, kWords> words{};
    };
    struct Entry {
        uint64_t cycle, effect;
        std::array<uint32_t, (kWords + 1) / 2 * 2> words;
    };

    struct Way {
        std::vector<Slot> ring = std::vector<Slot>(kMost);
        std::map<uint64_t, Effect> hits;
        std::vector<Entry> log;
        Slot again;
        uint64_t again_at = 0, latency = 1, burst_left = 0, burst_length = 1, state = 1, frames = 0;
        uint64_t counts[kEffects] = {};
        uint64_t damage = 0, lose = 0, repeat = 0, lose_control = 0, burst = 0;
        bool stuck = false, records = false;

        Slot& slot(uint64_t cycle) { return ring[cycle % kMost]; }

        void reset() {
            for (Slot& each : ring) each.valid = false;
            std::fill(std::begin(counts), std::end(counts), 0);
            hits.clear();
            log.clear();
            again.valid = false;
            frames = burst_left = 0;
        }

        void configure(const uint64_t* setting) {
            if (setting[kLatency] < 1 || setting[kLatency] >= kMost) {
                throw std::runtime_error("latency of a wire must be in 1 to " + std::to_string(kMost - 1));
            }
            latency = setting[kLatency];
            damage = setting[kDamage];
            lose = setting[kLose];
            repeat = setting[kRepeat];
            lose_control = setting[kLoseControl];
            burst = setting[kBurst];
            burst_length = setting[kBurstLength];
            stuck = setting[kStuck];
            state = setting[kSeed] * 2 + 1;
        }

        uint32_t random() {  // xorshift64*
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            return (state * 0x2545F4914F6CDD1Dull) >> 32;
        }
        bool chance(uint64_t threshold) { return threshold && random() < threshold; }

        Effect effect(bool is_control) {
            if (auto found = hits.find(frames - 1); found != hits.end()) return found->second;
            if (stuck) return kLost;
            if (!burst_left && chance(burst)) burst_left = 1 + random() % burst_length;
            if (burst_left) return --burst_left, random() & 1 ? kDamaged : kLost;
            if (is_control && chance(lose_control)) return kLost;
            if (chance(damage)) return kDamaged;
            if (chance(lose)) return kLost;
            return chance(repeat) ? kRepeated : kNone;
        }

        void flip(Slot& frame) {  // up to 8 bits, at least one
            const int bit = random() % kBits;
            frame.words[bit / 32] ^= 1u << bit % 32;
            for (int left = random() % 8; left; --left) {
                const int other = random() % kBits;
                if (other != bit) frame.words[other / 32] ^= 1u << other % 32;
            }
        }
    };

    template <class Valid, class Port> void take(Vtop& m, Way& way) {
        Slot& slot = way.slot(now_ + way.latency);
        slot.valid = Valid::value(m);
        if (slot.valid) {
            load(Port::value(m), slot.words.data());
            ++way.frames;
            const Effect effect = way.effect(Port::kind::get(m) != 0);
            ++way.counts[effect];
            if (way.records) log(way, effect, slot);
            if (effect == kLost) slot.valid = false;
            if (effect == kDamaged) way.flip(slot);
            if (effect == kRepeated) {
                way.again = slot;
                way.again_at = now_ + 1 + way.random() % 8;
                return;
            }
        }
        if (way.again.valid && way.again_at == now_) {
            slot = way.again;
            way.again.valid = false;
        }
    }

    void log(Way& way, Effect effect, const Slot& slot) {
        Entry entry{now_, effect, {}};
        std::copy(slot.words.begin(), slot.words.end(), entry.words.begin());
        way.log.push_back(entry);
    }

    template <class Valid, class Port> static void give(Vtop& m, const Slot& slot) {
        Valid::value(m) = slot.valid;
        if (slot.valid) store(Port::value(m), slot.words.data());
    }

    static void append(std::vector<uint8_t>& answer, const void* data, size_t size) {
        const auto* bytes = static_cast<const uint8_t*>(data);
        answer.insert(answer.end(), bytes, bytes + size);
    }

    Way ways_[2];
    uint64_t now_ = 0;
};

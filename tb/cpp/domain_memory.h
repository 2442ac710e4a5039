// The memory of one node: reads answered in order after a fixed latency, writes at once.
//
// A write is visible to every read that is taken later, and to one that is taken in the same cycle.

#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct Memory {
    std::vector<uint8_t> bytes;
    uint64_t latency = 1;      // cycles from a request to its data
    uint64_t first_write = 0;  // cycle of the first write of the network since it was last cleared; 0: none
    uint64_t last_write = 0;   // and of the last

    explicit Memory(size_t size) : bytes(size) {}

    void reset(Vtop& m) {
        read_.clear(m);
        sum_.clear(m);
        ready(m);
    }
    void drive(Vtop& m, uint64_t cycle) {
        read_.drive(m, cycle);
        sum_.drive(m, cycle);
        ready(m);
    }
    bool sample(Vtop& m, uint64_t cycle) {
        const bool landed = write<WritePort>(m);
        if (landed) {
            if (!first_write) first_write = cycle;
            last_write = cycle;
        }
        bool active = landed | write<SumWritePort>(m);
        active |= read_.sample(m, *this, cycle) | sum_.sample(m, *this, cycle);
        return active;
    }
    const uint8_t* at(uint64_t address, size_t size) const {
        if (address + size > bytes.size()) throw std::runtime_error("read past the memory at " + std::to_string(address));
        return &bytes[address];
    }

  private:
    template <class Ask, class Data> struct Reads {
        struct Line {
            uint64_t due;
            uint32_t words[Data::words];
        };
        std::deque<Line> lines;
        bool offered = false;

        void clear(Vtop& m) {
            lines.clear();
            offered = false;
            Data::set_valid(m, false);
        }
        void drive(Vtop& m, uint64_t cycle) {
            if (offered) return;
            offered = !lines.empty() && lines.front().due <= cycle;
            if (offered) store(Data::payload(m), lines.front().words);
            Data::set_valid(m, offered);
        }
        bool sample(Vtop& m, const Memory& memory, uint64_t cycle) {
            bool active = false;
            if (offered && Data::ready(m)) {
                lines.pop_front();
                offered = false;
                active = true;
            }
            if (Ask::valid(m)) {
                uint32_t ask[Ask::words];
                load(Ask::payload(m), ask);
                const uint64_t address = ask[0] | static_cast<uint64_t>(ask[1] & 0xffff) << 32;
                const uint8_t* from = memory.at(address, sizeof Line::words);
                lines.emplace_back();
                lines.back().due = cycle + memory.latency;
                std::memcpy(lines.back().words, from, sizeof Line::words);
                active = true;
            }
            return active;
        }
    };
    Reads<ReadPort, ReadDataPort> read_;
    Reads<SumReadPort, SumDataPort> sum_;

    static void ready(Vtop& m) {
        ReadPort::set_ready(m, true);
        SumReadPort::set_ready(m, true);
        WritePort::set_ready(m, true);
        SumWritePort::set_ready(m, true);
    }
    template <class Port> bool write(Vtop& m) {
        if (!Port::valid(m)) return false;
        // {address 48, data 8 n, enable n}: all of whole bytes
        constexpr size_t size = (Port::words * 4 - 6) * 8 / 9 / 64 * 64;
        uint32_t words[Port::words];
        load(Port::payload(m), words);
        const auto* raw = reinterpret_cast<const uint8_t*>(words);
        uint64_t address = 0;
        std::memcpy(&address, raw, 6);
        const uint8_t* data = raw + 6;
        const uint8_t* enable = data + size;
        for (size_t block = 0; block < size; block += 8) {
            const uint8_t chosen = enable[block / 8];
            if (chosen == 0xff && address + block + 8 <= bytes.size()) {  // as nearly all are
                std::memcpy(&bytes[address + block], data + block, 8);
                continue;
            }
            for (size_t index = block; chosen && index < block + 8; ++index) {
                if (!(chosen >> (index % 8) & 1)) continue;
                if (address + index >= bytes.size()) {
                    throw std::runtime_error("write past the memory at " + std::to_string(address + index));
                }
                bytes[address + index] = data[index];
            }
        }
        return true;
    }
};

}  // namespace

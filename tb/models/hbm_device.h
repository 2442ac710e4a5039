// An HBM device behind the command slots of one channel: checks every command, keeps the data, returns reads in time.
//
// A cycle is 2 CK. ACT and the column command of pseudo-channel 0 come at its first CK, the other row command and the
// column command of pseudo-channel 1 at its second. See tb/models/hbm.py for what Python may ask.

#pragma once

#include <cstring>
#include <stdexcept>
#include <string>

#include "hbm_report.h"
#include "hbm_rules.h"

template <class P> class HbmDevice {
  public:
    enum Operation : int {
        kConfigure,
        kRead,
        kWrite,
        kInject,
        kClearFaults,
        kTrace,
        kStrict,
        kCounts,
        kViolations,
        kRuleNames,
        kWritten
    };

    void reset(Vtop& m) {
        for (auto& pc : pcs_) pc.reset();
        for (auto& slot : ring_) slot = {};
        std::memset(commands_, 0, sizeof commands_);
        log_.clear();
        trace_.restart();
        cycle_ = -1;
        drive(m);
    }

    void sample(Vtop& m, uint64_t cycle) {
        cycle_ = cycle;
        const int64_t ck = 2 * static_cast<int64_t>(cycle);
        using Activate = typename P::activate;
        using Maintain = typename P::maintain;
        const bool acts = Activate::valid::get(m);
        if (acts) {
            hbm::Place at = bank<Activate>(m, Activate::pc::get(m));
            at.row = Activate::row::get(m);
            issue(hbm::kAct, at, ck);
        }
        column<Side0>(m, ck);
        for (auto& pc : pcs_) pc.advance(ck);
        if (const uint64_t operation = Maintain::op::get(m)) {
            if (operation > 5) throw std::runtime_error("maintain has no command " + std::to_string(operation));
            const hbm::Place at = bank<Maintain>(m, Maintain::pc::get(m));
            const auto command = static_cast<hbm::Command>(operation);  // PRE = 1 to RFMPB = 5, as in hbm::Command
            if (acts) pcs_[at.pc].row_bus(command, at, ck + 1);
            issue(command, at, ck + 1);
        }
        column<Side1>(m, ck + 1);
        for (auto& pc : pcs_) pc.advance(ck + 1);
    }

    void drive(Vtop& m) {
        if (ring_.empty()) return;
        auto& slot = ring_[(cycle_ + 1) % ring_.size()];
        give<Side0>(m, slot[0]);
        give<Side1>(m, slot[1]);
    }

    void call(int operation, const uint8_t* data, size_t size, std::vector<uint8_t>& answer) {
        const auto* numbers = reinterpret_cast<const int64_t*>(data);
        switch (operation) {
            case kConfigure: configure(numbers, size); break;
            case kRead: read(numbers, size / 8, answer); break;
            case kWrite: write(data, size / kAtomBytes); break;
            case kInject: inject(numbers); break;
            case kClearFaults: memory_.clear_faults(); break;
            case kTrace: size ? trace_.open(std::string(data, data + size)) : trace_.close(); break;
            case kStrict: strict_ = data[0]; break;
            case kCounts: counts(answer); break;
            case kViolations:
                for (const auto& broken : log_) append(answer, broken);
                log_.clear();
                break;
            case kRuleNames:
                for (const auto& rule : hbm::kRuleTexts) {
                    const std::string text = std::string(rule.name) + ',' + rule.before + ',' + rule.now + '\n';
                    answer.insert(answer.end(), text.begin(), text.end());
                }
                break;
            case kWritten: memory_.each_written([&](uint64_t key) { append(answer, key); }); break;
            default: throw std::runtime_error("HBM device has no operation " + std::to_string(operation));
        }
    }

  private:
    static constexpr size_t kLogLimit = 100000;  // violations that are kept until they are asked for
    static constexpr size_t kAtomBytes = 8 + 32 + 8;  // key, data, check bits

    struct Side0 {
        static constexpr int pc = 0;
        using Column = typename P::column_0;
        using WriteData = typename P::write_data_0;
        using WriteCheck = typename P::write_check_0;
        using ReadValid = typename P::read_valid_0;
        using ReadData = typename P::read_data_0;
        using ReadCheck = typename P::read_check_0;
    };
    struct Side1 {
        static constexpr int pc = 1;
        using Column = typename P::column_1;
        using WriteData = typename P::write_data_1;
        using WriteCheck = typename P::write_check_1;
        using ReadValid = typename P::read_valid_1;
        using ReadData = typename P::read_data_1;
        using ReadCheck = typename P::read_check_1;
    };
    struct Returned {
        bool valid = false;
        hbm::Atom atom{};
    };

    template <class Slot> static hbm::Place bank(Vtop& m, uint64_t pc) {
        hbm::Place at;
        at.pc = pc;
        at.sid = Slot::sid::get(m);
        at.bank_group = Slot::bank_group::get(m);
        at.bank = Slot::bank::get(m);
        return at;
    }

    bool issue(hbm::Command command, const hbm::Place& at, int64_t ck) {
        trace_.line(ck, channel_, command, at);
        ++commands_[at.pc][command];
        return pcs_[at.pc].command(command, at, ck);
    }

    template <class Side> void column(Vtop& m, int64_t ck) {
        using Column = typename Side::Column;
        const uint64_t operation = Column::op::get(m);
        if (!operation) return;
        if (operation > 2) throw std::runtime_error("column slot has no command " + std::to_string(operation));
        hbm::Place at = bank<Column>(m, Side::pc);
        at.column = Column::column::get(m);
        const int64_t row = pcs_[Side::pc].open_row(at);
        const bool write = operation == 2;
        issue(write ? hbm::kWr : hbm::kRd, at, ck);
        at.row = row;
        if (write) {
            hbm::Atom atom;
            uint32_t check[1];
            load(Side::WriteData::value(m), atom.data.data());
            load(Side::WriteCheck::value(m), check);
            atom.check = check[0];
            if (row >= 0) memory_.write(at.key(channel_), atom, ck);
            return;
        }
        Returned& slot = ring_[(cycle_ + ring_.size() - 1) % ring_.size()][Side::pc];
        slot.valid = true;
        slot.atom = row >= 0 ? memory_.read(at.key(channel_), ck) : hbm::Atom{{}, 0x3ff};  // not a codeword
    }

    template <class Side> static void give(Vtop& m, Returned& slot) {
        const uint32_t valid = slot.valid, was = valid_of<Side>(m);
        if (!valid && !was) return;
        if (!valid) {  // without valid the data means nothing: make its use visible
            for (uint32_t& word : slot.atom.data) word = ~word;
            slot.atom.check ^= 0x3ff;
        }
        const uint32_t check = slot.atom.check;
        store(Side::ReadValid::value(m), &valid);
        store(Side::ReadData::value(m), slot.atom.data.data());
        store(Side::ReadCheck::value(m), &check);
        slot.valid = false;
    }
    template <class Side> static uint32_t valid_of(Vtop& m) {
        uint32_t valid;
        load(Side::ReadValid::value(m), &valid);
        return valid;
    }

    void configure(const int64_t* numbers, size_t size) {
        hbm::Parameters timing;
        hbm::Options options;
        const size_t expected = sizeof timing + sizeof options + (2 + 256) * sizeof(int64_t);
        if (size != expected) throw std::runtime_error("HBM device must be configured with another table");
        std::memcpy(&timing, numbers, sizeof timing);
        numbers += sizeof timing / sizeof(int64_t);
        std::memcpy(&options, numbers, sizeof options);
        numbers += sizeof options / sizeof(int64_t);
        channel_ = *numbers++;
        strict_ = *numbers++;
        memory_.configure(options, numbers);
        for (int pc = 0; pc < 2; ++pc) {
            pcs_[pc].configure(timing, options, pc, [this](const hbm::Violation& broken) { report(broken); });
        }
        ring_.assign((timing.CL + timing.BL + 1) / 2 + 1, {});
    }

    void report(const hbm::Violation& broken) {
        if (log_.size() < kLogLimit) log_.push_back(broken);
        if (strict_) throw std::runtime_error(hbm::describe(broken, channel_));
    }

    template <class T> static void append(std::vector<uint8_t>& answer, const T& value) {
        const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
        answer.insert(answer.end(), bytes, bytes + sizeof value);
    }
    static void append(std::vector<uint8_t>& answer, uint64_t key, const hbm::Atom& atom) {
        append(answer, key);
        append(answer, atom.data);
        append(answer, static_cast<uint64_t>(atom.check));
    }

    void read(const int64_t* keys, size_t count, std::vector<uint8_t>& answer) {
        for (size_t i = 0; i < count; ++i) append(answer, keys[i], memory_.stored(keys[i]));
    }

    void write(const uint8_t* data, size_t count) {  // check bits of all ones and more: those of the data
        for (size_t i = 0; i < count; ++i, data += kAtomBytes) {
            uint64_t key, check;
            hbm::Atom atom;
            std::memcpy(&key, data, 8);
            std::memcpy(atom.data.data(), data + 8, 32);
            std::memcpy(&check, data + 40, 8);
            atom.check = check < 1024 ? check : memory_.check_bits(atom.data);
            memory_.store(key, atom);
        }
    }

    void inject(const int64_t* numbers) {
        memory_.inject(hbm::Fault{static_cast<uint64_t>(numbers[0]), static_cast<uint64_t>(numbers[1]),
                                  static_cast<uint64_t>(numbers[2]), numbers[3], numbers[4], numbers[5] != 0});
    }

    void counts(std::vector<uint8_t>& answer) const {  // commands of both, then the rules of both
        append(answer, commands_);
        for (const auto& pc : pcs_) append(answer, pc.counts());
    }

    int64_t channel_ = 0, cycle_ = -1;
    bool strict_ = true;
    hbm::PseudoChannel pcs_[2];
    hbm::Memory memory_;
    hbm::CommandTrace trace_;
    std::vector<hbm::Violation> log_;
    std::vector<std::array<Returned, 2>> ring_;
    uint64_t commands_[2][hbm::kCommands] = {};
};

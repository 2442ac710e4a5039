// What an HBM device says: its commands as CSV, a violation as a line.

#pragma once

#include <charconv>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "hbm_table.h"

namespace hbm {

class CommandTrace {  // CSV, a line a command
  public:
    ~CommandTrace() { close(); }

    void open(const std::string& path) {
        close();
        file_ = std::fopen(path.c_str(), "wb");
        if (!file_) throw std::runtime_error("cannot write the command trace " + path);
        std::setvbuf(file_, nullptr, _IOFBF, 1 << 20);
        header();
    }
    void close() {
        if (file_ && std::fclose(file_) != 0) std::fputs("the command trace is not complete\n", stderr);
        file_ = nullptr;
    }
    void restart() {
        if (!file_) return;
        std::rewind(file_);
        header();
    }
    void line(int64_t ck, int64_t channel, Command command, const Place& at) {
        if (!file_) return;
        const bool whole = command == kPreA || command == kRefAb, column = command == kRd || command == kWr;
        char text[160], *end = text;
        auto number = [&](bool has, int64_t value) {
            if (has) end = std::to_chars(end, text + sizeof text, value).ptr;
            *end++ = ',';
        };
        number(true, ck);
        number(true, channel);
        number(true, at.pc);
        for (const char* letter = kCommandNames[command]; *letter; ++letter) *end++ = *letter;
        *end++ = ',';
        number(!whole, at.sid);
        number(!whole, at.bank_group);
        number(!whole, at.bank);
        number(command == kAct, at.row);
        number(column, at.column);
        end[-1] = '\n';
        std::fwrite(text, 1, end - text, file_);
    }

  private:
    void header() { std::fputs("ck,channel,pc,command,sid,bank_group,bank,row,column\n", file_); }
    FILE* file_ = nullptr;
};

inline std::string describe(const Violation& broken, int64_t channel) {
    auto number = [](int64_t value) { return std::to_string(value); };
    const RuleText& rule = kRuleTexts[broken.rule];
    std::string text = "ck " + number(broken.ck) + " channel " + number(channel) + " pc " + number(broken.pc) + ": ";
    if (broken.command < kCommands) text += std::string(kCommandNames[broken.command]) + " of ";
    text += "sid " + number(broken.sid) + " bank_group " + number(broken.bank_group) + " bank " + number(broken.bank);
    if (broken.command == kAct) text += " row " + number(broken.row);
    if (broken.command == kRd || broken.command == kWr) text += " column " + number(broken.column);
    text += std::string(" breaks ") + rule.name;
    switch (broken.rule) {
        case kOpen:
        case kRefreshOpen: return text + ": the bank has an open row";
        case kClosed: return text + ": the bank has no open row";
        case kRange: return text + ": there is no such place";
        case kRowBus: return text + ": the ACT of the cycle still holds the row bus";
        case kOwed: return text + ": owed " + number(broken.distance) + " refreshes, at most " + number(broken.minimum);
        case kAhead: return text + ": " + number(broken.distance) + " refreshes ahead, at most " + number(broken.minimum);
        case kRaa: return text + ": " + number(broken.distance) + " activations, at most " + number(broken.minimum);
        default:
            return text + " (" + rule.before + " to " + rule.now + "): " + number(broken.distance) +
                   " CK apart, at least " + number(broken.minimum);
    }
}

}  // namespace hbm

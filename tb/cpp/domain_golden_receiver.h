// What a golden node receives: packets of flits, checked against its windows, and what arrivals leave behind.
//
// The rules are those of golden/packets.py and golden/message_node.py.

#pragma once

#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "domain_golden_tables.h"
#include "domain_memory.h"

namespace {

namespace golden {

class Receiver {
  public:
    uint64_t refused = 0;

    Receiver(Memory& memory, const Tables& tables) : memory_(memory), tables_(tables) {}

    // A flit of a channel. With the last one of a packet: its header, and the answer to it, if there is one, in
    // `answer`, whose `op` is READY if there is none.
    bool take(const Flit& flit, int channel, uint64_t cycle, Header& header, Header& answer) {
        Packet& packet = open_[channel];
        if (flit.head()) {
            packet.header = unpack(header::kLayout, flit.words, kFlitBytes / 4);
            packet.payload.assign(flit.bytes() + kHeaderBytes, flit.bytes() + kFlitBytes);
            packet.open = true;
        } else if (packet.open) {
            packet.payload.insert(packet.payload.end(), flit.bytes(), flit.bytes() + kFlitBytes);
        }
        if (!packet.open || !flit.last()) return false;
        packet.open = false;
        header = packet.header;
        answer = judge(packet, channel, cycle);
        return true;
    }
    // Whether the packet that was taken last was let in.
    bool let_in() const { return let_in_; }
    bool arrived(uint64_t event, uint64_t sequence, Mask mask) const {
        if (!mask) return true;
        const auto found = events_.find(event);
        return found != events_.end() && found->second.first == sequence && (found->second.second & mask) == mask;
    }
    int& tokens(uint64_t communicator, uint64_t port) { return tokens_[communicator << 8 | port]; }
    // A communicator begins anew.
    void forget(uint64_t communicator) {
        for (auto at = events_.begin(); at != events_.end();) {
            at = of_event(at->first) == communicator ? events_.erase(at) : std::next(at);
        }
        for (auto& each : tokens_) {
            if (each.first >> 8 == communicator) each.second = 0;
        }
    }

  private:
    struct Packet {
        Header header;
        std::vector<uint8_t> payload;  // whole flits of it
        bool open = false;
    };
    Memory& memory_;
    const Tables& tables_;
    Packet open_[2];
    bool let_in_ = false;
    std::set<std::pair<uint64_t, int>> spoilt_;  // source and channel of a message that has lost a packet
    std::unordered_map<uint64_t, std::pair<uint64_t, Mask>> events_;
    std::unordered_map<uint64_t, int> tokens_;

    static uint64_t bits(uint64_t event, event::Field field) {
        return event >> event::kLayout[field].offset & ((uint64_t{1} << event::kLayout[field].width) - 1);
    }
    static uint64_t of_event(uint64_t event) { return bits(event, event::kCommunicator); }

    Header judge(Packet& packet, int channel, uint64_t cycle) {
        const Header& h = packet.header;
        const std::pair<uint64_t, int> stream{h[header::kSource], channel};
        const uint64_t op = h[header::kOp];
        const bool ends = h[header::kEnd];
        const bool answers = is_answer(op);
        const size_t wanted = kFlitBytes * (1 + (h[header::kLength] + kFlitBytes - 1 - kHeaderBytes) / kFlitBytes);
        int reason = refusal(h, channel);
        const bool torn = packet.payload.size() + kHeaderBytes != wanted;
        if (reason == reason::kNone && (torn || (!answers && ends && spoilt_.count(stream)))) reason = reason::kRange;
        let_in_ = reason == reason::kNone;
        if (let_in_) land(packet, cycle);
        if (!answers && ends) spoilt_.erase(stream);
        if (!answers && !ends && !let_in_) spoilt_.insert(stream);
        refused += !let_in_;
        Header answer;
        answer[header::kOp] = packet_op::kReady;
        if (channel != kRequest || (let_in_ && !(ends && h[header::kAcknowledge]))) return answer;
        for (int same : {header::kPartition, header::kWindow, header::kSequence, header::kCommand, header::kOffset}) {
            answer[same] = h[same];
        }
        answer[header::kOp] = let_in_ ? packet_op::kDone : packet_op::kRefused;
        answer[header::kEnd] = 1;
        answer[header::kDestination] = h[header::kSource];
        answer[header::kImmediate] = reason;
        return answer;
    }

    // Why a packet is not let in: the first reason that holds.
    int refusal(const Header& h, int channel) const {
        const uint64_t op = h[header::kOp], source = h[header::kSource];
        if (op > packet_op::kRefused || (kResponseOps >> op & 1) != static_cast<uint32_t>(channel)) {
            return reason::kOperation;
        }
        const bool known = of_event(h[header::kEvent]) < tables_.communicators.size();
        if (op == packet_op::kReady) return known && source < kMaxRanks ? reason::kNone : reason::kRange;
        if (is_answer(op)) return reason::kNone;
        if (op == packet_op::kReduce) return reason::kOperation;
        if (h[header::kWindow] >= tables_.windows.size()) return reason::kWindow;
        const Window& w = tables_.windows[h[header::kWindow]];
        if (!w[window::kValid]) return reason::kWindow;
        if (h[header::kPartition] != w[window::kPartition]) return reason::kPartition;
        if (!open_to(w, source, op)) return reason::kSource;
        if (h[header::kKey] != w[window::kKey]) return reason::kKey;
        if (h[header::kEpoch] != w[window::kEpoch]) return reason::kEpoch;
        const bool sets = op == packet_op::kWriteImmediate || op == packet_op::kResult;
        const uint64_t needs = op == packet_op::kSend ? right::kSend : right::kWrite | (sets ? right::kEvent : 0);
        if (needs & ~w[window::kRights]) return reason::kRights;
        if (!fits(h, w)) return reason::kRange;
        if (sets && (!known || bits(h[header::kEvent], event::kReserved) || h[header::kSlot] >= kMaxRanks)) {
            return reason::kRange;
        }
        return reason::kNone;
    }
    static bool open_to(const Window& w, uint64_t source, uint64_t op) {
        if (op == packet_op::kResult && source == kSwitchSource) return w[window::kRights] & right::kEvent;
        if (source >= kMaxRanks) return false;
        return w[source < 64 ? window::kSources0 : window::kSources1] >> source % 64 & 1;
    }
    static uint64_t part(const Header& h, const Window& w) {  // bytes of a source's part in a window for SEND
        return h[header::kOp] == packet_op::kSend ? static_cast<uint64_t>(kAtomBytes) << w[window::kPartLog] : 0;
    }
    static uint64_t place(const Header& h, const Window& w) {
        return w[window::kBase] + h[header::kSource] * part(h, w) + h[header::kOffset];
    }
    bool fits(const Header& h, const Window& w) const {
        const uint64_t offset = h[header::kOffset], length = h[header::kLength], each = part(h, w);
        const uint64_t end = offset + length;
        const bool inside = each ? end <= each && (h[header::kSource] + 1) * each <= w[window::kSize] : end <= w[window::kSize];
        const bool aligned = offset % kAtomBytes == 0 && w[window::kBase] % kAtomBytes == 0;
        return inside && aligned && length <= static_cast<uint64_t>(tables_.sizes.mtu) &&
               place(h, w) + length <= uint64_t{1} << 48;
    }

    void land(const Packet& packet, uint64_t cycle) {
        const Header& h = packet.header;
        const uint64_t op = h[header::kOp];
        if (op == packet_op::kReady) {
            int& count = tokens(of_event(h[header::kEvent]), h[header::kSource]);
            count = std::min(count + 1, 255);
        }
        if (is_answer(op)) return;
        const uint64_t address = place(h, tables_.windows[h[header::kWindow]]), length = h[header::kLength];
        if (address + length > memory_.bytes.size()) {
            throw std::runtime_error("write past the memory at " + std::to_string(address));
        }
        std::memcpy(&memory_.bytes[address], packet.payload.data(), length);
        if (length) {
            if (!memory_.first_write) memory_.first_write = cycle;
            memory_.last_write = cycle;
        }
        if (!h[header::kEnd] || (op != packet_op::kWriteImmediate && op != packet_op::kResult)) return;
        auto& [sequence, slots] = events_[h[header::kEvent]];
        if (sequence != h[header::kSequence]) slots = 0;
        sequence = h[header::kSequence];
        slots |= Mask{1} << h[header::kSlot];
    }
};

}  // namespace golden

}  // namespace

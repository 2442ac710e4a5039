// What does the work of a golden node: flits to and from the switch, messages cut into packets, sums and copies.
//
// Each unit does a flit or a line a cycle behind a fixed latency.

#pragma once

#include <algorithm>
#include <deque>
#include <vector>

#include "domain_golden_receiver.h"

namespace {

namespace golden {

struct Command;

struct Thread {  // a subgraph that runs
    Command* command = nullptr;
    uint64_t begin = 0, entry = 0;
    int64_t piece = 0, step = 0, steps = 0;
    bool runs = false, inside = false, blocked = false, ended = false;
    Mask mask = 0;       // whose arrival its entry waits for
    int64_t jobs = 0;    // given out and not done,
    int64_t latest = 0;  // of these the latest entry's
    int64_t entries = 0;
};

struct Command {  // a descriptor, and how far it is
    Descriptor fields;
    uint64_t ring = 0, born = 0;
    uint64_t over = 0, late = ~uint64_t{0};  // cycle in which it is completed, once it has ended; in which it fails
    uint16_t tag = 0;
    bool started = false, completed = false;
    int64_t sequence = 0, unsettled = 0;
    Cut cut;
    std::vector<Thread> threads;

    uint64_t operator[](int field) const { return fields[field]; }
    bool collective() const { return fields[descriptor::kOp] == descriptor_op::kCollective; }
    bool idle() const {  // nothing of it is under way
        return std::all_of(threads.begin(), threads.end(), [](const Thread& each) { return !each.jobs; });
    }
    bool ended() const {
        return idle() && std::all_of(threads.begin(), threads.end(), [](const Thread& each) { return each.ended; });
    }
};

struct Job {  // a message, or what the reducer does
    Thread* thread;
    int64_t entry;  // of the thread
    int op;         // of the reducer: COPY, SUM or SET
    Header header;
    uint64_t source, target, slots;
    int64_t length;
    uint64_t due = 0;
};

class Units {
  public:
    uint64_t first_flit = 0;

    // latency: of the memory; wire: of a frame
    Units(Memory& memory, int port, uint64_t latency, uint64_t wire, const Sizes& sizes)
        : memory_(memory), tables_(sizes), receiver_(memory, tables_), port_(port), latency_(latency), link_(wire + kLink) {}

    uint64_t refused() const { return receiver_.refused; }

  protected:
    static constexpr size_t kSends = 16, kWorks = 4;  // jobs that may wait

    Memory& memory_;
    Tables tables_;
    Receiver receiver_;
    std::deque<Job> sends_, works_;
    std::vector<Header> answers_;  // DONEs and REFUSEDs that came
    bool changed_ = false;         // something that somebody may wait for

    bool units(SwitchModel& fabric, uint64_t cycle) {
        const bool receives = receive(fabric, cycle), sends = send(fabric, cycle);
        return reduce(cycle) | receives | sends;
    }
    // A packet without payload.
    void post(const Header& header, int channel, uint64_t cycle) {
        Flit flit;
        pack(header::kLayout, header, flit.bytes());
        flit.mark(true, true);
        up_[channel].push_back({cycle + 1 + link_, flit, channel});
    }

    void message(Job job, uint64_t cycle) {
        job.due = cycle + kRead;
        sends_.push_back(job);
    }
    void work(Job job, uint64_t cycle) {
        const uint64_t lines = std::max<int64_t>(1, (job.length + kLine - 1) / kLine);
        const uint64_t ranks = job.op == work_op::kSum ? job.thread->command->cut.ranks : 1;
        const uint64_t begins = std::max(reducer_at_, cycle + 2);
        reducer_at_ = begins + lines * (ranks <= 16 ? ranks : ranks + 3);
        job.due = reducer_at_ + latency_ + (job.op == work_op::kSum ? kAdd : kCopy);
        works_.push_back(job);
    }
    void done(const Job& job) {
        Thread& thread = *job.thread;
        --thread.jobs;
        if (job.entry == thread.entries) --thread.latest;
        changed_ = true;
    }

  private:
    // cycles: of a link beside its wire; from a flit to its write; from a message to its first read; of the adders
    static constexpr uint64_t kLink = 8, kLand = 3, kRead = 3, kAdd = 24, kCopy = 4;
    static constexpr size_t kBuffer = 128;   // flits under way to the switch
    static constexpr int64_t kLine = 128;    // bytes

    struct Timed {
        uint64_t due;
        Flit flit;
        int channel;
    };
    int port_;
    uint64_t latency_, link_;
    std::deque<Timed> up_[2], down_;  // on their way
    int64_t sent_ = 0;                // bytes of the first message that have left
    uint64_t reducer_at_ = 0;         // cycle from which the reducer may begin another job
    int turn_[2] = {};                // channel served last, down and up

    bool receive(SwitchModel& fabric, uint64_t cycle) {
        bool active = !down_.empty();
        for (int tries = 0; tries < 2; ++tries) {
            const int channel = turn_[0] ^= 1;
            const bool room = channel == kResponse || up_[kResponse].size() < kBuffer;
            const Flit* flit = room ? fabric.front(port_, channel) : nullptr;
            if (!flit) continue;
            down_.push_back({cycle + link_ + kLand, *flit, channel});
            fabric.take(port_, channel);
            active = true;
            break;
        }
        while (!down_.empty() && down_.front().due <= cycle) {
            Header header, answer;
            const int channel = down_.front().channel;
            if (receiver_.take(down_.front().flit, channel, cycle, header, answer)) {
                changed_ = true;
                if (answer[header::kOp] != packet_op::kReady) post(answer, kResponse, cycle);
                const uint64_t op = header[header::kOp];
                const bool tells = is_answer(op) && op != packet_op::kReady;
                if (tells && receiver_.let_in()) answers_.push_back(header);
            }
            down_.pop_front();
        }
        return active;
    }
    // A flit of the first message is read, and one leaves.
    bool send(SwitchModel& fabric, uint64_t cycle) {
        bool active = false;
        if (!sends_.empty() && up_[kRequest].size() < kBuffer && sends_.front().due <= cycle) {
            active = true;
            if (read(sends_.front(), cycle)) {
                done(sends_.front());
                sends_.pop_front();
                sent_ = 0;
            }
        }
        active |= !up_[0].empty() | !up_[1].empty();
        for (int tries = 0; tries < 2; ++tries) {
            const int channel = turn_[1] ^= 1;
            auto& queue = up_[channel];
            if (queue.empty() || queue.front().due > cycle || !fabric.room(port_, channel)) continue;
            if (channel == kRequest && !first_flit) first_flit = cycle;
            fabric.put(port_, channel, queue.front().flit);
            queue.pop_front();
            break;
        }
        return active;
    }
    // Whether that was the last flit of the message.
    bool read(Job& job, uint64_t cycle) {
        const int64_t mtu = tables_.sizes.mtu, in_packet = sent_ % mtu, packet = sent_ - in_packet;
        const int64_t length = std::min(mtu, job.length - packet);
        const bool head = in_packet == 0;
        const int64_t room = head ? kFlitBytes - kHeaderBytes : kFlitBytes, part = std::min(room, length - in_packet);
        Flit flit;
        const bool last = in_packet + part == length, ends = packet + length == job.length;
        if (head) {
            Header header = job.header;
            header[header::kOffset] += packet;
            header[header::kLength] = length;
            header[header::kEnd] = ends;
            pack(header::kLayout, header, flit.bytes());
        }
        if (part) std::memcpy(flit.bytes() + (head ? kHeaderBytes : 0), memory_.at(job.source + sent_, part), part);
        flit.mark(head, last);
        up_[kRequest].push_back({cycle + (job.length ? latency_ : 0) + link_, flit, kRequest});
        sent_ += part;
        return last && ends;
    }

    // The reducer's jobs end in order.
    bool reduce(uint64_t cycle) {
        if (works_.empty()) return false;
        Job& job = works_.front();
        if (job.due > cycle) return true;
        const Command& command = *job.thread->command;
        memory_.at(job.target, job.length);
        uint8_t* to = memory_.bytes.data() + job.target;
        if (job.op == work_op::kSum) {
            sum(command, job, to);
        } else if (job.op == work_op::kSet) {
            const uint32_t value = command[descriptor::kImmediate];
            std::memcpy(to, &value, sizeof value);
        } else {
            std::memmove(to, memory_.at(job.source, job.length), job.length);
        }
        done(job);
        works_.pop_front();
        return true;
    }
    void sum(const Command& command, const Job& job, uint8_t* to) {
        const Cut& cut = command.cut;
        const size_t atoms = (job.length + kAtomBytes - 1) / kAtomBytes * kAtomBytes;
        std::vector<const uint8_t*> slots;
        for (int64_t rank = 0; rank < cut.ranks; ++rank) {
            slots.push_back(memory_.at(rank == cut.rank ? job.source : job.slots + rank * cut.chunk, atoms));
        }
        std::vector<uint8_t> result(atoms);
        reduce::tree(command[descriptor::kKind], command[descriptor::kFormat], slots, atoms, result.data());
        std::memcpy(to, result.data(), job.length);
    }
};

}  // namespace golden

}  // namespace

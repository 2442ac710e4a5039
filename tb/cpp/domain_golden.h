// A node of a domain that is a behavioural model: a message engine of packets and jobs instead of RTL.
//
// It speaks flits with the switch as a node behind an ideal link does, so that no other node can tell. It follows
// golden/message_engine.py and golden/message_run.py and shares with the RTL only the tables of mtia.message; sums are
// those of domain_reduce.h. Its times are near those of the RTL, not equal.

#pragma once

#include <list>
#include <string>

#include "domain_golden_units.h"

namespace {

namespace golden {

class Node : public Units {
  public:
    std::vector<uint32_t> completions;  // records, and the cycle of each
    std::vector<uint64_t> completed;

    Node(Memory& memory, int port, uint64_t latency, uint64_t wire, const Sizes& sizes)
        : Units(memory, port, latency, wire, sizes), sequences_(sizes.communicators) {}

    // {space, index, data} into a table; an index past its end changes nothing.
    void configure(const uint32_t* words, size_t count) {
        const uint64_t space = words[0] & 7, index = words[0] >> 3 & 0xfff;
        if (space == 0 && index < tables_.windows.size()) {
            tables_.windows[index] = unpack(window::kLayout, words, count, kDataAt);
        } else if (space == 1 && index < tables_.communicators.size()) {
            tables_.communicators[index] = unpack(communicator::kLayout, words, count, kDataAt);
            receiver_.forget(index);
            sequences_[index] = 0;
        } else if (space == 2 && index < tables_.context.size()) {
            tables_.context[index] = Work(unpack(entry::kLayout, words, count, kDataAt));
        } else if (space == 3 && index < tables_.programs.size()) {
            tables_.programs[index] = unpack(program::kLayout, words, count, kDataAt);
        }
        changed_ = true;
    }
    // {partition, descriptor}; one of no ring is lost.
    void doorbell(const uint32_t* words, size_t count, uint64_t cycle) {
        const uint64_t ring = words[0] & 0xff;
        if (ring >= static_cast<uint64_t>(tables_.sizes.partitions)) return;
        commands_.emplace_back();
        Command& command = commands_.back();
        command.fields = unpack(descriptor::kLayout, words, count, 8);
        command.ring = ring;
        command.born = cycle;
        command.tag = next_tag_++;
        changed_ = true;
    }
    // One cycle; whether anything is under way.
    bool step(SwitchModel& fabric, uint64_t cycle) {
        const bool busy = units(fabric, cycle);
        for (const Header& each : answers_) answered(each, cycle);
        answers_.clear();
        if (changed_ || (cycle % kInterval == 0 && !commands_.empty())) wake(cycle);
        return issue(cycle) | busy;
    }

  private:
    // cycles: from a doorbell to a program's first step, or to a single job; from an entry to the next; from what a
    // thread waits for to its next step; from the end to the completion; between two looks at a semaphore
    static constexpr uint64_t kStart = 10, kDirect = 4, kEntry = 4, kResume = 4, kEnd = 1, kInterval = 32;
    static constexpr int kDataAt = 15;  // of a word to `configure`

    std::vector<int64_t> sequences_;
    std::list<Command> commands_;
    std::vector<Thread*> ready_;  // threads that may go on, the one that runs first
    uint64_t next_ = 0;           // cycle of the next step
    uint64_t records_ = 0;
    uint16_t next_tag_ = 0;

    void answered(const Header& h, uint64_t cycle) {
        for (Command& command : commands_) {
            if (command.tag != h[header::kCommand] || command.completed || !command.started) continue;
            if (h[header::kOp] == packet_op::kDone) {
                --command.unsettled;
            } else {
                complete(command, status::kRefused, h[header::kImmediate], cycle);
            }
        }
    }

    // Looks at everything that waits.
    void wake(uint64_t cycle) {
        changed_ = false;
        for (auto at = commands_.begin(); at != commands_.end();) {
            Command& command = *at;
            if (!command.started && !command.completed) start(command, cycle);
            if (command.started && !command.completed && command.ended() && !command.unsettled) {
                if (!command.over) command.over = cycle + kEnd;
                if (cycle >= command.over) complete(command, status::kOk, 0, cycle);
                changed_ = true;
            }
            if (!command.completed && cycle >= command.late) complete(command, status::kTimeout, 0, cycle);
            if (command.completed && command.idle()) {
                ready_.erase(std::remove_if(ready_.begin(), ready_.end(), [&](Thread* each) { return each->command == &command; }),
                             ready_.end());
                at = commands_.erase(at);
                changed_ = true;  // another of its communicator may start
                continue;
            }
            ++at;
            if (command.completed) continue;
            for (Thread& thread : command.threads) {
                if (!thread.blocked || waits(thread)) continue;
                thread.blocked = false;
                if (ready_.empty()) next_ = std::max(next_, cycle + kResume);
                ready_.push_back(&thread);
            }
        }
    }
    void start(Command& command, uint64_t cycle) {
        if (const int fault = tables_.malformed(command.fields, command.ring)) {
            return complete(command, status::kMalformed, fault, cycle);
        }
        if (command.collective()) {
            for (const Command& other : commands_) {
                if (&other == &command) break;
                const bool same = other[descriptor::kCommunicator] == command[descriptor::kCommunicator];
                if (other.collective() && same && (other.started || !other.completed)) return;
            }
        }
        if (!met(command)) return;
        command.started = true;
        const uint64_t timeout = command[descriptor::kTimeout];
        if (timeout) command.late = cycle + timeout * kTimeoutCycles;
        next_ = std::max(next_, std::max(cycle, command.born + kStart));
        const uint64_t op = command[descriptor::kOp];
        command.threads.resize(op == descriptor_op::kNoop ? 0 : 1);
        if (op == descriptor_op::kCollective) {
            const uint64_t number = command[descriptor::kCommunicator];
            const Program& program = tables_.programs[command[descriptor::kProgram]];
            command.sequence = sequences_[number]++;
            command.cut = Cut(tables_.communicators[number], command.fields);
            command.threads.resize(program[program::kSubgraphs]);
            for (size_t index = 0; index < command.threads.size(); ++index) {
                Thread& thread = command.threads[index];
                thread.command = &command;
                thread.begin = thread.entry = program[program::kEntry0 + static_cast<int>(index)];
                enter(thread);
                ready_.push_back(&thread);
            }
        } else if (op != descriptor_op::kNoop) {
            direct(command, cycle);
        }
        changed_ = true;
    }
    // A PUT or a COPY: one job.
    void direct(Command& command, uint64_t cycle) {
        Thread& thread = command.threads[0];
        thread.command = &command;
        thread.ended = true;
        thread.jobs = 1;
        const Descriptor& d = command.fields;
        Job job{&thread, 0, work_op::kCopy, {}, d[descriptor::kInput], d[descriptor::kOutput], 0, 0};
        job.length = d[descriptor::kBytes];
        if (d[descriptor::kOp] == descriptor_op::kCopy) return work(job, cycle + kDirect);
        Header& h = job.header;
        h[header::kOp] = d[descriptor::kEvent] ? packet_op::kWriteImmediate : packet_op::kWrite;
        h[header::kAcknowledge] = d[descriptor::kAcknowledge];
        h[header::kDestination] = d[descriptor::kPeer];
        h[header::kPartition] = d[descriptor::kPartition];
        h[header::kWindow] = d[descriptor::kWindow];
        h[header::kEpoch] = d[descriptor::kEpoch];
        h[header::kKey] = d[descriptor::kKey];
        h[header::kSlot] = d[descriptor::kRoot];
        h[header::kEvent] = d[descriptor::kEvent];
        h[header::kSequence] = d[descriptor::kImmediate] & 0xffff;
        h[header::kImmediate] = d[descriptor::kImmediate];
        h[header::kOffset] = d[descriptor::kOutput];
        h[header::kCommand] = command.tag;
        command.unsettled += d[descriptor::kAcknowledge];
        message(job, cycle + kDirect);
    }
    bool met(const Command& command) const {  // the condition on its semaphore
        const uint64_t wanted = command[descriptor::kValue], how = command[descriptor::kComparison];
        if (how == comparison::kAlways) return true;
        const uint64_t found = word(command[descriptor::kSemaphore]);
        if (how == comparison::kEqual) return found == wanted;
        if (how == comparison::kNotEqual) return found != wanted;
        return how == comparison::kLess ? found < wanted : found >= wanted;
    }
    uint64_t word(uint64_t address) const {
        uint32_t value;
        std::memcpy(&value, memory_.at(address, sizeof value), sizeof value);
        return value;
    }
    void complete(Command& command, int status, uint64_t detail, uint64_t cycle) {
        command.completed = true;
        Row<completion::kFields> record;
        record[completion::kCommand] = command[descriptor::kCommand];
        record[completion::kStatus] = status;
        record[completion::kDetail] = detail;
        record[completion::kPartition] = command.ring;
        record[completion::kBytes] = command[descriptor::kBytes];
        record[completion::kCycles] = cycle - command.born;
        record[completion::kPhase] = records_++ / tables_.sizes.completions % 2 == 0;
        uint32_t words[6] = {};
        pack(completion::kLayout, record, reinterpret_cast<uint8_t*>(words));
        completions.insert(completions.end(), words, words + 4);
        completed.push_back(cycle);
        changed_ = true;
    }

    // A step of a thread that may go on; it keeps its turn until it has to wait.
    bool issue(uint64_t cycle) {
        if (ready_.empty()) return false;
        if (next_ > cycle) return true;
        while (!ready_.empty()) {
            Thread& thread = *ready_.front();
            if (!thread.command->completed && !waits(thread)) {
                next_ = cycle + advance(thread, cycle);
                if (thread.ended) ready_.erase(ready_.begin());
                return true;
            }
            thread.blocked = true;
            ready_.erase(ready_.begin());
        }
        return true;
    }
    const Work& at(const Thread& thread) const { return tables_.context[thread.entry]; }
    // A thread comes to an entry.
    void enter(Thread& thread) const {
        const Work& entry = at(thread);
        const Cut& cut = thread.command->cut;
        thread.runs = entry.runs(cut);
        thread.steps = thread.runs ? entry.steps(cut) : 0;
        thread.step = 0;
        thread.inside = false;
        thread.mask = entry.sync == sync::kReceiveSync ? entry.expected(cut, thread.piece) : 0;
    }
    // Whether a thread has to wait before its next step.
    bool waits(const Thread& thread) const {
        const Work& entry = at(thread);
        const Command& command = *thread.command;
        if (!thread.runs) return false;
        if (!thread.inside) {
            if (entry.sync == sync::kFence && command.unsettled) return true;
            if (entry.sync == sync::kSync && thread.jobs) return true;
            if (entry.sync == sync::kWqeSync && thread.latest) return true;
            if (entry.sync == sync::kReceiveSync && !arrived(thread, thread.mask)) return true;
            if (entry.op == work_op::kWait && !met(command)) return true;
        }
        if (thread.step >= thread.steps || !takes(thread)) return false;
        if (entry.sync == sync::kForwardSync) {
            const Mask own = Mask{1} << entry.source.index.at(command.cut, thread.step);
            if (!arrived(thread, own)) return true;
        }
        if (entry.sync == sync::kSendSync && !const_cast<Receiver&>(receiver_).tokens(on(thread), peer(thread))) return true;
        if (is_message(entry.op)) return sends_.size() >= kSends;
        return works_.size() >= kWorks;
    }
    bool arrived(const Thread& thread, Mask mask) const {
        const Work& entry = at(thread);
        if (thread.piece < entry.wait_lag) return true;
        const uint64_t event = number(thread, entry.wait_phase, thread.piece - entry.wait_lag);
        return receiver_.arrived(event, thread.command->sequence & 0xffff, mask);
    }
    static uint64_t on(const Thread& thread) { return (*thread.command)[descriptor::kCommunicator]; }
    const Communicator& communicator(const Thread& thread) const { return tables_.communicators[on(thread)]; }
    uint64_t peer(const Thread& thread) const {  // port of the peer of the next step
        return communicator(thread)[communicator::kFirstPort] + at(thread).peer.at(thread.command->cut, thread.step);
    }
    static uint64_t number(const Thread& thread, int phase, int64_t piece) {  // of an event
        Row<event::kFields> row;
        row[event::kPiece] = piece;
        row[event::kPhase] = phase;
        row[event::kParity] = thread.command->sequence & 1;
        row[event::kCommunicator] = on(thread);
        uint64_t words[2] = {};
        pack(event::kLayout, row, reinterpret_cast<uint8_t*>(words));
        return words[0];
    }
    static bool is_message(int op) {
        return op == work_op::kWrite || op == work_op::kWriteImmediate || op == work_op::kSend || op == work_op::kReceive ||
               op == work_op::kReduce;
    }
    int64_t length(const Thread& thread) const {  // bytes of the next step
        const Work& entry = at(thread);
        const Command& command = *thread.command;
        const Cut& cut = command.cut;
        if (!entry.sized) return entry.length(cut, thread.step, thread.piece);
        const uint64_t table = command[descriptor::kImmediate] | command[descriptor::kEvent] << 32;
        const int64_t size = word(table + 4 * entry.chunk.at(cut, thread.step));
        return cut.clip(std::min(cut.chunk, size), thread.piece);
    }
    bool takes(const Thread& thread) const { return at(thread).takes(thread.command->cut, thread.step, length(thread)); }

    // One step, or the way to the next entry; the cycles that it takes.
    uint64_t advance(Thread& thread, uint64_t cycle) {
        const Work& entry = at(thread);
        if (thread.runs && !thread.inside) {
            thread.inside = true;
            thread.latest = 0;
            ++thread.entries;
            if (entry.op == work_op::kWait || entry.op == work_op::kNoop) thread.step = thread.steps;
        }
        if (thread.step < thread.steps) {
            if (takes(thread)) give(thread, cycle);
            ++thread.step;
        }
        if (thread.step < thread.steps) return 1;
        if (entry.closes && thread.piece + 1 < thread.command->cut.pieces) {
            thread.entry = thread.begin;
            ++thread.piece;
        } else if (entry.ends) {
            thread.ended = changed_ = true;
            return 1;
        } else {
            ++thread.entry;
        }
        enter(thread);
        return kEntry;
    }
    // The job of a step.
    void give(Thread& thread, uint64_t cycle) {
        const Work& entry = at(thread);
        const Cut& cut = thread.command->cut;
        ++thread.jobs;
        ++thread.latest;
        const uint64_t source = address(thread, entry.source) + entry.source.displacement(cut, thread.step, thread.piece);
        const uint64_t target = address(thread, entry.target) + entry.target.displacement(cut, thread.step, thread.piece);
        Job job{&thread, thread.entries, entry.op, {}, source, target, 0, length(thread)};
        if (entry.sync == sync::kSendSync) --receiver_.tokens(on(thread), peer(thread));
        if (!is_message(entry.op)) {
            if (entry.op == work_op::kSet) job.length = 4;
            job.slots = landing(thread) + (entry.source.pieced ? thread.piece * cut.piece : 0);
            return work(job, cycle);
        }
        thread.command->unsettled += entry.acknowledge ? (entry.multicast ? cut.ranks - 1 : 1) : 0;
        job.header = header(thread, job.length);
        if (entry.op != work_op::kReceive) return message(job, cycle);
        job.header[header::kEnd] = 1;
        post(job.header, kResponse, cycle + 2);
        done(job);
    }
    uint64_t parity(const Thread& thread) const {
        return thread.command->sequence & 1 ? communicator(thread)[communicator::kParityBytes] : 0;
    }
    uint64_t landing(const Thread& thread) const { return communicator(thread)[communicator::kLanding] + parity(thread); }
    uint64_t address(const Thread& thread, const Operand& operand) const {  // where an operand starts in memory here
        const Command& command = *thread.command;
        if (operand.base == base::kLanding) return landing(thread);
        if (operand.base == base::kInput) return command[descriptor::kInput];
        return command[operand.base == base::kOutput ? descriptor::kOutput : descriptor::kSemaphore];
    }
    Header header(const Thread& thread, int64_t length) const {  // what the packets of a message share
        static constexpr int kOps[] = {0, packet_op::kWrite, packet_op::kWriteImmediate, packet_op::kSend, packet_op::kReady};
        const Work& entry = at(thread);
        const Command& command = *thread.command;
        const Communicator& on = communicator(thread);
        const Cut& cut = command.cut;
        const bool lands = entry.target.base == base::kLanding;
        const uint64_t slot = entry.target.index.at(cut, thread.step);
        const uint64_t start = lands ? parity(thread) : command[descriptor::kOutput] - on[communicator::kOutput];
        Header h;
        h[header::kOp] = entry.op == work_op::kReduce ? packet_op::kReduce : kOps[entry.op];
        h[header::kAcknowledge] = entry.acknowledge;
        h[header::kMulticast] = entry.multicast;
        h[header::kDestination] = entry.multicast ? on[communicator::kGroup] : peer(thread);
        h[header::kPartition] = on[communicator::kPartition];
        h[header::kWindow] = on[lands ? communicator::kLandingWindow : communicator::kOutputWindow];
        h[header::kEpoch] = on[communicator::kEpoch];
        h[header::kKey] = on[communicator::kKey];
        h[header::kKind] = command[descriptor::kKind];
        h[header::kFormat] = command[descriptor::kFormat];
        h[header::kSlot] = entry.op == work_op::kReduce ? cut.rank : slot;
        h[header::kImmediate] = slot;
        h[header::kEvent] = number(thread, entry.set_phase, thread.piece);
        h[header::kSequence] = command.sequence & 0xffff;
        h[header::kOffset] = length ? start + entry.target.displacement(cut, thread.step, thread.piece) : 0;
        h[header::kCommand] = command.tag;
        h[header::kGroup] = on[communicator::kGroup];
        h[header::kRanks] = cut.ranks;
        return h;
    }
};

}  // namespace golden

}  // namespace

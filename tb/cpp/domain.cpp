// A scale-up domain: many objects of one Verilated node, a memory beside each, one switch between them.
//
// Every cycle each node is evaluated once; what it says to its memory, to its wires and to the switch is carried over
// between two cycles, so that the order of the nodes does not matter. domain_names.h gives the node's ports their
// roles (see tb/message/domain.py). A node may be golden instead: see domain_golden.h.

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "streams.h"
#include "domain_names.h"
#include "domain_golden.h"
#include "domain_memory.h"
#include "domain_switch.h"
#include "domain_wire.h"
#include "wave.h"

#define DOMAIN_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

constexpr int kFlitWords = Up0::words;

template <class Port> struct Feed {  // beats for an input of a node, offered one after the other
    std::deque<std::vector<uint32_t>> beats;
    std::deque<uint64_t> not_before;
    bool offered = false;

    void drive(Vtop& m, uint64_t cycle) {
        const bool has = !beats.empty() && not_before.front() <= cycle;
        if (has && !offered) store(Port::payload(m), beats.front().data());
        Port::set_valid(m, has);
        offered = has;
    }
    bool sample(Vtop& m) {
        if (!offered || !Port::ready(m)) return false;
        beats.pop_front();
        not_before.pop_front();
        offered = false;
        return true;
    }
    // The next beat for a node that takes whatever comes; whether there was one.
    template <class Take> bool give(uint64_t cycle, Take take) {
        if (beats.empty() || not_before.front() > cycle) return false;
        take(beats.front().data(), beats.front().size());
        beats.pop_front();
        not_before.pop_front();
        return true;
    }
};

template <class Port> struct FromSwitch {  // flits of one channel on their way into a node
    bool offered = false;

    void drive(Vtop& m, SwitchModel& fabric, int port, int channel) {
        if (offered) return;
        const Flit* flit = fabric.front(port, channel);
        if (flit) store(Port::payload(m), flit->words);
        Port::set_valid(m, flit != nullptr);
        offered = flit != nullptr;
    }
    bool sample(Vtop& m, SwitchModel& fabric, int port, int channel) {
        if (!offered || !Port::ready(m)) return false;
        fabric.take(port, channel);
        offered = false;
        return true;
    }
};

template <class Port> bool to_switch(Vtop& m, SwitchModel& fabric, int port, int channel, bool accepting) {
    if (!accepting || !Port::valid(m)) return false;
    Flit flit;
    load(Port::payload(m), flit.words);
    fabric.put(port, channel, flit);
    return true;
}

struct Node {
    std::unique_ptr<VerilatedContext> context{new VerilatedContext};
    std::unique_ptr<Vtop> model;           // none of a golden node
    std::unique_ptr<golden::Node> golden;  // none of an RTL node
    Memory memory;
    Feed<DoorbellPort> doorbell;
    Feed<ConfigurePort> configure;
    FromSwitch<Down0> down_0;
    FromSwitch<Down1> down_1;
    bool up_accepting[2] = {false, false};
    Wire up_wire, down_wire;
    std::vector<uint32_t> completions;
    std::vector<uint64_t> completed;  // cycle of each
    uint64_t first_flit = 0;          // cycle of the first flit since it was last cleared; 0: none

    explicit Node(size_t bytes) : memory(bytes) {}

    std::vector<uint32_t>& records() { return golden ? golden->completions : completions; }
    std::vector<uint64_t>& record_cycles() { return golden ? golden->completed : completed; }
};

struct Domain {
    std::vector<std::unique_ptr<Node>> nodes;
    SwitchModel fabric;
    std::unique_ptr<Wave> wave;
    int wave_node = -1;
    uint64_t cycle = 0, wave_time = 0, quiet = 0, moved = 0;
    std::string message;

    // rtl: of each node whether it is; sizes: of the golden ones
    Domain(int count, size_t bytes, int wave_of, const int64_t* settings, const uint8_t* rtl, const golden::Sizes& sizes)
        : fabric(count, settings), wave_node(wave_of) {
        for (int index = 0; index < count; ++index) {
            nodes.emplace_back(new Node(bytes));
            Node& node = *nodes.back();
            if (rtl[index]) {
                node.model.reset(new Vtop{node.context.get(), ""});
            } else {
                node.golden.reset(new golden::Node(node.memory, index, settings[0], settings[1], sizes));
            }
        }
        if (wave_node >= 0) nodes[wave_node]->context->traceEverOn(true);
        for (int index = 0; index < count; ++index) {
            Node& node = *nodes[index];
            node.memory.latency = settings[0];
            node.up_wire.configure(settings[1], settings[2], settings[3] + 2 * index);
            node.down_wire.configure(settings[1], settings[2], settings[3] + 2 * index + 1);
        }
    }
    ~Domain() {
        if (wave) wave->close();
        for (auto& node : nodes) {
            if (node->model) node->model->final();
        }
    }

    void edge(Node& node, bool level, bool traced) {
        set_clock(*node.model, level);
        node.model->eval();
        if (traced) wave->dump(wave_time += 5);
    }

    void reset(int cycles) {
        for (auto& node : nodes) {
            if (!node->model) continue;
            Vtop& m = *node->model;
            DoorbellPort::set_valid(m, false);
            ConfigurePort::set_valid(m, false);
            Down0::set_valid(m, false);
            Down1::set_valid(m, false);
            node->memory.reset(m);
            wires_idle(m);
            set_reset(m, true);
            for (int i = 0; i < cycles + LANE_RESET_REGISTERED; ++i) {
                if (i == cycles) set_reset(m, false);  // the design sees it a cycle later
                edge(*node, false, false);
                edge(*node, true, false);
            }
            set_reset(m, false);
        }
    }

    void step() {
        const int count = static_cast<int>(nodes.size());
        bool active = false;
        for (int port = 0; port < count; ++port) {
            Node& node = *nodes[port];
            if (node.golden) {
                active |= step(node);
                continue;
            }
            Vtop& m = *node.model;
            const bool traced = wave && port == wave_node;
            node.doorbell.drive(m, cycle);
            node.configure.drive(m, cycle);
            node.down_0.drive(m, fabric, port, 0);
            node.down_1.drive(m, fabric, port, 1);
            node.up_accepting[0] = fabric.room(port, 0);
            node.up_accepting[1] = fabric.room(port, 1);
            Up0::set_ready(m, node.up_accepting[0]);
            Up1::set_ready(m, node.up_accepting[1]);
            CompletionPort::set_ready(m, true);
            node.memory.drive(m, cycle);
            wires_drive(m, node.up_wire, node.down_wire, cycle);
            edge(node, false, traced);
            active |= node.doorbell.sample(m) | node.configure.sample(m);
            active |= node.down_0.sample(m, fabric, port, 0) | node.down_1.sample(m, fabric, port, 1);
            const bool up = to_switch<Up0>(m, fabric, port, 0, node.up_accepting[0]);
            const bool answered = to_switch<Up1>(m, fabric, port, 1, node.up_accepting[1]);
            if (up && !node.first_flit) node.first_flit = cycle;
            active |= up | answered | node.memory.sample(m, cycle);
            if (CompletionPort::valid(m)) {
                const size_t at = node.completions.size();
                node.completions.resize(at + CompletionPort::words);
                load(CompletionPort::payload(m), &node.completions[at]);
                node.completed.push_back(cycle);
                active = true;
            }
            wires_sample(m, node.up_wire, node.down_wire, cycle);
            edge(node, true, traced);
        }
        active |= fabric.step(cycle);
        quiet = active ? 0 : quiet + 1;
        ++cycle;
    }

    bool step(Node& node) {  // of a golden node
        golden::Node& at = *node.golden;
        bool active = node.doorbell.give(cycle, [&](const uint32_t* words, size_t size) { at.doorbell(words, size, cycle); });
        active |= node.configure.give(cycle, [&](const uint32_t* words, size_t size) { at.configure(words, size); });
        return at.step(fabric, cycle) | active;
    }

    size_t completions() const {
        size_t total = 0;
        for (auto& node : nodes) total += node->record_cycles().size();
        return total;
    }
};

enum End : int { kCompleted, kCycles, kQuiet, kBroken };

}  // namespace

// `rtl` says of each node whether it is; `sizes` are those of the others.
DOMAIN_EXPORT void* domain_new(int nodes, uint64_t bytes, int wave_node, const int64_t* settings, const uint8_t* rtl,
                               const int64_t* sizes) {
    const golden::Sizes of{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]};
    return new Domain(nodes, bytes, wave_node, settings, rtl, of);
}
DOMAIN_EXPORT void domain_free(Domain* domain) { delete domain; }
DOMAIN_EXPORT void domain_reset(Domain* domain, int cycles) { domain->reset(cycles); }
DOMAIN_EXPORT uint64_t domain_cycle(Domain* domain) { return domain->cycle; }
DOMAIN_EXPORT const char* domain_message(Domain* domain) { return domain->message.c_str(); }
DOMAIN_EXPORT uint8_t* domain_memory(Domain* domain, int node) { return domain->nodes[node]->memory.bytes.data(); }

DOMAIN_EXPORT void domain_feed(Domain* domain, int node, int which, const uint32_t* words, uint64_t not_before) {
    auto feed = [&](auto& to, int count) {
        to.beats.emplace_back(words, words + count);
        to.not_before.push_back(not_before);
    };
    if (which) {
        feed(domain->nodes[node]->configure, ConfigurePort::words);
    } else {
        feed(domain->nodes[node]->doorbell, DoorbellPort::words);
    }
}

// Groups of the switch: words of a port bitmap, 32 ports a word.
DOMAIN_EXPORT void domain_group(Domain* domain, int group, const uint32_t* bitmap) {
    domain->fabric.set_group(group, bitmap);
}

// Runs until so many completions came in all, or for at most `cycles`; ends early when nothing moved for `quiet` cycles.
DOMAIN_EXPORT int domain_run(Domain* domain, uint64_t completions, uint64_t cycles, uint64_t quiet) {
    try {
        const uint64_t end = domain->cycle + cycles;
        while (domain->cycle < end) {
            domain->step();
            if (completions && domain->completions() >= completions) return kCompleted;
            if (domain->quiet >= quiet) return kQuiet;
        }
        return kCycles;
    } catch (const std::exception& error) {
        domain->message = error.what();
        return kBroken;
    }
}

DOMAIN_EXPORT uint64_t domain_completions(Domain* domain, int node, uint32_t* words, uint64_t* cycles) {
    Node& from = *domain->nodes[node];
    const uint64_t count = from.record_cycles().size();
    if (words) {
        std::copy(from.records().begin(), from.records().end(), words);
        std::copy(from.record_cycles().begin(), from.record_cycles().end(), cycles);
        from.records().clear();
        from.record_cycles().clear();
    }
    return count;
}

// Cycle of the first flit out of a node (0), of the first (1) or last (2) write into it since the last call; 0: none.
DOMAIN_EXPORT uint64_t domain_moment(Domain* domain, int node, int which) {
    Node& at = *domain->nodes[node];
    uint64_t* const moments[] = {at.golden ? &at.golden->first_flit : &at.first_flit, &at.memory.first_write, &at.memory.last_write};
    return std::exchange(*moments[which], 0);
}

// Flits into and out of the switch, frames hit by an error, contributions reduced.
DOMAIN_EXPORT void domain_counts(Domain* domain, uint64_t* counts) {
    counts[0] = domain->fabric.flits_in;
    counts[1] = domain->fabric.flits_out;
    counts[2] = counts[3] = 0;
    for (auto& node : domain->nodes) counts[2] += node->up_wire.errors + node->down_wire.errors;
    counts[3] = domain->fabric.reduced;
}

// Packets that a golden node refused.
DOMAIN_EXPORT uint64_t domain_refused(Domain* domain, int node) { return domain->nodes[node]->golden->refused(); }

DOMAIN_EXPORT void domain_plain(Domain* domain, int node, int index, uint32_t* words) {
    get_plain(*domain->nodes[node]->model, index, words);
}

DOMAIN_EXPORT void domain_trace(Domain* domain, const char* path) {
    if (domain->wave) domain->wave->close();
    domain->wave.reset();
    if (!path) return;
    domain->wave.reset(new Wave);
#if LANE_TRACE_FST || LANE_TRACE_VCD
    domain->nodes[domain->wave_node]->model->trace(domain->wave.get(), 99);
#endif
    domain->wave->open(path);
}

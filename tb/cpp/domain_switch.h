// The switch of a domain: virtual output queues, round-robin grants a packet at a time, multicast, reduction units.
//
// Every cycle each input sends at most one flit a channel and each output takes at most one a channel. Packets of one
// input and channel to one output stay in order. A multicast packet, or the result of a reduction, has the bus of its
// channel to itself and goes into a short queue of every output that it is for; an output takes whole packets from
// there and from the inputs in turn.

#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "domain_header.h"  // kOp, kDestination, ...: where the fields of a header are; the codes of its operations
#include "domain_reduce.h"

namespace {

constexpr int kFlitBytes = 64, kHeaderBytes = 32, kMost = 128;

struct Flit {
    uint32_t words[Up0::words] = {};  // data 512, head, last

    bool head() const { return words[16] & 1; }
    bool last() const { return words[16] >> 1 & 1; }
    void mark(bool head, bool last) { words[16] = head | last << 1; }
    uint8_t* bytes() { return reinterpret_cast<uint8_t*>(words); }
    const uint8_t* bytes() const { return reinterpret_cast<const uint8_t*>(words); }
    uint64_t get(HeaderField at) const {
        uint64_t value = 0;
        std::memcpy(&value, bytes() + at.offset / 8, std::min<size_t>(8, kFlitBytes - at.offset / 8));
        return value >> at.offset % 8 & ((uint64_t{1} << at.width) - 1);
    }
    void set(HeaderField at, uint64_t value) {
        for (int bit = 0; bit < at.width; ++bit) {
            uint32_t& word = words[(at.offset + bit) / 32];
            const uint32_t mask = 1u << (at.offset + bit) % 32;
            word = value >> bit & 1 ? word | mask : word & ~mask;
        }
    }
};

struct Ports {  // a set of ports
    uint64_t words[2] = {};

    void add(int port) { words[port / 64] |= uint64_t{1} << port % 64; }
    void remove(int port) { words[port / 64] &= ~(uint64_t{1} << port % 64); }
    bool has(int port) const { return words[port / 64] >> port % 64 & 1; }
    bool empty() const { return !(words[0] | words[1]); }
    // The first member after `port`, around; -1 if there is none.
    int after(int port) const {
        for (int step = 0; step < 3; ++step) {
            const int start = step ? (step == 1 ? (port < 63 ? 64 : 0) : (port < 63 ? 0 : 64)) : port + 1;
            if (start >= kMost) continue;
            const uint64_t rest = words[start / 64] >> start % 64;
            if (rest) return start + __builtin_ctzll(rest);
        }
        return -1;
    }
};

struct Reduction {  // the contributions of one piece, and the nodes of its tree that wait for their partner
    std::vector<std::vector<uint8_t>> slots;
    std::vector<uint8_t> waits;  // by node and flit: 1 the partner is there, 2 as well and it is its level's last
    Flit head;
    int arrived = 0, flits = 0;
};

struct Token {  // a flit of a node of the tree; nodes are numbered from the root, 1, and those below n are 2 n, 2 n + 1
    Reduction* piece = nullptr;
    int node = 0, flit = 0;
    bool last = false;  // of its level
};

struct Pair {  // two contributions, or the odd one at the end, whose flits are to be added
    Reduction* piece;
    int node;
    bool last;
    uint64_t from;  // the cycle in which the first flits can be read
};

struct Unit {  // the reduction unit of a port
    static constexpr int kLoop = 5, kRead = 3;  // cycles through the adder; from the memory of slots to it

    std::deque<Flit> queue;
    std::map<std::tuple<int, int, int>, Reduction> pieces;
    std::vector<uint8_t>* filling = nullptr;  // of the packet that comes in
    std::tuple<int, int, int> key;
    std::deque<Pair> pairs;
    int read = 0;                                   // flits read of the first of the pairs
    Token fetched[kRead], added[kLoop];             // on their way
    size_t held = 0;                                // places
    std::deque<std::pair<uint64_t, Flit>> results;  // the cycle from which each flit may leave
};

class SwitchModel {
  public:
    uint64_t flits_in = 0, flits_out = 0, reduced = 0;

    // settings: {memory latency, wire latency, error rate, seed, queue depth, multicast depth,
    // pieces of a reduction unit}
    SwitchModel(int ports, const int64_t* settings)
        : ports_(ports), depth_(settings[4]), multicast_depth_(settings[5]), pieces_(settings[6]), units_(ports), groups_(256) {
        for (auto& channel : channels_) channel.resize(ports);
    }
    void set_group(int group, const uint32_t* bitmap) {
        for (int port = 0; port < ports_; ++port) {
            if (bitmap[port / 32] >> port % 32 & 1) groups_.at(group).add(port);
        }
    }
    bool room(int port, int channel) const { return channels_[channel].inputs[port].stage.size() < 2; }
    void put(int port, int channel, const Flit& flit) {
        Input& input = channels_[channel].inputs[port];
        input.stage.push_back(flit);
        if (flit.head()) input.stage.back().set(kSource, port);
        ++flits_in;
    }
    const Flit* front(int port, int channel) const {
        const Output& output = channels_[channel].outputs[port];
        return output.ready.empty() ? nullptr : &output.ready.front();
    }
    void take(int port, int channel) {
        channels_[channel].outputs[port].ready.pop_front();
        ++flits_out;
    }
    bool step(uint64_t cycle) {
        bool active = false;
        for (int channel = 0; channel < 2; ++channel) {
            active |= broadcast(channel, cycle);
            active |= cross(channel);
            active |= enter(channel);
        }
        for (int port = 0; port < ports_; ++port) active |= reduce(port, cycle);
        return active;
    }

  private:
    struct Input {
        std::deque<Flit> stage;                // came in; not yet sorted
        std::vector<std::deque<Flit>> queues;  // one an output, then the multicast one, then one a reduction unit
        int route = -1;                        // queue of the packet that comes in
        int accepted = -1;                     // the output served last
    };
    struct Output {
        std::deque<Flit> ready, multicast;
        Ports requests;   // inputs with a flit for it
        int locked = -1;  // input whose packet is under way; kMost: the multicast queue
        int turn = -1;    // input served last
        bool multicast_last = false;
    };
    struct Channel {
        std::vector<Input> inputs;
        std::vector<Output> outputs;  // of ports, then of reduction units
        Ports wanting;                // inputs with a multicast flit
        int holder = -1, turn = -1;   // of the bus: an input, or kMost + port for a reduction unit
        Ports members;                // outputs that the packet on the bus is for
        std::vector<int> chosen;      // of each input: the output that takes its next flit

        void resize(int ports) {
            inputs.resize(ports);
            chosen.resize(ports);
            outputs.resize(2 * ports);
            for (auto& input : inputs) input.queues.resize(2 * ports + 1);
        }
    };

    int ports_;
    size_t depth_, multicast_depth_, pieces_;
    std::vector<Unit> units_;
    std::vector<Ports> groups_;
    Channel channels_[2];

    int multicast_queue() const { return 2 * ports_; }

    // Flits go from the inputs into the queues.
    bool enter(int channel) {
        bool active = false;
        Channel& on = channels_[channel];
        for (int port = 0; port < ports_; ++port) {
            Input& input = on.inputs[port];
            if (input.stage.empty()) continue;
            const Flit& flit = input.stage.front();
            if (flit.head()) input.route = route(flit, port);
            auto& queue = input.queues[input.route];
            if (queue.size() >= depth_) continue;
            queue.push_back(flit);
            input.stage.pop_front();
            if (input.route == multicast_queue()) {
                on.wanting.add(port);
            } else {
                on.outputs[input.route].requests.add(port);
            }
            active = true;
        }
        return active;
    }
    // The queue of a packet. What the RTL would refuse, with an answer, ends the simulation here.
    int route(const Flit& flit, int port) const {
        const int destination = flit.get(kDestination);
        if (flit.get(kMulticast)) {
            if (groups_[destination].has(port)) return multicast_queue();
            throw std::runtime_error("port " + std::to_string(port) + " is not of group " + std::to_string(destination));
        }
        if (destination >= ports_) throw std::runtime_error("packet to port " + std::to_string(destination));
        return destination + (flit.get(kOp) == kReduceOp ? ports_ : 0);
    }

    // One flit an output: of the multicast queue in turn, else of an input that finds it.
    bool cross(int channel) {
        Channel& on = channels_[channel];
        bool active = false;
        std::fill(on.chosen.begin(), on.chosen.end(), -1);
        for (int index = 0; index < 2 * ports_; ++index) {
            Output& output = on.outputs[index];
            if (full(output, index)) continue;
            if (of_multicast(output)) {
                active |= from_multicast(output);
                continue;
            }
            const int at = output.locked >= 0 ? output.locked : output.requests.after(output.turn);
            if (at < 0 || !output.requests.has(at)) continue;
            int& chosen = on.chosen[at];  // an input sends one flit: of the packet under way, else the next in turn
            if (chosen < 0 || rank(on, at, index) < rank(on, at, chosen)) chosen = index;
        }
        for (int at = 0; at < ports_; ++at) {
            if (on.chosen[at] < 0) continue;
            move(on, at, on.chosen[at]);
            active = true;
        }
        return active;
    }
    bool full(const Output& output, int index) const {
        return index < ports_ ? output.ready.size() >= 2 : units_[index - ports_].queue.size() >= 2;
    }
    static bool of_multicast(const Output& output) {
        if (output.locked >= 0) return output.locked == kMost;
        return !output.multicast.empty() && (!output.multicast_last || output.requests.empty());
    }
    bool from_multicast(Output& output) {
        if (output.multicast.empty()) return false;
        output.ready.push_back(output.multicast.front());
        output.multicast.pop_front();
        output.locked = output.ready.back().last() ? -1 : kMost;
        output.multicast_last = true;
        return true;
    }
    int rank(const Channel& on, int at, int index) const {
        if (on.outputs[index].locked == at) return -1;
        return (index - on.inputs[at].accepted - 1 + 2 * ports_) % (2 * ports_);
    }
    void move(Channel& on, int at, int index) {
        Input& input = on.inputs[at];
        Output& output = on.outputs[index];
        auto& queue = input.queues[index];
        const Flit flit = queue.front();
        queue.pop_front();
        if (queue.empty()) output.requests.remove(at);
        output.locked = flit.last() ? -1 : at;
        output.turn = at;
        output.multicast_last = false;
        input.accepted = index;
        auto& to = index < ports_ ? output.ready : units_[index - ports_].queue;
        to.push_back(flit);
    }

    // One flit of the packet that has the bus, into the multicast queue of every output that it is for.
    bool broadcast(int channel, uint64_t cycle) {
        Channel& on = channels_[channel];
        if (on.holder < 0) {
            on.holder = next_holder(on, channel, cycle);
            if (on.holder < 0) return false;
            const Flit& head = *bus_front(on, channel, cycle);
            on.members = groups_[head.get(kDestination)];
            if (on.holder < kMost) on.members.remove(on.holder);  // what a port sends does not come back to it
        }
        const Flit* flit = bus_front(on, channel, cycle);
        if (!flit) return false;
        for (int port = 0; port < ports_; ++port) {
            if (on.members.has(port) && on.outputs[port].multicast.size() >= multicast_depth_) return false;
        }
        for (int port = 0; port < ports_; ++port) {
            if (on.members.has(port)) on.outputs[port].multicast.push_back(*flit);
        }
        const bool ends = flit->last();
        if (on.holder < kMost) {
            auto& queue = on.inputs[on.holder].queues[multicast_queue()];
            queue.pop_front();
            if (queue.empty()) on.wanting.remove(on.holder);
        } else {
            Unit& unit = units_[on.holder - kMost];
            if (ends) --unit.held;
            unit.results.pop_front();
        }
        if (ends) {
            on.turn = on.holder;
            on.holder = -1;
        }
        return true;
    }
    const Flit* bus_front(const Channel& on, int channel, uint64_t cycle) const {
        if (on.holder < kMost) {
            const auto& queue = on.inputs[on.holder].queues[multicast_queue()];
            return queue.empty() ? nullptr : &queue.front();
        }
        const auto& results = units_[on.holder - kMost].results;
        return results.empty() || results.front().first > cycle ? nullptr : &results.front().second;
    }
    // The next that wants the bus: inputs 0.., then reduction units (on RESPONSE), around from the one served last.
    int next_holder(const Channel& on, int channel, uint64_t cycle) const {
        const int from = on.turn < kMost ? on.turn : ports_ + on.turn - kMost;
        for (int step = 1; step <= 2 * ports_; ++step) {
            const int candidate = (from + step) % (2 * ports_);
            if (candidate < ports_) {
                if (on.wanting.has(candidate)) return candidate;
            } else if (channel == kResponse) {
                const auto& results = units_[candidate - ports_].results;
                if (!results.empty() && results.front().first <= cycle) return kMost + candidate - ports_;
            }
        }
        return -1;
    }

    // One flit of a contribution, and a cycle of the adders.
    bool reduce(int port, uint64_t cycle) {
        Unit& unit = units_[port];
        const bool adds = add(unit, cycle);
        if (unit.queue.empty()) return adds;
        const Flit flit = unit.queue.front();
        unit.queue.pop_front();
        if (flit.head()) {
            unit.key = {flit.get(kGroup), flit.get(kEvent), flit.get(kSequence)};
            if (!unit.pieces.count(unit.key) && ++unit.held > pieces_) {
                throw std::runtime_error("unit " + std::to_string(port) + " has no place for a contribution");
            }
            Reduction& piece = unit.pieces[unit.key];
            piece.slots.resize(flit.get(kRanks));
            unit.filling = &piece.slots.at(flit.get(kSlot));
            if (!unit.filling->empty()) throw std::runtime_error("a contribution came twice");
            if (!piece.arrived++) begin(piece, flit);
            unit.filling->assign(flit.bytes() + kHeaderBytes, flit.bytes() + kFlitBytes);
        } else {
            unit.filling->insert(unit.filling->end(), flit.bytes(), flit.bytes() + kFlitBytes);
        }
        if (!flit.last()) return true;
        ++reduced;
        Reduction& piece = unit.pieces[unit.key];
        const size_t slot = unit.filling - piece.slots.data(), ranks = piece.slots.size();
        const bool alone = slot + 1 == ranks && slot % 2 == 0;
        if (alone || piece.slots[slot ^ 1].size() == unit.filling->size()) {
            const int node = (tree_nodes() + static_cast<int>(slot)) / 2;
            unit.pairs.push_back({&piece, node, (slot | 1) + 1 >= ranks, cycle + 2});
        }
        return true;
    }
    // A number from which the slots are numbered as nodes of the tree.
    int tree_nodes() const {
        int nodes = 2;
        while (nodes < ports_) nodes *= 2;
        return nodes;
    }
    void begin(Reduction& piece, const Flit& head) const {
        piece.head = head;
        piece.flits = (head.get(kLength) + kHeaderBytes + kFlitBytes - 1) / kFlitBytes;
        piece.waits.assign(tree_nodes() * piece.flits, 0);
    }
    // What comes from the adders meets its partner and goes there again, else flits of a pair of contributions do.
    bool add(Unit& unit, uint64_t cycle) {
        Token& token = unit.added[cycle % Unit::kLoop];
        const bool was_busy = token.piece;
        if (token.piece) meet(unit, token, cycle);
        Token& next = unit.fetched[Unit::kRead - 1];
        const bool was_fetched = next.piece;
        if (!token.piece) std::swap(token, next);
        if (next.piece) return true;
        for (int stage = Unit::kRead - 1; stage > 0; --stage) unit.fetched[stage] = unit.fetched[stage - 1];
        unit.fetched[0] = {};
        if (unit.pairs.empty() || unit.pairs.front().from > cycle) return was_busy || was_fetched;
        const Pair& pair = unit.pairs.front();
        unit.fetched[0] = {pair.piece, pair.node, unit.read, pair.last};
        if (++unit.read == pair.piece->flits) {
            unit.read = 0;
            unit.pairs.pop_front();
        }
        return true;
    }
    // The token becomes what goes to the adders, if anything does.
    void meet(Unit& unit, Token& token, uint64_t cycle) {
        Reduction& piece = *token.piece;
        const auto first = [](int node) { return (node & (node - 1)) == 0; };  // of its level
        while (token.last && !first(token.node) && token.node % 2 == 0) token.node /= 2;
        if (token.last && first(token.node)) {
            if (token.flit + 1 == piece.flits) give(unit, piece, cycle);
            token.piece = nullptr;
            return;
        }
        token.node /= 2;
        uint8_t& waits = piece.waits[token.node * piece.flits + token.flit];
        if (waits) {
            token.last |= waits == 2;
            waits = 0;
        } else {
            waits = token.last ? 2 : 1;
            token.piece = nullptr;
        }
    }
    void give(Unit& unit, const Reduction& piece, uint64_t cycle) {
        std::vector<const uint8_t*> slots;
        for (const auto& slot : piece.slots) slots.push_back(slot.data());
        std::vector<uint8_t> result(piece.slots[0].size());
        reduce::tree(piece.head.get(kKind), piece.head.get(kFormat), slots, result.size(), result.data());
        const size_t length = piece.head.get(kLength);
        std::fill(result.begin() + length, result.end(), 0);
        Flit flit;
        for (HeaderField kept : {kGroup, kEvent, kSequence, kLength, kPartition, kWindow, kEpoch, kKey, kOffset}) {
            flit.set(kept, piece.head.get(kept));
        }
        flit.set(kOp, kResultOp);
        flit.set(kEnd, 1);
        flit.set(kMulticast, 1);
        flit.set(kSource, kSwitchSource);
        flit.set(kDestination, piece.head.get(kGroup));
        flit.set(kSlot, piece.head.get(kImmediate) & 0xff);
        size_t at = 0, bytes = kHeaderBytes;
        while (at < result.size()) {
            const bool head = at == 0;
            bytes = head ? kHeaderBytes : kFlitBytes;
            std::memcpy(flit.bytes() + (head ? kHeaderBytes : 0), &result[at], bytes);
            at += bytes;
            flit.mark(head, at >= result.size());
            unit.results.push_back({cycle + kSendLatency, flit});
        }
        unit.pieces.erase({piece.head.get(kGroup), piece.head.get(kEvent), piece.head.get(kSequence)});
    }
    static constexpr int kSendLatency = 3;  // from the adder to the bus
};

}  // namespace

// What a golden node knows: rows of its tables, indices, lengths, and which descriptors it refuses.
//
// The rules are those of golden/message_entry.py and golden/message_rules.py; the layouts come from mtia.message.

#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "domain_golden_layouts.h"
#include "domain_switch.h"

namespace {

namespace golden {

using Mask = unsigned __int128;  // a bit a rank

template <size_t N> struct Row {  // the fields of a word
    std::array<uint64_t, N> value{};

    uint64_t operator[](int field) const { return value[field]; }
    uint64_t& operator[](int field) { return value[field]; }
};
using Window = Row<window::kFields>;
using Communicator = Row<communicator::kFields>;
using Descriptor = Row<descriptor::kFields>;
using Header = Row<header::kFields>;
using Program = Row<program::kFields>;

// The row whose lowest bit is bit `base` of the words.
template <size_t N> Row<N> unpack(const HeaderField (&layout)[N], const uint32_t* words, size_t count, int base = 0) {
    std::array<uint8_t, 160> bytes{};
    std::memcpy(bytes.data(), words, std::min(4 * count, bytes.size() - sizeof(Mask)));
    Row<N> row;
    for (size_t field = 0; field < N; ++field) {
        const int at = base + layout[field].offset, width = layout[field].width;
        Mask value = 0;
        std::memcpy(&value, &bytes[at / 8], sizeof value);
        row[field] = static_cast<uint64_t>(value >> at % 8 & ((Mask{1} << width) - 1));
    }
    return row;
}

// Fields of at most 48 bits into bytes that are 0, with 8 bytes of room behind the last.
template <size_t N> void pack(const HeaderField (&layout)[N], const Row<N>& row, uint8_t* bytes) {
    for (size_t field = 0; field < N; ++field) {
        if (!row[field]) continue;
        const int at = layout[field].offset, width = layout[field].width;
        uint64_t value = 0;
        std::memcpy(&value, bytes + at / 8, sizeof value);
        value |= (row[field] & ((uint64_t{1} << width) - 1)) << at % 8;
        std::memcpy(bytes + at / 8, &value, sizeof value);
    }
}

// Whether an operation's packets are a header alone: an answer, and no part of a message.
inline bool is_answer(uint64_t op) {
    return op == packet_op::kReady || op == packet_op::kDone || op == packet_op::kRefused;
}

struct Cut {  // what decides the operands of an entry: a rank of so many, the root, and the cut of the collective
    int64_t rank = 0, ranks = 1, root = 0, owners = 0, bytes = 0, chunk = 0, last = 0, piece = 0, pieces = 0;

    Cut() = default;
    Cut(const Communicator& on, const Descriptor& d)
        : rank(on[communicator::kRank]), ranks(on[communicator::kRanks]), root(d[descriptor::kRoot]),
          owners(d[descriptor::kOwners]), bytes(d[descriptor::kBytes]), chunk(d[descriptor::kChunk]),
          last(d[descriptor::kLast]), piece(d[descriptor::kPiece]), pieces(d[descriptor::kPieces]) {}

    int64_t size(int64_t index) const { return index < owners - 1 ? chunk : index == owners - 1 ? last : 0; }
    int64_t clip(int64_t size, int64_t number) const {
        return std::max<int64_t>(0, std::min(piece, size - number * piece));
    }
    int64_t length(int64_t index, int64_t number) const { return clip(size(index), number); }
};

struct Index {  // an affine index
    int rank = 0, step = 0, root = 0, offset = 0;

    Index() = default;
    // its four fields, the first of them at `first`
    Index(const Row<entry::kFields>& row, int first)
        : rank(sign(row[first], 2)), step(sign(row[first + 1], 2)), root(static_cast<int>(row[first + 2])),
          offset(sign(row[first + 3], 4)) {}

    int64_t at(const Cut& cut, int64_t number) const {
        const int64_t value = (cut.rank * rank + number * step + cut.root * root + offset) % cut.ranks;
        return value < 0 ? value + cut.ranks : value;
    }
    static int sign(uint64_t value, int bits) {
        const int half = 1 << (bits - 1);
        return (static_cast<int>(value) + half) % (2 * half) - half;
    }
};

struct Operand {  // a source or a target
    int base = 0;
    bool scaled = false, pieced = false;
    Index index;

    Operand() = default;
    Operand(const Row<entry::kFields>& row, int first)
        : base(static_cast<int>(row[first])), scaled(row[first + 1]), pieced(row[first + 2]), index(row, first + 3) {}

    uint64_t displacement(const Cut& cut, int64_t step, int64_t piece) const {
        return (scaled ? index.at(cut, step) * cut.chunk : 0) + (pieced ? piece * cut.piece : 0);
    }
};

struct Work {  // a work queue entry
    int op = 0, sync = 0, expect = 0, predicate = 0, repeat = 0, extent = 0, wait_phase = 0, wait_lag = 0, set_phase = 0;
    bool expect_self = false, closes = false, ends = true, multicast = false, acknowledge = false, sized = false;
    Index peer, chunk;
    Operand source, target;

    Work() = default;
    explicit Work(const Row<entry::kFields>& row)
        : op(row[entry::kOp]), sync(row[entry::kSync]), expect(row[entry::kExpect]), predicate(row[entry::kPredicate]),
          repeat(row[entry::kRepeat]), extent(row[entry::kExtent]), wait_phase(row[entry::kWaitPhase]),
          wait_lag(row[entry::kWaitLag]), set_phase(row[entry::kSetPhase]), expect_self(row[entry::kExpectSelf]),
          closes(row[entry::kCloses]), ends(row[entry::kEnds]), multicast(row[entry::kMulticast]),
          acknowledge(row[entry::kAcknowledge]), sized(row[entry::kSized]), peer(row, entry::kPeerRank),
          chunk(row, entry::kChunkRank), source(row, entry::kSourceBase), target(row, entry::kTargetBase) {}

    bool runs(const Cut& cut) const {
        if (predicate == predicate::kAlways) return true;
        return (predicate == predicate::kRoot) == (cut.rank == cut.root);
    }
    int64_t steps(const Cut& cut) const {
        const int64_t counts[] = {1, cut.ranks - 1, cut.ranks, cut.ranks - 2};
        return std::max<int64_t>(0, counts[repeat]);
    }
    bool stepwise() const { return sync == sync::kSendSync || sync == sync::kForwardSync; }
    // Bytes of a step, without a look at the table of sizes.
    int64_t length(const Cut& cut, int64_t step, int64_t piece) const {
        if (extent == extent::kEmpty) return 0;
        return extent == extent::kWhole ? cut.clip(cut.bytes, piece) : cut.length(chunk.at(cut, step), piece);
    }
    // Whether a step of so many bytes is made.
    bool takes(const Cut& cut, int64_t step, int64_t length) const {
        if (predicate == predicate::kAmongOthers && peer.at(cut, step) == cut.root) return false;
        return length > 0 || extent == extent::kEmpty || extent == extent::kEvery;
    }
    // The slots whose arrival RECEIVE_SYNC waits for, in a piece.
    Mask expected(const Cut& cut, int64_t piece) const {
        piece -= wait_lag;
        if (piece < 0) return 0;
        Mask mask = 0;
        if (expect == expect::kRoot) {
            mask = Mask{1} << cut.root;
        } else if (expect == expect::kOwners) {
            for (int64_t index = 0; index < cut.owners; ++index) {
                if (cut.length(index, piece)) mask |= Mask{1} << index;
            }
        } else if (expect != expect::kPeers || cut.length(cut.rank, piece)) {
            mask = (Mask{1} << cut.ranks) - 1;
        }
        return expect_self ? mask : mask & ~(Mask{1} << cut.rank);
    }
};

struct Sizes {  // of a node's tables and packets, as mtia.message_profiles
    int64_t mtu, windows, communicators, partitions, completions, programs;
};

struct Tables {
    Sizes sizes;
    std::vector<Window> windows;
    std::vector<Communicator> communicators;
    std::vector<Work> context;
    std::vector<Program> programs;

    explicit Tables(const Sizes& of)
        : sizes(of), windows(of.windows), communicators(of.communicators), context(size_t{1} << kEntryAddressBits),
          programs(of.programs) {}

    // What is wrong with a descriptor from the ring of a partition, so that nothing of it may be done.
    int malformed(const Descriptor& d, uint64_t ring) const {
        const uint64_t op = d[descriptor::kOp];
        if (op > descriptor_op::kNoop) return fault::kOperation;
        if (d[descriptor::kComparison] > comparison::kLess) return fault::kComparison;
        if (d[descriptor::kPartition] != ring) return fault::kPartition;
        if (d[descriptor::kSemaphore] % 4) return fault::kSemaphore;
        if (op == descriptor_op::kNoop) return fault::kNone;
        if (d[descriptor::kInput] % kAtomBytes) return fault::kInput;
        if (d[descriptor::kOutput] % kAtomBytes) return fault::kOutput;
        if (op == descriptor_op::kPut && d[descriptor::kPeer] >= kMaxRanks) return fault::kPeer;
        return op == descriptor_op::kCollective ? senseless(d) : fault::kNone;
    }

  private:
    int senseless(const Descriptor& d) const {
        if (d[descriptor::kCommunicator] >= communicators.size()) return fault::kCommunicator;
        const Communicator& on = communicators[d[descriptor::kCommunicator]];
        const uint64_t ranks = on[communicator::kRanks], format = d[descriptor::kFormat], pieces = d[descriptor::kPieces];
        if (!on[communicator::kValid] || on[communicator::kPartition] != d[descriptor::kPartition] || ranks < 1 ||
            ranks > kMaxRanks || on[communicator::kRank] >= ranks || on[communicator::kOutput] % kAtomBytes) {
            return fault::kCommunicator;
        }
        if (d[descriptor::kProgram] >= programs.size()) return fault::kProgram;
        const uint64_t subgraphs = programs[d[descriptor::kProgram]][program::kSubgraphs];
        if (subgraphs < 1 || subgraphs > kSubgraphs) return fault::kProgram;
        if (d[descriptor::kOutput] < on[communicator::kOutput]) return fault::kOutput;
        if (d[descriptor::kRoot] >= ranks) return fault::kRoot;
        if (d[descriptor::kOwners] > ranks) return fault::kOwners;
        if (d[descriptor::kChunk] % kAtomBytes) return fault::kChunk;
        if (d[descriptor::kPiece] % kAtomBytes || pieces < 1 || pieces > kMaxPieces) return fault::kPiece;
        if (d[descriptor::kLast] > d[descriptor::kChunk]) return fault::kLast;
        return format % 4 == 3 || format / 4 > 6 ? fault::kFormat : fault::kNone;
    }
};

}  // namespace golden

}  // namespace

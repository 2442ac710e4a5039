// Atoms of an HBM channel: what was written, what an unwritten place holds, and bit errors.
//
// An atom is 266 bits: 8 words of data (bits 0 to 255), then 10 check bits (256 to 265). Its key packs where it is,
// from the lowest bit up: column 8, row 20, bank 4, bank group 4, SID 3, pseudo-channel 1, channel 6 bits.

#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace hbm {

struct Place {  // of an atom, or of a bank where row and column do not matter
    uint32_t pc = 0, sid = 0, bank_group = 0, bank = 0, row = 0, column = 0;

    uint64_t key(uint64_t channel) const {
        const uint64_t unit = ((channel << 1 | pc) << 3 | sid) << 4 | bank_group;
        return ((unit << 4 | bank) << 20 | row) << 8 | column;
    }
};

struct Shape {  // counts of the organization
    int64_t sids, bank_groups, banks, rows, columns;
};

struct Atom {
    std::array<uint32_t, 8> data;
    uint16_t check;

    void flip(int bit) {
        if (bit < 256) data[bit / 32] ^= uint32_t{1} << bit % 32;
        else check ^= 1 << (bit - 256);
    }
    bool bit(int at) const { return at < 256 ? data[at / 32] >> at % 32 & 1 : check >> (at - 256) & 1; }
};

// What an atom holds before it is written: word `word` of the atom of that number in its channel, the numbers counted
// with pseudo-channel, SID, bank group, bank, row and column from the highest digit down.
inline uint32_t default_word(uint32_t number, uint32_t channel, uint32_t word) {
    uint32_t x = 8 * number + word + (channel + 1) * 0x9e3779b9u;
    x = (x ^ (x >> 16)) * 0x85ebca6bu;
    x = (x ^ (x >> 13)) * 0xc2b2ae35u;
    return x ^ (x >> 16);
}

enum FaultKind : uint64_t {
    kTransient = 0,  // a read returns the bit inverted; what is stored is as before
    kUpset = 1,      // the stored bit is inverted once, until the atom is written
    kStuck0 = 2,     // reads return 0, whatever is written
    kStuck1 = 3,     // reads return 1
};

struct Fault {
    uint64_t key;  // kEverywhere: of every atom
    uint64_t bit, kind;
    int64_t from, to;  // in the CK from..to-1
    bool once;         // ends with the first access that it changes
    bool spent = false;

    static constexpr uint64_t kEverywhere = ~uint64_t{0};
    bool active(int64_t ck) const { return !spent && ck >= from && ck < to; }
};

class Memory {
  public:
    void configure(const Shape& shape, const int64_t* columns) {  // of 256 data bits: the check bits that each adds
        shape_ = shape;
        for (int octet = 0; octet < 32; ++octet) {
            for (int value = 0; value < 256; ++value) {
                uint16_t sum = 0;
                for (int bit = 0; bit < 8; ++bit) sum ^= value >> bit & 1 ? columns[8 * octet + bit] : 0;
                table_[octet][value] = sum;
            }
        }
    }

    uint16_t check_bits(const std::array<uint32_t, 8>& data) const {
        uint16_t sum = 0;
        for (int octet = 0; octet < 32; ++octet) sum ^= table_[octet][data[octet / 4] >> octet % 4 * 8 & 255];
        return sum;
    }

    Atom stored(uint64_t key) const {  // without errors that reads see
        const auto found = atoms_.find(key);
        return found != atoms_.end() ? found->second : unwritten(key);
    }

    void store(uint64_t key, const Atom& atom) { atoms_[key] = atom; }

    Atom read(uint64_t key, int64_t ck) {
        if (faults_.empty()) return stored(key);
        upset(key, ck);
        Atom atom = stored(key);
        for (Fault& fault : faults_) {
            if (!applies(fault, key, ck) || fault.kind == kUpset) continue;
            const bool changes = fault.kind == kTransient || atom.bit(fault.bit) != (fault.kind == kStuck1);
            if (!changes) continue;
            atom.flip(fault.bit);
            fault.spent |= fault.once;
        }
        return atom;
    }

    void write(uint64_t key, const Atom& atom, int64_t ck) {
        if (!faults_.empty()) upset(key, ck);  // overwritten at once: the error is over
        store(key, atom);
    }

    void inject(const Fault& fault) { faults_.push_back(fault); }
    void clear_faults() { faults_.clear(); }

    template <class F> void each_written(F f) const {
        for (const auto& entry : atoms_) f(entry.first);
    }

  private:
    Atom unwritten(uint64_t key) const {
        auto take = [&](int bits) {
            const uint64_t field = key & ((uint64_t{1} << bits) - 1);
            key >>= bits;
            return field;
        };
        const uint64_t column = take(8), row = take(20), bank = take(4), group = take(4), sid = take(3), pc = take(1);
        uint64_t number = (pc * shape_.sids + sid) * shape_.bank_groups + group;
        number = ((number * shape_.banks + bank) * shape_.rows + row) * shape_.columns + column;
        Atom atom;
        for (int word = 0; word < 8; ++word) atom.data[word] = default_word(number, key, word);  // left: the channel
        atom.check = check_bits(atom.data);
        return atom;
    }

    static bool applies(const Fault& fault, uint64_t key, int64_t ck) {
        return fault.active(ck) && (fault.key == key || fault.key == Fault::kEverywhere);
    }

    void upset(uint64_t key, int64_t ck) {
        for (Fault& fault : faults_) {
            if (fault.kind != kUpset || !applies(fault, key, ck)) continue;
            Atom atom = stored(key);
            atom.flip(fault.bit);
            store(key, atom);
            fault.spent = true;
        }
    }

    Shape shape_{};
    std::unordered_map<uint64_t, Atom> atoms_;
    std::vector<Fault> faults_;
    uint16_t table_[32][256];
};

}  // namespace hbm

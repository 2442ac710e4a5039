// The arithmetic of a reduction in C++: operands widened to FP32, combined along the tree, rounded once.
//
// Held to golden.near_memory by a test of its own (see tests/tb/test_domain.py).

#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace {

namespace reduce {

constexpr int kAtom = 32;
enum Kind : int { kCopy, kSum, kMax, kMin };

inline float from_bits(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}
inline uint32_t to_bits(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return std::isnan(value) ? 0x7fc00000u : bits;
}

inline float from_fp16(uint16_t code) {
    const int exponent = code >> 10 & 31, mantissa = code & 1023;
    const float sign = code & 0x8000 ? -1.0f : 1.0f;
    if (exponent == 31) return mantissa ? std::numeric_limits<float>::quiet_NaN() : sign * std::numeric_limits<float>::infinity();
    const int whole = exponent ? 1024 + mantissa : mantissa;
    return sign * std::ldexp(static_cast<float>(whole), (exponent ? exponent : 1) - 25);
}

// `bits` rounded to nearest even to its upper bits, `drop` at the bottom left out.
inline uint32_t round_off(uint32_t bits, int drop) {
    const uint32_t half = 1u << (drop - 1), odd = bits >> drop & 1;
    return (bits + half - 1 + odd) >> drop;
}

inline uint16_t to_bf16(float value) {
    const uint32_t bits = to_bits(value);
    return std::isnan(value) ? 0x7fc0 : static_cast<uint16_t>(round_off(bits, 16));
}

inline uint16_t to_fp16(float value) {
    if (std::isnan(value)) return 0x7e00;
    const uint32_t bits = to_bits(value);
    const uint16_t sign = bits >> 16 & 0x8000;
    const uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude >= 0x47800000u) return sign | 0x7c00;  // 65536 and above
    if (magnitude >= 0x38800000u) {                        // normal: bias 127 to 15
        return sign | static_cast<uint16_t>(round_off(magnitude - (112u << 23), 13));
    }
    // subnormal: units of 2^-24, exact in double, rounded to even by nearbyint
    return sign | static_cast<uint16_t>(std::nearbyint(std::ldexp(static_cast<double>(from_bits(magnitude)), 24)));
}

struct Element {  // an MX element: sign, exponent and mantissa bits, bias; INT8 has none of them
    int exponent, mantissa, bias;
    bool ieee, nan_at_top;
};
// in the order of ReduceFormat >> 2, from 1 on: E5M2, E4M3, E3M2, E2M3, E2M1, INT8
constexpr Element kElements[] = {{5, 2, 15, true, false}, {4, 3, 7, false, true}, {3, 2, 3, false, false},
                                 {2, 3, 1, false, false}, {2, 1, 1, false, false}, {0, 0, 0, false, false}};

inline double element(int index, uint8_t byte) {
    if (index == 5) return static_cast<int8_t>(byte) / 64.0;
    const Element& row = kElements[index];
    const int width = 1 + row.exponent + row.mantissa;
    const int code = byte & ((1 << width) - 1);
    const int mantissa = code & ((1 << row.mantissa) - 1);
    const int exponent = code >> row.mantissa & ((1 << row.exponent) - 1);
    const double sign = code >> (width - 1) ? -1.0 : 1.0;
    const int top = (1 << row.exponent) - 1;
    if (row.ieee && exponent == top) {
        return mantissa ? std::numeric_limits<double>::quiet_NaN() : sign * std::numeric_limits<double>::infinity();
    }
    if (row.nan_at_top && exponent == top && mantissa == (1 << row.mantissa) - 1) {
        return std::numeric_limits<double>::quiet_NaN();
    }
    const int whole = exponent ? (1 << row.mantissa) + mantissa : mantissa;
    return sign * std::ldexp(whole, (exponent ? exponent : 1) - row.bias - row.mantissa);
}

// Numbers of one operand atom; returns how many.
inline int widen(int format, const uint8_t* atom, float* numbers) {
    const int memory = format & 3, operand = format >> 2;
    const int lanes = memory == 0 ? 8 : 16;
    for (int lane = 0; lane < lanes; ++lane) {
        if (operand) {
            const int scale = atom[31];
            const double value = element(operand - 1, atom[lane]);
            numbers[lane] = scale == 255 ? std::numeric_limits<float>::quiet_NaN()
                                         : static_cast<float>(std::ldexp(value, scale - 127));
        } else if (memory == 0) {
            uint32_t bits;
            std::memcpy(&bits, atom + 4 * lane, 4);
            numbers[lane] = from_bits(bits);
        } else {
            uint16_t bits;
            std::memcpy(&bits, atom + 2 * lane, 2);
            numbers[lane] = memory == 1 ? from_bits(static_cast<uint32_t>(bits) << 16) : from_fp16(bits);
        }
    }
    return lanes;
}

inline void narrow(int format, const float* numbers, uint8_t* atom) {
    const int memory = format & 3;
    for (int lane = 0; lane < (memory == 0 ? 8 : 16); ++lane) {
        if (memory == 0) {
            const uint32_t bits = to_bits(numbers[lane]);
            std::memcpy(atom + 4 * lane, &bits, 4);
        } else {
            const uint16_t bits = memory == 1 ? to_bf16(numbers[lane]) : to_fp16(numbers[lane]);
            std::memcpy(atom + 2 * lane, &bits, 2);
        }
    }
}

inline float combine(int kind, float a, float b) {
    if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<float>::quiet_NaN();
    if (kind == kSum) return a + b;
    const bool a_larger = a > b || (a == b && !std::signbit(a));
    return a_larger == (kind == kMax) ? a : b;
}

// Slots (count, size) become one of `size` bytes, a multiple of an atom.
inline void tree(int kind, int format, const std::vector<const uint8_t*>& slots, size_t size, uint8_t* result) {
    std::vector<float> level(slots.size() * 16);
    for (size_t at = 0; at < size; at += kAtom) {
        int lanes = 0;
        for (size_t slot = 0; slot < slots.size(); ++slot) lanes = widen(format, slots[slot] + at, &level[slot * 16]);
        for (size_t count = slots.size(); count > 1; count = (count + 1) / 2) {
            for (size_t pair = 0; pair < (count + 1) / 2; ++pair) {
                for (int lane = 0; lane < lanes; ++lane) {
                    const float a = level[2 * pair * 16 + lane];
                    level[pair * 16 + lane] = 2 * pair + 1 < count ? combine(kind, a, level[(2 * pair + 1) * 16 + lane]) : a;
                }
            }
        }
        narrow(format, level.data(), result + at);
    }
}

}  // namespace reduce

}  // namespace

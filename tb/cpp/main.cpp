// A plain harness around the same model as the lane: one process, whole files in, whole files out, no pauses.
//
//   main MAX_CYCLES INDEX=WORDS.. INPUT_FILE.. COUNT:OUTPUT_FILE..
//
// INDEX=WORDS drives a plain port, by its index, with comma-separated hexadecimal words. Prints cycles and CPU-seconds.

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <tuple>
#include <vector>

#include "bench.h"

namespace {

std::vector<uint32_t> read_words(const char* path) {
    std::vector<uint32_t> words;
    FILE* file = std::fopen(path, "rb");
    if (!file) throw std::runtime_error(std::string("cannot read ") + path);
    std::fseek(file, 0, SEEK_END);
    words.resize(std::ftell(file) / sizeof(uint32_t));
    std::rewind(file);
    if (std::fread(words.data(), sizeof(uint32_t), words.size(), file) != words.size()) words.clear();
    std::fclose(file);
    return words;
}

void write_words(const std::string& path, const std::vector<uint32_t>& words) {
    FILE* file = std::fopen(path.c_str(), "wb");
    if (!file) throw std::runtime_error("cannot write " + path);
    std::fwrite(words.data(), sizeof(uint32_t), words.size(), file);
    std::fclose(file);
}

template <class P> struct Reader {
    std::vector<uint32_t> words;
    size_t next = 0;
    void drive(Vtop& top) {
        const bool more = next < words.size();
        P::set_valid(top, more);
        if (more) store(P::payload(top), &words[next]);
    }
    void sample(Vtop& top) {
        if (next < words.size() && P::ready(top)) next += P::words;
    }
};

template <class P> struct Writer {
    static constexpr size_t beat = P::words;
    std::vector<uint32_t> words;
    std::string path;
    size_t wanted = 0;
    void drive(Vtop& top) { P::set_ready(top, true); }
    void sample(Vtop& top) {
        if (!P::valid(top)) return;
        words.resize(words.size() + P::words);
        load(P::payload(top), &words[words.size() - P::words]);
    }
    bool done() const { return words.size() >= wanted; }
};

template <class... P> std::tuple<Reader<P>...> readers_of(Types<P...>);
template <class... P> std::tuple<Writer<P>...> writers_of(Types<P...>);

void set_port(Vtop& top, const char* setting) {  // INDEX=WORD,WORD..
    char* rest;
    const int index = std::strtol(setting, &rest, 10);
    std::vector<uint32_t> words;
    while (*rest) words.push_back(std::strtoul(rest + 1, &rest, 16));
    words.push_back(0);
    set_plain(top, index, words.data());
}

int simulate(int argc, char** argv) {
    decltype(readers_of(Inputs{})) readers;
    decltype(writers_of(Outputs{})) writers;
    VerilatedContext context;
    Vtop top{&context, "top"};
    int at = 1;
    if (argc < 2) throw std::runtime_error("arguments: MAX_CYCLES INDEX=WORDS.. INPUT_FILE.. COUNT:OUTPUT_FILE..");
    const uint64_t max_cycles = std::strtoull(argv[at++], nullptr, 10);
    while (at < argc && std::strchr(argv[at], '=')) set_port(top, argv[at++]);
    if (argc - at != int(std::tuple_size_v<decltype(readers)> + std::tuple_size_v<decltype(writers)>)) {
        throw std::runtime_error("one file must be given for each stream");
    }
    std::apply([&](auto&... reader) { ((reader.words = read_words(argv[at++])), ...); }, readers);
    auto open = [&](auto& writer) {
        char* colon;
        writer.wanted = std::strtoull(argv[at++], &colon, 10) * writer.beat;
        writer.path = colon + 1;
        writer.words.reserve(writer.wanted + writer.beat);
    };
    std::apply([&](auto&... writer) { (open(writer), ...); }, writers);

    const std::clock_t start = std::clock();
    uint64_t cycles = 0;
    bool done = false;
    set_reset(top, true);
    for (int i = 0; i < 4 + 2 * LANE_RESET_REGISTERED; ++i) {
        if (i == 4) set_reset(top, false);  // the design sees it a cycle later
        set_clock(top, i & 1);
        top.eval();
    }
    set_reset(top, false);
    while (!done && cycles != max_cycles) {
        std::apply([&](auto&... reader) { (reader.drive(top), ...); }, readers);
        std::apply([&](auto&... writer) { (writer.drive(top), ...); }, writers);
        set_clock(top, false);
        top.eval();
        std::apply([&](auto&... reader) { (reader.sample(top), ...); }, readers);
        std::apply([&](auto&... writer) { (writer.sample(top), ...); }, writers);
        set_clock(top, true);
        top.eval();
        ++cycles;
        done = std::apply([&](auto&... writer) { return (writer.done() && ...); }, writers);
    }
    const double seconds = double(std::clock() - start) / CLOCKS_PER_SEC;
    top.final();
    std::apply([&](auto&... writer) { (write_words(writer.path, writer.words), ...); }, writers);
    std::printf("%llu %.6f\n", static_cast<unsigned long long>(cycles), seconds);
    return done ? 0 : 3;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return simulate(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}

// Drives one Verilated model over buffers: queued beats go in, taken beats come out, at the model's own speed.
//
// The generated lane_ports.h describes the ports as types (see tb/lane.py); everything else here is the same for
// every model. A cycle is two evaluations: inputs settle with the clock low, then the clock rises.
//
// lane_models.h lists the C++ models that stand beside the design (see tb/models/cpp.py): each sees the settled
// outputs of a cycle, and drives its inputs for the next one after the edge.

#include <exception>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "streams.h"
#include "wave.h"
#include "lane_models.h"

#define LANE_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

template <class... P> std::tuple<Source<P>...> sources_of(Types<P...>);
template <class... P> std::tuple<Sink<P>...> sinks_of(Types<P...>);
template <class... M> std::tuple<M...> models_of(Types<M...>);

struct Lane {
    std::unique_ptr<VerilatedContext> context{new VerilatedContext};
    std::unique_ptr<Vtop> model;
    std::unique_ptr<Wave> wave;
    decltype(sources_of(Inputs{})) sources;
    decltype(sinks_of(Outputs{})) sinks;
    decltype(models_of(Models{})) models;
    std::vector<Stream*> streams;  // inputs, then outputs
    uint64_t cycle = 0;
    uint64_t wave_time = 0;
    uint64_t quiet = 0;  // cycles since the last transfer
    int culprit = -1;
    bool record = false;
    std::string message;
    std::vector<uint8_t> answer;  // of the model that was called last

    Lane() {
        context->traceEverOn(LANE_TRACE_FST || LANE_TRACE_VCD);
        model.reset(new Vtop{context.get(), ""});
        std::apply([&](auto&... each) { (streams.push_back(&each), ...); }, sources);
        std::apply([&](auto&... each) { (streams.push_back(&each), ...); }, sinks);
    }
    ~Lane() {
        if (wave) wave->close();
        model->final();
    }

    template <class F> void each_source(F f) {
        std::apply([&](auto&... each) { (f(each), ...); }, sources);
    }
    template <class F> void each_sink(F f) {
        std::apply([&](auto&... each) { (f(each), ...); }, sinks);
    }
    template <class F> void each_model(F f) {
        std::apply([&](auto&... each) { (f(each), ...); }, models);
    }

    template <bool kWave> void clock_low() {
        set_clock(*model, 0);
        model->eval();
        if constexpr (kWave) wave->dump(wave_time += 5);
    }
    template <bool kWave> void clock_high() {
        set_clock(*model, 1);
        model->eval();
        if constexpr (kWave) wave->dump(wave_time += 5);
    }

    void settle() {  // after a run: nothing offered, nothing accepted, outputs up to date
        each_source([&](auto& source) { source.idle(*model); });
        each_sink([&](auto& sink) { sink.idle(*model); });
        model->eval();
    }

    void reset(uint64_t length) {
        each_source([&](auto& source) { source.reset(); });
        each_sink([&](auto& sink) { sink.reset(); });
        each_model([&](auto& each) { each.reset(*model); });
        settle();
        set_reset(*model, 1);
        for (uint64_t i = 0; i < length + LANE_RESET_REGISTERED; ++i) {
            if (i == length) set_reset(*model, 0);  // the design sees it a cycle later
            if (wave) {
                clock_low<true>();
                clock_high<true>();
            } else {
                clock_low<false>();
                clock_high<false>();
            }
        }
        set_reset(*model, 0);
        model->eval();
        cycle = quiet = 0;
    }

    // `until`: for each output, words that must wait to be pulled; `drain`: all inputs taken.
    bool finished(const uint64_t* until, bool drain) {
        size_t index = 0;
        bool done = true;
        each_source([&](auto& source) {
            if (drain && source.waiting()) done = false;
        });
        each_sink([&](auto& sink) {
            if (sink.waiting() < until[index++]) done = false;
        });
        return done;
    }

    template <bool kPauses, bool kWave>
    Status run(const uint64_t* until, bool drain, bool fixed, uint64_t end, uint64_t stall) {
        Status status = kSlice;
        while (cycle != end) {
            each_source([&](auto& source) { source.template drive<kPauses>(*model, cycle); });
            each_sink([&](auto& sink) { sink.template drive<kPauses>(*model); });
            clock_low<kWave>();
            bool moved = false;
            int index = 0;
            each_source([&](auto& source) {
                moved |= source.sample(*model, cycle, record);
                ++index;
            });
            each_sink([&](auto& sink) {
                moved |= sink.template sample<kPauses>(*model, cycle, record, status);
                if (status != kSlice && culprit < 0) culprit = index;
                ++index;
            });
            each_model([&](auto& each) { each.sample(*model, cycle); });
            clock_high<kWave>();
            each_model([&](auto& each) { each.drive(*model); });
            ++cycle;
            if (status != kSlice) return status;
            if (moved) {
                quiet = 0;
                if (!fixed && finished(until, drain)) return kDone;
            } else if (waits_for_its_cycle()) {
                quiet = 0;
            } else if (++quiet >= stall) {
                return kStalled;
            }
        }
        return status;
    }

    bool waits_for_its_cycle() {
        bool early = false;
        each_source([&](auto& source) { early |= !source.offered && source.early(cycle); });
        return early;
    }
};

template <class F> int guarded(Lane* lane, F f) {
    try {
        return f();
    } catch (const std::exception& error) {
        lane->message = error.what();
        return kFailed;
    }
}

}  // namespace

LANE_EXPORT Lane* lane_new() { return new Lane; }
LANE_EXPORT void lane_free(Lane* lane) { delete lane; }
LANE_EXPORT uint64_t lane_cycle(Lane* lane) { return lane->cycle; }
LANE_EXPORT int lane_culprit(Lane* lane) { return lane->culprit; }
LANE_EXPORT const char* lane_message(Lane* lane) { return lane->message.c_str(); }

LANE_EXPORT int lane_reset(Lane* lane, uint64_t length) {
    return guarded(lane, [&] { return lane->reset(length), kDone; });
}

// `not_before`: for each of the `count` beats of `size` words the first cycle it may be offered in, or null.
LANE_EXPORT void lane_push(
    Lane* lane, int index, const uint32_t* words, uint64_t count, uint64_t size, const uint64_t* not_before
) {
    Stream& stream = *lane->streams[index];
    if (stream.first > stream.waiting()) {
        stream.words.erase(stream.words.begin(), stream.words.begin() + stream.first);
        if (!stream.not_before.empty()) {
            stream.not_before.erase(stream.not_before.begin(), stream.not_before.begin() + stream.first / size);
        }
        stream.first = 0;
    }
    if (not_before || !stream.not_before.empty()) {
        stream.not_before.resize(stream.words.size() / size, 0);
        if (not_before) stream.not_before.insert(stream.not_before.end(), not_before, not_before + count);
        else stream.not_before.resize(stream.not_before.size() + count, 0);
    }
    stream.words.insert(stream.words.end(), words, words + count * size);
}

LANE_EXPORT void lane_pull(Lane* lane, int index, uint32_t* words, uint64_t count) {
    Stream& stream = *lane->streams[index];
    std::memcpy(words, stream.words.data() + stream.first, count * sizeof(uint32_t));
    stream.first += count;
    if (stream.first == stream.words.size()) {
        stream.words.clear();
        stream.first = 0;
    }
}

LANE_EXPORT uint64_t lane_waiting(Lane* lane, int index) { return lane->streams[index]->waiting(); }
LANE_EXPORT uint64_t lane_transfers(Lane* lane, int index) { return lane->streams[index]->transfers; }

LANE_EXPORT uint64_t lane_transfer_cycles(Lane* lane, int index, uint64_t* out) {
    const std::vector<uint64_t>& cycles = lane->streams[index]->cycles;
    if (out) std::memcpy(out, cycles.data(), cycles.size() * sizeof(uint64_t));
    return cycles.size();
}

LANE_EXPORT void lane_begin(Lane* lane, const uint32_t* pauses, uint64_t seed, int record) {
    for (size_t i = 0; i < lane->streams.size(); ++i) {
        lane->streams[i]->pause = pauses[i];
        lane->streams[i]->random.seed(seed * 1000003 + i);
    }
    lane->each_sink([](auto& sink) { sink.held = false; });
    lane->quiet = 0;
    lane->culprit = -1;
    lane->record = record;
}

// Runs to cycle `end` at most. Without `fixed` it stops as soon as `until` and `drain` are met.
LANE_EXPORT int lane_run(Lane* lane, const uint64_t* until, int drain, int fixed, uint64_t end, uint64_t stall) {
    return guarded(lane, [&] {
        if (!fixed && lane->finished(until, drain)) return kDone;
        bool pauses = false;
        for (Stream* stream : lane->streams) pauses |= stream->pause != 0;
        if (lane->wave) return lane->run<true, true>(until, drain, fixed, end, stall);
        if (pauses) return lane->run<true, false>(until, drain, fixed, end, stall);
        return lane->run<false, false>(until, drain, fixed, end, stall);
    });
}

LANE_EXPORT int lane_settle(Lane* lane) {
    return guarded(lane, [&] { return lane->settle(), kDone; });
}

// valid, ready, waiting words, transfers: as the last cycle left them.
LANE_EXPORT void lane_state(Lane* lane, int index, uint64_t* out) {
    int at = 0;
    auto fill = [&](auto& stream) {
        if (at++ != index) return;
        out[0] = stream.valid(*lane->model);
        out[1] = stream.ready(*lane->model);
        out[2] = stream.waiting();
        out[3] = stream.transfers;
    };
    lane->each_source(fill);
    lane->each_sink(fill);
}

LANE_EXPORT void lane_set(Lane* lane, int index, const uint32_t* words) { set_plain(*lane->model, index, words); }

LANE_EXPORT int lane_get(Lane* lane, int index, uint32_t* words) {
    return guarded(lane, [&] {
        lane->model->eval();
        get_plain(*lane->model, index, words);
        return kDone;
    });
}

// Calls an operation of a model; what it answers stays until the next call.
LANE_EXPORT int lane_model_call(
    Lane* lane, int index, int operation, const uint8_t* data, uint64_t size, const uint8_t** answer, uint64_t* length
) {
    return guarded(lane, [&] {
        int at = 0;
        lane->answer.clear();
        lane->each_model([&](auto& each) {
            if (at++ == index) each.call(operation, data, size, lane->answer);
        });
        *answer = lane->answer.data();
        *length = lane->answer.size();
        return kDone;
    });
}

LANE_EXPORT void lane_trace(Lane* lane, const char* path) {
    if (lane->wave) lane->wave->close();
    lane->wave.reset();
    if (!path) return;
    lane->wave.reset(new Wave);
#if LANE_TRACE_FST || LANE_TRACE_VCD
    lane->model->trace(lane->wave.get(), 99);
#endif
    lane->wave->open(path);
}

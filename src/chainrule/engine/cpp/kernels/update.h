// The common part of optimizer updates: one loop that reads and writes each weight and its state
// once.
//
// The rules are those of the references in ops/update.py. The new state has their bits. Factors
// that are the same for all weights are computed before the loop, so new weights may differ by a
// few roundings. All numbers of a rule are operands (0-d), not parameters, so a schedule can change
// them without a new program. Outputs may be the inputs, for an update in place.
#pragma once
#include <array>

#include "kernels/operands_read.h"
#include "math/vecmath.h"

namespace cr::CR_ISA {

// d = ±g + λ·w
template <class T> struct Penalty {
    T decay;
    bool decays, maximize;
    Penalty(double factor, bool negative)
        : decay(T(factor)), decays(factor != 0.0), maximize(negative) {}
    CR_INLINE Vec<T> operator()(Vec<T> w, Vec<T> g) const {
        if (!decays) return maximize ? -g : g;
        const Vec<T> total = w * decay;
        return maximize ? total - g : total + g;
    }
};

// x, or 0 if |x| is below the smallest normal number. Multiplying such an x repeatedly by a β near
// 1 never gives 0, as 0.9·(4·2⁻¹⁴⁹) rounds to 4·2⁻¹⁴⁹, and arithmetic on such numbers is slow.
template <class T> CR_INLINE Vec<T> settled(Vec<T> x) {
    return magnitude<T>(x) < Format<T>::least_normal ? Vec<T>{} : x;
}

// β·m + (1 − β)·x
template <class T> CR_INLINE Vec<T> averaged(Vec<T> m, Vec<T> x, T beta, T rest) {
    return settled<T>(m * beta + x * rest);
}

// β·v + (1 − β)·x², which is not negative.
template <class T> CR_INLINE Vec<T> averaged_square(Vec<T> v, Vec<T> x, T beta, T rest) {
    const Vec<T> y = v * beta + x * x * rest;
    return y < Format<T>::least_normal ? Vec<T>{} : y;
}

constexpr int MOST_STATES = 3;

template <class T, class Rule> struct Sweep {
    const T *w, *g, *state[MOST_STATES];
    T *new_w, *new_state[MOST_STATES];
    i64 n, step;
    Rule rule;
};

template <class T, class Rule> void sweep_piece(void* context, i64 piece) {
    const Sweep<T, Rule> s = *static_cast<Sweep<T, Rule>*>(context);
    constexpr i64 W = WIDTH<T>;
    const i64 end = (piece + 1) * s.step < s.n ? (piece + 1) * s.step : s.n;
    i64 i = piece * s.step;
    Vec<T> state[MOST_STATES];
    for (; i + W <= end; i += W) {
        Vec<T> w = load(s.w + i);
        for (int k = 0; k < Rule::states; ++k) state[k] = load(s.state[k] + i);
        s.rule(w, load(s.g + i), state);
        store(s.new_w + i, w);
        for (int k = 0; k < Rule::states; ++k) store(s.new_state[k] + i, state[k]);
    }
    if (i < end) {
        const i64 rest = end - i;
        Vec<T> w = load_some(s.w + i, rest, T(0));
        for (int k = 0; k < Rule::states; ++k) state[k] = load_some(s.state[k] + i, rest, T(0));
        s.rule(w, load_some(s.g + i, rest, T(0)), state);
        store_some(s.new_w + i, w, rest);
        for (int k = 0; k < Rule::states; ++k) store_some(s.new_state[k] + i, state[k], rest);
    }
}

// The rule over the weights in[0], the gradient in[1] and the states in[from[k]], into out[0] and
// out[to[k]].
template <class T, class Rule>
Status sweep(const Call& call, std::array<int, Rule::states> from,
             std::array<int, Rule::states> to, const Rule& rule) {
    const View& w = call.in[0];
    auto alike = [&](const View& v) {
        return v.dtype == w.dtype && count(v) == count(w) && contiguous(v);
    };
    bool fine = alike(w) && alike(call.in[1]) && alike(call.out[0]);
    const i64 n = count(w);
    Sweep<T, Rule> s{data<T>(w), data<T>(call.in[1]), {}, data<T>(call.out[0]), {}, n, n, rule};
    for (int k = 0; k < Rule::states; ++k) {
        fine = fine && alike(call.in[from[k]]) && alike(call.out[to[k]]);
        s.state[k] = data<T>(call.in[from[k]]);
        s.new_state[k] = data<T>(call.out[to[k]]);
    }
    if (!fine) return bad_call("update: weights, gradient and state are alike and lie in order");
    if (n == 0) return OK;
    const i64 pieces = useful_threads(n * 0.15 * (1 + Rule::states)) == 1 ? 1 : 8;
    s.step = ((n + pieces - 1) / pieces + 63) / 64 * 64;
    run_pieces((n + s.step - 1) / s.step, sweep_piece<T, Rule>, &s);
    return OK;
}

// Whether the operands from … to − 1 are one number each.
inline bool numbers(const Call& call, int from, int to) {
    for (int i = from; i < to; ++i)
        if (count(call.in[i]) != 1) return false;
    return true;
}

inline bool floats(const Call& call) {
    return call.in[0].dtype == DType::f32 || call.in[0].dtype == DType::f64;
}

inline bool is_counter(const View& v) { return v.dtype == DType::i64 && count(v) == 1; }

// The counter, one more, once the weights are done (it may be updated in place).
inline Status counted(const Status& status, const View& step, const View& next) {
    if (status.code == Code::ok) *data<i64>(next) = *data<i64>(step) + 1;
    return status;
}

}  // namespace cr::CR_ISA

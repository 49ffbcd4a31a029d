// Optimizer updates: one sweep that reads and writes each weight and its state once.
//
// The rules, their order of operations and so their bits are those of the references in
// ops/update.py. Every number that a rule depends on is an operand (0-d), not a parameter, so a
// schedule changes it without a new program. Outputs may be the inputs: an update in place.
#include "operands_read.h"
#include "vec.h"

namespace cr::CR_ISA {

namespace {

// d = ±g + λ·w
template <class T> struct Penalty {
    T decay;
    bool decays, maximize;
    CR_INLINE Vec<T> operator()(Vec<T> w, Vec<T> g) const {
        if (!decays) return maximize ? -g : g;
        const Vec<T> total = w * decay;
        return maximize ? total - g : total + g;
    }
};

template <class T> struct Sgd {
    Penalty<T> penalty;
    T rate;
    CR_INLINE void operator()(Vec<T>& w, Vec<T> g, Vec<T>&, Vec<T>&) const {
        w = w - penalty(w, g) * rate;
    }
};

template <class T> struct Momentum {
    Penalty<T> penalty;
    T rate, momentum, keep;
    bool nesterov;
    CR_INLINE void operator()(Vec<T>& w, Vec<T> g, Vec<T>& b, Vec<T>&) const {
        const Vec<T> d = penalty(w, g);
        b = b * momentum + (keep == T(1) ? d : d * keep);
        w = w - (nesterov ? (b * momentum + d) * rate : b * rate);
    }
};

template <class T> struct Adam {
    Penalty<T> penalty;
    T beta1, rest1, beta2, rest2, epsilon, rate, shrink;
    bool shrinks;
    CR_INLINE void operator()(Vec<T>& w, Vec<T> g, Vec<T>& m, Vec<T>& v) const {
        const Vec<T> d = penalty(w, g);
        m = m * beta1 + d * rest1;
        v = v * beta2 + d * d * rest2;
        const Vec<T> move = m / (sqrt(v) + epsilon) * rate;
        if (shrinks) w = w * shrink;
        w = w - move;
    }
};

template <class T, class F> struct Sweep {
    const T *w, *g, *s1, *s2;
    T *new_w, *new_s1, *new_s2;
    i64 n, step;
    F update;
};

template <class T, class F> void sweep_piece(void* context, i64 piece) {
    const Sweep<T, F>& s = *static_cast<Sweep<T, F>*>(context);
    constexpr i64 W = WIDTH<T>;
    const i64 end = (piece + 1) * s.step < s.n ? (piece + 1) * s.step : s.n;
    i64 i = piece * s.step;
    for (; i + W <= end; i += W) {
        Vec<T> w = load(s.w + i), a{}, b{};
        if (s.s1) a = load(s.s1 + i);
        if (s.s2) b = load(s.s2 + i);
        s.update(w, load(s.g + i), a, b);
        store(s.new_w + i, w);
        if (s.s1) store(s.new_s1 + i, a);
        if (s.s2) store(s.new_s2 + i, b);
    }
    if (i < end) {
        const i64 rest = end - i;
        Vec<T> w = load_some(s.w + i, rest, T(0)), a{}, b{};
        if (s.s1) a = load_some(s.s1 + i, rest, T(0));
        if (s.s2) b = load_some(s.s2 + i, rest, T(0));
        s.update(w, load_some(s.g + i, rest, T(0)), a, b);
        store_some(s.new_w + i, w, rest);
        if (s.s1) store_some(s.new_s1 + i, a, rest);
        if (s.s2) store_some(s.new_s2 + i, b, rest);
    }
}

// in: w, g, states…, numbers…   out: w, states…
template <class T, class F> Status sweep(const Call& call, int states, const F& update) {
    const i64 n = count(call.in[0]);
    for (int i = 0; i < 2 + states; ++i)
        if (count(call.in[i]) != n || !contiguous(call.in[i]) ||
            call.in[i].dtype != call.in[0].dtype)
            return bad_call("update: weights, gradient and state are alike and laid out in order");
    for (int i = 0; i < 1 + states; ++i)
        if (count(call.out[i]) != n || !contiguous(call.out[i]) ||
            call.out[i].dtype != call.in[0].dtype)
            return bad_call("update: an output is not like the weights");
    Sweep<T, F> s{data<T>(call.in[0]), data<T>(call.in[1]),
                  states > 0 ? data<T>(call.in[2]) : nullptr,
                  states > 1 ? data<T>(call.in[3]) : nullptr,
                  data<T>(call.out[0]),
                  states > 0 ? data<T>(call.out[1]) : nullptr,
                  states > 1 ? data<T>(call.out[2]) : nullptr,
                  n, n, update};
    if (n == 0) return OK;
    const i64 pieces = useful_threads(n * 0.15 * (1 + states)) == 1 ? 1 : 8;
    s.step = ((n + pieces - 1) / pieces + 63) / 64 * 64;
    run_pieces((n + s.step - 1) / s.step, sweep_piece<T, F>, &s);
    return OK;
}

template <class T> Penalty<T> penalty(double decay, bool maximize) {
    return {T(decay), decay != 0.0, maximize};
}

template <class T> Status sgd(const Call& call) {
    const T rate = T(number_in(call.in[2]));
    const bool maximize = call.ints[0] != 0;
    return sweep<T>(call, 0, Sgd<T>{penalty<T>(number_in(call.in[3]), maximize), rate});
}

template <class T> Status momentum(const Call& call) {
    const double step = number_in(call.in[3]), rate = number_in(call.in[4]);
    const double keep = step > 0 ? 1 - number_in(call.in[6]) : 1.0;
    const bool nesterov = call.ints[0] != 0, maximize = call.ints[1] != 0;
    const Penalty<T> decay = penalty<T>(number_in(call.in[7]), maximize);
    return sweep<T>(call, 1, Momentum<T>{decay, T(rate), T(number_in(call.in[5])), T(keep),
                                         nesterov});
}

template <class T> Status adam(const Call& call) {
    const double t = number_in(call.in[4]) + 1, rate = number_in(call.in[5]);
    View betas = call.in[6];
    const double beta1 = number_in(betas);
    betas.data += betas.strides[0];
    const double beta2 = number_in(betas), decay = number_in(call.in[8]);
    const bool decoupled = call.ints[0] != 0, maximize = call.ints[1] != 0;
    const double correction = __builtin_pow(1 - __builtin_pow(beta2, t), 0.5);
    const double speed = rate * correction / (1 - __builtin_pow(beta1, t));
    const double shrink = decoupled ? rate * decay : 0.0;
    return sweep<T>(call, 2, Adam<T>{penalty<T>(decoupled ? 0.0 : decay, maximize), T(beta1),
                                     T(1 - beta1), T(beta2), T(1 - beta2),
                                     T(number_in(call.in[7]) * correction), T(speed),
                                     T(1 - shrink), shrink != 0.0});
}

bool numbers(const Call& call, int from, int to) {
    for (int i = from; i < to; ++i)
        if (count(call.in[i]) != 1) return false;
    return true;
}

// The counter, one more, once the weights are done (it may be updated in place).
Status counted(const Status& status, const View& step, const View& next) {
    if (status.code == Code::ok) *data<i64>(next) = *data<i64>(step) + 1;
    return status;
}

bool is_counter(const View& v) { return v.dtype == DType::i64 && count(v) == 1; }

}  // namespace

// sgd_update(w, g, lr, weight_decay) → w;  ints: maximize
CR_KERNEL(sgd_update) {
    if (call.n_ints != 1 || call.n_in != 4 || call.n_out != 1 || !numbers(call, 2, 4))
        return bad_call("sgd_update: takes w, g, lr and weight_decay; gives w");
    return call.in[0].dtype == DType::f32   ? sgd<float>(call)
           : call.in[0].dtype == DType::f64 ? sgd<double>(call)
                                            : bad_call("sgd_update: float32 or float64");
}

// momentum_update(w, g, b, step, lr, momentum, dampening, weight_decay) → w, b, step
// ints: nesterov, maximize
CR_KERNEL(momentum_update) {
    if (call.n_ints != 2 || call.n_in != 8 || call.n_out != 3 || !numbers(call, 3, 8) ||
        !is_counter(call.in[3]) || !is_counter(call.out[2]))
        return bad_call("momentum_update: takes w, g, b, step and four numbers; gives w, b, step");
    const DType type = call.in[0].dtype;
    if (type != DType::f32 && type != DType::f64) return bad_call("momentum_update: floats only");
    return counted(type == DType::f32 ? momentum<float>(call) : momentum<double>(call),
                   call.in[3], call.out[2]);
}

// adam_update(w, g, m, v, step, lr, betas, eps, weight_decay) → w, m, v, step
// ints: decoupled, maximize
CR_KERNEL(adam_update) {
    if (call.n_ints != 2 || call.n_in != 9 || call.n_out != 4 || !numbers(call, 4, 6) ||
        !numbers(call, 7, 9) || call.in[6].ndim != 1 ||
        call.in[6].shape[0] != 2 || !is_counter(call.in[4]) || !is_counter(call.out[3]))
        return bad_call("adam_update: takes w, g, m, v, step, lr, betas, eps and weight_decay; "
                        "gives w, m, v and step");
    const DType type = call.in[0].dtype;
    if (type != DType::f32 && type != DType::f64) return bad_call("adam_update: floats only");
    return counted(type == DType::f32 ? adam<float>(call) : adam<double>(call), call.in[4],
                   call.out[3]);
}

}  // namespace cr::CR_ISA

// Updates with a step of its own for each weight: AMSGrad, RMSprop, Adagrad. See update.h.
#include "update.h"

namespace cr::CR_ISA {

namespace {

template <class T> struct Amsgrad {
    static constexpr int states = 3;  // m, v, the largest v
    Penalty<T> penalty;
    T beta1, rest1, beta2, rest2, epsilon, rate, shrink;
    bool shrinks;
    CR_INLINE void operator()(Vec<T>& w, Vec<T> g, Vec<T>* state) const {
        Vec<T>&m = state[0], &v = state[1], &largest = state[2];
        const Vec<T> d = penalty(w, g);
        m = averaged<T>(m, d, beta1, rest1);
        v = averaged<T>(v, d * d, beta2, rest2);
        largest = larger(largest, v);
        const Vec<T> move = m / (sqrt(largest) + epsilon) * rate;
        if (shrinks) w = w * shrink;
        w = w - move;
    }
};

// The states are v, then where they are used the mean m and the momentum b.
template <class T, bool centered, bool moving> struct Rmsprop {
    static constexpr int states = 1 + centered + moving;
    Penalty<T> penalty;
    T alpha, rest, epsilon, momentum, rate;
    CR_INLINE void operator()(Vec<T>& w, Vec<T> g, Vec<T>* state) const {
        const Vec<T> d = penalty(w, g);
        Vec<T>& v = state[0];
        v = averaged<T>(v, d * d, alpha, rest);
        Vec<T> square = v;
        if constexpr (centered) {
            Vec<T>& m = state[1];
            m = averaged<T>(m, d, alpha, rest);
            square = larger(v - m * m, Vec<T>{});  // rounding can leave −1e-9 where v = m²
        }
        Vec<T> move = d / (sqrt(square) + epsilon);
        if constexpr (moving) {
            Vec<T>& b = state[states - 1];
            b = settled<T>(b * momentum + move);
            move = b;
        }
        w = w - move * rate;
    }
};

template <class T> struct Adagrad {
    static constexpr int states = 1;
    Penalty<T> penalty;
    T epsilon, rate;
    CR_INLINE void operator()(Vec<T>& w, Vec<T> g, Vec<T>* state) const {
        const Vec<T> d = penalty(w, g);
        Vec<T>& s = state[0];
        s = s + d * d;
        w = w - d / (sqrt(s) + epsilon) * rate;
    }
};

template <class T> Status amsgrad(const Call& call) {
    const double t = number_in(call.in[4]) + 1, rate = number_in(call.in[5]);
    View betas = call.in[6];
    const double beta1 = number_in(betas);
    betas.data += betas.strides[0];
    const double beta2 = number_in(betas), decay = number_in(call.in[8]);
    const bool decoupled = call.ints[0] != 0, maximize = call.ints[1] != 0;
    const double correction = __builtin_pow(1 - __builtin_pow(beta2, t), 0.5);
    const double speed = rate * correction / (1 - __builtin_pow(beta1, t));
    const double shrink = decoupled ? rate * decay : 0.0;
    const Amsgrad<T> rule{{decoupled ? 0.0 : decay, maximize}, T(beta1), T(1 - beta1), T(beta2),
                          T(1 - beta2), T(number_in(call.in[7]) * correction), T(speed),
                          T(1 - shrink), shrink != 0.0};
    return sweep<T>(call, {2, 3, 9}, {1, 2, 4}, rule);
}

template <class T, bool centered, bool moving> Status rmsprop(const Call& call) {
    const double alpha = number_in(call.in[4]), decay = number_in(call.in[6]);
    using Rule = Rmsprop<T, centered, moving>;
    const Rule rule{{decay, call.ints[1] != 0}, T(alpha), T(1 - alpha), T(number_in(call.in[5])),
                    T(number_in(call.in[7])), T(number_in(call.in[3]))};
    if constexpr (Rule::states == 1) return sweep<T>(call, {2}, {1}, rule);
    else if constexpr (Rule::states == 2) return sweep<T>(call, {2, 8}, {1, 2}, rule);
    else return sweep<T>(call, {2, 8, 9}, {1, 2, 3}, rule);
}

template <class T> Status any_rmsprop(const Call& call) {
    const bool centered = call.ints[0] != 0, moving = call.n_in == 9 + centered;
    if (centered) return moving ? rmsprop<T, true, true>(call) : rmsprop<T, true, false>(call);
    return moving ? rmsprop<T, false, true>(call) : rmsprop<T, false, false>(call);
}

template <class T> Status adagrad(const Call& call) {
    const double steps = number_in(call.in[3]), slower = 1 + steps * number_in(call.in[5]);
    const Adagrad<T> rule{{number_in(call.in[7]), call.ints[0] != 0}, T(number_in(call.in[6])),
                          T(number_in(call.in[4]) / slower)};
    return sweep<T>(call, {2}, {1}, rule);
}

bool floats(const Call& call) {
    return call.in[0].dtype == DType::f32 || call.in[0].dtype == DType::f64;
}

}  // namespace

// amsgrad_update(w, g, m, v, step, lr, betas, eps, weight_decay, largest) → w, m, v, step, largest
// ints: decoupled, maximize
CR_KERNEL(amsgrad_update) {
    if (call.n_ints != 2 || call.n_in != 10 || call.n_out != 5 || !numbers(call, 4, 6) ||
        !numbers(call, 7, 9) || call.in[6].ndim != 1 || call.in[6].shape[0] != 2 ||
        !is_counter(call.in[4]) || !is_counter(call.out[3]) || !floats(call))
        return bad_call("amsgrad_update: takes w, g, m, v, step, lr, betas, eps, weight_decay and "
                        "the largest v; gives w, m, v, step and the largest v");
    return counted(call.in[0].dtype == DType::f32 ? amsgrad<float>(call) : amsgrad<double>(call),
                   call.in[4], call.out[3]);
}

// rmsprop_update(w, g, v, lr, alpha, eps, weight_decay, momentum[, m][, b]) → w, v[, m][, b]
// ints: centered, maximize
CR_KERNEL(rmsprop_update) {
    const bool centered = call.n_ints == 2 && call.ints[0] != 0;
    if (call.n_ints != 2 || call.n_in < 8 + centered || call.n_in > 9 + centered ||
        call.n_out != call.n_in - 6 || !numbers(call, 3, 8) || !floats(call))
        return bad_call("rmsprop_update: takes w, g, v, five numbers and the buffers; gives w, v "
                        "and the buffers");
    return call.in[0].dtype == DType::f32 ? any_rmsprop<float>(call) : any_rmsprop<double>(call);
}

// adagrad_update(w, g, s, step, lr, lr_decay, eps, weight_decay) → w, s, step;  ints: maximize
CR_KERNEL(adagrad_update) {
    if (call.n_ints != 1 || call.n_in != 8 || call.n_out != 3 || !numbers(call, 3, 8) ||
        !is_counter(call.in[3]) || !is_counter(call.out[2]) || !floats(call))
        return bad_call("adagrad_update: takes w, g, s, step and four numbers; gives w, s, step");
    return counted(call.in[0].dtype == DType::f32 ? adagrad<float>(call) : adagrad<double>(call),
                   call.in[3], call.out[2]);
}

}  // namespace cr::CR_ISA

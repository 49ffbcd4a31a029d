// Updates with a separate step size for each weight: RMSprop, Adagrad. See update.h.
#include "kernels/update.h"

namespace cr::CR_ISA {

namespace {

// The states are v, then where they are used the mean m and the momentum b.
template <class T, bool centered, bool moving> struct Rmsprop {
    static constexpr int states = 1 + centered + moving;
    Penalty<T> penalty;
    T alpha, rest, epsilon, momentum, rate;
    CR_INLINE void operator()(Vec<T>& w, Vec<T> g, Vec<T>* state) const {
        const Vec<T> d = penalty(w, g);
        Vec<T>& v = state[0];
        v = averaged_square<T>(v, d, alpha, rest);
        Vec<T> square = v;
        if constexpr (centered) {
            Vec<T>& m = state[1];
            m = averaged<T>(m, d, alpha, rest);
            square = larger(v - m * m, Vec<T>{});  // rounding can leave −1e-9 where v = m²
        }
        const Vec<T> scale = moving ? sqrt(square) : root(square);  // the state has exact bits
        Vec<T> move = d / (scale + epsilon);
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
        w = w - d / (root(s) + epsilon) * rate;
    }
};

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

}  // namespace

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

// Updates by the gradient and its moments: SGD, momentum, Adam and AMSGrad. See update.h.
#include "kernels/update.h"

namespace cr::CR_ISA {

namespace {

template <class T> struct Sgd {
    static constexpr int states = 0;
    Penalty<T> penalty;
    T rate;
    CR_INLINE void operator()(Vec<T>& w, Vec<T> g, Vec<T>*) const {
        w = w - penalty(w, g) * rate;
    }
};

template <class T> struct Momentum {
    static constexpr int states = 1;
    Penalty<T> penalty;
    T rate, momentum, keep;
    bool nesterov;
    CR_INLINE void operator()(Vec<T>& w, Vec<T> g, Vec<T>* state) const {
        const Vec<T> d = penalty(w, g);
        const Vec<T> b = settled<T>(*state * momentum + (keep == T(1) ? d : d * keep));
        w = w - (nesterov ? (b * momentum + d) * rate : b * rate);
        *state = b;
    }
};

// The states are m and v, and for AMSGrad the largest v.
template <class T, bool amsgrad> struct Adam {
    static constexpr int states = 2 + amsgrad;
    Penalty<T> penalty;
    T beta1, rest1, beta2, rest2, epsilon, rate, shrink;
    bool shrinks;
    CR_INLINE void operator()(Vec<T>& w, Vec<T> g, Vec<T>* state) const {
        Vec<T>&m = state[0], &v = state[1];
        const Vec<T> d = penalty(w, g);
        m = averaged<T>(m, d, beta1, rest1);
        v = averaged_square<T>(v, d, beta2, rest2);
        Vec<T> square = v;
        if constexpr (amsgrad) square = state[2] = larger(state[2], v);
        const Vec<T> move = m / (root(square) + epsilon);
        if (shrinks) w = w * shrink;
        w = fma(move, splat(-rate), w);
    }
};

template <class T> Status sgd(const Call& call) {
    const T rate = T(number_in(call.in[2]));
    const bool maximize = call.ints[0] != 0;
    return sweep<T>(call, {}, {}, Sgd<T>{{number_in(call.in[3]), maximize}, rate});
}

template <class T> Status momentum(const Call& call) {
    const double step = number_in(call.in[3]), rate = number_in(call.in[4]);
    const double keep = step > 0 ? 1 - number_in(call.in[6]) : 1.0;
    const bool nesterov = call.ints[0] != 0, maximize = call.ints[1] != 0;
    const Penalty<T> decay(number_in(call.in[7]), maximize);
    const Momentum<T> rule{decay, T(rate), T(number_in(call.in[5])), T(keep), nesterov};
    return sweep<T>(call, {2}, {1}, rule);
}

template <class T, bool amsgrad> Status adam(const Call& call) {
    const double t = number_in(call.in[4]) + 1, rate = number_in(call.in[5]);
    View betas = call.in[6];
    const double beta1 = number_in(betas);
    betas.data += betas.strides[0];
    const double beta2 = number_in(betas), decay = number_in(call.in[8]);
    const bool decoupled = call.ints[0] != 0, maximize = call.ints[1] != 0;
    const double correction = __builtin_pow(1 - __builtin_pow(beta2, t), 0.5);
    const double speed = rate * correction / (1 - __builtin_pow(beta1, t));
    const double shrink = decoupled ? rate * decay : 0.0;
    const Adam<T, amsgrad> rule{{decoupled ? 0.0 : decay, maximize}, T(beta1), T(1 - beta1),
                                T(beta2), T(1 - beta2), T(number_in(call.in[7]) * correction),
                                T(speed), T(1 - shrink), shrink != 0.0};
    if constexpr (amsgrad) return sweep<T>(call, {2, 3, 9}, {1, 2, 4}, rule);
    else return sweep<T>(call, {2, 3}, {1, 2}, rule);
}

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
// amsgrad_update(the same, largest v) → w, m, v, step, largest v
// ints: decoupled, maximize
namespace {

template <bool amsgrad> Status any_adam(const Call& call) {
    if (call.n_ints != 2 || call.n_in != 9 + amsgrad || call.n_out != 4 + amsgrad ||
        !numbers(call, 4, 6) || !numbers(call, 7, 9) || call.in[6].ndim != 1 ||
        call.in[6].shape[0] != 2 || !is_counter(call.in[4]) || !is_counter(call.out[3]) ||
        !floats(call))
        return bad_call("adam_update: takes w, g, m, v, step, lr, betas, eps and weight_decay; "
                        "gives w, m, v and step; for AMSGrad the largest v is the last of both");
    return counted(call.in[0].dtype == DType::f32 ? adam<float, amsgrad>(call)
                                                  : adam<double, amsgrad>(call),
                   call.in[4], call.out[3]);
}

}  // namespace

CR_KERNEL(adam_update) { return any_adam<false>(call); }
CR_KERNEL(amsgrad_update) { return any_adam<true>(call); }

}  // namespace cr::CR_ISA

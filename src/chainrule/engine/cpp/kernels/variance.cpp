// var: Σ (x − mean x)² / (n − correction), computed in float64 in two passes.
//
// One pass, Σx² − n·mean², would lose all digits if the mean is large compared with the deviations.
#include "kernels/groups.h"
#include "kernels/rows.h"

namespace cr::CR_ISA {

namespace {

struct Job {
    const Call* call;
    Groups groups;
    double divisor;  // n − correction
};

// Σ f(x): sixteen interleaved chains, so that additions overlap, then a tree.
template <class T, class F> CR_INLINE double row_sum(const T* x, i64 n, F f) {
    constexpr int L = 16;
    if (n < L) {
        double sum = 0;
        for (i64 i = 0; i < n; ++i) sum += f(double(x[i]));
        return sum;
    }
    double lane[L] = {};
    i64 i = 0;
    for (; i + L <= n; i += L)
        for (int l = 0; l < L; ++l) lane[l] += f(double(x[i + l]));
    for (int l = 0; i < n; ++i, ++l) lane[l] += f(double(x[i]));
    for (int half = L / 2; half > 0; half /= 2)
        for (int l = 0; l < half; ++l) lane[l] += lane[l + half];
    return lane[0];
}

template <class T> double row_variance(const T* x, i64 n, double divisor) {
    const double mean = row_sum(x, n, [](double v) { return v; }) / double(n);
    return row_sum(x, n, [=](double v) { return (v - mean) * (v - mean); }) / divisor;
}

template <class T> void variance_piece(void* context, i64 piece) {
    const Job& job = *static_cast<Job*>(context);
    const i64 n = job.groups.n, inner = job.groups.inner;
    each_item(job.groups, piece, [&](const Item& item) {
        const T* x = data<T>(job.call->in[0]) + item.first;
        T* y = data<T>(job.call->out[0]) + item.result;
        if (inner == 1) {
            *y = T(row_variance(x, n, job.divisor));
            return;
        }
        double mean[COLUMNS] = {}, total[COLUMNS] = {};
        for (i64 k = 0; k < n; ++k)
            for (i64 c = 0; c < item.columns; ++c) mean[c] += double(x[k * inner + c]);
        for (i64 c = 0; c < item.columns; ++c) mean[c] /= double(n);
        for (i64 k = 0; k < n; ++k)
            for (i64 c = 0; c < item.columns; ++c) {
                const double rest = double(x[k * inner + c]) - mean[c];
                total[c] += rest * rest;
            }
        for (i64 c = 0; c < item.columns; ++c) y[c] = T(total[c] / job.divisor);
    });
}

}  // namespace

// variance(x) → y;  ints: outer, n, inner, correction.
CR_KERNEL(variance) {
    if (call.n_ints != 4) return bad_call("variance: takes three sizes and the correction");
    const i64 n = call.ints[1], correction = call.ints[3];
    Job job{&call, {call.ints[0], n, call.ints[2], 1}, n > correction ? double(n - correction) : 0};
    if (!fits(job.groups, call) || call.in[0].dtype != call.out[0].dtype)
        return bad_call("variance: the sizes do not fit x and y");
    const double nanoseconds = count(call.in[0]) * 0.5 + count(call.out[0]) * 5.0;
    if (call.in[0].dtype == DType::f32) run_groups(job, nanoseconds, variance_piece<float>);
    else if (call.in[0].dtype == DType::f64) run_groups(job, nanoseconds, variance_piece<double>);
    else return bad_call("variance: float32 or float64");
    return OK;
}

}  // namespace cr::CR_ISA

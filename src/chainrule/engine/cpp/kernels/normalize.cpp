// Normalization: y = (x − m)/√(v + ε) with mean and variance over some dimensions, as batch, layer
// and group normalization need it.
//
// The kept dimensions are adjacent: x is (outer, kept, inner), reduced over outer and inner. Mean
// and variance are computed in float64 from x − x₀, where x₀ is the first element, so the variance
// of a constant is exactly 0. One thread sums each kept index, in memory order.
#include "kernels/operands.h"
#include "math/vec.h"

namespace cr::CR_ISA {

namespace {

struct Job {
    const Call* call;
    i64 outer, kept, inner, step;
    double epsilon;
};

constexpr int LANES = 16;

// Σ f(x[i] − origin) over n neighbours, in LANES interleaved chains added up at the end.
template <class T, class F>
double sum_of(const T* x, i64 n, T origin, F f) {
    double lane[LANES] = {};
    i64 i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; ++l) lane[l] += f(double(x[i + l] - origin));
    for (int l = 0; i < n; ++i, ++l) lane[l] += f(double(x[i] - origin));
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; ++l) lane[l] += lane[l + half];
    return lane[0];
}

template <class T> struct Moments {
    T origin, shift, variance, root;
};

template <class T> Moments<T> finished(T origin, double shift, double variance, double epsilon) {
    const T v = T(variance), sum = v + T(epsilon);
    return {origin, T(shift), v, sizeof(T) == 4 ? T(__builtin_sqrtf(float(sum)))
                                                : T(__builtin_sqrt(double(sum)))};
}

template <class T> void write_moments(const Job& job, i64 k, const Moments<T>& m) {
    data<T>(job.call->out[1])[k] = m.origin + m.shift;
    data<T>(job.call->out[2])[k] = m.variance;
}

// inner > 1: runs of neighbours.
template <class T> void run_piece(void* context, i64 piece) {
    const Job& job = *static_cast<Job*>(context);
    const T* x = data<T>(job.call->in[0]);
    T* y = data<T>(job.call->out[0]);
    const double n = double(job.outer) * double(job.inner);
    const i64 stride = job.kept * job.inner;
    const i64 end = (piece + 1) * job.step < job.kept ? (piece + 1) * job.step : job.kept;
    for (i64 k = piece * job.step; k < end; ++k) {
        const T* from = x + k * job.inner;
        const T origin = *from;
        double total = 0, squares = 0;
        for (i64 o = 0; o < job.outer; ++o)
            total += sum_of(from + o * stride, job.inner, origin, [](double d) { return d; });
        const double shift = total / n;
        for (i64 o = 0; o < job.outer; ++o)
            squares += sum_of(from + o * stride, job.inner, origin,
                              [=](double d) { return (d - shift) * (d - shift); });
        const Moments<T> m = finished(origin, shift, squares / n, job.epsilon);
        for (i64 o = 0; o < job.outer; ++o) {
            const T* row = from + o * stride;
            T* to = y + k * job.inner + o * stride;
            for (i64 i = 0; i < job.inner; ++i) to[i] = ((row[i] - m.origin) - m.shift) / m.root;
        }
        write_moments(job, k, m);
    }
}

// inner = 1: columns side by side, WIDE_COLUMNS of them at once.
constexpr i64 WIDE_COLUMNS = 64;
template <class T> void column_piece(void* context, i64 piece) {
    const Job& job = *static_cast<Job*>(context);
    const i64 from = piece * WIDE_COLUMNS;
    const i64 n = job.kept - from < WIDE_COLUMNS ? job.kept - from : WIDE_COLUMNS;
    const T* x = data<T>(job.call->in[0]) + from;
    T* y = data<T>(job.call->out[0]) + from;
    double total[WIDE_COLUMNS] = {}, squares[WIDE_COLUMNS] = {};
    Moments<T> m[WIDE_COLUMNS];
    for (i64 o = 0; o < job.outer; ++o)
        for (i64 c = 0; c < n; ++c) total[c] += double(x[o * job.kept + c] - x[c]);
    for (i64 c = 0; c < n; ++c) total[c] /= double(job.outer);
    for (i64 o = 0; o < job.outer; ++o)
        for (i64 c = 0; c < n; ++c) {
            const double d = double(x[o * job.kept + c] - x[c]) - total[c];
            squares[c] += d * d;
        }
    for (i64 c = 0; c < n; ++c)
        m[c] = finished(x[c], total[c], squares[c] / double(job.outer), job.epsilon);
    T origin[WIDE_COLUMNS], shift[WIDE_COLUMNS], root[WIDE_COLUMNS];
    for (i64 c = 0; c < n; ++c) origin[c] = m[c].origin, shift[c] = m[c].shift, root[c] = m[c].root;
    for (i64 o = 0; o < job.outer; ++o)
        for (i64 c = 0; c < n; ++c)
            y[o * job.kept + c] = ((x[o * job.kept + c] - origin[c]) - shift[c]) / root[c];
    for (i64 c = 0; c < n; ++c) write_moments(job, from + c, m[c]);
}

template <class T> void normalize_all(Job& job) {
    const double work = 1.5 * job.outer * job.kept * job.inner;
    if (job.inner == 1 && job.outer > 1) {
        job.step = WIDE_COLUMNS;
        const i64 pieces = (job.kept + WIDE_COLUMNS - 1) / WIDE_COLUMNS;
        run_pieces(pieces, column_piece<T>, &job);
        return;
    }
    const i64 pieces = useful_threads(work) == 1 ? 1 : 16;
    job.step = (job.kept + pieces - 1) / pieces;
    run_pieces((job.kept + job.step - 1) / job.step, run_piece<T>, &job);
}

}  // namespace

// normalize(x) → y, mean, variance;  ints: outer, kept, inner; floats: ε
CR_KERNEL(normalize) {
    if (call.n_in != 1 || call.n_out != 3 || call.n_ints != 3 || call.n_floats != 1)
        return bad_call("normalize: takes x, gives y, mean and variance");
    Job job{&call, call.ints[0], call.ints[1], call.ints[2], 1, call.floats[0]};
    const DType type = call.in[0].dtype;
    bool right = contiguous(call.in[0]) && same_shape(call.in[0], call.out[0]);
    for (int i = 0; i < 3; ++i)
        right = right && contiguous(call.out[i]) && call.out[i].dtype == type;
    right = right && job.outer > 0 && job.kept > 0 && job.inner > 0 &&
            count(call.in[0]) / job.outer / job.kept == job.inner &&
            count(call.in[0]) == job.outer * job.kept * job.inner &&
            count(call.out[1]) == job.kept && count(call.out[2]) == job.kept;
    if (!right) return bad_call("normalize: sizes or layouts do not fit");
    if (type == DType::f32) normalize_all<float>(job);
    else if (type == DType::f64) normalize_all<double>(job);
    else return bad_call("normalize: float32 or float64");
    return OK;
}

}  // namespace cr::CR_ISA

// Normalization: y = (x − m)/√(v + ε)·w + b with mean and variance over some dimensions, as batch,
// layer and group normalization need it.
//
// Moments are computed in float64 from d = x − x₀, where x₀ is the first element, so the variance of
// a constant is exactly 0. As x₀ is one of the n numbers, (x₀ − m)² ≤ n·v: so v = Σd²/n − (Σd/n)²
// loses a factor of n at most, and float64 has 2²⁹ to spare for a result in float32. For float64,
// a second pass adds up (d − mean d)².
#include "kernels/normalize.h"

namespace cr::CR_ISA {

namespace {

// x − mean is ((x − mean) − rest): the mean is rounded to T, and `rest` is what that cut off.
template <class T> struct Moments {
    T mean, rest, variance, scale;
    Moments() = default;
    Moments(T origin, double shift, double v, double epsilon)
        : mean(T(double(origin) + shift)), rest(T(shift - (double(mean) - double(origin)))),
          variance(T(v)), scale(T(1 / __builtin_sqrt(double(variance) + epsilon))) {}
};

// Adds (d − shift) and its square for each d = x − origin of a run; `next` is the next run.
template <class T>
CR_INLINE void add_run(const T* x, const T* next, i64 n, double origin, double shift, Sum& total,
                       Sum& squares) {
    const auto add = [=](auto number, auto& sum, auto& square) {
        const auto d = (number - origin) - shift;
        sum = sum + d;
        square = square + d * d;
    };
    along_run(
        n,
        [&](i64 i, int v) {
            fetch_line(next + i, v);
            add(widened(x + i), total.chain[v], squares.chain[v]);
        },
        [&](i64 i) { add(double(x[i]), total.rest, squares.rest); });
}

// The moments of n kept indices, of which x is the first element.
template <class T>
CR_INLINE void find_moments(const Normalization& job, const T* x, i64 n, Moments<T>* moments) {
    Sum total[MOST_GROUPED], squares[MOST_GROUPED];
    double shift[MOST_GROUPED];
    for (i64 j = 0; j < n; ++j) shift[j] = 0;
    for (int pass = 0; pass < (sizeof(T) == 4 ? 1 : 2); ++pass) {
        for (i64 j = 0; j < n; ++j) total[j] = squares[j] = Sum{};
        for (i64 o = 0; o < job.outer; ++o)
            for (i64 j = 0; j < n; ++j) {
                const T* run = x + o * job.stride() + j * job.inner;
                Sum sum = total[j], square = squares[j];
                add_run(run, run + job.stride(), job.inner, double(x[j * job.inner]), shift[j], sum,
                        square);
                total[j] = sum, squares[j] = square;
            }
        if (pass == 0)
            for (i64 j = 0; j < n; ++j) shift[j] = total[j].total() / job.size();
    }
    for (i64 j = 0; j < n; ++j) {
        const double known = sizeof(T) == 4 ? shift[j] * shift[j] : 0;
        const double v = squares[j].total() / job.size() - known;
        moments[j] = {x[j * job.inner], shift[j], v, job.epsilon};
    }
}

template <class T> void write_moments(const Normalization& job, i64 k, const Moments<T>& m) {
    data<T>(job.call->out[1])[k] = m.mean;
    data<T>(job.call->out[2])[k] = m.variance;
}

// The numbers of w and b that belong to a kept index, or to all positions of inner.
template <class T> struct Affine {
    const T *w = nullptr, *b = nullptr;
    explicit Affine(const Call& call) {
        if (call.n_in == 3) w = data<T>(call.in[1]), b = data<T>(call.in[2]);
    }
    T scale(i64 k) const { return w ? w[k] : T(1); }
    T shift(i64 k) const { return b ? b[k] : T(0); }
};

// y = f(x, position): whole vectors, then what is left.
template <class T, class F> CR_INLINE void map_positions(const T* x, T* y, i64 n, F f) {
    constexpr i64 W = WIDTH<T>;
    i64 i = 0;
    for (; i + W <= n; i += W) store(y + i, f(load(x + i), [=](const T* p) { return load(p + i); }));
    if (i < n)
        store_some(y + i, f(load_some(x + i, n - i, T(0)),
                            [=](const T* p) { return load_some(p + i, n - i, T(0)); }), n - i);
}

template <class T>
CR_INLINE void write_run(const Normalization& job, const Affine<T>& affine, i64 k,
                         const Moments<T>& moments, const T* x, T* y) {
    const Moments<T> m = moments;
    const auto normal = [=](Vec<T> v) { return ((v - m.mean) - m.rest) * m.scale; };
    if (job.along) {
        const T *w = affine.w, *b = affine.b;
        map_positions(x, y, job.inner,
                      [=](Vec<T> v, auto there) { return normal(v) * there(w) + there(b); });
    } else {
        const T w = affine.scale(k), b = affine.shift(k);
        map_positions(x, y, job.inner, [=](Vec<T> v, auto) { return normal(v) * w + b; });
    }
}

// Runs of neighbours.
template <class T> void run_piece(void* context, i64 piece) {
    const Normalization& job = *static_cast<Normalization*>(context);
    const T* x = data<T>(job.call->in[0]);
    T* y = data<T>(job.call->out[0]);
    const Affine<T> affine(*job.call);
    for (i64 k = piece * job.step; k < job.end(piece); k += job.group) {
        const i64 n = least(job.group, job.end(piece) - k);
        Moments<T> m[MOST_GROUPED];
        find_moments(job, x + k * job.inner, n, m);
        for (i64 j = 0; j < n; ++j) write_moments(job, k + j, m[j]);
        for (i64 o = job.outer - 1; o >= 0; --o)  // the last runs are still in the cache
            for (i64 j = 0; j < n; ++j) {
                const i64 at = o * job.stride() + (k + j) * job.inner;
                write_run(job, affine, k + j, m[j], x + at, y + at);
            }
    }
}

// inner = 1: columns side by side.
template <class T> void column_piece(void* context, i64 piece) {
    const Normalization& job = *static_cast<Normalization*>(context);
    const i64 from = piece * WIDE_COLUMNS, n = job.end(piece) - from, kept = job.kept;
    const T* x = data<T>(job.call->in[0]) + from;
    T* y = data<T>(job.call->out[0]) + from;
    double origin[WIDE_COLUMNS], total[WIDE_COLUMNS] = {}, squares[WIDE_COLUMNS] = {};
    for (i64 c = 0; c < n; ++c) origin[c] = double(x[c]);
    for (i64 o = 0; o < job.outer; ++o)
        for (i64 c = 0; c < n; ++c) total[c] += double(x[o * kept + c]) - origin[c];
    for (i64 c = 0; c < n; ++c) total[c] /= double(job.outer);
    for (i64 o = 0; o < job.outer; ++o)
        for (i64 c = 0; c < n; ++c) {
            const double d = (double(x[o * kept + c]) - origin[c]) - total[c];
            squares[c] += d * d;
        }
    const Affine<T> affine(*job.call);
    T mean[WIDE_COLUMNS], rest[WIDE_COLUMNS], scale[WIDE_COLUMNS], w[WIDE_COLUMNS], b[WIDE_COLUMNS];
    for (i64 c = 0; c < n; ++c) {
        const Moments<T> m(x[c], total[c], squares[c] / double(job.outer), job.epsilon);
        write_moments(job, from + c, m);
        mean[c] = m.mean, rest[c] = m.rest, scale[c] = m.scale;
        w[c] = affine.scale(from + c), b[c] = affine.shift(from + c);
    }
    for (i64 o = 0; o < job.outer; ++o)
        for (i64 c = 0; c < n; ++c)
            y[o * kept + c] = (((x[o * kept + c] - mean[c]) - rest[c]) * scale[c]) * w[c] + b[c];
}

template <class T> void normalize_all(Normalization& job) {
    const double nanoseconds = 0.25 * job.size() * double(job.kept);
    run_kept(job, nanoseconds, job.columns() ? column_piece<T> : run_piece<T>);
}

}  // namespace

// normalize(x[, w, b]) → y, mean, variance;  ints: outer, kept, inner, along; floats: ε
CR_KERNEL(normalize) {
    if ((call.n_in != 1 && call.n_in != 3) || call.n_out != 3 || call.n_ints != 4 ||
        call.n_floats != 1)
        return bad_call("normalize: takes x and perhaps w and b, gives y, mean and variance");
    Normalization job{&call, call.ints[0], call.ints[1], call.ints[2], call.ints[3] != 0,
                      call.floats[0]};
    const DType type = call.in[0].dtype;
    if (!sound(job) || !fit(call.in, 1, job.total(), type) ||
        !fit(call.out, 1, job.total(), type) || !fit(call.out + 1, 2, job.kept, type) ||
        !fit(call.in + 1, call.n_in - 1, job.numbers(), type))
        return bad_call("normalize: sizes or layouts do not fit");
    if (type == DType::f32) normalize_all<float>(job);
    else if (type == DType::f64) normalize_all<double>(job);
    else return bad_call("normalize: float32 or float64");
    return OK;
}

}  // namespace cr::CR_ISA

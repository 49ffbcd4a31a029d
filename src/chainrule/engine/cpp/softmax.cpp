// Softmax and its relatives over the rows of a matrix, and cross-entropy with its gradient.
//
// All subtract the row's maximum first, so no exponential overflows. A row is read two or three
// times while it is in the L1 cache; rows are independent, so threads share them out.
#include "operands_read.h"
#include "vecmath.h"

namespace cr::CR_ISA {

namespace {

template <class T> T fold_lanes_sum(Vec<T> v) {
    T lane[WIDTH<T>];
    store(lane, v);
    for (int half = WIDTH<T> / 2; half > 0; half /= 2)
        for (int l = 0; l < half; ++l) lane[l] += lane[l + half];
    return lane[0];
}
template <class T> T fold_lanes_max(Vec<T> v) {
    T best = v[0];
    for (int l = 1; l < WIDTH<T>; ++l) best = v[l] > best || v[l] != v[l] ? v[l] : best;
    return best;
}

template <class T> T row_maximum(const T* x, i64 n) {
    constexpr i64 W = WIDTH<T>;
    const T lowest = -Format<T>::infinity;
    Vec<T> top = splat(lowest);
    i64 i = 0;
    for (; i + W <= n; i += W) top = larger(load(x + i), top);
    if (i < n) top = larger(load_some(x + i, n - i, lowest), top);
    return fold_lanes_max<T>(top);
}

// y = e^(x − top), and its sum; y may be null.
template <class T> T row_exponentials(const T* x, T top, T* y, i64 n) {
    constexpr i64 W = WIDTH<T>;
    Vec<T> sum{};
    i64 i = 0;
    for (; i + W <= n; i += W) {
        const Vec<T> e = exp<T>(load(x + i) - top);
        if (y) store(y + i, e);
        sum += e;
    }
    if (i < n) {
        const Vec<T> e = exp<T>(load_some(x + i, n - i, -Format<T>::infinity) - top);
        if (y) store_some(y + i, e, n - i);
        for (i64 l = 0; l < n - i; ++l) sum[l] += e[l];
    }
    return fold_lanes_sum<T>(sum);
}

template <class T, class F> CR_INLINE void map_row(const T* x, T* y, i64 n, F f) {
    constexpr i64 W = WIDTH<T>;
    i64 i = 0;
    for (; i + W <= n; i += W) store(y + i, f(load(x + i)));
    if (i < n) store_some(y + i, f(load_some(x + i, n - i, T(0))), n - i);
}

template <class T> T logarithm(T x) { return log<T>(splat(x))[0]; }

enum class Reduction : i64 { none, sum, mean };

struct Job {
    const Call* call;
    i64 rows, columns, step;
    bool logarithmic, want_loss, want_gradient;
    Reduction reduction;
    i64 ignored, kept;  // the label to ignore; how many rows do not have it
    void* losses;       // one a row, before they are added up
};

template <class T> const T* row_of(const View& v, i64 row) {
    return reinterpret_cast<const T*>(v.data + row * v.strides[0]);
}

template <class T> void softmax_piece(void* context, i64 piece) {
    const Job& job = *static_cast<Job*>(context);
    const View &in = job.call->in[0], &out = job.call->out[0];
    for (i64 row = piece * job.step; row < (piece + 1) * job.step && row < job.rows; ++row) {
        const T* x = row_of<T>(in, row);
        T* y = const_cast<T*>(row_of<T>(out, row));
        const T top = row_maximum(x, job.columns);
        if (job.logarithmic) {
            const T log_sum = logarithm(row_exponentials<T>(x, top, nullptr, job.columns));
            map_row(x, y, job.columns, [=](Vec<T> v) { return (v - top) - log_sum; });
        } else {
            const T sum = row_exponentials(x, top, y, job.columns);
            map_row(y, y, job.columns, [=](Vec<T> v) { return v / sum; });
        }
    }
}

// loss = ln Σ e^(x − top) − (x[t] − top);   gradient = (e^(x − top) / Σ − onehot(t))·g
template <class T> void cross_entropy_piece(void* context, i64 piece) {
    const Job& job = *static_cast<Job*>(context);
    const Call& call = *job.call;
    T* losses = static_cast<T*>(job.losses);
    for (i64 row = piece * job.step; row < (piece + 1) * job.step && row < job.rows; ++row) {
        const T* x = row_of<T>(call.in[0], row);
        const i64 label = integer_at(call.in[1], row);
        T* dx = job.want_gradient ? const_cast<T*>(row_of<T>(call.out[job.want_loss], row))
                                  : nullptr;
        if (label == job.ignored) {
            if (job.want_loss) losses[row] = T(0);
            for (i64 i = 0; dx && i < job.columns; ++i) dx[i] = T(0);
            continue;
        }
        const T top = row_maximum(x, job.columns), chosen = x[label] - top;
        const T sum = row_exponentials(x, top, dx, job.columns);
        if (job.want_loss) losses[row] = logarithm(sum) - chosen;
        if (dx) {
            const View& upstream = call.in[2];
            T g = *(upstream.ndim ? row_of<T>(upstream, row) : data<T>(upstream));
            if (job.reduction == Reduction::mean) g = g / T(job.kept);
            const T probability = dx[label] / sum;
            map_row(dx, dx, job.columns, [=](Vec<T> v) { return v / sum * g; });
            dx[label] = (probability - T(1)) * g;
        }
    }
}

bool rows_adjacent(const View& v, i64 size) {
    return v.ndim == 2 && (count(v) == 0 || v.shape[1] == 1 || v.strides[1] == size) &&
           v.strides[0] % size == 0;
}

void run_rows(Job& job, PieceFn piece) {
    const double nanoseconds = job.rows * (15.0 + 0.5 * job.columns);
    const i64 pieces = useful_threads(nanoseconds) == 1 ? 1 : 12;
    job.step = (job.rows + pieces - 1) / pieces;
    if (job.rows) run_pieces((job.rows + job.step - 1) / job.step, piece, &job);
}

Status softmax_kernel(const Call& call, bool logarithmic) {
    if (call.n_in != 1 || call.n_out != 1) return bad_call("softmax: takes x and gives y");
    const View &x = call.in[0], &y = call.out[0];
    const i64 size = item_size(x.dtype);
    if (x.dtype != y.dtype || !rows_adjacent(x, size) || !rows_adjacent(y, size) ||
        !same_shape(x, y) || (x.shape[1] == 0 && x.shape[0] > 0))
        return bad_call("softmax: x and y are matrices of one shape with adjacent columns");
    Job job{&call, x.shape[0], x.shape[1], 1, logarithmic, false, false, Reduction::none, 0, 0,
            nullptr};
    if (x.dtype == DType::f32) run_rows(job, softmax_piece<float>);
    else if (x.dtype == DType::f64) run_rows(job, softmax_piece<double>);
    else return bad_call("softmax: float32 or float64");
    return OK;
}

template <class T> Status cross_entropy(Job& job) {
    const View& loss = job.call->out[0];
    const bool whole = job.want_loss && job.reduction != Reduction::none;
    job.losses = job.want_loss ? loss.data : nullptr;
    if (whole) job.losses = shared_scratch(job.rows * sizeof(T));
    if (whole && !job.losses) return NO_MEMORY;
    run_rows(job, cross_entropy_piece<T>);
    if (whole) {  // added up in float64, in order
        double total = 0;
        for (i64 row = 0; row < job.rows; ++row) total += double(static_cast<T*>(job.losses)[row]);
        if (job.reduction == Reduction::mean) total /= double(job.kept);
        *data<T>(loss) = T(total);
    }
    return OK;
}

bool fits(const Job& job) {
    const Call& call = *job.call;
    const View &x = call.in[0], &t = call.in[1];
    const i64 size = item_size(x.dtype);
    if (!rows_adjacent(x, size) || t.ndim != 1 || t.shape[0] != job.rows || !holds_integers(t))
        return false;
    const bool one_each = job.reduction == Reduction::none;
    auto fits_rows = [&](const View& v) {
        return v.dtype == x.dtype &&
               (v.ndim == 0 || (one_each && v.ndim == 1 && v.shape[0] == job.rows));
    };
    if (job.want_gradient) {
        const View& gradient = call.out[job.want_loss];
        if (!fits_rows(call.in[2]) || gradient.dtype != x.dtype || !same_shape(gradient, x) ||
            !rows_adjacent(gradient, size))
            return false;
    }
    if (!job.want_loss) return true;
    return fits_rows(call.out[0]) && (one_each == (call.out[0].ndim == 1)) &&
           contiguous(call.out[0]);
}

}  // namespace

CR_KERNEL(softmax) { return softmax_kernel(call, false); }
CR_KERNEL(log_softmax) { return softmax_kernel(call, true); }

// softmax_cross_entropy(x, t[, g]) → [loss][, gradient];  ints: whether each is wanted, the
// reduction (none, sum, mean), the label to ignore. g is one number, or one a row without a
// reduction. Labels are checked before anything is written.
CR_KERNEL(softmax_cross_entropy) {
    if (call.n_ints != 4 || call.n_in != 2 + (call.ints[1] != 0) ||
        call.n_out != (call.ints[0] != 0) + (call.ints[1] != 0) || call.n_out == 0)
        return bad_call("softmax_cross_entropy: takes x, t and g; gives loss and gradient");
    const View &x = call.in[0], &t = call.in[1];
    Job job{&call, x.shape[0], x.shape[1], 1, false, call.ints[0] != 0, call.ints[1] != 0,
            Reduction(call.ints[2]), call.ints[3], 0, nullptr};
    if (!fits(job)) return bad_call("softmax_cross_entropy: shapes or dtypes do not fit");
    for (i64 row = 0; row < job.rows; ++row) {
        const i64 label = integer_at(t, row);
        if (label == job.ignored) continue;
        if (label < 0 || label >= job.columns)
            return out_of_range("label", row, label, job.columns);
        ++job.kept;
    }
    if (x.dtype == DType::f32) return cross_entropy<float>(job);
    if (x.dtype == DType::f64) return cross_entropy<double>(job);
    return bad_call("softmax_cross_entropy: float32 or float64");
}

}  // namespace cr::CR_ISA

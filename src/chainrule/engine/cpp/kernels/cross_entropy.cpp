// Cross-entropy of logits with class labels, or its gradient.
//
//     loss = ln Σ e^(x − top) − (x[t] − top);   gradient = (e^(x − top) / Σ − onehot(t))·g
//
// With few classes a row is shorter than a vector, and most of the time would be spent on adding
// lanes. In that case a vector holds one class of many rows, one row in each lane.
#include "kernels/rows.h"

namespace cr::CR_ISA {

namespace {

enum class Reduction : i64 { none, sum, mean };

constexpr i64 FEW = 32;  // classes

struct Job {
    const Call* call;
    i64 rows, columns, step;
    bool wants_gradient;  // in place of the loss
    Reduction reduction;
    i64 ignored, kept;  // the label to ignore; how many rows do not have it
    void* losses;       // one a row, before they are added up

    template <class T> T* gradient(i64 row) const {
        return wants_gradient ? const_cast<T*>(row_of<T>(call->out[0], row)) : nullptr;
    }
    // The upstream gradient: one number for all rows, or one per row.
    template <class T> T upstream(i64 row) const {
        const View& g = call->in[2];
        const T value = *(g.ndim ? row_of<T>(g, row) : data<T>(g));
        return reduction == Reduction::mean ? value / T(kept) : value;
    }
};

template <class T> void long_rows(void* context, i64 piece) {
    const Job& job = *static_cast<Job*>(context);
    const Call& call = *job.call;
    T* losses = static_cast<T*>(job.losses);
    for (i64 row = piece * job.step; row < (piece + 1) * job.step && row < job.rows; ++row) {
        const T* x = row_of<T>(call.in[0], row);
        const i64 label = integer_at(call.in[1], row);
        T* dx = job.gradient<T>(row);
        if (label == job.ignored) {
            if (losses) losses[row] = T(0);
            for (i64 i = 0; dx && i < job.columns; ++i) dx[i] = T(0);
            continue;
        }
        const T top = row_maximum(x, job.columns), chosen = x[label] - top;
        const T sum = row_exponentials(x, top, dx, job.columns);
        if (losses) losses[row] = logarithm(sum) - chosen;
        if (dx) {
            const T g = job.upstream<T>(row);
            const T probability = dx[label] / sum;
            map_row(dx, dx, job.columns, [=](Vec<T> v) { return v / sum * g; });
            dx[label] = (probability - T(1)) * g;
        }
    }
}

// Up to WIDTH rows with few classes each.
template <class T> void short_rows(const Job& job, i64 first, i64 rows) {
    constexpr i64 W = WIDTH<T>;
    alignas(64) T x[FEW][W];
    T chosen[W]{}, g[W]{};
    i64 label[W];
    for (i64 l = 0; l < W; ++l) {
        const T* from = row_of<T>(job.call->in[0], first + (l < rows ? l : 0));
        for (i64 c = 0; c < job.columns; ++c) x[c][l] = from[c];
        label[l] = l < rows ? integer_at(job.call->in[1], first + l) : job.ignored;
        if (label[l] == job.ignored) continue;
        chosen[l] = from[label[l]];
        if (job.wants_gradient) g[l] = job.upstream<T>(first + l);
    }
    Vec<T> top = load(x[0]), sum{};
    for (i64 c = 1; c < job.columns; ++c) top = larger(load(x[c]), top);
    for (i64 c = 0; c < job.columns; ++c) {
        const Vec<T> e = exp<T>(load(x[c]) - top);
        store(x[c], e);
        sum += e;
    }
    if (!job.wants_gradient) {
        T* losses = static_cast<T*>(job.losses) + first;
        const Vec<T> loss = log<T>(sum) - (load(chosen) - top);
        for (i64 l = 0; l < rows; ++l) losses[l] = label[l] == job.ignored ? T(0) : loss[l];
        return;
    }
    for (i64 c = 0; c < job.columns; ++c) store(x[c], load(x[c]) / sum);
    for (i64 l = 0; l < rows; ++l)
        if (label[l] != job.ignored) x[label[l]][l] -= T(1);
    for (i64 c = 0; c < job.columns; ++c) store(x[c], load(x[c]) * load(g));
    for (i64 l = 0; l < rows; ++l) {
        T* dx = job.gradient<T>(first + l);
        for (i64 c = 0; c < job.columns; ++c) dx[c] = label[l] == job.ignored ? T(0) : x[c][l];
    }
}

template <class T> void short_rows_piece(void* context, i64 piece) {
    const Job& job = *static_cast<Job*>(context);
    const i64 end = least((piece + 1) * job.step, job.rows);
    for (i64 row = piece * job.step; row < end; row += WIDTH<T>)
        short_rows<T>(job, row, least(WIDTH<T>, end - row));
}

template <class T> void run_rows(Job& job) {
    const bool few = job.columns <= FEW;
    const double nanoseconds = job.rows * ((few ? 4.0 : 15.0) + 0.5 * job.columns);
    const i64 pieces = useful_threads(nanoseconds) == 1 ? 1 : 12;
    job.step = (job.rows + pieces - 1) / pieces;
    if (few) job.step = (job.step + WIDTH<T> - 1) / WIDTH<T> * WIDTH<T>;
    if (job.rows)
        run_pieces((job.rows + job.step - 1) / job.step,
                   few ? short_rows_piece<T> : long_rows<T>, &job);
}

template <class T> Status cross_entropy(Job& job) {
    const View& loss = job.call->out[0];
    const bool whole = !job.wants_gradient && job.reduction != Reduction::none;
    job.losses = job.wants_gradient ? nullptr : loss.data;
    if (whole) job.losses = shared_scratch(job.rows * sizeof(T));
    if (whole && !job.losses) return NO_MEMORY;
    run_rows<T>(job);
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
    const View& y = call.out[0];
    if (job.wants_gradient)
        return fits_rows(call.in[2]) && y.dtype == x.dtype && same_shape(y, x) &&
               rows_adjacent(y, size);
    return fits_rows(y) && one_each == (y.ndim == 1) && contiguous(y);
}

}  // namespace

// softmax_cross_entropy(x, t) → loss, or (x, t, g) → gradient;  ints: whether the loss is wanted,
// whether the gradient, the reduction (none, sum, mean), the label to ignore. g is one number, or one
// a row without a reduction. Labels are checked before anything is written.
CR_KERNEL(softmax_cross_entropy) {
    if (call.n_ints != 4 || (call.ints[0] != 0) == (call.ints[1] != 0) || call.n_out != 1 ||
        call.n_in != 2 + (call.ints[1] != 0))
        return bad_call("softmax_cross_entropy: takes x, t and g; gives loss or gradient");
    const View &x = call.in[0], &t = call.in[1];
    Job job{&call, x.shape[0], x.shape[1], 1, call.ints[1] != 0, Reduction(call.ints[2]), call.ints[3], 0, nullptr};
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

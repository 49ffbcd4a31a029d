// Softmax, its logarithm, and ln Σ eˣ over the rows of a matrix.
//
// All first subtract the row's maximum, so that no exponential overflows. A row is read two or
// three times while it is in the L1 cache. Rows are independent, and are divided among threads.
#include "kernels/rows.h"

namespace cr::CR_ISA {

namespace {

struct Job {
    const Call* call;
    i64 rows, columns, step;
    bool logarithmic;
};

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

// An infinite maximum is not subtracted, since ∞ − ∞ is NaN.
template <class T> void logsumexp_piece(void* context, i64 piece) {
    const Job& job = *static_cast<Job*>(context);
    T* y = data<T>(job.call->out[0]);
    for (i64 row = piece * job.step; row < (piece + 1) * job.step && row < job.rows; ++row) {
        const T* x = row_of<T>(job.call->in[0], row);
        const T top = row_maximum(x, job.columns), infinity = Format<T>::infinity;
        const T level = top < infinity && top > -infinity ? top : T(0);
        y[row] = logarithm(row_exponentials<T>(x, level, nullptr, job.columns)) + level;
    }
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
    Job job{&call, x.shape[0], x.shape[1], 1, logarithmic};
    if (x.dtype == DType::f32) run_rows(job, softmax_piece<float>);
    else if (x.dtype == DType::f64) run_rows(job, softmax_piece<double>);
    else return bad_call("softmax: float32 or float64");
    return OK;
}

}  // namespace

CR_KERNEL(softmax) { return softmax_kernel(call, false); }
CR_KERNEL(log_softmax) { return softmax_kernel(call, true); }

// logsumexp(x) → y, one number for each row of a matrix.
CR_KERNEL(logsumexp) {
    if (call.n_in != 1 || call.n_out != 1) return bad_call("logsumexp: takes x and gives y");
    const View &x = call.in[0], &y = call.out[0];
    if (x.dtype != y.dtype || !rows_adjacent(x, item_size(x.dtype)) || !contiguous(y) ||
        count(y) != x.shape[0] || x.shape[1] == 0)
        return bad_call("logsumexp: x is a matrix with adjacent columns, y has its rows");
    Job job{&call, x.shape[0], x.shape[1], 1, true};
    if (x.dtype == DType::f32) run_rows(job, logsumexp_piece<float>);
    else if (x.dtype == DType::f64) run_rows(job, logsumexp_piece<double>);
    else return bad_call("logsumexp: float32 or float64");
    return OK;
}

}  // namespace cr::CR_ISA

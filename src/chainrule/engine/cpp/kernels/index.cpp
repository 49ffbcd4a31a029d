// Reading rows by their numbers, as in embeddings, and adding to rows by their numbers.
//
// All indices are checked before anything is written. If several rows are added to one, this is in
// the order of their positions. A piece is a range of columns, so the order is the same for any
// number of threads.
#include "kernels/operands_read.h"

namespace cr::CR_ISA {

namespace {

// in: rows and positions; a row is `width` bytes (take) or numbers (put).
struct Job {
    const Call* call;
    i64 rows, width, taken, step;
};

Status check_indices(const View& indices, i64 taken, i64 rows, i64 lowest) {
    for (i64 i = 0; i < taken; ++i) {
        const i64 index = integer_at(indices, i);
        if (index < lowest || index >= rows) return out_of_range("index", i, index, rows);
    }
    return OK;
}

i64 from_front(i64 index, i64 rows) { return index < 0 ? index + rows : index; }

void take_piece(void* context, i64 piece) {
    const Job& job = *static_cast<Job*>(context);
    const View &x = job.call->in[0], &y = job.call->out[0];
    const i64 end = (piece + 1) * job.step < job.taken ? (piece + 1) * job.step : job.taken;
    for (i64 i = piece * job.step; i < end; ++i) {
        const i64 row = from_front(integer_at(job.call->in[1], i), job.rows);
        __builtin_memcpy(y.data + i * job.width, x.data + row * job.width, job.width);
    }
}

template <class T> void put_piece(void* context, i64 piece) {
    const Job& job = *static_cast<Job*>(context);
    const T* x = data<T>(job.call->in[0]);
    const T* base = job.call->n_in == 3 ? data<T>(job.call->in[2]) : nullptr;
    T* y = data<T>(job.call->out[0]);
    const i64 from = piece * job.step;
    const i64 n = job.width - from < job.step ? job.width - from : job.step;
    for (i64 row = 0; row < job.rows && base != y; ++row)
        for (i64 c = row * job.width + from; c < row * job.width + from + n; ++c)
            y[c] = base ? base[c] : T(0);
    for (i64 i = 0; i < job.taken; ++i) {
        const i64 row = from_front(integer_at(job.call->in[1], i), job.rows);
        T* sum = y + row * job.width + from;
        const T* term = x + i * job.width + from;
        for (i64 c = 0; c < n; ++c) sum[c] += term[c];
    }
}

template <class T> void scatter_piece(void* context, i64 piece) {
    const Job& job = *static_cast<Job*>(context);
    const T* x = data<T>(job.call->in[0]);
    const i64* positions = data<i64>(job.call->in[1]);
    T* y = data<T>(job.call->out[0]);
    const i64 end = (piece + 1) * job.step < job.rows ? (piece + 1) * job.step : job.rows;
    for (i64 row = piece * job.step; row < end; ++row) {
        T* to = y + row * job.width;
        for (i64 c = 0; c < job.width; ++c) to[c] = T(0);
        for (i64 i = 0; i < job.taken; ++i)
            to[from_front(positions[row * job.taken + i], job.width)] += x[row * job.taken + i];
    }
}

i64 cut(i64 whole, double nanoseconds, i64 unit) {
    const i64 pieces = useful_threads(nanoseconds) == 1 ? 1 : 8;
    return ((whole + pieces - 1) / pieces + unit - 1) / unit * unit;
}

Status take_rows(const Call& call, bool from_the_end) {
    if (call.n_in != 2 || call.n_out != 1 || call.in[0].ndim < 1 || !contiguous(call.in[0]) ||
        !contiguous(call.in[1]) || !contiguous(call.out[0]) || !holds_integers(call.in[1]) ||
        call.in[0].dtype != call.out[0].dtype)
        return bad_call("take: takes x and integers, laid out in order");
    const View &x = call.in[0], &indices = call.in[1];
    const i64 rows = x.shape[0];
    i64 width = item_size(x.dtype);
    for (int d = 1; d < x.ndim; ++d) width *= x.shape[d];
    Job job{&call, rows, width, count(indices), 1};
    if (count(call.out[0]) * item_size(x.dtype) != width * job.taken)
        return bad_call("take: the output has another size");
    const View flat{indices.data, {job.taken}, {item_size(indices.dtype)}, 1, indices.dtype};
    if (const Status bad = check_indices(flat, job.taken, rows, from_the_end ? -rows : 0);
        bad.code != Code::ok)
        return bad;
    if (job.taken == 0 || width == 0) return OK;
    job.step = cut(job.taken, job.taken * (5.0 + 0.02 * width), 1);
    Call flat_call = call;
    const View inputs[2] = {x, flat};
    flat_call.in = inputs;
    job.call = &flat_call;
    run_pieces((job.taken + job.step - 1) / job.step, take_piece, &job);
    return OK;
}

}  // namespace

// take(x, i) → y:  y[n] = x[i[n]] for rows x[…] of any shape; i −rows … rows − 1.
CR_KERNEL(take) { return take_rows(call, true); }
// embedding: the same, but no index counts from the end.
CR_KERNEL(embedding) { return take_rows(call, false); }

// put_into(x, i[, z]) → y:  y = z, which it may be, or 0; then y[i[n]] += x[n].
CR_KERNEL(put_into) {
    bool fits = (call.n_in == 2 || call.n_in == 3) && call.n_out == 1 && call.out[0].ndim > 0 &&
                contiguous(call.out[0]) && holds_integers(call.in[1]) &&
                call.in[0].dtype == call.out[0].dtype;
    for (int i = 0; fits && i < call.n_in; ++i) fits = contiguous(call.in[i]);
    if (fits && call.n_in == 3)
        fits = same_shape(call.in[2], call.out[0]) && call.in[2].dtype == call.out[0].dtype;
    if (!fits) return bad_call("put_into: takes x, integers and z, laid out in order");
    const View &indices = call.in[1], &y = call.out[0];
    i64 width = 1;
    for (int d = 1; d < y.ndim; ++d) width *= y.shape[d];
    Job job{&call, y.shape[0], width, count(indices), 1};
    if (count(call.in[0]) != width * job.taken) return bad_call("put_into: x has another size");
    const View flat{indices.data, {job.taken}, {item_size(indices.dtype)}, 1, indices.dtype};
    if (const Status bad = check_indices(flat, job.taken, job.rows, -job.rows);
        bad.code != Code::ok)
        return bad;
    if (job.rows == 0 || width == 0) return OK;
    const View inputs[3] = {call.in[0], flat, call.in[call.n_in - 1]};
    Call flat_call = call;
    flat_call.in = inputs;
    job.call = &flat_call;
    job.step = cut(width, 0.3 * width * (job.taken + job.rows), 16);
    const i64 pieces = (width + job.step - 1) / job.step;
    if (y.dtype == DType::f32) run_pieces(pieces, put_piece<float>, &job);
    else if (y.dtype == DType::f64) run_pieces(pieces, put_piece<double>, &job);
    else return bad_call("put_into: float32 or float64");
    return OK;
}

// scatter_add(x, i) → y along the last dimension:  y = 0, then y[r, i[r, n]] += x[r, n].
CR_KERNEL(scatter_add) {
    if (call.n_in != 2 || call.n_out != 1 || call.in[0].ndim < 1 ||
        call.in[0].ndim != call.out[0].ndim || !same_shape(call.in[0], call.in[1]) ||
        !contiguous(call.in[0]) || !contiguous(call.in[1]) || !contiguous(call.out[0]) ||
        call.in[1].dtype != DType::i64 || call.in[0].dtype != call.out[0].dtype)
        return bad_call("scatter_add: takes x and int64 positions of one shape, in order");
    const View &x = call.in[0], &y = call.out[0];
    i64 rows = 1;
    for (int d = 0; d < x.ndim - 1; ++d) {
        rows *= x.shape[d];
        if (x.shape[d] != y.shape[d]) return bad_call("scatter_add: other rows in the output");
    }
    Job job{&call, rows, y.shape[y.ndim - 1], x.shape[x.ndim - 1], 1};
    const View flat{call.in[1].data, {rows * job.taken}, {8}, 1, DType::i64};
    if (const Status bad = check_indices(flat, rows * job.taken, job.width, -job.width);
        bad.code != Code::ok)
        return bad;
    if (rows == 0) return OK;
    job.step = cut(rows, rows * (0.1 * job.width + 1.0 * job.taken), 1);
    const i64 pieces = (rows + job.step - 1) / job.step;
    if (y.dtype == DType::f32) run_pieces(pieces, scatter_piece<float>, &job);
    else if (y.dtype == DType::f64) run_pieces(pieces, scatter_piece<double>, &job);
    else return bad_call("scatter_add: float32 or float64");
    return OK;
}

}  // namespace cr::CR_ISA

// The kernel `matmul`: products of matrices, or of batches of them, of any strides.
#include "kernels/gemm.h"
#include "kernels/operands.h"
#include "kernels/pack.h"

namespace cr::CR_ISA {

namespace {

bool whole_elements(const View& v, i64 size) {
    for (int d = 0; d < v.ndim; ++d)
        if (v.strides[d] % size) return false;
    return true;
}

// The stride, in elements, of C's batch dimension d (of `dims`) in an operand that broadcasts.
bool batch_stride(const View& v, const View& c, int d, i64 size, i64& stride) {
    const int own = d - (c.ndim - v.ndim);
    stride = own >= 0 && v.shape[own] != 1 ? v.strides[own] / size : 0;
    return own < 0 || v.shape[own] == 1 || v.shape[own] == c.shape[d];
}

// Whether a long sum is faster as one of Cᵀ: its operands come from memory, and its last panel of
// columns would be half empty, where Cᵀ has full panels. The time saved must exceed that of turning
// C. Shorter sums are turned piece by piece (gemm_turned.cpp).
template <class T> bool better_transposed(const Product<T>& p) {
    constexpr i64 P = WIDE * WIDTH<T>, LONG = 4096;
    constexpr i64 TO_TURN = 64;  // products in the time of moving one element
    const i64 padding = rounded(p.n, P) * p.m - rounded(p.m, P) * p.n;
    return p.k > LONG && p.n > 1 && p.a_row == 1 && plain(p.end) &&
           padding * p.k > TO_TURN * p.m * p.n;
}

// Cᵀ = Bᵀ·Aᵀ, with the same sums.
template <class T> Status multiply_transposed(const Product<T>& p) {
    T* turned = static_cast<T*>(shared_scratch(p.m * p.n * sizeof(T)));
    if (!turned) return NO_MEMORY;
    Product<T> q{};
    q.a = p.b, q.a_row = p.b_column, q.a_k = p.b_k;
    q.b = p.a, q.b_k = p.a_k, q.b_column = p.a_row;
    q.m = p.n, q.n = p.m, q.k = p.k;
    q.c = turned, q.c_row = p.m;
    const Status status = multiply(q);
    if (status.code == Code::ok) pack_strip(turned, 1, p.m, p.m, p.n, p.n, p.c_row, p.c);
    return status;
}

// -- the operands --------------------------------------------------------------------------------

template <class T> Status read_matrices(const Call& call, Product<T>& p) {
    const View &a = call.in[0], &b = call.in[1], &c = call.out[0];
    const i64 size = sizeof(T);
    const int last = c.ndim - 1;
    p.m = c.shape[last - 1], p.n = c.shape[last], p.k = a.shape[a.ndim - 1];
    if (a.shape[a.ndim - 2] != p.m || b.shape[b.ndim - 1] != p.n || b.shape[b.ndim - 2] != p.k)
        return bad_call("matmul: the sizes of the matrices do not fit");
    if (!whole_elements(a, size) || !whole_elements(b, size) || !whole_elements(c, size))
        return bad_call("matmul: a stride is not a whole number of elements");
    if (p.n > 1 && c.strides[last] != size) return bad_call("matmul: C has columns apart");
    p.a = data<T>(a), p.b = data<T>(b), p.c = data<T>(c);
    p.a_row = a.strides[a.ndim - 2] / size, p.a_k = a.strides[a.ndim - 1] / size;
    p.b_k = b.strides[b.ndim - 2] / size, p.b_column = b.strides[b.ndim - 1] / size;
    p.c_row = c.strides[last - 1] / size;
    if (p.n == 1) p.b_column = 1;
    return OK;
}

template <class T> Status read_end(const Call& call, Product<T>& p) {
    const bool has_bias = call.ints[1], has_residual = call.ints[2];
    const i64 size = sizeof(T);
    p.end.activation = static_cast<Activation>(call.ints[0]);
    if (has_bias) {
        const View& bias = call.in[2];
        if (bias.ndim != 1 || bias.shape[0] != p.n || (p.n > 1 && bias.strides[0] != size))
            return bad_call("matmul: the bias is not one adjacent number a column");
        p.end.bias = data<T>(bias);
    }
    if (has_residual) {
        const View& residual = call.in[2 + has_bias];
        const int last = residual.ndim - 1;
        if (!same_shape(residual, call.out[0]) || !whole_elements(residual, size) ||
            (p.n > 1 && residual.strides[last] != size))
            return bad_call("matmul: the residual is not laid out in rows");
        p.end.residual = data<T>(residual);
        p.end.residual_stride = residual.strides[last - 1] / size;
    }
    return OK;
}

// The dimensions of the batch. Those over which B does not change are further rows of A and C where
// they lie like that, so that B is not copied anew for each.
template <class T> Status read_batch(const Call& call, Product<T>& p, Batch& batch) {
    const View &a = call.in[0], &b = call.in[1], &c = call.out[0];
    const View* residual = call.ints[2] ? &call.in[2 + (call.ints[1] != 0)] : nullptr;
    const i64 size = sizeof(T);
    batch.dims = c.ndim - 2;
    for (int d = 0; d < batch.dims; ++d) {
        batch.shape[d] = c.shape[d];
        batch.c[d] = c.strides[d] / size;
        if (!batch_stride(a, c, d, size, batch.a[d]) || !batch_stride(b, c, d, size, batch.b[d]) ||
            (residual && !batch_stride(*residual, c, d, size, batch.residual[d])))
            return bad_call("matmul: batches do not broadcast");
    }
    while (batch.dims > 0) {
        const int d = batch.dims - 1;
        const bool rows = batch.b[d] == 0 && batch.a[d] == p.m * p.a_row &&
                          batch.c[d] == p.m * p.c_row &&
                          (!residual || batch.residual[d] == p.m * p.end.residual_stride);
        if (!rows && batch.shape[d] != 1) break;
        p.m *= batch.shape[d];
        --batch.dims;
    }
    return OK;
}

template <class T> Status matmul_of(const Call& call) {
    Product<T> p{};
    Batch batch;
    if (const Status s = read_matrices(call, p); s.code != Code::ok) return s;
    if (count(call.out[0]) == 0) return OK;
    if (const Status s = read_end(call, p); s.code != Code::ok) return s;
    if (const Status s = read_batch(call, p, batch); s.code != Code::ok) return s;
    if (!own_scratch()) return NO_MEMORY;
    return batch.dims == 0 && better_transposed(p) ? multiply_transposed(p) : multiply(p, batch);
}

}  // namespace

// matmul(a, b[, bias][, residual]) → c = activation(a·b + bias + residual), or with the activation
// `gate` c = (a·b + bias)·[residual > 0].
// ints: activation, whether there is a bias, whether there is a residual.
// The strides of a and b are arbitrary, so a transposed operand is a view with exchanged strides.
CR_KERNEL(matmul) {
    if (call.n_ints != 3 || call.n_out != 1 || call.n_in != 2 + (call.ints[1] != 0) +
        (call.ints[2] != 0) || call.in[0].ndim < 2 || call.in[1].ndim < 2 || call.out[0].ndim < 2 ||
        call.in[0].ndim > call.out[0].ndim || call.in[1].ndim > call.out[0].ndim)
        return bad_call("matmul: needs matrices a and b, and flags for the rest");
    if (all_of_type(call, DType::f32)) return matmul_of<float>(call);
    if (all_of_type(call, DType::f64)) return matmul_of<double>(call);
    return bad_call("matmul: operands are all float32 or all float64");
}

}  // namespace cr::CR_ISA

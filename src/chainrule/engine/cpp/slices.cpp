// `slice_into`: zeros, with a slice of them set: the gradient of reading a slice; and `cat`.
#include "operands.h"

namespace cr::CR_ISA {

CR_KERNEL(copy);
CR_KERNEL(fill_zero);

namespace {

// Whether every element of `part` lies inside `whole`, which lies in order.
bool inside(const View& part, const View& whole) {
    i64 lowest = part.data - whole.data, highest = lowest + item_size(part.dtype);
    for (int d = 0; d < part.ndim; ++d) {
        const i64 reach = (part.shape[d] - 1) * part.strides[d];
        (reach < 0 ? lowest : highest) += reach;
    }
    return lowest >= 0 && highest <= count(whole) * item_size(whole.dtype);
}

}  // namespace

// slice_into(x) → y;  ints: where the slice begins in y, and its strides for the dimensions of x,
// in bytes.
CR_KERNEL(slice_into) {
    if (call.n_in != 1 || call.n_out != 1 || call.n_ints != 1 + call.in[0].ndim ||
        call.in[0].dtype != call.out[0].dtype || !contiguous(call.out[0]))
        return bad_call("slice_into: takes x and where it goes, gives y in order");
    const View &x = call.in[0], &y = call.out[0];
    View part = x;
    part.data = y.data + call.ints[0];
    for (int d = 0; d < x.ndim; ++d) part.strides[d] = call.ints[1 + d];
    if (count(x) > 0 && !inside(part, y)) return bad_call("slice_into: the slice leaves y");
    if (count(x) < count(y)) fill_zero(Call{nullptr, &y, nullptr, nullptr, 0, 1, 0, 0});
    return copy(Call{&x, &part, nullptr, nullptr, 1, 1, 0, 0});
}

// cat(x₀, x₁, …) → y, in order;  ints: the dimension along which they follow each other
CR_KERNEL(cat) {
    if (call.n_in < 1 || call.n_out != 1 || call.n_ints != 1 || !contiguous(call.out[0]) ||
        call.ints[0] < 0 || call.ints[0] >= call.out[0].ndim)
        return bad_call("cat: takes arrays and a dimension, gives y in order");
    const View& y = call.out[0];
    const i64 dim = call.ints[0];
    i64 total = 0;
    for (int i = 0; i < call.n_in; ++i) {
        const View& x = call.in[i];
        bool fits = x.ndim == y.ndim && x.dtype == y.dtype;
        for (int d = 0; fits && d < y.ndim; ++d) fits = d == dim || x.shape[d] == y.shape[d];
        if (!fits) return bad_call("cat: shapes or dtypes do not fit");
        total += x.shape[dim];
    }
    if (total != y.shape[dim]) return bad_call("cat: the parts are not as long as the whole");
    View part = y;
    for (int i = 0; i < call.n_in; ++i) {
        const i64 n = part.shape[dim] = call.in[i].shape[dim];
        const Status status =
            count(part) ? copy(Call{&call.in[i], &part, nullptr, nullptr, 1, 1, 0, 0}) : OK;
        if (status.code != Code::ok) return status;
        part.data += n * y.strides[dim];
    }
    return OK;
}

}  // namespace cr::CR_ISA

// `copy`: copies any view into any other of the same shape and dtype, with broadcasting.
//
// A transposing copy is slow if one side accesses another cache line at each step. Looping over the
// two conflicting dimensions in blocks of 32 by 32 keeps both sides in the L1 cache. Where numbers
// are adjacent along one of them in the source and along the other in the result, vectors of them
// are transposed in registers.
#include <type_traits>

#include "kernels/operands.h"
#include "kernels/pack.h"

namespace cr::CR_ISA {

namespace {

struct Job {
    char* to;
    const char* from;
    i64 shape[MAX_DIMS], to_stride[MAX_DIMS], from_stride[MAX_DIMS];
    int ndim;
    int across;  // the dimension whose steps are smallest in the source, blocked with the last
    i64 outer, step;
};

constexpr i64 BLOCK = 32;

template <class T> void copy_plane(const Job& job, char* to, const char* from) {
    const int last = job.ndim - 1, across = job.across;
    const i64 n = job.shape[last], m = across < 0 ? 1 : job.shape[across];
    const i64 to_n = job.to_stride[last], from_n = job.from_stride[last];
    const i64 to_m = across < 0 ? 0 : job.to_stride[across];
    const i64 from_m = across < 0 ? 0 : job.from_stride[across];
    if (across < 0 && to_n == sizeof(T) && from_n == sizeof(T)) {
        __builtin_memcpy(to, from, n * sizeof(T));
        return;
    }
    if constexpr (sizeof(T) > 1) {
        using Number = std::conditional_t<sizeof(T) == 4, float, double>;  // moved as it is
        constexpr i64 size = sizeof(T);
        if (to_n == size && from_m == size && from_n % size == 0 && to_m % size == 0)
            return pack_strip(reinterpret_cast<const Number*>(from), 1, from_n / size, m, n, n,
                              to_m / size, reinterpret_cast<Number*>(to));
    }
    for (i64 i = 0; i < m; i += BLOCK)
        for (i64 j = 0; j < n; j += BLOCK)
            for (i64 r = i; r < m && r < i + BLOCK; ++r)
                for (i64 c = j; c < n && c < j + BLOCK; ++c)
                    *reinterpret_cast<T*>(to + r * to_m + c * to_n) =
                        *reinterpret_cast<const T*>(from + r * from_m + c * from_n);
}

template <class T> void copy_piece(void* context, i64 piece) {
    const Job& job = *static_cast<Job*>(context);
    const i64 end = (piece + 1) * job.step < job.outer ? (piece + 1) * job.step : job.outer;
    for (i64 plane = piece * job.step; plane < end; ++plane) {
        char* to = job.to;
        const char* from = job.from;
        i64 rest = plane;
        for (int d = job.ndim - 2; d >= 0; --d) {
            if (d == job.across) continue;
            to += rest % job.shape[d] * job.to_stride[d];
            from += rest % job.shape[d] * job.from_stride[d];
            rest /= job.shape[d];
        }
        copy_plane<T>(job, to, from);
    }
}

bool plan(const View& in, const View& out, Job& job) {
    job.to = out.data, job.from = in.data, job.ndim = 0, job.across = -1, job.outer = 1;
    if (in.ndim > out.ndim) return false;
    for (int d = 0; d < out.ndim; ++d) {
        const int own = d - (out.ndim - in.ndim);
        const i64 n = out.shape[d];
        if (own >= 0 && in.shape[own] != 1 && in.shape[own] != n) return false;
        const i64 from = own < 0 || in.shape[own] == 1 ? 0 : in.strides[own];
        if (n == 1) continue;
        const int top = job.ndim - 1;
        if (top >= 0 && job.to_stride[top] == out.strides[d] * n &&
            job.from_stride[top] == from * n) {
            job.shape[top] *= n, job.to_stride[top] = out.strides[d], job.from_stride[top] = from;
        } else {
            job.shape[job.ndim] = n, job.to_stride[job.ndim] = out.strides[d];
            job.from_stride[job.ndim++] = from;
        }
    }
    if (job.ndim == 0) {
        job.shape[0] = 1, job.to_stride[0] = job.from_stride[0] = 0, job.ndim = 1;
    }
    const int last = job.ndim - 1;
    const i64 step = job.from_stride[last] < 0 ? -job.from_stride[last] : job.from_stride[last];
    for (int d = 0; d < last; ++d)
        if (job.from_stride[d] > 0 && job.from_stride[d] < step &&
            (job.across < 0 || job.from_stride[d] < job.from_stride[job.across]))
            job.across = d;
    for (int d = 0; d < last; ++d)
        if (d != job.across) job.outer *= job.shape[d];
    return true;
}

}  // namespace

CR_KERNEL(copy) {
    if (call.n_in != 1 || call.n_out != 1 || call.in[0].dtype != call.out[0].dtype)
        return bad_call("copy: one input, one output, of one dtype");
    const i64 n = count(call.out[0]), size = item_size(call.out[0].dtype);
    if (n == 0) return OK;
    Job job;
    if (!plan(call.in[0], call.out[0], job)) return bad_call("copy: the input does not broadcast");
    const i64 pieces = useful_threads(n * 0.3) == 1 ? 1 : 8;
    job.step = (job.outer + pieces - 1) / pieces;
    run_pieces((job.outer + job.step - 1) / job.step,
               size == 8   ? copy_piece<std::uint64_t>
               : size == 4 ? copy_piece<std::uint32_t>
                           : copy_piece<std::uint8_t>,
               &job);
    return OK;
}

}  // namespace cr::CR_ISA

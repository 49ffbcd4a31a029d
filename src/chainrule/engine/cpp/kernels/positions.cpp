// argmax and argmin: the position of the first extreme along a dimension. NaN counts as extreme.
//
// A long row is read twice, which is faster than tracking positions: once for its extreme, by
// vectors, and once for the first position with this value. The minimum of x is exactly minus the
// maximum of −x, so both use the same code.
#include "kernels/groups.h"
#include "kernels/pack.h"
#include "kernels/rows.h"

namespace cr::CR_ISA {

namespace {

struct Job {
    const Call* call;
    Groups groups;
    bool smallest;
};

// Whether `value` replaces the best so far.
template <class T> CR_INLINE bool beats(T value, T best) {
    return (value > best) | ((value != value) & (best == best));
}

// A row of at least K vectors. The last K vectors end at the end of the row, and so may overlap
// those before; reading a number twice does not change the result.
constexpr int K = 4, FEW = 12;  // vectors of a block, and of a row that is better taken by lanes

template <class T> i64 position_in_row(const T* x, i64 n, T sign) {
    constexpr i64 W = WIDTH<T>, BLOCK = K * W;
    const auto block = [=](i64 i) { return i + BLOCK <= n ? i : n - BLOCK; };
    Vec<T> top[K];
    for (int k = 0; k < K; ++k) top[k] = load(x + k * W) * sign;
    for (i64 i = BLOCK; i < n; i += BLOCK)
        for (int k = 0; k < K; ++k) top[k] = larger(load(x + block(i) + k * W) * sign, top[k]);
    for (int k = 1; k < K; ++k) top[0] = larger(top[k], top[0]);
    const T extreme = folded(top[0], [](Vec<T> a, Vec<T> b) { return larger(a, b); });
    const Vec<T> best = splat(extreme * sign);
    for (i64 i = 0; i < n; i += BLOCK) {
        Mask<T> here{};  // numbers that are the best; if that is NaN, those that are NaN
        for (int k = 0; k < K; ++k) {
            const Vec<T> v = load(x + block(i) + k * W);
            here |= (v == best) | (v != v);
        }
        std::uint64_t words[sizeof here / 8], some = 0;
        __builtin_memcpy(words, &here, sizeof here);
        for (std::uint64_t word : words) some |= word;
        if (!some) continue;
        for (i = block(i); x[i] != best[0] && x[i] == x[i];) ++i;
        return i;
    }
    return 0;
}

// Rows of few numbers: WIDTH of them at a time, a lane for each.
template <class T> void positions_of_rows(const T* x, i64 n, i64 rows, T sign, i64* y) {
    constexpr i64 W = WIDTH<T>;
    for (; rows > 0; x += W * n, y += W, rows -= W) {
        Vec<T> best = splat(-Format<T>::infinity);
        Mask<T> at{};
        alignas(64) T columns[W * W];
        for (i64 k = 0; k < n; ++k) {
            if (k % W == 0) pack_block(x + k, n, n - k, rows, W, columns);
            const Vec<T> value = load(columns + k % W * W) * sign;
            const Mask<T> better = (value > best) | ((value != value) & (best == best));
            best = better ? value : best;
            at = better ? int_splat<T>(k) : at;
        }
        for (i64 l = 0; l < W && l < rows; ++l) y[l] = at[l];
    }
}

template <class T> void position_piece(void* context, i64 piece) {
    const Job& job = *static_cast<Job*>(context);
    const T sign = job.smallest ? T(-1) : T(1);
    const i64 n = job.groups.n, inner = job.groups.inner;
    if (inner == 1 && n < FEW * WIDTH<T>) {
        const i64 first = piece * job.groups.step, rows = job.groups.outer - first;
        return positions_of_rows(data<T>(job.call->in[0]) + first * n, n,
                                 rows < job.groups.step ? rows : job.groups.step, sign,
                                 data<i64>(job.call->out[0]) + first);
    }
    each_item(job.groups, piece, [&](const Item& item) {
        const T* x = data<T>(job.call->in[0]) + item.first;
        i64* y = data<i64>(job.call->out[0]) + item.result;
        if (inner == 1) {
            *y = position_in_row(x, n, sign);
            return;
        }
        T best[COLUMNS];
        typename Format<T>::Int at[COLUMNS] = {};  // as wide as T, so that vectors hold both
        for (i64 c = 0; c < item.columns; ++c) best[c] = x[c] * sign;
        for (i64 k = 1; k < n; ++k)
            for (i64 c = 0; c < item.columns; ++c) {
                const T value = x[k * inner + c] * sign, old = best[c];
                const bool better = beats(value, old);
                best[c] = better ? value : old;
                at[c] = better ? typename Format<T>::Int(k) : at[c];
            }
        for (i64 c = 0; c < item.columns; ++c) y[c] = at[c];
    });
}

}  // namespace

// position(x) → y, int64;  ints: outer, n, inner, whether the smallest is asked for.
CR_KERNEL(position) {
    if (call.n_ints != 4) return bad_call("position: takes three sizes and a flag");
    Job job{&call, {call.ints[0], call.ints[1], call.ints[2], 1}, call.ints[3] != 0};
    if (!fits(job.groups, call) || call.out[0].dtype != DType::i64 ||
        (job.groups.items() > 0 && (job.groups.n == 0 || job.groups.n > INT32_MAX)))
        return bad_call("position: the sizes do not fit x and y, or are too large");
    const double nanoseconds = count(call.in[0]) * 0.5 + count(call.out[0]) * 5.0;
    if (call.in[0].dtype == DType::f32) run_groups(job, nanoseconds, position_piece<float>);
    else if (call.in[0].dtype == DType::f64) run_groups(job, nanoseconds, position_piece<double>);
    else return bad_call("position: float32 or float64");
    return OK;
}

}  // namespace cr::CR_ISA

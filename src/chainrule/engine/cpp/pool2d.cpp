// Max pooling: the largest pixel of each window, and where in the plane it was.
//
// A vector of neighbouring windows is kept in registers while the taps go by: compare, choose.
// NaN wins; of equal pixels the first, as in the reference. Windows that reach over the border,
// and the last few of the memory, where a vector would read past its end, are done one by one.
#include "operands.h"
#include "vec.h"

namespace cr::CR_ISA {

namespace {

struct Job {
    const Call* call;
    i64 planes, height, width, out_height, out_width, step;
    i64 kernel_y, kernel_x, stride_y, stride_x, top, left;
};

template <class T> CR_INLINE Vec<T> even_lanes(Vec<T> a, Vec<T> b) {
    constexpr int W = WIDTH<T>;
    Vec<T> y;
    if constexpr (W == 16)
        y = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    else if constexpr (W == 8)
        y = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
    else if constexpr (W == 4)
        y = __builtin_shufflevector(a, b, 0, 2, 4, 6);
    else
        y = __builtin_shufflevector(a, b, 0, 2);
    return y;
}

// One tap of WIDTH neighbouring windows. Reads up to p + stride · WIDTH.
template <class T> CR_INLINE Vec<T> tap(const T* p, i64 stride) {
    if (stride == 1) return load(p);
    if (stride == 2) return even_lanes<T>(load(p), load(p + WIDTH<T>));
    Vec<T> y;
    for (int l = 0; l < WIDTH<T>; ++l) y[l] = p[l * stride];
    return y;
}

// n ≤ WIDTH windows that lie inside the image's columns; `corner` is the first one's first pixel.
template <class T>
void pool_block(const Job& job, const T* corner, i64 position, i64 rows, i64 n, T* y, i64* where) {
    using Int = typename Lanes<T>::Int;
    Vec<T> best = tap(corner, job.stride_x);
    Mask<T> offset{};
    for (i64 i = 0; i < rows; ++i)
        for (i64 j = i == 0; j < job.kernel_x; ++j) {
            const Vec<T> pixel = tap(corner + i * job.width + j, job.stride_x);
            const Mask<T> better = ~(pixel <= best) & (best == best);
            best = better ? pixel : best;
            offset = better ? Int(i * job.width + j) - Mask<T>{} : offset;
        }
    if (n == WIDTH<T>) store(y, best);
    else store_some(y, best, n);
    for (i64 l = 0; l < n; ++l) where[l] = position + l * job.stride_x + offset[l];
}

template <class T>
void pool_one(const Job& job, const T* x, i64 top, i64 left, T& best, i64& where) {
    bool begun = false;
    for (i64 y = top < 0 ? 0 : top; y < top + job.kernel_y && y < job.height; ++y)
        for (i64 c = left < 0 ? 0 : left; c < left + job.kernel_x && c < job.width; ++c) {
            const T pixel = x[y * job.width + c];
            if (begun && (pixel <= best || best != best)) continue;
            best = pixel;
            where = y * job.width + c;
            begun = true;
        }
}

template <class T> void pool_piece(void* context, i64 piece) {
    const Job& job = *static_cast<Job*>(context);
    const i64 end = (piece + 1) * job.step < job.planes ? (piece + 1) * job.step : job.planes;
    const T* images = data<T>(job.call->in[0]);
    const T* last = images + job.planes * job.height * job.width;
    // Windows [low, high) of a row lie inside the image's columns.
    i64 low = (job.left + job.stride_x - 1) / job.stride_x;
    i64 high = (job.width + job.left - job.kernel_x) / job.stride_x + 1;
    high = high > job.out_width ? job.out_width : high;
    for (i64 plane = piece * job.step; plane < end; ++plane) {
        const T* x = images + plane * job.height * job.width;
        for (i64 oy = 0; oy < job.out_height; ++oy) {
            const i64 row = (plane * job.out_height + oy) * job.out_width;
            T* y = data<T>(job.call->out[0]) + row;
            i64* where = data<i64>(job.call->out[1]) + row;
            const i64 top = oy * job.stride_y - job.top, from = top < 0 ? 0 : top;
            const i64 rest = job.height - from, all = top + job.kernel_y - from;
            const i64 rows = all < rest ? all : rest;
            for (i64 ox = 0; ox < job.out_width;) {
                const i64 position = from * job.width + ox * job.stride_x - job.left;
                const i64 reach = (rows - 1) * job.width + job.kernel_x - 1 +
                                  job.stride_x * WIDTH<T>;
                if (ox >= low && ox < high && last - (x + position) >= reach) {
                    const i64 n = high - ox < WIDTH<T> ? high - ox : WIDTH<T>;
                    pool_block(job, x + position, position, rows, n, y + ox, where + ox);
                    ox += n;
                } else {
                    pool_one(job, x, top, ox * job.stride_x - job.left, y[ox], where[ox]);
                    ++ox;
                }
            }
        }
    }
}

}  // namespace

// max_pool2d(x) → y, positions;  ints: kernel, stride, padding (height and width of each)
CR_KERNEL(max_pool2d) {
    if (call.n_in != 1 || call.n_out != 2 || call.n_ints != 6 || call.in[0].ndim != 4 ||
        call.out[0].ndim != 4 || call.out[1].dtype != DType::i64 ||
        call.in[0].dtype != call.out[0].dtype || !same_shape(call.out[0], call.out[1]) ||
        !contiguous(call.in[0]) || !contiguous(call.out[0]) || !contiguous(call.out[1]))
        return bad_call("max_pool2d: takes images, gives images and int64 positions, in order");
    const View &x = call.in[0], &y = call.out[0];
    const i64* g = call.ints;
    bool right = x.shape[0] == y.shape[0] && x.shape[1] == y.shape[1];
    for (int d = 0; right && d < 2; ++d) {
        const i64 room = x.shape[2 + d] + 2 * g[4 + d] - g[d];
        right = g[d] > 0 && g[2 + d] > 0 && g[4 + d] >= 0 && 2 * g[4 + d] <= g[d] && room >= 0 &&
                y.shape[2 + d] == room / g[2 + d] + 1;
    }
    if (!right) return bad_call("max_pool2d: the sizes do not fit");
    if (g[0] * x.shape[3] + g[1] > INT32_MAX) return bad_call("max_pool2d: a window is too large");
    Job job{&call, x.shape[0] * x.shape[1], x.shape[2], x.shape[3], y.shape[2], y.shape[3], 1,
            g[0], g[1], g[2], g[3], g[4], g[5]};
    if (count(y) == 0) return OK;
    const i64 pieces = useful_threads(0.4 * count(y) * g[0] * g[1]) == 1 ? 1 : 16;
    job.step = (job.planes + pieces - 1) / pieces;
    const i64 n = (job.planes + job.step - 1) / job.step;
    if (x.dtype == DType::f32) run_pieces(n, pool_piece<float>, &job);
    else if (x.dtype == DType::f64) run_pieces(n, pool_piece<double>, &job);
    else return bad_call("max_pool2d: float32 or float64");
    return OK;
}

}  // namespace cr::CR_ISA

// Max pooling: the largest pixel of each window, and where in the plane it was.
//
// A row of the output is found tap by tap: compare and choose without branches, so the compiler
// makes vectors of it. NaN wins; of equal pixels the first, as in the reference.
#include "operands.h"

namespace cr::CR_ISA {

namespace {

struct Job {
    const Call* call;
    i64 planes, height, width, out_height, out_width, step;
    i64 kernel_y, kernel_x, stride_y, stride_x, top, left;
};

constexpr i64 RUN = 256;    // windows of an output row at a time
constexpr i64 LINE = 2048;  // the pixels of one row that they see
constexpr i64 STEP = 16;    // runs are rounded up to whole vectors of any instruction set

// One tap for n neighbouring windows: `best` so far, and at which offset from the window's corner
// it was. Offsets have the width of the numbers, so that both fit the same vectors. STRIDE 0 means
// one that is not known when compiling.
template <class T, class Int, int STRIDE>
void take_larger(const T* row, i64 stride, i64 n, Int offset, T* best, Int* where) {
    const i64 step = STRIDE ? STRIDE : stride;
    for (i64 i = 0; i < n; ++i) {
        const T pixel = row[i * step], old = best[i];
        const bool better = !(pixel <= old) & (old == old);
        best[i] = better ? pixel : old;
        where[i] = better ? offset : where[i];
    }
}

// n neighbouring windows of one output row, all of them inside the image's columns. Each row of
// pixels is copied into `line` first: a run rounded up to whole vectors may read past its end, and
// rows of an image are often shorter than a vector.
template <class T, class Int>
void pool_run(const Job& job, const T* corner, i64 position, i64 rows, i64 n, T* line, T* y,
              i64* positions) {
    alignas(64) T best[RUN + STEP];
    alignas(64) Int where[RUN + STEP];
    const i64 whole = (n + STEP - 1) / STEP * STEP;
    const i64 seen = (n - 1) * job.stride_x + job.kernel_x;
    const auto take = job.stride_x == 1   ? take_larger<T, Int, 1>
                      : job.stride_x == 2 ? take_larger<T, Int, 2>
                                          : take_larger<T, Int, 0>;
    for (i64 i = 0; i < rows; ++i) {
        __builtin_memcpy(line, corner + i * job.width, seen * sizeof(T));
        if (i == 0)
            for (i64 w = 0; w < whole; ++w) best[w] = line[w * job.stride_x], where[w] = 0;
        for (i64 j = i == 0; j < job.kernel_x; ++j)
            take(line + j, job.stride_x, whole, Int(i * job.width + j), best, where);
    }
    for (i64 i = 0; i < n; ++i) y[i] = best[i];
    for (i64 i = 0; i < n; ++i) positions[i] = position + i * job.stride_x + where[i];
}

template <class T> struct OffsetOf { using Type = std::int32_t; };
template <> struct OffsetOf<double> { using Type = std::int64_t; };
template <class T> using Offset = typename OffsetOf<T>::Type;

template <class T> void pool_piece(void* context, i64 piece) {
    const Job& job = *static_cast<Job*>(context);
    const i64 end = (piece + 1) * job.step < job.planes ? (piece + 1) * job.step : job.planes;
    alignas(64) T line[LINE] = {};
    const i64 room = (LINE - job.kernel_x) / job.stride_x - STEP, most = room < RUN ? room : RUN;
    for (i64 plane = piece * job.step; plane < end; ++plane) {
        const T* x = data<T>(job.call->in[0]) + plane * job.height * job.width;
        const i64 out_plane = plane * job.out_height * job.out_width;
        for (i64 oy = 0; oy < job.out_height; ++oy) {
            T* best = data<T>(job.call->out[0]) + out_plane + oy * job.out_width;
            i64* where = data<i64>(job.call->out[1]) + out_plane + oy * job.out_width;
            const i64 top = oy * job.stride_y - job.top;
            // Windows [low, high) lie inside the row for every tap; the others are done one by one.
            i64 low = (job.left + job.stride_x - 1) / job.stride_x;
            i64 high = (job.width + job.left - job.kernel_x) / job.stride_x + 1;
            low = low < job.out_width ? low : job.out_width;
            high = high > job.out_width ? job.out_width : high < low ? low : high;
            if (most < STEP) high = low;  // windows too wide for a line
            const i64 from_y = top < 0 ? 0 : top;
            const i64 rows = (top + job.kernel_y < job.height ? top + job.kernel_y : job.height) -
                             from_y;
            for (i64 at = low; at < high; at += most) {
                const i64 n = high - at < most ? high - at : most;
                const i64 corner = from_y * job.width + at * job.stride_x - job.left;
                pool_run<T, Offset<T>>(job, x + corner, corner, rows, n, line, best + at,
                                       where + at);
            }
            for (i64 ox = 0; ox < job.out_width; ++ox) {
                if (ox == low && high > low) ox = high;
                if (ox == job.out_width) break;
                bool begun = false;
                for (i64 i = 0; i < job.kernel_y; ++i)
                    for (i64 j = 0; j < job.kernel_x; ++j) {
                        const i64 y = top + i, column = ox * job.stride_x - job.left + j;
                        if (y < 0 || y >= job.height || column < 0 || column >= job.width) continue;
                        const T pixel = x[y * job.width + column];
                        if (begun && ((pixel <= best[ox]) || best[ox] != best[ox])) continue;
                        best[ox] = pixel;
                        where[ox] = y * job.width + column;
                        begun = true;
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

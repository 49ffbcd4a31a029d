// Pooling: the largest pixel of each window with its position, the mean, and the mean's gradient.
//
// Planes are independent, and are divided among threads. Inside the image, WIDTH adjacent windows
// are processed at once; for stride 2, a vector of every second pixel needs two loads. Windows that
// extend over the border are processed one by one, and so are those with longer rows than the result
// has, as one that covers the image.
#include "kernels/operands.h"
#include "kernels/rows.h"

namespace cr::CR_ISA {

namespace {

template <class T> struct Job {
    const T* x;
    T* y;
    i64* positions;  // null for the mean
    i64 planes, step;
    i64 height, width, out_height, out_width;
    i64 kernel[2], stride[2], padding[2], dilation[2];
    bool wide;  // whether a row of a window is longer than one of the result
    T scale;
    const T* end;   // of all images
    Mask<T> lanes;  // where neighbouring windows begin: 0, stride, 2·stride, …

    // Of tap (i, j) of the window that begins at (top, left), in a plane.
    i64 place(i64 top, i64 i, i64 left, i64 j) const {
        return (top + i * dilation[0]) * width + left + j * dilation[1];
    }
};

template <int W, class V> CR_INLINE V every_second(V a, V b) {
    if constexpr (W == 16)
        return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28,
                                       30);
    else if constexpr (W == 8) return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
    else if constexpr (W == 4) return __builtin_shufflevector(a, b, 0, 2, 4, 6);
    else return __builtin_shufflevector(a, b, 0, 2);
}

template <class T> CR_INLINE Vec<T> load_up_to(const T* p, const T* end) {
    return p + WIDTH<T> <= end ? load(p) : p < end ? load_some(p, end - p, T(0)) : Vec<T>{};
}

// n pixels, `stride` apart; what lies behind them is read too, but not past the end of the images.
template <class T> CR_INLINE Vec<T> load_apart(const T* p, i64 stride, i64 n, const T* end) {
    constexpr i64 W = WIDTH<T>;
    if (stride == 1) return load_up_to(p, end);
    if (stride == 2) return every_second<int(W)>(load_up_to(p, end), load_up_to(p + W, end));
    Vec<T> v{};
    for (i64 l = 0; l < n; ++l) v[l] = p[l * stride];
    return v;
}

// The part of a window, along one side, that lies in the image: taps [from, to).
struct Part {
    i64 from, to;
};
template <class T> CR_INLINE Part inside(const Job<T>& job, int side, i64 start, i64 size) {
    const i64 d = job.dilation[side];
    return {start < 0 ? (d - 1 - start) / d : 0,
            start < size ? least(job.kernel[side], (size - 1 - start) / d + 1) : 0};
}

template <class T> struct Maximum {
    // The first largest pixel. NaN counts as larger than all numbers.
    static void one(const Job<T>& job, const T* x, i64 top, i64 left, Part rows, T* y, i64* at) {
        const Part columns = inside(job, 1, left, job.width);
        T best = -Format<T>::infinity;
        i64 position = job.place(top, rows.from, left, columns.from);
        for (i64 i = rows.from; i < rows.to; ++i)
            for (i64 j = columns.from; j < columns.to; ++j) {
                const i64 here = job.place(top, i, left, j);
                if (!(x[here] <= best) && best == best) best = x[here], position = here;
            }
        *y = best, *at = position;
    }
    static CR_INLINE void many(const Job<T>& job, const T* x, i64 top, i64 left, Part rows, T* y,
                               i64* at, i64 n) {
        using Int = typename Format<T>::Int;
        constexpr i64 W = WIDTH<T>;
        const Mask<T> lanes = job.lanes;
        Vec<T> best = splat(-Format<T>::infinity);
        Mask<T> position = lanes + Int(job.place(top, rows.from, left, 0));
        for (i64 i = rows.from; i < rows.to; ++i)
            for (i64 j = 0; j < job.kernel[1]; ++j) {
                const i64 here = job.place(top, i, left, j);
                const Vec<T> pixel = load_apart(x + here, job.stride[1], n, job.end);
                const Mask<T> better = ~(pixel <= best) & (best == best);
                best = better ? pixel : best;
                position = better ? lanes + Int(here) : position;
            }
        if (n >= W) store(y, best);
        else store_some(y, best, n);
        Int index[W];
        __builtin_memcpy(index, &position, sizeof index);
        for (i64 l = 0; l < n; ++l) at[l] = index[l];
    }
};

template <class T> struct Mean {
    static void one(const Job<T>& job, const T* x, i64 top, i64 left, Part rows, T* y, i64*) {
        const Part columns = inside(job, 1, left, job.width);
        const bool adjacent = job.wide && job.dilation[1] == 1;
        Vec<T> sums{};
        T sum = T(0);
        for (i64 i = rows.from; i < rows.to; ++i) {
            i64 j = columns.from;
            for (; adjacent && j + WIDTH<T> <= columns.to; j += WIDTH<T>)
                sums += load(x + job.place(top, i, left, j));
            for (; j < columns.to; ++j) sum += x[job.place(top, i, left, j)];
        }
        *y = (adjacent ? sum_of_lanes(sums) + sum : sum) * job.scale;
    }
    static CR_INLINE void many(const Job<T>& job, const T* x, i64 top, i64 left, Part rows, T* y,
                               i64*, i64 n) {
        Vec<T> sum{};
        for (i64 i = rows.from; i < rows.to; ++i)
            for (i64 j = 0; j < job.kernel[1]; ++j)
                sum += load_apart(x + job.place(top, i, left, j), job.stride[1], n, job.end);
        sum *= job.scale;
        if (n >= WIDTH<T>) store(y, sum);
        else store_some(y, sum, n);
    }
};

template <class T, class Pool> void pool_piece(void* context, i64 piece) {
    const Job<T>& job = *static_cast<Job<T>*>(context);
    const i64 end = least((piece + 1) * job.step, job.planes);
    const i64 s = job.stride[1], p = job.padding[1];
    const i64 border = job.wide ? job.out_width : (p + s - 1) / s;
    const i64 first = least(job.out_width, border);  // windows from here on …
    const i64 room = job.width - 1 - (job.kernel[1] - 1) * job.dilation[1] + p;
    const i64 last = room < 0 ? first : most(first, least(job.out_width, room / s + 1));
    for (i64 plane = piece * job.step; plane < end; ++plane) {
        const T* x = job.x + plane * job.height * job.width;
        const i64 result = plane * job.out_height * job.out_width;
        for (i64 row = 0; row < job.out_height; ++row) {
            const i64 top = row * job.stride[0] - job.padding[0];
            const Part rows = inside(job, 0, top, job.height);
            T* y = job.y + result + row * job.out_width;
            i64* at = job.positions ? job.positions + result + row * job.out_width : nullptr;
            const auto one = [&](i64 c) {
                Pool::one(job, x, top, c * s - p, rows, y + c, at ? at + c : nullptr);
            };
            for (i64 c = 0; c < first; ++c) one(c);
            for (i64 c = first; c < last; c += WIDTH<T>)  // … to here lie inside the rows
                Pool::many(job, x, top, c * s - p, rows, y + c, at ? at + c : nullptr,
                           least(WIDTH<T>, last - c));
            for (i64 c = last; c < job.out_width; ++c) one(c);
        }
    }
}

// y[pixels of the window] += u·scale, window after window.
template <class T> void spread_windows(const Job<T>& job, const T* u, T* y) {
    const i64 apart = job.dilation[1];
    for (i64 row = job.out_height - 1; row >= 0; --row)
        for (i64 c = job.out_width - 1; c >= 0; --c) {
            const i64 top = row * job.stride[0] - job.padding[0];
            const i64 left = c * job.stride[1] - job.padding[1];
            const Part rows = inside(job, 0, top, job.height);
            const Part columns = inside(job, 1, left, job.width);
            const T value = u[row * job.out_width + c] * job.scale;
            for (i64 i = rows.from; i < rows.to; ++i) {
                T* to = y + job.place(top, i, left, 0);
                for (i64 j = columns.from; j < columns.to; ++j) to[j * apart] += value;
            }
        }
}

// The same, tap after tap: a pixel's windows are added from the last to the first, too.
template <class T> void spread_taps(const Job<T>& job, const T* u, T* y) {
    const i64 s = job.stride[1];
    for (i64 i = 0; i < job.kernel[0]; ++i)
        for (i64 j = 0; j < job.kernel[1]; ++j) {
            const i64 left = j * job.dilation[1] - job.padding[1];
            const i64 first = left >= 0 ? 0 : (-left + s - 1) / s;
            const i64 last =
                left >= job.width ? 0 : least(job.out_width, (job.width - left - 1) / s + 1);
            for (i64 row = 0; row < job.out_height; ++row) {
                const i64 at = row * job.stride[0] - job.padding[0] + i * job.dilation[0];
                if (at < 0 || at >= job.height) continue;
                T* to = y + at * job.width + left;
                const T* from = u + row * job.out_width;
                for (i64 c = first; c < last; ++c) to[c * s] += from[c] * job.scale;
            }
        }
}

template <class T> void spread_piece(void* context, i64 piece) {
    const Job<T>& job = *static_cast<Job<T>*>(context);
    const i64 end = least((piece + 1) * job.step, job.planes), size = job.height * job.width;
    for (i64 plane = piece * job.step; plane < end; ++plane) {
        T* y = job.y + plane * size;
        const T* u = job.x + plane * job.out_height * job.out_width;
        for (i64 i = 0; i < size; ++i) y[i] = T(0);
        (job.wide ? spread_windows<T> : spread_taps<T>)(job, u, y);
    }
}

// `x` has the windows' pixels, `y` one number a window; ints: kernel, stride, padding before the
// image, dilation, and what sums are divided by.
template <class T>
Status plan(const Call& call, const View& x, const View& y, Job<T>& job) {
    if (call.n_ints != 9 || call.ints[8] < 1 || x.ndim != 4 || y.ndim != 4 || !contiguous(x) ||
        !contiguous(y) || x.shape[0] != y.shape[0] || x.shape[1] != y.shape[1])
        return bad_call("pool: takes images in order, of four dimensions");
    job.planes = x.shape[0] * x.shape[1];
    job.height = x.shape[2], job.width = x.shape[3];
    job.out_height = y.shape[2], job.out_width = y.shape[3];
    for (int d = 0; d < 2; ++d) {
        job.kernel[d] = call.ints[d], job.stride[d] = call.ints[2 + d];
        job.padding[d] = call.ints[4 + d], job.dilation[d] = call.ints[6 + d];
        if (job.kernel[d] < 1 || job.stride[d] < 1 || job.padding[d] < 0 || job.dilation[d] < 1)
            return bad_call("pool: the window makes no sense");
    }
    job.wide = job.kernel[1] > job.out_width;
    if (job.height * job.width > 0x7fffffff) return bad_call("pool: too large an image");
    job.scale = T(1.0 / double(call.ints[8]));
    const double taps = double(job.kernel[0] * job.kernel[1]);
    const double work = 0.3 * taps * job.planes * job.out_height * job.out_width;
    const i64 pieces = useful_threads(work) == 1 ? 1 : 8;
    job.step = most(1, (job.planes + pieces - 1) / pieces);
    return OK;
}

template <class T, class Pool> Status pool(const Call& call) {
    Job<T> job{};
    const Status status = plan(call, call.in[0], call.out[0], job);
    if (status.code != Code::ok) return status;
    job.x = data<T>(call.in[0]), job.y = data<T>(call.out[0]);
    job.end = job.x + count(call.in[0]);
    for (i64 l = 0; l < WIDTH<T>; ++l) job.lanes[l] = l * job.stride[1];
    if (call.n_out == 2) job.positions = data<i64>(call.out[1]);
    run_pieces((job.planes + job.step - 1) / job.step, pool_piece<T, Pool>, &job);
    return OK;
}

template <class T> Status spread(const Call& call) {
    Job<T> job{};
    const Status status = plan(call, call.out[0], call.in[0], job);
    if (status.code != Code::ok) return status;
    job.x = data<T>(call.in[0]), job.y = data<T>(call.out[0]);
    run_pieces((job.planes + job.step - 1) / job.step, spread_piece<T>, &job);
    return OK;
}

}  // namespace

// max_pool2d_with_positions(x) → y, positions (int64, in the plane)
CR_KERNEL(max_pool2d_with_positions) {
    if (call.n_in != 1 || call.n_out != 2 || call.in[0].dtype != call.out[0].dtype ||
        call.out[1].dtype != DType::i64 || !same_shape(call.out[0], call.out[1]) ||
        !contiguous(call.out[1]))
        return bad_call("max_pool2d: gives the largest pixels and their positions");
    if (call.in[0].dtype == DType::f32) return pool<float, Maximum<float>>(call);
    if (call.in[0].dtype == DType::f64) return pool<double, Maximum<double>>(call);
    return bad_call("max_pool2d: float32 or float64");
}

// avg_pool2d(x) → y
CR_KERNEL(avg_pool2d) {
    if (call.n_in != 1 || call.n_out != 1) return bad_call("avg_pool2d: takes x and gives y");
    if (all_of_type(call, DType::f32)) return pool<float, Mean<float>>(call);
    if (all_of_type(call, DType::f64)) return pool<double, Mean<double>>(call);
    return bad_call("avg_pool2d: float32 or float64");
}

// avg_pool2d_input(u) → y
CR_KERNEL(avg_pool2d_input) {
    if (call.n_in != 1 || call.n_out != 1) return bad_call("avg_pool2d_input: takes u and gives y");
    if (all_of_type(call, DType::f32)) return spread<float>(call);
    if (all_of_type(call, DType::f64)) return spread<double>(call);
    return bad_call("avg_pool2d_input: float32 or float64");
}

}  // namespace cr::CR_ISA

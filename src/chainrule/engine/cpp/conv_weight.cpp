// The gradient of a convolution by its kernels: what each tap saw, weighted by the gradient u.
//
//     dw[o, (c, i, j)] = Σ over images and pixels p of  u[o, p] · columns[(c, i, j), p]
//
// The sum runs over the whole batch. Its order is fixed by the shapes: the batch is cut into
// GROUPS parts, each part is summed image by image into a matrix of its own, and the matrices are
// added in order. Threads take parts, so their number does not show in the result.
#include "operands.h"
#include "pack.h"
#include "window.h"

namespace cr::CR_ISA {

namespace {

constexpr i64 PARTS = 8;

template <class T> struct Job {
    Windows windows;
    const T *images, *gradients;
    T* partial;                      // [part][group][channel, tap][filter]
    i64 n, image_step, gradient_step;
    i64 groups, group_step, filters;
    i64 chunks, chunk_channels;      // the channels are cut too, so that columns fit the cache
    i64 parts, band_rows;
};

i64 least(i64 a, i64 b) { return a < b ? a : b; }

constexpr i64 COLUMN_BYTES = 256 * 1024;

// A part of the batch, one group, a chunk of channels. Pixels come in blocks of K_BLOCK at most.
template <class T> void weight_piece(void* context, i64 piece) {
    const Job<T>& job = *static_cast<Job<T>*>(context);
    const Windows& w = job.windows;
    constexpr i64 W = WIDTH<T>, P = WIDE * W;
    const i64 chunk = piece % job.chunks, group = piece / job.chunks % job.groups;
    const i64 part = piece / job.chunks / job.groups;
    const i64 channel = chunk * job.chunk_channels;
    const i64 channels = least(job.chunk_channels, w.channels - channel);
    const i64 rows = channels * w.taps(), plane = w.out_height * w.out_width;
    T* sums = job.partial + ((part * job.groups + group) * w.depth() + channel * w.taps()) *
                                job.filters;
    T* band = static_cast<T*>(own_scratch());
    T* columns = band + BAND_BYTES / sizeof(T);
    T* panel = columns + COLUMN_BYTES / sizeof(T);
    bool first = true;
    for (i64 image = part * job.n / job.parts; image < (part + 1) * job.n / job.parts; ++image) {
        const T* x = job.images + image * job.image_step + group * job.group_step;
        const T* u = job.gradients + image * job.gradient_step + group * job.filters * plane;
        for (i64 y = 0; y < w.out_height; y += job.band_rows) {
            const i64 height = least(job.band_rows, w.out_height - y);
            fill_band(w, x, channel, channels, y, height, band);
            const i64 pixels = height * w.out_width;
            for (i64 pixel = 0; pixel < pixels; pixel += K_BLOCK) {
                const i64 deep = least(K_BLOCK, pixels - pixel);
                fill_columns(w, band, height, 0, rows, pixel, deep, columns, K_BLOCK);
                Tile<T> t{};
                t.a_row = K_BLOCK, t.a_k = 1, t.b = panel, t.b_k = P, t.c_row = job.filters;
                t.depth = deep, t.first = first, t.last = false;
                first = false;
                for (i64 o = 0; o < job.filters; o += P) {
                    const i64 n = least(P, job.filters - o);
                    pack_panel(u + o * plane + y * w.out_width + pixel, i64(1), plane, deep, n, P,
                               panel);
                    t.columns = n;
                    const i64 tiles = (rows + MAX_ROWS - 1) / MAX_ROWS;
                    for (i64 i = 0, done = 0; i < tiles; ++i) {
                        const i64 tall = (rows - done + tiles - i - 1) / (tiles - i);
                        t.a = columns + done * K_BLOCK;
                        t.c = sums + done * job.filters + o;
                        choose_tile<T>(tall, n <= W)(t);
                        done += tall;
                    }
                }
            }
        }
    }
}

template <class T> Status by_weights(const Call& call) {
    const View &x = call.in[0], &u = call.in[1], &y = call.out[0];
    const i64* g = call.ints;
    Job<T> job{};
    Windows& w = job.windows;
    w.channels = y.shape[1], w.height = x.shape[2], w.width = x.shape[3];
    w.channel_step = w.height * w.width, w.row_step = w.width, w.gap_y = w.gap_x = 1;
    w.top = g[2], w.left = g[3], w.taps_y = y.shape[2], w.taps_x = y.shape[3];
    w.stride_y = g[0], w.stride_x = g[1], w.dilation_y = g[4], w.dilation_x = g[5];
    w.out_height = u.shape[2], w.out_width = u.shape[3];
    job.images = data<T>(x), job.gradients = data<T>(u);
    job.n = x.shape[0], job.groups = g[6], job.filters = y.shape[0] / job.groups;
    job.image_step = x.shape[1] * w.channel_step, job.group_step = w.channels * w.channel_step;
    job.gradient_step = u.shape[1] * u.shape[2] * u.shape[3];
    const i64 size = count(y), taps = w.taps();
    if (size == 0) return OK;
    T* to = data<T>(y);
    if (count(x) == 0 || count(u) == 0) {
        for (i64 i = 0; i < size; ++i) to[i] = T(0);
        return OK;
    }
    const i64 most = COLUMN_BYTES / i64(sizeof(T)) / K_BLOCK / taps;
    job.chunk_channels = least(w.channels, most);
    while (job.chunk_channels > 1 && rows_of_band<T>(w, job.chunk_channels) == 0)
        job.chunk_channels /= 2;
    job.band_rows = job.chunk_channels ? rows_of_band<T>(w, job.chunk_channels) : 0;
    if (job.band_rows == 0) return bad_call("conv2d_weight: kernel or image row too large");
    job.chunks = (w.channels + job.chunk_channels - 1) / job.chunk_channels;
    job.parts = least(job.n, size > 1 << 20 ? 1 : PARTS);
    job.partial = static_cast<T*>(shared_scratch(job.parts * size * sizeof(T)));
    if (!job.partial || !own_scratch()) return NO_MEMORY;
    run_pieces(job.parts * job.groups * job.chunks, weight_piece<T>, &job);
    const i64 depth = w.depth(), filters = job.filters;
    for (i64 q = 0; q < job.groups; ++q)
        for (i64 o = 0; o < filters; ++o)
            for (i64 k = 0; k < depth; ++k) {
                const T* from = job.partial + (q * depth + k) * filters + o;
                T sum = *from;
                for (i64 part = 1; part < job.parts; ++part) sum += from[part * size];
                to[(q * filters + o) * depth + k] = sum;
            }
    return OK;
}

}  // namespace

// conv2d_weight(x, u) → the gradient by the kernels; ints as for conv2d.
CR_KERNEL(conv2d_weight) {
    if (call.n_in != 2 || call.n_out != 1 || call.n_ints != 7)
        return bad_call("conv2d_weight: takes images and a gradient");
    const View &x = call.in[0], &u = call.in[1], &y = call.out[0];
    const i64* g = call.ints;
    const View* all[] = {&x, &u, &y};
    for (const View* v : all)
        if (v->ndim != 4 || !contiguous(*v) || v->dtype != x.dtype)
            return bad_call("conv2d_weight: four dimensions each, laid out in order");
    bool right = g[0] > 0 && g[1] > 0 && g[2] >= 0 && g[3] >= 0 && g[4] > 0 && g[5] > 0 &&
                 g[6] > 0 && x.shape[1] == y.shape[1] * g[6] && y.shape[0] % g[6] == 0 &&
                 u.shape[1] == y.shape[0] && u.shape[0] == x.shape[0];
    for (int d = 0; right && d < 2; ++d) {
        const i64 room = x.shape[2 + d] + 2 * g[2 + d] - g[4 + d] * (y.shape[2 + d] - 1) - 1;
        right = y.shape[2 + d] > 0 && room >= 0 && u.shape[2 + d] == room / g[d] + 1;
    }
    if (!right) return bad_call("conv2d_weight: images and gradient do not fit");
    if (x.dtype == DType::f32) return by_weights<float>(call);
    if (x.dtype == DType::f64) return by_weights<double>(call);
    return bad_call("conv2d_weight: float32 or float64");
}

}  // namespace cr::CR_ISA

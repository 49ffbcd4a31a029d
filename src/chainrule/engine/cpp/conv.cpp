// Convolution of images with kernels, and its gradient by the images: both are sliding windows
// over an image times a matrix of weights (see window.h).
//
// A piece is a band of output rows of one image. Its columns are made panel by panel, each panel
// used at once for all output channels. The order of summation is that of the matrix product, so
// the result for an image does not depend on the batch it is in.
#include "operands.h"
#include "window.h"

namespace cr::CR_ISA {

namespace {

template <class T> struct Job {
    Windows windows;
    const T *images, *weights;
    T* out;
    i64 image_step, out_step;  // elements from image to image
    i64 groups, group_step;    // elements from group to group of an image
    i64 filters;               // output channels of a group
    i64 bands, band_rows;
    bool in_place;  // windows are read from the band where they are
};

i64 least(i64 a, i64 b) { return a < b ? a : b; }

// One image's band of output rows.
template <class T> struct Band {
    i64 first, rows;  // of the output
    const T *image, *weights;
    T* out;           // of the group, at the band's first row
};

template <class T> Band<T> band_of(const Job<T>& job, i64 piece) {
    const Windows& w = job.windows;
    const i64 number = piece % job.bands, group = piece / job.bands % job.groups;
    const i64 image = piece / job.bands / job.groups;
    Band<T> b;
    b.first = number * job.band_rows;
    b.rows = least(job.band_rows, w.out_height - b.first);
    b.image = job.images + image * job.image_step + group * job.group_step;
    b.weights = job.weights + group * job.filters * w.depth();
    b.out = job.out + image * job.out_step +
            group * job.filters * w.out_height * w.out_width + b.first * w.out_width;
    return b;
}

// With stride 1, what a tap sees of the band is the band itself, shifted: its row of columns lies
// there already, output row after output row, each followed by a few pixels that belong to no
// window. They are computed along and not copied out.
constexpr i64 MOST_SHIFTS = 16384, SUM_BYTES = 256 * 1024;
template <class T> void in_place_piece(void* context, i64 piece) {
    const Job<T>& job = *static_cast<Job<T>*>(context);
    const Windows& w = job.windows;
    constexpr i64 W = WIDTH<T>, P = WIDE * W;
    const Band<T> here = band_of(job, piece);
    const i64 depth = w.depth(), width = w.band_width(), height = w.band_rows(here.rows);
    T* band = static_cast<T*>(own_scratch());
    T* sums = band + BAND_BYTES / sizeof(T);
    const i64 length = (here.rows - 1) * width + w.out_width, padded = (length + P - 1) / P * P;
    auto* shifts = reinterpret_cast<std::int32_t*>(sums + SUM_BYTES / sizeof(T));
    fill_band(w, here.image, 0, w.channels, here.first, here.rows, band);
    for (i64 i = 0; i < 2 * P; ++i) band[w.channels * height * width + i] = T(0);
    for (i64 c = 0, k = 0; c < w.channels; ++c)
        for (i64 i = 0; i < w.taps_y; ++i)
            for (i64 j = 0; j < w.taps_x; ++j, ++k)
                shifts[k] = std::int32_t((c * height + i * w.dilation_y) * width +
                                         j * w.dilation_x);
    // A few rows of weights and the channels of one block stay in the L1 cache over all pixels.
    const i64 chunks = (job.filters + MAX_ROWS - 1) / MAX_ROWS;
    for (i64 block = 0; block < depth; block += K_BLOCK) {
        Tile<T> t{};
        t.a_row = depth, t.a_k = 1, t.c_row = padded;
        t.depth = least(K_BLOCK, depth - block), t.shift = shifts + block;
        t.first = block == 0, t.last = false;
        for (i64 i = 0, done = 0; i < chunks; ++i) {
            const i64 tall = (job.filters - done + chunks - i - 1) / (chunks - i);
            t.a = here.weights + done * depth + block;
            for (i64 at = 0; at < length; at += P) {
                t.b = band + at;
                t.c = sums + done * padded + at;
                t.columns = length - at <= W ? W : P;
                choose_tile<T, true>(tall, t.columns <= W)(t);
            }
            done += tall;
        }
    }
    for (i64 f = 0; f < job.filters; ++f)
        for (i64 y = 0; y < here.rows; ++y) {
            T* to = here.out + f * w.out_height * w.out_width + y * w.out_width;
            const T* from = sums + f * padded + y * width;
            for (i64 p = 0; p < w.out_width; ++p) to[p] = from[p];
        }
}

template <class T> void conv_piece(void* context, i64 piece) {
    const Job<T>& job = *static_cast<Job<T>*>(context);
    const Windows& w = job.windows;
    constexpr i64 W = WIDTH<T>, P = WIDE * W;
    const Band<T> here = band_of(job, piece);
    const i64 first = here.first, rows = here.rows, pixels = rows * w.out_width;
    const i64 plane = w.out_height * w.out_width, depth = w.depth();
    const T *from = here.image, *weights = here.weights;
    T* out = here.out;
    T* band = static_cast<T*>(own_scratch());
    T* panel = band + BAND_BYTES / sizeof(T);
    for (i64 block = 0; block < depth; block += K_BLOCK) {
        const i64 deep = least(K_BLOCK, depth - block);
        const i64 channel = block / w.taps(), last = (block + deep - 1) / w.taps();
        fill_band(w, from, channel, last - channel + 1, first, rows, band);
        Tile<T> t{};
        t.a_row = depth, t.a_k = 1, t.b = panel, t.b_k = P, t.c_row = plane, t.depth = deep;
        t.first = block == 0, t.last = block + deep >= depth;
        for (i64 pixel = 0; pixel < pixels; pixel += P) {
            const i64 n = least(P, pixels - pixel);
            fill_columns(w, band, rows, block - channel * w.taps(), deep, pixel, n, panel, P);
            t.columns = n;
            const i64 chunks = (job.filters + MAX_ROWS - 1) / MAX_ROWS;
            for (i64 i = 0, done = 0; i < chunks; ++i) {
                const i64 height = (job.filters - done + chunks - i - 1) / (chunks - i);
                t.a = weights + done * depth + block;
                t.c = out + done * plane + pixel;
                choose_tile<T>(height, n <= W)(t);
                done += height;
            }
        }
    }
}

// The channels whose taps one block of the product's depth can touch.
i64 channels_of_block(const Windows& w) {
    return least(w.channels, (K_BLOCK + w.taps() - 2) / w.taps() + 1);
}

template <class T> Status convolve(Job<T>& job, i64 images) {
    const Windows& w = job.windows;
    if (images * job.groups * job.filters * w.out_height * w.out_width == 0) return OK;
    if (w.depth() == 0) return bad_call("conv2d: no channels");
    job.band_rows = rows_of_band<T>(w, w.channels);
    const i64 room = SUM_BYTES / i64(sizeof(T)) / job.filters - WIDE * WIDTH<T>;
    while (job.band_rows > 0 && (job.band_rows - 1) * w.band_width() + w.out_width > room)
        --job.band_rows;
    job.in_place = job.band_rows > 0 && w.stride_y == 1 && w.stride_x == 1 &&
                   w.depth() <= MOST_SHIFTS;
    if (!job.in_place) job.band_rows = rows_of_band<T>(w, channels_of_block(w));
    if (job.band_rows == 0) return bad_call("conv2d: a row of the image is too long");
    job.bands = (w.out_height + job.band_rows - 1) / job.band_rows;
    if (!own_scratch()) return NO_MEMORY;
    const i64 pieces = images * job.groups * job.bands;
    const double work = 0.02 * pieces * job.band_rows * w.out_width * w.depth() * job.filters;
    const PieceFn run = job.in_place ? in_place_piece<T> : conv_piece<T>;
    if (useful_threads(work) == 1)
        for (i64 piece = 0; piece < pieces; ++piece) run(&job, piece);
    else
        run_pieces(pieces, run, &job);
    return OK;
}

// ints: stride, padding, dilation (height and width of each), groups.
Windows geometry(const i64* g, const View& image, const View& kernel, const View& out) {
    Windows w{};
    w.channels = image.shape[1] / g[6], w.height = image.shape[2], w.width = image.shape[3];
    w.channel_step = w.height * w.width, w.row_step = w.width;
    w.gap_y = w.gap_x = 1;
    w.top = g[2], w.left = g[3];
    w.taps_y = kernel.shape[2], w.taps_x = kernel.shape[3];
    w.stride_y = g[0], w.stride_x = g[1], w.dilation_y = g[4], w.dilation_x = g[5];
    w.out_height = out.shape[2], w.out_width = out.shape[3];
    return w;
}

template <class T> Status forward(const Call& call) {
    const View &x = call.in[0], &k = call.in[1], &y = call.out[0];
    Job<T> job{};
    job.windows = geometry(call.ints, x, k, y);
    job.images = data<T>(x), job.weights = data<T>(k), job.out = data<T>(y);
    job.image_step = x.shape[1] * x.shape[2] * x.shape[3];
    job.out_step = y.shape[1] * y.shape[2] * y.shape[3];
    job.groups = call.ints[6], job.filters = k.shape[0] / job.groups;
    job.group_step = job.image_step / job.groups;
    return convolve(job, x.shape[0]);
}

// By the input: u, spread out by the stride, seen through the kernels turned by 180°.
template <class T> Status by_input(const Call& call) {
    const View &u = call.in[0], &k = call.in[1], &y = call.out[0];
    const i64* g = call.ints;
    const i64 groups = g[6], per_group = k.shape[0] / groups, channels = k.shape[1];
    const i64 taps_y = k.shape[2], taps_x = k.shape[3], taps = taps_y * taps_x;
    T* turned = static_cast<T*>(shared_scratch(count(k) * sizeof(T)));
    if (!turned) return NO_MEMORY;
    const T* kernels = data<T>(k);
    for (i64 q = 0; q < groups; ++q)
        for (i64 c = 0; c < channels; ++c)
            for (i64 o = 0; o < per_group; ++o)
                for (i64 t = 0; t < taps; ++t)
                    turned[((q * channels + c) * per_group + o) * taps + t] =
                        kernels[((q * per_group + o) * channels + c) * taps + taps - 1 - t];
    Job<T> job{};
    Windows& w = job.windows;
    w = geometry(g, u, k, y);
    w.channels = per_group;
    w.gap_y = g[0], w.gap_x = g[1], w.stride_y = w.stride_x = 1;
    w.top = (taps_y - 1) * g[4] - g[2], w.left = (taps_x - 1) * g[5] - g[3];
    if (w.top < 0 || w.left < 0) return bad_call("conv2d_input: padding larger than the kernel");
    job.images = data<T>(u), job.weights = turned, job.out = data<T>(y);
    job.image_step = u.shape[1] * u.shape[2] * u.shape[3];
    job.out_step = y.shape[1] * y.shape[2] * y.shape[3];
    job.groups = groups, job.filters = channels;
    job.group_step = per_group * u.shape[2] * u.shape[3];
    return convolve(job, u.shape[0]);
}

// Every size that a window can reach is the one that the geometry says.
bool fits(const Call& call, const View& image, const View& kernel, const View& out) {
    if (call.n_in != 2 || call.n_out != 1 || call.n_ints != 7) return false;
    const View* all[] = {&image, &kernel, &out};
    for (const View* v : all)
        if (v->ndim != 4 || !contiguous(*v) || v->dtype != image.dtype) return false;
    const i64* g = call.ints;
    const i64 groups = g[6];
    if (g[0] < 1 || g[1] < 1 || g[2] < 0 || g[3] < 0 || g[4] < 1 || g[5] < 1 || groups < 1)
        return false;
    bool right = image.shape[1] == kernel.shape[1] * groups && kernel.shape[0] % groups == 0 &&
                 out.shape[1] == kernel.shape[0] && out.shape[0] == image.shape[0];
    for (int d = 0; d < 2; ++d) {
        const i64 room = image.shape[2 + d] + 2 * g[2 + d] - g[4 + d] * (kernel.shape[2 + d] - 1) - 1;
        right = right && kernel.shape[2 + d] > 0 && room >= 0 &&
                out.shape[2 + d] == room / g[d] + 1;
    }
    return right;
}

}  // namespace

// conv2d(x, w) → y:  x (N, C, H, W), w (O, C/groups, kh, kw)
CR_KERNEL(conv2d) {
    if (call.n_in != 2 || call.n_out != 1 || !fits(call, call.in[0], call.in[1], call.out[0]))
        return bad_call("conv2d: images and kernels do not fit");
    if (call.in[0].dtype == DType::f32) return forward<float>(call);
    if (call.in[0].dtype == DType::f64) return forward<double>(call);
    return bad_call("conv2d: float32 or float64");
}

// conv2d_input(u, w) → the gradient by the images, for the gradient u by the output
CR_KERNEL(conv2d_input) {
    if (call.n_in != 2 || call.n_out != 1 || !fits(call, call.out[0], call.in[1], call.in[0]))
        return bad_call("conv2d_input: gradient and kernels do not fit");
    if (call.in[0].dtype == DType::f32) return by_input<float>(call);
    if (call.in[0].dtype == DType::f64) return by_input<double>(call);
    return bad_call("conv2d_input: float32 or float64");
}

}  // namespace cr::CR_ISA

// Convolution of images with kernels, and its gradient by the input.
//
// A piece of work is a band of rows of one image. For a block of channels, it copies the rows that
// it needs with their border (unless they can be read in place), and loops over the panels of
// output channels. Blocks of channels depend on the geometry only, and every output adds its taps
// in the same order. So the result does not depend on threads, bands and the rest of the batch.
#include "kernels/conv.h"

namespace cr::CR_ISA {

namespace {

constexpr i64 TAP_BLOCK = 640;            // taps after which sums are stored, about
constexpr i64 IMAGE_BYTES = 640 * 1024;   // of a piece's copied rows, in the thread's work space
constexpr i64 MAX_TAPS = 8192;            // of one channel and of one block

template <class T> struct Job {
    Images<T> x, y;
    Frame frame;
    bool framed;  // whether rows of the image must be copied with their border
    bool pixels;  // whether the lanes are pixels (else channels)
    bool bordered;  // whether a row of the output is one tile that skips the border
    bool relu;
    i64 groups, in, out;  // channels of a group
    i64 kh, kw, dilation[2], stride[2];
    const T* weights;  // [group][panel][block of channels][i][channel][j][PANEL]
    const T* bias;
    i64 block;  // channels of a block
    i64 band;   // rows of the output in a piece
    i64 bands;

    i64 taps() const { return in * kh * kw; }
    i64 rows_for(i64 rows) const { return (rows - 1) * stride[0] + (kh - 1) * dilation[0] + 1; }
};

// The addresses of the pixels and the results of a piece.
template <class T> struct Place {
    const T* x;
    T* y;  // row 0 of the band, in the first channel of the panel
    i64 row, rows;  // elements from row to row of x; rows of the output
    i64 channels;   // of the panel
    i64 first;      // the band's first row of the output
};

// The rows of taps that are inside the image for this row of the output; the others are border.
template <class T> void skip_border(const Job<T>& job, i64 row, Taps<T>& t) {
    const i64 top = row * job.stride[0] - job.frame.top, run = t.depth / job.kh;
    i64 from = 0, to = job.kh;
    while (from < to && top + from * job.dilation[0] < 0) ++from;
    while (to > from && top + (to - 1) * job.dilation[0] > (job.x.height - 1) * job.frame.gap[0])
        --to;
    t.offset += from * run;
    t.weights += from * run * PANEL<T>;
    t.depth = (to - from) * run;
}

template <class T, int M, int N>
void run_strips(const Job<T>& job, const Place<T>& at, const Taps<T>& t, i64 channels, T* y) {
    constexpr i64 W = WIDTH<T>;
    Strips<T> s;
    int n = 0;
    for (i64 row = 0; row < at.rows; ++row)
        for (i64 column = 0; column < job.y.width; column += W) {
            s.x[n] = at.x + row * job.stride[0] * at.row + column;
            s.y[n] = y + row * job.y.row + column;
            s.count[n] = job.y.width - column;
            if (++n < N) continue;
            pixels_in_lanes<T, M, N>(s, t, channels, job.y.channel);
            n = 0;
        }
    if (n == 0) return;
    for (; n < N; ++n) s.x[n] = s.x[0], s.y[n] = s.y[0], s.count[n] = 0;
    pixels_in_lanes<T, M, N>(s, t, channels, job.y.channel);
}

template <class T> void run_pixels(const Job<T>& job, const Place<T>& at, Taps<T> t) {
    constexpr bool many = CR_REGISTERS == 32;
    for (i64 c = 0; c < at.channels;) {
        const i64 left = at.channels - c;
        T* y = at.y + c * job.y.channel;
        i64 done = 4;
        if (left == 1) run_strips<T, 1, MAX_STRIPS>(job, at, t, left, y);
        else if (left <= 4 || !many) run_strips<T, 4, many ? MAX_STRIPS : 2>(job, at, t, left, y);
        else run_strips<T, 8, many ? 3 : 1>(job, at, t, left, y), done = 8;
        c += done;
        t.weights += done;
        if (t.bias) t.bias += done;
    }
}

template <class T> void run_channels(const Job<T>& job, const Place<T>& at, const Taps<T>& all) {
    const i64 chunks = parts(job.y.width, MAX_ROWS), step = job.stride[1];
    const bool narrow = at.channels <= WIDTH<T>, dense = step == 1;
    for (i64 row = 0; row < at.rows; ++row) {
        Taps<T> t = all;
        skip_border(job, at.first + row, t);
        if (job.bordered) {
            choose_row_with_border<T>(job.x.width, narrow)(at.x + row * at.row, 1, t, at.channels,
                                                           at.y + row * job.y.row, job.y.channel);
            continue;
        }
        for (i64 i = 0, column = 0; i < chunks; ++i) {
            const i64 pixels = parts(job.y.width - column, chunks - i);  // of nearly equal length
            choose_channel_tile<T>(pixels, narrow, dense)(
                at.x + row * job.stride[0] * at.row + column * step, step, t, at.channels,
                at.y + row * job.y.row + column, job.y.channel);
            column += pixels;
        }
    }
}

template <class T> void conv_piece(void* context, i64 piece) {
    const Job<T>& job = *static_cast<Job<T>*>(context);
    constexpr i64 P = PANEL<T>;
    const i64 first = piece % job.bands * job.band;
    const i64 group = piece / job.bands % job.groups, image = piece / job.bands / job.groups;
    i64* offset = static_cast<i64*>(own_scratch());
    T* laid = reinterpret_cast<T*>(offset + MAX_TAPS);
    Place<T> at;
    at.first = first;
    at.rows = least(job.band, job.y.height - first);
    const i64 rows = job.rows_for(at.rows), panels = parts(job.out, P);
    for (i64 c = 0; c < job.in; c += job.block) {
        const i64 channels = least(job.block, job.in - c);
        const T* planes =
            job.x.data + image * job.x.image + (group * job.in + c) * job.x.channel;
        i64 plane = job.x.channel;
        if (job.framed) {
            lay_out(job.x, planes, channels, job.frame, first * job.stride[0], rows, laid);
            at.x = laid, at.row = job.frame.width, plane = rows * job.frame.width;
        } else {
            at.x = planes + first * job.stride[0] * job.x.row, at.row = job.x.row;
        }
        tap_offsets(channels, job.kh, job.kw, job.dilation, plane, at.row, true,
                    offset);
        Taps<T> t{};
        t.offset = offset, t.depth = channels * job.kh * job.kw;
        t.first = c == 0, t.last = c + channels == job.in;
        t.relu = job.relu;
        for (i64 panel = 0; panel < panels; ++panel) {
            const i64 channel = group * job.out + panel * P;
            t.weights =
                job.weights + ((group * panels + panel) * job.taps() + c * job.kh * job.kw) * P;
            t.bias = job.bias ? job.bias + channel : nullptr;
            at.channels = least(P, job.out - panel * P);
            at.y = job.y.data + image * job.y.image + channel * job.y.channel + first * job.y.row;
            if (job.pixels) run_pixels(job, at, t);
            else run_channels(job, at, t);
        }
    }
}

// Weights by their strides: of an output channel, an input channel, and the two sides of a kernel.
template <class T> struct Weights {
    const T* data;
    i64 group, out, in, i, j;
};

template <class T> struct Packing {
    const Job<T>* job;
    Weights<T> w;
    T* packed;
};

template <class T> void pack_piece(void* context, i64 piece) {
    const Packing<T>& p = *static_cast<Packing<T>*>(context);
    const Job<T>& job = *p.job;
    constexpr i64 P = PANEL<T>;
    const i64 panels = parts(job.out, P), group = piece / panels, panel = piece % panels;
    const i64 columns = least(P, job.out - panel * P);
    const T* from = p.w.data + group * p.w.group + panel * P * p.w.out;
    T* to = p.packed + piece * job.taps() * P;
    // Contiguous weights are first transposed as one matrix, by vectors.
    const bool in_order = p.w.j == 1 && p.w.i == job.kw && p.w.in == job.kh * job.kw;
    T* turned = static_cast<T*>(own_scratch());
    const bool at_once = in_order && job.taps() * P * i64(sizeof(T)) <= i64(OWN_SCRATCH);
    if (at_once) pack_panel(from, 1, p.w.out, job.taps(), columns, P, turned);
    for (i64 first = 0; first < job.in; first += job.block)
        for (i64 i = 0; i < job.kh; ++i)
            for (i64 c = first; c < least(job.in, first + job.block); ++c)
                for (i64 j = 0; j < job.kw; ++j, to += P) {
                    const T* tap = from + c * p.w.in + i * p.w.i + j * p.w.j;
                    if (at_once)
                        copy_row(turned + ((c * job.kh + i) * job.kw + j) * P, P, to);
                    else
                        pack_panel(tap, 0, p.w.out, 1, columns, P, to);
                }
}

// Which tile is faster: unused lanes at the end of rows and in the last channels are compared with
// the cost of transposing results. This depends on the geometry only.
template <class T> bool pixels_are_faster(const Job<T>& job) {
    if (job.stride[1] != 1) return false;
    constexpr i64 W = WIDTH<T>;
    const double taps = double(least(job.taps(), TAP_BLOCK));
    const i64 rounded = job.out == 1 ? 1 : job.out <= 4 ? 4 : parts(job.out, 8) * 8;
    const double by_pixels = double(parts(job.y.width, W) * W * rounded) * (taps + 4);
    const double by_channels = double(job.y.width * parts(job.out, W) * W) * (taps + 16);
    return by_pixels < by_channels;
}

template <class T> Status run(Job<T>& job, const Weights<T>& w) {
    const i64 panels = parts(job.out, PANEL<T>);
    if (job.y.n * job.y.channels * job.y.height * job.y.width == 0) return OK;
    job.pixels = pixels_are_faster(job);
    job.bordered = !job.pixels && job.kw == BORDER + 1 && job.dilation[1] == 1 &&
                   job.stride[0] == 1 && job.stride[1] == 1 && job.frame.gap[1] == 1 &&
                   job.frame.left == BORDER && job.y.width == job.x.width + BORDER &&
                   job.y.width <= MAX_ROWS;
    job.framed = job.pixels || job.x.column != 1 || job.frame.gap[0] != 1 ||
                 job.frame.gap[1] != 1 || job.frame.top != 0 || job.frame.left != 0 ||
                 job.frame.width > job.x.width || job.frame.height > job.x.height;
    const i64 room = IMAGE_BYTES / i64(sizeof(T)) - 4 * PANEL<T>;
    job.block = parts(job.in, parts(job.taps(), TAP_BLOCK));
    job.block = least(job.block, room / (job.rows_for(1) * job.frame.width));
    if (job.block < 1 || job.kh * job.kw > MAX_TAPS)
        return bad_call("conv2d: the image's rows are too long");
    const double work = 0.02 * job.taps() * job.out * job.groups * job.y.n * job.y.height *
                        job.y.width;
    const int threads = useful_threads(work);
    job.band = job.y.height;
    while (job.framed && job.band > 1 &&
           job.block * job.rows_for(job.band) * job.frame.width > room)
        job.band = parts(job.band, 2);
    while (threads > 1 && job.band > 4 &&
           job.y.n * job.groups * parts(job.y.height, job.band) < 4 * threads)
        job.band = parts(job.band, 2);
    job.bands = parts(job.y.height, job.band);
    const i64 packed = job.groups * panels * job.taps() * PANEL<T>;
    Packing<T> packing{&job, w, static_cast<T*>(shared_scratch(packed * sizeof(T)))};
    if (!packing.packed || !own_scratch()) return NO_MEMORY;
    job.weights = packing.packed;
    if (useful_threads(packed * 1.0) == 1)
        for (i64 piece = 0; piece < job.groups * panels; ++piece) pack_piece<T>(&packing, piece);
    else
        run_pieces(job.groups * panels, pack_piece<T>, &packing);
    const i64 pieces = job.y.n * job.groups * job.bands;
    if (threads == 1)
        for (i64 piece = 0; piece < pieces; ++piece) conv_piece<T>(&job, piece);
    else
        run_pieces(pieces, conv_piece<T>, &job);
    return OK;
}

template <class T> Status conv_of(const Call& call, const Geometry& g, bool gradient) {
    const View& w = call.in[1];
    const i64 size = sizeof(T), kh = w.shape[2], kw = w.shape[3];
    Job<T> job{};
    job.x = images_of<T>(call.in[0]), job.y = images_of<T>(call.out[0]);
    job.groups = g.groups, job.kh = kh, job.kw = kw;
    for (int d = 0; d < 2; ++d) job.dilation[d] = g.dilation[d];
    job.relu = call.ints[1] != 0;
    job.bias = call.ints[0] ? data<T>(call.in[2]) : nullptr;
    i64 s[4];
    for (int d = 0; d < 4; ++d) s[d] = w.strides[d] / size;
    const i64 reach[2] = {(kh - 1) * g.dilation[0], (kw - 1) * g.dilation[1]};
    if (!gradient) {
        job.in = w.shape[1], job.out = w.shape[0] / g.groups;
        job.stride[0] = g.stride[0], job.stride[1] = g.stride[1];
        job.frame = {(job.y.height - 1) * g.stride[0] + reach[0] + 1,
                     (job.y.width - 1) * g.stride[1] + reach[1] + 1,
                     g.padding[0], g.padding[1], {1, 1}};
        const bool fits = job.x.channels == job.in * g.groups &&
                          job.y.channels == job.out * g.groups && w.shape[0] == job.y.channels;
        if (!fits) return bad_call("conv2d: sizes do not fit");
        return run(job, Weights<T>{data<T>(w), job.out * s[0], s[0], s[1], s[2], s[3]});
    }
    job.in = w.shape[0] / g.groups, job.out = w.shape[1];
    job.stride[0] = job.stride[1] = 1;
    job.frame = {job.y.height + reach[0], job.y.width + reach[1], reach[0] - g.padding[0],
                 reach[1] - g.padding[1], {g.stride[0], g.stride[1]}};
    if (job.x.channels != w.shape[0] || w.shape[0] % g.groups ||
        job.y.channels != job.out * g.groups)
        return bad_call("conv2d_input: sizes do not fit");
    const T* last = data<T>(w) + (kh - 1) * s[2] + (kw - 1) * s[3];
    return run(job, Weights<T>{last, job.in * s[0], s[1], s[0], -s[2], -s[3]});
}

Status convolve(const Call& call, bool gradient) {
    Geometry g;
    if (!read_geometry(call, 2, g) || call.n_out != 1 || call.n_in != 2 + (call.ints[0] != 0))
        return bad_call("conv2d: takes images, kernels and a bias if there is one");
    const View &x = call.in[0], &w = call.in[1], &y = call.out[0];
    const i64 size = item_size(x.dtype);
    bool fits = x.ndim == 4 && w.ndim == 4 && y.ndim == 4 && x.shape[0] == y.shape[0] &&
                contiguous(y) && count(w) > 0 && w.shape[0] % g.groups == 0;
    for (int d = 0; d < 4; ++d) fits = fits && x.strides[d] % size == 0 && w.strides[d] % size == 0;
    if (fits && call.ints[0]) {
        const View& b = call.in[2];
        fits = b.ndim == 1 && b.shape[0] == y.shape[1] && contiguous(b);
    }
    if (!fits) return bad_call("conv2d: images and kernels of four dimensions, results in order");
    if (all_of_type(call, DType::f32)) return conv_of<float>(call, g, gradient);
    if (all_of_type(call, DType::f64)) return conv_of<double>(call, g, gradient);
    return bad_call("conv2d: operands are all float32 or all float64");
}

}  // namespace

// conv2d(x, w[, b]) → y;  conv2d_input(u, w) → y
// ints: whether there is a bias (one number per channel), whether negative results become zero,
// then the geometry: stride, padding, dilation (two numbers each), groups.
CR_KERNEL(conv2d) { return convolve(call, false); }
CR_KERNEL(conv2d_input) { return convolve(call, true); }

}  // namespace cr::CR_ISA

// Convolution of images with kernels, and its gradient by the input.
//
// A piece of work is a band of rows of one image. For a block of channels, it copies the rows that
// it needs with their border (unless they can be read in place), and loops over the panels of
// output channels. Blocks of channels depend on the geometry only, and every output adds its taps
// in the same order. So the result does not depend on threads, bands and the rest of the batch.
#include "kernels/conv_phases.h"
#include "runtime/processor.h"

namespace cr::CR_ISA {

namespace {

constexpr i64 TAP_BLOCK = 640;            // taps after which sums are stored, about
constexpr i64 IMAGE_BYTES = 640 * 1024;   // of a piece's copied rows, in the thread's work space
constexpr i64 MAX_TAPS = 8192;            // of one channel and of one block
constexpr i64 TILE = 16;                  // vectors of results of a tile, about

// What the piece that this thread will probably run next needs: it reads x and writes y.
template <class T>
Ahead next_image(const Convolution<T>& job, const Images<T>& images, i64 channels, i64 piece) {
    const i64 next = job.ahead ? piece + job.threads : 0, image = next / job.groups;
    const i64 count = next && image < images.n ? channels * images.channel : 0;
    const i64 tiles = job.out * job.y.height * job.y.width / (TILE * WIDTH<T>);
    return ahead_of(images.data + image * images.image + next % job.groups * count, count, tiles,
                    job.block * job.area() / 4);
}

template <class T> void conv_piece(void* context, i64 piece) {
    const Convolution<T>& job = *static_cast<Convolution<T>*>(context);
    constexpr i64 P = PANEL<T>;
    const i64 group = piece / job.bands % job.groups, image = piece / job.bands / job.groups;
    i64* offset = static_cast<i64*>(own_scratch());
    T* laid = reinterpret_cast<T*>(offset + MAX_TAPS);
    Place<T> at;
    at.first = piece % job.bands * job.band, at.rows = job.band;
    at.sums = laid + IMAGE_BYTES / sizeof(T);
    const i64 panels = parts(job.out, P), first = at.first * job.stride[0];
    Ahead next_x = next_image(job, job.x, job.in, piece);
    Ahead next_y = next_image(job, job.y, job.out, piece);
    at.next_x = &next_x, at.next_y = &next_y;
    const i64 rows = job.rows_for(least(job.band, job.largest(0) - at.first));
    for (i64 c = 0; c < job.in; c += job.block) {
        at.channels = least(job.block, job.in - c);
        const T* planes =
            job.x.data + image * job.x.image + (group * job.in + c) * job.x.channel;
        i64 plane = job.x.channel;
        if (job.framed) {
            lay_out(job.x, planes, at.channels, job.frame, first, rows, laid);
            at.x = laid, at.row = job.frame.width, plane = rows * job.frame.width;
        } else {
            at.x = planes + (first - job.frame.top) * job.x.row - job.frame.left;
            at.row = job.x.row;
        }
        find_taps(job, at.channels, plane, at.row, offset);
        Taps<T> t{};
        t.offset = offset;
        t.first = c == 0, t.last = c + at.channels == job.in;
        t.relu = job.relu;
        for (i64 panel = 0; panel < panels; ++panel) {
            const i64 channel = group * job.out + panel * P;
            t.weights =
                job.weights + ((group * panels + panel) * job.in + c) * job.area() * P;
            t.bias = job.bias ? job.bias + channel : nullptr;
            at.panel = least(P, job.out - panel * P);
            at.y = job.y.data + image * job.y.image + channel * job.y.channel;
            run_phases(job, at, t);
        }
    }
}

// Weights by their strides: of an output channel, an input channel, and the two sides of a kernel.
template <class T> struct Weights {
    const T* data;
    i64 group, out, in, i, j;
};

template <class T> struct Packing {
    const Convolution<T>* job;
    Weights<T> w;
    T* packed;
};

template <class T> void pack_piece(void* context, i64 piece) {
    const Packing<T>& p = *static_cast<Packing<T>*>(context);
    const Convolution<T>& job = *p.job;
    constexpr i64 P = PANEL<T>;
    const i64 panels = parts(job.out, P), group = piece / panels, panel = piece % panels;
    const i64 columns = least(P, job.out - panel * P);
    const T* from = p.w.data + group * p.w.group + panel * P * p.w.out;
    T* to = p.packed + piece * job.taps() * P;
    // Contiguous weights are first transposed as one matrix, by vectors.
    const bool in_order = p.w.j == 1 && p.w.i == job.kernel[1] && p.w.in == job.area();
    T* turned = static_cast<T*>(own_scratch());
    const bool at_once = in_order && job.taps() * P * i64(sizeof(T)) <= i64(OWN_SCRATCH);
    if (at_once) pack_panel(from, 1, p.w.out, job.taps(), columns, P, turned);
    const auto pack = [&](i64 c, i64 i, i64 j) {
        if (at_once) copy_row(turned + (c * job.area() + i * job.kernel[1] + j) * P, P, to);
        else pack_panel(from + c * p.w.in + i * p.w.i + j * p.w.j, 0, p.w.out, 1, columns, P, to);
        to += P;
    };
    for (i64 first = 0; first < job.in; first += job.block)
        for (i64 phase = 0; phase < job.phases(0); ++phase) {
            const Side rows = side_of(job, 0, phase);
            const i64 end = least(job.in, first + job.block);
            T* const next = to + (end - first) * rows.taps * job.kernel[1] * P;
            for (i64 other = 0; other < job.phases(1); ++other) {
                const Side columns = side_of(job, 1, other);
                for (i64 i = 0; i < rows.taps; ++i)
                    for (i64 c = first; c < end; ++c)
                        for (i64 j = 0; j < columns.taps; ++j)
                            pack(c, rows.first + i * rows.step, columns.first + j * columns.step);
            }
            to = next;
        }
}

// Which tile is faster: unused lanes at the end of rows and in the last channels are compared with
// the cost of transposing results, or of storing them apart. Vectors of pixels cross cache lines,
// which costs a tenth. The choice depends on the geometry only.
template <class T> bool pixels_are_faster(const Convolution<T>& job) {
    if (job.stride[1] != 1) return false;
    constexpr i64 W = WIDTH<T>;
    const i64 width = job.largest(1);
    const double taps = double(least(job.taps(), TAP_BLOCK)) / double(job.apart[0] * job.apart[1]);
    const i64 rounded = job.out == 1 ? 1 : job.out <= 4 ? 4 : parts(job.out, 8) * 8;
    const double put = job.apart[1] == 1 ? 4 : 24;
    const double by_pixels = 1.1 * double(parts(width, W) * W * rounded) * (taps + put);
    const double by_channels = double(width * parts(job.out, W) * W) * (taps + 16);
    return by_pixels < by_channels;
}

// Whether rows of the image can be read where they are: a tile skips a border that is narrower than
// a run of taps.
template <class T> bool in_place(const Convolution<T>& job) {
    const i64 after = job.frame.width - job.frame.left - job.x.width;
    return !job.pixels && job.x.column == 1 && most(job.frame.left, after) < job.run;
}

// How rows are divided into pieces, and channels into blocks.
template <class T> bool divide(Convolution<T>& job) {
    const i64 room = IMAGE_BYTES / i64(sizeof(T)) - 4 * PANEL<T>;
    job.block = parts(job.in, parts(job.taps(), TAP_BLOCK));
    job.block = least(job.block, room / (job.rows_for(1) * job.frame.width));
    if (job.block < 1 || job.area() > MAX_TAPS) return false;
    job.band = job.largest(0);
    while (job.framed && job.band > 1 &&
           job.block * job.rows_for(job.band) * job.frame.width > room)
        job.band = parts(job.band, 2);
    while (job.threads > 1 && job.band > 4 &&
           job.y.n * job.groups * parts(job.largest(0), job.band) < 4 * job.threads)
        job.band = parts(job.band, 2);
    job.bands = parts(job.largest(0), job.band);
    return true;
}

// How the work is done, from the sizes.
template <class T> bool plan(Convolution<T>& job) {
    for (int d = 0; d < 2; ++d) {
        const i64 reach = job.lead[d] + job.apart[d] - 1 + (job.kernel[d] - 1) * job.dilation[d];
        job.extent[d] = reach / job.apart[d] + 1;
    }
    job.frame.height = (job.largest(0) - 1) * job.stride[0] + job.extent[0];
    job.frame.width = (job.largest(1) - 1) * job.stride[1] + job.extent[1];
    job.pixels = pixels_are_faster(job);
    const bool adjacent = job.stride[1] == 1 && job.apart[1] == 1 && job.dilation[1] == 1;
    job.run = !job.pixels && adjacent && job.kernel[1] == 3 ? 3 : 1;
    job.framed = !in_place(job);
    const double pixels = double(job.y.n * job.largest(0) * job.largest(1));
    job.threads = useful_threads(0.02 * pixels * job.taps() * job.out * job.groups);
    if (!divide(job)) return false;
    const i64 x_size = job.x.channels * job.x.height * job.x.width;
    const i64 y_size = job.y.channels * job.y.height * job.y.width;
    const i64 bytes = job.y.n * (x_size + y_size) * i64(sizeof(T));
    job.ahead = job.bands == 1 && bytes > second_cache();
    return true;
}

template <class T> Status run(Convolution<T>& job, const Weights<T>& w) {
    if (job.y.n * job.y.channels * job.y.height * job.y.width == 0) return OK;
    if (!plan(job)) return bad_call("conv2d: the image's rows are too long");
    const i64 panels = job.groups * parts(job.out, PANEL<T>);
    const i64 packed = panels * job.taps() * PANEL<T>;
    Packing<T> packing{&job, w, static_cast<T*>(shared_scratch(packed * sizeof(T)))};
    if (!packing.packed || !own_scratch()) return NO_MEMORY;
    job.weights = packing.packed;
    if (useful_threads(packed * 1.0) == 1)
        for (i64 piece = 0; piece < panels; ++piece) pack_piece<T>(&packing, piece);
    else
        run_pieces(panels, pack_piece<T>, &packing);
    const i64 pieces = job.y.n * job.groups * job.bands;
    if (job.threads == 1)
        for (i64 piece = 0; piece < pieces; ++piece) conv_piece<T>(&job, piece);
    else
        run_pieces(pieces, conv_piece<T>, &job);
    return OK;
}

// a ÷ b, rounded towards +∞, for any sign of a.
i64 rounded_up(i64 a, i64 b) { return a > 0 ? (a + b - 1) / b : -(-a / b); }

template <class T> Status conv_of(const Call& call, const Geometry& g, bool gradient) {
    const View& w = call.in[1];
    const i64 size = sizeof(T), in = w.shape[gradient ? 0 : 1], out = w.shape[gradient ? 1 : 0];
    Convolution<T> job{};
    job.x = images_of<T>(call.in[0]), job.y = images_of<T>(call.out[0]);
    job.groups = g.groups;
    job.in = gradient ? in / g.groups : in, job.out = gradient ? out : out / g.groups;
    if (job.x.channels != job.in * g.groups || job.y.channels != job.out * g.groups)
        return bad_call("conv2d: sizes do not fit");
    job.relu = call.ints[1] != 0;
    job.bias = call.ints[0] ? data<T>(call.in[2]) : nullptr;
    i64 s[4], top[2];
    for (int d = 0; d < 4; ++d) s[d] = w.strides[d] / size;
    for (int d = 0; d < 2; ++d) {
        job.kernel[d] = w.shape[2 + d], job.dilation[d] = g.dilation[d];
        job.stride[d] = gradient ? 1 : g.stride[d], job.apart[d] = gradient ? g.stride[d] : 1;
        const i64 border = (job.kernel[d] - 1) * g.dilation[d] - g.padding[d];  // of the gradient
        top[d] = gradient ? rounded_up(border, g.stride[d]) : g.padding[d];
        job.lead[d] = gradient ? top[d] * g.stride[d] - border : 0;
    }
    job.frame.top = top[0], job.frame.left = top[1];
    if (!gradient) return run(job, Weights<T>{data<T>(w), job.out * s[0], s[0], s[1], s[2], s[3]});
    const T* last = data<T>(w) + (job.kernel[0] - 1) * s[2] + (job.kernel[1] - 1) * s[3];
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

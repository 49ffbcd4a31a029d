// The gradient of a convolution by its kernels.
//
//     y[o, k] = Σₙ Σₚ u[n, o, p] · x̂[n, p, k]
//
// A tile holds the sums of some taps k (broadcast pixels of x) for a panel of output channels o (in
// the lanes), and loops over all pixels of a band of rows. Images are divided into blocks with
// separate sums, which are added in order at the end. The blocks depend on the sizes only, so the
// bits do not depend on the number of threads.
#include "kernels/conv.h"
#include "kernels/conv_weight_tile.h"
#include "runtime/processor.h"

namespace cr::CR_ISA {

namespace {

constexpr i64 BLOCKS = 16;                       // of images, at most
constexpr i64 PARTIAL_BYTES = 64 * 1024 * 1024;  // of all blocks' sums, about
constexpr i64 BAND_PIXELS = 1024;
constexpr i64 IMAGE_BYTES = 512 * 1024;
constexpr i64 MAX_TAPS = 8192;                   // taps of a block of channels

template <class T> struct Job {
    Images<T> x, u;
    Frame frame;
    bool framed;
    bool ahead;           // whether to ask for the next image while one is multiplied
    i64 groups, in, out;  // channels of a group
    i64 kh, kw, dilation[2], stride[2];
    i64 run;              // adjacent taps that a tile takes together: kw or 1
    bool pixels;          // whether pixels lie in the lanes
    i64 pitch;            // then: numbers from row to row of u, whole vectors
    i64 block;            // channels laid out together
    i64 band, across;     // rows of u in a band, and columns
    i64 blocks, images;   // blocks of images, images of a block
    T* partial;           // [block][group] of [panel][tap][PANEL] or [out][tap][lane]
    T* y;

    i64 taps() const { return in * kh * kw; }
    i64 panels() const { return parts(out, PANEL<T>); }
    i64 rows_for(i64 rows) const { return (rows - 1) * stride[0] + (kh - 1) * dilation[0] + 1; }
    i64 size() const {
        return groups * taps() * (pixels ? out * WIDTH<T> : panels() * PANEL<T>);
    }
};

// A part of u: some rows, and of these some columns.
struct Band {
    i64 row, rows, column, columns;
};

// u for a panel of channels and a band that begins at `from`: `width` channels side by side.
template <class T>
void pack_pixels(const Images<T>& u, const T* from, const Band& band, i64 channels, i64 width,
                 T* to) {
    if (u.column == 1 && u.row == band.columns)
        return pack_panel(from, 1, u.channel, band.rows * band.columns, channels, width, to);
    for (i64 row = 0; row < band.rows; ++row)
        pack_panel(from + row * u.row, u.column, u.channel, band.columns, channels, width,
                   to + row * band.columns * width);
}

// All taps of a block of channels, for N vectors of output channels.
template <class T, int K, int N> void run_taps(TapTile<T> t, i64 rows, T* sums) {
    const i64 chunks = parts(rows, MAX_TAP_ROWS<K, N>), *offset = t.offset;
    for (i64 i = 0, done = 0; i < chunks; ++i) {
        const i64 n = parts(rows - done, chunks - i);
        t.offset = offset + done;
        t.sums = sums + done * K * PANEL<T>;
        choose_taps<T, K, N>(n, t.step == 1)(t);
        done += n;
    }
}
template <class T, int N> void run_taps(i64 run, const TapTile<T>& t, i64 rows, T* sums) {
    if (run == 3) run_taps<T, 3, N>(t, rows, sums);
    else if (run == 5) run_taps<T, 5, N>(t, rows, sums);
    else run_taps<T, 1, N>(t, rows, sums);
}

// The same with pixels in the lanes, for all output channels of the group.
template <class T>
void run_pixels(const Job<T>& job, PixelTile<T> t, i64 channels, T* sums) {
    const i64 rows = channels * job.kh * job.kw / job.run, largest = MAX_PIXEL_TAPS / job.run;
    const i64 chunks = parts(rows, largest), *offset = t.offset;
    const T* u = t.u;
    for (i64 o = 0; o < job.out;) {
        const i64 n = parts(job.out - o, parts(job.out - o, MAX_PIXEL_CHANNELS));
        t.u = u + o * t.u_channel;
        for (i64 i = 0, done = 0; i < chunks; ++i) {
            const i64 height = parts(rows - done, chunks - i);
            t.offset = offset + done;
            t.sums = sums + o * t.sums_channel + done * job.run * WIDTH<T>;
            (job.run == 3   ? choose_pixels<T, 3>(height, n)
             : job.run == 5 ? choose_pixels<T, 5>(height, n)
                            : choose_pixels<T, 1>(height, n))(t);
            done += height;
        }
        o += n;
    }
}

template <class T>
void add_band(const Job<T>& job, i64 image, i64 group, const Band& band, T* sums, i64* offset,
              Ahead* ahead) {
    constexpr i64 P = PANEL<T>;
    T* packed = reinterpret_cast<T*>(offset + MAX_TAPS);
    T* laid = packed + BAND_PIXELS * P;
    const i64 rows = job.rows_for(band.rows), top = band.row * job.stride[0];
    Frame frame = job.frame;
    frame.left -= band.column * job.stride[1];
    for (i64 c = 0; c < job.in; c += job.block) {
        const i64 channels = least(job.block, job.in - c);
        const T* planes = job.x.data + image * job.x.image + (group * job.in + c) * job.x.channel;
        i64 plane = job.x.channel, row = job.x.row;
        const T* x = planes + top * row + band.column * job.stride[1];
        if (job.framed) {
            lay_out(job.x, planes, channels, frame, top, rows, laid);
            x = laid, row = frame.width, plane = rows * row;
        }
        const i64 runs = job.kw / job.run;  // a run of taps starts at every run-th tap
        const i64 dilation[2] = {job.dilation[0], job.dilation[1] * job.run};
        tap_offsets(channels, job.kh, runs, dilation, plane, row, false, offset);
        const i64 row_step = job.stride[0] * row;
        if (job.pixels) {
            const T* from = job.u.data + image * job.u.image + group * job.out * job.u.channel;
            const Frame whole{job.u.height, job.pitch, 0, -band.column};
            lay_out(job.u, from, job.out, whole, band.row, band.rows, packed);
            const i64 across = job.pitch / WIDTH<T>, taps = c * job.kh * job.kw;
            run_pixels(job, PixelTile<T>{x, offset, band.rows, across, row_step, packed,
                                         band.rows * job.pitch, job.pitch, nullptr,
                                         job.taps() * WIDTH<T>},
                       channels, sums + taps * WIDTH<T>);
            continue;
        }
        // Taps above each other: rows without a gap between them are one row.
        const i64 across = band.columns * job.stride[1];
        const i64 rows_together = job.kw == 1 && row_step == across ? band.rows : 1;
        const TapTile<T> t{x,        offset,         band.rows / rows_together,
                           band.columns * rows_together,
                           row_step, job.stride[1],  packed, ahead, nullptr};
        for (i64 panel = 0; panel < job.panels(); ++panel) {
            const i64 channel = group * job.out + panel * P;
            const i64 n = least(P, job.out - panel * P);
            const T* u = job.u.data + image * job.u.image + channel * job.u.channel +
                         band.row * job.u.row + band.column * job.u.column;
            const bool narrow = n <= WIDTH<T>;
            pack_pixels(job.u, u, band, n, narrow ? WIDTH<T> : P, packed);
            (narrow ? run_taps<T, 1> : run_taps<T, 2>)(
                job.run, t, channels * job.kh * runs,
                sums + (panel * job.taps() + c * job.kh * job.kw) * P);
        }
    }
}

template <class T> void add_image(const Job<T>& job, i64 image, i64 group, T* sums, i64* offset) {
    const i64 next = image + 1, tiles = job.u.height * job.taps() * job.out / (SUMS * WIDTH<T>);
    const T* x = job.x.data + next * job.x.image + group * job.in * job.x.channel;
    const T* u = job.u.data + next * job.u.image + group * job.out * job.u.channel;
    Ahead ahead[2] = {ahead_of(x, job.in * job.x.channel, tiles, job.across / 2),
                      ahead_of(u, job.out * job.u.channel, tiles, job.across / 2)};
    for (i64 row = 0; row < job.u.height; row += job.band)
        for (i64 column = 0; column < job.u.width; column += job.across)
            add_band(job, image, group,
                     Band{row, least(job.band, job.u.height - row), column,
                          least(job.across, job.u.width - column)},
                     sums, offset, job.ahead && next < job.u.n ? ahead : nullptr);
}

template <class T> void weight_piece(void* context, i64 piece) {
    const Job<T>& job = *static_cast<Job<T>*>(context);
    const i64 block = piece / job.groups, group = piece % job.groups;
    const i64 size = job.size() / job.groups;
    T* sums = job.partial + piece * size;
    __builtin_memset(static_cast<void*>(sums), 0, size * sizeof(T));
    i64* offset = static_cast<i64*>(own_scratch());
    for (i64 n = block * job.images; n < least(job.u.n, (block + 1) * job.images); ++n)
        add_image(job, n, group, sums, offset);
}

// Adds the blocks' sums of one panel in order, and puts channels and taps in their places.
template <class T> void combine_piece(void* context, i64 piece) {
    const Job<T>& job = *static_cast<Job<T>*>(context);
    constexpr i64 P = PANEL<T>, W = WIDTH<T>;
    const i64 group = piece / job.panels(), panel = piece % job.panels(), taps = job.taps();
    const i64 channels = least(P, job.out - panel * P);
    T* y = job.y + (group * job.out + panel * P) * taps;
    for (i64 k = 0; k < taps; k += W) {
        const i64 n = least(W, taps - k);
        for (i64 j = 0; j * W < channels; ++j) {
            Vec<T> rows[W];
            for (i64 i = 0; i < W; ++i) rows[i] = Vec<T>{};
            for (i64 b = 0; b < job.blocks; ++b) {
                const T* from = job.partial + b * job.size() + (piece * taps + k) * P + j * W;
                for (i64 i = 0; i < n; ++i) rows[i] = rows[i] + load(from + i * P);
            }
            transpose_round<W, W / 2>(rows);
            for (i64 i = 0; i < W && j * W + i < channels; ++i)
                store_some(y + (j * W + i) * taps + k, rows[i], n);
        }
    }
}

// The same for sums whose lanes are parts of one number.
template <class T> void combine_lanes(void* context, i64 piece) {
    const Job<T>& job = *static_cast<Job<T>*>(context);
    constexpr i64 W = WIDTH<T>;
    const i64 at = piece * job.taps();  // of one output channel
    for (i64 k = at; k < at + job.taps(); ++k) {
        Vec<T> sum{};
        for (i64 b = 0; b < job.blocks; ++b)
            sum = sum + load(job.partial + b * job.size() + k * W);
        job.y[k] = sum_of_lanes(sum);
    }
}

// Which way has fewer unused lanes; this depends on the geometry only. With pixels in the lanes,
// rows are padded to whole vectors, so that a tile reads zeros after the end of u. x must be padded
// with zeros there, too, since 0·∞ is not 0.
template <class T> bool choose_lanes(Job<T>& job, bool ended) {
    constexpr i64 W = WIDTH<T>;
    job.pitch = parts(job.across, W) * W;
    job.pixels = ended && job.stride[1] == 1 &&
                 job.out * job.pitch <= BAND_PIXELS * PANEL<T> &&
                 2 * job.out * job.pitch < parts(job.out, W) * W * job.across;
    if (job.pixels) job.frame.width += job.pitch - job.across;
    return job.pixels;
}

template <class T> Status run(Job<T>& job) {
    const double work = 0.02 * job.taps() * job.out * job.groups * job.u.n * job.u.height *
                        job.u.width;
    job.run = (job.kw == 3 || job.kw == 5) && job.dilation[1] == 1 ? job.kw : 1;
    const bool inside = job.frame.top == 0 && job.frame.left == 0 &&
                        job.frame.height <= job.x.height && job.frame.width <= job.x.width;
    const bool ended = job.frame.left + job.x.width <= job.frame.width;
    job.across = least(job.u.width, BAND_PIXELS);
    job.frame.width -= (job.u.width - job.across) * job.stride[1];
    job.framed = choose_lanes(job, ended) || job.x.column != 1 || !inside;
    const i64 x_size = job.in * job.x.height * job.x.width;
    const i64 u_size = job.out * job.u.height * job.u.width;
    const i64 bytes = job.u.n * job.groups * (x_size + u_size) * i64(sizeof(T));
    job.ahead = job.framed && bytes > second_cache();
    const i64 room = IMAGE_BYTES / i64(sizeof(T));
    job.band = least(job.u.height, BAND_PIXELS / job.across);
    job.block = least(job.in, MAX_TAPS / (job.kh * job.kw));
    if (job.framed)
        job.block = least(job.block, room / (job.rows_for(1) * job.frame.width));
    if (job.block < 1)
        return bad_call("conv2d_weight: the image's rows are too long");
    while (job.framed && job.band > 1 &&
           job.block * job.rows_for(job.band) * job.frame.width > room)
        job.band = parts(job.band, 2);
    while (job.pixels && job.out * job.band * job.pitch > BAND_PIXELS * PANEL<T>)
        job.band = parts(job.band, 2);
    const i64 partial = job.size() * i64(sizeof(T));
    job.blocks = most(1, least(least(job.u.n, BLOCKS), PARTIAL_BYTES / partial));
    job.images = parts(job.u.n, job.blocks);
    job.partial = static_cast<T*>(shared_scratch(job.blocks * partial));
    if (!job.partial || !own_scratch()) return NO_MEMORY;
    const bool alone = useful_threads(work) == 1;
    const i64 pieces = job.blocks * job.groups;
    const i64 panels = job.groups * (job.pixels ? job.out : job.panels());
    const PieceFn combine = job.pixels ? combine_lanes<T> : combine_piece<T>;
    if (alone) {
        for (i64 piece = 0; piece < pieces; ++piece) weight_piece<T>(&job, piece);
        for (i64 piece = 0; piece < panels; ++piece) combine(&job, piece);
    } else {
        run_pieces(pieces, weight_piece<T>, &job);
        run_pieces(panels, combine, &job);
    }
    return OK;
}

template <class T> Status weight_of(const Call& call, const Geometry& g) {
    const View& y = call.out[0];
    Job<T> job{};
    job.x = images_of<T>(call.in[0]), job.u = images_of<T>(call.in[1]), job.y = data<T>(y);
    job.groups = g.groups, job.in = y.shape[1], job.out = y.shape[0] / g.groups;
    job.kh = y.shape[2], job.kw = y.shape[3];
    for (int d = 0; d < 2; ++d) job.dilation[d] = g.dilation[d], job.stride[d] = g.stride[d];
    job.frame = {job.rows_for(job.u.height),
                 (job.u.width - 1) * g.stride[1] + (job.kw - 1) * g.dilation[1] + 1,
                 g.padding[0], g.padding[1]};
    if (job.x.n != job.u.n || job.x.channels != job.in * g.groups ||
        job.u.channels != y.shape[0] || y.shape[0] % g.groups)
        return bad_call("conv2d_weight: sizes do not fit");
    return run(job);
}

}  // namespace

// conv2d_weight(x, u) → y;  ints: the geometry, as for conv2d.
CR_KERNEL(conv2d_weight) {
    Geometry g;
    if (!read_geometry(call, 0, g) || call.n_in != 2 || call.n_out != 1)
        return bad_call("conv2d_weight: takes x, u and a geometry");
    const View &x = call.in[0], &u = call.in[1], &y = call.out[0];
    const i64 size = item_size(x.dtype);
    bool fits = x.ndim == 4 && u.ndim == 4 && y.ndim == 4 && contiguous(y);
    for (int d = 0; d < 4; ++d) fits = fits && x.strides[d] % size == 0 && u.strides[d] % size == 0;
    if (!fits) return bad_call("conv2d_weight: images of four dimensions, results in order");
    if (count(y) == 0) return OK;
    if (count(u) == 0) {
        __builtin_memset(y.data, 0, count(y) * size);
        return OK;
    }
    if (all_of_type(call, DType::f32)) return weight_of<float>(call, g);
    if (all_of_type(call, DType::f64)) return weight_of<double>(call, g);
    return bad_call("conv2d_weight: operands are all float32 or all float64");
}

}  // namespace cr::CR_ISA

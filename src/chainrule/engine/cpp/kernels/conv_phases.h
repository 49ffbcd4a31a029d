// A convolution as loops over phases, rows and tiles.
//
// In the gradient by the input, outputs `apart` pixels from each other (the stride) form a phase:
// these see the same taps of a kernel, at adjacent pixels of u. A phase is a convolution with
// stride 1 and these taps. A convolution has one phase.
#pragma once
#include "kernels/ahead.h"
#include "kernels/conv.h"

namespace cr::CR_ISA {

constexpr i64 CHUNK = 128;  // pixels whose channels are transposed together

// What all pieces of work share. The outputs of a phase are `apart` pixels from each other.
template <class T> struct Convolution {
    Images<T> x, y;
    Frame frame;
    bool framed;  // whether rows of the image must be copied with their border
    bool pixels;  // whether the lanes are pixels (else channels)
    bool relu;
    i64 groups, in, out;  // channels of a group
    i64 kernel[2], dilation[2], stride[2];
    i64 apart[2];   // from output to output of a phase
    i64 lead[2];    // output q sees with tap i the pixel (lead + q + i · dilation) ÷ apart
    i64 extent[2];  // pixels of the frame that the first outputs of all phases see
    const T* weights;  // [group][panel][block of channels][phase][i][channel][j][PANEL]
    const T* bias;
    i64 run;    // adjacent taps that a tile takes together
    i64 block;  // channels of a block
    i64 band;   // rows of a phase in a piece
    i64 bands;
    int threads;
    bool ahead;   // whether to ask for the next image while one is multiplied

    i64 area() const { return kernel[0] * kernel[1]; }
    i64 taps() const { return in * area(); }
    i64 rows_for(i64 rows) const { return (rows - 1) * stride[0] + extent[0]; }
    i64 outputs(int d) const { return d ? y.width : y.height; }
    i64 phases(int d) const { return least(apart[d], outputs(d)); }
    i64 largest(int d) const { return parts(outputs(d), apart[d]); }  // outputs of a phase
};

// One dimension of a phase: its outputs, and the taps that they see: `first`, `first + step`, ...
// Output m sees them at the pixels m · stride + place, + dilation, ... of the frame.
struct Side {
    i64 outputs, first, step, taps, place, dilation;
};
template <class T> Side side_of(const Convolution<T>& job, int d, i64 phase) {
    const i64 kernel = job.kernel[d], apart = job.apart[d], lead = phase + job.lead[d];
    if (apart == 1) return {job.outputs(d), 0, 1, kernel, 0, job.dilation[d]};
    const auto next = [&](i64 tap) {
        while (tap < kernel && (lead + tap * job.dilation[d]) % apart) ++tap;
        return tap;
    };
    const i64 first = next(0), step = next(first + 1) - first;
    return {parts(job.outputs(d) - phase, apart), first, step,
            first < kernel ? parts(kernel - first, step) : 0,
            (lead + first * job.dilation[d]) / apart, step * job.dilation[d] / apart};
}

// The addresses of the pixels and the results of a piece.
template <class T> struct Place {
    const T* x;     // the first pixel of the frame that the band sees
    i64 row;        // elements from row to row of x
    i64 channels;   // of the block
    T* y;           // the first row of y, in the first channel of the panel
    i64 panel;      // channels of the panel
    i64 first, rows;  // of a phase in the band
    T* sums;        // of a chunk
    Ahead *next_x, *next_y;  // what the next piece needs
};

// The rows of taps that are inside the image for this row of the frame; the others are border.
template <class T>
void skip_border(const Convolution<T>& job, const Side& rows, i64 row, Taps<T>& t) {
    const i64 top = row + rows.place - job.frame.top, run = rows.taps ? t.depth / rows.taps : 0;
    i64 from = 0, to = rows.taps;
    while (from < to && top + from * rows.dilation < 0) ++from;
    while (to > from && top + (to - 1) * rows.dilation >= job.x.height) --to;
    t.offset += from * run;
    t.weights += from * run * job.run * PANEL<T>;
    t.depth = (to - from) * run;
}

template <class T, int M, int N>
void run_strips(const Convolution<T>& job, const T* x, i64 x_row, i64 rows, i64 width,
                const Taps<T>& t, i64 channels, T* y) {
    constexpr i64 W = WIDTH<T>;
    const i64 apart = job.apart[1];
    Strips<T> s;
    const auto run = [&] {
        if (apart == 1) pixels_in_lanes<T, M, N>(s, t, channels, job.y.channel);
        else pixels_apart<T, M, N>(s, t, channels, job.y.channel, apart);
    };
    int n = 0;
    for (i64 row = 0; row < rows; ++row)
        for (i64 column = 0; column < width; column += W) {
            s.x[n] = x + row * x_row + column;
            s.y[n] = y + row * job.apart[0] * job.y.row + column * apart;
            s.count[n] = width - column;
            if (++n < N) continue;
            run();
            n = 0;
        }
    if (n == 0) return;
    for (; n < N; ++n) s.x[n] = s.x[0], s.y[n] = s.y[0], s.count[n] = 0;
    run();
}

// The rows of a phase in the band, with pixels in the lanes.
template <class T>
void run_pixels(const Convolution<T>& job, const Place<T>& at, const Side& rows, i64 row_phase,
                Taps<T> t) {
    constexpr bool many = CR_REGISTERS == 32;
    const i64 x_row = job.stride[0] * at.row, height = least(at.rows, rows.outputs - at.first);
    for (i64 phase = 0; phase < job.phases(1); ++phase) {
        const Side columns = side_of(job, 1, phase);
        const T* x = at.x + rows.place * at.row + columns.place;
        T* y = at.y + (row_phase + at.first * job.apart[0]) * job.y.row + phase;
        t.depth = at.channels * rows.taps * columns.taps;
        Taps<T> part = t;
        for (i64 c = 0, done = 4; c < at.panel; c += done, part.weights += done) {
            const i64 left = at.panel - c;
            part.bias = t.bias ? t.bias + c : nullptr;
            T* to = y + c * job.y.channel;
            done = many && left > 4 ? 8 : 4;
            (left == 1            ? run_strips<T, 1, MAX_STRIPS>
             : left <= 4 || !many ? run_strips<T, 4, many ? MAX_STRIPS : 2>
                                  : run_strips<T, 8, many ? 3 : 1>)(
                job, x, x_row, height, columns.outputs, part, left, to);
        }
        t.offset += t.depth;
        t.weights += t.depth * PANEL<T>;
    }
}

// Outputs [from, to) of a row of a phase, with channels in the lanes; the first one sees x, and its
// sums belong to `sums`.
template <class T, int K, int N>
void run_row(const Convolution<T>& job, const Place<T>& at, Segment<T> s, i64 from, i64 to,
             const Taps<T>& t) {
    const i64 chunks = parts(to - from, MAX_PIXELS<K, N>);
    for (i64 i = 0, m = from; i < chunks; ++i) {
        const i64 pixels = parts(to - m, chunks - i);  // of nearly equal length
        if (K > 1 && !job.framed) {
            const i64 first = m - job.frame.left;
            s.left = most(0, -first);
            s.right = most(0, first + pixels + K - 1 - job.x.width);
        }
        fetch<0>(*at.next_x), fetch<1>(*at.next_y);
        choose_channel_tile<T, K, N>(pixels, s.step == 1)(s, t);
        s.x += pixels * s.step, s.sums += pixels * s.apart;
        m += pixels;
    }
}

// Rows of a phase, and columns of y.
struct Chunk {
    i64 row, rows, column, columns;
};

// The sums of a chunk: of all phases of its columns.
template <class T, int K, int N>
void run_chunk(const Convolution<T>& job, const Place<T>& at, const Side& rows, const Chunk& chunk,
               Taps<T> t) {
    constexpr i64 V = N * WIDTH<T>;
    const i64 apart = job.apart[1], step = job.stride[1];
    for (i64 phase = 0; phase < job.phases(1); ++phase) {
        const Side side = side_of(job, 1, phase);
        const i64 from = parts(most(0, chunk.column - phase), apart);
        const i64 to = parts(most(0, chunk.column + chunk.columns - phase), apart);
        t.depth = at.channels * rows.taps * side.taps / K;
        for (i64 r = chunk.row; r < chunk.row + chunk.rows; ++r) {
            Taps<T> part = t;
            skip_border(job, rows, r * job.stride[0], part);
            const i64 y_row = (r - chunk.row) * chunk.columns;
            const T* x = at.x + ((r - at.first) * job.stride[0] + rows.place) * at.row +
                         side.place + from * step;
            T* sums = at.sums + (y_row + phase + from * apart - chunk.column) * V;
            run_row<T, K, N>(job, at, {x, step, 0, 0, sums, apart * V}, from, to, part);
        }
        t.offset += t.depth;
        t.weights += t.depth * K * PANEL<T>;
    }
}

// The rows of a phase in the band, with channels in the lanes.
template <class T, int K, int N>
void run_channels(const Convolution<T>& job, const Place<T>& at, const Side& rows, i64 row_phase,
                  const Taps<T>& t) {
    const i64 end = least(at.first + at.rows, rows.outputs), width = job.y.width;
    const i64 tall = job.apart[0] == 1 ? most(1, CHUNK / width) : 1, wide = least(width, CHUNK);
    for (i64 row = at.first; row < end; row += tall)
        for (i64 column = 0; column < width; column += wide) {
            const Chunk chunk{row, least(tall, end - row), column, least(wide, width - column)};
            run_chunk<T, K, N>(job, at, rows, chunk, t);
            put_channels(at.sums, N * WIDTH<T>, chunk.rows * chunk.columns, t, at.panel,
                         at.y + (row_phase + row * job.apart[0]) * job.y.row + column,
                         job.y.channel);
        }
}

// The same for all channels of a panel: on few registers, one vector of them at a time.
template <class T, int K>
void run_panel(const Convolution<T>& job, const Place<T>& at, const Side& rows, i64 phase,
               Taps<T> t) {
    constexpr int N = K == 1 || CR_REGISTERS == 32 ? WIDE : 1;
    constexpr i64 W = WIDTH<T>;
    Place<T> part = at;
    for (i64 c = 0; c < at.panel; c += N * W, part.y += N * W * job.y.channel, t.weights += N * W) {
        part.panel = least(N * W, at.panel - c);
        (part.panel <= W ? run_channels<T, K, 1>
                         : run_channels<T, K, N>)(job, part, rows, phase, t);
        if (t.bias) t.bias += N * W;
    }
}

template <class T> void run_phases(const Convolution<T>& job, const Place<T>& at, Taps<T> t) {
    for (i64 phase = 0; phase < job.phases(0); ++phase) {
        const Side rows = side_of(job, 0, phase);
        (job.pixels     ? run_pixels<T>
         : job.run == 3 ? run_panel<T, 3>
                        : run_panel<T, 1>)(job, at, rows, phase, t);
        const i64 taps = at.channels * rows.taps * job.kernel[1];
        t.offset += taps / job.run;
        t.weights += taps * PANEL<T>;
    }
}

// The places of all phases' taps for a block of channels, against the first pixel that each sees.
template <class T>
void find_taps(const Convolution<T>& job, i64 channels, i64 plane, i64 row, i64* offset) {
    for (i64 phase = 0; phase < job.phases(0); ++phase) {
        const Side rows = side_of(job, 0, phase);
        i64* to = offset;
        for (i64 other = 0; other < job.phases(1); ++other) {
            const Side columns = side_of(job, 1, other);
            const i64 runs = columns.taps / job.run;
            const i64 dilation[2] = {rows.dilation, columns.dilation * job.run};
            tap_offsets(channels, rows.taps, runs, dilation, plane, row, true, to);
            to += channels * rows.taps * runs;
        }
        offset += channels * rows.taps * job.kernel[1] / job.run;
    }
}

}  // namespace cr::CR_ISA

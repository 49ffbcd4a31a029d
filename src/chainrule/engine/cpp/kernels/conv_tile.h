// The inner loops of a convolution: tiles of the output that are kept in registers.
//
// There are two kinds of tiles. With pixels in the lanes, a vector holds adjacent pixels of a row,
// and each weight is broadcast: this is good for few channels and wide rows. With channels in the
// lanes, a vector holds the weights of adjacent output channels, and each pixel is broadcast: no
// lanes are unused at the end of short rows, and any stride is possible, but results are
// transposed.
//
// Both add the taps of an output in the same order, each with a fused multiply-add, so they give
// the same bits. The faster one is used.
#pragma once
#include "kernels/gemm_tile.h"
#include "kernels/pack.h"

namespace cr::CR_ISA {

template <class T> constexpr i64 PANEL = WIDE * WIDTH<T>;  // output channels packed side by side

// The common part of tiles: a block of taps, and the bias and activation of results.
template <class T> struct Taps {
    const i64* offset;  // of each tap
    const T* weights;   // PANEL channels for each tap
    i64 depth;          // taps in this block
    bool first, last;   // the first block starts the output, the last one finishes it
    const T* bias;      // one number a channel, or null
    bool relu;
};

template <class T>
CR_INLINE void put_pixels(T* y, Vec<T> v, i64 count, const Taps<T>& t, i64 channel) {
    constexpr i64 W = WIDTH<T>;
    if (!t.first) v = (count >= W ? load(y) : load_some(y, count & (W - 1), T(0))) + v;
    if (t.last && t.bias) v = v + splat(t.bias[channel]);
    if (t.last && t.relu) v = larger(v, Vec<T>{});
    if (count >= W) store(y, v);
    else store_some(y, v, count & (W - 1));  // count < W; the mask tells the compiler
}

// N vectors of pixels; each lies somewhere in the image and somewhere in the output.
constexpr int MAX_STRIPS = 6;
template <class T> struct Strips {
    const T* x[MAX_STRIPS];
    T* y[MAX_STRIPS];  // in the plane of the first channel
    i64 count[MAX_STRIPS];
};

// M channels × N vectors of pixels that are neighbours in the image.
template <class T, int M, int N>
void pixels_in_lanes(const Strips<T>& s, const Taps<T>& t, i64 channels, i64 y_plane) {
    Vec<T> sum[M][N];
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) sum[i][j] = Vec<T>{};
    const T* w = t.weights;
    for (i64 k = 0; k < t.depth; ++k, w += PANEL<T>) {
        const i64 at = t.offset[k];
        Vec<T> x[N];
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) x[j] = load(s.x[j] + at);
#pragma GCC unroll 16
        for (int i = 0; i < M; ++i) {
            const Vec<T> weight = splat(w[i]);
#pragma GCC unroll 8
            for (int j = 0; j < N; ++j) sum[i][j] = fma(x[j], weight, sum[i][j]);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j)
            if (i < channels && s.count[j] > 0)
                put_pixels(s.y[j] + i * y_plane, sum[i][j], s.count[j], t, i);
}

// Vector j of `pixels` pixels holds channels; pixels of one channel belong side by side.
template <class T>
__attribute__((noinline)) void put_transposed(const Vec<T> (&sums)[MAX_ROWS][WIDE], int pixels,
                                              int j, const Taps<T>& t, i64 channels, T* y,
                                              i64 y_plane) {
    constexpr int W = WIDTH<T>;
    for (int p = 0; p < pixels; p += W) {
        Vec<T> rows[W];
        for (int i = 0; i < W; ++i) rows[i] = p + i < pixels ? sums[p + i][j] : Vec<T>{};
        transpose_round<W, W / 2>(rows);
        for (int i = 0; i < W && j * W + i < channels; ++i)
            put_pixels(y + (j * W + i) * y_plane + p, rows[i], i64(pixels - p), t, j * W + i);
    }
}

// P pixels `step` apart in a row × N vectors of channels. STEP = 1 when the step is known to be.
template <class T, int P, int N, int STEP>
void channels_in_lanes(const T* x, i64 step, const Taps<T>& t, i64 channels, T* y, i64 y_plane) {
    constexpr int W = WIDTH<T>;
    const i64 apart = STEP ? STEP : step;
    Vec<T> sum[P][N];
#pragma GCC unroll 16
    for (int i = 0; i < P; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) sum[i][j] = Vec<T>{};
    const T* w = t.weights;
    for (i64 k = 0; k < t.depth; ++k, w += PANEL<T>) {
        const T* at = x + t.offset[k];
        Vec<T> weight[N];
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) weight[j] = load(w + j * W);
#pragma GCC unroll 16
        for (int i = 0; i < P; ++i) {
            const Vec<T> pixel = splat(at[i * apart]);
#pragma GCC unroll 8
            for (int j = 0; j < N; ++j) sum[i][j] = fma(pixel, weight[j], sum[i][j]);
        }
    }
    Vec<T> kept[MAX_ROWS][WIDE];
#pragma GCC unroll 16
    for (int i = 0; i < P; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) kept[i][j] = sum[i][j];
    for (int j = 0; j < N; ++j) put_transposed(kept, P, j, t, channels, y, y_plane);
}

// A whole row of the output, for kernels three taps wide with a border of two pixels: P pixels in,
// P + 2 out. Tap j of pixel p contributes to output p + 2 − j, so the border, which is zero, is not
// multiplied. Each output adds its taps in the order of the tile above.
constexpr int BORDER = 2;
template <class T, int P, int N>
void row_with_border(const T* x, i64, const Taps<T>& t, i64 channels, T* y, i64 y_plane) {
    constexpr int W = WIDTH<T>;
    Vec<T> sum[P + BORDER][N];
#pragma GCC unroll 16
    for (int i = 0; i < P + BORDER; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) sum[i][j] = Vec<T>{};
    const T* w = t.weights;
    for (i64 k = 0; k < t.depth; k += BORDER + 1) {
        const T* at = x + t.offset[k] + BORDER;
#pragma GCC unroll 4
        for (int tap = 0; tap <= BORDER; ++tap, w += PANEL<T>) {
            Vec<T> weight[N];
#pragma GCC unroll 8
            for (int j = 0; j < N; ++j) weight[j] = load(w + j * W);
#pragma GCC unroll 16
            for (int p = 0; p < P; ++p) {
                const Vec<T> pixel = splat(at[p]);
#pragma GCC unroll 8
                for (int j = 0; j < N; ++j)
                    sum[p + BORDER - tap][j] = fma(pixel, weight[j], sum[p + BORDER - tap][j]);
            }
        }
    }
    Vec<T> kept[MAX_ROWS][WIDE];
#pragma GCC unroll 16
    for (int i = 0; i < P + BORDER; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) kept[i][j] = sum[i][j];
    for (int j = 0; j < N; ++j) put_transposed(kept, P + BORDER, j, t, channels, y, y_plane);
}

template <class T>
using ChannelTile = void (*)(const T*, i64, const Taps<T>&, i64, T*, i64);

template <class T, int P> ChannelTile<T> channel_tile_of(bool narrow, bool dense) {
    if (dense) return narrow ? &channels_in_lanes<T, P, 1, 1> : &channels_in_lanes<T, P, 2, 1>;
    return narrow ? &channels_in_lanes<T, P, 1, 0> : &channels_in_lanes<T, P, 2, 0>;
}

template <class T, int P = MAX_ROWS - BORDER>
ChannelTile<T> choose_row_with_border(i64 pixels, bool narrow) {
    if constexpr (P > 1)
        if (pixels < P) return choose_row_with_border<T, P - 1>(pixels, narrow);
    return narrow ? &row_with_border<T, P, 1> : &row_with_border<T, P, 2>;
}

// The tile for so many pixels (at most MAX_ROWS), one vector of channels or two, step 1 or any.
template <class T> ChannelTile<T> choose_channel_tile(i64 pixels, bool narrow, bool dense) {
    switch (pixels) {
        case 1: return channel_tile_of<T, 1>(narrow, dense);
        case 2: return channel_tile_of<T, 2>(narrow, dense);
        case 3: return channel_tile_of<T, 3>(narrow, dense);
        case 4: return channel_tile_of<T, 4>(narrow, dense);
        case 5: return channel_tile_of<T, 5>(narrow, dense);
        case 6: return channel_tile_of<T, 6>(narrow, dense);
#if CR_REGISTERS == 32
        case 7: return channel_tile_of<T, 7>(narrow, dense);
        case 8: return channel_tile_of<T, 8>(narrow, dense);
        case 9: return channel_tile_of<T, 9>(narrow, dense);
        case 10: return channel_tile_of<T, 10>(narrow, dense);
        case 11: return channel_tile_of<T, 11>(narrow, dense);
        case 12: return channel_tile_of<T, 12>(narrow, dense);
        case 13: return channel_tile_of<T, 13>(narrow, dense);
        case 14: return channel_tile_of<T, 14>(narrow, dense);
#endif
        default: return nullptr;
    }
}

}  // namespace cr::CR_ISA

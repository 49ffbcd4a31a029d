// The inner loops of a convolution: tiles of the output that are kept in registers.
//
// There are two kinds of tiles. With pixels in the lanes, a vector holds adjacent pixels of a row,
// and each weight is broadcast: this is good for few channels and wide rows. With channels in the
// lanes, a vector holds the weights of adjacent output channels, and each pixel is broadcast: no
// lanes are unused at the end of short rows, any stride is possible, and the border needs no copy.
// But results are transposed.
//
// Both add the taps of an output in the same order, each with a fused multiply-add, so they give
// the same bits. The faster one is used.
#pragma once
#include "kernels/gemm_tile.h"
#include "kernels/operands.h"
#include "kernels/pack.h"

namespace cr::CR_ISA {

template <class T> constexpr i64 PANEL = WIDE * WIDTH<T>;  // output channels packed side by side

// The common part of tiles: a block of taps, and the bias and activation of results.
template <class T> struct Taps {
    const i64* offset;  // of each run of adjacent taps
    const T* weights;   // PANEL channels for each tap
    i64 depth;          // runs in this block
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

// The same for results that are `apart` numbers from each other: as vectors first.
template <class T, int M, int N>
void pixels_apart(const Strips<T>& s, const Taps<T>& t, i64 channels, i64 y_plane, i64 apart) {
    constexpr i64 W = WIDTH<T>;
    T sums[M][N * W], last[W] = {};
    Strips<T> whole = s;
    for (int j = 0; j < N; ++j) whole.y[j] = sums[0] + j * W, whole.count[j] = W;
    Taps<T> plain = t;
    plain.first = true, plain.last = false;
    pixels_in_lanes<T, M, N>(whole, plain, M, N * W);
    for (i64 i = 0; i < M && i < channels; ++i)
        for (int j = 0; j < N; ++j) {
            T* y = s.y[j] + i * y_plane;
            const i64 n = s.count[j] < W ? s.count[j] : W;
            for (i64 l = 0; l < n && !t.first; ++l) last[l] = y[l * apart];
            put_pixels(last, load(sums[i] + j * W), W, t, i);
            for (i64 l = 0; l < n; ++l) y[l * apart] = last[l];
        }
}

// P pixels of a row, `step` apart in the image. A pixel of the border is zero and is not read: the
// first `left` pixels that the tile sees and the last `right` ones, fewer than the taps of a run.
template <class T> struct Segment {
    const T* x;
    i64 step, left, right;
    T* sums;  // the channels of each pixel, `apart` numbers from pixel to pixel
    i64 apart;
};

// P pixels × N vectors of channels, with K adjacent taps in a run. Each pixel is spread over a
// vector once for all taps of a run that see it. STEP = 1 when the step is known to be.
template <class T, int K, int N, int P, int STEP>
void channels_in_lanes(const Segment<T>& s, const Taps<T>& t) {
    constexpr int W = WIDTH<T>;
    const i64 step = STEP ? STEP : s.step;
    Vec<T> sum[P][N];
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 2
        for (int v = 0; v < N; ++v) sum[p][v] = Vec<T>{};
    const T* w = t.weights;
    const i64 left = s.left, right = P + K - 1 - s.right;
    for (i64 k = 0; k < t.depth; ++k, w += K * PANEL<T>) {
        const T* x = s.x + t.offset[k];
        Vec<T> weight[K][N];
#pragma GCC unroll 4
        for (int j = 0; j < K; ++j)
#pragma GCC unroll 2
            for (int v = 0; v < N; ++v) weight[j][v] = load(w + j * PANEL<T> + v * W);
#pragma GCC unroll 32
        for (int q = 0; q < P + K - 1; ++q) {
            if ((q < K - 1 && q < left) || (q >= P && q >= right)) continue;
            const Vec<T> pixel = splat(x[q * step]);
#pragma GCC unroll 4
            for (int j = 0; j < K; ++j)
                if (q >= j && q - j < P)
#pragma GCC unroll 2
                    for (int v = 0; v < N; ++v)
                        sum[q - j][v] = fma(pixel, weight[j][v], sum[q - j][v]);
        }
    }
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 2
        for (int v = 0; v < N; ++v) store(s.sums + p * s.apart + v * W, sum[p][v]);
}

template <class T> using ChannelTile = void (*)(const Segment<T>&, const Taps<T>&);

// Pixels of a tile, at most: registers hold its sums, the weights of a run, and one pixel.
template <int K, int N> constexpr int MAX_PIXELS = least(16, (CR_REGISTERS - 1 - K * N) / N);

// The tile of so many pixels (at most MAX_PIXELS).
template <class T, int K, int N, int P = MAX_PIXELS<K, N>>
ChannelTile<T> choose_channel_tile(i64 pixels, bool dense) {
    if constexpr (P > 1)
        if (pixels < P) return choose_channel_tile<T, K, N, P - 1>(pixels, dense);
    if constexpr (K > 1) return &channels_in_lanes<T, K, N, P, 1>;
    else return dense ? &channels_in_lanes<T, K, N, P, 1> : &channels_in_lanes<T, K, N, P, 0>;
}

// The sums of pixels that lie side by side in each plane of y; `apart` numbers from pixel to pixel.
template <class T>
void put_channels(const T* sums, i64 apart, i64 pixels, const Taps<T>& t, i64 channels, T* y,
                  i64 y_plane) {
    constexpr i64 W = WIDTH<T>;
    for (i64 c = 0; c < channels; c += W)
        for (i64 p = 0; p < pixels; p += W) {
            Vec<T> rows[W];
            load_transposed(sums + p * apart + c, apart, rows);
            for (i64 i = 0; i < W && c + i < channels; ++i)
                put_pixels(y + (c + i) * y_plane + p, rows[i], pixels - p, t, c + i);
        }
}

}  // namespace cr::CR_ISA

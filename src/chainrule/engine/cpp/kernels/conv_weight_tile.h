// The inner loops of a convolution's gradient by its kernels: sums that are kept in registers.
//
// As in conv_tile.h there are two. With channels in the lanes, each pixel of x is broadcast and
// multiplied by a vector of output channels of u. With pixels in the lanes, adjacent pixels of x
// are multiplied by adjacent pixels of u, and the lanes are summed at the end: this is better if
// there are fewer channels than lanes.
//
// Adjacent taps (K of them, a row of a kernel) share one pointer.
#pragma once
#include "kernels/ahead.h"
#include "kernels/conv_tile.h"

namespace cr::CR_ISA {

template <class T> struct TapTile {
    const T* x;
    const i64* offset;        // of each row of taps
    i64 rows, width;          // pixels of the band
    i64 row_step, step;       // of x, from row to row and from pixel to pixel of u
    const T* u;               // one or two vectors of channels for each pixel
    Ahead* ahead;             // the next images of x and u, or null
    T* sums;                  // PANEL numbers for each tap
};

// R rows of K adjacent taps × N vectors of channels. Where the stride is 1 (STEP = 1), a few pixels
// of u are taken together: a pixel of x that they see is spread over a vector only once.
template <class T, int R, int K, int N, int STEP> void add_taps(const TapTile<T>& t) {
    constexpr int W = WIDTH<T>, FREE = CR_REGISTERS - 2 - R * K * N;  // registers for u
    constexpr int TOGETHER = STEP != 1 || K == 1 || FREE < 2 * N ? 1 : FREE < 4 * N ? 2 : 4;
    Vec<T> sum[R][K][N];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int k = 0; k < K; ++k)
#pragma GCC unroll 8
            for (int j = 0; j < N; ++j) sum[r][k][j] = Vec<T>{};
    const i64 step = STEP ? STEP : t.step;
    const T* u = t.u;
    const T* taps[R];
    const auto add = [&]<int P>(i64 at) __attribute__((always_inline)) {
        Vec<T> channels[P][N];
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p)
#pragma GCC unroll 2
            for (int j = 0; j < N; ++j) channels[p][j] = load(u + (p * N + j) * W);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
            for (int q = 0; q < P + K - 1; ++q) {
                const Vec<T> pixel = splat(taps[r][at + q]);
#pragma GCC unroll 8
                for (int k = 0; k < K; ++k)
                    if (q >= k && q - k < P)
#pragma GCC unroll 2
                        for (int j = 0; j < N; ++j)
                            sum[r][k][j] = fma(pixel, channels[q - k][j], sum[r][k][j]);
            }
        u += P * N * W;
    };
    for (i64 row = 0; row < t.rows; ++row) {
        if (t.ahead) fetch<0>(t.ahead[0]), fetch<0>(t.ahead[1]);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) taps[r] = t.x + row * t.row_step + t.offset[r];
        i64 p = 0, at = 0;
        for (; p + TOGETHER <= t.width; p += TOGETHER, at += TOGETHER * step)
            add.template operator()<TOGETHER>(at);
        if constexpr (TOGETHER > 1)
            for (; p < t.width; ++p, at += step) add.template operator()<1>(at);
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int k = 0; k < K; ++k)
#pragma GCC unroll 8
            for (int j = 0; j < N; ++j) {
                T* to = t.sums + (r * K + k) * PANEL<T> + j * W;
                store(to, load(to) + sum[r][k][j]);
            }
}

template <class T> using TapFn = void (*)(const TapTile<T>&);

// Rows of K taps in a tile of N vectors of channels, at most. Each has a pointer, so single taps
// are never more than 12.
constexpr int SUMS = CR_REGISTERS == 32 ? 24 : 12;  // of a tile, at most
template <int K, int N> constexpr int MAX_TAP_ROWS = least(K == 1 ? 12 : SUMS, SUMS / N / K);

template <class T, int K, int N, int R = MAX_TAP_ROWS<K, N>>
TapFn<T> choose_taps(i64 rows, bool dense) {
    if constexpr (R > 1)
        if (rows < R) return choose_taps<T, K, N, R - 1>(rows, dense);
    return dense ? &add_taps<T, R, K, N, 1> : &add_taps<T, R, K, N, 0>;
}

template <class T> struct PixelTile {
    const T* x;
    const i64* offset;      // of each row of taps
    i64 rows, strips;       // rows of u in the band, vectors in a row
    i64 row_step;           // of x, from row to row of u
    const T* u;             // rows of whole vectors, zero behind the last pixel
    i64 u_channel, u_row;
    T* sums;                // a vector for each channel and tap
    i64 sums_channel;       // numbers from channel to channel
};

// R rows of K adjacent taps × M channels.
template <class T, int R, int K, int M> void add_pixels(const PixelTile<T>& t) {
    constexpr int W = WIDTH<T>;
    Vec<T> sum[M][R][K];
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m)
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
            for (int k = 0; k < K; ++k) sum[m][r][k] = Vec<T>{};
    for (i64 row = 0; row < t.rows; ++row) {
        const T *x = t.x + row * t.row_step, *u = t.u + row * t.u_row;
        for (i64 strip = 0; strip < t.strips; ++strip, x += W, u += W) {
            Vec<T> weight[M];
#pragma GCC unroll 8
            for (int m = 0; m < M; ++m) weight[m] = load(u + m * t.u_channel);
#pragma GCC unroll 16
            for (int r = 0; r < R; ++r) {
                const T* taps = x + t.offset[r];
#pragma GCC unroll 8
                for (int k = 0; k < K; ++k) {
                    const Vec<T> pixel = load(taps + k);
#pragma GCC unroll 8
                    for (int m = 0; m < M; ++m)
                        sum[m][r][k] = fma(pixel, weight[m], sum[m][r][k]);
                }
            }
        }
    }
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m)
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
            for (int k = 0; k < K; ++k) {
                T* to = t.sums + m * t.sums_channel + (r * K + k) * W;
                store(to, load(to) + sum[m][r][k]);
            }
}

constexpr int MAX_PIXEL_TAPS = 9, MAX_PIXEL_CHANNELS = CR_REGISTERS == 32 ? 3 : 1;
template <class T> using PixelFn = void (*)(const PixelTile<T>&);

template <class T, int K, int R, int M = MAX_PIXEL_CHANNELS>
PixelFn<T> choose_pixel_channels(i64 channels) {
    if constexpr (M == 1) return &add_pixels<T, R, K, 1>;
    else return channels == M ? &add_pixels<T, R, K, M>
                              : choose_pixel_channels<T, K, R, M - 1>(channels);
}
template <class T, int K, int R = MAX_PIXEL_TAPS / K>
PixelFn<T> choose_pixels(i64 rows, i64 channels) {
    if constexpr (R == 1) return choose_pixel_channels<T, K, 1>(channels);
    else return rows == R ? choose_pixel_channels<T, K, R>(channels)
                          : choose_pixels<T, K, R - 1>(rows, channels);
}

}  // namespace cr::CR_ISA

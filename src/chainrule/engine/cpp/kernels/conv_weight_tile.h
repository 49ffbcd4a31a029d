// The inner loops of a convolution's gradient by its kernels: sums that are kept in registers.
//
// As in conv_tile.h there are two. With channels in the lanes, each pixel of x is broadcast and
// multiplied by a vector of output channels of u. With pixels in the lanes, adjacent pixels of x
// are multiplied by adjacent pixels of u, and the lanes are summed at the end: this is better if
// there are fewer channels than lanes.
//
// Adjacent taps (K of them, a row of a kernel) share one pointer.
#pragma once
#include "kernels/conv_tile.h"

namespace cr::CR_ISA {

constexpr int MAX_TILE_TAPS = CR_REGISTERS == 32 ? 12 : 6;

template <class T> struct TapTile {
    const T* x;
    const i64* offset;        // of each row of taps
    i64 rows, width;          // pixels of the band
    i64 row_step, step;       // of x, from row to row and from pixel to pixel of u
    const T* u;               // PANEL channels for each pixel
    T* sums;                  // PANEL numbers for each tap
};

// R rows of K adjacent taps × N vectors of channels.
template <class T, int R, int K, int N> void add_taps(const TapTile<T>& t) {
    constexpr int W = WIDTH<T>;
    Vec<T> sum[R][K][N];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int k = 0; k < K; ++k)
#pragma GCC unroll 8
            for (int j = 0; j < N; ++j) sum[r][k][j] = Vec<T>{};
    const T* u = t.u;
    const T* taps[R];
    for (i64 row = 0; row < t.rows; ++row) {
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) taps[r] = t.x + row * t.row_step + t.offset[r];
        for (i64 p = 0, at = 0; p < t.width; ++p, at += t.step, u += PANEL<T>) {
            Vec<T> channels[N];
#pragma GCC unroll 8
            for (int j = 0; j < N; ++j) channels[j] = load(u + j * W);
#pragma GCC unroll 16
            for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
                for (int k = 0; k < K; ++k) {
                    const Vec<T> pixel = splat(taps[r][at + k]);
#pragma GCC unroll 8
                    for (int j = 0; j < N; ++j)
                        sum[r][k][j] = fma(pixel, channels[j], sum[r][k][j]);
                }
        }
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

template <class T, int K, int R = MAX_TILE_TAPS / K> TapFn<T> choose_taps(i64 rows, bool narrow) {
    if constexpr (R <= 1) return narrow ? &add_taps<T, 1, K, 1> : &add_taps<T, 1, K, 2>;
    else if (rows == R) return narrow ? &add_taps<T, R, K, 1> : &add_taps<T, R, K, 2>;
    else return choose_taps<T, K, R - 1>(rows, narrow);
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

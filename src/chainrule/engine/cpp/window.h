// Windows over images, as columns: what each output pixel sees, laid out for the matrix product.
//
// A convolution is a product: weights (out channels, K) times columns (K, output pixels), where
// K = channels · taps. The columns of a whole batch would be many times the images, so they exist
// for one band of output rows of one image at a time, and never leave the cache. A band first
// copies the input rows it needs, with their border of zeros, so that no window needs to ask
// whether it is inside.
#pragma once
#include "gemm_tile.h"

namespace cr::CR_ISA {

struct Windows {
    i64 channels, height, width;       // of one image (of one group)
    i64 channel_step, row_step;        // elements between its channels and its rows
    i64 gap_y, gap_x;                  // 1, or: the image is spread out with zeros between pixels
    i64 top, left;                     // the border of zeros before the first row and column
    i64 taps_y, taps_x, dilation_y, dilation_x, stride_y, stride_x;
    i64 out_height, out_width;

    i64 taps() const { return taps_y * taps_x; }
    i64 depth() const { return channels * taps(); }
    i64 band_width() const { return (out_width - 1) * stride_x + (taps_x - 1) * dilation_x + 1; }
    i64 band_rows(i64 out_rows) const {
        return (out_rows - 1) * stride_y + (taps_y - 1) * dilation_y + 1;
    }
};

constexpr i64 BAND_BYTES = 256 * 1024;

// Output rows of a band, so that the input rows of `channels` channels fit BAND_BYTES; 0 if not
// even one row does. A function of the shapes alone.
template <class T> i64 rows_of_band(const Windows& w, i64 channels) {
    const i64 room = BAND_BYTES / i64(sizeof(T)) - 64;  // room for two panels past the end
    i64 rows = 0;
    while (rows < w.out_height &&
           channels * w.band_rows(rows + 1) * w.band_width() <= room && rows * w.out_width < 512)
        ++rows;
    return rows;
}

// The input rows that output rows [first, first + rows) see, for channels [channel, channel + n).
template <class T>
void fill_band(const Windows& w, const T* image, i64 channel, i64 n, i64 first, i64 rows, T* band) {
    const i64 height = w.band_rows(rows), width = w.band_width();
    for (i64 c = 0; c < n; ++c)
        for (i64 y = 0; y < height; ++y) {
            T* to = band + (c * height + y) * width;
            const i64 from_y = first * w.stride_y + y - w.top;
            const i64 row = from_y / w.gap_y;
            const bool inside = from_y >= 0 && from_y % w.gap_y == 0 && row < w.height;
            if (!inside) {
                for (i64 x = 0; x < width; ++x) to[x] = T(0);
                continue;
            }
            const T* from = image + (channel + c) * w.channel_step + row * w.row_step;
            i64 x = 0;
            for (; x < width && x < w.left; ++x) to[x] = T(0);
            if (w.gap_x == 1) {
                const i64 end = w.left + w.width < width ? w.left + w.width : width;
                for (; x < end; ++x) to[x] = from[x - w.left];
            } else {
                for (; x < width && x - w.left <= (w.width - 1) * w.gap_x; ++x)
                    to[x] = (x - w.left) % w.gap_x ? T(0) : from[(x - w.left) / w.gap_x];
            }
            for (; x < width; ++x) to[x] = T(0);
        }
}

// columns[k · stride + p] for output pixels [pixel, pixel + n) of the band and k in [k0, k0 + depth)
// counted from the band's first channel.
template <class T>
void fill_columns(const Windows& w, const T* band, i64 out_rows, i64 k0, i64 depth, i64 pixel,
                  i64 n, T* columns, i64 stride) {
    constexpr i64 W = WIDTH<T>;
    const i64 height = w.band_rows(out_rows), width = w.band_width();
    i64 c = k0 / w.taps(), i = k0 % w.taps() / w.taps_x, j = k0 % w.taps_x;
    const i64 row = pixel / w.out_width, column = pixel % w.out_width;
    for (i64 k = 0; k < depth; ++k) {
        const T* source = band + (c * height + i * w.dilation_y) * width + j * w.dilation_x;
        T* to = columns + k * stride;
        i64 y = row, x = column;
        for (i64 left = n; left > 0; ++y, x = 0) {
            const i64 run = w.out_width - x < left ? w.out_width - x : left;
            const T* from = source + y * w.stride_y * width + x * w.stride_x;
            if (w.stride_x == 1) {
                i64 p = 0;
                for (; p + W <= run; p += W) store(to + p, load(from + p));
                if (p < run) store_some(to + p, load_some(from + p, run - p, T(0)), run - p);
            } else {
                for (i64 p = 0; p < run; ++p) to[p] = from[p * w.stride_x];
            }
            to += run;
            left -= run;
        }
        if (++j == w.taps_x) {
            j = 0;
            if (++i == w.taps_y) i = 0, ++c;
        }
    }
}

}  // namespace cr::CR_ISA

// Convolution without the matrix of columns.
//
//     y[n, o, p] = Σₖ w[o, k] · x̂[n, p, k]      over taps k = (i, channel, j), for pixels p
//
// is a product with a matrix x̂ that contains every pixel of the image kh·kw times. The matrix is
// not stored: its element for pixel p and tap k is the image at place(p) + offset(k). So the inner
// loops need only a table of offsets, one per tap (conv_tile.h).
//
// The gradient by the input is such a product, too: of the pixels u of the output, with zeros
// between them if the stride is not 1, and of the kernels rotated by 180°. The zeros are not
// multiplied: results that are a stride apart see the same taps of the kernel, and they are the
// convolution of u with these taps alone. So both use one loop (conv.cpp).
#pragma once
#include "kernels/conv_tile.h"
#include "kernels/operands.h"

namespace cr::CR_ISA {

// The parameters of a convolution: stride, padding before the image, dilation, groups. The padding
// after the image follows from the size of the output.
struct Geometry {
    i64 stride[2], padding[2], dilation[2], groups;
};
inline bool read_geometry(const Call& call, int first, Geometry& g) {
    if (call.n_ints != first + 7) return false;
    const i64* p = call.ints + first;
    g = {{p[0], p[1]}, {p[2], p[3]}, {p[4], p[5]}, p[6]};
    for (int d = 0; d < 2; ++d)
        if (g.stride[d] < 1 || g.padding[d] < 0 || g.dilation[d] < 1) return false;
    return g.groups >= 1;
}

// Images (N, C, H, W) of any strides, in elements.
template <class T> struct Images {
    T* data;
    i64 n, channels, height, width;
    i64 image, channel, row, column;
};
template <class T> Images<T> images_of(const View& v) {
    const i64 size = sizeof(T);
    return {cr::CR_ISA::data<T>(v), v.shape[0], v.shape[1], v.shape[2], v.shape[3],
            v.strides[0] / size, v.strides[1] / size, v.strides[2] / size, v.strides[3] / size};
}

// An image in a larger one: moved by (top, left), which may be negative; zero elsewhere.
struct Frame {
    i64 height, width;  // of the larger image
    i64 top, left;
};

template <class T> CR_INLINE void copy_row(const T* from, i64 n, T* to) {
    constexpr i64 W = WIDTH<T>;
    i64 i = 0;
    for (; i + W <= n; i += W) store(to + i, load(from + i));
    if (i < n) store_some(to + i, load_some(from + i, n - i, T(0)), n - i);
}

// Rows [first, first + rows) of the framed image, for `channels` planes, to `to`.
template <class T>
void lay_out(const Images<T>& x, const T* planes, i64 channels, const Frame& f, i64 first, i64 rows,
             T* to) {
    const i64 begin = most(0, -f.left);  // columns of x inside the frame
    const i64 columns = least(x.width, f.width - f.left) - begin;
    const i64 top = most(0, f.top - first), bottom = least(rows, x.height + f.top - first);
    for (i64 c = 0; c < channels; ++c, to += rows * f.width) {
        if (columns < f.width || bottom - top < rows)  // one plane, which the cache then holds
            __builtin_memset(static_cast<void*>(to), 0, rows * f.width * sizeof(T));
        const T* from =
            planes + c * x.channel + (first + top - f.top) * x.row + begin * x.column;
        T* row = to + top * f.width + f.left + begin;
        for (i64 r = top; r < bottom; ++r, from += x.row, row += f.width) {
            if (x.column == 1) copy_row(from, columns, row);
            else
                for (i64 i = 0; i < columns; ++i) row[i] = from[i * x.column];
        }
    }
}

// offset[k] = the place of tap k in a laid-out image, against its first pixel; taps in the order
// (c, i, j) of the weights, or (i, c, j).
inline void tap_offsets(i64 channels, i64 kh, i64 kw, const i64 (&dilation)[2], i64 plane, i64 row,
                        bool rows_first, i64* offset) {
    const i64 outer = rows_first ? kh : channels, inner = rows_first ? channels : kh;
    for (i64 a = 0; a < outer; ++a)
        for (i64 b = 0; b < inner; ++b)
            for (i64 j = 0; j < kw; ++j) {
                const i64 c = rows_first ? b : a, i = rows_first ? a : b;
                *offset++ = c * plane + i * dilation[0] * row + j * dilation[1];
            }
}

}  // namespace cr::CR_ISA

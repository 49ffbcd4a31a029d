// A part of C as one of Cᵀ = Bᵀ·Aᵀ, with the same sums. Panels hold rows of A then, and chunks
// columns of B, so rows of A are copied and padded, and not columns of B. That is less where a batch
// is smaller than a layer is wide, or where the gradient of weights has few columns. A panel of Cᵀ
// is turned while it is in the cache.
#include "kernels/gemm.h"

#include "kernels/operands.h"
#include "kernels/pack.h"

namespace cr::CR_ISA {

namespace {

constexpr i64 MOST_COLUMNS = 4096;  // for which there is memory

template <class T> struct Turned {
    static constexpr i64 W = WIDTH<T>;
    const Product<T>& p;
    i64 column, columns, height;  // the columns of C, and of a chunk
    T *packed, *turned;           // a panel of A, and one of Cᵀ

    // All chunks with a panel: `count` rows of A from `row` on, padded to `width`, for `depth` k.
    void multiply_panel(i64 row, i64 count, i64 width, i64 k, i64 depth) const {
        const T* a = p.a + row * p.a_row + k * p.a_k;
        const bool copies = p.a_row != 1 || count != width;
        if (copies) pack_panel(a, p.a_k, p.a_row, depth, count, width, packed);
        for (i64 j = 0; j < columns; j += height) {
            Tile<T> t{};
            t.a = p.b + (column + j) * p.b_column + k * p.b_k, t.a_row = p.b_column, t.a_k = p.b_k;
            t.b = copies ? packed : a, t.b_k = copies ? width : p.a_k;
            t.b_ahead = copies && columns > 2 * height ? 0 : 8 * t.b_k;
            t.c = turned + j * width, t.c_row = t.columns = width;
            t.depth = depth, t.first = k == 0;
            const i64 here = least(height, columns - j);
            const bool narrow = width == W;
            (t.a_row == 1 ? choose_tile<T, true>(here, narrow) : choose_tile<T>(here, narrow))(t);
        }
    }

    // Writes the rows of C.
    void turn(i64 row, i64 count, i64 width) const {
        for (i64 i = 0; i < count; i += W)
            for (i64 j = 0; j < columns; j += W) {
                const i64 rows = least(W, count - i), n = least(W, columns - j), at = column + j;
                Vec<T> c[W];
                load_block(turned + j * width + i, width, rows, n, c);
                for (i64 r = 0; r < rows; ++r) {
                    const Vec<T> v = finish(c[r], p.end, row + i + r, at, n);
                    T* to = p.c + (row + i + r) * p.c_row + at;
                    if (n == W) store(to, v);
                    else store_some(to, v, n);
                }
            }
    }
};

}  // namespace

template <class T>
void multiply_turned(const Product<T>& p, i64 row, i64 rows, i64 column, i64 columns, T* memory) {
    constexpr i64 W = WIDTH<T>, P = WIDE * W;
    const i64 height = parts(columns, parts(columns, MAX_ROWS));
    const Turned<T> piece{p, column, columns, height, memory, memory + K_BLOCK * P};
    for (const i64 end = row + rows; row < end; row += P) {
        const i64 count = least(P, end - row), width = count <= W ? W : P;
        for (i64 k = 0; k == 0 || k < p.k; k += K_BLOCK)
            piece.multiply_panel(row, count, width, k, least(K_BLOCK, p.k - k));
        piece.turn(row, count, width);
    }
}

// In multiply-adds: how long it takes to transpose a number for a copy, to copy one to pad a panel,
// and to turn one of C.
template <class T> bool better_turned(const Product<T>& p, i64 rows, i64 columns) {
    constexpr i64 W = WIDTH<T>, P = WIDE * W, TO_TRANSPOSE = 10, TO_COPY = 3, TO_TURN = 25;
    const auto panels = [](i64 n) { return n / P * P + rounded(n % P, W); };
    const auto copies = [](i64 n, bool in_order) {
        return in_order ? TO_COPY * (n % W ? n % P : 0) : TO_TRANSPOSE * n;
    };
    const i64 plain = rows * panels(columns) + copies(columns, p.b_column == 1);
    const i64 turned = columns * panels(rows) + copies(rows, p.a_row == 1);
    return (p.a_row == 1 || p.a_k == 1) && columns <= MOST_COLUMNS &&
           (plain - turned) * p.k > TO_TURN * rows * columns;
}

template void multiply_turned(const Product<float>&, i64, i64, i64, i64, float*);
template void multiply_turned(const Product<double>&, i64, i64, i64, i64, double*);
template bool better_turned(const Product<float>&, i64, i64);
template bool better_turned(const Product<double>&, i64, i64);

}  // namespace cr::CR_ISA

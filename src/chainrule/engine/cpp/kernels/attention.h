// Attention in blocks: the common part of the forward pass and the gradient.
//
// A block has ROWS queries and KEYS keys. Its scores are in the work space of the thread, whose
// size does not depend on the length (Dao et al., 2022). Blocks begin at multiples of ROWS and
// KEYS, and their contributions to a number are added in order. So the bits depend only on the
// operands.
#pragma once
#include "kernels/gemm.h"
#include "kernels/operands.h"
#include "kernels/pack.h"
#include "math/vecmath.h"

namespace cr::CR_ISA {

constexpr i64 ROWS = 64, KEYS = 64;
constexpr int MAX_MASKS = 2;

inline i64 smallest(i64 a, i64 b) { return a < b ? a : b; }
inline i64 largest(i64 a, i64 b) { return a > b ? a : b; }
inline i64 parts_of(i64 whole, i64 part) { return (whole + part - 1) / part; }

// A matrix of one head: adjacent columns, rows `row` elements apart.
template <class T> struct Rows {
    T* data;
    i64 row;
    Rows from(i64 first) const { return {data + first * row, row}; }
};

// The operands of all heads; `masks` begin at call.in[first_mask].
struct Heads {
    const Call* call;
    int dims, first_mask, masks;
    i64 count, queries, keys, width, value_width;  // sizes: heads, L, S, d, e
    bool causal;
    double scale;

    char* at(const View& v, i64 head) const {  // where the matrix of a head begins
        char* p = v.data;
        for (int d = dims - 1; d >= 0; --d) {
            const i64 n = call->in[0].shape[d];
            p += head % n * v.strides[d];
            head /= n;
        }
        return p;
    }
    template <class T> Rows<T> rows(const View& v, i64 head) const {
        return {reinterpret_cast<T*>(at(v, head)), v.strides[dims] / i64(sizeof(T))};
    }
    // The number of keys of the block at `key` to which the query attends.
    i64 seen(i64 query, i64 key) const {
        const i64 left = smallest(keys - key, KEYS);
        return causal ? largest(0, smallest(left, query - key + 1)) : left;
    }
};

// For a chunk of rows of a product: the number of columns, and the terms [from, to) of the sums.
struct Span {
    i64 columns, from, to;
};

// A panel of B is PANEL columns; panel j begins at b + j · step.
template <class T> struct Panels {
    const T* b;
    i64 row, step;
};
template <class T> constexpr i64 PANEL_COLUMNS = WIDE * WIDTH<T>;

// The transpose of up to KEYS rows of K as panels: d by KEYS, zero where there is no key.
template <class T> Panels<T> transposed_panels(Rows<T> k, i64 n, i64 depth, T* packed) {
    constexpr i64 P = PANEL_COLUMNS<T>;
    for (i64 j = 0; j < n; j += P)
        pack_panel(k.data + j * k.row, 1, k.row, depth, smallest(P, n - j), P, packed + j * depth);
    return {packed, P, P * depth};
}

// C = 0 + A·B, or C + A·B, for n columns of B; span(row, height) says what a chunk of rows needs.
// Products may underflow to −0, their sum with 0 is 0.
// `spare` takes the last panel of B when its columns would end within a vector.
template <class T, class F>
void multiply_block(Rows<const T> a, i64 a_k, Panels<T> b, Rows<T> c, i64 m, i64 n, bool add,
                    i64 depth, T* spare, F span) {
    constexpr i64 W = WIDTH<T>, P = PANEL_COLUMNS<T>;
    static constexpr T zeros[P] = {};
    const i64 chunks = parts_of(m, MAX_ROWS);
    for (i64 j = 0; j < n; j += P) {
        const i64 columns = smallest(P, n - j);
        const T* panel = b.b + j / P * b.step;
        i64 row = b.row;
        if (columns % W) {
            pack_panel(panel, row, 1, depth, columns, P, spare);
            panel = spare, row = P;
        }
        for (i64 i = 0, at = 0; i < chunks; ++i) {
            const i64 height = parts_of(m - at, chunks - i);
            const Span need = span(at, height);
            if (j < need.columns) {
                Tile<T> t{};
                t.a = a.data + at * a.row + need.from * a_k, t.a_row = a.row, t.a_k = a_k;
                t.b = panel + need.from * row, t.b_k = row;
                t.c = c.data + at * c.row + j, t.c_row = c.row;
                t.depth = largest(0, need.to - need.from);
                const i64 here = smallest(columns, parts_of(need.columns - j, W) * W);
                t.first = !add, t.last = true, t.columns = here;
                if (!add) t.end.bias = zeros;
                choose_tile<T>(height, here <= W)(t);
            }
            at += height;
        }
    }
}

// Scores of queries [query, query + m) and the keys of the block at `key`: A·Bᵀ, in rows of KEYS.
// Keys to which no row of a chunk attends are skipped. `ready`: B is already packed.
template <class T>
void score_block(const Heads& h, Rows<T> a, Rows<T> b, i64 query, i64 m, i64 key, i64 depth,
                 bool ready, T* packed, T* scores) {
    const i64 n = smallest(KEYS, h.keys - key), padded = parts_of(n, PANEL_COLUMNS<T>) *
                                                         PANEL_COLUMNS<T>;
    i64 block = 0;
    do {
        const i64 here = smallest(K_BLOCK, depth - block);
        Panels<T> panels{packed, PANEL_COLUMNS<T>, PANEL_COLUMNS<T> * here};
        if (!ready || depth > K_BLOCK)
            panels = transposed_panels<T>({b.data + block, b.row}, n, here, packed);
        multiply_block<T>({a.data + block, a.row}, 1, panels, {scores, KEYS}, m, padded, block > 0,
                          here, nullptr, [&](i64 row, i64 height) {
                              return Span{h.seen(query + row + height - 1, key), 0, here};
                          });
        block += here;
    } while (block < depth);
}

// The first n lanes of v, and `rest` in the others.
template <class T> CR_INLINE Vec<T> first_lanes(Vec<T> v, i64 n, T rest) {
    using Int = typename Format<T>::Int;
    Mask<T> lane;
#pragma GCC unroll 16
    for (int l = 0; l < WIDTH<T>; ++l) lane[l] = l;
    return lane < Int(n) ? v : splat(rest);
}

// Rows are processed in groups of WIDTH, in whole vectors, each up to the last key of the group:
// equal loops over independent rows use the processor well.
template <class T> struct Group {
    i64 rows, width;
};
template <class T> CR_INLINE Group<T> group_at(const Heads& h, i64 row, i64 m, i64 query, i64 key) {
    const i64 rows = smallest(WIDTH<T>, m - row);
    return {rows, parts_of(h.seen(query + row + rows - 1, key), WIDTH<T>) * WIDTH<T>};
}

// The scores at column j of a row that sees n keys, times the scale: −∞ from key n on.
template <class T> CR_INLINE Vec<T> scaled_scores(const T* x, i64 j, i64 n, T scale) {
    const Vec<T> v = load(x + j) * scale;
    return j + WIDTH<T> <= n ? v : first_lanes<T>(v, n - j, -Format<T>::infinity);
}

// Scores of one row times the scale, masked, up to `width`.
template <class T>
CR_INLINE void mask_row(const Heads& h, T* x, i64 n, i64 width, i64 head, i64 query, i64 key) {
    constexpr i64 W = WIDTH<T>;
    const T hidden = -Format<T>::infinity;
    i64 j = 0;
    for (; j < width; j += W) store(x + j, scaled_scores(x, j, n, T(h.scale)));
    for (int i = 0; i < h.masks; ++i) {
        const View& mask = h.call->in[h.first_mask + i];
        const i64 step = mask.strides[h.dims + 1];
        const char* m = h.at(mask, head) + query * mask.strides[h.dims] + key * step;
        if (mask.dtype == DType::boolean) {
            for (j = 0; j < n; ++j) x[j] = m[j * step] ? x[j] : hidden;
        } else if (step == i64(sizeof(T))) {
            for (j = 0; j < n; ++j) x[j] += reinterpret_cast<const T*>(m)[j];
        } else {
            for (j = 0; j < n; ++j) x[j] += *reinterpret_cast<const T*>(m + j * step);
        }
    }
}

// Zeros from `width` to `end` in some rows of a block.
template <class T> CR_INLINE void hide(T* x, i64 rows, i64 width, i64 end) {
    for (i64 j = width; j < end; j += WIDTH<T>)
        for (i64 r = 0; r < rows; ++r) store(x + r * KEYS + j, Vec<T>{});
}

// WIDTH vectors folded to one: lane r holds the fold of all lanes of part[r].
template <class T, class F> CR_INLINE Vec<T> fold_each(Vec<T> (&part)[WIDTH<T>], F f) {
    constexpr int W = WIDTH<T>;
    transpose_round<W, W / 2>(part);
#pragma GCC unroll 4
    for (int half = W / 2; half > 0; half /= 2)
#pragma GCC unroll 8
        for (int l = 0; l < half; ++l) part[l] = f(part[l], part[l + half]);
    return part[0];
}

// Reads q, k, v, masks and the parameters; false if they do not fit together.
bool read_heads(const Call& call, int first, int masks_from, Heads& h);

}  // namespace cr::CR_ISA

// The matrix product of one column: an element is the dot product of a row of A with B.
//
// It has as many sums as a line of a cache has numbers: product k of a block is added to sum
// k % LANES. At the end of a block its sums are added as a binary tree, l and l + LANES/2 first; and
// blocks one after the other. So an element has the same bits in any number of rows and any layout of
// A, but others than in a matrix with more columns: with sums in the order of k, rows that are stored
// along k would have to be turned into columns, which takes twice as long as to read them.
#include "kernels/gemm.h"
#include "kernels/gemm_vectors.h"
#include "kernels/operands.h"
#include "kernels/pack.h"

namespace cr::CR_ISA {

namespace {

template <class T> constexpr i64 LANES = 64 / sizeof(T);
constexpr int VECTORS = 64 / CR_VECTOR_BYTES;  // of the sums of a row
constexpr int ROWS = 8 / VECTORS;              // at a time: 8 vectors of sums take turns

// N vectors are added, the upper half to the lower one.
template <int N, class V> CR_INLINE V add_tree(V* x) {
    if constexpr (N > 1) {
#pragma GCC unroll 8
        for (int i = 0; i < N / 2; ++i) x[i] = x[i] + x[i + N / 2];
        return add_tree<N / 2>(x);
    }
    return x[0];
}

// The sums of n ≤ ROWS rows of A from `a` on, of one block, a vector for each row: the first steps of
// the tree are done.
template <class T>
CR_INLINE void add_products(const T* a, i64 a_row, i64 n, const T* b, i64 depth, Vec<T>* result) {
    constexpr i64 W = WIDTH<T>, L = LANES<T>;
    Vec<T> sum[ROWS][VECTORS]{};
    const T* row[ROWS];
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) row[r] = a, a += r + 1 < n ? a_row : 0;
    i64 k = 0;
    for (; k + L <= depth; k += L)
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; ++v)
#pragma GCC unroll 8
            for (int r = 0; r < ROWS; ++r)
                sum[r][v] = fma(load(row[r] + k + v * W), load(b + k + v * W), sum[r][v]);
    const auto add = [&](int v, auto read) __attribute__((always_inline)) {
        const Vec<T> x = read(b + k);
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; ++r) sum[r][v] = fma(read(row[r] + k), x, sum[r][v]);
    };
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v, k += W) {
        const i64 left = depth - k;
        if (left >= W) add(v, [](const T* x) { return load(x); });
        else if (left > 0) add(v, [left](const T* x) { return load_some(x, left, T(0)); });
    }
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) result[r] = add_tree<VECTORS>(sum[r]);
}

// The other steps for WIDTH rows at once: lane r becomes the sum of all lanes of rows[r].
template <class T, int S = WIDTH<T> / 2> CR_INLINE Vec<T> add_lanes(Vec<T>* rows) {
    if constexpr (S == 0) return rows[0];
    else {
#pragma GCC unroll 8
        for (int i = 0; i < S; ++i) {
            exchange<WIDTH<T>, S>(rows[i], rows[i + S]);
            rows[i] = rows[i] + rows[i + S];
        }
        return add_lanes<T, S / 2>(rows);
    }
}

// Bias, residual and activation for the n ≤ WIDTH rows of C from `row` on.
template <class T> CR_INLINE void put(const Product<T>& p, i64 row, i64 n, Vec<T> sum) {
    T* to = p.c + row * p.c_row;
    if (n == WIDTH<T> && p.c_row == 1 && plain(p.end)) return store(to, sum);
    Epilogue<T> end = p.end;
    Vec<T> other{};
    if (end.bias) sum = sum + splat(*end.bias);
    end.bias = nullptr;
    for (i64 i = 0; end.residual && i < n; ++i)
        other[i] = end.residual[(row + i) * end.residual_stride];
    if (end.residual) end.residual = reinterpret_cast<const T*>(&other);
    const Vec<T> c = finish(sum, end, 0, 0, WIDTH<T>);
    for (i64 i = 0; i < n; ++i) to[i * p.c_row] = c[i];
}

// The sums of a block for n ≤ WIDTH rows.
template <class T>
CR_INLINE Vec<T> multiply_block(const T* a, i64 a_row, i64 n, const T* b, i64 depth) {
    constexpr i64 W = WIDTH<T>;
    Vec<T> sums[W]{};
#pragma GCC unroll 4
    for (i64 r = 0; r < W; r += ROWS)
        if (r < n) add_products(a + r * a_row, a_row, n - r, b, depth, sums + r);
    return add_lanes<T>(sums);
}

// Rows [row, last), WIDTH at a time.
template <class T> void multiply_in_place(const Product<T>& p, i64 row, i64 last) {
    for (constexpr i64 W = WIDTH<T>; row < last; row += W) {
        const i64 n = least(W, last - row);
        const T* a = p.a + row * p.a_row;
        Vec<T> total{};
        for (i64 k = 0; k < p.k; k += K_BLOCK)
            total = total + multiply_block(a + k, p.a_row, n, p.b + k, least(K_BLOCK, p.k - k));
        put(p, row, n, total);
    }
}

// The same from copies of rows that are not stored along k.
template <class T> void multiply_copies(const Product<T>& p, i64 row, i64 last, T* memory) {
    const i64 stride = rounded(p.k, LANES<T>);
    for (constexpr i64 W = WIDTH<T>; row < last; row += W) {
        const i64 n = least(W, last - row);
        pack_strip(p.a + row * p.a_row, p.a_row, p.a_k, n, p.k, p.k, stride, memory);
        Product<T> q = p;
        q.a = memory - row * stride, q.a_row = stride;
        multiply_in_place(q, row, row + n);
    }
}

// Adds the products of n numbers of b with rows of A, both from one k to the next of the same sum, to
// these sums of `count` rows of C; the first ones start them.
constexpr int FEW = 8;
template <class T, int N = FEW>
void add_to_sums(const T* b, const T* a, i64 a_k, i64 n, i64 count, bool starts, T* sums) {
    if constexpr (N > 0)
        if (n < N) return add_to_sums<T, N - 1>(b, a, a_k, n, count, starts, sums);
    Vec<T> x[N + 1];
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) x[i] = splat(b[i * LANES<T>]);
    by_vectors<T>(0, count, [&](auto v) __attribute__((always_inline)) {
        if (!starts) v.each([&](Vec<T>& sum, i64 i) { sum = load(sums + i); });
#pragma GCC unroll 8
        for (int i = 0; i < N; ++i) v.add(x[i], a + i * LANES<T> * a_k);
        v.each([&](Vec<T> sum, i64 i) { store(sums + i, sum); });
    });
}

// The same where A is stored along its rows: one sum of many rows of C at once.
template <class T> void multiply_lanes(const Product<T>& p, i64 row, i64 last, T* memory) {
    constexpr i64 W = WIDTH<T>, L = LANES<T>, ROOM = 4096 / i64(sizeof(T));
    T *const total = memory, *const sums = total + ROOM;
    for (; row < last; row += ROOM) {
        const i64 count = least(ROOM, last - row);
        for (i64 i = 0; i < count; i += W) store(total + i, Vec<T>{});
        for (i64 block = 0; block < p.k; block += K_BLOCK) {
            const i64 end = least(block + K_BLOCK, p.k);
            for (i64 first = block; first < end; first += FEW * L)
                for (i64 l = 0, k = first; l < L; ++l, ++k)
                    add_to_sums(p.b + k, p.a + row + k * p.a_k, p.a_k, parts(end - k, L), count,
                                first == block, sums + l * ROOM);
            for (i64 i = 0; i < count; i += W) {
                Vec<T> sum[L];
#pragma GCC unroll 16
                for (i64 l = 0; l < L; ++l) sum[l] = load(sums + l * ROOM + i);
                store(total + i, load(total + i) + add_tree<L>(sum));
            }
        }
        for (i64 i = 0; i < count; i += W)
            put(p, row + i, least(W, count - i), load(total + i));
    }
}

}  // namespace

template <class T> void multiply_column(const Product<T>& p, i64 row, i64 rows, T* memory) {
    Product<T> q = p;
    if (p.b_k != 1) {
        for (i64 k = 0; k < p.k; ++k) memory[k] = p.b[k * p.b_k];
        q.b = memory, q.b_k = 1, memory += p.k;
    }
    if (p.a_k == 1) multiply_in_place(q, row, row + rows);
    else if (p.a_row == 1) multiply_lanes(q, row, row + rows, memory);
    else multiply_copies(q, row, row + rows, memory);
}

template void multiply_column(const Product<float>&, i64, i64, float*);
template void multiply_column(const Product<double>&, i64, i64, double*);

}  // namespace cr::CR_ISA

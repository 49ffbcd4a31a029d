// The kernel `linear_weight_sum`: Σ gᵢᵀ·xᵢ over several pairs of matrices, added as a binary tree.
//
// A tile of C is computed for one pair after the other and added up in the L1 cache, so that C is
// written once. Products and sums one after the other would pass C through the caches for each.
// The bits are the same: those of the products, each below one block of k, and of their sums. (But for
// a C of one column, whose products add in another order. It has fewer numbers than any g.)
#include "kernels/gemm_tile.h"
#include "kernels/operands.h"
#include "kernels/pack.h"

namespace cr::CR_ISA {

namespace {

constexpr int MAX_PAIRS = MAX_OPERANDS / 2;

template <class T> struct Sum {
    static constexpr i64 W = WIDTH<T>, P = WIDE * WIDTH<T>;
    const Call& call;
    i64 m, n, height, panels;  // rows and columns of C; rows of a tile; panels of columns of a piece

    int pairs() const { return call.n_in / 2; }
    const View& g(int pair) const { return call.in[2 * pair]; }
    const View& x(int pair) const { return call.in[2 * pair + 1]; }
    i64 step(const View& v, int dim) const { return v.strides[dim] / i64(sizeof(T)); }

    // Columns from `column` on, of all rows of C. Rows of x are read in place where they fill vectors.
    void add_panel(i64 column) const {
        const i64 columns = least(P, n - column), width = columns <= W ? W : P;
        T* copy = static_cast<T*>(own_scratch());
        Tile<T> tiles[MAX_PAIRS]{};
        for (int i = 0; i < pairs(); ++i) {
            const View &a = g(i), &b = x(i);
            Tile<T>& t = tiles[i];
            t.a = data<T>(a), t.a_row = step(a, 1), t.a_k = step(a, 0);
            t.b = data<T>(b) + column * step(b, 1), t.b_k = step(b, 0), t.b_ahead = width;
            t.depth = b.shape[0], t.first = call.ints[i] == 0, t.last = true;
            if (step(b, 1) == 1 && columns == width) continue;
            pack_panel(t.b, t.b_k, step(b, 1), t.depth, columns, width, copy);
            t.b = copy, t.b_k = width, t.b_ahead = 8 * width;
            copy += t.depth * width;
        }
        for (i64 row = 0; row < m; row += height) {
            add_tile(least(height, m - row), tiles, data<T>(call.out[0]) + row * n + column, columns);
            for (int i = 0; i < pairs(); ++i) tiles[i].a += height * tiles[i].a_row;
        }
    }

    // A stack of tiles, of which the lowest is C itself. The first sum after a product is that with
    // the tile on top of the stack, to which the product adds as it is stored.
    void add_tile(i64 rows, Tile<T>* tiles, T* c, i64 columns) const {
        alignas(64) T stack[MAX_PAIRS][MAX_ROWS * P];
        const i64 width = columns <= W ? W : P;
        const TileFn<T> multiply = choose_tile<T>(rows, width == W);
        int top = -1;
        for (int i = 0; i < pairs(); ++i) {
            Tile<T>& t = tiles[i];
            top += t.first;
            t.c = top ? stack[top] : c;
            t.c_row = top ? width : n, t.columns = top ? width : columns;
            multiply(t);
            for (i64 sums = call.ints[i] - !t.first; sums > 0; --sums, --top)
                for (i64 r = 0; r < rows; ++r)
                    add_row(top > 1 ? stack[top - 1] + r * width : c + r * n,
                            stack[top] + r * width, top > 1 ? width : columns);
        }
    }

    static void add_row(T* to, const T* other, i64 count) {
        for (i64 j = 0; j < count; j += W)
            if (count - j >= W) store(to + j, load(to + j) + load(other + j));
            else store_some(to + j, load_some(to + j, count - j, T(0)) + load(other + j), count - j);
    }
};

template <class T> void run_piece(void* context, i64 piece) {
    const Sum<T>& sum = *static_cast<Sum<T>*>(context);
    const i64 width = sum.panels * Sum<T>::P, end = least(sum.n, (piece + 1) * width);
    for (i64 column = piece * width; column < end; column += Sum<T>::P) sum.add_panel(column);
}

template <class T> Status add_products(const Call& call) {
    const View& c = call.out[0];
    Sum<T> sum{call, c.shape[0], c.shape[1], 0, 0};
    i64 depth = 0, open = 0;
    for (int i = 0; i < sum.pairs(); ++i) {
        const View &g = sum.g(i), &x = sum.x(i);
        if (g.ndim != 2 || x.ndim != 2 || g.shape[0] != x.shape[0] || x.shape[0] > K_BLOCK ||
            g.shape[1] != sum.m || x.shape[1] != sum.n)
            return bad_call("linear_weight_sum: the matrices do not fit");
        depth += x.shape[0], open += 1 - call.ints[i];
        if (open < 1) return bad_call("linear_weight_sum: more sums than pairs");
    }
    if (open != 1) return bad_call("linear_weight_sum: fewer sums than pairs");
    if (!count(c)) return OK;
    if (!own_scratch()) return NO_MEMORY;
    const i64 chunks = parts(sum.m, MAX_ROWS), panels = parts(sum.n, Sum<T>::P);
    const int threads = useful_threads((sizeof(T) == 4 ? 0.011 : 0.022) * sum.m * sum.n * depth);
    sum.height = parts(sum.m, chunks);
    sum.panels = threads == 1 ? panels : parts(panels, 4 * threads);
    run_pieces(parts(panels, sum.panels), run_piece<T>, &sum);
    return OK;
}

}  // namespace

// linear_weight_sum(g₀, x₀, g₁, x₁, …) → c, in C order; each g and x has at most K_BLOCK rows, and
// whole elements as strides. ints: for each pair, how many sums of the last two results follow it.
CR_KERNEL(linear_weight_sum) {
    if (call.n_in < 2 || call.n_in % 2 || call.n_in > MAX_OPERANDS || call.n_out != 1 ||
        call.n_ints != call.n_in / 2 || call.out[0].ndim != 2 || !contiguous(call.out[0]))
        return bad_call("linear_weight_sum: needs pairs of matrices and a number for each");
    if (all_of_type(call, DType::f32)) return add_products<float>(call);
    if (all_of_type(call, DType::f64)) return add_products<double>(call);
    return bad_call("linear_weight_sum: operands are all float32 or all float64");
}

}  // namespace cr::CR_ISA

// The matrix product: C is divided into pieces for threads, pieces into panels that fit a cache,
// and panels into tiles that fit the registers.
#include "kernels/gemm.h"

#include <utility>

#include "kernels/operands.h"
#include "kernels/pack.h"

namespace cr::CR_ISA {

namespace {

template <class T> constexpr i64 PANEL = WIDE * WIDTH<T>;

i64 least(i64 a, i64 b) { return a < b ? a : b; }
i64 parts(i64 whole, i64 part) { return (whole + part - 1) / part; }

// A single row of C: several vectors of columns at once, so that additions overlap.
template <class T, int N> void row_of_tiles(Tile<T> t, const Product<T>& p, i64 b_columns,
                                            const T* b, i64 column, i64& done, T* packed) {
    constexpr i64 W = WIDTH<T>;
    for (; b_columns - done >= N * W; done += N * W) {
        t.b = b + done * p.b_column;
        t.b_k = p.b_k;
        if (p.b_column != 1) {
            pack_panel(t.b, p.b_k, p.b_column, t.depth, N * W, N * W, packed);
            t.b = packed;
            t.b_k = N * W;
        }
        t.c = p.c + column + done;
        t.columns = N * W;
        t.end.bias = p.end.bias ? p.end.bias + column + done : nullptr;
        t.end.residual = p.end.residual ? p.end.residual + column + done : nullptr;
        multiply_tile<T, 1, N>(t);
    }
}

// Whether a panel of B is copied before it is used: when its columns are not adjacent, at the
// ragged edge, and when its rows lie so far apart that each would need an entry of the TLB.
template <class T> bool copies(const Product<T>& p, i64 columns, i64 rows) {
    constexpr i64 FAR = 2048;
    const bool far = p.b_k * i64(sizeof(T)) >= FAR && rows >= 4 * MAX_ROWS;
    return p.b_column != 1 || columns % WIDTH<T> || far;
}

}  // namespace

namespace {

// C of one column: WIDTH of its elements in a vector. A's rows are turned into columns on the way,
// WIDTH × WIDTH numbers at a time, so that each lane adds up its own row, in the order of k.
template <class T> void one_column(const Product<T>& p, i64 row, i64 rows) {
    constexpr i64 W = WIDTH<T>;
    for (i64 at = row; at < row + rows; at += W) {
        const i64 n = least(W, row + rows - at);
        Vec<T> total{}, other{};
        for (i64 block = 0; block < p.k; block += K_BLOCK) {
            const i64 end = least(block + K_BLOCK, p.k);
            Vec<T> sum{};
            for (i64 k = block; k < end; k += W) {
                const i64 depth = least(W, end - k);
                Vec<T> a[W];
                for (i64 l = 0; l < W; ++l) {
                    const T* from = p.a + (at + least(l, n - 1)) * p.a_row + k;
                    a[l] = depth == W ? load(from) : load_some(from, depth, T(0));
                }
                transpose_round<int(W), int(W) / 2>(a);
                for (i64 d = 0; d < depth; ++d) sum = fma(a[d], splat(p.b[k + d]), sum);
            }
            total = block ? total + sum : sum;
        }
        Epilogue<T> end = p.end;
        if (end.bias)
            total = total + (p.turned ? load_some(end.bias + at, n, T(0)) : splat(*end.bias));
        end.bias = nullptr;
        for (i64 l = 0; end.residual && l < n; ++l)
            other[l] = end.residual[(at + l) * end.residual_stride];
        if (end.residual) end.residual = reinterpret_cast<const T*>(&other);
        const Vec<T> c = finish(total, end, 0, 0, W);
        for (i64 l = 0; l < n; ++l) p.c[(at + l) * p.c_row] = c[l];
    }
}

}  // namespace

template <class T>
void multiply_part(const Product<T>& p, i64 row, i64 rows, i64 column, i64 columns, T* packed) {
    constexpr i64 W = WIDTH<T>, P = PANEL<T>;
    if (p.n == 1 && p.a_k == 1 && p.b_k == 1) return one_column(p, row, rows);
    const i64 panels = parts(columns, P), chunks = parts(rows, MAX_ROWS);
    i64 block = 0;
    do {  // at least once, so that C is written when k = 0
        const i64 depth = least(K_BLOCK, p.k - block);
        const T* b = p.b + block * p.b_k + column * p.b_column;
        Tile<T> t{};
        t.a_row = p.a_row, t.a_k = p.a_k, t.c_row = p.c_row, t.depth = depth;
        t.first = p.first && block == 0, t.last = p.last && block + depth >= p.k;
        t.end = p.end;
        i64 from = 0;
        if (rows == 1) {
            t.a = p.a + row * p.a_row + block * p.a_k;
            Product<T> here = p;
            here.c += row * p.c_row;
            if (p.end.residual) here.end.residual += row * p.end.residual_stride;
            row_of_tiles<T, 8>(t, here, columns, b, column, from, packed);
            row_of_tiles<T, 4>(t, here, columns, b, column, from, packed);
            row_of_tiles<T, WIDE>(t, here, columns, b, column, from, packed);
            from /= P;
        }
        const bool far = copies(p, P, rows) && p.b_column == 1;
        if (far) pack_rows(b + from * P, p.b_k, depth, columns - from * P, P,
                           K_BLOCK * P, packed + from * P * K_BLOCK);
        for (i64 j = from; j < panels && !far; ++j) {
            const i64 here = least(P, columns - j * P);
            if (copies(p, here, rows))
                pack_panel(b + j * P * p.b_column, p.b_k, p.b_column, depth, here, P,
                           packed + j * P * K_BLOCK);
        }
        for (i64 i = 0, done = 0; i < chunks; ++i) {
            const i64 height = parts(rows - done, chunks - i);  // chunks of nearly equal height
            const i64 at = row + done;
            t.a = p.a + at * p.a_row + block * p.a_k;
            for (i64 j = from; j < panels; ++j) {
                const i64 first = column + j * P, here = least(P, columns - j * P);
                const bool copied = copies(p, here, rows);
                t.b = copied ? packed + j * P * K_BLOCK : b + j * P;
                t.b_k = copied ? P : p.b_k;
                t.c = p.c + at * p.c_row + first;
                t.columns = here;
                t.end.bias = p.end.bias ? p.end.bias + first : nullptr;
                t.end.residual =
                    p.end.residual ? p.end.residual + at * p.end.residual_stride + first : nullptr;
                choose_tile<T>(height, here <= W)(t);
            }
            done += height;
        }
        block += depth;
    } while (block < p.k);
}

template void multiply_part(const Product<float>&, i64, i64, i64, i64, float*);
template void multiply_part(const Product<double>&, i64, i64, i64, i64, double*);

namespace {

constexpr int MAX_BATCH_DIMS = MAX_DIMS - 2;

template <class T> struct Job {
    Product<T> product;
    i64 batch_shape[MAX_BATCH_DIMS];
    i64 a_batch[MAX_BATCH_DIMS], b_batch[MAX_BATCH_DIMS], c_batch[MAX_BATCH_DIMS];
    i64 residual_batch[MAX_BATCH_DIMS];
    int batch_dims;
    i64 rows, columns;            // of a piece
    i64 row_parts, column_parts;  // pieces in one matrix
};

template <class T> void run_piece(void* context, i64 piece) {
    const Job<T>& job = *static_cast<const Job<T>*>(context);
    Product<T> p = job.product;
    const i64 column = piece % job.column_parts * job.columns;
    const i64 row = piece / job.column_parts % job.row_parts * job.rows;
    i64 batch = piece / job.column_parts / job.row_parts;
    for (int d = job.batch_dims - 1; d >= 0; --d) {
        const i64 at = batch % job.batch_shape[d];
        batch /= job.batch_shape[d];
        p.a += at * job.a_batch[d];
        p.b += at * job.b_batch[d];
        p.c += at * job.c_batch[d];
        if (p.end.residual) p.end.residual += at * job.residual_batch[d];
    }
    multiply_part(p, row, least(job.rows, p.m - row), column, least(job.columns, p.n - column),
                  static_cast<T*>(own_scratch()));
}

// The size of pieces: large enough to be worth a thread, small enough that threads end together.
template <class T> void cut(Job<T>& job, i64 matrices) {
    const Product<T>& p = job.product;
    job.rows = least(p.m, PIECE_ROWS);
    job.columns = least(p.n, PIECE_COLUMNS);
    // Nanoseconds: near the peak, but for a column alone, whose A is transposed on the way.
    const double per_product = (sizeof(T) == 4 ? 0.013 : 0.026) * (p.n == 1 ? 6 : 1);
    const double copying = p.b_column == 1 ? 0.0 : 0.1 * p.n * p.k;
    const double work = (per_product * p.m * p.n * (p.k + 8.0) + copying) * matrices;
    const int threads = useful_threads(work);
    const bool ragged = p.n < PANEL<T> && p.n % WIDTH<T>;  // every piece copies all of B
    const i64 most = threads * (ragged ? 2 : 4);
    const double wanted = threads == 1 ? 1 : least(most, static_cast<i64>(work / 2000) + 1);
    auto pieces = [&] { return matrices * parts(p.m, job.rows) * parts(p.n, job.columns); };
    while (pieces() < wanted && job.columns > PANEL<T>)
        job.columns = parts(job.columns / 2, PANEL<T>) * PANEL<T>;
    while (pieces() < wanted && job.rows > 2 * MAX_ROWS)
        job.rows = parts(job.rows / 2, MAX_ROWS) * MAX_ROWS;
    if (threads > 1 && pieces() < 2 * threads)  // few: as many rows for each thread
        job.rows = parts(p.m, threads);
    job.row_parts = parts(p.m, job.rows);
    job.column_parts = parts(p.n, job.columns);
}

// How much of k is processed at a time. If each panel of C reads a large A, this much of A still
// fits a cache.
template <class T> i64 part_of_k(const Job<T>& job) {
    constexpr i64 CACHED = 512 * 1024 / sizeof(T);
    const Product<T>& p = job.product;
    if (job.column_parts == 1 || p.m * p.k <= 2 * CACHED) return p.k;
    return least(p.k, parts(CACHED, p.m * K_BLOCK) * K_BLOCK);
}

template <class T> void run_product(Job<T>& job, i64 matrices) {
    cut(job, matrices);
    Product<T>& p = job.product;
    const i64 k = p.k, part = matrices == 1 && p.n > 1 ? part_of_k(job) : k;
    const i64 pieces = matrices * job.row_parts * job.column_parts;
    i64 done = 0;
    do {
        p.k = least(part, k - done);
        p.first = done == 0, p.last = done + p.k == k;
        run_pieces(pieces, run_piece<T>, &job);
        p.a += p.k * p.a_k, p.b += p.k * p.b_k;
        done += p.k;
    } while (done < k);
}

bool whole_elements(const View& v, i64 size) {
    for (int d = 0; d < v.ndim; ++d)
        if (v.strides[d] % size) return false;
    return true;
}

// The stride, in elements, of C's batch dimension d (of `dims`) in an operand that broadcasts.
bool batch_stride(const View& v, const View& c, int d, i64 size, i64& stride) {
    const int own = d - (c.ndim - v.ndim);
    stride = own >= 0 && v.shape[own] != 1 ? v.strides[own] / size : 0;
    return own < 0 || v.shape[own] == 1 || v.shape[own] == c.shape[d];
}

}  // namespace

template <class T> void multiply(const Product<T>& p) {
    Job<T> job{};
    job.product = p;
    run_product(job, 1);
}

template void multiply(const Product<float>&);
template void multiply(const Product<double>&);

namespace {

// One row of C, from a B that is stored transposed: as a column of Cᵀ it needs no copy of B.
template <class T> void turn(Product<T>& p) {
    std::swap(p.a, p.b);
    p.a_row = p.b_column, p.b_column = 1;
    p.m = p.n, p.n = 1;
    p.c_row = p.end.residual_stride = 1;
    p.turned = true;
}

// Whether Cᵀ = Bᵀ·Aᵀ is faster: a deep product whose last panel of columns is half empty, where Cᵀ
// has full panels, such as the gradient of the weights of a layer with few inputs. The time saved
// must exceed that of transposing C. The sum of each element is unchanged.
template <class T> bool better_turned(const Product<T>& p) {
    constexpr i64 P = PANEL<T>, TO_TURN = 64;  // products in the time of transposing one element
    const i64 padding = parts(p.n, P) * P * p.m - parts(p.m, P) * P * p.n;
    return p.a_row == 1 && !p.end.bias && !p.end.residual &&
           p.end.activation == Activation::none && padding * p.k > TO_TURN * p.m * p.n;
}

template <class T> Status multiply_turned(const Product<T>& p) {
    T* turned = static_cast<T*>(shared_scratch(p.m * p.n * sizeof(T)));
    if (!turned) return NO_MEMORY;
    Product<T> q{};
    q.a = p.b, q.a_row = p.b_column, q.a_k = p.b_k;
    q.b = p.a, q.b_k = p.a_k, q.b_column = 1;
    q.m = p.n, q.n = p.m, q.k = p.k;
    q.c = turned, q.c_row = p.m;
    multiply(q);
    pack_strip(turned, 1, p.m, p.m, p.n, p.n, p.c_row, p.c);
    return OK;
}

template <class T> Status matmul_of(const Call& call) {
    const View &a = call.in[0], &b = call.in[1], &c = call.out[0];
    const bool has_bias = call.ints[1], has_residual = call.ints[2];
    const i64 size = sizeof(T);
    Job<T> job{};
    Product<T>& p = job.product;
    const int last = c.ndim - 1;
    p.m = c.shape[last - 1], p.n = c.shape[last], p.k = a.shape[a.ndim - 1];
    if (a.shape[a.ndim - 2] != p.m || b.shape[b.ndim - 1] != p.n || b.shape[b.ndim - 2] != p.k)
        return bad_call("matmul: the sizes of the matrices do not fit");
    if (count(c) == 0) return OK;
    if (!whole_elements(a, size) || !whole_elements(b, size) || !whole_elements(c, size))
        return bad_call("matmul: a stride is not a whole number of elements");
    if (p.n > 1 && c.strides[last] != size) return bad_call("matmul: C has columns apart");
    p.a = data<T>(a), p.b = data<T>(b), p.c = data<T>(c);
    p.a_row = a.strides[a.ndim - 2] / size, p.a_k = a.strides[a.ndim - 1] / size;
    p.b_k = b.strides[b.ndim - 2] / size, p.b_column = b.strides[b.ndim - 1] / size;
    p.c_row = c.strides[last - 1] / size;
    if (p.n == 1) p.b_column = 1;
    p.end.activation = static_cast<Activation>(call.ints[0]);
    job.batch_dims = c.ndim - 2;
    i64 matrices = 1;
    const View* residual = has_residual ? &call.in[2 + has_bias] : nullptr;
    for (int d = 0; d < job.batch_dims; ++d) {
        matrices *= job.batch_shape[d] = c.shape[d];
        job.c_batch[d] = c.strides[d] / size;
        if (!batch_stride(a, c, d, size, job.a_batch[d]) ||
            !batch_stride(b, c, d, size, job.b_batch[d]) ||
            (residual && !batch_stride(*residual, c, d, size, job.residual_batch[d])))
            return bad_call("matmul: batches do not broadcast");
    }
    if (has_bias) {
        const View& bias = call.in[2];
        if (bias.ndim != 1 || bias.shape[0] != p.n || (p.n > 1 && bias.strides[0] != size))
            return bad_call("matmul: the bias is not one adjacent number a column");
        p.end.bias = data<T>(bias);
    }
    if (residual) {
        if (!same_shape(*residual, c) || !whole_elements(*residual, size) ||
            (p.n > 1 && residual->strides[last] != size))
            return bad_call("matmul: the residual is not laid out in rows");
        p.end.residual = data<T>(*residual);
        p.end.residual_stride = residual->strides[last - 1] / size;
    }
    if (p.m == 1 && p.a_k == 1 && p.b_k == 1 && p.b_column != 1 && matrices == 1) turn(p);
    if (!own_scratch()) return NO_MEMORY;
    if (matrices == 1 && better_turned(p)) return multiply_turned(p);
    run_product(job, matrices);
    return OK;
}

}  // namespace

// matmul(a, b[, bias][, residual]) → c = activation(a·b + bias + residual), or with the activation
// `gate` c = (a·b + bias)·[residual > 0].
// ints: activation, whether there is a bias, whether there is a residual.
// The strides of a and b are arbitrary, so a transposed operand is a view with exchanged strides.
CR_KERNEL(matmul) {
    if (call.n_ints != 3 || call.n_out != 1 || call.n_in != 2 + (call.ints[1] != 0) +
        (call.ints[2] != 0) || call.in[0].ndim < 2 || call.in[1].ndim < 2 || call.out[0].ndim < 2 ||
        call.in[0].ndim > call.out[0].ndim || call.in[1].ndim > call.out[0].ndim)
        return bad_call("matmul: needs matrices a and b, and flags for the rest");
    if (all_of_type(call, DType::f32)) return matmul_of<float>(call);
    if (all_of_type(call, DType::f64)) return matmul_of<double>(call);
    return bad_call("matmul: operands are all float32 or all float64");
}

}  // namespace cr::CR_ISA

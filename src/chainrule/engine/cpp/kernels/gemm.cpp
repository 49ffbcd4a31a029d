// The matrix product: C is divided into pieces for threads, pieces into blocks of k, blocks into
// tiles that fit the registers (gemm_tile.h).
//
// A piece multiplies a block of A, rows × K_BLOCK, with a block of B, K_BLOCK × columns. The block
// of B is read once for each chunk of MAX_ROWS rows, so it must stay in the L2 cache, and takes at
// most half of it. The chunk of A is read for each panel of B; it takes 14 of the 32 kB that every
// L1 cache has, or less. Panels of B pass through the L1 cache from the L2 cache, whose bandwidth
// is several times what a tile asks for.
//
// Long sums are divided: PART terms are added up block after block, and the sums of parts are added
// in order. Where C is small, parts are computed at the same time by several threads. All depends
// on k alone, so an element of C has the same bits whatever else is computed with it.
#include "kernels/gemm.h"

#include "kernels/operands.h"
#include "kernels/pack.h"
#include "runtime/processor.h"

namespace cr::CR_ISA {

namespace {

template <class T> constexpr i64 PANEL = WIDE * WIDTH<T>;
constexpr i64 PART = 16 * K_BLOCK;

i64 least(i64 a, i64 b) { return a < b ? a : b; }
i64 most(i64 a, i64 b) { return a > b ? a : b; }
i64 parts(i64 whole, i64 part) { return (whole + part - 1) / part; }
i64 rounded(i64 n, i64 unit) { return parts(n, unit) * unit; }

// Columns of B in a piece: K_BLOCK rows of them take half of the L2 cache, and fit the work space.
template <class T> i64 most_columns() {
    const i64 room = least(second_cache() / 2, i64(OWN_SCRATCH) * 3 / 4);
    return most(room / (K_BLOCK * i64(sizeof(T))) / PANEL<T>, 1) * PANEL<T>;
}
// Chunks of A that are copied at a time: as much as fits the rest of the work space.
template <class T> constexpr i64 COPIED_CHUNKS =
    i64(OWN_SCRATCH) / 5 / (K_BLOCK * i64(sizeof(T)) * (MAX_ROWS + WIDTH<T> - 1));

// -- one piece -----------------------------------------------------------------------------------

// A part of C, and how its operands are read. For a block of k, `enter` copies what is to be
// copied, and `multiply` computes all tiles.
template <class T> struct Piece {
    static constexpr i64 W = WIDTH<T>, P = PANEL<T>, LINE = 64 / sizeof(T);
    const Product<T>& p;
    i64 row, rows, column, columns;
    i64 chunks, height, panels;  // of rows; rows of a chunk; of columns
    i64 stride;                  // from k to k in a copied chunk
    bool far, copies_a, copies_b;
    T *packed_b, *packed_a;
    const T *a, *b;              // of this block of k
    i64 depth;
    bool first, last;

    Piece(const Product<T>& product, i64 row, i64 rows, i64 column, i64 columns, T* memory)
        : p(product), row(row), rows(rows), column(column), columns(columns),
          chunks(parts(rows, MAX_ROWS)), height(parts(rows, chunks)), panels(parts(columns, P)),
          stride(rounded(height, W)), packed_b(memory),
          packed_a(memory + panels * (P * K_BLOCK + LINE)) {
        // Rows of B that lie in different pages each need an entry of the TLB, and compete for the
        // same lines of a cache where their distance is a power of two. A copy takes a sixth of
        // the time of one chunk. It pays for few chunks only where B would not stay in the L2 cache.
        constexpr i64 FAR = 2048, FEW = 4, MANY = 16;
        const i64 depth = least(p.k, K_BLOCK), size = sizeof(T);
        far = p.b_column == 1 && p.b_k * size >= FAR;
        const bool spread = p.b_k * depth * size > second_cache() / 2;
        copies_b = p.b_column != 1 || (far && chunks >= (spread ? FEW : MANY));
        // A is read once for each panel. Where it is stored along its rows, a chunk has a part of a
        // line at each k.
        copies_a = p.a_row == 1 && p.a_k != 1 && p.a_k * size >= FAR / 2 && panels >= FEW &&
                   depth > K_BLOCK / 2;
    }

    bool copies_panel(i64 j) const { return copies_b || least(P, columns - j * P) % W != 0; }

    void enter(i64 k, i64 in_block) {
        depth = in_block, first = k == 0, last = k + depth >= p.k;
        a = p.a + row * p.a_row + k * p.a_k;
        b = p.b + column * p.b_column + k * p.b_k;
        if (far && copies_b)
            return pack_rows(b, p.b_k, depth, columns, P, P, panel_size(), packed_b);
        for (i64 j = 0; j < panels; ++j)
            if (copies_panel(j))
                pack_panel(b + j * P * p.b_column, p.b_k, p.b_column, depth,
                           least(P, columns - j * P), P, packed_b + j * panel_size());
    }

    // Numbers from one copied panel or chunk to the next. One line more than they have, since with
    // distances of powers of two, rows of panels would compete for the same lines of the cache.
    i64 panel_size() const { return depth * P + LINE; }
    i64 chunk_size() const { return depth * stride + LINE; }

    // The tile at these rows and columns, counted from those of the piece.
    Tile<T> tile(i64 at, i64 from, const T* panel, i64 panel_row) const {
        Tile<T> t{};
        t.a = copies_a ? packed_a + at / height % COPIED_CHUNKS<T> * chunk_size() : a + at * p.a_row;
        t.a_row = copies_a ? 1 : p.a_row, t.a_k = copies_a ? stride : p.a_k;
        t.b = panel, t.b_k = panel_row;
        t.b_ahead = panel_row == P ? 8 * P : P;  // the copy's rows to come, or the panel beside
        t.c = p.c + (row + at) * p.c_row + column + from, t.c_row = p.c_row;
        t.depth = depth, t.first = first, t.last = last, t.columns = columns - from;
        t.end = p.end;
        if (t.end.bias) t.end.bias += column + from;
        if (t.end.residual) t.end.residual += (row + at) * t.end.residual_stride + column + from;
        return t;
    }

    void multiply() const {
        const i64 band = COPIED_CHUNKS<T> * height;
        for (i64 at = 0; at < rows; at += height) {
            if (copies_a && at % band == 0)
                pack_rows(a + at * p.a_row, p.a_k, depth, least(band, rows - at), height, stride,
                          chunk_size(), packed_a);
            for (i64 j = 0; j < panels; ++j) {
                const bool copied = copies_panel(j);
                const Tile<T> t = tile(at, j * P, copied ? packed_b + j * panel_size() : b + j * P,
                                       copied ? P : p.b_k);
                choose_tile<T>(least(height, rows - at), t.columns <= W)(t);
            }
        }
    }

    // Few rows, with wider tiles, so that enough additions overlap.
    template <int M, int N> i64 wide_tiles(i64 from) const {
        for (; columns - from >= N * W; from += N * W) {
            if (p.b_column != 1)
                pack_panel(b + from * p.b_column, p.b_k, p.b_column, depth, N * W, N * W, packed_b);
            multiply_tile<T, M, N>(tile(0, from, p.b_column == 1 ? b + from : packed_b,
                                        p.b_column == 1 ? p.b_k : N * W));
        }
        return from;
    }
};

// The part of C with rows [row, row + rows) and columns [column, column + columns).
template <class T>
void multiply_piece(const Product<T>& p, i64 row, i64 rows, i64 column, i64 columns, T* memory) {
    if (p.n == 1 && p.a_k == 1 && p.b_k == 1) return multiply_column(p, row, rows);
    Piece<T> piece(p, row, rows, column, columns, memory);
    i64 k = 0;
    do {  // at least once, so that C is written when k = 0
        const i64 depth = least(K_BLOCK, p.k - k);
        piece.enter(k, depth);
        piece.multiply();
        k += depth;
    } while (k < p.k);
}

// -- all pieces ----------------------------------------------------------------------------------

template <class T> struct Job {
    Product<T> product;
    const Batch* batch;
    i64 rows, columns;            // of a piece
    i64 row_parts, column_parts;  // pieces in one matrix
    i64 part, group, parts;       // of k: the first one and the number computed now, and all
    T* sums;                      // of each part of the group: m × n. Those of part 0 are C itself

    i64 pieces() const { return batch->count() * group * row_parts * column_parts; }
};

// The product at this place in the batch.
template <class T> Product<T> product_at(Product<T> p, const Batch& batch, i64 index) {
    for (int d = batch.dims - 1; d >= 0; --d) {
        const i64 at = index % batch.shape[d];
        index /= batch.shape[d];
        p.a += at * batch.a[d], p.b += at * batch.b[d], p.c += at * batch.c[d];
        if (p.end.residual) p.end.residual += at * batch.residual[d];
    }
    return p;
}

// A part of k of a long product, number `index` in its group.
template <class T> Product<T> part_of(const Job<T>& job, i64 index) {
    Product<T> p = job.product;
    const i64 from = (job.part + index) * PART;
    p.a += from * p.a_k, p.b += from * p.b_k, p.k = least(PART, p.k - from);
    p.end = {};
    if (from > 0) p.c = job.sums + index * p.m * p.n, p.c_row = p.n;
    return p;
}

template <class T> void run_piece(void* context, i64 piece) {
    const Job<T>& job = *static_cast<Job<T>*>(context);
    const i64 column = piece % job.column_parts * job.columns;
    const i64 row = piece / job.column_parts % job.row_parts * job.rows;
    const i64 index = piece / job.column_parts / job.row_parts;
    const Product<T> p =
        job.parts > 1 ? part_of(job, index) : product_at(job.product, *job.batch, index);
    multiply_piece(p, row, least(job.rows, p.m - row), column, least(job.columns, p.n - column),
                   static_cast<T*>(own_scratch()));
}

constexpr i64 ADDED = 16384;  // numbers of C to which a piece adds the sums of parts

template <class T> void add_piece(void* context, i64 piece) {
    const Job<T>& job = *static_cast<Job<T>*>(context);
    const Product<T>& p = job.product;
    const i64 rows = p.turned ? 1 : p.m, columns = p.turned ? p.m : p.n;
    const i64 step = parts(ADDED, columns), end = least(rows, (piece + 1) * step);
    const bool last = job.part + job.group == job.parts;
    for (i64 i = piece * step; i < end; ++i)
        for (i64 j = 0; j < columns; j += WIDTH<T>) {
            const i64 n = least(WIDTH<T>, columns - j);
            const auto read = [n](const T* x) {
                return n == WIDTH<T> ? load(x) : load_some(x, n, T(0));
            };
            T* c = p.c + i * p.c_row + j;
            Vec<T> v = read(c);
            for (i64 g = job.part == 0; g < job.group; ++g)
                v = v + read(job.sums + (g * p.m * p.n + i * columns + j));
            if (last) v = finish(v, p.end, i, j, n);
            if (n == WIDTH<T>) store(c, v);
            else store_some(c, v, n);
        }
}

// The size of pieces: large enough to be worth a thread, small enough that threads end together.
template <class T> void cut(Job<T>& job, int threads, double work) {
    const Product<T>& p = job.product;
    job.rows = p.m;
    job.columns = least(p.n, most_columns<T>());
    const bool ragged = p.n < PANEL<T> && p.n % WIDTH<T>;  // every piece copies all of B
    const i64 most = threads * (ragged ? 2 : 4);
    const double wanted = threads == 1 ? 1 : least(most, i64(work / 2000) + 1);
    auto pieces = [&] {
        return job.batch->count() * job.group * parts(p.m, job.rows) * parts(p.n, job.columns);
    };
    while (pieces() < wanted && job.columns > PANEL<T>)
        job.columns = rounded(parts(job.columns, 2), PANEL<T>);
    while (pieces() < wanted && job.rows > 2 * MAX_ROWS)
        job.rows = rounded(parts(job.rows, 2), MAX_ROWS);
    if (threads > 1 && pieces() < 2 * threads)  // few: as many rows for each thread
        job.rows = parts(p.m, threads);
    job.row_parts = parts(p.m, job.rows);
    job.column_parts = parts(p.n, job.columns);
}

// All parts of k, group by group.
template <class T> Status multiply_deep(Job<T>& job) {
    const Product<T>& p = job.product;
    job.sums = static_cast<T*>(sums_scratch(job.group * p.m * p.n * sizeof(T)));
    if (!job.sums) return NO_MEMORY;
    for (const i64 whole = job.group; job.part < job.parts; job.part += whole) {
        job.group = least(whole, job.parts - job.part);
        run_pieces(job.pieces(), run_piece<T>, &job);
        run_pieces(p.turned ? 1 : parts(p.m, parts(ADDED, p.n)), add_piece<T>, &job);
    }
    return OK;
}

}  // namespace

template <class T> Status multiply(const Product<T>& p, const Batch& batch) {
    if (p.k > PART && batch.dims > 0) {
        Status status = OK;
        for (i64 i = 0; i < batch.count() && status.code == Code::ok; ++i)
            status = multiply(product_at(p, batch, i));
        return status;
    }
    Job<T> job{};
    job.product = p, job.batch = &batch;
    // Nanoseconds: near the peak, but for a column alone, whose A is transposed on the way.
    const double per_product = (sizeof(T) == 4 ? 0.011 : 0.022) * (p.n == 1 ? 6 : 1);
    const double copying = p.b_column == 1 ? 0.0 : 0.1 * p.n * p.k;
    const double work = (per_product * p.m * p.n * (p.k + 8.0) + copying) * batch.count();
    const int threads = useful_threads(work);
    job.parts = most(1, parts(p.k, PART)), job.group = 1;
    if (job.parts > 1 && threads > 1) {
        constexpr i64 SUMS = 8 << 20;  // bytes for the sums of a group
        job.group = most(1, least(job.parts, SUMS / (p.m * p.n * i64(sizeof(T)))));
    }
    cut(job, threads, work);
    if (job.parts > 1) return multiply_deep(job);
    run_pieces(job.pieces(), run_piece<T>, &job);
    return OK;
}

template Status multiply(const Product<float>&, const Batch&);
template Status multiply(const Product<double>&, const Batch&);

}  // namespace cr::CR_ISA

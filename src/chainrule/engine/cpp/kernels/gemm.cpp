// The matrix product: C is divided into pieces for threads, a piece is computed from blocks of B and
// chunks of A, and these with tiles that fit the registers (gemm_tile.h).
//
// A block of B, K_BLOCK × columns, is read once for each chunk of MAX_ROWS rows, so it must stay in
// the L2 cache, and takes at most half of it. The chunk of A is read for each panel of B; it takes 14
// of the 32 kB that every L1 cache has, or less. Panels of B pass through the L1 cache from the L2
// cache, whose bandwidth is several times what a tile asks for. A block has several K_BLOCKs where C
// is large and B is not: a chunk's part of C stays in the L1 cache while all of them are added to it.
// Where A has few rows, they stay in the L2 cache, and a panel of B that must be copied in the L1
// cache: it is used with all rows right after the copy, and the next one takes its place.
//
// Long sums are divided: PART terms are added up block after block, and the sums of parts are added
// in order. Where C is small, parts are computed at the same time by several threads, or the blocks
// of a shorter sum. The order of sums depends on k alone, so an element of C has the same bits
// whatever else is computed with it. There are two orders: that of dot products where C has one column
// (gemm_column.cpp), and that of tiles (gemm_tile.h).
#include "kernels/gemm.h"

#include <limits>

#include "kernels/ahead.h"
#include "kernels/operands.h"
#include "kernels/pack.h"
#include "runtime/processor.h"

namespace cr::CR_ISA {

namespace {

template <class T> constexpr i64 PANEL = WIDE * WIDTH<T>;
constexpr i64 PART = 16 * K_BLOCK;
constexpr i64 SUMS = 8 << 20;  // bytes for the sums of parts

// Whether the rows of A, or of B, in memory are those of k.
template <class T> bool a_by_k(const Product<T>& p) { return p.a_row == 1 && p.a_k != 1; }
template <class T> bool b_by_k(const Product<T>& p) { return p.b_column == 1; }

// Work space of a thread for copies of A, in numbers.
template <class T> constexpr i64 ROOM_FOR_A = i64(OWN_SCRATCH) / 5 / i64(sizeof(T));

// Numbers of a copied panel or chunk. One line more than they have, since with distances of powers
// of two, rows of panels would compete for the same lines of the cache.
template <class T> constexpr i64 PANEL_SIZE = K_BLOCK * PANEL<T> + LINE<T>;

// Work space of a thread for copies of B, in numbers: at least for a panel.
template <class T> i64 room_for_b() {
    const i64 bytes = least(second_cache() / 2, i64(OWN_SCRATCH) * 3 / 4);
    return most(bytes / i64(sizeof(T)), PANEL_SIZE<T>);
}

// The depth of a block of B with so many panels: as many K_BLOCKs as there is room for, where C,
// of so many rows, would not stay in the L2 cache.
template <class T> i64 block_depth(i64 rows, i64 panels) {
    if (rows * panels * PANEL<T> * i64(sizeof(T)) <= second_cache() / 4) return K_BLOCK;
    return most(1, room_for_b<T>() / (panels * PANEL_SIZE<T>)) * K_BLOCK;
}

// -- one piece -----------------------------------------------------------------------------------

// A part of C, and how its operands are read.
template <class T> struct Piece {
    static constexpr i64 W = WIDTH<T>, P = PANEL<T>;
    const Product<T>& p;
    i64 row, rows, column, columns;
    i64 chunks, height, panels;  // of rows; rows of a chunk; of columns
    i64 deep;                    // k of a block of B
    i64 stride, chunk_size;      // of a copied chunk: from k to k, and to the next
    i64 band;                    // rows whose chunks are copied at a time
    bool copies_a, copies_b;
    bool far_a, far_b;           // larger than the L2 cache
    bool by_panels;              // a panel of B is copied just before it is used
    T *packed_b, *packed_a;

    Piece(const Product<T>& product, i64 row, i64 rows, i64 column, i64 columns, T* memory)
        : p(product), row(row), rows(rows), column(column), columns(columns),
          chunks(parts(rows, MAX_ROWS)), height(parts(rows, chunks)), panels(parts(columns, P)),
          deep(block_depth<T>(rows, panels)), packed_b(memory),
          packed_a(memory + deep / K_BLOCK * panels * PANEL_SIZE<T>) {
        // Rows that lie in different pages each need an entry of the TLB, and where the distance is a
        // power of two they compete for the same lines of a cache. A copy of B takes a sixth of
        // the time of one chunk, and one of A, where k is far apart, a quarter of that of one panel.
        constexpr i64 FAR = 2048, NEAR = 512, size = sizeof(T);
        const i64 apart = p.a_k * size;
        // With short vectors a panel is narrow, and a copy of it stays in the L1 cache with a chunk
        // of A. In place more than a FEW of its rows push each other out, or those that do not fit.
        constexpr bool STAYS = K_BLOCK * (P + MAX_ROWS) * size <= 24 << 10;
        constexpr i64 FEW = 64;
        copies_b = p.b_column != 1 || (p.b_k * size >= FAR && chunks >= 16) ||
                   (STAYS && p.k > least(FEW, lines_that_fit(p.b_k * size)) && chunks >= 8);
        copies_a = p.a_row == 1 && apart >= NEAR && panels >= (apart >= FAR ? 4 : 8);
        far_a = rows * p.k * size > second_cache(), far_b = columns * p.k * size > second_cache();
        stride = rounded(height, W);
        chunk_size = K_BLOCK * stride + LINE<T>;
        by_panels = p.b_column != 1 && !copies_a && rows * K_BLOCK * size <= second_cache() / 4;
        if (by_panels) deep = K_BLOCK;
        band = copies_a ? most(1, ROOM_FOR_A<T> / chunk_size) * height : height;
    }

    // A panel of so few columns that one vector holds them has no others.
    i64 width(i64 j) const { return columns - j * P > W ? P : W; }
    bool copies_panel(i64 j) const { return copies_b || least(P, columns - j * P) % W != 0; }
    T* panel(i64 run, i64 j) const {
        return packed_b + (run / K_BLOCK * panels + j) * PANEL_SIZE<T>;
    }
    const T* b_at(i64 k, i64 j) const {
        return p.b + k * p.b_k + (column + j * P) * p.b_column;
    }

    // Copies what is to be copied of B, for k from `first` on.
    void copy_b(i64 first, i64 depth) const {
        for (i64 run = 0; run < depth; run += K_BLOCK) {
            const i64 here = least(K_BLOCK, depth - run);
            const T* b = b_at(first + run, 0);
            i64 j = 0;
            if (copies_b && p.b_column == 1) {
                j = columns / P;
                pack_rows(b, p.b_k, here, j * P, P, P, PANEL_SIZE<T>, far_b, panel(run, 0));
            }
            for (; j < panels; ++j)
                if (copies_panel(j))
                    pack_panel(b + j * P * p.b_column, p.b_k, p.b_column, here,
                               least(P, columns - j * P), width(j), panel(run, j));
        }
    }

    // The tile of a chunk, whose A is at `a`, and panel j, of which there may be a copy, for `depth`
    // k, the first of which is k.
    void compute_tile(const T* a, i64 at, i64 k, i64 depth, i64 j, const T* copy) const {
        const i64 here = least(height, rows - at), from = column + j * P;
        Tile<T> t{};
        t.a = a, t.a_row = copies_a ? 1 : p.a_row, t.a_k = copies_a ? stride : p.a_k;
        t.b = copy ? copy : b_at(k, j), t.b_k = copy ? width(j) : p.b_k;
        // The rows to come; or where a panel is read more than twice, the one beside, or nothing,
        // since it stays in the L1 cache.
        t.b_ahead = chunks > 2 && by_panels ? 0 : copy || chunks <= 2 ? 8 * t.b_k : P;
        t.c = p.c + (row + at) * p.c_row + from, t.c_row = p.c_row;
        t.columns = columns - j * P;
        t.depth = depth, t.first = k == 0, t.last = k + depth >= p.k;
        if (t.last) {
            t.end = p.end;
            if (t.end.bias) t.end.bias += from;
            if (t.end.residual) t.end.residual += (row + at) * t.end.residual_stride + from;
        }
        const bool narrow = t.columns <= W;
        (t.a_row == 1 ? choose_tile<T, true>(here, narrow) : choose_tile<T>(here, narrow))(t);
    }

    // With the first panels the L2 cache is asked for the rows that follow at `next`, if any. They
    // come from memory then, and each is too short for the processor to see that it goes on.
    void multiply_chunk(const T* a, i64 at, i64 k, i64 run, i64 depth, const T* next) const {
        for (i64 j = 0; j < panels; ++j) {
            for (i64 i = next ? j : height; i < height; i += panels)
                ask_for<2>(next + i * p.a_row, depth);
            compute_tile(a, at, k, depth, j, copies_panel(j) ? panel(run, j) : nullptr);
        }
    }

    // The chunk that follows the one at row `at` with this run of k in a block, where it is far.
    const T* next_chunk(i64 at, i64 first, i64 depth, i64 run) const {
        const bool goes_on = run + K_BLOCK < depth;
        if (!far_a || copies_a || p.a_k != 1 || (!goes_on && at + height >= rows)) return nullptr;
        const i64 i = row + at + (goes_on ? 0 : height), k = first + (goes_on ? run + K_BLOCK : 0);
        return p.a + i * p.a_row + k;
    }

    // One panel of B after the other, each with all rows of A.
    void multiply_panels(i64 k, i64 depth) const {
        for (i64 j = 0; j < panels; ++j) {
            pack_panel(b_at(k, j), p.b_k, p.b_column, depth, least(P, columns - j * P), width(j),
                       packed_b);
            for (i64 at = 0; at < rows; at += height)
                compute_tile(p.a + (row + at) * p.a_row + k * p.a_k, at, k, depth, j, packed_b);
        }
    }

    // A block of B, with all rows of A. Bands of rows pass through its K_BLOCKs one after the
    // other, so that their part of C stays in the cache.
    void multiply_block(i64 first, i64 depth) const {
        if (by_panels) return multiply_panels(first, depth);
        copy_b(first, depth);
        for (i64 at = 0; at < rows; at += band) {
            const i64 end = least(at + band, rows);
            for (i64 run = 0; run == 0 || run < depth; run += K_BLOCK) {
                const i64 here = least(K_BLOCK, depth - run);
                const T* a = p.a + (row + at) * p.a_row + (first + run) * p.a_k;
                const i64 step = copies_a ? chunk_size : height * p.a_row;
                if (copies_a) {
                    pack_rows(a, p.a_k, here, end - at, height, stride, chunk_size, far_a,
                              packed_a);
                    a = packed_a;
                }
                for (i64 i = at; i < end; i += height, a += step)
                    multiply_chunk(a, i, first + run, run, here, next_chunk(i, first, depth, run));
            }
        }
    }

    void multiply() const {
        for (i64 k = 0; k == 0 || k < p.k; k += deep)  // at least once, so that C is written
            multiply_block(k, least(deep, p.k - k));
    }
};

// Whether C is computed row by row: a tile of one row has too few sums, which wait for each other. A
// tile of short vectors reads a line of each row of B, or less, which takes long where they come from
// memory.
template <class T> bool better_by_rows(const Product<T>& p) {
    const bool far = p.k * p.n * i64(sizeof(T)) > second_cache();
    const bool few = p.m == 1 || (CR_REGISTERS == 16 && p.m <= FEW_ROWS && far);
    return few && p.b_column == 1 && p.k > 0;
}

// Whether C is a row of which B is read in place, although its columns are not adjacent.
template <class T> bool row_along_k(const Product<T>& p) {
    return p.m == 1 && p.a_k == 1 && p.b_k == 1 && p.b_column != 1;
}

// The part of C with rows [row, row + rows) and columns [column, column + columns).
template <class T>
void multiply_piece(const Product<T>& p, i64 row, i64 rows, i64 column, i64 columns, T* memory) {
    if (p.n == 1 && p.k != 1) return multiply_column(p, row, rows, memory);
    if (row_along_k(p)) return multiply_along(p, column, columns);
    if (better_by_rows(p)) return multiply_rows(p, row, rows, column, columns, memory);
    if (p.k == 1 && p.b_column == 1) return multiply_outer(p, row, rows, column, columns);
    if (better_turned(p, rows, columns))
        return multiply_turned(p, row, rows, column, columns, memory);
    Piece<T>(p, row, rows, column, columns, memory).multiply();
}

// -- all pieces ----------------------------------------------------------------------------------

template <class T> struct Job {
    Product<T> product;
    const Batch* batch;
    i64 row_parts, column_parts;  // pieces in one matrix
    bool by_columns;              // pieces of the same columns follow each other, not of the same rows
    // k is divided into parts of `step`, and a share of the job has `run` of them.
    i64 step, parts, run;
    i64 share, group;             // the first share and the number computed now
    T* sums;                      // of each part of the group: m × n

    i64 pieces() const { return batch->count() * group * row_parts * column_parts; }
    i64 shares() const { return cr::CR_ISA::parts(parts, run); }
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

// So many parts of k. Those of the first share are added up in C itself.
template <class T> Product<T> parts_of(const Job<T>& job, i64 part, i64 count) {
    Product<T> p = job.product;
    const i64 from = part * job.step;
    p.a += from * p.a_k, p.b += from * p.b_k, p.k = least(count * job.step, p.k - from);
    p.end = {};
    if (part > 0) p.c = job.sums + (part - job.share * job.run) * p.m * p.n, p.c_row = p.n;
    return p;
}

template <class T> void run_piece(void* context, i64 piece) {
    const Job<T>& job = *static_cast<Job<T>*>(context);
    const i64 panels = parts(job.product.n, PANEL<T>);
    const auto column = [&](i64 i) {
        return least(job.product.n, panels * i / job.column_parts * PANEL<T>);
    };
    const auto row = [&](i64 i) { return job.product.m * i / job.row_parts; };
    const i64 index = piece / (job.column_parts * job.row_parts);
    const i64 at = piece % (job.column_parts * job.row_parts);
    const i64 i = job.by_columns ? at % job.row_parts : at / job.column_parts;
    const i64 j = job.by_columns ? at / job.row_parts : at % job.column_parts;
    const auto run = [&](const Product<T>& p) {
        multiply_piece(p, row(i), row(i + 1) - row(i), column(j), column(j + 1) - column(j),
                       static_cast<T*>(own_scratch()));
    };
    if (job.parts == 1) return run(product_at(job.product, *job.batch, index));
    const i64 first = (job.share + index) * job.run, end = least(first + job.run, job.parts);
    if (first == 0) return run(parts_of(job, 0, job.run));
    for (i64 part = first; part < end; ++part) run(parts_of(job, part, 1));
}

constexpr i64 ADDED = 16384;  // numbers of C to which a piece adds the sums of parts

template <class T> void add_piece(void* context, i64 piece) {
    const Job<T>& job = *static_cast<Job<T>*>(context);
    const Product<T>& p = job.product;
    const i64 step = parts(ADDED, p.n), end = least(p.m, (piece + 1) * step);
    const i64 before = job.share * job.run, sums = least(job.group * job.run, job.parts - before);
    const bool last = before + sums == job.parts;
    for (i64 i = piece * step; i < end; ++i)
        for (i64 j = 0; j < p.n; j += WIDTH<T>) {
            const i64 n = least(WIDTH<T>, p.n - j);
            const auto read = [n](const T* x) {
                return n == WIDTH<T> ? load(x) : load_some(x, n, T(0));
            };
            T* c = p.c + i * p.c_row + j;
            Vec<T> v = read(c);
            for (i64 part = before ? 0 : job.run; part < sums; ++part)
                v = v + read(job.sums + (part * p.m * p.n + i * p.n + j));
            if (last) v = finish(v, p.end, i, j, n);
            if (n == WIDTH<T>) store(c, v);
            else store_some(c, v, n);
        }
}

// A share for each thread. Arrays lie row by row, and kernels give a thread the same share of their
// rows in job after job, so that it finds them in the cache of its core. What another core has
// written comes at a tenth of that speed. So of three cuts that is taken by which the fewest
// numbers go from core to core:
//
//     by rows       all of B; and where the rows of A are those of k, a share of A
//     by columns    all of A; and where the rows of B are those of k, a share of B. C is written by
//                   one core and read by another
//     by k          sums for each block of k, which are added at the end. A thread gets a run of
//                   blocks, or where that leaves one with more than the others, parts of each
template <class T> void divide(Job<T>& job, i64 threads) {
    const Product<T>& p = job.product;
    const i64 panels = parts(p.n, PANEL<T>), blocks = parts(p.k, K_BLOCK);
    const i64 run = blocks % threads ? 1 : blocks / threads, sums = blocks - run + 1;
    const double a = 1.0 * p.m * p.k, b = 1.0 * p.n * p.k, c = 1.0 * p.m * p.n;
    const double share_a = a / threads, share_b = b / threads;
    constexpr double NEVER = std::numeric_limits<double>::infinity();
    double by_rows = b + (a_by_k(p) ? share_a : 0);
    double by_columns = a + (b_by_k(p) ? share_b : 0) + 2 * c / threads;
    double by_k = c * sums + (a_by_k(p) ? 0 : share_a) + (b_by_k(p) ? 0 : share_b);
    if (p.m < threads * MAX_ROWS) by_rows = NEVER;
    if (panels < threads) by_columns = NEVER;
    if (blocks < threads || sums * c * sizeof(T) > SUMS) by_k = NEVER;
    if (by_k < least(by_rows, by_columns))
        job.step = K_BLOCK, job.parts = blocks, job.run = run;
    else if (by_columns < by_rows)
        job.column_parts = least(panels, job.column_parts * threads), job.by_columns = true;
    else if (by_rows < NEVER)
        job.row_parts = threads;
}

// The number of pieces: large enough to be worth a thread, small enough that threads end together.
// A cut through the columns has A read once more, and one through the rows B. Where numbers that are
// read together lie apart, that takes several times as long. One column of C passes over A once, and a
// piece of it should have a page of each row in memory.
template <class T> void cut(Job<T>& job, int threads, double work) {
    constexpr i64 PAGE = 4096 / i64(sizeof(T));
    const Product<T>& p = job.product;
    const i64 panels = parts(p.n, PANEL<T>), for_a = a_by_k(p) ? 4 : 1, for_b = b_by_k(p) ? 1 : 4;
    job.row_parts = 1;
    const bool in_place = p.n == 1 || better_by_rows(p) || row_along_k(p);
    job.column_parts = in_place ? 1 : parts(panels, room_for_b<T>() / PANEL_SIZE<T>);
    if (threads == 1) return;
    const bool deep = job.parts > 1;
    if (!deep && job.batch->count() == 1) divide(job, threads);
    if (job.parts > 1)
        job.group = most(1, least(job.shares(), SUMS / (job.run * p.m * p.n * i64(sizeof(T)))));
    const i64 wanted = deep ? 4 * threads : most(threads, least(4 * threads, i64(work / 8000)));
    while (job.pieces() < wanted) {
        const i64 height = p.n == 1 && a_by_k(p) ? PAGE : (b_by_k(p) ? 1 : 4) * MAX_ROWS;
        const i64 fewest = job.pieces() < threads ? MAX_ROWS : height;
        const bool rows = 2 * fewest * job.row_parts <= p.m;
        const bool columns = 2 * job.column_parts <= panels;
        if (!rows && !columns) break;
        if (!rows || (columns && job.column_parts * p.m * for_a < job.row_parts * p.n * for_b))
            job.column_parts *= 2;
        else
            job.row_parts *= 2;
    }
}

// All parts of k, group by group.
template <class T> Status multiply_deep(Job<T>& job) {
    const Product<T>& p = job.product;
    job.sums = static_cast<T*>(sums_scratch(job.group * job.run * p.m * p.n * sizeof(T)));
    if (!job.sums) return NO_MEMORY;
    for (const i64 whole = job.group; job.share < job.shares(); job.share += whole) {
        job.group = least(whole, job.shares() - job.share);
        run_pieces(job.pieces(), run_piece<T>, &job);
        run_pieces(parts(p.m, parts(ADDED, p.n)), add_piece<T>, &job);
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
    // Nanoseconds: near the peak, but for a column or a row alone, as fast as memory is read.
    const double per_product = (sizeof(T) == 4 ? 0.011 : 0.022) * (p.n == 1 || p.m == 1 ? 6 : 1);
    const double copying = p.b_column == 1 || row_along_k(p) ? 0.0 : 0.1 * p.n * p.k;
    const double work = (per_product * p.m * p.n * (p.k + 8.0) + copying) * batch.count();
    const int threads = useful_threads(work);
    job.parts = most(1, parts(p.k, PART)), job.step = PART, job.run = job.group = 1;
    cut(job, threads, work);
    if (job.parts > 1) return multiply_deep(job);
    if (job.pieces() == 1)
        multiply_piece(product_at(p, batch, 0), 0, p.m, 0, p.n, static_cast<T*>(own_scratch()));
    else run_pieces(job.pieces(), run_piece<T>, &job);
    return OK;
}

template Status multiply(const Product<float>&, const Batch&);
template Status multiply(const Product<double>&, const Batch&);

}  // namespace cr::CR_ISA

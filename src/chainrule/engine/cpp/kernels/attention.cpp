// Attention: y = softmax(s·q·kᵀ + mask)·v, block by block.
//
// Each row stores its largest score so far and the sum of e^(score − largest). When a block has a
// larger score, sum and y are multiplied by e^(old − new) (Milakov & Gimelshein, 2018).
#include "kernels/attention.h"

namespace cr::CR_ISA {

namespace {

struct Job {
    Heads heads;
    i64 blocks, group;  // blocks of queries in one head, and how many are processed together
    i64 items, step;    // groups in all, and in a piece
};

// So many blocks of queries share the packed keys.
constexpr i64 GROUP = 4;

template <class T> struct Matrices {
    Rows<T> q, k, v, y;
};

// A block of queries with the running maxima and sums of its rows.
template <class T> struct Queries {
    const Heads* heads;
    i64 head, query, m;
    T *scores, *packed, *spare;
    T top[ROWS], sum[ROWS], shrink[ROWS];
};

// Replaces scores by e^(score − top) with new maxima, and updates the sums. `shrink` is the factor
// for previous values.
template <class T> void exponentials(Queries<T>& q, i64 key, i64 width) {
    constexpr i64 W = WIDTH<T>;
    const T hidden = -Format<T>::infinity;
    for (i64 group = 0; group < q.m; group += W) {
        const auto [rows, seen] = group_at<T>(*q.heads, group, q.m, q.query, key);
        T* x = q.scores + group * KEYS;
        Vec<T> part[W];
        for (i64 r = 0; r < W; ++r) part[r] = splat(hidden);
        for (i64 r = 0; r < rows; ++r) {
            const i64 query = q.query + group + r;
            mask_row(*q.heads, x + r * KEYS, q.heads->seen(query, key), seen, q.head, query, key);
            for (i64 j = 0; j < seen; j += W) part[r] = larger(load(x + r * KEYS + j), part[r]);
        }
        const Vec<T> old = load(q.top + group);
        const Vec<T> top = larger(fold_each<T>(part, larger<Vec<T>>), old);
        const Vec<T> base = top == hidden ? Vec<T>{} : top;
        store(q.top + group, top);
        T bases[W];
        store(bases, base);
        for (i64 r = 0; r < W; ++r) part[r] = Vec<T>{};
        for (i64 j = 0; j < seen; j += W)
            for (i64 r = 0; r < rows; ++r) {
                const Vec<T> e = exp<T>(load(x + r * KEYS + j) - bases[r]);
                store(x + r * KEYS + j, e);
                part[r] += e;
            }
        hide(x, rows, seen, width);
        const Vec<T> shrink = exp<T>(old - base);
        store(q.shrink + group, shrink);
        store(q.sum + group, load(q.sum + group) * shrink +
                                 fold_each<T>(part, [](Vec<T> a, Vec<T> b) { return a + b; }));
    }
}

// A row times a number, or divided by it.
template <class T, class F> CR_INLINE void change_row(T* y, i64 n, F f) {
    constexpr i64 W = WIDTH<T>;
    i64 i = 0;
    for (; i + W <= n; i += W) store(y + i, f(load(y + i)));
    if (i < n) store_some(y + i, f(load_some(y + i, n - i, T(0))), n - i);
}

// y = y/sum, z = top + ln sum. For a query that attends to no key, the sum counts as ∞.
template <class T> void finish(Queries<T>& q, Rows<T> y, T* z) {
    constexpr i64 W = WIDTH<T>;
    const T nothing = -Format<T>::infinity;
    for (i64 group = 0; group < q.m; group += W) {
        const Vec<T> top = load(q.top + group), total = load(q.sum + group);
        const Vec<T> sum = total == T(0) ? splat(Format<T>::infinity) : total;
        const Vec<T> level = (top == nothing ? Vec<T>{} : top) + log<T>(sum);
        const i64 n = smallest(W, q.m - group);
        if (n == W) store(z + group, level);
        else store_some(z + group, level, n);
        for (i64 r = 0; r < n; ++r) {
            const T divisor = sum[r];
            change_row(y.from(group + r).data, q.heads->value_width,
                       [=](Vec<T> v) { return v / divisor; });
        }
    }
}

// Adds the values of one block of keys to the results of a block of queries. `ready`: the keys are
// packed.
template <class T> void add_keys(const Matrices<T>& o, Queries<T>& q, i64 key, bool ready) {
    const Heads& h = *q.heads;
    const i64 n = smallest(KEYS, h.keys - key), e = h.value_width;
    const Rows<T> v = o.v.from(key), y = o.y.from(q.query);
    score_block(h, o.q.from(q.query), o.k.from(key), q.query, q.m, key, h.width, ready, q.packed,
                q.scores);
    exponentials(q, key, parts_of(n, WIDTH<T>) * WIDTH<T>);
    for (i64 r = 0; r < q.m && key; ++r)
        change_row(y.from(r).data, e, [&](Vec<T> x) { return x * q.shrink[r]; });
    multiply_block<T>({q.scores, KEYS}, 1, {v.data, v.row, PANEL_COLUMNS<T>}, y, q.m, e, key > 0, n,
                      q.spare, [&](i64 row, i64 height) {
                          return Span{e, 0, h.seen(q.query + row + height - 1, key)};
                      });
}

// Blocks of queries [first, last) of a head. They share the packed keys.
template <class T> void attend(const Heads& h, i64 head, i64 first, i64 last) {
    const Call& call = *h.call;
    T* memory = static_cast<T*>(own_scratch());
    const Matrices<T> o{h.rows<T>(call.in[0], head), h.rows<T>(call.in[1], head),
                        h.rows<T>(call.in[2], head), h.rows<T>(call.out[0], head)};
    Queries<T> blocks[GROUP];
    const auto end = [&](const Queries<T>& q) {
        return h.causal ? smallest(h.keys, q.query + q.m) : h.keys;
    };
    for (i64 b = 0; b < last - first; ++b) {
        const i64 query = (first + b) * ROWS;
        Queries<T>& q = blocks[b];
        q = {&h, head, query, smallest(ROWS, h.queries - query), memory, memory + ROWS * KEYS,
             memory + ROWS * KEYS + KEYS * K_BLOCK, {}, {}, {}};
        for (i64 r = 0; r < ROWS; ++r) q.top[r] = -Format<T>::infinity;
    }
    const Queries<T>* const stop = blocks + (last - first);
    for (i64 key = 0; key < end(stop[-1]); key += KEYS) {
        bool ready = false;
        for (Queries<T>* q = blocks; q < stop; ++q)
            if (key < end(*q)) add_keys(o, *q, key, ready), ready = true;
    }
    for (Queries<T>* q = blocks; q < stop; ++q) {
        const Rows<T> y = o.y.from(q->query);
        for (i64 r = 0; r < q->m && h.keys == 0; ++r)
            change_row(y.from(r).data, h.value_width, [](Vec<T>) { return Vec<T>{}; });
        finish(*q, y, h.rows<T>(call.out[1], head).data + q->query);
    }
}

template <class T> void piece_of(void* context, i64 piece) {
    const Job& job = *static_cast<Job*>(context);
    const i64 end = smallest(job.items, (piece + 1) * job.step);
    const i64 groups = parts_of(job.blocks, job.group);
    for (i64 item = piece * job.step; item < end; ++item) {
        const i64 first = item % groups * job.group;
        attend<T>(job.heads, item / groups, first, smallest(job.blocks, first + job.group));
    }
}

// Whether v has the leading dimensions of the query, or broadcasts to them.
bool leads(const View& v, const View& q, bool broadcasts) {
    if (v.ndim != q.ndim) return false;
    for (int d = 0; d < q.ndim - 2; ++d)
        if (v.shape[d] != q.shape[d]) return false;
    const int last = q.ndim - 1;
    return broadcasts || count(v) == 0 || v.shape[last] == 1 ||
           v.strides[last] == item_size(v.dtype);
}

}  // namespace

bool read_heads(const Call& call, int first, int masks_from, Heads& h) {
    if (call.n_ints != 1 || call.n_floats != 1 || call.n_in < masks_from ||
        call.n_in > masks_from + MAX_MASKS || call.in[first].ndim < 2)
        return false;
    const View &q = call.in[first], &k = call.in[first + 1], &v = call.in[first + 2];
    const int dims = q.ndim - 2;
    if (!leads(k, q, false) || !leads(v, q, false) || !leads(q, q, false) ||
        k.shape[dims + 1] != q.shape[dims + 1] || k.shape[dims] != v.shape[dims] ||
        k.dtype != q.dtype || v.dtype != q.dtype)
        return false;
    h = {&call, dims, masks_from, call.n_in - masks_from, 1, q.shape[dims], k.shape[dims],
         q.shape[dims + 1], v.shape[dims + 1], call.ints[0] != 0, call.floats[0]};
    for (int d = 0; d < dims; ++d) h.count *= q.shape[d];
    for (int i = masks_from; i < call.n_in; ++i) {  // broadcast to the scores by the caller
        const View& m = call.in[i];
        if (!leads(m, q, true) || m.shape[dims] != h.queries || m.shape[dims + 1] != h.keys ||
            (m.dtype != DType::boolean && m.dtype != q.dtype))
            return false;
    }
    return true;
}

// attention(q, k, v[, mask…]) → y, z;  ints: causal; floats: scale. Strides are arbitrary, except
// that the last dimension of q, k, v and y is adjacent. Masks have the shape (..., L, S).
CR_KERNEL(attention) {
    Job job{};
    Heads& h = job.heads;
    if (call.n_in < 3 || call.n_out != 2 || !read_heads(call, 0, 3, h))
        return bad_call("attention: q, k, v and the masks do not fit together");
    const View &q = call.in[0], &y = call.out[0], &z = call.out[1];
    if (!leads(y, q, false) || y.shape[h.dims] != h.queries ||
        y.shape[h.dims + 1] != h.value_width || z.ndim != q.ndim - 1 || !contiguous(z) ||
        count(z) != h.count * h.queries || y.dtype != q.dtype || z.dtype != q.dtype)
        return bad_call("attention: y or z does not fit");
    constexpr i64 MANY = 16;  // groups, at least, where there are so many blocks
    job.blocks = parts_of(h.queries, ROWS);
    job.group = smallest(GROUP, largest(1, h.count * job.blocks / MANY));
    job.items = h.count * parts_of(job.blocks, job.group), job.step = 1;
    if (!own_scratch()) return NO_MEMORY;
    const double products = double(h.queries) * h.keys * (h.width + h.value_width + 20.0);
    const double work = 0.02 * h.count * products * (h.causal ? 0.5 : 1.0);
    if (useful_threads(work) == 1) job.step = largest(1, job.items);
    else if (job.items > 256) job.step = parts_of(job.items, 256);
    const i64 pieces = parts_of(job.items, job.step);
    if (q.dtype == DType::f32) run_pieces(pieces, piece_of<float>, &job);
    else if (q.dtype == DType::f64) run_pieces(pieces, piece_of<double>, &job);
    else return bad_call("attention: float32 or float64");
    return OK;
}

}  // namespace cr::CR_ISA

// The gradient of attention, block by block. From z, which the forward pass saved, each block
// recomputes its probabilities p = e^(s·q·kᵀ + mask − z). With t = s·p∘(u·vᵀ − δ) it adds
//
//     dq += t·k,   dk += tᵀ·q,   dv += pᵀ·u.
//
// If the heads keep all threads busy, a thread processes all blocks of a head, each once. If not,
// one pass goes over blocks of keys, for dk and dv, and another over blocks of queries, for dq. Both
// ways add in the same order, so the bits are the same.
#include "kernels/attention.h"

namespace cr::CR_ISA {

namespace {

enum class Part { whole, by_keys, by_queries };

struct Job {
    Heads heads;
    Part part;
    i64 blocks, items, step;  // in one head, in all, and in a piece
};

// One head: its matrices, and the thread's work space.
template <class T> struct Head {
    const Heads& h;
    i64 number;
    Rows<T> u, q, k, v, dq, dk, dv;
    const T *delta, *level;
    T *p, *t, *packed_k, *packed_v, *spare;
};

template <class T> Head<T> head_of(const Heads& h, i64 n) {
    const Call& c = *h.call;
    T* memory = static_cast<T*>(own_scratch());
    auto take = [&](i64 size) { return memory += size, memory - size; };
    return {h, n, h.rows<T>(c.in[0], n), h.rows<T>(c.in[1], n), h.rows<T>(c.in[2], n),
            h.rows<T>(c.in[3], n), h.rows<T>(c.out[0], n), h.rows<T>(c.out[1], n),
            h.rows<T>(c.out[2], n), h.rows<T>(c.in[4], n).data, h.rows<T>(c.in[5], n).data,
            take(ROWS * KEYS), take(ROWS * KEYS), take(KEYS * K_BLOCK), take(KEYS * K_BLOCK),
            take(KEYS * PANEL_COLUMNS<T>)};
}

// Scores to p, and u·vᵀ to t; zero from the last key that a row sees to `width`.
template <class T> void probabilities(const Head<T>& o, i64 query, i64 m, i64 key, i64 width) {
    constexpr i64 W = WIDTH<T>;
    const T scale = T(o.h.scale);
    for (i64 group = 0; group < m; group += W) {
        const auto [rows, seen] = group_at<T>(o.h, group, m, query, key);
        T *p = o.p + group * KEYS, *t = o.t + group * KEYS;
        const T *level = o.level + query + group, *delta = o.delta + query + group;
        for (i64 r = 0; r < rows; ++r) {
            const i64 at = query + group + r;
            mask_row(o.h, p + r * KEYS, o.h.seen(at, key), seen, o.number, at, key);
        }
        for (i64 j = 0; j < seen; j += W)
            for (i64 r = 0; r < rows; ++r) {
                const Vec<T> e = exp<T>(load(p + r * KEYS + j) - level[r]);
                const Vec<T> by_score = (load(t + r * KEYS + j) - delta[r]) * e * scale;
                store(p + r * KEYS + j, e);
                store(t + r * KEYS + j, e == T(0) ? Vec<T>{} : by_score);
            }
        hide(p, rows, seen, width);
        hide(t, rows, seen, width);
    }
}

// Adds the contribution of one block to the required gradients. `ready`: its keys are packed.
template <class T>
void add_block(const Head<T>& o, Part part, i64 query, i64 key, bool first, bool ready) {
    const Heads& h = o.h;
    const i64 m = smallest(ROWS, h.queries - query), n = smallest(KEYS, h.keys - key);
    const i64 d = h.width, e = h.value_width;
    const Rows<T> u = o.u.from(query), q = o.q.from(query), k = o.k.from(key);
    score_block(h, q, k, query, m, key, d, ready, o.packed_k, o.p);
    score_block(h, u, o.v.from(key), query, m, key, e, ready, o.packed_v, o.t);
    probabilities(o, query, m, key, parts_of(n, WIDTH<T>) * WIDTH<T>);
    if (part != Part::by_queries) {
        auto below = [&](i64 columns) {  // causal: queries before a key do not attend to it
            return [=, &h](i64 row, i64) {
                const i64 from = h.causal ? smallest(m, largest(0, key + row - query)) : 0;
                return Span{columns, from, m};
            };
        };
        multiply_block<T>({o.t, 1}, KEYS, {q.data, q.row, PANEL_COLUMNS<T>}, o.dk.from(key), n, d,
                          !first, m, o.spare, below(d));
        multiply_block<T>({o.p, 1}, KEYS, {u.data, u.row, PANEL_COLUMNS<T>}, o.dv.from(key), n, e,
                          !first, m, o.spare, below(e));
    }
    if (part != Part::by_keys)
        multiply_block<T>({o.t, KEYS}, 1, {k.data, k.row, PANEL_COLUMNS<T>}, o.dq.from(query), m,
                          d, key > 0, n, o.spare, [&](i64 row, i64 height) {
                              return Span{d, 0, h.seen(query + row + height - 1, key)};
                          });
}

template <class T> void clear_rows(Rows<T> y, i64 rows, i64 columns) {
    for (i64 r = 0; r < rows; ++r)
        for (i64 c = 0; c < columns; ++c) y.data[r * y.row + c] = T(0);
}

// One block of keys, with all queries that attend to one of them.
template <class T> void add_keys(const Head<T>& o, Part part, i64 key) {
    const Heads& h = o.h;
    const i64 start = h.causal ? key / ROWS * ROWS : 0, n = smallest(KEYS, h.keys - key);
    for (i64 query = start; query < h.queries; query += ROWS)
        add_block(o, part, query, key, query == start, query > start);
    if (start < h.queries) return;
    clear_rows(o.dk.from(key), n, h.width);
    clear_rows(o.dv.from(key), n, h.value_width);
}

template <class T> void add_queries(const Head<T>& o, i64 query) {
    const i64 end = o.h.causal ? smallest(o.h.keys, query + ROWS) : o.h.keys;
    for (i64 key = 0; key < end; key += KEYS)
        add_block(o, Part::by_queries, query, key, false, false);
}

template <class T> void piece_of(void* context, i64 piece) {
    const Job& job = *static_cast<Job*>(context);
    const i64 end = smallest(job.items, (piece + 1) * job.step);
    for (i64 item = piece * job.step; item < end; ++item) {
        const Head<T> head = head_of<T>(job.heads, item / job.blocks);
        const i64 block = item % job.blocks;
        if (job.part == Part::by_queries) add_queries(head, block * ROWS);
        else if (job.part == Part::by_keys) add_keys(head, job.part, block * KEYS);
        else
            for (i64 key = 0; key < job.heads.keys; key += KEYS) add_keys(head, job.part, key);
    }
}

template <class T> void round_of(Job& job, Part part, i64 blocks, double work) {
    job.part = part, job.blocks = blocks, job.items = job.heads.count * blocks, job.step = 1;
    if (useful_threads(work) == 1) job.step = largest(1, job.items);
    else if (job.items > 256) job.step = parts_of(job.items, 256);
    run_pieces(parts_of(job.items, job.step), piece_of<T>, &job);
}

// Whether whole heads keep the threads busy: two passes compute 7 products in place of 5.
bool heads_suffice(const Heads& h, i64 threads) {
    return 5 * parts_of(h.count, threads) * threads <= 7 * h.count;
}

template <class T> Status gradients(const Heads& h) {
    Job job{h, Part::whole, 0, 0, 0};
    const double products = double(h.queries) * h.keys * (1.5 * h.width + h.value_width + 20.0);
    const double work = 0.04 * h.count * products * (h.causal ? 0.5 : 1.0);
    if (h.keys == 0)
        for (i64 n = 0; n < h.count; ++n)
            clear_rows(h.rows<T>(h.call->out[0], n), h.queries, h.width);
    else if (heads_suffice(h, useful_threads(work)) || h.queries <= ROWS) {
        round_of<T>(job, Part::whole, 1, work);
    } else {
        round_of<T>(job, Part::by_keys, parts_of(h.keys, KEYS), work);
        round_of<T>(job, Part::by_queries, parts_of(h.queries, ROWS), work);
    }
    return OK;
}

// Whether v is laid out in rows of adjacent numbers, like the rows of q.
bool like(const View& v, const View& other, const View& q) {
    const int last = q.ndim - 1;
    if (v.dtype != q.dtype || !same_shape(v, other)) return false;
    return count(v) == 0 || v.shape[last] == 1 || v.strides[last] == item_size(v.dtype);
}

bool row_numbers(const View& v, const View& q) {
    if (v.dtype != q.dtype || v.ndim != q.ndim - 1) return false;
    for (int d = 0; d < v.ndim; ++d)
        if (v.shape[d] != q.shape[d]) return false;
    return contiguous(v);
}

}  // namespace

// attention_gradient(u, q, k, v, δ, z[, mask…]) → dq, dk, dv;  ints: causal; floats: scale.
// Layouts as for `attention`; δ and z are contiguous.
CR_KERNEL(attention_gradient) {
    Heads h{};
    if (call.n_in < 6 || call.n_out != 3 || !read_heads(call, 1, 6, h))
        return bad_call("attention_gradient: q, k, v and the masks do not fit together");
    const View &u = call.in[0], &q = call.in[1], &k = call.in[2], &v = call.in[3];
    bool right = u.ndim == q.ndim && row_numbers(call.in[4], q) && row_numbers(call.in[5], q) &&
                 like(call.out[0], q, q) && like(call.out[1], k, q) && like(call.out[2], v, q);
    View expected = q;
    expected.shape[h.dims + 1] = h.value_width;
    if (!right || !like(u, expected, q))
        return bad_call("attention_gradient: an operand does not fit");
    if (!own_scratch()) return NO_MEMORY;
    if (q.dtype == DType::f32) return gradients<float>(h);
    if (q.dtype == DType::f64) return gradients<double>(h);
    return bad_call("attention_gradient: float32 or float64");
}

}  // namespace cr::CR_ISA

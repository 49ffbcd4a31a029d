// The gradients of normalization, y = x̂·w + b with x̂ = (x − m)/√(v + ε), given m and v. With
// h = g·w:   dx = (h − mean h − x̂·mean(h·x̂))/√(v + ε),  dw = Σ g·x̂,  db = Σ g.
//
// Where w has one number for each kept index, its sums are also those that dx needs: one pass adds
// up, one writes dx, from the L2 cache if g and x of a kept index fit. Where w has one for each
// position of a row, a row is in the L1 cache for both, and dw and db are sums over blocks of rows
// of a fixed number, which are added in order.
#include "kernels/normalize.h"

namespace cr::CR_ISA {

namespace {

constexpr i64 MOST_BLOCKS = 64, FEWEST_ROWS = 16;
i64 block_rows(i64 rows) { return most(FEWEST_ROWS, parts(rows, MOST_BLOCKS)); }

template <class T> struct Operands {
    const T *g, *x, *mean, *variance, *w;
    T *dx, *dw, *db;
    explicit Operands(const Call& c)
        : g(data<T>(c.in[0])), x(data<T>(c.in[1])), mean(data<T>(c.in[2])),
          variance(data<T>(c.in[3])), w(data<T>(c.in[4])), dx(data<T>(c.out[0])),
          dw(data<T>(c.out[1])), db(data<T>(c.out[2])) {}
};

// What a kept index has: its mean, 1/√(v + ε), and the means of h and of h·x̂/√(v + ε).
struct Slope {
    double mean, scale, level, tilt;
    Slope() = default;
    Slope(double m, double v, double epsilon) : mean(m), scale(1 / __builtin_sqrt(v + epsilon)) {}
    void set(double total, double dot, double n) {  // Σ h and Σ h·(x − m)
        level = total / n, tilt = dot * scale * scale / n;
    }
};

// Adds a run to Σ h and Σ h·(x − m), where h = g, or g·w if there is w. The next run is `ahead`.
template <bool weighted, class T>
CR_INLINE void add_run(const T* g, const T* x, const T* w, i64 n, i64 ahead, double m, Sum& total,
                       Sum& dot) {
    along_run(
        n,
        [&](i64 i, int v) {
            fetch_line(g + i + ahead, v), fetch_line(x + i + ahead, v);
            Vec<double> h = widened(g + i);
            if constexpr (weighted) h = h * widened(w + i);
            total.chain[v] = total.chain[v] + h;
            dot.chain[v] = fma(h, widened(x + i) - m, dot.chain[v]);
        },
        [&](i64 i) {
            double h = double(g[i]);
            if constexpr (weighted) h *= double(w[i]);
            total.rest += h;
            dot.rest += h * (double(x[i]) - m);
        });
}

// dx = ((h − level) − (x − m)·tilt)·scale
template <bool weighted, class T>
CR_INLINE void write_run(const T* g, const T* x, const T* w, T* dx, i64 n, const Slope& s, T scale) {
    constexpr i64 W = WIDTH<T>;
    const T m = T(s.mean), level = T(s.level), tilt = T(s.tilt);
    const auto of = [=](Vec<T> h, Vec<T> v, Vec<T> weight) {
        if constexpr (weighted) h = h * weight;
        return ((h - level) - (v - m) * tilt) * scale;
    };
    i64 i = 0;
    for (; i + W <= n; i += W)
        store(dx + i, of(load(g + i), load(x + i), weighted ? load(w + i) : Vec<T>{}));
    if (const i64 rest = n - i) {
        const auto some = [=](const T* p) { return load_some(p + i, rest, T(0)); };
        store_some(dx + i, of(some(g), some(x), weighted ? some(w) : Vec<T>{}), rest);
    }
}

// w has a number for each kept index.
template <class T> void run_piece(void* context, i64 piece) {
    const Normalization& job = *static_cast<Normalization*>(context);
    const Operands<T> all(*job.call);
    for (i64 k = piece * job.step; k < job.end(piece); k += job.group) {
        const i64 n = least(job.group, job.end(piece) - k);
        Sum total[MOST_GROUPED], dot[MOST_GROUPED];
        for (i64 j = 0; j < n; ++j) total[j] = dot[j] = Sum{};
        for (i64 o = 0; o < job.outer; ++o)
            for (i64 j = 0; j < n; ++j) {
                const i64 at = o * job.stride() + (k + j) * job.inner;
                Sum sum = total[j], product = dot[j];
                add_run<false, T>(all.g + at, all.x + at, nullptr, job.inner, job.stride(),
                                  double(all.mean[k + j]), sum, product);
                total[j] = sum, dot[j] = product;
            }
        Slope s[MOST_GROUPED];
        for (i64 j = 0; j < n; ++j) {
            s[j] = Slope(all.mean[k + j], all.variance[k + j], job.epsilon);
            s[j].set(total[j].total(), dot[j].total(), job.size());
            all.db[k + j] = T(total[j].total()), all.dw[k + j] = T(dot[j].total() * s[j].scale);
        }
        for (i64 o = job.outer - 1; o >= 0; --o)  // the last runs are still in the cache
            for (i64 j = 0; j < n; ++j) {
                const i64 at = o * job.stride() + (k + j) * job.inner;
                write_run<false, T>(all.g + at, all.x + at, nullptr, all.dx + at, job.inner, s[j],
                                    T(s[j].scale) * all.w[k + j]);
            }
    }
}

// The same for inner = 1: columns side by side.
template <class T> void column_piece(void* context, i64 piece) {
    const Normalization& job = *static_cast<Normalization*>(context);
    const Operands<T> o(*job.call);
    const i64 from = piece * WIDE_COLUMNS, n = job.end(piece) - from, kept = job.kept;
    const T *g = o.g + from, *x = o.x + from, *m = o.mean + from;
    double mean[WIDE_COLUMNS], total[WIDE_COLUMNS] = {}, dot[WIDE_COLUMNS] = {};
    for (i64 c = 0; c < n; ++c) mean[c] = double(m[c]);
    for (i64 r = 0; r < job.outer; ++r)
        for (i64 c = 0; c < n; ++c) {
            const double h = double(g[r * kept + c]);
            total[c] += h;
            dot[c] += h * (double(x[r * kept + c]) - mean[c]);
        }
    T level[WIDE_COLUMNS], tilt[WIDE_COLUMNS], scale[WIDE_COLUMNS];
    for (i64 c = 0; c < n; ++c) {
        Slope s(m[c], o.variance[from + c], job.epsilon);
        s.set(total[c], dot[c], job.size());
        o.db[from + c] = T(total[c]), o.dw[from + c] = T(dot[c] * s.scale);
        level[c] = T(s.level), tilt[c] = T(s.tilt), scale[c] = T(s.scale) * o.w[from + c];
    }
    T* dx = o.dx + from;
    for (i64 r = 0; r < job.outer; ++r)
        for (i64 c = 0; c < n; ++c)
            dx[r * kept + c] =
                ((g[r * kept + c] - level[c]) - (x[r * kept + c] - m[c]) * tilt[c]) * scale[c];
}

// w has a number for each position of a row. Each block of rows has sums of g·x̂ and of g.
template <class T> struct Rows : Normalization {
    double* sums;  // (blocks, 2, inner)
};

template <class T>
CR_INLINE void add_row(const T* g, const T* x, i64 n, const Slope& s, double* dw, double* db) {
    constexpr i64 W = WIDTH<double>;
    i64 i = 0;
    for (; i + W <= n; i += W) {
        const Vec<double> h = widened(g + i);
        store(db + i, load(db + i) + h);
        store(dw + i, fma(h, (widened(x + i) - s.mean) * s.scale, load(dw + i)));
    }
    for (; i < n; ++i) {
        db[i] += double(g[i]);
        dw[i] += double(g[i]) * ((double(x[i]) - s.mean) * s.scale);
    }
}

template <class T> void row_piece(void* context, i64 piece) {
    const Rows<T>& job = *static_cast<Rows<T>*>(context);
    const Operands<T> o(*job.call);
    const i64 n = job.inner;
    double *dw = job.sums + piece * 2 * n, *db = dw + n;
    for (i64 i = 0; i < 2 * n; ++i) dw[i] = 0;
    for (i64 k = piece * job.step; k < job.end(piece); ++k) {
        const T *g = o.g + k * n, *x = o.x + k * n;
        Slope s(o.mean[k], o.variance[k], job.epsilon);
        Sum total{}, dot{};
        add_run<true>(g, x, o.w, n, n, s.mean, total, dot);
        s.set(total.total(), dot.total(), double(n));
        write_run<true>(g, x, o.w, o.dx + k * n, n, s, T(s.scale));
        add_row(g, x, n, s, dw, db);
    }
}

template <class T> Status rows(Normalization& job, double nanoseconds) {
    Rows<T> all{job, nullptr};
    all.step = block_rows(job.kept);
    const i64 blocks = parts(job.kept, all.step), width = 2 * job.inner;
    all.sums = static_cast<double*>(shared_scratch(sizeof(double) * blocks * width));
    if (!all.sums) return NO_MEMORY;
    if (useful_threads(nanoseconds) == 1)
        for (i64 piece = 0; piece < blocks; ++piece) row_piece<T>(&all, piece);
    else
        run_pieces(blocks, row_piece<T>, &all);
    for (i64 block = 1; block < blocks; ++block)
        for (i64 i = 0; i < width; ++i) all.sums[i] += all.sums[block * width + i];
    const Operands<T> o(*job.call);
    for (i64 i = 0; i < job.inner; ++i)
        o.dw[i] = T(all.sums[i]), o.db[i] = T(all.sums[job.inner + i]);
    return OK;
}

template <class T> Status gradient(Normalization& job) {
    const double nanoseconds = 0.35 * job.size() * double(job.kept);
    if (job.along) return rows<T>(job, nanoseconds);
    run_kept(job, nanoseconds, job.columns() ? column_piece<T> : run_piece<T>);
    return OK;
}

}  // namespace

// normalize_gradient(g, x, mean, variance, w) → dx, dw, db
// ints: outer, kept, inner, along; floats: ε
CR_KERNEL(normalize_gradient) {
    if (call.n_in != 5 || call.n_out != 3 || call.n_ints != 4 || call.n_floats != 1)
        return bad_call("normalize_gradient: takes g, x, mean, variance and w; gives dx, dw, db");
    Normalization job{&call, call.ints[0], call.ints[1], call.ints[2], call.ints[3] != 0,
                      call.floats[0]};
    const DType type = call.in[0].dtype;
    if (!sound(job) || !fit(call.in, 2, job.total(), type) || !fit(call.in + 2, 2, job.kept, type) ||
        !fit(call.in + 4, 1, job.numbers(), type) || !fit(call.out, 1, job.total(), type) ||
        !fit(call.out + 1, 2, job.numbers(), type))
        return bad_call("normalize_gradient: sizes or layouts do not fit");
    if (type == DType::f32) return gradient<float>(job);
    if (type == DType::f64) return gradient<double>(job);
    return bad_call("normalize_gradient: float32 or float64");
}

}  // namespace cr::CR_ISA

// Recurrences over time: LSTM, GRU and the plain network. How rows go through time: recurrent.h.
#include "kernels/recurrent.h"

namespace cr::CR_ISA {

namespace {

// What multiplies the weights forward: h of the step before, h₀ at first.
template <class T> struct Before {
    Times time;
    T* h;  // (T, N, H), in order
    Rows<const T> h0;
    i64 examples, hidden;
    T* at(i64 s, i64 n) const { return h + (time.at(s) * examples + n) * hidden; }
    Rows<const T> past(i64 s) const {
        return s ? Rows<const T>{at(s - 1, 0), 0, hidden} : h0;
    }
    const T* past_row(i64 s, i64 n) const { return s ? at(s - 1, n) : h0.at(0, n); }
};

// cₜ = f∘cₜ₋₁ + i∘g;  hₜ = o∘tanh(cₜ)
template <class T> struct Lstm : Before<T> {
    static constexpr int GATES = 4, UNITS = 1;
    Rows<const T> p, c0;
    T *c, *gates;

    template <bool WHOLE>
    CR_INLINE void finish(i64 s, i64 n, i64 unit, i64 count, const T* sum) const {
        constexpr i64 W = WIDTH<T>;
        const i64 H = this->hidden, t = this->time.at(s), row = t * this->examples + n;
        const T* x = p.at(t, n) + unit;
        const T* past = (s ? c + (this->time.at(s - 1) * this->examples + n) * H : c0.at(0, n));
        const Vec<T> i = sigmoid<T>(load(sum) + get<WHOLE>(x, count));
        const Vec<T> f = sigmoid<T>(load(sum + W) + get<WHOLE>(x + H, count));
        const Vec<T> g = tanh<T>(load(sum + 2 * W) + get<WHOLE>(x + 2 * H, count));
        const Vec<T> o = sigmoid<T>(load(sum + 3 * W) + get<WHOLE>(x + 3 * H, count));
        const Vec<T> cell = f * get<WHOLE>(past + unit, count) + i * g;
        T* gate = gates + row * 4 * H + unit;
        put<WHOLE>(gate, i, count);
        put<WHOLE>(gate + H, f, count);
        put<WHOLE>(gate + 2 * H, g, count);
        put<WHOLE>(gate + 3 * H, o, count);
        put<WHOLE>(c + row * H + unit, cell, count);
        put<WHOLE>(this->h + row * H + unit, o * tanh<T>(cell), count);
    }
};

// n = tanh(p_n + r∘u_n);  hₜ = (1 − z)∘n + z∘hₜ₋₁
template <class T> struct Gru : Before<T> {
    static constexpr int GATES = 3, UNITS = 1;
    Rows<const T> p;
    const T* b;
    T* gates;

    template <bool WHOLE>
    CR_INLINE void finish(i64 s, i64 n, i64 unit, i64 count, const T* sum) const {
        constexpr i64 W = WIDTH<T>;
        const i64 H = this->hidden, t = this->time.at(s), row = t * this->examples + n;
        const T *x = p.at(t, n) + unit, *bias = b + unit;
        const Vec<T> u_r = load(sum) + get<WHOLE>(bias, count);
        const Vec<T> u_z = load(sum + W) + get<WHOLE>(bias + H, count);
        const Vec<T> u_n = load(sum + 2 * W) + get<WHOLE>(bias + 2 * H, count);
        const Vec<T> r = sigmoid<T>(get<WHOLE>(x, count) + u_r);
        const Vec<T> z = sigmoid<T>(get<WHOLE>(x + H, count) + u_z);
        const Vec<T> fresh = tanh<T>(r * u_n + get<WHOLE>(x + 2 * H, count));
        T* gate = gates + row * 4 * H + unit;
        put<WHOLE>(gate, r, count);
        put<WHOLE>(gate + H, z, count);
        put<WHOLE>(gate + 2 * H, fresh, count);
        put<WHOLE>(gate + 3 * H, u_n, count);
        const Vec<T> past = get<WHOLE>(this->past_row(s, n) + unit, count);
        put<WHOLE>(this->h + row * H + unit, (past - fresh) * z + fresh, count);
    }
};

// hₜ = φ(pₜ + hₜ₋₁·Wᵀ)
template <class T> struct Plain : Before<T> {
    static constexpr int GATES = 1, UNITS = 2;
    Rows<const T> p;
    bool relu;

    template <bool WHOLE>
    CR_INLINE void finish(i64 s, i64 n, i64 unit, i64 count, const T* sum) const {
        const Vec<T> a = load(sum) + get<WHOLE>(p.at(this->time.at(s), n) + unit, count);
        put<WHOLE>(this->at(s, n) + unit, relu ? larger(a, Vec<T>{}) : tanh<T>(a), count);
    }
};

template <class T, template <class> class Cell>
Status forward(const Call& call, const Cell<T>& cell) {
    const i64 H = cell.hidden, size = sizeof(T);
    const View& w = call.in[1];
    const i64 of_unit = w.strides[0] / size;
    Recurrence<T, Cell<T>> job{
        cell, {data<T>(w), w.strides[1] / size, of_unit, H * of_unit, H, H}, nullptr,
        cell.examples, 0, cell.time.steps, 0};
    job.packed = static_cast<T*>(shared_scratch(job.panels() * job.panel_size() * size));
    if (!job.packed) return NO_MEMORY;
    run_rounds(job, true);
    return OK;
}

// The common operands: p, W, the state h₀ at input `state`, and h, the first output.
template <class T> bool common(const Call& call, int gates, int state, Before<T>& before) {
    const View &p = call.in[0], &h = call.out[0];
    if (h.ndim != 3 || count(h) == 0) return false;
    const i64 steps = h.shape[0], N = h.shape[1], H = h.shape[2];
    before = {{steps, call.ints[0] != 0}, data<T>(h), rows_of<const T>(call.in[state]), N, H};
    bool right = is_rows<T>(p, steps, N, gates * H) && is_weights<T>(call.in[1], gates * H, H);
    for (int i = state; i < call.n_in; ++i) right = right && is_rows<T>(call.in[i], 0, N, H);
    for (int i = 0; i < call.n_out; ++i) {
        const View& y = call.out[i];
        right = right && contiguous(y) && is_rows<T>(y, steps, N, i + 1 < call.n_out || gates == 1
                                                                      ? H : 4 * H);
    }
    return right;
}

template <class T> Status lstm(const Call& call) {
    Lstm<T> cell{};
    if (!common<T>(call, 4, 2, cell)) return bad_call("lstm_sequence: shapes do not fit");
    cell.p = rows_of<const T>(call.in[0]), cell.c0 = rows_of<const T>(call.in[3]);
    cell.c = data<T>(call.out[1]), cell.gates = data<T>(call.out[2]);
    return forward(call, cell);
}

template <class T> Status gru(const Call& call) {
    Gru<T> cell{};
    const View& b = call.in[2];
    if (!common<T>(call, 3, 3, cell) || b.ndim != 1 || b.shape[0] != 3 * cell.hidden ||
        !contiguous(b))
        return bad_call("gru_sequence: shapes do not fit");
    cell.p = rows_of<const T>(call.in[0]), cell.b = data<T>(b), cell.gates = data<T>(call.out[1]);
    return forward(call, cell);
}

template <class T> Status rnn(const Call& call) {
    Plain<T> cell{};
    if (!common<T>(call, 1, 2, cell)) return bad_call("rnn_sequence: shapes do not fit");
    cell.p = rows_of<const T>(call.in[0]), cell.relu = call.ints[1] != 0;
    return forward(call, cell);
}

}  // namespace

// lstm_sequence(p, W, h₀, c₀) → h, c, gates;  ints: whether time runs backwards
CR_KERNEL(lstm_sequence) {
    if (call.n_in != 4 || call.n_out != 3 || call.n_ints != 1)
        return bad_call("lstm_sequence: takes p, W, h₀ and c₀, gives h, c and gates");
    if (all_of_type(call, DType::f32)) return lstm<float>(call);
    if (all_of_type(call, DType::f64)) return lstm<double>(call);
    return bad_call("lstm_sequence: operands are all float32 or all float64");
}

// gru_sequence(p, W, b, h₀) → h, gates;  ints: whether time runs backwards
CR_KERNEL(gru_sequence) {
    if (call.n_in != 4 || call.n_out != 2 || call.n_ints != 1)
        return bad_call("gru_sequence: takes p, W, b and h₀, gives h and gates");
    if (all_of_type(call, DType::f32)) return gru<float>(call);
    if (all_of_type(call, DType::f64)) return gru<double>(call);
    return bad_call("gru_sequence: operands are all float32 or all float64");
}

// rnn_sequence(p, W, h₀) → h;  ints: whether time runs backwards, whether φ is relu
CR_KERNEL(rnn_sequence) {
    if (call.n_in != 3 || call.n_out != 1 || call.n_ints != 2)
        return bad_call("rnn_sequence: takes p, W and h₀, gives h");
    if (all_of_type(call, DType::f32)) return rnn<float>(call);
    if (all_of_type(call, DType::f64)) return rnn<double>(call);
    return bad_call("rnn_sequence: operands are all float32 or all float64");
}

}  // namespace cr::CR_ISA

// The gradients of the recurrences: backpropagation through time, then one product for the weights.
//
// Round s works on the step that comes s-th from the end of time; the round after the last leaves
// the gradient by the first state. What the product of a round multiplies, du, is the gradient by
// the pre-activations of the round before. Sums over steps and examples follow at the end, in an
// order that the sizes alone decide.
#include "kernels/recurrent.h"

namespace cr::CR_ISA {

namespace {

// Backward in time: the step of a round, and whether the round is past the first step.
template <class T> struct After {
    Times time;
    i64 examples, hidden;
    Rows<const T> u, h0;
    const T *h, *gates;  // (T, N, ·), in order
    T *dp, *dw, *dh0;

    i64 step(i64 s) const { return time.at(time.steps - 1 - s); }
    i64 row(i64 s, i64 n) const { return step(s) * examples + n; }
    bool over(i64 s) const { return s == time.steps; }
    bool at_start(i64 s) const { return s == time.steps - 1; }
};

template <class T> CR_INLINE Vec<T> slope(Vec<T> gate) { return gate * (T(1) - gate); }

template <class T> struct LstmBack : After<T> {
    static constexpr int GATES = 1, UNITS = 2;
    Rows<const T> c0, by_c, by_gates;  // the last two may be null
    const T* c;
    T* dc0;  // carries dc∘f from round to round

    const T* past_cell(i64 s, i64 n) const {
        return this->at_start(s) ? c0.at(0, n) : c + this->row(s + 1, n) * this->hidden;
    }
    T* du(i64 s) const { return this->dp + this->row(s, 0) * 4 * this->hidden; }
    Rows<const T> past(i64 s) const {
        return {s ? du(s - 1) : nullptr, 0, 4 * this->hidden};
    }
    template <bool WHOLE>
    CR_INLINE void finish(i64 s, i64 n, i64 unit, i64 count, const T* sum) const {
        const i64 H = this->hidden;
        if (this->over(s)) return put<WHOLE>(this->dh0 + n * H + unit, load(sum), count);
        const i64 t = this->step(s), row = this->row(s, n);
        const T* gate = this->gates + row * 4 * H + unit;
        T *dp = this->dp + row * 4 * H + unit, *carry = dc0 + n * H + unit;
        const Vec<T> i = get<WHOLE>(gate, count), f = get<WHOLE>(gate + H, count);
        const Vec<T> g = get<WHOLE>(gate + 2 * H, count), o = get<WHOLE>(gate + 3 * H, count);
        const Vec<T> tanh_c = tanh<T>(get<WHOLE>(c + row * H + unit, count));
        const Vec<T> dh = get<WHOLE>(this->u.at(t, n) + unit, count) + load(sum);
        Vec<T> dc = dh * o * (T(1) - tanh_c * tanh_c);
        if (s) dc = dc + get<WHOLE>(carry, count);
        if (by_c.data) dc = dc + get<WHOLE>(by_c.at(t, n) + unit, count);
        Vec<T> di = dc * g, df = dc * get<WHOLE>(past_cell(s, n) + unit, count);
        Vec<T> dg = dc * i, d_o = dh * tanh_c;
        if (by_gates.data) {
            const T* more = by_gates.at(t, n) + unit;
            di = di + get<WHOLE>(more, count), df = df + get<WHOLE>(more + H, count);
            dg = dg + get<WHOLE>(more + 2 * H, count), d_o = d_o + get<WHOLE>(more + 3 * H, count);
        }
        put<WHOLE>(carry, dc * f, count);
        put<WHOLE>(dp, di * slope<T>(i), count);
        put<WHOLE>(dp + H, df * slope<T>(f), count);
        put<WHOLE>(dp + 2 * H, dg * (T(1) - g * g), count);
        put<WHOLE>(dp + 3 * H, d_o * slope<T>(o), count);
    }
};

template <class T> struct GruBack : After<T> {
    static constexpr int GATES = 1, UNITS = 2;
    Rows<const T> by_gates;  // may be null
    T *db, *products;  // du of the rounds of two blocks
    i64 block;         // rounds in a block

    T* du(i64 s) const {
        const i64 first = s / block * block, last = least(first + block, this->time.steps) - 1;
        const i64 place = s / block % 2 * block + (this->time.reverse ? s - first : last - s);
        return products + place * this->examples * 3 * this->hidden;
    }
    Rows<const T> past(i64 s) const { return {s ? du(s - 1) : nullptr, 0, 3 * this->hidden}; }

    // dh0 carries dh∘z from round to round.
    template <bool WHOLE>
    CR_INLINE void finish(i64 s, i64 n, i64 unit, i64 count, const T* sum) const {
        const i64 H = this->hidden;
        T* carry = this->dh0 + n * H + unit;
        Vec<T> dh = load(sum);
        if (s) dh = dh + get<WHOLE>(carry, count);
        if (this->over(s)) return put<WHOLE>(carry, dh, count);
        const i64 t = this->step(s), row = this->row(s, n);
        const T* gate = this->gates + row * 4 * H + unit;
        const T* before = this->at_start(s) ? this->h0.at(0, n) : this->h + this->row(s + 1, n) * H;
        const Vec<T> r = get<WHOLE>(gate, count), z = get<WHOLE>(gate + H, count);
        const Vec<T> fresh = get<WHOLE>(gate + 2 * H, count);
        dh = dh + get<WHOLE>(this->u.at(t, n) + unit, count);
        Vec<T> dz = (get<WHOLE>(before + unit, count) - fresh) * dh, dn = dh * (T(1) - z);
        const T* more = by_gates.data ? by_gates.at(t, n) + unit : nullptr;
        if (more) dz = dz + get<WHOLE>(more + H, count), dn = dn + get<WHOLE>(more + 2 * H, count);
        dn = dn * (T(1) - fresh * fresh);
        Vec<T> dr = dn * get<WHOLE>(gate + 3 * H, count), du_n = dn * r;
        if (more) dr = dr + get<WHOLE>(more, count), du_n = du_n + get<WHOLE>(more + 3 * H, count);
        dr = dr * slope<T>(r), dz = dz * slope<T>(z);
        T *dp = this->dp + row * 3 * H + unit, *product = du(s) + n * 3 * H + unit;
        put<WHOLE>(dp, dr, count), put<WHOLE>(product, dr, count);
        put<WHOLE>(dp + H, dz, count), put<WHOLE>(product + H, dz, count);
        put<WHOLE>(dp + 2 * H, dn, count), put<WHOLE>(product + 2 * H, du_n, count);
        put<WHOLE>(carry, dh * z, count);
    }
};

template <class T> struct PlainBack : After<T> {
    static constexpr int GATES = 1, UNITS = 2;
    bool relu;

    T* du(i64 s) const { return this->dp + this->row(s, 0) * this->hidden; }
    Rows<const T> past(i64 s) const { return {s ? du(s - 1) : nullptr, 0, this->hidden}; }

    template <bool WHOLE>
    CR_INLINE void finish(i64 s, i64 n, i64 unit, i64 count, const T* sum) const {
        const i64 H = this->hidden;
        if (this->over(s)) return put<WHOLE>(this->dh0 + n * H + unit, load(sum), count);
        const i64 at = this->row(s, n) * H + unit;
        const Vec<T> y = get<WHOLE>(this->h + at, count);
        const Vec<T> by_a = relu ? (y > T(0) ? splat(T(1)) : Vec<T>{}) : T(1) - y * y;
        const Vec<T> dh = get<WHOLE>(this->u.at(this->step(s), n) + unit, count) + load(sum);
        put<WHOLE>(this->dp + at, by_a * dh, count);
    }
};

// -- sums over steps and examples ----------------------------------------------------------------

// (∂L/∂W)ᵀ, product by product: each adds to what the one before left in the other of two matrices,
// and the last leaves it in `result`. Transposed, because all columns of a row of du are then read
// where they lie.
template <class T> struct WeightSum {
    i64 rows, columns, left;
    T *result, *other;
    const T* sum;
    Status status = OK;

    void add(const T* du, const T* h, i64 h_row, i64 depth) {
        T* to = --left % 2 ? other : result;
        if (status.code != Code::ok) return;
        status = multiply(Product<T>{h, du, to, columns, rows, depth, 1, h_row, rows, 1, rows,
                                     {nullptr, sum, rows, Activation::none}});
        sum = to;
    }
};

// hₜ₋₁ᵀ·duₜ of rounds begin … end − 1, whose du lie one after the other from `du` as steps do.
template <class T>
void add_rounds(const After<T>& cell, i64 begin, i64 end, const T* du, WeightSum<T>& sum) {
    const bool first = end == cell.time.steps, reverse = cell.time.reverse;
    const i64 N = cell.examples, H = cell.hidden, n = end - begin - first, rows = N * sum.rows;
    const i64 lowest = reverse ? begin : cell.time.steps - end;  // of the steps
    const T* h = cell.h + (reverse ? lowest + 1 : lowest + first - 1) * N * H;
    if (n) sum.add(reverse || !first ? du : du + rows, h, H, n * N);
    if (first) sum.add(reverse ? du + n * rows : du, cell.h0.data, cell.h0.row, N);
}

constexpr i64 COLUMNS = 4;  // vectors of a piece
template <class T> struct Columns {
    const T* x;
    T* y;
    i64 rows, columns;
    bool add;
};

// y = Σ rows of x, one after the other; or y + that.
template <class T> void sum_piece(void* context, i64 piece) {
    const Columns<T>& job = *static_cast<Columns<T>*>(context);
    constexpr i64 W = WIDTH<T>;
    for (i64 j = piece * COLUMNS * W; j < least(job.columns, (piece + 1) * COLUMNS * W);) {
        const i64 left = job.columns - j;
        const T* x = job.x + j;
        if (left >= COLUMNS * W) {
            Vec<T> sum[COLUMNS];
            for (i64 v = 0; v < COLUMNS; ++v) sum[v] = job.add ? load(job.y + j + v * W) : Vec<T>{};
            for (i64 i = 0; i < job.rows; ++i, x += job.columns)
                for (i64 v = 0; v < COLUMNS; ++v) sum[v] = sum[v] + load(x + v * W);
            for (i64 v = 0; v < COLUMNS; ++v) store(job.y + j + v * W, sum[v]);
            j += COLUMNS * W;
            continue;
        }
        const i64 n = least(left, W);
        Vec<T> sum = !job.add ? Vec<T>{} : n == W ? load(job.y + j) : load_some(job.y + j, n, T(0));
        for (i64 i = 0; i < job.rows; ++i, x += job.columns)
            sum = sum + (n == W ? load(x) : load_some(x, n, T(0)));
        if (n == W) store(job.y + j, sum);
        else store_some(job.y + j, sum, n);
        j += n;
    }
}

// -- the kernels ---------------------------------------------------------------------------------

// All rounds, block by block (`block` rounds, all at once but for a GRU), and the sums.
template <class T, class Cell>
Status backward(const Call& call, const Cell& given, int gates, i64 block) {
    const i64 H = given.hidden, steps = given.time.steps, size = sizeof(T);
    const View& w = call.in[1];
    Recurrence<T, Cell> job{given,
                            {data<T>(w), w.strides[0] / size, w.strides[1] / size, 0, gates * H, H},
                            nullptr, given.examples, 0, 0, 0};
    const i64 packed = job.panels() * job.panel_size(), matrix = gates * H * H;
    const i64 products = gates == 3 ? 2 * block * given.examples * 3 * H : 0;
    job.packed = static_cast<T*>(shared_scratch((packed + matrix + products) * size));
    if (!job.packed || !own_scratch()) return NO_MEMORY;
    T* other = job.packed + packed;
    if constexpr (requires { job.cell.products; }) job.cell.products = other + matrix;
    const i64 blocks = parts(steps, block), alone = (steps - 1) % block == 0;
    WeightSum<T> sum{gates * H, H, blocks + 1 - alone, other, given.dw, nullptr};
    for (i64 begin = 0; begin < steps; begin += block) {
        const i64 end = least(begin + block, steps);
        job.begin = begin, job.end = end + (end == steps);
        run_rounds(job, begin == 0);
        const T* du = job.cell.du(given.time.reverse ? begin : end - 1);
        add_rounds<T>(job.cell, begin, end, du, sum);
        if constexpr (requires { job.cell.db; }) {
            Columns<T> columns{du, job.cell.db, (end - begin) * given.examples, 3 * H, begin > 0};
            run_pieces(parts(3 * H, COLUMNS * WIDTH<T>), sum_piece<T>, &columns);
        }
    }
    pack_strip(other, 1, gates * H, gates * H, H, H, H, given.dw);
    return sum.status;
}

// Reads what all three are given and give: u, W, h₀, h (at those places); dp, dW, dh₀ (at `dh0`).
template <class T>
bool common(const Call& call, int gates, int h0, int h, int dh0, After<T>& cell) {
    const View &u = call.in[0], &dp = call.out[0], &dw = call.out[1];
    if (u.ndim != 3 || count(u) == 0) return false;
    const i64 steps = u.shape[0], N = u.shape[1], H = u.shape[2];
    cell = {{steps, call.ints[0] != 0}, N, H, rows_of<const T>(u), rows_of<const T>(call.in[h0]),
            data<T>(call.in[h]), nullptr, data<T>(dp), data<T>(dw), data<T>(call.out[dh0])};
    bool right = is_rows<T>(u, steps, N, H) && is_weights<T>(call.in[1], gates * H, H) &&
                 is_rows<T>(call.in[h0], 0, N, H) && is_rows<T>(call.in[h], steps, N, H) &&
                 contiguous(call.in[h]) && is_rows<T>(dp, steps, N, gates * H) &&
                 is_weights<T>(dw, gates * H, H);
    for (int i = 0; i < call.n_out; ++i) right = right && contiguous(call.out[i]);
    for (int i = dh0; i < call.n_out; ++i) right = right && is_rows<T>(call.out[i], 0, N, H);
    return right;
}

// The gates that were saved, and the gradients of what the recurrence gave beside h, if any.
template <class T>
bool saved(const Call& call, int gates, int more, After<T>& cell, Rows<const T>* by_c,
           Rows<const T>& by_gates) {
    const i64 steps = cell.time.steps, N = cell.examples, H = cell.hidden;
    const View& v = call.in[gates];
    cell.gates = data<T>(v);
    bool right = contiguous(v) && is_rows<T>(v, steps, N, 4 * H);
    if (by_c && more < call.n_in) {
        right = right && is_rows<T>(call.in[more], steps, N, H);
        *by_c = rows_of<const T>(call.in[more++]);
    }
    if (more < call.n_in) {
        right = right && is_rows<T>(call.in[more], steps, N, 4 * H);
        by_gates = rows_of<const T>(call.in[more]);
    }
    return right;
}

template <class T> Status lstm(const Call& call) {
    LstmBack<T> cell{};
    if (!common<T>(call, 4, 2, 4, 2, cell) ||
        !saved<T>(call, 6, 7, cell, &cell.by_c, cell.by_gates) ||
        !is_rows<T>(call.in[3], 0, cell.examples, cell.hidden) || !contiguous(call.in[5]) ||
        !same_shape(call.in[5], call.in[4]))
        return bad_call("lstm_sequence_gradient: shapes do not fit");
    cell.c0 = rows_of<const T>(call.in[3]), cell.c = data<T>(call.in[5]);
    cell.dc0 = data<T>(call.out[3]);
    return backward<T>(call, cell, 4, cell.time.steps);
}

template <class T> Status gru(const Call& call) {
    constexpr i64 BLOCK_BYTES = 4 * 1024 * 1024;
    GruBack<T> cell{};
    if (!common<T>(call, 3, 3, 4, 3, cell) ||
        !saved<T>(call, 5, 6, cell, nullptr, cell.by_gates) || call.out[2].ndim != 1 ||
        call.out[2].shape[0] != 3 * cell.hidden)
        return bad_call("gru_sequence_gradient: shapes do not fit");
    cell.db = data<T>(call.out[2]);
    const i64 bytes = cell.examples * 3 * cell.hidden * i64(sizeof(T));
    cell.block = least(cell.time.steps, 1 + BLOCK_BYTES / bytes);
    return backward<T>(call, cell, 3, cell.block);
}

template <class T> Status rnn(const Call& call) {
    PlainBack<T> cell{};
    if (!common<T>(call, 1, 2, 3, 2, cell))
        return bad_call("rnn_sequence_gradient: shapes do not fit");
    cell.relu = call.ints[1] != 0;
    return backward<T>(call, cell, 1, cell.time.steps);
}

}  // namespace

// lstm_sequence_gradient(u, W, h₀, c₀, h, c, gates[, of c[, of the gates]]) → dp, dW, dh₀, dc₀
// ints: whether time runs backwards
CR_KERNEL(lstm_sequence_gradient) {
    if (call.n_in < 7 || call.n_in > 9 || call.n_out != 4 || call.n_ints != 1)
        return bad_call("lstm_sequence_gradient: takes 7 to 9 operands, gives dp, dW, dh₀, dc₀");
    if (all_of_type(call, DType::f32)) return lstm<float>(call);
    if (all_of_type(call, DType::f64)) return lstm<double>(call);
    return bad_call("lstm_sequence_gradient: operands are all float32 or all float64");
}

// gru_sequence_gradient(u, W, b, h₀, h, gates[, of the gates]) → dp, dW, db, dh₀;  ints: as above
CR_KERNEL(gru_sequence_gradient) {
    if (call.n_in < 6 || call.n_in > 7 || call.n_out != 4 || call.n_ints != 1)
        return bad_call("gru_sequence_gradient: takes 6 or 7 operands, gives dp, dW, db, dh₀");
    if (all_of_type(call, DType::f32)) return gru<float>(call);
    if (all_of_type(call, DType::f64)) return gru<double>(call);
    return bad_call("gru_sequence_gradient: operands are all float32 or all float64");
}

// rnn_sequence_gradient(u, W, h₀, h) → dp, dW, dh₀;  ints: as above, and whether φ is relu
CR_KERNEL(rnn_sequence_gradient) {
    if (call.n_in != 4 || call.n_out != 3 || call.n_ints != 2)
        return bad_call("rnn_sequence_gradient: takes u, W, h₀ and h, gives dp, dW and dh₀");
    if (all_of_type(call, DType::f32)) return rnn<float>(call);
    if (all_of_type(call, DType::f64)) return rnn<double>(call);
    return bad_call("rnn_sequence_gradient: operands are all float32 or all float64");
}

}  // namespace cr::CR_ISA

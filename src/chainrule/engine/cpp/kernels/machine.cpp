// The elementwise machine at work: gathering inputs, interpreting instructions, storing outputs.
#include "kernels/machine.h"

namespace cr::CR_ISA {

namespace {

// Lays a view over the iteration space (broadcasting from the right) and merges its dimensions.
bool lay_over(const View& v, const i64* shape, int ndim, Walk& walk) {
    if (v.ndim > ndim) return false;
    walk.ndim = 0;
    for (int d = 0; d < ndim; ++d) {
        const int own = d - (ndim - v.ndim);
        if (own >= 0 && v.shape[own] != 1 && v.shape[own] != shape[d]) return false;
        const i64 stride = own < 0 || v.shape[own] == 1 ? 0 : v.strides[own];
        if (shape[d] == 1) continue;
        const int top = walk.ndim - 1;
        if (top >= 0 && walk.strides[top] == stride * shape[d]) {
            walk.shape[top] *= shape[d];
            walk.strides[top] = stride;
        } else {
            walk.shape[walk.ndim] = shape[d];
            walk.strides[walk.ndim++] = stride;
        }
    }
    walk.data = v.data;
    walk.dtype = v.dtype;
    return true;
}

template <class T> constexpr DType own_type() {
    return sizeof(T) == 4 ? DType::f32 : DType::f64;
}

template <class T, class S, bool TRUTH> CR_INLINE T converted(S x) {
    using Int = typename Format<T>::Int;
    if constexpr (!TRUTH) return T(x);
    const Int mask = x != S(0) ? Int(-1) : Int(0);
    T y;
    __builtin_memcpy(&y, &mask, sizeof y);
    return y;
}

template <class T, class S, bool TRUTH = false>
void copy_run(const char* from, i64 stride, T* to, i64 n) {
    if (stride == 0) {
        const T value = converted<T, S, TRUTH>(*reinterpret_cast<const S*>(from));
        for (i64 i = 0; i < n; ++i) to[i] = value;
    } else if (stride == sizeof(S)) {
        const S* source = reinterpret_cast<const S*>(from);
        for (i64 i = 0; i < n; ++i) to[i] = converted<T, S, TRUTH>(source[i]);
    } else {
        for (i64 i = 0; i < n; ++i)
            to[i] = converted<T, S, TRUTH>(*reinterpret_cast<const S*>(from + i * stride));
    }
}

template <class T>
void copy_typed(const Walk& w, const char* from, i64 stride, T* to, i64 n) {
    if (w.as_truth) return copy_run<T, std::uint8_t, true>(from, stride, to, n);
    switch (w.dtype) {
        case DType::f32: return copy_run<T, float>(from, stride, to, n);
        case DType::f64: return copy_run<T, double>(from, stride, to, n);
        case DType::i64: return copy_run<T, std::int64_t>(from, stride, to, n);
        case DType::i32: return copy_run<T, std::int32_t>(from, stride, to, n);
        default: return copy_run<T, std::uint8_t>(from, stride, to, n);
    }
}

// Elements [first, first + n) of an input, in the order of the iteration space: in place if they lie
// in one run and `in_place` allows it, else copied into a tile.
template <class T> const T* gather(const Walk& w, i64 first, i64 n, T* tile, bool in_place) {
    i64 at[MAX_DIMS] = {};
    const char* from = w.data;
    for (int d = w.ndim - 1; d >= 0; --d) {
        at[d] = first % w.shape[d];
        first /= w.shape[d];
        from += at[d] * w.strides[d];
    }
    const int last = w.ndim - 1;
    if (in_place && n <= w.run() - at[last]) return reinterpret_cast<const T*>(from);
    for (T* to = tile; n > 0;) {
        const i64 run = least(w.run() - at[last], n);
        copy_typed(w, from, w.strides[last], to, run);
        to += run;
        n -= run;
        from += run * w.strides[last];
        at[last] += run;
        for (int d = last; d > 0 && at[d] == w.shape[d]; --d) {
            from += w.strides[d - 1] - at[d] * w.strides[d];
            at[d] = 0;
            ++at[d - 1];
        }
    }
    return tile;
}

template <class T> Walk::Kind kind_of(const Walk& w, i64 room) {
    const i64 stride = w.ndim ? w.strides[w.ndim - 1] : 0;
    if (w.ndim == 0 || (w.ndim == 1 && stride == 0)) return Walk::one_number;
    if (w.ndim == 2 && w.strides[0] == 0 && w.run() <= room) return Walk::periodic;
    if (w.dtype != own_type<T>() || stride != sizeof(T)) return Walk::gathered;
    return w.ndim == 1 ? Walk::in_order : Walk::in_runs;
}

template <class T>
void interpret(Op op, T* to, const T* pa, const T* pb, const T* pc, i64 n) {
    constexpr i64 W = WIDTH<T>;
    const auto each = [=](auto result) __attribute__((always_inline)) {
#pragma GCC unroll 2
        for (i64 i = 0; i < n; i += W) store(to + i, result(i));
    };
    switch (op) {
#define X(name, operands, value)                                               \
    case Op::name:                                                             \
        each([=](i64 i) __attribute__((always_inline)) {                       \
            [[maybe_unused]] const Vec<T> a = load(pa + i);                    \
            [[maybe_unused]] const Vec<T> b = operands > 1 ? load(pb + i) : a; \
            [[maybe_unused]] const Vec<T> c = operands > 2 ? load(pc + i) : a; \
            return value;                                                      \
        });                                                                    \
        break;
        CR_FUSED_OPS(X)
#undef X
        default: break;
    }
}

template <class T> void put(const View& out, i64 first, i64 n, const T* from) {
    if (out.dtype == own_type<T>()) {
        __builtin_memcpy(data<T>(out) + first, from, n * sizeof(T));
    } else if (out.dtype == DType::f32) {
        for (i64 i = 0; i < n; ++i) data<float>(out)[first + i] = float(from[i]);
    } else if (out.dtype == DType::f64) {
        for (i64 i = 0; i < n; ++i) data<double>(out)[first + i] = double(from[i]);
    } else {
        using Int = typename Format<T>::Int;
        Int mask;
        for (i64 i = 0; i < n; ++i) {
            __builtin_memcpy(&mask, from + i, sizeof mask);
            data<std::uint8_t>(out)[first + i] = mask != 0;
        }
    }
}

struct Extent {
    const char *begin, *end;
};
Extent extent(const View& v) {
    const char *begin = v.data, *end = v.data + item_size(v.dtype);
    for (int d = 0; d < v.ndim; ++d) {
        if (v.shape[d] == 0) return {v.data, v.data};
        const i64 reach = (v.shape[d] - 1) * v.strides[d];
        (reach < 0 ? begin : end) += reach;
    }
    return {begin, end};
}

}  // namespace

template <class T>
Status Machine<T>::prepare(const Call& c, const i64* ints, i64 left, const i64* shape, int ndim) {
    call = &c;
    if (left < 4) return bad_call("fused: the program is cut off");
    n_registers = ints[0], n_constants = ints[1], n_instructions = ints[2], n_outputs = ints[3];
    for (int i = 0; i < 4; ++i)
        if (ints[i] < 0 || ints[i] > 4096) return bad_call("fused: a count is out of bounds");
    code = ints + 4;
    outputs = code + 5 * n_instructions;
    if (left != 4 + 5 * n_instructions + n_outputs + c.n_in)
        return bad_call("fused: the program has another length than it says");
    if (c.n_in > MAX_OPERANDS || c.n_out > MAX_OPERANDS || n_outputs > c.n_out ||
        n_slots() > MAX_SLOTS || n_constants > c.n_floats)
        return bad_call("fused: too many operands or slots");
    const i64 constants = c.n_in, registers = constants + n_constants;
    for (i64 i = 0; i < n_instructions; ++i) {
        const i64* x = code + 5 * i;
        bool fine = x[0] >= 0 && x[0] < i64(Op::count) && x[1] >= registers && x[1] < n_slots();
        for (int k = 2; k < 5; ++k) fine = fine && x[k] >= 0 && x[k] < n_slots();
        if (!fine) return bad_call("fused: an instruction names what does not exist");
    }
    size = 1;
    for (int d = 0; d < ndim; ++d) size *= shape[d];
    const i64 share = CACHED / (i64(sizeof(T)) * most(n_slots(), 1));
    room = least(LONGEST_TILE, most(SHORTEST_TILE, share / SHORTEST_TILE * SHORTEST_TILE));
    const i64* truths = outputs + n_outputs;
    for (int i = 0; i < c.n_in; ++i) {
        Walk& w = walks[i];
        if (!lay_over(c.in[i], shape, ndim, w))
            return bad_call("fused: an input does not broadcast over the iteration space");
        w.as_truth = truths[i] != 0;
        if (w.as_truth && item_size(w.dtype) != 1) return bad_call("fused: numbers as booleans");
        w.kind = kind_of<T>(w, room);
    }
    for (i64 o = 0; o < n_outputs; ++o) {
        const View& out = c.out[o];
        if (outputs[o] < 0 || outputs[o] >= n_slots()) return bad_call("fused: no such output slot");
        if (count(out) != size || !contiguous(out) || out.dtype == DType::i64 ||
            out.dtype == DType::i32)
            return bad_call("fused: an output is not laid out in order");
        direct[o] = outputs[o] >= registers && out.dtype == own_type<T>();
        for (i64 other = 0; other < o; ++other)
            direct[o] = direct[o] && outputs[other] != outputs[o];
        const Extent written = extent(out);
        for (int i = 0; i < c.n_in; ++i) {
            const Extent read = extent(c.in[i]);
            if (written.end <= read.begin || read.end <= written.begin || size == 0) continue;
            // In place is possible if it is read in the same order: a tile is read before written,
            // which the last instruction may do, since no other one reads the tile after it.
            direct[o] = direct[o] && code[5 * n_instructions - 4] == outputs[o];
            if (walks[i].kind == Walk::one_number ? size > 1 :
                c.in[i].data != out.data || c.in[i].dtype != out.dtype || !contiguous(c.in[i]) ||
                count(c.in[i]) != size)
                return bad_call("fused: an output overlaps an input other than in place");
        }
    }
    return OK;
}

template <class T> i64 Machine<T>::rows_of_tile(i64 n) const {
    i64 unit = 1;
    while (unit * n % WIDTH<T>) ++unit;
    const i64 rows = room / n;
    return rows < unit ? rows : rows / unit * unit;
}

template <class T> i64 Machine<T>::tile() const {
    i64 period = 1;
    for (int i = 0; i < call->n_in; ++i)
        if (walks[i].kind == Walk::periodic) period = most(period, walks[i].run());
    return rows_of_tile(period) * period;
}

template <class T> void Machine<T>::begin(Slots<T>& slots) const {
    T* memory = static_cast<T*>(own_scratch());
    const i64 filled = least(room, parts(size, WIDTH<T>) * WIDTH<T>);
    for (int s = 0; s < n_slots(); ++s) slots.at[s] = memory + s * room;
    for (i64 k = 0; k < n_constants; ++k) {
        const T value = T(call->floats[k]);
        for (i64 i = 0; i < filled; ++i) slots.at[call->n_in + k][i] = value;
    }
    for (int i = 0; i < call->n_in; ++i) {
        slots.begins[i] = -1;
        if (walks[i].kind == Walk::one_number && size)
            copy_typed(walks[i], walks[i].data, 0, slots.at[i], filled);
    }
}

template <class T> void Machine<T>::run(Slots<T>& slots, i64 first, i64 n) const {
    T* memory = static_cast<T*>(own_scratch());
    T** at = slots.at;
    for (int i = 0; i < call->n_in; ++i) {
        const Walk& w = walks[i];
        T* slot = memory + i * room;
        if (w.kind == Walk::periodic) {
            const i64 begin = first % w.run();
            if (slots.begins[i] != begin) gather(w, begin, least(room, size), slot, false);
            slots.begins[i] = begin;
        } else if (w.kind == Walk::in_order) {
            at[i] = reinterpret_cast<T*>(const_cast<char*>(w.data)) + first;
        } else if (w.kind != Walk::one_number) {
            at[i] = const_cast<T*>(gather(w, first, n, slot, w.kind == Walk::in_runs));
        }
    }
    for (i64 o = 0; o < n_outputs; ++o)
        if (direct[o]) at[outputs[o]] = data<T>(call->out[o]) + first;
    const i64 whole = n / WIDTH<T> * WIDTH<T>;
    interpret_all(at, whole);
    if (whole < n && n_instructions) run_rest(slots, whole, n - whole);
    for (i64 o = 0; o < n_outputs; ++o)
        if (!direct[o]) put(call->out[o], first, n, at[outputs[o]]);
}

template <class T> void Machine<T>::interpret_all(T* const* at, i64 n) const {
    for (i64 i = 0; i < n_instructions; ++i) {
        const i64* x = code + 5 * i;
        interpret(Op(x[0]), at[x[1]], at[x[2]], at[x[3]], at[x[4]], n);
    }
}

template <class T> void Machine<T>::run_rest(const Slots<T>& slots, i64 whole, i64 rest) const {
    T* memory = static_cast<T*>(own_scratch());
    T* last[MAX_SLOTS];
    for (int s = 0; s < n_slots(); ++s) {
        last[s] = slots.at[s] + whole;
        if (slots.at[s] == memory + s * room) continue;
        T* own = memory + n_slots() * room + s * WIDTH<T>;
        __builtin_memcpy(own, last[s], std::size_t(rest) * sizeof(T));
        last[s] = own;
    }
    interpret_all(last, rest);
    for (i64 o = 0; o < n_outputs; ++o)
        if (direct[o])
            __builtin_memcpy(slots.at[outputs[o]] + whole, last[outputs[o]],
                             std::size_t(rest) * sizeof(T));
}

template struct Machine<float>;
template struct Machine<double>;

}  // namespace cr::CR_ISA

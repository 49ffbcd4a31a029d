// Random numbers by counter: Philox 4×64-10 (Salmon, Moraes, Dror, Shaw, 2011).
//
// Block i of the stream is a function of the key and the counter value i. It can be computed
// without the blocks before it, so threads compute parts of the stream, and the numbers are the
// same. The words equal those of NumPy's Philox(key=[key, 0], counter=[counter, 0, 0, 0]).
#include "kernels/operands.h"

namespace cr::CR_ISA {

namespace {

using u64 = std::uint64_t;
__extension__ typedef unsigned __int128 u128;

struct Block {
    u64 word[4];
};

Block philox(u64 counter, u64 carry, u64 key) {
    u64 c0 = counter, c1 = carry, c2 = 0, c3 = 0, k0 = key, k1 = 0;
    for (int round = 0; round < 10; ++round) {
        const u128 p0 = u128(0xD2E7470EE14C6C93u) * c0, p1 = u128(0xCA5A826395121157u) * c2;
        c0 = u64(p1 >> 64) ^ c1 ^ k0;
        c1 = u64(p1);
        c2 = u64(p0 >> 64) ^ c3 ^ k1;
        c3 = u64(p0);
        k0 += 0x9E3779B97F4A7C15u;  // the key moves on between rounds
        k1 += 0xBB67AE8584CAA73Bu;
    }
    return {{c0, c1, c2, c3}};
}

struct Job {
    const Call* call;
    i64 words, step;  // words in all, words of a piece (a multiple of four)
};

void random_piece(void* context, i64 piece) {
    const Job& job = *static_cast<Job*>(context);
    const View &state = job.call->in[0], &out = job.call->out[0];
    const u64 key = u64(data<i64>(state)[0]), start = u64(data<i64>(state)[1]);
    const i64 n = count(out);
    const i64 end = (piece + 1) * job.step < job.words ? (piece + 1) * job.step : job.words;
    for (i64 at = piece * job.step; at < end; at += 4) {
        const u64 counter = start + u64(at / 4) + 1;  // NumPy counts up before it scrambles
        const Block block = philox(counter, counter <= start ? 1 : 0, key);
        for (i64 w = 0; w < 4 && at + w < end; ++w) {
            const u64 word = block.word[w];
            const i64 i = at + w;
            if (out.dtype == DType::i64) {
                data<u64>(out)[i] = word;
            } else if (out.dtype == DType::f64) {
                data<double>(out)[i] = double(word >> 11) * 0x1p-53;
            } else {  // two numbers of 24 bits, the low half first
                data<float>(out)[2 * i] = float(std::uint32_t(word) >> 8) * 0x1p-24f;
                if (2 * i + 1 < n)
                    data<float>(out)[2 * i + 1] = float(std::uint32_t(word >> 40)) * 0x1p-24f;
            }
        }
    }
}

}  // namespace

// random_uniform(state) → numbers of U[0, 1); into an int64 output, the raw 64-bit words.
CR_KERNEL(random_uniform) {
    if (call.n_in != 1 || call.n_out != 1 || call.in[0].dtype != DType::i64 ||
        count(call.in[0]) != 2 || !contiguous(call.in[0]) || !contiguous(call.out[0]))
        return bad_call("random_uniform: takes [key, counter] and fills one array in order");
    const DType type = call.out[0].dtype;
    if (type != DType::f32 && type != DType::f64 && type != DType::i64)
        return bad_call("random_uniform: float32, float64, or int64 for raw words");
    const i64 n = count(call.out[0]);
    Job job{&call, type == DType::f32 ? (n + 1) / 2 : n, 4};
    if (n == 0) return OK;
    const i64 pieces = useful_threads(job.words * 3.0) == 1 ? 1 : 8;
    job.step = ((job.words + pieces - 1) / pieces + 3) / 4 * 4;
    run_pieces((job.words + job.step - 1) / job.step, random_piece, &job);
    return OK;
}

}  // namespace cr::CR_ISA

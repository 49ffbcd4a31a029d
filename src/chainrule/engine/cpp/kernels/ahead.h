// Memory that is wanted soon, which may be far away.
//
// A processor asks ahead for what follows where memory is read in order. It does not see where short
// rows go on, nor far enough where little is computed with each number.
//
// Images in a batch are larger than a core's cache, and to copy one that is not there takes a
// quarter of the time of its convolution. So tiles ask for a part of the next image each, and
// multiply while it comes.
#pragma once
#include "kernels/operands.h"
#include "math/vec.h"

namespace cr::CR_ISA {

constexpr i64 CACHE_LINE = 64;  // bytes
template <class T> constexpr i64 LINE = CACHE_LINE / i64(sizeof(T));  // numbers

// How many lines stay in an L1 cache together that lie so many bytes apart. Those whose distance is a
// multiple of a large power of two compete for the same 8 places, and so do all with one of 4096.
inline i64 lines_that_fit(i64 apart) {
    constexpr i64 WAY = 4096, WAYS = 8;
    const i64 power = apart & -apart;
    return power ? WAYS * WAY / least(power, WAY) : WAYS;
}

// Asks for the lines of n numbers that are read soon, into the first or the second cache.
template <int CACHE = 1, class T> CR_INLINE void ask_for(const T* x, i64 n) {
    for (i64 i = 0; i < n; i += LINE<T>) __builtin_prefetch(x + i, 0, 4 - CACHE);
}

struct Ahead {
    const char *next, *end;
    i64 bytes;  // of a part
};

// `count` numbers in as many parts as there are tiles, of at most so many lines: more at once than
// memory delivers while a tile multiplies would only keep it waiting.
template <class T> Ahead ahead_of(const T* from, i64 count, i64 tiles, i64 lines) {
    const char* next = reinterpret_cast<const char*>(from);
    const i64 bytes = count * i64(sizeof(T)), part = bytes / (tiles + 1) / CACHE_LINE + 1;
    return {next, next + bytes, CACHE_LINE * (part < lines ? part : lines)};
}

// Asks for the next part, to write to it if WRITE.
template <int WRITE> CR_INLINE void fetch(Ahead& ahead) {
    const char *from = ahead.next, *to = from + ahead.bytes;
    if (from >= ahead.end) return;
    for (; from < to; from += CACHE_LINE) __builtin_prefetch(from, WRITE, 2);
    ahead.next = to;
}

}  // namespace cr::CR_ISA

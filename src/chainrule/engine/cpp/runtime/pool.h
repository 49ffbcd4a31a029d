// The thread pool: one per process, one job at a time, as many pieces a job as the kernel likes.
#pragma once
#include "runtime/call.h"

namespace cr {

// A job is cut into pieces 0 … pieces − 1. Pieces are claimed one by one, so a thread that the
// system has put aside delays nobody: the others take its share. Which thread runs which piece is
// not fixed, so a kernel must write results that do not depend on it; that is what makes results
// equal for any number of threads.
using PieceFn = void (*)(void* context, i64 piece);
void run_pieces(i64 pieces, PieceFn run, void* context);

// How many threads are worth waking for work of about so many nanoseconds on one thread.
int useful_threads(double nanoseconds);

int thread_count();
void set_thread_count(int threads);

// Memory of the calling thread, 64-byte aligned, kept for the next call. `shared_scratch` is taken
// by a kernel before it starts its pieces (null when there is no memory); `own_scratch` inside a
// piece: OWN_SCRATCH bytes that are always there.
constexpr std::size_t OWN_SCRATCH = 768 * 1024;
void* shared_scratch(std::size_t bytes);
void* own_scratch();

}  // namespace cr

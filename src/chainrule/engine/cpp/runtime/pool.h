// The thread pool: one per process. It runs one job at a time, with any number of pieces.
#pragma once
#include "runtime/call.h"

namespace cr {

// A job is divided into pieces 0 … pieces − 1. Threads claim pieces one at a time, so if the system
// suspends a thread, the others run the remaining pieces. Any thread may run any piece, so the
// results of a kernel must not depend on that. This makes them equal for any number of threads.
using PieceFn = void (*)(void* context, i64 piece);
void run_pieces(i64 pieces, PieceFn run, void* context);

// The number of threads that pays for work that takes about this long on one thread, by the time
// that a hand-over of work takes on this machine.
int useful_threads(double nanoseconds);

// Whether the kernels that this thread calls share their work with other threads. Returns what was
// true before.
bool share_work(bool yes);

long shared_jobs();  // that the calling thread has shared with others so far

int thread_count();
void set_thread_count(int threads);

// Work space of the calling thread, 64-byte aligned, which is kept for the next call. A kernel
// calls `shared_scratch` before it starts its pieces; the result is null if there is no memory.
// Inside a piece it calls `own_scratch`, which always has OWN_SCRATCH bytes.
constexpr std::size_t OWN_SCRATCH = 1280 * 1024;
void* shared_scratch(std::size_t bytes);
void* sums_scratch(std::size_t bytes);  // for matrix products, which other kernels call
void* own_scratch();

}  // namespace cr

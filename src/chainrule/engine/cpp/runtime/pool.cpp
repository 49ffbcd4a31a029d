#include "runtime/pool.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "runtime/cores.h"

namespace cr {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int MAX_THREADS = 256;
// A helper looks for work for this long before it sleeps. To wake one took 15 µs of the caller, and
// 50 µs until it came, on a virtual machine: so long it pays to look.
constexpr std::chrono::microseconds PATIENCE{100};
constexpr int SPINS = 64;  // between two looks at the clock

void relax() {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// The pieces of a job form a range for each thread. A thread claims those of its own range first,
// then those that others have left. So in job after job it works on the same part of the arrays,
// which its core has in its cache. To fetch it from another core takes several times as long.
//
// The number of the job and the number of unclaimed pieces of a range share one 64-bit word. A
// claim is a compare-exchange of both, so a late helper cannot claim a piece of a newer job by
// mistake. Pieces can be claimed once the ranges of all threads are ready: a helper that saw the
// range of another before its own would begin there.
constexpr std::uint64_t LEFT = 0xffffffffu;

struct alignas(64) Range {  // each on a cache line of its own
    std::atomic<std::uint64_t> tickets{0};  // number of the job << 32 | unclaimed pieces
};

struct Pool {
    Range ranges[MAX_THREADS];
    alignas(64) std::atomic<i64> done{0};
    alignas(64) std::atomic<int> parts{0};  // ranges of the present job
    std::atomic<std::uint32_t> job{0};
    std::atomic<std::uint32_t> alarm{0};  // helpers sleep until this changes
    std::atomic<int> sleepers{0};
    PieceFn run = nullptr;
    void* context = nullptr;
    i64 pieces = 0;
    std::mutex owner;  // held by the thread whose job it is
    std::uint64_t jobs = 0;
    int meetings = 0;      // to measure a hand-over, and the nanoseconds of the best
    double best = 1500.0;
    int helpers = 0;
    std::thread::native_handle_type threads[MAX_THREADS];  // of the helpers
    int avoided = -1;            // the core that helpers keep off
    std::atomic<int> wanted{0};  // helpers beyond this number exit

    i64 end_of(int range) const { return pieces * (range + 1) / parts.load(); }

    void publish() {
        const std::uint32_t next = job.load() + 1;
        for (int range = 0; range < parts.load(); ++range) {
            const i64 own = end_of(range) - (range ? end_of(range - 1) : 0);
            ranges[range].tickets.store(std::uint64_t{next} << 32 | static_cast<std::uint64_t>(own));
        }
        job.store(next);
    }

    bool claim_from(int range) {
        std::atomic<std::uint64_t>& tickets = ranges[range].tickets;
        std::uint64_t seen = tickets.load();
        while (seen & LEFT && seen >> 32 == job.load()) {
            if (!tickets.compare_exchange_weak(seen, seen - 1)) continue;
            // The job does not end before `done` counts this piece, so its fields can be read.
            run(context, end_of(range) - static_cast<i64>(seen & LEFT));
            done.fetch_add(1, std::memory_order_release);
            return true;
        }
        return false;
    }

    bool work_on_one(int thread) {
        const int count = parts.load();
        for (int i = 0; i < count; ++i)
            if (claim_from((thread + i) % count)) return true;
        return false;
    }

    bool has_work() const {
        for (int range = 0; range < parts.load(); ++range)
            if (ranges[range].tickets.load() & LEFT) return true;
        return false;
    }

    void wake() {
        alarm.fetch_add(1);
        alarm.notify_all();
    }

    // A system may run a thread that is woken on the core of its waker, though another is idle, and
    // there it waits for the waker, or the waker for it: 4 ms on a virtual machine, where the time
    // until it came is 50 µs.
    void make_room() {
        const int core = current_core();
        if (core == avoided) return;
        for (int i = 0; i < helpers; ++i) keep_off(core, threads[i]);
        avoided = core;
    }

    // With `owner` held: runs a job on all threads.
    void share(i64 count, PieceFn piece, void* its_context);
};

std::atomic<Pool*> the_pool{nullptr};
std::atomic<int> threads_wanted{1};

struct Scratch {
    void* memory = nullptr;
    std::size_t bytes = 0;
    ~Scratch() { std::free(memory); }
    void* at_least(std::size_t wanted) {
        if (wanted <= bytes) return memory;
        if (wanted > (std::size_t{1} << 46)) return nullptr;
        void* larger = std::aligned_alloc(64, (wanted + 63) / 64 * 64);
        if (!larger) return nullptr;
        std::free(memory);
        memory = larger;
        bytes = wanted;
        return memory;
    }
};
thread_local Scratch shared_memory, sums_memory, own_memory;
thread_local bool inside_piece = false;
thread_local bool shares = true;
thread_local long jobs = 0;

void Pool::share(i64 count, PieceFn piece, void* its_context) {
    run = piece;
    context = its_context;
    pieces = count;
    done.store(0, std::memory_order_relaxed);
    parts.store(helpers + 1);
    make_room();
    publish();
    if (sleepers.load() > 0) wake();
    inside_piece = true;
    while (work_on_one(0)) {
    }
    inside_piece = false;
    for (int spins = 0; done.load(std::memory_order_acquire) < count; ++spins) {
        if (spins < 64 * SPINS) relax();
        else std::this_thread::yield();
    }
}

void help(Pool* pool, int number) {
    const bool able = own_memory.at_least(OWN_SCRATCH);  // a helper needs work space
    inside_piece = true;
    int idle = 0;
    Clock::time_point end;  // of its patience
    while (number < pool->wanted.load(std::memory_order_relaxed)) {
        if (able && pool->work_on_one(number + 1)) {
            idle = 0;
            continue;
        }
        relax();
        if (idle++ % SPINS > 0) continue;
        const Clock::time_point now = Clock::now();
        if (idle == 1) end = now + PATIENCE;
        if (now < end) continue;
        const std::uint32_t before = pool->alarm.load();
        pool->sleepers.fetch_add(1);
        if (!pool->has_work() && number < pool->wanted.load()) pool->alarm.wait(before);
        pool->sleepers.fetch_sub(1);
        idle = 0;
    }
}

// In a forked child only the forking thread exists, so it starts with a new pool. The old pool is
// not freed, since its threads and its lock are in an unknown state.
void forget_pool() { the_pool.store(nullptr); }

Pool* current_pool() {
    Pool* pool = the_pool.load(std::memory_order_acquire);
    if (pool) return pool;
    static const int registered = pthread_atfork(nullptr, nullptr, forget_pool);
    (void)registered;
    Pool* fresh = new (std::nothrow) Pool;  // never destroyed, since helpers may run after `main`
    if (fresh && !the_pool.compare_exchange_strong(pool, fresh)) {
        delete fresh;
        return pool;
    }
    return fresh;
}

// Called with `owner` held. If the system refuses to start a thread, there are fewer helpers.
void adjust_helpers(Pool* pool) {
    const int wanted = threads_wanted.load() - 1;
    if (pool->wanted.load() == wanted && pool->helpers == wanted) return;
    if (wanted < pool->helpers) {  // end all: a number cannot be reused while its thread exits
        Pool* fresh = new (std::nothrow) Pool;
        if (!fresh) return;
        the_pool.store(fresh);
        pool->wanted.store(0);
        pool->wake();
        return;
    }
    pool->wanted.store(wanted);
    pool->avoided = -1;
    for (; pool->helpers < wanted; ++pool->helpers) {
        try {
            std::thread helper(help, pool, pool->helpers);
            pool->threads[pool->helpers] = helper.native_handle();
            helper.detach();
        } catch (...) {
            threads_wanted.store(pool->helpers + 1);
            pool->wanted.store(pool->helpers);
            return;
        }
    }
}

// -- the cost of a hand-over ----------------------------------------------------------------------

// Nanoseconds from the start of a job until a helper that is awake has begun a piece of it, and the
// caller knows. Until it is measured, what several machines took.
std::atomic<double> handover{350.0};

struct Meeting {
    Clock::time_point end;
    std::atomic<int> threads{0};
};

void meet(void* context, i64) {  // ends when another thread is here too
    Meeting& meeting = *static_cast<Meeting*>(context);
    ++meeting.threads;
    while (meeting.threads.load() < 2 && Clock::now() < meeting.end) relax();
}

// With `owner` held. The best of several meetings, since others may find no free core. Where the
// system starts the helpers too late for them, the rest take place at a later job.
void measure_handover(Pool* pool) {
    constexpr int MEETINGS = 32;
    const Clock::time_point end = Clock::now() + std::chrono::milliseconds(1);
    while (pool->meetings < MEETINGS) {
        Meeting meeting{end};
        const Clock::time_point start = Clock::now();
        pool->share(2, meet, &meeting);
        const Clock::time_point now = Clock::now();
        if (now >= end) return;
        const std::chrono::duration<double, std::nano> took = now - start;
        pool->best = std::min(pool->best, took.count());
        handover.store(pool->best);
        ++pool->meetings;
    }
}

}  // namespace

void* shared_scratch(std::size_t bytes) { return shared_memory.at_least(bytes ? bytes : 64); }
void* sums_scratch(std::size_t bytes) { return sums_memory.at_least(bytes ? bytes : 64); }
void* own_scratch() { return own_memory.at_least(OWN_SCRATCH); }

long shared_jobs() { return jobs; }
int thread_count() { return threads_wanted.load(); }

// Helpers are started or ended when the next job begins.
void set_thread_count(int threads) {
    threads_wanted.store(threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads);
}

bool share_work(bool yes) { return std::exchange(shares, yes); }

// With work for four hand-overs at least, a thread spends a fifth of its time on one at most.
int useful_threads(double nanoseconds) {
    const double most = shares ? nanoseconds / (4 * handover.load(std::memory_order_relaxed)) : 1;
    const int threads = thread_count();
    return most >= threads ? threads : most < 1 ? 1 : static_cast<int>(most);
}

void run_pieces(i64 pieces, PieceFn run, void* context) {
    // A nested job, one thread, or a pool that another thread uses: run all pieces here.
    const bool here = pieces < 2 || inside_piece || !shares || thread_count() == 1;
    Pool* pool = here ? nullptr : current_pool();
    std::unique_lock<std::mutex> lock;
    if (pool) lock = std::unique_lock<std::mutex>(pool->owner, std::try_to_lock);
    if (lock.owns_lock()) {
        adjust_helpers(pool);
        if (pool != the_pool.load()) lock.unlock();
    }
    if (!lock.owns_lock() || pieces > static_cast<i64>(LEFT) || pool->helpers == 0) {
        for (i64 piece = 0; piece < pieces; ++piece) run(context, piece);
        return;
    }
    if (std::has_single_bit(++pool->jobs)) measure_handover(pool);
    ++jobs;
    pool->share(pieces, run, context);
}

}  // namespace cr

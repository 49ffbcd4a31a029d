#include "runtime/pool.h"

#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace cr {
namespace {

constexpr int MAX_THREADS = 256;
constexpr int SPINS = 4000;  // a helper looks for work for about 50-100 µs before it sleeps

void relax() {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// The number of the job and the number of unclaimed pieces share one 64-bit word. A claim is a
// compare-exchange of both, so a late helper cannot claim a piece of a newer job by mistake.
constexpr std::uint64_t LEFT = 0xffffffffu;

struct Pool {
    std::atomic<std::uint64_t> tickets{0};  // number of the job << 32 | unclaimed pieces
    std::atomic<i64> done{0};
    std::atomic<std::uint32_t> alarm{0};  // helpers sleep until this changes
    std::atomic<int> sleepers{0};
    PieceFn run = nullptr;
    void* context = nullptr;
    i64 pieces = 0;
    std::mutex owner;  // held by the thread whose job it is
    int helpers = 0;
    std::atomic<int> wanted{0};  // helpers beyond this number exit

    bool work_on_one() {
        std::uint64_t seen = tickets.load(std::memory_order_acquire);
        while (seen & LEFT) {
            if (!tickets.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel)) continue;
            // The job does not end before `done` counts this piece, so its fields can be read.
            run(context, pieces - static_cast<i64>(seen & LEFT));
            done.fetch_add(1, std::memory_order_release);
            return true;
        }
        return false;
    }
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

void help(Pool* pool, int number) {
    if (!own_memory.at_least(OWN_SCRATCH)) return;  // a helper needs work space
    inside_piece = true;
    int idle = 0;
    while (number < pool->wanted.load(std::memory_order_relaxed)) {
        if (pool->work_on_one()) {
            idle = 0;
            continue;
        }
        if (++idle < SPINS) {
            relax();
            continue;
        }
        const std::uint32_t before = pool->alarm.load();
        pool->sleepers.fetch_add(1);
        if (!(pool->tickets.load() & LEFT) && number < pool->wanted.load()) {
            pool->alarm.wait(before);
        }
        pool->sleepers.fetch_sub(1);
        idle = 0;
    }
}

void wake(Pool* pool) {
    pool->alarm.fetch_add(1);
    pool->alarm.notify_all();
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
        wake(pool);
        return;
    }
    pool->wanted.store(wanted);
    for (; pool->helpers < wanted; ++pool->helpers) {
        try {
            std::thread(help, pool, pool->helpers).detach();
        } catch (...) {
            threads_wanted.store(pool->helpers + 1);
            pool->wanted.store(pool->helpers);
            return;
        }
    }
}

}  // namespace

void* shared_scratch(std::size_t bytes) { return shared_memory.at_least(bytes ? bytes : 64); }
void* sums_scratch(std::size_t bytes) { return sums_memory.at_least(bytes ? bytes : 64); }
void* own_scratch() { return own_memory.at_least(OWN_SCRATCH); }

int thread_count() { return threads_wanted.load(); }

// Helpers are started or ended when the next job begins.
void set_thread_count(int threads) {
    threads_wanted.store(threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads);
}

int useful_threads(double nanoseconds) {
    // Passing a piece to a helper that is awake, and waiting for it, takes about a microsecond.
    const double most = nanoseconds / 1500.0;
    const int threads = thread_count();
    return most >= threads ? threads : most < 1 ? 1 : static_cast<int>(most);
}

void run_pieces(i64 pieces, PieceFn run, void* context) {
    // A nested job, one thread, or a pool that another thread uses: run all pieces here.
    Pool* pool = pieces > 1 && !inside_piece && thread_count() > 1 ? current_pool() : nullptr;
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
    pool->run = run;
    pool->context = context;
    pool->pieces = pieces;
    pool->done.store(0, std::memory_order_relaxed);
    const std::uint64_t generation = (pool->tickets.load() >> 32) + 1;
    pool->tickets.store(generation << 32 | static_cast<std::uint64_t>(pieces));
    if (pool->sleepers.load() > 0) wake(pool);
    inside_piece = true;
    while (pool->work_on_one()) {
    }
    inside_piece = false;
    for (int spins = 0; pool->done.load(std::memory_order_acquire) < pieces; ++spins) {
        if (spins < SPINS) relax();
        else std::this_thread::yield();
    }
}

}  // namespace cr

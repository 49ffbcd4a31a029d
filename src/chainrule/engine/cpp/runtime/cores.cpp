#include "runtime/cores.h"

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace cr {

#if defined(__linux__)

int current_core() { return sched_getcpu(); }

void keep_off(int core, std::thread::native_handle_type thread) {
    cpu_set_t cores;
    if (core < 0 || core >= CPU_SETSIZE || sched_getaffinity(0, sizeof cores, &cores) != 0) return;
    CPU_CLR(core, &cores);
    if (CPU_COUNT(&cores) > 0) pthread_setaffinity_np(thread, sizeof cores, &cores);
}

#else

int current_core() { return -1; }
void keep_off(int, std::thread::native_handle_type) {}

#endif

}  // namespace cr

#include "runtime/processor.h"

#include <unistd.h>

#include <atomic>
#include <cstdio>

namespace cr {
namespace {

// Where a system does not tell: what every processor of the last ten years has at least.
constexpr i64 FIRST = 32 * 1024, SECOND = 256 * 1024;

// Linux lists the caches of each processor: level, type and size in kB.
i64 listed(int level) {
    for (int index = 0; index < 8; ++index) {
        char name[96], type[16] = "";
        int found = 0, kilobytes = 0;
        const auto read = [&](const char* what, const char* format, auto* value) {
            std::snprintf(name, sizeof name, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index,
                          what);
            std::FILE* file = std::fopen(name, "r");
            const bool fine = file && std::fscanf(file, format, value) == 1;
            if (file) std::fclose(file);
            return fine;
        };
        if (!read("level", "%d", &found)) return 0;
        if (found == level && read("type", "%15s", type) && type[0] != 'I' &&
            read("size", "%dK", &kilobytes))
            return kilobytes * i64{1024};
    }
    return 0;
}

// The C library may know without reading files; not every one does, and 0 or −1 means no.
#if defined(_SC_LEVEL1_DCACHE_SIZE)
i64 told(int level) {
    return sysconf(level == 1 ? _SC_LEVEL1_DCACHE_SIZE : _SC_LEVEL2_CACHE_SIZE);
}
#else
i64 told(int) { return 0; }
#endif

i64 bytes_of(int level, i64 otherwise) {
    const i64 first = told(level), second = first > 0 ? first : listed(level);
    return second > 0 ? second : otherwise;
}

std::atomic<i64> measured{0};

}  // namespace

i64 first_cache() {
    static const i64 bytes = bytes_of(1, FIRST);
    return bytes;
}
i64 second_cache() {
    static const i64 bytes = bytes_of(2, SECOND);
    const i64 other = measured.load(std::memory_order_relaxed);
    return other ? other : bytes;
}
void use_second_cache(i64 bytes) { measured.store(bytes, std::memory_order_relaxed); }

}  // namespace cr

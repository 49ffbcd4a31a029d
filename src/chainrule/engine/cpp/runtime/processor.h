// What kernels and the pool need to know of the processor at hand. Read once, when first asked for.
#pragma once
#include "runtime/call.h"

namespace cr {

i64 first_cache();   // bytes of the L1 data cache of a core
i64 second_cache();  // bytes of its L2 cache, or what `use_second_cache` has set
void use_second_cache(i64 bytes);  // 0: as the system tells

}  // namespace cr

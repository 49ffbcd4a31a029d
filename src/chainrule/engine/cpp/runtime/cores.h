// On which cores the system runs the threads of the pool.
#pragma once
#include <thread>

namespace cr {

int current_core();  // of the calling thread; −1 where the system does not tell

// Lets a thread run on every core that the calling thread may use, but for this one. Does nothing
// where no other is left, or where the system cannot be told.
void keep_off(int core, std::thread::native_handle_type thread);

}  // namespace cr

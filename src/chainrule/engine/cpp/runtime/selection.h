// The instruction set in use.
#pragma once
#include "runtime/dispatch.h"

namespace cr {

const InstructionSet& chosen_set();        // the best that this machine supports, at the start
bool choose_set(const char* name);         // false when this machine does not support it
KernelFn kernel_named(const char* name);   // of the chosen set; null when there is none

}  // namespace cr

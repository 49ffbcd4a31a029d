// The instruction set in use.
#pragma once
#include "runtime/dispatch.h"

namespace cr {

const InstructionSet& chosen_set();        // initially the best that this machine supports
bool choose_set(const char* name);         // false if this machine does not support it
KernelFn kernel_named(const char* name);   // in the chosen set; null if there is none

}  // namespace cr

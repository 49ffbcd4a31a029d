// The instruction sets for which kernels are compiled, and the names of kernels and instructions.
#pragma once
#include "runtime/call.h"

namespace cr {

#if defined(__x86_64__)
namespace avx512 { extern const Kernel kernels[]; }
namespace avx2 { extern const Kernel kernels[]; }
#endif
#if defined(__aarch64__)
namespace neon { extern const Kernel kernels[]; }
#else
namespace baseline { extern const Kernel kernels[]; }
#endif

struct InstructionSet {
    const char* name;
    const Kernel* kernels;  // ends with a null name
    bool supported;
};

constexpr int MAX_SETS = 3;
int instruction_sets(InstructionSet (&sets)[MAX_SETS]);  // the best first; returns their number

struct FusedOp {
    const char* name;
    int operands;
};
extern const FusedOp fused_op_names[];  // in the order of their numbers; ends with a null name

}  // namespace cr
